"""The one gate: for each policy and who asks, what is in a picture and what is not."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import pytest

from hub.core.disclosing import DISCLOSURES, NOBODY, SEEN, Asker, sees
from hub.core.pseudonyms import pseudonyms
from hub.core.state import Change
from hub.lens import Lens, Roll, lens_of
from hub.ordering.market import MarketView
from hub.watching.suspects import SHARE, UNSHOWN, Suspect
from hub.web.map import draw_map
from hub.web.metrics import metrics_text
from hub.web.page import charted, head_html, slots_html, strip_html
from hub.web.showing import show_picture, show_slots
from hub.web.view import (
    FateView,
    MatchView,
    MemberView,
    Picture,
    PositionView,
    SlotView,
    SourceView,
)
from tests.support.pictures import LEDGER, member, meter, picture, relay, slot
from tests.support.village import HOUR, Village

PEOPLE = ("ann", "bob", "col", "dee", "eve")
HIDDEN = {name: f"m-{place}" for place, name in enumerate(PEOPLE)}
ASKERS = {
    "nobody": NOBODY,
    "member": Asker("member", "ann"),
    "regulator": Asker("regulator", "rita"),
}


def lens(policy: str, asker: Asker = NOBODY, **changes: Any) -> Lens:
    def names(slot_ms: int | None) -> Mapping[str, str]:
        return HIDDEN

    plain = Lens(asker, policy, lambda slot_ms: policy, names)
    return replace(plain, **changes)


def house(name: str, net_mw: int | None = 40_000) -> MemberView:
    own = replace(meter(f"{name}-pv", 5, purpose="generation"), member=name, node=f"{name}-pi")
    return member(
        name,
        net_mw,
        account_utok=1_234_567,
        meters=(replace(own, fuel="solar", location=f"{name}'s roof"),),
        relays=(replace(relay(f"{name}-heater", fed=True), member=name, node=f"{name}-pi"),),
        sources=(SourceView("solar", "Upper Mill"),),
    )


def sold(names: tuple[str, ...] = PEOPLE) -> SlotView:
    positions = tuple(PositionView(n, 20_000_000, 30_000_000, 1_000, -77_777, False) for n in names)
    matches = (
        MatchView("ann", "bob", 7_000_000, 150_000, 1_050),
        MatchView("col", "@grid", 3_000_000, 150_000, 450),
    )
    fates = tuple(FateView(0, n, f"id-{n}", "bid", 5, 77_777, 0, "too low") for n in names)
    plain = replace(slot(), positions=positions, matches=matches, unaccounted_uwh=5)
    return replace(plain, fates=fates, failure="ann gives 5 uWh and takes 0")


def whole(names: tuple[str, ...] = PEOPLE) -> Picture:
    return picture(
        *(house(name) for name in names),
        boundary=replace(meter("tie", 5_000, purpose="boundary"), member="dso", node="dso"),
        unaccounted_mw=300,
        slots=(sold(names),),
        alarms=("ann-heater: its load does not fall",),
        request="balance request: deficit of 40.0 W",
        ledger=replace(LEDGER, finding="entry 7 of ann"),
        markets=(MarketView(0, "energy_token", {"priority": "ann,bob"}, "", 0, 3),),
    )


@pytest.mark.parametrize("kind", list(ASKERS))
@pytest.mark.parametrize("policy", DISCLOSURES)
def test_every_thing_of_every_member_is_there_exactly_where_the_table_says(
    policy: str, kind: str
) -> None:
    asker = ASKERS[kind]
    shown = show_picture(whole(), lens(policy, asker))
    (closed,) = shown.slots
    for name in PEOPLE:
        may = {what: sees(asker, what, name, policy) for what in SEEN}
        called = name if may["name"] else HIDDEN[name]
        found = {m.member: m for m in shown.members}.get(called)
        positions = {p.member: p for p in closed.positions}
        assert (found is not None) is any(may[w] for w in ("name", "source", "trade", "live"))
        assert (called in positions) is may["energy"]
        if found is not None:
            assert bool(found.sources) is may["source"]
            assert bool(found.meters) is bool(found.relays) is found.is_live is may["live"]
            assert (found.net_mw is not None) is may["live"]
            assert (found.account_utok is not None) is may["bill"]
        if called in positions:
            assert (positions[called].amount_utok is not None) is may["bill"]
    trades = sees(asker, "trade", "zoe", policy)
    own = kind == "member"
    assert len(closed.matches) == (2 if trades else 1 if own else 0)
    assert [match.amount_utok is not None for match in closed.matches] == (
        [own, False] if trades else [True] if own else []
    )


@pytest.mark.parametrize("kind", list(ASKERS))
@pytest.mark.parametrize("policy", ["pseudonymous_offers", "totals"])
def test_no_name_of_others_leaves_by_any_way(policy: str, kind: str) -> None:
    shown = show_picture(whole(), lens(policy, ASKERS[kind]))
    ways = (
        json.dumps(asdict(shown)),
        draw_map(shown),
        draw_map(shown, narrow=True),
        head_html(shown),
        slots_html(shown.slots),
        strip_html(shown),
        metrics_text(shown).decode(),
        " ".join(charted(shown)),
    )
    for name in PEOPLE[1:] if kind == "member" else PEOPLE:
        for way in ways:
            assert not re.search(rf"\b{name}\b", way)


@pytest.mark.parametrize("kind", list(ASKERS))
@pytest.mark.parametrize("policy", DISCLOSURES)
def test_bills_are_shown_to_nobody_else(policy: str, kind: str) -> None:
    shown = show_picture(whole(), lens(policy, ASKERS[kind]))
    text = json.dumps(asdict(shown)) + slots_html(shown.slots) + draw_map(shown)
    if kind == "member":
        assert text.count("1234567") == text.count("-77777") == 1
        assert [fate.member for fate in shown.slots[0].fates] == ["ann"]
    else:
        assert "1234567" not in text
        assert "77777" not in text
        assert "0.001050" not in text


@pytest.mark.parametrize("policy", ["pseudonymous_offers", "totals"])
@pytest.mark.parametrize(
    ("names", "asker", "has_total"),
    [
        (PEOPLE[:3], NOBODY, False),
        (PEOPLE[:4], NOBODY, True),
        (PEOPLE[:4], Asker("member", "ann"), False),
        (PEOPLE[:4], Asker("member", "eve"), True),
        (PEOPLE, Asker("member", "ann"), True),
    ],
)
def test_whatever_gives_a_sum_away_is_there_with_the_total_or_not_at_all(
    policy: str, names: tuple[str, ...], asker: Asker, has_total: bool
) -> None:
    shown = show_picture(whole(names), lens(policy, asker))
    (closed,) = shown.slots
    assert [
        shown.totals is not None,
        shown.boundary is not None,
        shown.unaccounted_mw is not None,
        shown.request != "",
        closed.totals is not None,
        closed.unaccounted_uwh is not None,
        b"gridtally_total_power_watts{" in metrics_text(shown),
    ] == [has_total] * 7
    assert ("No total is shown" in strip_html(shown)) is not has_total


def test_a_total_is_over_all_members_or_none() -> None:
    """With one silent, the total of the others would tell his from the one before."""
    silent = replace(whole(), members=(*whole().members[1:], house("ann", None)))
    shown = show_picture(silent, lens("totals"))
    assert shown.totals is None
    everybody = show_picture(whole(), lens("totals")).totals
    assert everybody is not None
    assert (everybody.members, everybody.generation_mw, everybody.load_mw) == (5, 100_000, 300_000)
    (closed,) = show_slots((sold(),), lens("totals"))
    assert closed.totals is not None
    assert (closed.totals.members, closed.totals.load_uwh) == (5, 150_000_000)
    assert closed.totals.matched_uwh == 10_000_000


def test_texts_that_name_devices_are_counted_and_not_shown() -> None:
    shown = show_picture(whole(), lens("totals"))
    assert shown.alarms == ("alarms: 1; `gridtally-hub status` on the hub names them",)
    assert shown.ledger.finding == "`gridtally-hub verify` on the hub says what is wrong"
    assert shown.markets[0].parameters == {}
    assert shown.slots[0].failure == "a reason that names members"
    open_view = show_picture(whole(), lens("open"))
    assert (open_view.alarms, open_view.markets) == (whole().alarms, whole().markets)
    assert open_view.slots[0].failure == whole().slots[0].failure


def test_order_gives_no_name_away() -> None:
    turned = dict(zip(PEOPLE, ("m-z", "m-y", "m-x", "m-w", "m-v"), strict=True))
    shown = show_picture(whole(), lens("pseudonymous_offers", names=lambda slot_ms: turned))
    assert [m.member for m in shown.members] == ["m-v", "m-w", "m-x", "m-y", "m-z"]
    assert [match.seller for match in shown.slots[0].matches] == ["m-x", "m-z"]  # col, ann


def test_who_is_not_on_the_roll_has_no_name_at_all() -> None:
    shown = show_picture(whole(), lens("pseudonymous_offers", names=lambda slot_ms: {}))
    assert {m.member for m in shown.members} == {"somebody"}


def test_a_slot_is_shown_by_its_own_rule() -> None:
    rules = {0: "totals", HOUR: "open"}
    slots = (sold(), replace(sold(), start_ms=HOUR))
    hidden, open_ = show_slots(slots, lens("open", at=lambda slot_ms: rules[slot_ms]))
    assert (hidden.disclosure, hidden.positions, hidden.matches) == ("totals", (), ())
    assert len(open_.positions) == 5


def test_a_case_shows_its_regulator_the_name_beside_the_pseudonym() -> None:
    rita = Asker("regulator", "rita", frozenset({"ann"}))
    shown = show_picture(whole(), lens("pseudonymous_offers", rita))
    assert [m.member for m in shown.members] == ["ann (m-0)", "m-1", "m-2", "m-3", "m-4"]
    assert shown.slots[0].matches[0].seller == "ann (m-0)"
    assert "ann" not in {m.member for m in show_picture(whole(), lens("open", rita)).members} - {
        "ann"
    }


def test_from_a_state_names_are_fresh_each_slot_and_the_owner_is_told_of_a_case() -> None:
    village = Village(disclosure="pseudonymous_offers", pseudonyms="fresh")
    village.person("ann")
    rita = village.person("rita", "regulator")
    village.meter("m", "ann", "consumption")
    village.read("m", 0, imported=0)
    village.read("m", 1, imported=1)
    village.close(0)
    state, roll = village.state, Roll()
    found = lens_of(state, NOBODY, roll)
    assert found.name("ann", found.now) == pseudonyms(state)["ann"]
    assert found.name("ann", found.now, HOUR) == pseudonyms(state, HOUR)["ann"]
    assert found.name("ann", found.now, 0) == pseudonyms(state, 0)["ann"]
    assert found.name("@grid", found.now) == "@grid"
    asked = {
        "case": "tap-1",
        "subject": pseudonyms(state, 0)["ann"],
        "slot_ms": 0,
        "reason": "the seal is broken",
        "until_slot_ms": HOUR,
    }
    village.call(rita, contract="cases", method="open", arguments=asked)
    assert lens_of(village.state, Asker("member", "ann"), roll).notices == ()
    from messages.investigation import Notice

    village.put(village.hub, Notice("tap-1", "ann", ()))
    (told,) = lens_of(village.state, Asker("member", "ann"), roll).notices
    assert told.startswith("rita opened case tap-1 on you: the seal is broken; used by entries: ")
    for other in (NOBODY, Asker("member", "bob"), Asker("regulator", "rita")):
        assert lens_of(village.state, other, roll).notices == ()
    shown = show_picture(picture(), lens_of(village.state, Asker("member", "ann"), roll))
    assert 'class="notice"' in head_html(shown)


def test_the_roll_is_read_anew_when_somebody_joins() -> None:
    village, roll = Village(disclosure="totals"), Roll()
    before = roll.of(village.state, None)
    assert roll.of(village.state, None) is before
    village.person("ann")
    assert "ann" in roll.of(village.state, None)


def test_who_has_little_credit_or_none_is_told_and_nobody_else() -> None:
    village = Village()
    village.close(0)
    told = []
    for row in ("low", "empty", None):
        village.state.apply([Change("memory", ("dep_balance", "supply.ann"), row)])
        told.append(lens_of(village.state, Asker("member", "ann")).notices)
        assert lens_of(village.state, Asker("member", "bob")).notices == ()
    assert [len(each) for each in told] == [1, 1, 0]
    assert "load more" in told[0][0]
    assert "relays are open" in told[1][0]


@pytest.mark.parametrize("policy", DISCLOSURES)
def test_a_finding_on_a_meter_is_for_whom_its_samples_are(policy: str) -> None:
    suspects = tuple(
        Suspect(SHARE, f"{name}-pv", name, 0, 84, 3_000.0, 0.5, 9.0) for name in PEOPLE[:2]
    )
    unowned = Suspect(UNSHOWN, "", "", 0, 84, 3_000.0, 0.5, 9.0)
    seen = replace(whole(), suspects=(*suspects, unowned))
    shown = show_picture(seen, lens(policy, ASKERS["member"])).suspects
    others = suspects if policy == "open" else suspects[:1]
    assert shown == (*others, unowned)
    few = replace(seen, members=seen.members[:4])
    hidden = show_picture(few, lens(policy, ASKERS["member"])).suspects
    assert (unowned in hidden) is (policy == "open")
