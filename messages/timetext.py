"""Instants as people write them. [ms UTC]"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def format_time(at_ms: int) -> str:
    """Return an instant as `parse_time` takes it back, without the seconds if there are none.

    >>> format_time(1_795_262_400_000), format_time(1_795_262_430_000)
    ('2026-11-21T12:00Z', '2026-11-21T12:00:30Z')
    """
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ" if moment.second else "%Y-%m-%dT%H:%MZ")


def parse_month(text: str) -> tuple[int, int]:
    """Return the first instant of a month and that of the next one; ValueError says why not.

    >>> [format_time(at_ms) for at_ms in parse_month("2026-12")]
    ['2026-12-01T00:00Z', '2027-01-01T00:00Z']
    """
    try:
        first = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"{text}: no month like 2026-11") from None
    following = (first + timedelta(days=31)).replace(day=1)
    return round(first.timestamp() * 1000), round(following.timestamp() * 1000)


def parse_time(text: str) -> int:
    """Return the instant of a time with its zone, or of milliseconds; ValueError says why not.

    >>> parse_time("2026-11-21T13:00+01:00")
    1795262400000
    """
    if text.isdecimal():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text}: no time like 2026-11-21T12:00Z") from None
    if moment.utcoffset() is None:
        raise ValueError(f"{text}: lacks its zone: append Z for UTC")
    return round(moment.timestamp() * 1000)
