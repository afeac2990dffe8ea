"""What the boundary meter brings in and no member's meter shows is drawn all the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.balancing.catalog import POLICIES
from hub.balancing.policy import View
from hub.balancing.pool import pool_of, unshown
from tests.support.bench import house, kept, meter, view

LOADS = {"lamp": 20.0, "oven": 30.0}


def street(
    tie_w: float, import_w: float = 60, *, tie_age_ms: int | None = 100, base_w: float = 0
) -> View:
    tie = ((meter("tie", "manager", "boundary", tie_w, age_ms=tie_age_ms),), ())
    return view(house("ann", 10, LOADS, base_w), tie, import_w=import_w)


def silenced(shown: View, *names: str) -> View:
    meters = tuple(replace(m, age_ms=None) if m.meter_id in names else m for m in shown.meters)
    return replace(shown, meters=meters)


@pytest.mark.parametrize(("tie_w", "hidden_mw"), [(40, 0), (45, 5_000), (30, 0)])
def test_it_is_what_the_tie_shows_beyond_the_members(tie_w: float, hidden_mw: int) -> None:
    assert unshown(street(tie_w)) == hidden_mw
    (bound,) = pool_of(street(tie_w)).bounds
    assert bound.room_mw == 70_000 - hidden_mw


def test_a_silent_or_missing_boundary_says_nothing() -> None:
    assert unshown(street(90, tie_age_ms=None)) is None
    assert unshown(view(house("ann", 10, LOADS))) is None


def test_a_lying_meter_exceeds_no_limit() -> None:
    """50 W are shown and 25 more are drawn: 65 beyond the roof, and 60 may come in."""
    for name in ("least_disruption", "priority", "price"):
        assert len(kept(POLICIES[name]().decide(street(65)))) == 1
        assert len(kept(POLICIES[name]().decide(street(40)))) == 2


def test_a_silent_meter_counts_as_what_the_boundary_leaves_open() -> None:
    """Its rating is 100 W; the boundary knows that no more than 8 are behind it."""
    shown = silenced(street(48, base_w=8), "ann-load")
    assert unshown(shown) == 8_000
    assert pool_of(shown).bounds[-1].room_mw == 70_000 - 8_000
    assert pool_of(silenced(shown, "tie")).bounds[-1].room_mw == 70_000 - 50_000


def test_what_a_silent_generator_feeds_in_is_given_to_nobody() -> None:
    shown = silenced(street(40), "ann-pv")
    assert pool_of(shown).bounds[-1].room_mw == 60_000


def test_where_a_meter_hides_something_loads_come_back_by_their_rating() -> None:
    """The lamp showed 2 W before it was cut, and is rated 100."""
    for tie_w, back in ((20.5, {"lamp", "oven"}), (25, {"oven"})):
        tie = ((meter("tie", "manager", "boundary", tie_w),), ())
        shown = view(house("ann", 10, {"lamp": -2.0, "oven": 30.0}), tie, import_w=60)
        assert kept(POLICIES["priority"]().decide(shown)) == back
