"""Who has used up what he paid for is cut, whatever the policy; the others share what there is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub.balancing.catalog import POLICIES
from hub.balancing.policy import View
from hub.balancing.supply import ENDED, REASONS, decide
from tests.support.bench import house, kept, view


def unpaid(shown: View, *names: str, **changes: Any) -> View:
    relays = tuple(
        replace(relay, withheld=REASONS[ENDED], **changes) if relay.relay in names else relay
        for relay in shown.relays
    )
    return replace(shown, relays=relays)


PLENTY = view(house("ann", 100, {"a1": 20, "a2": 30}), house("bob", 100, {"b1": 20}))


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_every_policy_leaves_the_unpaid_without(name: str) -> None:
    policy = POLICIES[name]()
    assert decide(policy, PLENTY) == policy.decide(PLENTY)
    verdict = decide(policy, unpaid(PLENTY, "a1", "a2"))
    assert kept(verdict) == {"b1"}
    cut = {order.relay: (order.reason, order.power_mw) for order in verdict.orders if order.cut}
    assert cut == {"a1": (REASONS[ENDED], 20_000), "a2": (REASONS[ENDED], 30_000)}
    names = [(order.node, order.relay) for order in verdict.orders]
    assert names == sorted(names)


def test_what_the_unpaid_no_longer_draw_is_there_for_others() -> None:
    scarce = view(house("ann", 0, {"a1": 60}), house("bob", 0, {"b1": 40}), import_w=50)
    policy = POLICIES["priority"]()
    now = unpaid(view(house("ann", 0, {"a1": -60}), house("bob", 0, {"b1": 40}), import_w=50), "a1")
    assert kept(decide(policy, now)) == {"b1"}
    assert len(kept(decide(policy, scarce))) < 2


@pytest.mark.parametrize(
    ("changes", "parameters", "is_cut"),
    [
        ({"is_critical": True}, {}, False),
        ({"is_failsafe": False}, {}, False),
        ({"is_failsafe": False}, {"cut_not_failsafe": 1}, True),
        ({"is_failsafe": False, "deenergised": "cut"}, {}, True),
        ({}, {}, True),
    ],
)
def test_critical_and_unsafe_loads_stay_fed(
    changes: dict[str, Any], parameters: dict[str, int], is_cut: bool
) -> None:
    plain = view(house("ann", 100, {"a1": 20}), **parameters)
    (order,) = decide(POLICIES["priority"](), unpaid(plain, "a1", **changes)).orders
    assert order.cut is is_cut
