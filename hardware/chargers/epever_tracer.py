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
from fractions import Fraction

from hardware import options
from hardware.errors import DeviceRefused, WrongDevice
from hardware.modelfile import shipped_model
from hardware.ports import Battery, ModbusPort
from hardware.register_device import RegisterDevice

_STAGES = ("off", "float", "boost", "equalize")
_VENDORS = ("EP",)  # "EPsolar Tech co., Ltd", "EPEVER"


@dataclass(frozen=True, slots=True, kw_only=True)
class EpeverTracerOptions:
    """Which controller."""

    address: int = options.number(1, 247, "the Modbus id")
    words_max: int = options.number(1, 16, "registers in one read", default=16)


class EpeverTracer(RegisterDevice):
    """One charge controller, as a meter of its panels and a view of its battery."""

    def __init__(self, bus: ModbusPort, given: EpeverTracerOptions) -> None:
        """Plan the reads; the controller is not touched."""
        super().__init__(bus, shipped_model("epever_tracer"), given)

    def battery(self) -> Battery:
        """Return the battery as the controller sees it; raises as `sample` does."""
        values = self.values(
            (
                "battery_charge",
                "charging_status",
                "battery_net_voltage",
                "battery_net_current",
                "battery_temperature",
            )
        )
        status = values["charging_status"]
        return Battery(
            voltage_mv=_milli(values["battery_net_voltage"]),
            current_ma=_milli(values["battery_net_current"]),
            charge_percent=_whole(values["battery_charge"]),
            temperature_mc=_milli(values["battery_temperature"]),
            stage=_STAGES[int(status) >> 2 & 3] if isinstance(status, Fraction) else "off",
        )

    def _compare_model(self) -> None:
        """Compare the vendor's name, where this model tells it."""
        try:
            vendor = self._bus.identify(self.device).get(0, "")
        except DeviceRefused:
            return  # not every model knows the function: nothing to compare
        if not vendor.startswith(_VENDORS):
            raise WrongDevice(f"{self._where}: vendor {vendor!r}, want EPsolar or EPEVER")


def _milli(value: object) -> int | None:
    return round(value * 1000) if isinstance(value, Fraction) else None


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, Fraction) else None
