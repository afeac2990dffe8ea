"""The detector on drawn streets: it names the wrong meter, and nobody where all are right."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from hub.watching.suspects import MISSING, SHARE, SUN, UNSHOWN, Rules, Suspect, find
from hub.watching.window import SLOTS_MAX, Facts, Shown, Track, Window, window_of
from testbed.detecting.street import HOUR_MS, drawn_street
from testbed.detecting.trials import (
    BYPASSED,
    HONEST,
    LYING,
    LYING_PANELS,
    Case,
    falsified_street,
)

STREET = drawn_street(2)
PANELS = next(place for place, house in enumerate(STREET) if house.made_wh)
BEGIN = 14 * 24


def window(case: Case, who: int = 0, hours: int = 96) -> Window:
    """What the hub has so many hours after a meter went wrong."""
    tracks, boundary_wh = falsified_street(STREET, Random(5), case, who, BEGIN)
    end = BEGIN + hours
    slots = range(end - SLOTS_MAX, end)
    return Window(
        tuple(slot * HOUR_MS for slot in slots),
        HOUR_MS,
        tuple(
            Track(each.meter_id, each.member, each.purpose, each.net_wh[slots.start : end])
            for each in tracks
        ),
        tuple(boundary_wh[slots.start : end]),
    )


def test_an_honest_street_has_no_suspects() -> None:
    assert find(window(Case(HONEST))) == ()


def test_a_meter_that_shows_half_is_named_with_its_share() -> None:
    (found,) = find(window(Case(LYING, 0.5)))
    assert (found.kind, found.meter_id, found.member) == (SHARE, "h01-used", "h01")
    assert 0.8 < found.share < 1.2  # as much again as it shows
    assert found.amount_wh == pytest.approx(
        sum(STREET[0].used_wh[BEGIN + 12 : BEGIN + 96]) / 2, rel=0.2
    )
    assert "follows meter h01-used" in found.text
    assert "check the ratio of its transformers" in found.text


def test_a_meter_that_shows_twice_too_much_is_named_as_well() -> None:
    (found,) = find(window(Case(LYING, -0.5)))
    assert (found.kind, found.meter_id, found.amount_wh < 0) == (SHARE, "h01-used", True)
    assert "too much" in found.text


def test_a_bypassed_meter_is_named_by_what_it_used_to_show() -> None:
    found = find(window(Case(BYPASSED, 1.0), who=4, hours=72))
    assert [(each.kind, each.meter_id) for each in found] == [(MISSING, "h05-used")]
    assert "is what meter h05-used usually shows" in found[0].text


def test_panels_that_leave_their_neighbours_are_named_with_and_without_a_boundary_meter() -> None:
    looked = window(Case(LYING_PANELS, 0.5), who=PANELS)
    name = f"h{PANELS + 1:02}-made"
    assert name in [each.meter_id for each in find(looked)]
    (found,) = find(replace(looked, boundary_wh=()))
    assert (found.kind, found.meter_id, found.amount_wh > 0) == (SUN, name, True)
    assert "less" in found.text


def test_panels_that_made_nothing_on_most_days_have_no_usual() -> None:
    honest = replace(window(Case(HONEST)), boundary_wh=())
    tracks = list(honest.tracks)
    place = next(i for i, each in enumerate(tracks) if each.purpose == "generation")
    nets = tracks[place].net_wh
    new = tuple(net if slot > 200 else net / 1e6 for slot, net in enumerate(nets))
    tracks[place] = replace(tracks[place], net_wh=new)
    assert find(replace(honest, tracks=tuple(tracks))) == ()


def test_what_follows_nobody_is_said_to_be_nobodys() -> None:
    honest = window(Case(HONEST))
    tapped = tuple(each + 4_000 for each in honest.boundary_wh)
    (found,) = find(replace(honest, boundary_wh=tapped))
    assert (found.kind, found.meter_id) == (UNSHOWN, "")
    assert "came in" in found.text


def test_two_twins_cannot_be_told_apart_so_neither_is_named() -> None:
    looked = window(Case(LYING, 0.5))
    liar = looked.tracks[0]
    twin = Track("twin", "zoe", "consumption", liar.net_wh)
    both = tuple(a + b for a, b in zip(looked.boundary_wh, liar.net_wh, strict=True))
    found = find(replace(looked, tracks=(*looked.tracks, twin), boundary_wh=both))
    assert [each.meter_id for each in found if each.meter_id] == []


def test_a_few_slots_say_nothing() -> None:
    looked = window(Case(LYING, 0.5))
    few = replace(
        looked,
        slots=looked.slots[:47],
        boundary_wh=looked.boundary_wh[:47],
        tracks=tuple(replace(each, net_wh=each.net_wh[:47]) for each in looked.tracks),
    )
    assert find(few, Rules(slots_min=48)) == ()


def test_a_window_leaves_out_slots_with_an_estimate_and_meters_below_others() -> None:
    facts = {
        "a": Facts("ann", "consumption", is_settled=True),
        "fan": Facts("ann", "appliance", is_settled=False),
        "tie": Facts("", "boundary", is_settled=False),
    }
    rows = [
        Shown(slot * HOUR_MS, name, 5_000_000, 1_000_000, quality)
        for slot, quality in ((0, "metered"), (1, "estimated"), (2, "corrected"))
        for name in facts
    ]
    made = window_of(rows, facts, HOUR_MS)
    assert (made.slots, made.left_out) == ((0, 2 * HOUR_MS), 1)
    assert made.tracks == (Track("a", "ann", "consumption", (4.0, 4.0)),)
    assert made.boundary_wh == (4.0, 4.0)
    assert made.residual_wh == [0.0, 0.0]
    del facts["tie"]
    assert window_of(rows, facts, HOUR_MS).boundary_wh == ()


def test_the_sentence_of_each_kind_says_what_to_check() -> None:
    for kind in (SHARE, MISSING, UNSHOWN, SUN):
        text = Suspect(kind, "m", "ann", 0, 48, 3_000.0, 0.5, 9.0).text
        assert "3.000 kWh" in text
        assert "; check" in text or "; look" in text
