"""A battery gives before a load is cut, where the policy says so; an empty one does not save it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.balancing.catalog import POLICIES
from hub.balancing.deciding import decide
from hub.balancing.errors import BadParameter
from hub.balancing.policy import Order, RelayState, Verdict, View
from hub.balancing.supply import ENDED, REASONS
from tests.support.bench import house, kept, meter, relay, view
from tests.support.sunny import battery, later, stored, with_relays

EVERY = sorted(set(POLICIES) - {"none"})


def bench(sun_w: int = 30, *, gives_w: int = 0, **changes: object) -> View:
    """Ann wants 50 W; her battery can give 100 and gives so much now."""
    first = int(changes.pop("battery_first", 1))  # type: ignore[call-overload]
    shown = view(house("ann", sun_w, {"a1": 20, "a2": 30}), battery_first=first)
    return stored(shown, "ann", gives_w, battery("ann", 100, **changes))


def said(shown: View, name: str = "priority") -> Verdict:
    return decide(POLICIES[name](), shown)


def told(verdict: Verdict) -> Order:
    (order,) = [order for order in verdict.orders if order.relay == "ann-battery"]
    return order


@pytest.mark.parametrize("name", EVERY)
def test_a_battery_gives_what_is_lacking_and_nothing_is_cut(name: str) -> None:
    shown = bench()
    verdict = said(shown, name)
    assert told(verdict).setpoint_mw == -22_500  # 20 W, and half of 5 % of its rating
    assert told(verdict).energised
    assert kept(verdict) >= {"a1", "a2"}
    assert verdict.limit == "supply"
    assert "batteries give 22.5 W: ann-battery" in verdict.reason
    after = later(shown, verdict, {"ann-pv": 30_000}, batteries={"ann-battery": 100_000})
    assert said(after, name).changed(after) == ()


@pytest.mark.parametrize("name", EVERY)
def test_without_the_parameter_or_the_deficit_it_is_left_to_itself(name: str) -> None:
    assert told(said(bench(battery_first=0), name)).setpoint_mw is None
    assert kept(said(bench(battery_first=0), name)) != {"a1", "a2"}
    assert told(said(bench(50), name)).setpoint_mw is None


def test_its_own_charging_gives_way_before_a_load() -> None:
    verdict = said(bench(60, gives_w=-40))
    assert told(verdict).setpoint_mw == 0
    assert told(verdict).reason == "does not charge now"
    assert kept(verdict) >= {"a1", "a2"}


def test_it_is_told_anew_only_when_the_need_has_moved() -> None:
    standing = {"is_cut": True, "setpoint_mw": -22_500, "since_ms": 10_000}
    assert told(said(bench(32, gives_w=22, **standing))).setpoint_mw == -22_500
    assert told(said(bench(20, gives_w=22, **standing))).setpoint_mw == -32_500
    assert told(said(bench(40, gives_w=22, **standing))).setpoint_mw == -12_500
    assert told(said(bench(52, gives_w=22, **standing))).setpoint_mw == 0
    assert told(said(bench(56, gives_w=22, **standing))).setpoint_mw is None


def test_an_empty_battery_is_given_two_seconds_and_then_loads_are_cut() -> None:
    standing = {"is_cut": True, "setpoint_mw": -22_500}
    assert kept(said(bench(gives_w=5, since_ms=1_999, **standing))) >= {"a1", "a2"}
    verdict = said(bench(gives_w=5, since_ms=2_000, **standing))
    assert "a1" not in kept(verdict)
    assert "a2" in kept(verdict)


@pytest.mark.parametrize("changes", [{"unusable": "its override"}, {}])
def test_what_cannot_be_counted_on_gives_nothing(changes: dict[str, str]) -> None:
    shown = bench(**changes)
    if not changes:
        silent = tuple(
            replace(each, age_ms=None) if each.meter_id == "ann-store" else each
            for each in shown.meters
        )
        shown = replace(shown, meters=silent)
    assert told(said(shown)).setpoint_mw is None
    assert kept(said(shown)) < {"a1", "a2", "ann-battery"}


def test_a_feeder_is_helped_by_the_battery_on_it() -> None:
    limits = {"nominal_mv": 1000, "feeder_x": "bob", "feeder_x_ma_max": 10_000, "battery_first": 1}
    shown = view(house("ann", 200, {"a1": 20}), house("bob", 0, {"b1": 30}), **limits)
    ann = stored(shown, "ann", 0, battery("ann", 100))
    assert "b1" not in kept(said(ann))  # hers is on another line
    bob = stored(shown, "bob", 0, battery("bob", 100))
    verdict = said(bob)
    assert "b1" in kept(verdict)
    (order,) = [order for order in verdict.orders if order.relay == "bob-battery"]
    assert order.setpoint_mw == -22_500


def test_it_gives_nothing_for_who_has_no_credit_left() -> None:
    shown = bench()
    relays = tuple(
        replace(each, withheld=REASONS[ENDED], is_cut=True) if each.relay == "a2" else each
        for each in shown.relays
    )
    meters = tuple(
        replace(each, power_mw={"ann-load": 20_000, "a2-m": 0}.get(each.meter_id, each.power_mw))
        for each in shown.meters
    )
    verdict = said(replace(shown, relays=relays, meters=meters))
    assert told(verdict).setpoint_mw is None


def test_a_battery_behind_a_net_meter_counts_there() -> None:
    relays: tuple[RelayState, ...] = (
        relay("a1", "ann", "a1-m"),
        replace(battery("ann", 100), load="ann-store"),
    )
    meters = (
        meter("ann-net", "ann", "net", 20),
        meter("ann-store", "ann", "storage", 0, "ann-net"),
        meter("a1-m", "ann", "appliance", 20, "ann-net"),
    )
    shown = view((meters, relays), battery_first=1)
    verdict = said(shown)
    assert told(verdict).setpoint_mw == -22_500
    assert kept(verdict) >= {"a1"}


def test_the_parameter_is_checked() -> None:
    for name in POLICIES:
        POLICIES[name]().check({"battery_first": 1})
        with pytest.raises(BadParameter, match="battery_first"):
            POLICIES[name]().check({"battery_first": -1})


@pytest.mark.parametrize("name", EVERY)
def test_a_boundary_meter_takes_nothing_away_from_what_it_gives(name: str) -> None:
    shown = bench()
    boundary = meter("grid", "", "boundary", 20)
    meters = sorted([*shown.meters, boundary], key=lambda each: each.meter_id)
    verdict = said(replace(shown, meters=tuple(meters)), name)
    assert told(verdict).setpoint_mw == -22_500
    assert kept(verdict) >= {"a1", "a2"}


@pytest.mark.parametrize("kind", ["limit", "battery"])
def test_a_set_point_that_no_meter_shows_is_left_to_itself_and_draws_nothing(kind: str) -> None:
    shown = view(house("ann", 50, {"a1": 20, "a2": 30}), battery_first=1)
    lost = replace(battery("ann", 100), setpoint=kind)
    verdict = said(with_relays(shown, lost))
    assert (told(verdict).setpoint_mw, told(verdict).cut) == (None, False)
    assert told(verdict).reason == "no meter shows what it does"
    assert kept(verdict) == {"a1", "a2", "ann-battery"}
