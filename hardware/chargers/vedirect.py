"""Victron over VE.Direct text: an MPPT charge controller, or a BMV battery monitor or SmartShunt.

The device talks each second without being asked; a sample takes what has come since the last
one, and nothing is ever sent. What the panels of an MPPT generate is this meter's export: power is
negative, and the export counter is the yield, in steps of 10 Wh. A battery monitor measures a
battery: charging is import, with counters where its text has them (H17 and H18).

Source: Victron VE.Direct protocol papers; recordings of an MPPT 75|15, a BMV-702 and a BMV-712.
Seen on: simulated devices only.
Known limits: text tells panel power in whole watts and no panel current, where `vedirect_hex` has
0.01 W; the yield can be reset by its user; one meter a port.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from hardware import options
from hardware.errors import HardwareError, StaleConversion, WrongDevice
from hardware.ports import Battery, BytePort, Sample
from hardware.vedirect.labels import number
from hardware.vedirect.quantity import (
    AMPERES,
    COUNTING,
    ENERGY_UWH,
    PV_VOLTS,
    STATES,
    VOLTS,
    WATTS,
    bounded,
    whole,
)
from hardware.vedirect.report import STALE_S, Report
from hardware.vedirect.stream import Block, Damage, Stream

SOLAR: Final = ("PPV", "VPV", "H19")
"""Labels of which an MPPT has at least one."""

MONITOR: Final = ("SOC", "CE", "BMV", "MON", "H17", "H18")
"""Labels of which a battery monitor has at least one."""

_OTHERS: Mapping[str, str] = {"AC_OUT_V": "an inverter", "DC_IN_V": "a DC-DC charger"}
_STEP_S, _STEPS_MAX = 0.02, 125
_LONG_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VeDirectOptions:
    """Which device."""

    serial: str = options.text("the unit's serial number, to tell it from another", default="")


class VeDirect:
    """One device behind one port, as a meter and a view of its battery."""

    def __init__(
        self,
        bus: BytePort,
        given: VeDirectOptions,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Be ready to listen; the port is not touched.

        Args:
            bus: its port.
            given: which unit it must be.
            clock_s: a clock that never goes back. [s]
            pause: how to wait. [s]
        """
        self._bus = bus
        self._serial = given.serial
        self._clock_s = clock_s
        self._pause = pause
        self._stream = Stream()
        self._report = Report()
        self._heard_s: float | None = None
        self._damaged = 0

    def sample(self) -> Sample:
        """Return what the device told last.

        It waits for blocks only at first, and after half a minute in which nobody listened: what
        a port held for so long may be old.

        Raises:
            StaleConversion: no valid block for three seconds.
            WrongDevice: another kind of device talks, or another unit.
            TransientHardwareError: the port failed.
        """
        fields = self._fields()
        if any(label in fields for label in SOLAR):
            return _solar_sample(fields)
        if any(label in fields for label in MONITOR):
            return _monitor_sample(fields)
        raise self._other(fields)

    def battery(self) -> Battery:
        """Return the battery as the device sees it; raises as `sample` does."""
        fields = self._fields()
        doubts: list[str] = []  # a battery has no word for them: a value is there or it is not
        return Battery(
            voltage_mv=_milli(fields, "V", VOLTS, doubts),
            current_ma=_milli(fields, "I", AMPERES, doubts),
            charge_percent=whole(number(fields, "SOC"), 1),
            temperature_mc=_milli(fields, "T", (-60_000, 150_000), doubts),
            stage=STATES.get(whole(number(fields, "CS"), 1) or 0, "unknown"),
        )

    def close(self) -> None:
        """Nothing to let go of: the bus closes its port."""

    def _fields(self) -> Mapping[str, str]:
        """Return what was told in the last seconds, by label."""
        heard_s = self._heard_s
        self._hear()
        if heard_s is None:
            self._await_all()
        elif self._clock_s() - heard_s > _LONG_S:
            self._forget()
            self._await_all()
        age_s = self._report.age_s(self._clock_s())
        if age_s is None or age_s > STALE_S:
            raise StaleConversion(self._silence(age_s))
        fields = self._report.fields
        if self._serial and fields.get("SER#", self._serial) != self._serial:
            raise WrongDevice(f"vedirect: serial number {fields['SER#']}, want {self._serial}")
        return fields

    def _hear(self) -> None:
        """Take what has come; a port that failed begins anew, and in the middle of a block."""
        try:
            raw = self._bus.read()
        except HardwareError:
            self._forget()
            raise
        self._heard_s = self._clock_s()
        for found in self._stream.feed(raw):
            if isinstance(found, Block):
                self._damaged = 0
                self._report.add(found, self._heard_s)
            elif isinstance(found, Damage) and not found.in_frame:
                self._damaged += 1

    def _await_all(self) -> None:
        """Wait until the device has told everything once, which takes it one second or two."""
        for _ in range(_STEPS_MAX):
            if self._report.is_whole:
                return
            self._pause(_STEP_S)
            self._hear()

    def _forget(self) -> None:
        self._stream = Stream()
        self._report.clear()
        self._damaged = 0

    def _silence(self, age_s: float | None) -> str:
        since = "yet" if age_s is None else f"for {age_s:.0f} s"
        if self._damaged:
            return (
                f"vedirect: no valid block {since}, {self._damaged} were damaged; check the wiring"
            )
        return f"vedirect: no block {since}, want one a second; check cable and power"

    @staticmethod
    def _other(fields: Mapping[str, str]) -> HardwareError:
        for label, what in _OTHERS.items():
            if label in fields:
                product = fields.get("PID", "unknown")
                return WrongDevice(
                    f"vedirect: product {product} is {what}, want an MPPT or a battery monitor"
                )
        return StaleConversion("vedirect: blocks come, but none of panels or of a battery monitor")


def _solar_sample(fields: Mapping[str, str]) -> Sample:
    doubts: list[str] = []
    power_mw = _milli(fields, "PPV", (0, WATTS[1]), doubts)
    return Sample(
        power_mw=None if power_mw is None else -power_mw,
        energy_import_uwh=None,
        energy_export_uwh=_energy_uwh(fields, "H19", doubts),
        voltage_mv=_milli(fields, "VPV", PV_VOLTS, doubts),
        current_ma=None,
        frequency_mhz=None,
        quality=" ".join(dict.fromkeys(doubts)),
        counting=COUNTING,
    )


def _monitor_sample(fields: Mapping[str, str]) -> Sample:
    """Return a battery as a meter: its voltage times its current resolves more than its watts."""
    doubts: list[str] = []
    voltage_mv = _milli(fields, "V", VOLTS, doubts)
    current_ma = _milli(fields, "I", AMPERES, doubts)
    if voltage_mv is not None and current_ma is not None:
        power_mw: int | None = round(Fraction(voltage_mv * current_ma, 1_000))
    else:
        power_mw = _milli(fields, "P", WATTS, doubts)
    counts = doubts if "H17" in fields or "H18" in fields else []  # some monitors have none
    return Sample(
        power_mw=power_mw,
        energy_import_uwh=_energy_uwh(fields, "H18", counts),
        energy_export_uwh=_energy_uwh(fields, "H17", counts),
        voltage_mv=voltage_mv,
        current_ma=current_ma,
        frequency_mhz=None,
        quality=" ".join(dict.fromkeys(doubts)),
        counting=COUNTING,
    )


def _milli(
    fields: Mapping[str, str], label: str, limits: tuple[int, int], doubts: list[str]
) -> int | None:
    return bounded(whole(number(fields, label), 1_000), *limits, doubts)


def _energy_uwh(fields: Mapping[str, str], label: str, doubts: list[str]) -> int | None:
    """Return an energy in kWh as micro-watt-hours."""
    return bounded(whole(number(fields, label), 10**9), *ENERGY_UWH, doubts)
