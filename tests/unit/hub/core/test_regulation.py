"""Policies bind from a slot on, never a slot that is settled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub.core.effects import PolicySet
from hub.core.pricing import (
    PRICE_UTOK_PER_KWH_MAX,
    policy_at,
    price_at,
    regulation_of,
    schedule_fault,
    tariff_at,
)
from hub.core.state import State
from hub.market.catalog import CONTRACTS
from hub.market.contract import Tariff
from hub.ordering.market import markets
from hub.ordering.showing import market_lines
from messages.entries import PolicyEntry
from messages.regulating import UNBOUND, Mix, Premium, Regulation, regulation_fault
from tests.support.village import FEED_IN, HOUR, KWH, PRICE, Village, ignored


def test_the_latest_start_that_is_not_after_the_slot() -> None:
    village = Village(from_slot=2)
    village.policy(5, contract="other")
    assert policy_at(village.state, HOUR) is None
    for slot, contract in ((2, "dep_balance"), (4, "dep_balance"), (5, "other"), (50, "other")):
        policy = policy_at(village.state, slot * HOUR)
        assert policy is not None
        assert policy.contract == contract


def test_a_later_entry_replaces_one_for_the_same_slot() -> None:
    village = Village()
    assert village.policy(0, contract="other") == (PolicySet(2, 0),)
    policy = policy_at(village.state, 0)
    assert policy is not None
    assert (policy.contract, policy.entry_index) == ("other", 2)


def test_prices_of_the_day() -> None:
    schedule = ((0, 10), (1, 11), (1439, 12))
    minute = 60_000
    assert [price_at(schedule, at) for at in (0, minute - 1, minute, 1439 * minute)] == [
        10,
        10,
        11,
        12,
    ]
    assert price_at(schedule, 1440 * minute) == 10
    village = Village()
    assert tariff_at(policy_at(village.state, 0), 0) == Tariff(PRICE, FEED_IN)
    assert tariff_at(None, 0) == Tariff(0, 0)


@pytest.mark.parametrize(
    ("schedule", "fault"),
    [
        (((0, 0), (1439, PRICE_UTOK_PER_KWH_MAX)), None),
        ((), "prices: the first price is that of minute 0"),
        (((1, 5),), "prices: the first price is that of minute 0"),
        (((0, 5), (0, 6)), "prices: minutes of the day ascend, below 1440"),
        (((0, 5), (9, 6), (8, 6)), "prices: minutes of the day ascend, below 1440"),
        (((0, 5), (1440, 6)), "prices: minutes of the day ascend, below 1440"),
        (((0, -1),), "prices: the price at minute 0 is not within 0 and the maximum"),
        (
            ((0, 0), (5, PRICE_UTOK_PER_KWH_MAX + 1)),
            "prices: the price at minute 5 is not within 0 and the maximum",
        ),
    ],
)
def test_schedules(schedule: tuple[tuple[int, int], ...], fault: str | None) -> None:
    assert schedule_fault("prices", schedule) == fault


@pytest.mark.parametrize(
    ("from_slot", "changes", "reason"),
    [
        (-1, {}, "-3600000 is no slot's start"),
        (0.5, {}, "1800000.0 is no slot's start"),
        (0, {}, "slot 0 is settled: the next one is 3600000"),
        (9, {"contract": "A/B"}, "'A/B' is no name of a contract"),
        (9, {"dispatch": ""}, "'' is no name of a dispatch"),
        (9, {"prices": ()}, "prices: the first price is that of minute 0"),
        (9, {"feed_in": ()}, "feed_in: the first price is that of minute 0"),
    ],
)
def test_policies_that_cannot_be(from_slot: Any, changes: dict[str, Any], reason: str) -> None:
    village = Village()
    village.close(0)
    village.header()
    before = village.state.copy()
    assert ignored(village.policy(from_slot, **changes)) == reason
    assert village.state == before


RULES = Regulation(
    150_000, 250_000, 10_000, True, (Mix("wind", 50, 40_000),), (Premium("grid", 5),)
)


def regulated() -> Village:
    """Ann sells 3 kWh of the sun, Bob uses 4, under rules that bind each of them."""
    village = Village(regulation=RULES)
    village.meter("ann-pv", "ann", "generation", fuel="solar")
    village.meter("bob-load", "bob", "consumption")
    for slot in range(2):
        village.read("ann-pv", slot, exported=slot * 3 * KWH)
        village.read("bob-load", slot, imported=slot * 4 * KWH)
    return village


def test_the_regulators_rules_stand_on_the_bills() -> None:
    village = regulated()
    slot = village.settle(0)
    assert slot.failure == ""
    (priced,) = slot.matches
    assert (priced.match.price_utok_per_kwh, priced.amount_utok) == (250_000, 750_000)
    paid = {
        (line.counterparty, line.quality): -line.amount_utok
        for line in slot.lines
        if line.account == "bob" and line.kind == "transfer"
    }
    assert paid == {
        ("@operator", "network fee"): 30_000,
        ("@community", "fuel premium"): 5,
        ("@community", "energy mix"): 80_000,
    }
    (told,) = [fate for fate in slot.fates if fate.member == "bob"]
    assert told.reason == "energy mix: 50 % wind are due, 2000000000 uWh of it lack"
    assert sum(village.state.accounts.values()) == 0
    assert village.replay().root() == village.state.root()
    assert State.loads(village.state.dumps()).root() == village.state.root()


def test_they_are_read_back_from_the_record() -> None:
    village = regulated()
    assert regulation_of(village.state.policies[0]) == RULES
    assert regulation_of(State.loads(village.state.dumps()).policies[0]) == RULES
    assert regulation_of(None) == UNBOUND == regulation_of(Village().state.policies[0])


def test_a_manager_leaves_them_as_they_are() -> None:
    village = regulated()
    boss = village.person("boss", "manager")
    entry = village.entries[1].event.body
    assert isinstance(entry, PolicyEntry)
    other = replace(entry, from_slot_ms=5 * HOUR, contract="double_auction")
    assert isinstance(village.put(boss, other)[0], PolicySet)
    for changed in (UNBOUND, replace(RULES, mix=()), replace(RULES, feed_in_guaranteed=False)):
        reason = ignored(village.put(boss, replace(other, regulation=changed)))
        assert reason == "a policy prices entry is signed by administrator, not by member boss"


@pytest.mark.parametrize(
    ("rules", "fault"),
    [
        (Regulation(9, 8), "regulation: floor and cap ascend within 0 and 100000000"),
        (Regulation(-1), "regulation: floor and cap"),
        (Regulation(cap_utok_per_kwh=10**8 + 1), "regulation: floor and cap"),
        (Regulation(fee_utok_per_kwh=-1), "regulation: a network fee is from 0"),
        (Regulation(mix=(Mix("wind", 0),)), "mix of wind: a share is from 1 to 100 percent"),
        (Regulation(mix=(Mix("wind", 101),)), "mix of wind: a share is"),
        (Regulation(mix=(Mix("wind", 5, -1),)), "mix of wind: what lacks costs from 0"),
        (Regulation(mix=(Mix("sun", 5),)), "mix: no fuel 'sun': solar, wind"),
        (Regulation(mix=(Mix("wind", 5), Mix("wind", 6))), "regulation: at most 16 rules of mix"),
        (Regulation(premiums=(Premium("gas", 0),)), "premium on gas: it is from 1"),
        (Regulation(premiums=(Premium("gas", 1, -1),)), "premium on gas: it begins above 0"),
        (
            Regulation(premiums=(Premium("gas", 1, 0, "@bank"),)),
            "premium of gas: no account",
        ),
    ],
)
def test_rules_that_no_market_could_follow(rules: Regulation, fault: str) -> None:
    assert regulation_fault(rules).startswith(fault)
    assert ignored(Village().policy(2, regulation=rules)).startswith(fault)


def test_people_see_them_beside_the_market() -> None:
    (market, *_) = markets(regulated().state, CONTRACTS)
    assert list(market_lines([market]))[1:] == [
        "  regulator: floor_utok_per_kwh = 150000",
        "  regulator: cap_utok_per_kwh = 250000",
        "  regulator: network_fee_utok_per_kwh = 10000",
        "  regulator: feed_in_guaranteed = True",
        "  regulator: 50 % wind at least, else 40000 utok per kWh",
        "  regulator: 5 utok per kWh of grid",
    ]
