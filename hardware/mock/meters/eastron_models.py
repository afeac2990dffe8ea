"""Which input registers and settings each simulated Eastron SDM has, as its document lists them.

Source: Eastron SDM120-Modbus protocol V2.4; SDM230 manual; SDM630-Modbus protocol V1.7; SDM72D-M-1
manual V1.4; SDM72DM-V2 manual V1.1. The SDM630's meter code is from field reports; the document of
the SDM230 names none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

SYSTEM_TYPE, LOCK, PARITY, NODE_ID, PASSWORD, BAUD = 0x0A, 0x0E, 0x12, 0x14, 0x18, 0x1C


class Guard(Enum):
    """What must be so before a setting is taken."""

    NONE = "none"
    SETUP = "somebody has put the meter into its set-up mode"
    PASSWORD = "the password was given within the last minute"  # noqa: S105 - a sentence
    READ_ONLY = "never"


@dataclass(frozen=True, slots=True)
class Setting:
    """One holding register of two words: its factory value and what it may become."""

    factory: float
    allowed: tuple[float, ...] = ()
    guard: Guard = Guard.NONE


@dataclass(frozen=True, slots=True)
class SdmModel:
    """What one model of the family has.

    Attributes:
        meter_code: what it calls itself; None: its document names no such register.
        software: its software version.
        quantities: addresses of the input registers that it measures.
        ranges: first address and the one after the last of what may be read; gaps read as zero.
        settings: address of a setting -> what it may be.
        words_max: the most registers it answers at once.
        is_mute_above: whether it says nothing to longer requests, instead of refusing them.
        has_mode: whether the meaning of the total is programmable.
        has_type_word: whether a single register reads as its type, instead of being refused.
        haste_s: how soon after a reply its hasty firmware cannot bear the next request. [s]
    """

    meter_code: int | None
    software: int
    quantities: frozenset[int]
    ranges: tuple[tuple[int, int], ...]
    settings: Mapping[int, Setting]
    words_max: int = 80
    is_mute_above: bool = False
    has_mode: bool = False
    has_type_word: bool = False
    haste_s: float = 0.06


def _evens(first: int, last: int) -> frozenset[int]:
    return frozenset(range(first, last + 2, 2))


_NODE_IDS = tuple(float(node_id) for node_id in range(1, 248))
_PULSE_WIDTH = Setting(100.0, (60.0, 100.0, 200.0))
_PULSE_TYPE = Setting(4.0, (1.0, 2.0, 4.0, 5.0, 6.0, 8.0))
_DEMAND_TIME = Setting(1.0, guard=Guard.READ_ONLY)
_SLOW, _FAST = (0.0, 1.0, 2.0, 3.0, 5.0), (0.0, 1.0, 2.0, 3.0, 4.0)


def _link(guard: Guard, baud: float, bauds: tuple[float, ...]) -> dict[int, Setting]:
    return {
        PARITY: Setting(0.0, (0.0, 1.0, 2.0, 3.0), guard),
        NODE_ID: Setting(1.0, _NODE_IDS, guard),
        BAUD: Setting(baud, bauds, guard),
    }


_ONE_PHASE_SETTINGS = {
    0x00: _DEMAND_TIME,
    0x0C: _PULSE_WIDTH,
    0x56: _PULSE_TYPE,
}
_ONE_PHASE = (
    frozenset((0x00, 0x06, 0x0C, 0x12, 0x18, 0x1E, 0x102, 0x108, 0x156, 0x158))
    | _evens(0x46, 0x4E)
    | _evens(0x54, 0x5E)
)
_RESETTABLE = frozenset((0x180, 0x184, 0x186))
_BY_DIRECTION = frozenset((0x500, 0x502))

SDM120 = SdmModel(
    meter_code=0x0020,
    software=0x0204,
    quantities=_ONE_PHASE,
    ranges=((0x00, 0x60), (0x102, 0x10A), (0x156, 0x15A)),
    settings={**_ONE_PHASE_SETTINGS, **_link(Guard.SETUP, 0.0, _SLOW)},
    has_mode=True,
)
SDM230 = SdmModel(
    meter_code=None,
    software=0,
    quantities=_ONE_PHASE | {0x24} | _RESETTABLE,
    ranges=((0x00, 0x60), (0x102, 0x10A), (0x156, 0x15A), (0x180, 0x188)),
    settings={**_ONE_PHASE_SETTINGS, **_link(Guard.SETUP, 0.0, _FAST[:-1])},
)
SDM630 = SdmModel(
    meter_code=0x0070,
    software=0x0108,
    quantities=frozenset((0x2E, 0x30, 0x34, 0x38, 0x3C, 0x3E, 0x42, 0xE0, 0xF8, 0xFA))
    | _evens(0x00, 0x2A)
    | _evens(0x46, 0x56)
    | _evens(0x64, 0x6A)
    | _evens(0xC8, 0xCE)
    | _evens(0xEA, 0xF4)
    | _evens(0x102, 0x10C)
    | _evens(0x14E, 0x17C)
    | _RESETTABLE
    | _BY_DIRECTION,
    ranges=((0x00, 0x6C), (0xC8, 0x10E), (0x14E, 0x17E), (0x180, 0x188), (0x500, 0x504)),
    settings={
        0x00: _DEMAND_TIME,
        0x02: Setting(60.0, (0.0, 5.0, 8.0, 10.0, 15.0, 20.0, 30.0, 60.0)),
        SYSTEM_TYPE: Setting(3.0, (1.0, 2.0, 3.0), Guard.PASSWORD),
        0x0C: _PULSE_WIDTH,
        LOCK: Setting(0.0),
        PASSWORD: Setting(0.0),
        0x56: _PULSE_TYPE,
        **_link(Guard.NONE, 2.0, _FAST),
    },
    has_type_word=True,
)
_SDM72_SETTINGS = {
    SYSTEM_TYPE: Setting(3.0, (1.0, 3.0), Guard.PASSWORD),
    0x0C: _PULSE_WIDTH,
    LOCK: Setting(0.0),
    PASSWORD: Setting(1000.0),
    0x56: Setting(4.0, (1.0, 2.0, 4.0)),
    **_link(Guard.NONE, 2.0, _SLOW),
}
SDM72 = SdmModel(
    meter_code=0x0084,
    software=0x0104,
    quantities=frozenset((0x0C, 0x0E, 0x10, 0x34, 0x48, 0x4A, 0x156)) | _RESETTABLE | _BY_DIRECTION,
    ranges=(
        (0x0C, 0x12),
        (0x34, 0x36),
        (0x48, 0x4C),
        (0x156, 0x158),
        (0x180, 0x188),
        (0x500, 0x504),
    ),
    settings=_SDM72_SETTINGS,
    words_max=60,
    is_mute_above=True,
    haste_s=0.5,
)
SDM72_V2 = SdmModel(
    meter_code=0x0089,
    software=0x0101,
    quantities=frozenset((0x2A, 0x2E, 0x30, 0x34, 0x38, 0x3C, 0x3E, 0xE0, 0x156, 0x158, 0x18C))
    | _evens(0x00, 0x22)
    | _evens(0x46, 0x4A)
    | _evens(0xC8, 0xCE)
    | _RESETTABLE
    | _BY_DIRECTION,
    ranges=((0x00, 0x4C), (0xC8, 0xE2), (0x156, 0x15A), (0x180, 0x18E), (0x500, 0x504)),
    settings=_SDM72_SETTINGS,
    words_max=60,
    is_mute_above=True,
    haste_s=0.5,
)
