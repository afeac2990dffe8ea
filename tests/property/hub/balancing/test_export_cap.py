"""Over random microgrids with a cap on export: what holds whatever the policy, sun and loads."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.balancing.catalog import POLICIES
from hub.balancing.deciding import decide
from hub.balancing.policy import View
from tests.support.bench import house, view
from tests.support.sunny import later, limit, outflow_mw, roof, with_relays

every = pytest.mark.parametrize("name", sorted(POLICIES))
watts = st.integers(0, 60)
homes = st.lists(
    st.tuples(
        watts,
        st.lists(st.integers(-40, 40), max_size=3),
        st.sampled_from(["limit", "roof", "both", "plain"]),
    ),
    min_size=1,
    max_size=4,
)


@st.composite
def microgrids(
    draw: st.DrawFn, kinds: str = "limit roof both plain", *, all_fed: bool = False
) -> tuple[View, dict[str, int]]:
    """A view in which everything gives what the sun lets it, and how the sun shines. [mW]"""
    rows = [(sun, powers, kind if kind in kinds else "limit") for sun, powers, kind in draw(homes)]
    houses, extra, sun_mw = [], [], dict[str, int]()
    for number, (sun, powers, kind) in enumerate(rows):
        name = f"m{number}"
        loads = {f"{name}-{k}": float(abs(w) if all_fed else w) for k, w in enumerate(powers)}
        houses.append(house(name, sun, loads))
        sun_mw[f"{name}-pv"] = sun * 1000
        extra += [limit(name, 60)] if kind in ("limit", "both") else []
        extra += [roof(name, 60)] if kind in ("roof", "both") else []
    shown = view(*houses, export_mw_max=draw(st.sampled_from([0, 10, 50, -20])) * 1000)
    return with_relays(shown, *extra), sun_mw


@every
@given(bench=microgrids())
def test_nothing_leaves_beyond_the_cap_after_one_look_wherever_it_can(
    name: str, bench: tuple[View, dict[str, int]]
) -> None:
    shown, sun_mw = bench
    verdict = decide(POLICIES[name](), shown)
    after = outflow_mw(later(shown, verdict, sun_mw))
    told = [text for text in verdict.infeasible if text.startswith("export")]
    if not told:
        assert after <= (shown.limits.export_mw_max or 0)
    orders = {order.relay: order for order in verdict.orders}
    if told:  # then everything that can be held back is
        held = [relay for relay in shown.relays if relay.load in sun_mw]
        assert all(orders[relay.relay].setpoint_mw == 0 for relay in held if relay.setpoint)
        limited = {relay.load for relay in held if relay.setpoint}
        for relay in held:
            if relay.load not in limited and sun_mw[relay.load]:
                assert orders[relay.relay].cut


@every
@given(bench=microgrids())
def test_no_relay_is_opened_that_a_limit_would_have_saved(
    name: str, bench: tuple[View, dict[str, int]]
) -> None:
    shown, _ = bench
    verdict = decide(POLICIES[name](), shown)
    roofs = {relay.relay for relay in shown.relays if relay.relay.endswith("-roof")}
    limits = {relay.relay for relay in shown.relays if relay.setpoint}
    if any(order.cut for order in verdict.orders if order.relay in roofs):
        assert all(order.setpoint_mw == 0 for order in verdict.orders if order.relay in limits)


@every
@given(bench=microgrids())
def test_it_comes_to_rest_and_stays_below_the_cap(
    name: str, bench: tuple[View, dict[str, int]]
) -> None:
    shown, sun_mw = bench
    for _ in range(2 * len(shown.relays) + 4):
        verdict = decide(POLICIES[name](), shown)
        if not verdict.changed(shown):
            break
        shown = later(shown, verdict, sun_mw)
    assert decide(POLICIES[name](), shown).changed(shown) == ()


@every
@given(bench=microgrids("limit", all_fed=True))
def test_no_more_is_held_back_than_needed_and_the_margin(
    name: str, bench: tuple[View, dict[str, int]]
) -> None:
    shown, sun_mw = bench
    verdict = decide(POLICIES[name](), shown)
    if any(order.setpoint_mw for order in verdict.orders):
        ratings_mw = sum(relay.rated_mw for relay in shown.relays if relay.setpoint)
        cap_mw, after = shown.limits.export_mw_max or 0, outflow_mw(later(shown, verdict, sun_mw))
        assert cap_mw - ratings_mw * 21 // 1000 - 1 <= after <= cap_mw


@every
@given(bench=microgrids(), random=st.randoms(use_true_random=False))
def test_the_order_of_the_view_does_not_matter(
    name: str, bench: tuple[View, dict[str, int]], random: st.DataObject
) -> None:
    shown, _ = bench
    meters, relays = list(shown.meters), list(shown.relays)
    random.shuffle(meters)  # type: ignore[attr-defined]
    random.shuffle(relays)  # type: ignore[attr-defined]
    again = replace(shown, meters=tuple(meters), relays=tuple(relays))
    assert decide(POLICIES[name](), again) == decide(POLICIES[name](), shown)
