"""Over random microgrids: what all policies of the pool guarantee, and what each promises."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.balancing.catalog import POLICIES
from hub.balancing.policy import RelayState, Verdict, View
from hub.balancing.pool import Pool, pool_of
from tests.support.bench import house, obeyed, view

POOL = ("least_disruption", "price", "priority", "proportional", "rotation")
every = pytest.mark.parametrize("name", POOL)
SHED, RESTORE = 20, 20

watts = st.integers(0, 60)
members = st.lists(
    st.tuples(watts, st.lists(st.integers(-40, 40), max_size=4), st.sampled_from([0, 0, 5])),
    min_size=1,
    max_size=4,
)


@st.composite
def microgrids(draw: st.DrawFn, *, critical: bool = True) -> View:
    houses = [
        house(f"m{n}", supply, {f"m{n}-{k}": power for k, power in enumerate(powers)}, base)
        for n, (supply, powers, base) in enumerate(draw(members))
    ]
    feeder: dict[str, int | str] = {}
    if draw(st.booleans()):
        feeder = {"nominal_mv": 1000, "feeder_x": "m0 m1", "feeder_x_ma_max": draw(watts) * 1000}
    shown = view(*houses, import_w=draw(st.sampled_from([0, 0, 30, -10])), **feeder)
    return replace(
        shown, relays=tuple(draw(relay_like(relay, critical=critical)) for relay in shown.relays)
    )


@st.composite
def relay_like(draw: st.DrawFn, relay: RelayState, *, critical: bool) -> RelayState:
    return replace(
        relay,
        is_critical=critical and draw(st.sampled_from([False, False, False, True])),
        since_ms=draw(st.integers(0, 60_000)),
        min_off_ms=draw(st.sampled_from([0, 0, 30_000])),
        importance=draw(st.integers(0, 3)),
        shed_price_utok_per_kwh=draw(st.integers(0, 5)),
    )


def fed(pool: Pool, verdict: Verdict) -> list[tuple[str, str]]:
    flexible = {load.relay.name for load in pool.loads}
    return [(o.node, o.relay) for o in verdict.orders if not o.cut if (o.node, o.relay) in flexible]


def excesses(pool: Pool, names: list[tuple[str, str]], permille: int) -> list[int]:
    """By how much each limit is exceeded, counted anew."""
    on = [load for load in pool.loads if load.relay.name in names]
    return [
        sum(load.power_mw for load in pool.within(number, on))
        - bound.room_mw
        - bound.permille_mw(permille)
        for number, bound in enumerate(pool.bounds)
    ]


@every
@given(shown=microgrids())
def test_every_limit_holds_after_one_look_wherever_it_can(name: str, shown: View) -> None:
    pool, verdict = pool_of(shown), POLICIES[name]().decide(shown)
    if all(excess <= 0 for excess in excesses(pool, [], SHED)):
        assert max(excesses(pool, fed(pool, verdict), SHED)) <= 0
        assert verdict.infeasible == ()
    else:
        assert verdict.infeasible != ()


@every
@given(shown=microgrids())
def test_nothing_is_cut_that_would_fit_with_all_that_stays(name: str, shown: View) -> None:
    pool, verdict = pool_of(shown), POLICIES[name]().decide(shown)
    on = fed(pool, verdict)
    was_cut = {relay.name for relay in shown.relays if relay.is_cut}
    for order in verdict.orders:
        moved = (order.node, order.relay)
        if order.cut and moved not in was_cut:
            assert max(excesses(pool, [*on, moved], 0)) > 0


@every
@given(shown=microgrids())
def test_no_load_is_cut_and_none_comes_back_where_all_limits_hold(name: str, shown: View) -> None:
    pool, verdict = pool_of(shown), POLICIES[name]().decide(shown)
    before = [load.relay.name for load in pool.loads if not load.is_cut]
    on = fed(pool, verdict)
    if max(excesses(pool, before, SHED)) <= 0:
        assert set(before) <= set(on)
        assert len(on) <= len(before) + 1


@every
@given(shown=microgrids())
def test_it_comes_to_rest(name: str, shown: View) -> None:
    for _ in range(len(shown.relays) + 2):
        verdict = POLICIES[name]().decide(shown)
        if not verdict.changed(shown):
            break
        shown = obeyed(shown, verdict)
    assert POLICIES[name]().decide(shown).changed(shown) == ()


@every
@given(shown=microgrids(), random=st.randoms(use_true_random=False))
def test_the_order_of_the_view_does_not_matter(
    name: str, shown: View, random: st.DataObject
) -> None:
    meters, relays = list(shown.meters), list(shown.relays)
    random.shuffle(meters)  # type: ignore[attr-defined]
    random.shuffle(relays)  # type: ignore[attr-defined]
    again = replace(shown, meters=tuple(meters), relays=tuple(relays))
    assert POLICIES[name]().decide(again) == POLICIES[name]().decide(shown)


loads = st.lists(
    st.tuples(st.integers(1, 40), st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=7
)


def one_house(rows: list[tuple[int, int, int]], supply: int) -> View:
    shown = view(house("ann", supply, {f"r{n}": float(row[0]) for n, row in enumerate(rows)}))
    relays = tuple(
        replace(relay, shed_price_utok_per_kwh=rows[n][1], importance=rows[n][2], since_ms=n)
        for n, relay in enumerate(shown.relays)
    )
    return replace(shown, relays=relays)


def cut_rows(name: str, rows: list[tuple[int, int, int]], supply: int) -> list[int]:
    verdict = POLICIES[name]().decide(one_house(rows, supply))
    return [int(order.relay[1:]) for order in verdict.orders if order.cut]


def sufficient(rows: list[tuple[int, int, int]], supply: int) -> list[tuple[int, ...]]:
    need = sum(row[0] for row in rows) - supply
    picks = [p for size in range(len(rows) + 1) for p in combinations(range(len(rows)), size)]
    return [pick for pick in picks if sum(rows[n][0] for n in pick) >= need]


def exceeds(rows: list[tuple[int, int, int]], supply: int) -> bool:
    return (sum(row[0] for row in rows) - supply) * 1000 > supply * SHED


@given(rows=loads, supply=watts)
def test_least_disruption_is_the_least_there_is(
    rows: list[tuple[int, int, int]], supply: int
) -> None:
    if exceeds(rows, supply):
        cut = cut_rows("least_disruption", rows, supply)
        least = min(sum(rows[n][0] for n in pick) for pick in sufficient(rows, supply))
        assert sum(rows[n][0] for n in cut) == least


@given(rows=loads, supply=watts)
def test_price_is_the_cheapest_there_is(rows: list[tuple[int, int, int]], supply: int) -> None:
    if exceeds(rows, supply):
        cut = cut_rows("price", rows, supply)
        least = min(sum(rows[n][0] * rows[n][1] for n in p) for p in sufficient(rows, supply))
        assert sum(rows[n][0] * rows[n][1] for n in cut) == least


@given(rows=loads, supply=watts)
def test_priority_cuts_nothing_while_less_important_loads_would_do(
    rows: list[tuple[int, int, int]], supply: int
) -> None:
    cut = cut_rows("priority", rows, supply)
    need = sum(row[0] for row in rows) - supply
    for n in cut:
        below = sum(row[0] for row in rows if row[2] < rows[n][2])
        assert below < need


@given(rows=loads, supply=watts)
def test_proportional_cuts_nobody_by_more_than_his_part_and_a_load(
    rows: list[tuple[int, int, int]], supply: int
) -> None:
    houses = [
        house(f"m{k}", supply if k == 0 else 0, {f"m{k}-{n}": float(rows[n][0]) for n in picked})
        for k in range(2)
        if (picked := range(k, len(rows), 2))
    ]
    shown = view(*houses)
    pool = pool_of(shown)
    whole_mw = sum(load.power_mw for load in pool.loads)
    need_mw = whole_mw - supply * 1000
    verdict = POLICIES["proportional"]().decide(shown)
    for member in pool.members:
        own = {load.relay.name: load.power_mw for load in member.loads}
        off = [own[o.node, o.relay] for o in verdict.orders if o.cut if o.member == member.member]
        if off:
            part = need_mw * sum(own.values()) + whole_mw  # a whole mW more, as it is rounded up
            assert (sum(off) - max(own.values())) * whole_mw < part


@given(count=st.integers(2, 6), data=st.data())
def test_rotation_bounds_every_outage_where_turns_are_enough(
    count: int, data: st.DataObject
) -> None:
    """Equal loads, room for some of them: nobody is out for longer than the bound."""
    room = data.draw(st.integers(1, count - 1))
    step_ms = 1_000
    shown = view(
        house("ann", room * 10, {f"r{n}": 10.0 for n in range(count)}), outage_max_s=30, ahead_s=5
    )
    shown = replace(shown, relays=tuple(replace(r, since_ms=0) for r in shown.relays))
    most_ms = 0
    for _ in range(200):
        shown = obeyed(shown, POLICIES["rotation"]().decide(shown), step_ms)
        outages = [r.since_ms or 0 for r in shown.relays if r.is_cut]
        most_ms = max([most_ms, *outages])
        assert len(outages) == count - room
    assert most_ms <= 30_000
