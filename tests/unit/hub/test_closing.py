"""A slot closes when all is in, or after waiting, and waiting counts uptime."""

from __future__ import annotations

import pytest

from hub.closing import COMPLETE, TIMEOUT, CloseRule, Wait

RULE = CloseRule(slot_ms=900_000, close_after_ms=30_000, backlog_wait_ms=600_000)
END_MS = 1_800_000_000_000


@pytest.mark.parametrize(
    ("after_end_ms", "uptime_ms", "missing", "backlog", "expected"),
    [
        (0, 10**9, 0, False, COMPLETE),
        (-50, 10**9, 0, False, COMPLETE),  # the hub's clock is a little behind the edges'
        (29_999, 10**9, 1, False, None),
        (30_000, 10**9, 1, False, TIMEOUT),
        (10**9, 29_999, 1, False, None),  # the hub was down at the slot's end: it waits its turn
        (10**9, 30_000, 1, False, TIMEOUT),
        (30_000, 10**9, 1, True, None),
        (599_999, 10**9, 1, True, None),
        (600_000, 10**9, 1, True, TIMEOUT),
        (600_000, 599_999, 3, True, None),
        (-5_000, 10**9, 1, False, None),
    ],
)
def test_rule(
    after_end_ms: int, uptime_ms: int, missing: int, backlog: bool, expected: str | None
) -> None:
    wait = Wait(END_MS, END_MS + after_end_ms, uptime_ms, missing, backlog)
    assert RULE.reason(wait) == expected


def test_a_backlog_never_shortens_the_wait() -> None:
    rule = CloseRule(slot_ms=60_000, close_after_ms=30_000, backlog_wait_ms=1_000)
    assert rule.reason(Wait(END_MS, END_MS + 1_000, 10**9, 1, True)) is None
