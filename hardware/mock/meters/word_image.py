"""A simulated device's registers as sixteen-bit words by address, and how values become words.

An image is a plain table: address -> word. What it does not hold, the device refuses.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from hardware.mock.wires.modbus_pdu import ILLEGAL_ADDRESS, Refusal


def whole(value: int, words: int = 1, *, low_first: bool = False) -> tuple[int, ...]:
    """Return a whole number as words, two's complement; what does not fit is cut off, as it wraps.

    >>> whole(-1, 2), whole(0x0001_0002, 2, low_first=True), whole(0x1_0005)
    ((65535, 65535), (2, 1), (5,))
    """
    high_first = tuple(value >> 16 * place & 0xFFFF for place in reversed(range(words)))
    return high_first[::-1] if low_first else high_first


def single(value: float) -> tuple[int, int]:
    """Return an IEEE 754 single as two words, high word first.

    >>> [f"{word:04X}" for word in single(240.5)]
    ['4370', '8000']
    """
    high, low = struct.unpack(">HH", struct.pack(">f", value))
    return high, low


def letters(text: str, words: int) -> tuple[int, ...]:
    """Return a text as words, two letters a word, filled up with zeros.

    >>> [f"{word:04X}" for word in letters("B21 ", 3)]
    ['4232', '3120', '0000']
    """
    raw = text.encode("ascii").ljust(2 * words, b"\0")
    return struct.unpack(f">{words}H", raw[: 2 * words])


def image(rows: Mapping[int, Sequence[int]]) -> dict[int, int]:
    """Return values by their first address as words by address."""
    return {
        address + place: word for address, words in rows.items() for place, word in enumerate(words)
    }


def part(words: Mapping[int, int], address: int, count: int) -> list[int]:
    """Return consecutive words of an image; refused where it has none."""
    wanted = range(address, address + count)
    if any(place not in words for place in wanted):
        raise Refusal(ILLEGAL_ADDRESS)
    return [words[place] for place in wanted]
