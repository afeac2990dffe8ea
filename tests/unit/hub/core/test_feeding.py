"""Facts from outside: who tells what, what counts in a slot, what counts without it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub.core.effects import Corrected, FactTold
from hub.core.feeding import FACTS_KEPT, priced_at, used_at
from hub.core.state import State
from messages.entries import KeyEntry
from messages.feeding import Feed, FeedRule, facts_fault, feed_rules_fault
from tests.support.signers import ed25519
from tests.support.village import FEED_IN, HOUR, KWH, PRICE, Village, ignored

RULE = FeedRule("price", "meteo", 2 * HOUR, 100_000, 500_000)


class Fed(Village):
    """A village whose price comes from a feeder; Bob draws 1 kWh in each slot."""

    def __init__(self, *rules: FeedRule) -> None:
        super().__init__(feeds=rules or (RULE,))
        self.meteo = self.feeder("meteo", price="utok_per_kwh", co2="g_per_kwh")
        self.meter("bob-load", "bob", "consumption")
        self.read("bob-load", 0, imported=0)
        self.told = 0

    def tell(self, price: int, slot: float = 0, **changes: Any) -> tuple[Any, ...]:
        self.told += 1
        at_ms = int(slot * HOUR)
        feed = Feed("price", self.told, at_ms, price, "utok_per_kwh", at_ms + 100 * HOUR)
        return self.put(self.meteo, replace(feed, **changes))

    def price(self, slot: int) -> int:
        self.read("bob-load", slot + 1, imported=(slot + 1) * KWH)
        return self.settle(slot).price_utok_per_kwh


@pytest.fixture
def fed() -> Fed:
    return Fed()


def test_a_slot_has_the_newest_price_that_counts_when_it_begins(fed: Fed) -> None:
    (told,) = fed.tell(250_000)
    assert told == FactTold(len(fed.entries) - 1, "meteo", "price", 0, 250_000, "utok_per_kwh")
    assert fed.price(0) == 250_000
    fed.tell(260_000, 1)
    fed.tell(270_000, 1.5)  # within the slot: it counts from the next one on
    assert fed.price(1) == 260_000
    assert fed.price(2) == 270_000
    assert priced_at(fed.state, HOUR).facts == (fed.state.closed[HOUR].facts[0],)


def test_tomorrow_s_prices_wait(fed: Fed) -> None:
    for slot in range(4):
        fed.tell(200_000 + slot, slot)
    assert [fed.price(slot) for slot in range(4)] == [200_000, 200_001, 200_002, 200_003]


def test_what_is_told_again_for_an_instant_replaces_it(fed: Fed) -> None:
    fed.tell(200_000)
    fed.tell(210_000)
    assert fed.price(0) == 210_000


@pytest.mark.parametrize(
    ("changes", "why_not"),
    [
        ({"valid_until_ms": HOUR}, "the newest is no longer valid"),
        ({}, "the newest is too old"),
    ],
)
def test_the_schedule_counts_where_no_fact_does(changes: dict[str, int], why_not: str) -> None:
    fed = Fed()
    fed.tell(250_000, **changes)
    slot = 1 if changes else 3
    for before in range(slot):
        fed.price(before)
    used = used_at(fed.state, RULE, slot * HOUR)
    assert (used.value, used.why_not) == (None, why_not)
    assert fed.price(slot) == PRICE
    assert fed.state.closed[slot * HOUR].facts == ()


def test_a_fallback_of_the_policy_s_own(fed: Fed) -> None:
    fed = Fed(replace(RULE, fallback=400_000))
    assert used_at(fed.state, FeedRule(*fed.state.policies[0].feeds[0]), 0) == (
        400_000,
        None,
        0,
        "meteo told nothing for this time",
    )
    assert fed.price(0) == 400_000


@pytest.mark.parametrize(("told", "counts"), [(1, 100_000), (10**9, 500_000), (-5, 100_000)])
def test_the_regulator_s_floor_and_cap_hold(fed: Fed, told: int, counts: int) -> None:
    fed.tell(told)
    assert fed.price(0) == counts


def test_each_price_has_its_own_feed() -> None:
    fed = Fed(FeedRule("feed_in", "sun", HOUR, 0, 90_000))
    sun = fed.feeder("sun", feed_in="utok_per_kwh")
    fed.put(sun, Feed("feed_in", 1, 0, 70_000, "utok_per_kwh", HOUR))
    fed.tell(250_000)  # no rule takes it
    assert fed.price(0) == PRICE
    assert fed.state.closed[0].feed_in_utok_per_kwh == 70_000
    assert priced_at(fed.state, HOUR).tariff[:2] == (PRICE, FEED_IN)


def test_a_correction_costs_what_the_slot_did(fed: Fed) -> None:
    fed.tell(250_000)
    fed.price(0)
    fed.close(1, "timeout")
    fed.tell(450_000, 1.5)
    effects = fed.read("bob-load", 2, imported=3 * KWH)
    (corrected,) = [effect for effect in effects if isinstance(effect, Corrected)]
    assert {line.price_utok_per_kwh for line in corrected.lines} == {250_000}
    assert sum(fed.state.accounts.values()) == 0


# --- refused


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fact": "sun"}, "feeder meteo tells co2, price, not 'sun'"),
        ({"unit": "EUR"}, "feeder meteo tells price in utok_per_kwh, not in 'EUR'"),
        ({"sequence": 0}, "sequence 0 of price: 0 was taken, the next is higher"),
        ({"at_ms": -1}, "a fact has an instant, a later end, and a value of at most 53 bits"),
        ({"valid_until_ms": 0}, "a fact has an instant, a later end, and a value of at"),
        ({"value": 2**53 + 1}, "a fact has an instant, a later end, and a value of at"),
    ],
)
def test_what_no_feeder_may_tell(fed: Fed, changes: dict[str, Any], reason: str) -> None:
    root = fed.state.root()
    assert ignored(fed.tell(1, **changes)).startswith(reason)
    assert fed.state.root() == root


def test_sequences_count_up(fed: Fed) -> None:
    fed.tell(1, sequence=7)
    assert "7 was taken" in ignored(fed.tell(1, sequence=7))
    fed.tell(1, sequence=9)
    fed.tell(1, sequence=1, fact="co2", unit="g_per_kwh")  # each fact has its own


def test_what_comes_too_late(fed: Fed) -> None:
    fed.price(0)
    fed.price(1)
    reason = f"too late: it was valid until {HOUR}, the next slot is {2 * HOUR}"
    assert ignored(fed.tell(1, valid_until_ms=HOUR)) == reason
    fed.tell(1, 1)
    reason = f"too late: price of {HOUR} is known, this one is of {HOUR // 2}"
    assert ignored(fed.tell(1, 0.5)) == reason


def test_so_many_instants_wait_and_no_more(fed: Fed) -> None:
    for slot in range(FACTS_KEPT):
        fed.tell(1, slot)
    assert ignored(fed.tell(1, FACTS_KEPT)).startswith("200 instants of price wait already")
    fed.tell(2, FACTS_KEPT - 1)  # again for an instant that waits
    fed.price(0)
    fed.price(1)
    fed.tell(1, FACTS_KEPT)  # slot 0 and 1 are over
    assert len(fed.state.facts) == FACTS_KEPT - 1


def test_who_is_no_feeder(fed: Fed) -> None:
    feed = Feed("price", 9, 0, 1, "utok_per_kwh", HOUR)
    for signer in (fed.administrator, fed.hub, ed25519("bob-load")):
        assert "a feed entry is signed by feeder, not by" in ignored(fed.put(signer, feed))


def test_only_an_administrator_enrols_one(fed: Fed) -> None:
    key = ed25519("sun").public.cose_key
    entry = KeyEntry("enrol", "feeder", "sun", key, facts={"irradiance": "W/m2"})
    manager = fed.person("boss", "manager")
    assert ignored(fed.put(manager, entry)).startswith("a key of an office entry is signed by")
    fed.put(fed.administrator, entry)
    assert fed.state.keys[ed25519("sun").public.kid].facts == (("irradiance", "W/m2"),)


def test_a_rotated_feeder_goes_on(fed: Fed) -> None:
    fed.tell(250_000)
    new = ed25519("meteo-2")
    rotate = KeyEntry(
        "rotate",
        "feeder",
        "meteo",
        new.public.cose_key,
        replaces=fed.meteo.public.kid,
        proof=b"p" * 64,
    )
    fed.put(fed.meteo, rotate)
    assert ignored(fed.tell(1)) == "feeder meteo has a new key"
    fed.meteo = new
    fed.tell(260_000)
    assert fed.price(0) == 260_000


def test_feeders_that_could_tell_nothing(fed: Fed) -> None:
    key = ed25519("sun").public.cose_key
    for facts in ({}, {"Price": "x"}, {"price": "EUR"}, {"co2": "?"}):
        assert facts_fault(facts)
        entry = KeyEntry("enrol", "feeder", "sun", key, facts=facts)
        assert ignored(fed.put(fed.administrator, entry)) == facts_fault(facts)
    entry = KeyEntry("enrol", "member", "sun", key, facts={"co2": "g"})
    assert ignored(fed.put(fed.administrator, entry)).startswith("a member tells no facts")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"fact": "?"}, "no name of a fact"),
        ({"age_max_ms": 0}, "the greatest age is from 1 ms"),
        ({"low": -1}, "floor and cap ascend within 0 and 100000000"),
        ({"low": 5, "high": 4}, "floor and cap ascend"),
        ({"high": 100_000_001}, "floor and cap ascend"),
        ({"fallback": 99_999}, "the fallback lies between floor and cap"),
    ],
)
def test_rules_nobody_could_follow(fed: Fed, changes: dict[str, Any], fault: str) -> None:
    rule = replace(RULE, **changes)
    assert ignored(fed.policy(5, feeds=(rule,))).startswith(f"feed {rule.fact}: {fault}")


def test_one_feeder_a_fact(fed: Fed) -> None:
    two = (RULE, replace(RULE, feeder="sun"))
    assert feed_rules_fault(two, 10**8) == "feed: at most 16 facts, each from one feeder"
    assert feed_rules_fault((FeedRule("co2", "sun", 1, -5, 5),), 10**8) == ""


def test_a_manager_changes_no_price_by_a_feed(fed: Fed) -> None:
    manager = fed.person("boss", "manager")
    entry = next(e.event.body for e in fed.entries if getattr(e.event.body, "feeds", ()))
    later = replace(entry, from_slot_ms=9 * HOUR)
    assert "policy prices" in ignored(fed.put(manager, replace(later, feeds=())))
    fed.put(manager, later)
    assert 9 * HOUR in fed.state.policies


def test_a_snapshot_goes_on_alike(fed: Fed) -> None:
    fed.tell(250_000)
    fed.tell(260_000, 1)
    fed.price(0)
    again = State.loads(fed.state.dumps())
    start = len(fed.entries)
    fed.price(1)
    assert fed.replay(start, again).root() == fed.state.root()
