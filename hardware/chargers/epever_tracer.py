"""EPEver Tracer-AN and -BN, LS-B: a PV charge controller over Modbus RTU, 115200 8N1.

What the panels generate is this meter's export: power is negative while the sun shines, and the
export counter is the controller's total of generated energy, in steps of 10 Wh. It counts no
import. Values of two words come low word first and are read in one request: read apart, a small
negative current once came back as -655.36 A.

Source: EPEVER B-series Modbus specification V2.3; LS-B protocol V1.1. Seen on: simulated
controller only; captured frames stand in tests/vectors/epever_tracer.json.
Known limits: some units fall silent at night, so a timeout then is no fault.
"""

from __future__ import annotations

from dataclasses import dataclass

from hardware import options, registers
from hardware.errors import DeviceRefused, TransientHardwareError, WrongDevice
from hardware.ports import Battery, ModbusPort, Sample
from hardware.registers import Register

GENERATION = (
    Register("voltage_mv", 0x3100, "u16", 1, 0, 300_000),
    Register("current_ma", 0x3101, "u16", 1, 0, 200_000),
    Register("power_mw", 0x3102, "u32_low_first", 1, 0, 20_000_000),
    Register("generated_uwh", 0x3312, "u32_low_first", 7, 0, 2**32 * 10**7),
)
"""Input registers of the panel side; the total is in 0.01 kWh."""

BATTERY = (
    Register("charge_percent", 0x311A, "u16", 0, 0, 100),
    Register("status", 0x3201, "u16", 0, 0, 0xFFFF),
    Register("voltage_mv", 0x331A, "u16", 1, 0, 100_000),
    Register("current_ma", 0x331B, "s32_low_first", 1, -200_000, 200_000),
    Register("temperature_mc", 0x331D, "s16", 1, -60_000, 150_000),
)
"""Input registers of the battery side; the current is net, positive = charging."""

_STAGES = ("off", "float", "boost", "equalize")
_WORDS_MAX = 16
_VENDORS = ("EP",)  # "EPsolar Tech co., Ltd", "EPEVER"


@dataclass(frozen=True, slots=True, kw_only=True)
class EpeverTracerOptions:
    """Which controller."""

    address: int = options.number(1, 247, "the Modbus id")


class EpeverTracer:
    """One charge controller, as a meter of its panels and a view of its battery."""

    def __init__(self, bus: ModbusPort, given: EpeverTracerOptions) -> None:
        """Plan the reads; the controller is not touched."""
        self._bus = bus
        self._device = given.address
        self._generation = registers.plan(GENERATION, function=4, words_max=_WORDS_MAX)
        self._battery = registers.plan(BATTERY, function=4, words_max=_WORDS_MAX)
        self._is_identified = False

    def sample(self) -> Sample:
        """Return the panels' power and generated energy as export.

        Raises:
            WrongDevice: another maker's device answers.
            ImplausibleSample: a value that no Tracer can measure.
            TransientHardwareError: the bus failed; at night some units do not answer.
        """
        values = self._read(self._generation)
        return Sample(
            power_mw=_negated(values["power_mw"]),
            energy_import_uwh=None,
            energy_export_uwh=values["generated_uwh"],
            voltage_mv=values["voltage_mv"],
            current_ma=_negated(values["current_ma"]),
            frequency_mhz=None,
        )

    def battery(self) -> Battery:
        """Return the battery as the controller sees it; raises as `sample` does."""
        values = self._read(self._battery)
        status = values["status"] or 0
        return Battery(
            voltage_mv=values["voltage_mv"],
            current_ma=values["current_ma"],
            charge_percent=values["charge_percent"],
            temperature_mc=values["temperature_mc"],
            stage=_STAGES[status >> 2 & 3],
        )

    def close(self) -> None:
        """Nothing to let go of: the bus is shared."""

    def _read(self, wanted: registers.RegisterMap) -> dict[str, int | None]:
        try:
            if not self._is_identified:
                self._identify()
            return wanted.read(self._bus, self._device)
        except TransientHardwareError:
            self._is_identified = False
            raise

    def _identify(self) -> None:
        """Compare the vendor's name, where this model tells it."""
        try:
            vendor = self._bus.identify(self._device).get(0, "")
        except DeviceRefused:
            vendor = _VENDORS[0]  # not every model knows the function: nothing to compare
        if not vendor.startswith(_VENDORS):
            raise WrongDevice(
                f"epever_tracer at address {self._device}: vendor {vendor!r}, "
                "want EPsolar or EPEVER"
            )
        self._is_identified = True


def _negated(value: int | None) -> int | None:
    return None if value is None else -value
