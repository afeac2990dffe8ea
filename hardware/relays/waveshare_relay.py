"""Waveshare Modbus RTU Relay boards: coils from 0, id 1, 9600 8N1.

Toggle and flash, whose addresses differ between firmware versions, are not used: a command that
comes twice must not switch twice.
Source: the Waveshare Modbus RTU Relay wiki; captured frames. Seen on: simulated board only.
Known limits: a relay welded shut reads back as released; only a measurement of the load can tell.
"""

from __future__ import annotations

from dataclasses import dataclass

from hardware import options
from hardware.ports import ModbusPort
from hardware.relays.board_relay import COILS, BoardRelay


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveshareRelayOptions:
    """Which relay of which board."""

    address: int = options.number(1, 255, "the Modbus id of the board", default=1)
    channel: int = options.number(1, 32, "the relay's number on its board")


class WaveshareRelay(BoardRelay):
    """One relay of a Waveshare board."""

    def __init__(self, bus: ModbusPort, given: WaveshareRelayOptions) -> None:
        """Know the relay; the board is not touched."""
        super().__init__(bus, "waveshare_relay", given, COILS)
