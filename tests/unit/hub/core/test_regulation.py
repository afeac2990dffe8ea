"""Policies bind from a slot on, never a slot that is settled."""

from __future__ import annotations

from typing import Any

import pytest

from hub.core.effects import PolicySet
from hub.core.pricing import PRICE_UTOK_PER_KWH_MAX, policy_at, price_at, schedule_fault, tariff_at
from hub.market.contract import Tariff
from tests.support.village import FEED_IN, HOUR, PRICE, Village, ignored


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
