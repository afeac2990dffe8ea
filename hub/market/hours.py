"""Hours of the day in a policy's parameters: "07:00-11:00, 17:00-21:30", UTC.

A span holds its start and not its end; one that ends before it starts goes over midnight.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from hub.market.parameters import listed
from messages.slots import minute_of_day

_SPAN: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")


def hours_complaint(text: str) -> str:
    """Say what such a text should be; "" where it is right."""
    for span in listed(text):
        if not _SPAN.fullmatch(span):
            return 'spans of hours like "17:00-21:00"'
    return ""


def is_within(text: str, at_ms: int) -> bool:
    """Whether an instant's time of day is within one of the spans.

    >>> is_within("22:00-02:00", 0), is_within("17:00-21:00", 21 * 3_600_000)
    (True, False)
    """
    minute = minute_of_day(at_ms)
    return any(
        start <= minute < end if start < end else minute >= start or minute < end
        for start, end in _spans(text)
    )


def _spans(text: str) -> Iterator[tuple[int, int]]:
    for span in listed(text):
        found = _SPAN.fullmatch(span)
        if found:
            first_hour, first_minute, last_hour, last_minute = map(int, found.groups())
            yield first_hour * 60 + first_minute, last_hour * 60 + last_minute
