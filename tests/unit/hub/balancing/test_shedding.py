"""The policies of the pool: who gives way, for which limit, and who comes back first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from hub.balancing.catalog import POLICIES
from hub.balancing.errors import BadParameter
from hub.balancing.policy import RelayState, Verdict, View
from hub.balancing.rotation import Rotation
from tests.support.bench import house, kept, obeyed, view

POOL = ("least_disruption", "price", "priority", "proportional", "rotation")
every = pytest.mark.parametrize("name", POOL)


def decide(name: str, shown: View) -> Verdict:
    return POLICIES[name]().decide(shown)


def with_relays(shown: View, changes: Mapping[str, Mapping[str, int | bool | None]]) -> View:
    def changed(relay: RelayState) -> RelayState:
        return replace(relay, **changes.get(relay.relay, {}))  # type: ignore[arg-type]

    return replace(shown, relays=tuple(changed(relay) for relay in shown.relays))


LOADS = {"fridge": 20.0, "lamp": 10.0, "oven": 60.0}


@pytest.mark.parametrize(
    ("supply", "stay"),
    [
        (90, {"fridge", "lamp", "oven"}),
        (80, {"fridge", "oven"}),
        (65, {"oven"}),
        (30, {"fridge", "lamp"}),  # with the oven gone the less important lamp need not go
        (5, set()),
    ],
)
def test_the_least_important_gives_way_first(supply: float, stay: set[str]) -> None:
    ranks = {"lamp": 1, "fridge": 2, "oven": 3}
    shown = with_relays(
        view(house("ann", supply, LOADS)), {k: {"importance": v} for k, v in ranks.items()}
    )
    assert kept(decide("priority", shown)) == stay


def test_equally_important_loads_go_as_the_smallest_set() -> None:
    assert kept(decide("priority", view(house("ann", 70, LOADS)))) == {"lamp", "oven"}


def off_of(name: str, shown: View) -> list[str]:
    return [order.relay for order in decide(name, shown).orders if order.cut]


def test_the_least_power_goes_whoever_has_it() -> None:
    """74 W wanted, 50 there: of all sets that make up 24 W this is the smallest."""
    shown = view(house("ann", 50, {"a": 30, "b": 25}), house("bob", 0, {"c": 10, "d": 9}))
    assert off_of("least_disruption", shown) == ["b"]


def test_everybody_gives_the_same_share() -> None:
    """40 W lack of 80: each gives half of what he has, not one of them all of it."""
    ann, bob = {"a1": 20.0, "a2": 20.0}, {"b1": 20.0, "b2": 20.0}
    shown = view(house("ann", 40, ann), house("bob", 0, bob))
    gone = off_of("proportional", shown)
    assert sorted(name[0] for name in gone) == ["a", "b"]


def test_the_cheapest_set_goes() -> None:
    prices = {"a": 5, "b": 3, "c": 1}
    shown = view(house("ann", 60, {"a": 40, "b": 30, "c": 30}))
    shown = with_relays(shown, {k: {"shed_price_utok_per_kwh": v} for k, v in prices.items()})
    assert off_of("price", shown) == ["b", "c"]  # 90 + 30; a alone would cost 200


def test_what_asks_for_nothing_goes_before_what_is_dear() -> None:
    shown = view(house("ann", 60, {"a": 40, "b": 40}))
    shown = with_relays(shown, {"b": {"shed_price_utok_per_kwh": 1}})
    assert off_of("price", shown) == ["a"]


def test_many_loads_are_priced_too() -> None:
    loads = {f"r{n:02}": 10.0 for n in range(40)}
    shown = with_relays(
        view(house("ann", 100, loads)),
        {f"r{n:02}": {"shed_price_utok_per_kwh": n} for n in range(40)},
    )
    assert off_of("price", shown) == [f"r{n:02}" for n in range(30)]


def test_who_was_fed_longest_gives_way() -> None:
    shown = view(house("ann", 20, {"a": 10, "b": 10, "c": 10}))
    shown = with_relays(
        shown, {"a": {"since_ms": 50_000}, "b": {"since_ms": 90_000}, "c": {"since_ms": 70_000}}
    )
    assert off_of("rotation", shown) == ["b"]


def test_turns_change_when_one_was_out_long_enough() -> None:
    shown = view(house("ann", 20, {"a": -10, "b": 10, "c": 10}), outage_max_s=60)
    shown = with_relays(
        shown, {"a": {"since_ms": 54_000}, "b": {"since_ms": 60_000}, "c": {"since_ms": 61_000}}
    )
    assert off_of("rotation", shown) == ["a"]
    shown = with_relays(shown, {"a": {"since_ms": 55_000}})
    assert off_of("rotation", shown) == ["c"]


def test_a_turn_that_cannot_end_is_told() -> None:
    shown = with_relays(
        view(house("ann", 0, {"a": -10, "b": -10})),
        {"a": {"since_ms": 10**7}, "b": {"since_ms": 5}},
    )
    verdict = decide("rotation", shown)
    assert kept(verdict) == set()
    assert verdict.infeasible == (
        "a is out for longer than it may be, and nothing else can give way",
    )


def test_turns_of_no_length_are_refused() -> None:
    with pytest.raises(BadParameter, match="outage_max_s is more than ahead_s"):
        Rotation().check({"outage_max_s": 5})


@every
def test_critical_loads_are_never_cut_and_the_rest_is_told(name: str) -> None:
    shown = with_relays(
        view(house("ann", 20, {"a": 10, "heart": 50})), {"heart": {"is_critical": True}}
    )
    verdict = decide(name, shown)
    assert kept(verdict) == {"heart"}
    assert verdict.infeasible == ("supply: 30.0 W too much that no relay can cut",)
    assert verdict.limit == "supply"
    assert verdict.deficit_mw == 40_000


@every
def test_a_feeder_binds_those_on_it_though_there_is_supply(name: str) -> None:
    ann, bob = house("ann", 0, {"a": 40, "b": 40}), house("bob", 500, {"c": 90})
    shown = view(ann, bob, nominal_mv=10_000, feeder_north="ann", feeder_north_ma_max=5_000)
    verdict = decide(name, shown)
    assert len(kept(verdict) & {"a", "b"}) == 1
    assert "c" in kept(verdict)
    assert verdict.limit == "feeder north"
    assert "feeder north leaves 50.0 W, 80.0 W wanted" in verdict.reason


@every
def test_a_reserve_and_an_export_are_limits_like_any_other(name: str) -> None:
    houses = house("ann", 100, {"a": 40, "b": 40})
    assert len(kept(decide(name, view(houses)))) == 2
    assert len(kept(decide(name, view(houses, reserve_mw=50_000)))) == 1
    assert len(kept(decide(name, view(houses, import_w=-50)))) == 1


@every
def test_noise_within_the_deadband_moves_nothing(name: str) -> None:
    shown = view(house("ann", 100, {"a": 51, "b": 50.5}))
    assert decide(name, shown).changed(shown) == ()
    assert decide(name, view(house("ann", 100, {"a": 51, "b": 52}))).limit == "supply"


@every
def test_what_hardly_fits_does_not_come_back(name: str) -> None:
    shown = view(house("ann", 100, {"a": 50, "b": -49}), outage_max_s=10**9)
    shown = with_relays(shown, {"b": {"since_ms": 9_000}})
    assert kept(decide(name, shown)) == {"a"}
    roomy = with_relays(view(house("ann", 102, {"a": 50, "b": -49})), {"b": {"since_ms": 9_000}})
    assert kept(decide(name, roomy)) == {"a", "b"}


@every
def test_loads_come_back_one_a_look(name: str) -> None:
    shown = view(house("ann", 100, {"a": -10, "b": -10, "c": -10}))
    shown = with_relays(shown, {n: {"since_ms": 60_000} for n in "abc"})
    counts = []
    for _ in range(4):
        verdict = decide(name, shown)
        counts.append(len(kept(verdict)))
        shown = obeyed(shown, verdict)
    assert counts == [1, 2, 3, 3]


@every
def test_what_was_cut_a_moment_ago_waits_its_least_time(name: str) -> None:
    shown = with_relays(
        view(house("ann", 100, {"a": -10})), {"a": {"since_ms": 500, "min_on_ms": 1_000}}
    )
    assert kept(decide(name, shown)) == set()
    assert decide(name, shown).orders[0].reason == "waits its least time"
    assert kept(decide(name, with_relays(shown, {"a": {"since_ms": 1_000}}))) == {"a"}


@every
def test_silent_meters_count_as_danger_and_are_named(name: str) -> None:
    shown = view(house("ann", 20, {"a": 10, "b": 10}))
    silent = tuple(replace(m, power_mw=None) if m.meter_id == "ann-pv" else m for m in shown.meters)
    verdict = decide(name, replace(shown, meters=silent))
    assert kept(verdict) == set()
    assert verdict.limit == "stale meter"
    assert "silent meters count as danger: ann-pv" in verdict.reason
