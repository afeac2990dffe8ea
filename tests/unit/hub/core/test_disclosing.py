"""Who sees what of others: every cell, and what totals give away."""

from __future__ import annotations

from typing import Any

import pytest

from hub.core.disclosing import (
    ASKERS,
    DISCLOSURES,
    NOBODY,
    SEEN,
    Asker,
    asker_with,
    disclosure_at,
    round_at,
    sees,
    sees_total,
)
from hub.core.pseudonyms import pseudonyms
from tests.support.source import ROOT
from tests.support.village import HOUR, Village, ignored

BILLS_TO_NOBODY = dict.fromkeys(DISCLOSURES, ())


def asker(kind: str, name: str = "zoe", *subjects: str) -> Asker:
    return NOBODY if kind == "nobody" else Asker(kind, name, frozenset(subjects))


@pytest.mark.parametrize("kind", ASKERS)
@pytest.mark.parametrize("policy", DISCLOSURES)
@pytest.mark.parametrize("what", list(SEEN))
def test_cell(what: str, policy: str, kind: str) -> None:
    assert sees(asker(kind), what, "ann", policy) is (kind in SEEN[what][policy])


@pytest.mark.parametrize("policy", DISCLOSURES)
@pytest.mark.parametrize("what", list(SEEN))
def test_one_s_own_is_always_seen_and_not_by_nobody_who_calls_himself_so(
    what: str, policy: str
) -> None:
    assert sees(asker("member", "ann"), what, "ann", policy)
    assert sees(asker("regulator", "ann"), what, "ann", policy)
    assert sees(Asker("nobody", "ann"), what, "ann", policy) is sees(NOBODY, what, "ann", policy)


@pytest.mark.parametrize("policy", DISCLOSURES)
def test_a_case_reveals_the_name_and_nothing_else(policy: str) -> None:
    without, under = asker("regulator"), asker("regulator", "zoe", "ann")
    assert sees(under, "name", "ann", policy)
    assert sees(under, "name", "bob", policy) is sees(without, "name", "bob", policy)
    for what in SEEN.keys() - {"name"}:
        assert sees(under, what, "ann", policy) is sees(without, what, "ann", policy)


def test_the_table_is_this_one() -> None:
    """Written out, so that showing more is a change of this test."""
    everybody, regulator = ("nobody", "member", "regulator"), ("regulator",)
    hidden: tuple[str, ...] = ()
    expected: dict[str, Any] = {
        "name": (everybody, hidden, hidden),
        "source": (everybody, everybody, regulator),
        "trade": (everybody, everybody, regulator),
        "energy": (everybody, hidden, hidden),
        "live": (everybody, hidden, hidden),
        "bill": (hidden, hidden, hidden),
    }
    assert {what: tuple(row.values()) for what, row in SEEN.items()} == expected
    assert all(tuple(row) == DISCLOSURES for row in SEEN.values())
    assert SEEN["bill"] == BILLS_TO_NOBODY


def test_the_docs_have_the_table() -> None:
    lines = (ROOT / "docs" / "privacy.md").read_text().splitlines()
    words = {ASKERS: "everybody", ("regulator",): "regulator", (): "nobody"}
    for what, row in SEEN.items():
        cells = " | ".join(words[row[policy]] for policy in DISCLOSURES)
        assert f"| {what} | {cells} |" in lines, what


@pytest.mark.parametrize("policy", ["pseudonymous_offers", "totals"])
def test_a_total_hides_each_of_at_least_four_others(policy: str) -> None:
    four = frozenset(("ann", "bob", "cy", "dee"))
    assert sees_total(NOBODY, four, policy)
    assert not sees_total(NOBODY, four - {"dee"}, policy)
    assert not sees_total(asker("member", "ann"), four, policy)  # less her own: three
    assert sees_total(asker("member", "zoe"), four, policy)
    assert sees_total(asker("member", "ann"), four | {"eve"}, policy)
    assert not sees_total(asker("regulator", "ann"), four, policy)
    assert sees_total(NOBODY, frozenset(("ann",)), "open")


def test_the_stricter_of_then_and_now_binds_the_past() -> None:
    village = Village(disclosure="totals")
    village.policy(from_slot=2, disclosure="open")
    village.policy(from_slot=4, disclosure="pseudonymous_offers", pseudonyms="fresh")
    village.meter("m", "ann", "consumption")
    village.read("m", 0, imported=0)
    found = []
    for slot in range(5):
        village.read("m", slot + 1, imported=slot)
        village.close(slot)
        now_ms = village.state.progress.next_slot_ms
        found.append([disclosure_at(village.state), disclosure_at(village.state, 0)])
        assert disclosure_at(village.state, now_ms) == disclosure_at(village.state)
    assert found == [
        ["totals", "totals"],
        ["open", "totals"],
        ["open", "totals"],
        ["pseudonymous_offers", "totals"],
        ["pseudonymous_offers", "totals"],
    ]
    assert disclosure_at(village.state, 2 * HOUR) == "pseudonymous_offers"
    assert (round_at(village.state), round_at(village.state, HOUR)) == (5 * HOUR, HOUR)


def test_before_the_first_close_the_first_policy_binds() -> None:
    village = Village(disclosure="totals")
    village.policy(from_slot=2, disclosure="open")
    assert disclosure_at(village.state) == "totals"
    assert round_at(village.state) is None


def test_a_policy_names_a_disclosure_that_there_is() -> None:
    village = Village()
    assert "no disclosure 'all'" in ignored(village.policy(disclosure="all"))
    assert "'new' pseudonyms" in ignored(village.policy(pseudonyms="new"))


def test_a_key_says_who_asks_and_an_open_case_whom_he_may_name() -> None:
    village = Village()
    ann, rita = village.person("ann"), village.person("rita", "regulator")
    village.meter("m", "ann", "consumption")
    village.read("m", 0, imported=0)
    village.read("m", 1, imported=1)
    village.close(0)
    asked = {
        "case": "tap-1",
        "subject": pseudonyms(village.state)["ann"],
        "reason": "x",
        "until_slot_ms": HOUR,
    }
    village.call(rita, contract="cases", method="open", arguments=asked)
    state = village.state
    assert asker_with(state, ann.public.kid) == Asker("member", "ann")
    assert asker_with(state, rita.public.kid) == Asker("regulator", "rita", frozenset({"ann"}))
    assert asker_with(state, b"unknown!") == NOBODY
    assert asker_with(state, village.hub.public.kid) == NOBODY
    village.close(1)
    assert asker_with(village.state, rita.public.kid).subjects == frozenset()
