"""Load output of an EPEver charge controller: what hangs on its battery, fed or cut.

Beside the meter `epever_tracer` of the same address. The first command puts the load mode to
manual, in memory that wears: once, and a few times a day at most. A flat battery cuts the load by
itself; that is then a relay that does not follow.
Source: EPEVER B-series Modbus specification V2.3. Seen on: simulated controller only.
Known limits: a controller that loses its supply begins with the output as its own menu says.
"""

from __future__ import annotations

from dataclasses import dataclass

from hardware import options
from hardware.chargers.epever_tracer import EpeverTracer, EpeverTracerOptions
from hardware.ports import ModbusPort
from hardware.relays.load_output import LoadOutput


@dataclass(frozen=True, slots=True, kw_only=True)
class EpeverLoadOptions:
    """Which controller."""

    address: int = options.number(1, 247, "the Modbus id of the controller")


class EpeverLoad(LoadOutput):
    """The load output of one controller."""

    def __init__(self, bus: ModbusPort, given: EpeverLoadOptions) -> None:
        """Know the controller; it is not touched."""
        super().__init__(
            EpeverTracer(bus, EpeverTracerOptions(address=given.address)), given.address
        )
