"""Morningstar TriStar MPPT 45 and 60: a PV charge controller on RS-232, EIA-485 or Modbus TCP.

What it charges is this meter's export: power is negative while the sun shines. Its lifetime
counter goes in whole kWh, which in a slot of a quarter of an hour is noise, so the edge
integrates its power. `limit` makes it a slave that charges with at most a given current; this
must be repeated within 60 s (`revert_ms`), else it charges on and sets fault bit 11. With
`limit_by = "charge_disconnect"` charging is disconnected instead, until `limit(None)`.

The bytes that disconnect here switch the load of an EPEver controller on, so who answers is
checked before anything is written.

Source: Morningstar TriStar MPPT Modbus document, V10.2; ioBroker.tristar-mppt. Seen on: simulated
controller only; no captured frame of one is known.
Known limits: 0x0058 is listed as reserved in one document, so it is read back. While limited it
holds the voltage that it aimed at when the limit began, and changes no stage. Not the 600 V
models, and not the SunSaver, whose map is another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hardware import options
from hardware.chargers.rounded import milli, named
from hardware.chargers.tristar_limits import ChargeDisconnect, Reads, SlaveCurrent, Throttle
from hardware.errors import DeviceRefused, WrongDevice
from hardware.modelfile import shipped_model
from hardware.ports import Battery, ModbusPort
from hardware.register_device import RegisterDevice

_WAYS: Mapping[str, Callable[[ModbusPort, int, Reads], Throttle]] = MappingProxyType(
    {"slave_current": SlaveCurrent, "charge_disconnect": ChargeDisconnect}
)
_STAGES = ("off", "off", "off", "off", "fault", "bulk", "absorption", "float", "equalize", "slave")
_VENDOR, _PRODUCT = "Morningstar", "TS-MPPT"


@dataclass(frozen=True, slots=True, kw_only=True)
class TristarMpptOptions:
    """Which controller, and how it is limited."""

    address: int = options.number(1, 247, "the Modbus id")
    words_max: int = options.number(1, 92, "registers in one read", default=80)
    serial: str = options.text("the unit's serial number, to tell it from another", default="")
    limit_by: str = options.choice(
        tuple(_WAYS), "what makes it charge less", default="slave_current"
    )


class TristarMppt(RegisterDevice):
    """One charge controller, as a meter of what it charges and a view of its battery."""

    def __init__(self, bus: ModbusPort, given: TristarMpptOptions) -> None:
        """Plan the reads; the controller is not touched."""
        super().__init__(bus, shipped_model("tristar_mppt"), given)
        self._throttle = _WAYS[given.limit_by](bus, self.device, self.values)

    def battery(self) -> Battery:
        """Return the battery as the controller sees it; it does not know the state of charge."""
        values = self.values(
            ("battery_voltage", "battery_current", "battery_temperature", "charge_state")
        )
        return Battery(
            voltage_mv=milli(values["battery_voltage"]),
            current_ma=milli(values["battery_current"]),
            charge_percent=None,
            temperature_mc=milli(values["battery_temperature"]),
            stage=named(values["charge_state"], _STAGES),
        )

    @property
    def revert_ms(self) -> int:
        """60 s for a slave's current, 0 for a disconnected charger: that stays."""
        return self._throttle.revert_ms

    @property
    def limited_mw(self) -> int | None:
        """The limit that stands, read from the device."""
        self._know()
        return self._throttle.read()

    def limit(self, power_mw: int | None) -> None:
        """Let at most so much into the battery; None ends it.

        Raises:
            LimitRefused: the controller does not keep it; the message names another way.
            HardwareError: as `sample`.
        """
        self._know()
        if power_mw is None:
            self._throttle.end()
        else:
            self._throttle.begin(power_mw)

    def _know(self) -> None:
        """Make sure that it is a TriStar MPPT: nothing is written to a device that is not."""
        self.values(("charge_state",))

    def _compare_model(self) -> None:
        """Compare maker and product, which every TriStar MPPT tells."""
        try:
            told = self._bus.identify(self.device)
        except DeviceRefused as refusal:
            raise WrongDevice(
                f"{self._where}: it does not tell its name (function 43), want {_PRODUCT}"
            ) from refusal
        vendor, product = told.get(0, ""), told.get(1, "")
        if not vendor.startswith(_VENDOR) or not product.startswith(_PRODUCT):
            raise WrongDevice(f"{self._where}: {vendor!r} {product!r}, want {_VENDOR} {_PRODUCT}")
