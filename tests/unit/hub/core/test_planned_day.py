"""A day planned ahead on the ledger: plans and proposal are calls, and slots settle by them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hub.core.effects import CallFailed, CallServed
from hub.scheduling.homes import Home
from hub.scheduling.rounds import Day, Schedule, schedule
from messages.scheduling import Devices, Plan, Proposal, pack
from tests.support.market import Market
from tests.support.village import FEED_IN, HOUR, KWH, PRICE

DAY_MS = 4 * HOUR


def planned() -> Schedule:
    """Ann makes 5 kWh an hour, bob uses 3, and both expect it."""
    homes = (
        Home("ann", Devices(), (-5 * KWH,) * 4, (0,) * 4),
        Home("bob", Devices(), (3 * KWH,) * 4, (0,) * 4),
    )
    return schedule(homes, Day(DAY_MS, HOUR, (PRICE,) * 4, (FEED_IN,) * 4))


def street() -> Market:
    market = Market("day_ahead", day_slots=4)
    market.people["aggregator"] = market.village.administrator
    market.close()
    return market


def say(market: Market, who: str, message: Plan | Proposal) -> CallServed | CallFailed:
    method = "plan" if isinstance(message, Plan) else "propose"
    arguments: dict[str, Any] = dict(pack(message))
    return market.call(who, method, **arguments)


def test_slots_settle_by_an_accepted_schedule_and_then_by_the_grid() -> None:
    market, found = street(), planned()
    for name, plan in found.plans.items():
        assert isinstance(say(market, name, plan), CallServed)
    assert isinstance(say(market, "aggregator", found.proposal), CallServed)
    before = market.close()
    assert (before.failure, before.matches) == ("", ())
    for _ in range(2):
        market.close()
    for slot in range(4):
        settled = market.close()
        assert settled.failure == ""
        (match,) = settled.matches
        price = found.proposal.prices_utok_per_kwh[slot]
        assert (match.match.energy_uwh, match.match.price_utok_per_kwh) == (3 * KWH, price)
        assert settled.checks.limits_kept
    after = market.close()
    assert after.matches == ()
    assert {fate.reason for fate in after.fates} == {
        "the day has no schedule; the grid deals with everybody"
    }
    assert not [key for _, key in market.village.state.memory if "14400000" in key]


def test_what_is_refused_is_on_the_ledger_with_its_reason() -> None:
    market, found = street(), planned()
    for name, plan in found.plans.items():
        say(market, name, plan)
    wrong = replace(found.proposal, export_uwh=(2 * KWH, 2 * KWH, 2 * KWH, KWH))
    refused = say(market, "aggregator", wrong)
    assert isinstance(refused, CallFailed)
    assert refused.reason.startswith("slot 3: the plans draw -2000000000 uWh from the grid")
    by_ann = say(market, "ann", found.proposal)
    assert isinstance(by_ann, CallFailed)
    assert by_ann.reason == "a day is proposed by a key with the office service"
    for _ in range(3):
        market.close()
    late = say(market, "aggregator", found.proposal)
    assert isinstance(late, CallFailed)
    assert late.reason.startswith("too late: the gate of day 14400000 closed")
    assert market.close().matches == ()
