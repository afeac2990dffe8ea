"""Slot arithmetic: half-open [start, start + length), aligned to UTC, in integer milliseconds."""

from __future__ import annotations

from collections.abc import Iterator

DAY_MS = 86_400_000


def slot_start(at_ms: int, slot_ms: int) -> int:
    """Return the start of the slot that holds `at_ms`."""
    return at_ms - at_ms % slot_ms


def next_slot(at_ms: int, slot_ms: int) -> int:
    """Return the start of the slot after the one that holds `at_ms`."""
    return slot_start(at_ms, slot_ms) + slot_ms


def is_edge(at_ms: int, slot_ms: int) -> bool:
    """Whether a slot ends and the next begins at `at_ms`."""
    return at_ms % slot_ms == 0


def next_instant(after_ms: int, sample_ms: int) -> int:
    """Return the first instant of the common grid that lies after `after_ms`."""
    return after_ms - after_ms % sample_ms + sample_ms


def instants(start_ms: int, end_ms: int, sample_ms: int) -> Iterator[int]:
    """Yield the grid's instants in [start_ms, end_ms), in order."""
    first = -(-start_ms // sample_ms) * sample_ms
    return iter(range(first, end_ms, sample_ms))


def crosses_edge(first_ms: int, last_ms: int, slot_ms: int) -> bool:
    """Whether two instants belong to different slots; an edge belongs to the slot it opens.

    >>> crosses_edge(0, 899_999, 900_000), crosses_edge(899_999, 900_000, 900_000)
    (False, True)
    """
    return first_ms // slot_ms != last_ms // slot_ms


def minute_of_day(at_ms: int) -> int:
    """Return minutes since midnight UTC, 0 to 1439."""
    return at_ms % DAY_MS // 60_000
