"""Renogy Rover and Wanderer (SRNE family): a PV charge controller on RS-232 or RS-485.

What the panels generate is this meter's export: power is negative while the sun shines, and the
export counter is the lifetime counter in Wh. No command is documented that stops charging and
leaves its memory alone, so `limit` is refused and says what to use instead. The load output is
switched by `switch_load`, several times if need be: not every write to it is taken.

Source: renogymodbus; renogy-ble with captured frames; emonhub. Seen on: simulated controller
only; captured frames stand in tests/vectors/renogy_rover.json.
Known limits: power is told in whole W. Some units freeze when they are polled every few seconds
through the maker's Bluetooth hub. The factory reset (0x78) is never sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from hardware import options
from hardware.chargers.rounded import milli, named, whole
from hardware.errors import LimitRefused, SwitchFailed
from hardware.modelfile import shipped_model
from hardware.ports import Battery, ModbusPort
from hardware.register_device import RegisterDevice
from hardware.wear import WornMemory, WriteBudget

_LOAD, _LOAD_MODE, _BY_HAND = 0x010A, 0xE01D, 0x0F
_IS_ON = 0x80
_TRIES_MAX = 4
_STAGES = ("off", "on", "bulk", "equalize", "boost", "float", "limited")


@dataclass(frozen=True, slots=True, kw_only=True)
class RenogyRoverOptions:
    """Which controller."""

    address: int = options.number(1, 255, "the Modbus id; 255 is any that is alone on its bus")
    words_max: int = options.number(1, 34, "registers in one read", default=34)
    serial: str = options.text("the unit's serial number, to tell it from another", default="")


class RenogyRover(RegisterDevice):
    """One charge controller, as a meter of its panels and a view of its battery."""

    def __init__(
        self,
        bus: ModbusPort,
        given: RenogyRoverOptions,
        *,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Plan the reads; the controller is not touched.

        Args:
            bus: the bus it sits on.
            given: checked options.
            clock_s: any clock that never goes back, for the budget of writes. [s]
        """
        super().__init__(bus, shipped_model("renogy_rover"), given)
        self._memory = WornMemory(bus, self.device, WriteBudget(), one_by_one=True, clock_s=clock_s)

    def battery(self) -> Battery:
        """Return the battery as the controller sees it; its current is charging less load."""
        values = self.values(
            (
                "battery_charge",
                "battery_voltage",
                "charging_current",
                "load_current",
                "battery_temperature",
                "charging_stage",
            )
        )
        charging, load = milli(values["charging_current"]), milli(values["load_current"])
        return Battery(
            voltage_mv=milli(values["battery_voltage"]),
            current_ma=None if charging is None or load is None else charging - load,
            charge_percent=whole(values["battery_charge"]),
            temperature_mc=milli(values["battery_temperature"]),
            stage=named(values["charging_stage"], _STAGES),
        )

    @property
    def revert_ms(self) -> int:
        """Nothing to revert: it takes no limit."""
        return 0

    @property
    def limited_mw(self) -> int | None:
        """None: it takes no limit."""
        return None

    def limit(self, power_mw: int | None) -> None:
        """Refuse any limit; there is none to end.

        Raises:
            LimitRefused: for every number.
        """
        if power_mw is not None:
            raise LimitRefused(
                f"{self._where}: a Rover has no command that limits charging without wearing its "
                "memory; put a relay with a DC-rated contact on the PV side (never between "
                "controller and battery), and curtail with that"
            )

    @property
    def load_is_on(self) -> bool:
        """Whether the load output is on; read from the device."""
        return bool((whole(self.values(("load_state",))["load_state"]) or 0) & _IS_ON)

    def switch_load(self, on: bool) -> None:
        """Switch the load output by hand, which its load mode must allow, and read it back.

        Raises:
            SwitchFailed: it did not follow, however often it was told.
            LimitRefused: its load mode was set too often today.
            HardwareError: as `sample`.
        """
        is_by_hand = self.values(("load_mode",))["load_mode"] == _BY_HAND
        if is_by_hand and self.load_is_on == on:
            return
        self._memory.keep(_LOAD_MODE, (_BY_HAND,))
        for _ in range(_TRIES_MAX):
            self._bus.write_word(self.device, _LOAD, int(on))
            if self.load_is_on == on:
                return
        raise SwitchFailed(
            f"{self._where}: the load output is not {'on' if on else 'off'} after "
            f"{_TRIES_MAX} commands"
        )
