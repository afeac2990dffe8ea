"""Over random microgrids with batteries that discharge first: what holds whatever the policy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.balancing.catalog import POLICIES
from hub.balancing.deciding import decide
from hub.balancing.policy import View
from hub.balancing.pool import pool_of
from hub.balancing.sources import giving
from tests.support.bench import house, view
from tests.support.sunny import battery, later, stored

POOL = ("least_disruption", "price", "priority", "proportional", "rotation")
watts = st.integers(0, 60)
homes = st.lists(
    st.tuples(watts, st.lists(st.integers(-40, 40), max_size=3), st.integers(0, 80), watts),
    min_size=1,
    max_size=4,
)


@st.composite
def microgrids(draw: st.DrawFn) -> tuple[View, dict[str, int]]:
    """A view with batteries that do nothing yet, and what each can give. [mW]"""
    rows = draw(homes)
    limits: dict[str, int | str] = {"battery_first": 1}
    if draw(st.booleans()):
        limits |= {"nominal_mv": 1000, "feeder_x": "m0 m1", "feeder_x_ma_max": draw(watts) * 1000}
    houses = [
        house(f"m{n}", sun, {f"m{n}-{k}": float(w) for k, w in enumerate(powers)}, base)
        for n, (sun, powers, _, base) in enumerate(rows)
    ]
    shown = view(*houses, import_w=draw(st.sampled_from([0, 30, -10])), **limits)
    shown = replace(shown, relays=tuple(replace(each, since_ms=0) for each in shown.relays))
    can: dict[str, int] = {}
    for n, (_, _, rated, _) in enumerate(rows):
        if rated:
            shown = stored(shown, f"m{n}", -draw(st.integers(0, rated)), battery(f"m{n}", rated))
            can[f"m{n}-battery"] = rated * 1000
    return shown, can


def at_full(shown: View, can: dict[str, int]) -> View:
    """The view as if every battery gave all it can, and loads alone could be told anything."""
    meters = {each.relay: each.load for each in shown.relays if each.setpoint}
    full = giving(shown, {meters[name]: power_mw for name, power_mw in can.items()})
    return replace(full, relays=tuple(each for each in full.relays if not each.setpoint))


@pytest.mark.parametrize("name", POOL)
@given(bench=microgrids())
def test_nothing_is_cut_that_a_battery_would_have_saved(
    name: str, bench: tuple[View, dict[str, int]]
) -> None:
    shown, can = bench
    orders = {(each.node, each.relay): each for each in decide(POLICIES[name](), shown).orders}
    pool = pool_of(at_full(shown, can))
    fed = [load for load in pool.loads if not load.is_cut]
    for load in fed:
        if orders[load.relay.name].cut:
            assert any(
                sum(each.power_mw for each in pool.within(place, fed)) > pool.bounds[place].room_mw
                for place in pool.counts[load.relay.name]
            )


@pytest.mark.parametrize("name", POOL)
@given(bench=microgrids())
def test_it_is_feasible_when_it_can_be(name: str, bench: tuple[View, dict[str, int]]) -> None:
    shown, can = bench
    verdict = decide(POLICIES[name](), shown)
    if all(bound.room_mw >= 0 for bound in pool_of(at_full(shown, can)).bounds):
        assert verdict.infeasible == ()


@pytest.mark.parametrize("name", sorted(POLICIES))
@given(bench=microgrids())
def test_it_comes_to_rest_and_tells_no_battery_more_than_it_can(
    name: str, bench: tuple[View, dict[str, int]]
) -> None:
    shown, can = bench
    for _ in range(2 * len(shown.relays) + 4):
        verdict = decide(POLICIES[name](), shown)
        for order in verdict.orders:
            assert order.setpoint_mw is None or -can[order.relay] <= order.setpoint_mw <= 0
        if not verdict.changed(shown):
            break
        shown = later(shown, verdict, {}, batteries=can)
    assert decide(POLICIES[name](), shown).changed(shown) == ()


@pytest.mark.parametrize("name", POOL)
@given(bench=microgrids(), data=st.data())
def test_with_batteries_that_give_less_it_comes_to_rest_and_limits_hold(
    name: str, bench: tuple[View, dict[str, int]], data: st.DataObject
) -> None:
    shown, can = bench
    gives = {each: data.draw(st.integers(0, power_mw)) for each, power_mw in can.items()}
    for _ in range(2 * len(shown.relays) + 6):
        verdict = decide(POLICIES[name](), shown)
        if not verdict.changed(shown):
            break
        shown = later(shown, verdict, {}, batteries=gives)
    verdict = decide(POLICIES[name](), shown)
    assert verdict.changed(shown) == ()
    loads = replace(shown, relays=tuple(each for each in shown.relays if not each.setpoint))
    pool = pool_of(loads)
    for place, bound in enumerate(pool.bounds):
        fed = [load for load in pool.within(place, pool.loads) if not load.is_cut]
        excess_mw = sum(load.power_mw for load in fed) - bound.room_mw
        assert excess_mw <= bound.permille_mw(20) or verdict.infeasible
