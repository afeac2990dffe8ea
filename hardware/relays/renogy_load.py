"""Load output of a Renogy Rover or Wanderer charge controller: what hangs on its battery.

Beside the meter `renogy_rover` of the same address. The first command puts the load mode to manual,
in memory that wears. Not every command is taken, so it is repeated a few times.
Source: renogymodbus; renogy-ble. Seen on: simulated controller only.
Known limits: a controller that loses its supply begins with the output as its own menu says.
"""

from __future__ import annotations

from dataclasses import dataclass

from hardware import options
from hardware.chargers.renogy_rover import RenogyRover, RenogyRoverOptions
from hardware.ports import ModbusPort
from hardware.relays.load_output import LoadOutput


@dataclass(frozen=True, slots=True, kw_only=True)
class RenogyLoadOptions:
    """Which controller."""

    address: int = options.number(1, 255, "the Modbus id; 255 is any that is alone on its bus")


class RenogyLoad(LoadOutput):
    """The load output of one controller."""

    def __init__(self, bus: ModbusPort, given: RenogyLoadOptions) -> None:
        """Know the controller; it is not touched."""
        super().__init__(RenogyRover(bus, RenogyRoverOptions(address=given.address)), given.address)
