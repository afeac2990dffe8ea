"""Whatever a bench shows: nobody uses more than there is, and dispatch comes to rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hub.balancing.demand import demands
from hub.balancing.dep import Dep, share_out
from hub.balancing.policy import Verdict, View
from tests.support.bench import house, obeyed, view

watts = st.integers(0, 60)
loads = st.lists(st.integers(-40, 40), max_size=4)
members = st.lists(st.tuples(watts, loads, st.sampled_from([0, 0, 5])), max_size=4)


def bench(rows: list[tuple[int, list[int], int]], import_w: int = 0) -> View:
    houses = [
        house(f"m{n}", supply, {f"m{n}-{k}": power for k, power in enumerate(powers)}, base)
        for n, (supply, powers, base) in enumerate(rows)
    ]
    return view(*houses, import_w=import_w, restore_permille=0, shed_permille=1)


def firm(shown: View, picks: list[bool]) -> View:
    relays = tuple(
        replace(relay, is_critical=critical)
        for relay, critical in zip(shown.relays, [*picks, *[False] * 99], strict=False)
    )
    return replace(shown, relays=relays)


def used_mw(shown: View, verdict: Verdict) -> int:
    powers = {load.relay.name: load.power_mw for m in demands(shown) for load in m.loads}
    fed = sum(powers[order.node, order.relay] for order in verdict.orders if not order.cut)
    base = sum(m.firm_mw - sum(x.power_mw for x in m.loads if x.is_firm) for m in demands(shown))
    return fed + base


cases = st.builds(
    firm,
    st.builds(bench, members, st.sampled_from([0, 0, 30])),
    st.lists(st.booleans(), max_size=4),
)


@given(cases)
def test_an_island_never_uses_more_than_there_is_unless_it_says_so(shown: View) -> None:
    verdict = Dep().decide(shown)
    supply_mw = sum(m.supply_mw for m in demands(shown)) + shown.limits.import_mw_max
    slack_mw = supply_mw // 1000 + len(shown.relays) + 1  # shed_permille = 1, rounded a member
    if not verdict.infeasible:
        assert used_mw(shown, verdict) <= supply_mw + slack_mw


@given(cases)
def test_what_fits_is_never_cut(shown: View) -> None:
    wanted_mw = sum(m.wanted_mw for m in demands(shown))
    supply_mw = sum(m.supply_mw for m in demands(shown)) + shown.limits.import_mw_max
    verdict = Dep().decide(shown)
    if wanted_mw <= supply_mw:
        assert not any(order.cut for order in verdict.orders)
        assert verdict.infeasible == ()


@given(cases)
def test_critical_loads_are_fed_and_every_relay_has_its_order(shown: View) -> None:
    verdict = Dep().decide(shown)
    assert [(o.node, o.relay) for o in verdict.orders] == [r.name for r in shown.relays]
    for order, relay in zip(verdict.orders, shown.relays, strict=True):
        assert not (relay.is_critical and order.cut)
        assert order.energised == relay.energised(cut=order.cut)


@given(cases)
def test_obeying_changes_nobodys_wants_and_ends_soon(shown: View) -> None:
    wanted = [(m.member, m.wanted_mw, m.supply_mw) for m in demands(shown)]
    for _ in range(4):
        verdict = Dep().decide(shown)
        if not verdict.changed(shown):
            break
        shown = obeyed(shown, verdict)
        assert [(m.member, m.wanted_mw, m.supply_mw) for m in demands(shown)] == wanted
    assert Dep().decide(shown).changed(shown) == ()


@given(cases)
def test_sharing_out_creates_nothing(shown: View) -> None:
    members = demands(shown)
    capacity = share_out(members, shown.limits.import_mw_max)
    supply_mw = sum(m.supply_mw for m in members)
    assert supply_mw <= sum(capacity.values()) <= supply_mw + shown.limits.import_mw_max
    for m in members:
        assert min(m.supply_mw, m.firm_mw) <= capacity[m.member] <= max(m.supply_mw, m.wanted_mw)


@given(cases, st.randoms(use_true_random=False))
def test_the_order_of_the_view_does_not_matter(shown: View, random: Any) -> None:
    meters, relays = list(shown.meters), list(shown.relays)
    random.shuffle(meters)
    random.shuffle(relays)
    again = replace(shown, meters=tuple(meters), relays=tuple(relays))
    assert Dep().decide(again) == Dep().decide(shown)
