"""EPEver Tracer-AN and -BN, LS-B: a PV charge controller over Modbus RTU, 115200 8N1.

What the panels generate is this meter's export: power is negative while the sun shines, and the
export counter is the controller's total of generated energy, in steps of 10 Wh, which no midnight
clears. It counts no import. `limit` stops charging altogether, since the controller knows no
power: by coil 0 where the model has one, else by its charging voltages where `charge_voltages`
allows it, a few times a day. Neither ends by itself: `revert_ms` is 0.

Its clock decides when counters of the day begin and when its own timers switch the load; no
sample depends on it, and a Pi without a network does not know the time. So it is left alone
unless `set_clock` is true.

Source: EPEVER B-series Modbus specification V2.3; LS-B protocol V1.1. Seen on: simulated
controller only; captured frames stand in tests/vectors/epever_tracer.json.
Known limits: some units fall silent at night, so a timeout then is no fault. With lowered
voltages the panels still feed the load output, and a battery that sinks to them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from hardware import options
from hardware.chargers.epever_limits import (
    ChargingCoil,
    ChargingSwitch,
    ChargingVoltages,
    parse_voltages,
)
from hardware.chargers.rounded import milli, whole
from hardware.errors import DeviceRefused, HardwareError, SwitchFailed, WrongDevice
from hardware.modelfile import shipped_model
from hardware.ports import Battery, ModbusPort, Sample
from hardware.register_device import RegisterDevice
from hardware.wear import WornMemory, WriteBudget

_STAGES = ("off", "float", "boost", "equalize")
_VENDORS = ("EP",)  # "EPsolar Tech co., Ltd", "EPEVER"
_LOAD_COIL = 0x0002
_LOAD_MODE, _MANUAL = 0x903D, 0
_CLOCK_AT, _CLOCK_DRIFT_S, _YEAR_LEAST = 0x9013, 60, 2025
_CLOCK_EVERY_S, _CLOCK_AGAIN_S = 86_400, 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class EpeverTracerOptions:
    """Which controller, and what may be changed in it."""

    address: int = options.number(1, 247, "the Modbus id")
    words_max: int = options.number(1, 16, "registers in one read", default=16)
    charge_voltages: str = options.text(
        "the six charging voltages that a limit may lower for a while", default=""
    )
    set_clock: bool = options.flag("whether its clock is set once a day", default=False)


def verify(given: EpeverTracerOptions) -> None:
    """Check options together; raises BadOption."""
    parse_voltages(given.charge_voltages)


def _local_time() -> datetime:
    return datetime.now().astimezone()


class EpeverTracer(RegisterDevice):
    """One charge controller, as a meter of its panels and a view of its battery."""

    def __init__(
        self,
        bus: ModbusPort,
        given: EpeverTracerOptions,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        local_time: Callable[[], datetime] = _local_time,
    ) -> None:
        """Plan the reads; the controller is not touched.

        Args:
            bus: the bus it sits on.
            given: checked options.
            clock_s: any clock that never goes back. [s]
            local_time: what its own clock is set to, if it is.
        """
        super().__init__(bus, shipped_model("epever_tracer"), given)
        self._own_voltages = parse_voltages(given.charge_voltages)
        self._sets_clock = given.set_clock
        self._clock_s = clock_s
        self._local_time = local_time
        self._clock_due_s = clock_s()
        self._memory = WornMemory(bus, self.device, WriteBudget(), clock_s=clock_s)
        self._switch: ChargingSwitch | None = None
        self._rated_mw: int | None = None

    def sample(self) -> Sample:
        """Return the panels' power and generated energy as export; raises as a register device."""
        found = super().sample()
        if self._sets_clock and self._clock_s() >= self._clock_due_s:
            self._clock_due_s = self._clock_s() + self._keep_clock()
        return found

    def battery(self) -> Battery:
        """Return the battery as the controller sees it; raises as `sample` does."""
        values = self.values(
            (
                "battery_charge",
                "charging_status",
                "second_battery_voltage",
                "battery_net_current",
                "second_battery_temperature",
            )
        )
        status = whole(values["charging_status"])
        return Battery(
            voltage_mv=milli(values["second_battery_voltage"]),
            current_ma=milli(values["battery_net_current"]),
            charge_percent=whole(values["battery_charge"]),
            temperature_mc=milli(values["second_battery_temperature"]),
            stage="unknown" if status is None else _STAGES[status >> 2 & 3],
        )

    @property
    def revert_ms(self) -> int:
        """No timer of its own: what is stopped stays so until it is ended."""
        return 0

    @property
    def limited_mw(self) -> int | None:
        """0 if charging is stopped, else None; read from the device."""
        return None if self._charging().is_charging() else 0

    def limit(self, power_mw: int | None) -> None:
        """Stop charging for any limit below the rated power; None, or more, lets it charge.

        Raises:
            LimitRefused: this model, or its memory, does not allow it; the message says what does.
            HardwareError: as `sample`.
        """
        charging = self._charging()
        if self._rated_mw is None:
            self._rated_mw = milli(self.values(("pv_rated_power",))["pv_rated_power"])
        is_free = power_mw is None or (self._rated_mw is not None and power_mw >= self._rated_mw)
        charging.switch(is_free)

    @property
    def load_is_on(self) -> bool:
        """Whether the load output is switched on; read from the device."""
        return self.values(("load_is_on",))["load_is_on"] is True

    def switch_load(self, on: bool) -> None:
        """Switch the load output by hand, which its load mode must allow, and read it back.

        Raises:
            SwitchFailed: the coil did not keep it.
            LimitRefused: its load mode was set too often today.
            HardwareError: as `sample`.
        """
        if self.load_is_on == on and self.values(("load_mode",))["load_mode"] == _MANUAL:
            return
        self._memory.keep(_LOAD_MODE, (_MANUAL,), reserve=1)
        self._bus.write_bit(self.device, _LOAD_COIL, on)
        if self.load_is_on != on:
            raise SwitchFailed(f"{self._where}: the load output is not {'on' if on else 'off'}")

    def _charging(self) -> ChargingSwitch:
        """Return how charging is stopped on this model: asked once, and again after a silence."""
        self.values(("load_is_on",))  # nothing is written to a device that is not known
        if self._switch is None:
            coil = ChargingCoil(self._bus, self.device)
            self._switch = (
                coil
                if coil.exists()
                else ChargingVoltages(
                    self._bus, self.device, self._memory, self.values, self._own_voltages
                )
            )
        return self._switch

    def _keep_clock(self) -> int:
        """Set its clock if it is wrong; return how long until the next look. [s]

        A sample is worth more than a clock: what fails here is tried again in an hour.
        """
        now = self._local_time()
        if now.year < _YEAR_LEAST:
            return _CLOCK_AGAIN_S  # this machine does not know the time either
        try:
            shown = _time_of(self._bus.read_words(self.device, 3, _CLOCK_AT, 3), now)
            if shown is None or abs((shown - now).total_seconds()) > _CLOCK_DRIFT_S:
                self._bus.write_words(self.device, _CLOCK_AT, _words_of(now))
        except HardwareError:
            return _CLOCK_AGAIN_S
        return _CLOCK_EVERY_S

    def _compare_model(self) -> None:
        """Compare the vendor's name, where this model tells it."""
        self._switch = self._rated_mw = None
        try:
            vendor = self._bus.identify(self.device).get(0, "")
        except DeviceRefused:
            return  # not every model knows the function: nothing to compare
        if not vendor.startswith(_VENDORS):
            raise WrongDevice(f"{self._where}: vendor {vendor!r}, want EPsolar or EPEVER")


def _words_of(now: datetime) -> tuple[int, ...]:
    return (now.minute << 8 | now.second, now.day << 8 | now.hour, now.year - 2000 << 8 | now.month)


def _time_of(words: tuple[int, ...], now: datetime) -> datetime | None:
    """Return what its clock shows, in the zone of `now`; None if that is no time."""
    (minute, second), (day, hour), (year, month) = (divmod(word, 0x100) for word in words)
    try:
        return datetime(2000 + year, month, day, hour, minute, second, tzinfo=now.tzinfo)
    except ValueError:
        return None
