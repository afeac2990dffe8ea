"""Relay boards without a name: LC (LCTech and its like), and the R4D8 family.

LC boards have coils from 0 and id 255, 9600 8N1. R4D8 boards have a register for each relay, from
1, and take commands by function 6; their id is set on the board.
Source: vendors' command lists and captured frames. Seen on: simulated boards only.
Known limits: the variant of R4D8 that takes its commands by function 5 is not spoken; a relay
welded shut reads back as released, and only a measurement of the load can tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from hardware import options
from hardware.ports import ModbusPort
from hardware.relays.board_relay import COILS, R4D8, BoardRelay, Dialect

DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType({"lc": COILS, "r4d8": R4D8})


@dataclass(frozen=True, slots=True, kw_only=True)
class LcRelayOptions:
    """Which relay of which board, and how that is spoken to."""

    address: int = options.number(1, 255, "the Modbus id of the board", default=255)
    channel: int = options.number(1, 32, "the relay's number on its board")
    dialect: str = options.choice(tuple(DIALECTS), "the commands it understands", default="lc")


class LcRelay(BoardRelay):
    """One relay of an LC or R4D8 board."""

    def __init__(self, bus: ModbusPort, given: LcRelayOptions) -> None:
        """Know the relay; the board is not touched."""
        super().__init__(bus, "lc_relay", given, DIALECTS[given.dialect])
