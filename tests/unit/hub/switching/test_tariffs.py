"""What every node is told of the coming slots: the policy's prices, facts, a schedule's prices."""

from __future__ import annotations

from hub.core.state import Change
from hub.market.catalog import CONTRACTS
from hub.switching.tariffs import coming
from messages.tariff import SLOTS_MAX, Tariff
from tests.support.village import FEED_IN, HOUR, PRICE, Village


def tariff(village: Village, at_ms: int = 5 * HOUR + 7) -> Tariff:
    found = coming(village.state, CONTRACTS, at_ms)
    assert found is not None
    return found


def test_it_begins_with_the_slot_of_now_and_follows_the_schedule() -> None:
    found = tariff(Village(prices=((0, PRICE), (7 * 60, 2 * PRICE), (8 * 60, PRICE))))
    assert (found.first_slot_ms, found.slot_ms, len(found.prices)) == (5 * HOUR, HOUR, 36)
    assert found.prices[:4] == found.expected[:4] == (PRICE, PRICE, 2 * PRICE, PRICE)
    assert set(found.feed_in) == {FEED_IN}
    assert found.expected_at(7 * HOUR) == 2 * PRICE
    assert found.expected_at(4 * HOUR) is None


def test_a_policy_that_comes_into_force_is_told_ahead() -> None:
    village = Village()
    village.policy(from_slot=8, prices=((0, 5 * PRICE),))
    assert tariff(village).prices[:5] == (PRICE, PRICE, PRICE, 5 * PRICE, 5 * PRICE)


def test_short_slots_are_told_for_as_many_as_fit_a_message() -> None:
    assert len(tariff(Village(slot_ms=60_000)).prices) == SLOTS_MAX


def test_a_schedule_publishes_what_a_day_will_cost() -> None:
    village = Village(contract="day_ahead")
    day = {"prices": tuple(range(24)), "tariff": (PRICE,) * 24, "feed_in": (FEED_IN,) * 24}
    village.state.apply([Change("memory", ("day_ahead", "day.0"), day)])
    found = tariff(village)
    assert found.expected[:19] == tuple(range(5, 24))
    assert set(found.expected[19:]) == {PRICE}  # tomorrow has no schedule yet
    assert set(found.prices) == {PRICE}


def test_before_a_policy_there_is_no_tariff() -> None:
    village = Village()
    village.state.policies.clear()
    assert coming(village.state, CONTRACTS, 0) is None
