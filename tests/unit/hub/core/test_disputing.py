"""Disputes: who, of what, until when; and that what is held is held once and given out once."""

from __future__ import annotations

from typing import Any

import pytest

from hub.core.effects import CallServed, SlotSettled
from hub.core.results import result_rows
from hub.core.state import State
from messages.disputes import DisputeRules, dispute_rules_fault
from tests.support.court import Court, moved, refused
from tests.support.village import HOUR, KWH, ignored

PURCHASE_UTOK = 600_000  # 2 kWh at 0.3


@pytest.fixture
def court() -> Court:
    court = Court()
    court.trade(0)
    return court


def opened(court: Court, amount_utok: int = 100_000) -> int:
    return moved(court.dispute(court.bob, court.line("bob", 0, "purchase"), amount_utok)).dispute


def accounts(court: Court) -> dict[str, int]:
    assert sum(court.state.accounts.values()) == 0
    return {name: court.balance(name) for name in ("ann", "bob", "@held")}


def test_the_amount_is_held_from_the_other_side_of_the_line(court: Court) -> None:
    before = accounts(court)
    line = court.line("bob", 0, "purchase")
    effects = court.dispute(court.bob, line, PURCHASE_UTOK)
    began = moved(effects)
    assert (began.event, began.claimant, began.respondent) == ("held", "bob", "ann")
    assert (began.slot_ms, began.line, began.amount_utok) == (0, 1, PURCHASE_UTOK)
    assert isinstance(effects[0], CallServed)
    assert effects[0].answer == {"dispute": began.index}
    after = accounts(court)
    assert after == before | {"ann": before["ann"] - PURCHASE_UTOK, "@held": PURCHASE_UTOK}
    assert list(court.state.disputes) == [began.index]


@pytest.mark.parametrize(
    ("ruling", "part", "event", "to_bob"),
    [
        ("uphold", 0, "upheld", 100_000),
        ("uphold", 100_000, "upheld", 100_000),
        ("dismiss", 0, "dismissed", 0),
        ("split", 30_000, "split", 30_000),
    ],
)
def test_a_ruling_gives_out_what_is_held(
    court: Court, ruling: str, part: int, event: str, to_bob: int
) -> None:
    before = accounts(court)
    number = opened(court)
    ended = moved(court.rule(court.rita, number, ruling, part))
    assert (ended.event, ended.to_claimant_utok) == (event, to_bob)
    assert accounts(court) == {
        "ann": before["ann"] - to_bob,
        "bob": before["bob"] + to_bob,
        "@held": 0,
    }
    assert court.state.disputes == {}
    assert refused(court.rule(court.rita, number, "uphold")) == f"no dispute {number} is open"


def test_what_a_split_may_be(court: Court) -> None:
    number = opened(court)
    for part in (0, 100_000, -1, 100_001):
        reason = refused(court.rule(court.rita, number, "split", part))
        assert reason == "a split gives the claimant 1 to 99999 utok"
    assert "no ruling 'maybe'" in refused(court.rule(court.rita, number, "maybe"))
    reason = refused(court.rule(court.rita, number, "dismiss", 5))
    assert reason == "to dismiss is to give the claimant 0 utok, not 5"
    assert court.held_utok == 100_000


def test_only_a_regulator_rules_and_not_as_a_party(court: Court) -> None:
    number = opened(court)
    reason = ignored(court.rule(court.ann, number, "dismiss"))
    assert reason == "a dispute ruling entry is signed by regulator, not by member ann"
    judge = court.person("judge", "regulator")
    court.meter("judge-load", "judge", "consumption")
    court.read("judge-load", 1, imported=0)
    court.read("judge-load", 2, imported=KWH)
    court.trade(1)
    own = moved(court.dispute(judge, court.line("judge", 1, "purchase"), 5)).dispute
    assert "is a party to dispute" in refused(court.rule(judge, own, "uphold"))


def test_the_respondent_answers_once_or_concedes_and_the_claimant_withdraws(court: Court) -> None:
    before = accounts(court)
    number = opened(court)
    assert refused(court.ask(court.bob, "answer", dispute=number)) == "ann answers for ann, not bob"
    answered = moved(court.ask(court.ann, "answer", dispute=number))
    assert (answered.event, answered.lines) == ("answered", ())
    again = refused(court.ask(court.ann, "answer", dispute=number))
    assert again == f"dispute {number} was answered before, by entry {answered.index}"
    assert refused(court.ask(court.ann, "withdraw", dispute=number)).endswith("bob's to withdraw")
    assert "not bob" in refused(court.ask(court.bob, "concede", dispute=number))
    assert moved(court.ask(court.bob, "withdraw", dispute=number)).event == "dismissed"
    assert accounts(court) == before


def test_who_answers_for_the_grid() -> None:
    court = Court()
    court.trade(0, sold=0)
    number = moved(court.dispute(court.bob, court.line("bob", 0, "purchase"), 5)).dispute
    assert court.state.disputes[number].respondent == "@grid"
    reason = refused(court.ask(court.ann, "concede", dispute=number))
    assert reason == "administrator or manager answers for @grid, not ann"
    boss = court.person("boss", "manager")
    ended = moved(court.ask(boss, "concede", dispute=number))
    assert (ended.event, ended.to_claimant_utok) == ("upheld", 5)


# --- refused


def test_each_line_is_disputed_once(court: Court) -> None:
    number = opened(court)
    line = court.line("bob", 0, "purchase")
    again = f"that line was disputed before, by entry {number}"
    assert refused(court.dispute(court.bob, line, 1)) == again
    court.rule(court.rita, number, "uphold")
    assert refused(court.dispute(court.bob, line, 1)) == again
    moved(court.dispute(court.ann, court.line("ann", 0, "sale"), 1))  # her line is another


@pytest.mark.parametrize("amount", [PURCHASE_UTOK + 1, 0, -5])
def test_an_amount_within_the_line(court: Court, amount: int) -> None:
    reason = refused(court.dispute(court.bob, court.line("bob", 0, "purchase"), amount))
    assert reason == f"{amount} utok are disputed; the line is of 600000"


def test_a_line_of_somebody_else_or_none(court: Court) -> None:
    line = court.line("bob", 0, "purchase")
    assert refused(court.dispute(court.ann, line, 5)) == "no line there is of ann"
    reason = refused(court.dispute(court.bob, line, 5, line=2))
    assert reason == "there is no line 2: bob has 1 to 1 there"


def test_a_row_that_the_ledger_does_not_have(court: Court) -> None:
    line = court.line("bob", 0, "purchase")
    forged = bytearray(line.row)
    forged[-3] ^= 1
    for changes in (
        {"row": bytes(forged)},
        {"place": line.place + 1},
        {"proof": line.proof[32:]},
        {"proof": line.proof + bytes(32)},
    ):
        reason = refused(court.dispute(court.bob, line, 5, **changes))
        assert reason.startswith("that row is not among the results of that slot")
    assert refused(court.dispute(court.bob, line, 5, proof=b"x")) == "a proof is a row of hashes"
    court.trade(1)
    other = refused(court.dispute(court.bob, line, 5, slot_ms=HOUR))
    assert other.startswith("that row is not among")


def test_rows_without_settled_energy_are_not_disputed(court: Court) -> None:
    number = opened(court)
    court.rule(court.rita, number, "uphold")
    rows: list[Any] = []
    for effect in moved_and_closed(court):
        rows += result_rows(effect, court.balance)
    assert {row[0] for row in rows} == {"dispute", "slot", "bill"}
    assert not [each for each in court.lines if each.line.counterparty == "@held"]


def moved_and_closed(court: Court) -> tuple[Any, ...]:
    court.trade(1)
    number = moved(court.dispute(court.bob, court.line("bob", 1, "purchase"), 5))
    return (number, *(e for e in court.close(2, "timeout") if isinstance(e, SlotSettled)))


def test_what_is_asked_has_its_form(court: Court) -> None:
    assert "no method 'sue'" in refused(court.ask(court.bob, "sue"))
    reason = refused(court.ask(court.bob, "withdraw", dispute=1, more=2))
    assert reason == "withdraw takes dispute, reason"
    assert "dispute is to be int" in refused(court.ask(court.bob, "withdraw", dispute="1"))
    for reason in ("", "x" * 281):
        said = refused(court.ask(court.bob, "withdraw", dispute=1, reason=reason))
        assert said == "a reason has 1 to 280 characters"
    line = court.line("bob", 0, "purchase")
    assert refused(court.dispute(court.bob, line, 1, slot_ms=7)) == "7 is no closed slot"


# --- deadlines


def test_a_line_can_be_disputed_until_its_last_slot() -> None:
    court = Court(disputes=DisputeRules(2, 5))
    for slot in range(2):
        court.trade(slot)
    line = court.line("bob", 0, "purchase")
    moved(court.dispute(court.bob, line, 5))  # the next slot is 2: 0 + 2
    court.trade(2)
    reason = refused(court.dispute(court.ann, court.line("ann", 0, "sale"), 5))
    expected = f"too late: lines of slot 0 could be disputed until slot {2 * HOUR}, now is"
    assert reason == f"{expected} {3 * HOUR}"
    assert court.state.disputed == {}  # nobody can any more: nothing to remember


def test_what_is_forgotten_is_too_late() -> None:
    court = Court(disputes=DisputeRules(1, 1), slot_ms=HOUR)
    court.trade(0)
    line = court.line("bob", 0, "purchase")
    for slot in range(1, 675):
        court.close(slot, "timeout")
    assert 0 not in court.state.closed
    assert len(court.state.closed) == 673
    assert refused(court.dispute(court.bob, line, 5)) == "too late for that slot"


@pytest.mark.parametrize(
    ("unruled", "event", "to_bob"),
    [("dismiss", "dismissed", 0), ("uphold", "upheld", 7), ("halve", "split", 3)],
)
def test_without_a_ruling_the_policy_s_rule_holds(unruled: str, event: str, to_bob: int) -> None:
    court = Court(disputes=DisputeRules(9, 2, unruled))
    court.trade(0)
    number = moved(court.dispute(court.bob, court.line("bob", 0, "purchase"), 7)).dispute
    court.policy(3, disputes=DisputeRules(9, 2, "dismiss"))  # later: binds no older dispute
    court.trade(1)
    court.trade(2)
    assert court.state.disputes[number].rule_by_ms == 3 * HOUR
    assert court.held_utok == 7
    closed = court.close(3, "timeout")  # a ruling still counted while this slot was open
    ended = moved(closed)
    assert (ended.event, ended.to_claimant_utok, ended.dispute) == (event, to_bob, number)
    assert ended.index == len(court.entries) - 1
    assert isinstance(closed[-1], SlotSettled)
    assert accounts(court)["@held"] == 0


def test_a_later_policy_keeps_the_rules_unless_it_names_others() -> None:
    court = Court(disputes=DisputeRules(3, 4, "halve"))
    court.policy(5)
    assert court.state.policies[5 * HOUR].disputes == (3, 4, "halve")


def test_rules_nobody_could_follow(court: Court) -> None:
    assert dispute_rules_fault(DisputeRules(1, 100_000, "uphold")) == ""
    for rules, fault in (
        (DisputeRules(0, 5), "disputes: within_slots is from 1 to 100000"),
        (DisputeRules(5, 100_001), "disputes: rule_slots is from 1 to 100000"),
        (DisputeRules(5, 5, "toss"), "disputes: unruled is one of uphold, dismiss, halve"),
    ):
        assert ignored(court.policy(9, disputes=rules)) == fault


# --- corrections, replays


def test_a_correction_s_line_is_disputed_like_any() -> None:
    court = Court()
    court.trade(0)
    court.read("ann-pv", 2, exported=6 * KWH)
    court.close(1, "timeout")  # Bob's register is missing: estimated
    court.read("bob-load", 2, imported=9 * KWH)
    court.close(2, "timeout")
    line = court.line("bob", 2, "correction")
    assert line.line.counterparty == "@grid"
    began = moved(court.dispute(court.bob, line, 1))
    assert (began.respondent, began.slot_ms) == ("@grid", 2 * HOUR)


def test_a_replay_and_a_snapshot_give_the_same(court: Court) -> None:
    number = opened(court)
    court.trade(1)
    again = State.loads(court.state.dumps())
    assert again.disputes == court.state.disputes
    assert again.closed == court.state.closed
    start = len(court.entries)
    court.rule(court.rita, number, "split", 5)
    court.trade(2)
    assert court.replay(start, again).root() == court.state.root()
    assert court.replay().root() == court.state.root()
