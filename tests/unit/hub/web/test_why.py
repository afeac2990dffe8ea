"""Why a relay stands so, for each policy of disclosure: values of others pass the same gate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace

import pytest

from hub.balancing.policy import MeterPower, Order, RelayState, View
from hub.core.disclosing import DISCLOSURES, NOBODY, Asker
from hub.core.records import Relay
from hub.core.state import Change, State
from hub.errors import NoSuchEntry
from hub.lens import Lens
from hub.switching.explaining import Done, Why, find_relay
from hub.web.relaycards import card_html, reason_text, title_html, why_html
from hub.web.showing import seen_relays
from hub.web.why import Decisions, show_why
from messages.entries import Ack, Decision, Output, RelayEntry
from tests.support.pictures import member, picture, relay

HOSTILE = "<i>&'\""
HEAT = Output("ann-pi", "heat", "ann", "ann-heater", True, True, 30_000)
DECISION = Decision(
    5_000,
    "dep",
    b"c" * 32,
    b"v" * 32,
    "supply",
    "own first",
    "ann wants 40.0 W, bob keeps 7.7 W",
    (HEAT,),
)
ACK = Ack(1, "ann-pi", "heat", (40 << 24) + 1, True, "applied", "40 W wanted", 5_100, b"b" * 16, 9)


def meter(name: str, owner: str, power_mw: int | None, age_ms: int | None) -> MeterPower:
    return MeterPower(name, owner, "consumption", "", 50_000, power_mw, age_ms)


def state(node: str, name: str, owner: str, load: str) -> RelayState:
    return RelayState(node, name, owner, load, "fed", 40_000, False, False, None, None)


VIEW = View(
    "bench",
    5_000,
    (meter("ann-heater", "ann", 30_000, 400), meter("bob-load", "bob", None, None)),
    (state("ann-pi", "heat", "ann", "ann-heater"), state("bob-pi", "fan", "", "bob-load")),
)
OTHER = Order("bob-pi", "fan", "", "bob-load", False, False, 7_700, "fits into 8.8 W")
WHY = Why(
    ("ann-pi", "heat"),
    RelayEntry("heat", "fed", "ann-heater", "ann", 40_000, critical=False),
    40,
    DECISION,
    HEAT,
    (Done(44, ACK),),
    VIEW,
    (OTHER,),
    "40.0 W wanted, 15.0 W there",
)


def lens(policy: str, asker: Asker = NOBODY) -> Lens:
    def names(slot_ms: int | None) -> Mapping[str, str]:
        return {}

    return Lens(asker, policy, lambda slot_ms: policy, names)


def test_where_all_is_open_everything_is_said() -> None:
    shown = show_why(WHY, lens("open"))
    assert [(each.meter_id, each.counted) for each in shown.seen] == [
        ("ann-heater", "measured"),
        ("bob-load", "danger"),
    ]
    assert shown.because == DECISION.reason
    assert [each.relay for each in shown.others] == ["fan"]
    assert (shown.entry, shown.limit, shown.cut, shown.hidden) == (40, "supply", True, 0)
    assert [(each.entry, each.outcome) for each in shown.done] == [(44, "applied")]


@pytest.mark.parametrize("policy", [each for each in DISCLOSURES if each != "open"])
def test_elsewhere_the_owner_reads_his_own_part_and_no_other(policy: str) -> None:
    shown = show_why(WHY, lens(policy, Asker("member", "ann")))
    text = json.dumps(asdict(shown)) + why_html(shown)
    assert "bob" not in text
    assert "7.7 W" not in text
    assert [each.meter_id for each in shown.seen] == ["ann-heater"]
    assert (shown.others, shown.hidden, shown.order) == ((), 2, "40.0 W wanted, 15.0 W there")
    assert "2 values of others are not shown" in why_html(shown)


def test_what_was_decided_under_a_stricter_policy_stays_hidden() -> None:
    then = replace(lens("open"), at=lambda slot_ms: "totals" if slot_ms == 5_000 else "open")
    shown = show_why(WHY, then)
    assert (shown.seen, shown.others, shown.because) == ((), (), "")


def test_a_relay_is_found_by_who_may_see_its_samples() -> None:
    state = State()
    heat = Relay("fed", "ann-heater", "ann", 40_000, False, 0, 0)
    state.apply([Change("relay", ("ann-pi", "heat"), heat)])
    assert seen_relays(state, lens("open")) == (("ann-pi", "heat"),)
    assert seen_relays(state, lens("totals")) == ()
    assert seen_relays(state, lens("totals", Asker("member", "ann"))) == (("ann-pi", "heat"),)
    with pytest.raises(NoSuchEntry, match="no relay is called heat; there are none"):
        find_relay(seen_relays(state, lens("totals", Asker("member", "bob"))), "heat")


def test_the_answer_on_the_page_has_values_ages_and_alternatives() -> None:
    html = why_html(show_why(WHY, lens("open")))
    assert "<td>ann-heater</td><td>30.0 W</td><td>0.4 s old</td>" in html
    assert "never heard</td><td>too old: counted as danger, 50.0 W" in html
    assert '<td>bob-load</td><td class="fed">fed</td><td>fits into 8.8 W</td>' in html
    assert "applied, coil on, 40 W wanted" in html
    assert "no longer kept" in why_html(show_why(replace(WHY, view=None, others=()), lens("open")))


def test_a_relay_that_nobody_decided_of_says_so() -> None:
    shown = show_why(Why(WHY.name, WHY.relay), lens("open"))
    assert shown.entry is None
    assert "No decision has spoken of it" in why_html(shown)
    assert "nobody has decided: fed is its safe state" in card_html(relay("r", fed=True))


def test_names_and_reasons_are_text() -> None:
    hostile = replace(
        show_why(WHY, lens("open")), rule=HOSTILE, because=HOSTILE, limit=HOSTILE, order=HOSTILE
    )
    assert HOSTILE not in why_html(hostile)
    row = replace(relay(HOSTILE, fed=True), load=HOSTILE, member=HOSTILE, limit=HOSTILE)
    assert HOSTILE not in card_html(replace(row, decision=1, decided_ms=1, reason=HOSTILE))


def test_a_card_has_lease_limit_and_ages() -> None:
    row = replace(
        relay("heat", fed=False, lease_left_ms=3_000),
        lease_ttl_ms=5_000,
        age_ms=300,
        load_power_mw=0,
        load_age_ms=12_000,
        wanted_cut=True,
        decision=40,
        decided_ms=5_000,
        limit="supply",
    )
    html = card_html(row)
    for said in (
        "width:60%",
        "lease 3.0 s of 5 s",
        "guard 0.3 s old · load 0.0 W, 12 s old",
        "limit: supply",
        "entry 40",
        ">cut</span>",
        "deficit 40.0 W",
    ):
        assert said in html
    assert "no lease: the coil is off, so its load is fed" in card_html(relay("x", fed=True))
    assert "guard never heard · load not metered now" in card_html(relay("x", fed=None))


def test_a_contact_that_is_not_where_it_was_decided_is_said_to_be_on_the_way() -> None:
    row = replace(relay("heat", fed=True), wanted_cut=True, decision=40)
    assert reason_text(row) == "to be cut, and not there yet: deficit 40.0 W"
    assert reason_text(replace(row, fed=False)) == "deficit 40.0 W"


def test_the_newest_decision_is_noted_on_its_relay_and_its_reason_outlives_the_lease() -> None:
    decisions = Decisions()
    decisions.note(40, DECISION)
    decisions.note(44, ACK)
    row = replace(relay("heat", fed=False), node="ann-pi", reason="its lease is over")

    def noted() -> tuple[object, ...]:
        (found,) = decisions.note_on(picture(member("ann", 1, relays=(row,)))).members[0].relays
        return found.decision, found.decided_ms, found.limit, found.wanted_cut, found.reason

    assert noted() == (40, 5_000, "supply", True, "40 W wanted")
    decisions.note(50, replace(DECISION, at_ms=9_000, limit="none"))
    assert noted() == (50, 9_000, "none", True, "its lease is over")
    decisions.note(51, ACK)  # it speaks of the decision before
    assert noted()[4] == "its lease is over"


def test_where_no_relay_is_shown_the_page_says_who_sees_his_own() -> None:
    assert title_html(picture(), 0) == ""
    assert "Each member sees his own" in title_html(picture(disclosure="totals"), 0)
    assert "2 more: /api/v1/relays" in title_html(picture(), 50)
