"""What leaves through the grid tie is capped: set-points first, then relays, else it is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.balancing.catalog import POLICIES
from hub.balancing.deciding import decide
from hub.balancing.policy import MeterPower, Order, RelayState, Verdict, View
from tests.support.bench import house, kept, view
from tests.support.sunny import later, limit, outflow_mw, roof, with_relays

SUN = {"ann-pv": 80_000, "bob-pv": 40_000}


def bench(*relays: RelayState, cap_w: int = 50, **parameters: int) -> View:
    """Ann has 80 W of sun and uses 20, Bob 40 and 10: 90 W are left over."""
    shown = view(
        house("ann", 80, {"a1": 20}),
        house("bob", 40, {"b1": 10}),
        export_mw_max=cap_w * 1000,
        **parameters,
    )
    return with_relays(shown, *relays)


def said(shown: View, name: str = "priority") -> Verdict:
    return decide(POLICIES[name](), shown)


def orders(verdict: Verdict) -> dict[str, Order]:
    return {order.relay: order for order in verdict.orders}


BOTH = (limit("ann", 100), limit("bob", 50))


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_generators_are_limited_to_the_same_part_of_their_rating(name: str) -> None:
    verdict = said(bench(*BOTH), name)
    parts = {each: order.setpoint_mw for each, order in orders(verdict).items() if order.cut}
    assert parts == {"ann-limit": 51_300, "bob-limit": 25_650}  # 3 W below the 80 that may be
    assert verdict.limit == "export"
    assert "export is capped at 50.0 W: limited to 76.9 W: ann-limit, bob-limit" in verdict.reason
    assert orders(verdict)["ann-limit"].energised
    assert kept(verdict) == {"a1", "b1"}
    after = later(bench(*BOTH), verdict, SUN)
    assert outflow_mw(after) == 46_950
    assert said(after, name).changed(after) == ()


def test_without_a_cap_or_below_it_nobody_is_limited() -> None:
    for shown in (bench(*BOTH, cap_w=90), replace(bench(*BOTH), limits=view().limits)):
        verdict = said(shown)
        assert [order.relay for order in verdict.orders if order.cut] == []
        assert verdict.limit == "none"


def test_a_limit_rises_with_the_load_and_ends_when_the_whole_rating_fits() -> None:
    shown = bench(*BOTH)
    shown = later(shown, said(shown), SUN)
    more = replace(shown, meters=tuple(_plus(meter, "ann-load", 20_000) for meter in shown.meters))
    raised = orders(said(more))
    assert (raised["ann-limit"].setpoint_mw, raised["bob-limit"].setpoint_mw) == (64_600, 32_300)
    much = replace(shown, meters=tuple(_plus(meter, "ann-load", 80_000) for meter in shown.meters))
    ended = orders(said(much))
    assert [ended[each].setpoint_mw for each in ("ann-limit", "bob-limit")] == [None, None]
    assert not ended["ann-limit"].energised


def test_a_limit_that_does_not_bind_moves_nothing() -> None:
    shown = bench(*BOTH)
    shown = later(shown, said(shown), SUN)
    cloudy = later(shown, said(shown), {"ann-pv": 40_000, "bob-pv": 20_000})
    assert said(cloudy).changed(cloudy) == ()


def _plus(meter: MeterPower, name: str, more_mw: int) -> MeterPower:
    is_it = meter.meter_id == name and meter.power_mw is not None
    return replace(meter, power_mw=(meter.power_mw or 0) + more_mw) if is_it else meter


def test_without_a_cap_any_more_limits_end() -> None:
    shown = bench(*BOTH)
    shown = later(shown, said(shown), SUN)
    free = replace(shown, limits=replace(shown.limits, export_mw_max=None))
    assert [order.cut for order in said(free).orders] == [False] * 4


def test_relays_cut_the_smallest_set_of_generators_that_is_enough() -> None:
    verdict = said(bench(roof("ann", 100), roof("bob", 50)))
    assert kept(verdict) == {"a1", "b1", "ann-roof"}
    order = orders(verdict)["bob-roof"]
    assert (order.energised, order.setpoint_mw, order.reason) == (True, None, "export is capped")
    assert order.power_mw is None  # no load went without
    assert verdict.infeasible == ()


def test_a_set_point_comes_before_a_relay() -> None:
    verdict = said(bench(limit("ann", 100), roof("bob", 50)))
    assert "bob-roof" in kept(verdict)
    assert orders(verdict)["ann-limit"].setpoint_mw == 37_000
    tight = said(bench(limit("ann", 100), roof("bob", 50), cap_w=5))
    assert orders(tight)["ann-limit"].setpoint_mw == 0
    assert "bob-roof" not in kept(tight)


@pytest.mark.parametrize(
    ("changes", "parameters"),
    [
        ({"is_critical": True}, {}),
        ({"is_failsafe": False}, {}),
        ({"since_ms": 10, "min_off_ms": 1_000}, {}),
    ],
)
def test_what_cannot_be_held_back_is_said(
    changes: dict[str, object], parameters: dict[str, int]
) -> None:
    verdict = said(bench(roof("ann", 100, **changes), **parameters))
    assert "ann-roof" in kept(verdict)
    assert verdict.infeasible == ("export: 40.0 W too much that nothing can hold back",)
    assert verdict.infeasible[0] in verdict.reason


def test_without_any_source_a_cap_that_is_exceeded_is_said() -> None:
    assert said(bench()).infeasible == ("export: 40.0 W too much that nothing can hold back",)
    assert said(bench(), "none").infeasible != ()


def test_relays_that_are_not_fail_safe_count_where_the_policy_says_so() -> None:
    shown = bench(roof("ann", 100, is_failsafe=False), cut_not_failsafe=1)
    assert "ann-roof" not in kept(said(shown))


@pytest.mark.parametrize(
    ("cap_w", "since_ms", "retry_s", "is_back"),
    [
        (50, 899_999, 900, False),  # 20 W leave now, and Bob's roof may give 50
        (110, 10, 900, True),
        (50, 900_000, 900, True),
        (50, 900_000, 0, False),
        (15, 900_000, 900, False),
    ],
)
def test_a_generator_comes_back_when_its_rating_fits_or_to_be_tried(
    cap_w: int, since_ms: int, retry_s: int, is_back: bool
) -> None:
    cut = bench(roof("ann", 100), roof("bob", 50, is_cut=True, since_ms=since_ms), cap_w=cap_w)
    lit = {"ann-pv": 50_000, "bob-pv": 0}
    meters = tuple(
        replace(meter, power_mw=-lit[meter.meter_id]) if meter.meter_id in lit else meter
        for meter in cut.meters
    )
    shown = replace(cut, meters=meters, parameters={"pv_retry_s": retry_s})
    assert ("bob-roof" in kept(said(shown))) is is_back


def test_one_generator_comes_back_a_look() -> None:
    dark = bench(roof("ann", 100, is_cut=True), roof("bob", 50, is_cut=True), cap_w=500)
    assert len(kept(said(dark)) & {"ann-roof", "bob-roof"}) == 1


def test_a_silent_generator_counts_as_its_rating() -> None:
    shown = bench(*BOTH, cap_w=95)
    assert said(shown).changed(shown) == ()
    silent = tuple(
        replace(meter, age_ms=None) if meter.meter_id == "bob-pv" else meter
        for meter in shown.meters
    )
    verdict = said(replace(shown, meters=silent))
    assert orders(verdict)["bob-limit"].setpoint_mw is not None


def test_a_device_that_keeps_no_limit_counts_as_what_it_shows() -> None:
    standing = limit("ann", 100, is_cut=True, setpoint_mw=10_000, since_ms=2_000)
    shown = bench(standing, roof("bob", 50), cap_w=50)
    assert "bob-roof" not in kept(said(shown))
    new = replace(standing, since_ms=1_999)  # it may still be about to
    assert "bob-roof" in kept(said(bench(new, roof("bob", 50), cap_w=50)))


def test_a_load_that_waits_is_fed_from_what_a_limit_holds_back() -> None:
    """Nothing may leave, so the roof is held to what is drawn: a waiting load sees no surplus."""
    held = limit("ann", 100, is_cut=True, setpoint_mw=20_000, since_ms=60_000)
    shown = with_relays(
        view(house("ann", 20, {"a1": 20, "a2": -30}), export_mw_max=0), replace(held)
    )
    shown = replace(shown, relays=tuple(replace(r, since_ms=60_000) for r in shown.relays))
    assert kept(said(shown)) >= {"a1", "a2"}
    soon = replace(shown, relays=tuple(replace(r, since_ms=59_999) for r in shown.relays))
    assert "a2" not in kept(said(soon))
