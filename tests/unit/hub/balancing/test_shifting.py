"""Loads rest by their nodes' wish: before the policy, never critical ones, never against it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.balancing.catalog import POLICIES
from hub.balancing.deciding import decide
from hub.balancing.policy import MeterPower, Order, RelayState, View
from messages.status import REST, RUN, WAIT

HEATER = RelayState("pi", "heater", "ann", "boiler", "cut", 2_000, False, False, None, None)


def view(relay: RelayState, supply_mw: int = 5_000) -> View:
    meters = (
        MeterPower("boiler", "ann", "appliance", "load", 2_000, 1_500, 0),
        MeterPower("load", "ann", "consumption", "", 9_000, 2_500, 0),
        MeterPower("pv", "ann", "generation", "", 9_000, -supply_mw, 0),
    )
    return View("bench", 0, meters, (relay,))


def order_of(relay: RelayState, policy: str = "dep", supply_mw: int = 5_000) -> Order:
    (found,) = decide(POLICIES[policy](), view(relay, supply_mw)).orders
    return found


@pytest.mark.parametrize("policy", list(POLICIES))
@pytest.mark.parametrize("wish", [WAIT, REST])
def test_under_every_policy_it_rests_although_there_is_enough(policy: str, wish: str) -> None:
    found = order_of(replace(HEATER, wish=wish), policy)
    assert (found.cut, found.energised, found.shift, found.power_mw) == (True, False, wish, 1_500)


@pytest.mark.parametrize("policy", list(POLICIES))
def test_a_load_that_wants_to_run_is_fed_as_any_other(policy: str) -> None:
    found = order_of(replace(HEATER, wish=RUN), policy)
    assert (found.cut, found.shift) == (False, "")


def test_a_load_that_wants_to_run_may_be_cut_and_that_is_no_shift() -> None:
    found = order_of(replace(HEATER, wish=RUN), supply_mw=1_000)
    assert (found.cut, found.shift) == (True, "")


@pytest.mark.parametrize(
    "change",
    [
        {"is_critical": True},
        {"unusable": "its node is silent"},
        {"since_ms": 10, "min_on_ms": 1_000},
        {"wish": "dance"},
    ],
)
def test_what_no_wish_lets_rest(change: dict[str, object]) -> None:
    found = order_of(replace(HEATER, **{"wish": WAIT, **change}))  # type: ignore[arg-type]
    assert (found.cut, found.shift) == (False, "")


def test_no_wish_cuts_off_a_generator() -> None:
    found = order_of(replace(HEATER, load="pv", deenergised="fed", wish=WAIT))
    assert (found.cut, found.shift) == (False, "")


def test_the_reason_says_whose_wish_it_is() -> None:
    verdict = decide(POLICIES["dep"](), view(replace(HEATER, wish=WAIT)))
    assert verdict.reason.endswith("shiftable: its node lets it wait for a cheaper slot")
