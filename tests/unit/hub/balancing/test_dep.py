"""Balancing on an island: who has too little cuts his own loads, exactly and no more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub.balancing.demand import demands
from hub.balancing.dep import DEFAULTS, Dep
from hub.balancing.errors import BadParameter
from hub.balancing.policy import Order, Verdict, View
from tests.support.bench import house, kept, meter, relay, view


def decide(*args: Any, **kwargs: Any) -> Verdict:
    return Dep().decide(view(*args, **kwargs))


HOUR_SEVEN = house("dep2", 20, {"a": 10, "b": 20, "c": 30})


def test_hour_seven_of_the_paper() -> None:
    """20 W generated, 60 W wanted, no surplus elsewhere: cut to exactly 20 W."""
    verdict = decide(house("dep1", 50, {"x": 50}), HOUR_SEVEN, house("dep3", 70, {"y": 70}))
    assert kept(verdict) == {"b", "x", "y"}
    assert verdict.infeasible == ()
    assert verdict.deficit_mw == 40_000
    assert verdict.limit == "supply"
    assert verdict.reason == "dep2 wants 60.0 W, may use 20.0 W, keeps 20.0 W"
    assert verdict.orders[0] == Order(
        "pi", "a", "dep2", "a-m", True, True, 10_000, "60.0 W wanted, 20.0 W there"
    )
    assert verdict.orders[1] == Order(
        "pi", "b", "dep2", "b-m", False, False, 20_000, "fits into 20.0 W"
    )


def test_after_the_cut_nothing_moves() -> None:
    after = view(house("dep2", 20, {"a": -10, "b": 20, "c": -30}))
    verdict = Dep().decide(after)
    assert kept(verdict) == {"b"}
    assert verdict.changed(after) == ()
    assert verdict.deficit_mw == 40_000


def test_a_surplus_elsewhere_keeps_loads_on() -> None:
    assert kept(decide(HOUR_SEVEN, house("dep1", 40, {}))) == {"a", "b", "c"}
    assert kept(decide(HOUR_SEVEN, house("dep1", 15, {}))) == {"a", "b"}
    assert kept(decide(HOUR_SEVEN, house("dep1", 30, {}))) == {"b", "c"}


def test_own_generation_comes_before_others_needs() -> None:
    """dep1 uses all it makes; that dep2 lacks more is no reason to cut dep1."""
    verdict = decide(house("dep1", 50, {"x": 50}), house("dep2", 0, {"a": 90}))
    assert kept(verdict) == {"x"}


def test_the_largest_deficit_gets_the_largest_surplus() -> None:
    verdict = decide(
        house("dep1", 30, {}), house("dep2", 0, {"a": 30}), house("dep3", 0, {"b": 20})
    )
    assert kept(verdict) == {"a"}


def test_what_one_cannot_use_goes_to_another() -> None:
    """dep2 would get the 25 W, but its load needs 60: dep3's 20 W fit."""
    verdict = decide(
        house("dep1", 25, {}), house("dep2", 0, {"a": 60}), house("dep3", 0, {"b": 20})
    )
    assert kept(verdict) == {"b"}


def test_what_is_left_of_own_generation_goes_to_another_too() -> None:
    """dep2 keeps one of two 15 W loads on 20 W; the 5 W left feed dep3's lamp."""
    verdict = decide(house("dep2", 20, {"a": 15, "b": 15}), house("dep3", 0, {"lamp": 5}))
    assert kept(verdict) == {"b", "lamp"}


def test_the_grid_tie_counts_as_a_surplus() -> None:
    assert kept(decide(HOUR_SEVEN, import_w=40)) == {"a", "b", "c"}


# --- coming back ----------------------------------------------------------------------------


def test_loads_come_back_when_they_fit() -> None:
    cut = {"a": -10.0, "b": 20.0, "c": -30.0}
    assert kept(decide(house("dep2", 29, cut))) == {"b"}
    assert kept(decide(house("dep2", 30, cut))) == {"a", "b"}  # c alone would gain no more
    assert kept(decide(house("dep2", 50, cut))) == {"b", "c"}
    assert kept(decide(house("dep2", 60, cut))) == {"a", "b", "c"}


def test_noise_moves_nothing() -> None:
    """Between restore (+1 %) and shed (+2 %) a load stays as it is."""
    fed, cut = {"b": 20.0}, {"b": -20.0}
    assert kept(decide(house("dep2", 19.7, fed))) == {"b"}
    assert kept(decide(house("dep2", 19.7, cut))) == set()
    assert kept(decide(house("dep2", 19.9, cut))) == {"b"}
    assert kept(decide(house("dep2", 19.5, fed))) == set()


def test_a_swap_must_pay() -> None:
    """20 W for 19.5 W is not worth two contacts; 20 W for 10 W is."""
    assert kept(decide(house("dep2", 20, {"a": 19.5, "b": -20}))) == {"a"}
    assert kept(decide(house("dep2", 20, {"a": 10, "b": -20}))) == {"b"}


def test_a_load_that_wants_nothing_is_on() -> None:
    silent = (
        (meter("pv", "ann", "generation", 0), meter("load", "ann", "consumption", 0)),
        (relay("a", "ann", is_cut=True, held_power_mw=0),),
    )
    assert kept(decide(silent)) == {"a"}


def test_contacts_rest_between_moves() -> None:
    meters, (fed, cut) = house("dep2", 20, {"a": 30, "b": -20})
    new = replace(fed, since_ms=400, min_off_ms=5_000)
    verdict = decide((meters, (new, cut)))
    assert kept(verdict) == {"a"}
    assert verdict.infeasible == ("dep2: 10.0 W too much that no relay can cut",)
    assert kept(decide((meters, (replace(new, since_ms=5_000), cut)))) == {"b"}
    tired = replace(cut, since_ms=400, min_on_ms=5_000)
    verdict = decide((meters, (fed, tired)))
    assert kept(verdict) == set()
    assert [order.reason for order in verdict.orders] == [
        "50.0 W wanted, 20.0 W there",
        "was cut too recently to be fed again",
    ]


# --- what cannot be cut ---------------------------------------------------------------------


def critical(shown: Any, name: str) -> Any:
    meters, relays = shown
    return meters, tuple(replace(r, is_critical=r.relay == name) for r in relays)


def test_critical_loads_are_never_cut_and_what_cannot_be_is_named() -> None:
    verdict = decide(critical(house("dep2", 20, {"a": 30, "b": 10}), "a"))
    assert kept(verdict) == {"a"}
    assert verdict.infeasible == ("dep2: 10.0 W too much that no relay can cut",)
    assert "dep2: 10.0 W too much" in verdict.reason
    assert verdict.orders[0].reason == "critical: never cut"


def test_a_critical_load_that_is_cut_is_fed_again() -> None:
    verdict = decide(critical(house("dep2", 0, {"a": -30}), "a"))
    assert kept(verdict) == {"a"}


def test_firm_demand_is_covered_before_others_comfort() -> None:
    """dep3's hospital draws its 30 W whatever anybody decides, so dep2's larger want waits."""
    verdict = decide(
        house("dep1", 30, {}),
        house("dep2", 0, {"a": 100}),
        critical(house("dep3", 0, {"b": 30}), "b"),
    )
    assert kept(verdict) == {"b"}
    assert verdict.infeasible == ()


def test_others_give_way_to_firm_demand_that_no_surplus_covers() -> None:
    verdict = decide(
        house("dep1", 50, {"x": 20, "y": 30}), critical(house("dep3", 0, {"b": 15}), "b")
    )
    assert kept(verdict) == {"y", "b"}
    assert verdict.infeasible == ()


def test_a_house_without_relays_can_only_be_named() -> None:
    verdict = decide(house("dep2", 20, {}, base_w=50))
    assert verdict.orders == ()
    assert verdict.infeasible == ("dep2: 30.0 W too much that no relay can cut",)
    assert verdict.deficit_mw == 30_000


def test_noise_is_no_alarm() -> None:
    assert decide(house("dep2", 20, {}, base_w=20.3)).infeasible == ()


def test_a_relay_that_is_not_fail_safe_is_not_relied_upon() -> None:
    meters, relays = house("dep2", 0, {"a": 30})
    assert kept(decide((meters, (replace(relays[0], is_failsafe=False),)))) == {"a"}


def test_a_relay_that_is_not_fail_safe_is_used_where_the_members_say_so() -> None:
    meters, relays = house("dep2", 0, {"a": 30})
    shown = (meters, (replace(relays[0], is_failsafe=False),))
    assert kept(decide(shown, cut_not_failsafe=1)) == set()
    with pytest.raises(BadParameter, match="cut_not_failsafe is 0 or 1"):
        Dep().check({"cut_not_failsafe": 2})


def test_nobodys_relay_is_left_alone() -> None:
    assert kept(decide(((), (relay("stray", ""),)))) == {"stray"}


# --- what is not known ----------------------------------------------------------------------


def stale(shown: Any, meter_id: str, **changes: Any) -> Any:
    meters, relays = shown
    changes = changes or {"age_ms": 3_001}
    return tuple(replace(m, **changes) if m.meter_id == meter_id else m for m in meters), relays


@pytest.mark.parametrize("changes", [{"age_ms": 3_001}, {"age_ms": None}, {"power_mw": None}])
def test_a_silent_generator_gives_nothing(changes: dict[str, Any]) -> None:
    verdict = decide(stale(house("dep2", 60, {"a": 10, "b": 20}), "dep2-pv", **changes))
    assert kept(verdict) == set()
    assert verdict.limit == "stale meter"
    assert "silent meters count as danger: dep2-pv" in verdict.reason


def test_a_silent_load_draws_its_rated_power() -> None:
    shown = house("dep2", 60, {"a": 10, "b": 20})
    assert kept(decide(stale(shown, "a-m"))) == {"b"}  # 100 W rated do not fit into 60 W


def test_a_silent_house_draws_its_rated_power() -> None:
    """100 W rated, of which 30 W are measured loads: 70 W nobody can see."""
    shown = house("dep2", 90, {"a": 10, "b": 20})
    (demand,) = demands(view(stale(shown, "dep2-load")))
    assert (demand.firm_mw, demand.wanted_mw) == (70_000, 100_000)
    assert kept(decide(stale(shown, "dep2-load"))) == {"b"}


def test_a_load_without_a_meter_counts_at_its_rated_power() -> None:
    shown = (
        (meter("pv", "ann", "generation", -30), meter("load", "ann", "consumption", 0)),
        (relay("a", "ann", rated_mw=31_000), relay("b", "ann", rated_mw=29_000)),
    )
    assert kept(decide(shown)) == {"b"}


def test_a_contact_nobody_spoke_of_stands_safe() -> None:
    shown = (
        (meter("pv", "ann", "generation", -30),),
        (
            relay("a", "ann", is_cut=None, deenergised="cut", rated_mw=20_000),
            relay("b", "ann", is_cut=None, deenergised="fed", rated_mw=10_000),
        ),
    )
    (demand,) = demands(view(shown))
    assert [load.is_cut for load in demand.loads] == [True, False]
    verdict = decide(shown)
    assert kept(verdict) == {"a", "b"}
    assert [order.energised for order in verdict.orders] == [True, False]


def test_a_sample_from_before_the_switching_counts_as_too_low() -> None:
    """A load fed again a moment ago still shows 0 W: its last power is what it will draw."""
    meters, (only,) = house("dep2", 20, {"a": 0})
    just = replace(only, since_ms=100, held_power_mw=30_000)
    (demand,) = demands(view((meters, (just,))))
    assert demand.wanted_mw == 30_000
    later = replace(just, since_ms=201)
    (demand,) = demands(view((meters, (later,))))
    assert demand.wanted_mw == 0


def test_net_and_storage_meters_count_by_their_sign() -> None:
    shown = (
        (
            meter("net", "ann", "net", -12),
            meter("battery", "ann", "storage", -8),
            meter("a-m", "ann", "appliance", 15, "net"),
            meter("feeder", "ann", "boundary", 99),
        ),
        (relay("a", "ann", "a-m"),),
    )
    (demand,) = demands(view(shown))
    assert (demand.supply_mw, demand.firm_mw, demand.wanted_mw) == (35_000, 0, 15_000)
    assert demand.meter_id == "battery"


def test_whose_load_a_relay_switches() -> None:
    meters, (only,) = house("dep2", 0, {"a": 5})
    (demand,) = demands(view((meters, (replace(only, member=""),))))
    assert demand.member == "dep2"
    assert [load.relay.relay for load in demand.flexible] == ["a"]


def test_many_silent_meters_make_a_short_sentence() -> None:
    crowd = [stale(house(f"m{n}", 1, {}), f"m{n}-pv") for n in range(9)]
    assert decide(*crowd).reason.endswith("m7-pv ...")


# --- parameters -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"mood": 3}, "dep has no parameter 'mood'"),
        ({"shed_permille": "5"}, "shed_permille is a whole number, 0 or more, not '5'"),
        ({"shed_permille": -1}, "shed_permille is a whole number, 0 or more, not -1"),
        ({"shed_permille": 10}, "restore_permille is less than shed_permille"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadParameter, match=sentence):
        Dep().check(parameters)


def test_good_parameters() -> None:
    Dep().check({})
    Dep().check({**DEFAULTS, "import_mw_max": 5, "stale_after_ms": 1_000})
    assert kept(decide(HOUR_SEVEN, shed_permille=501, restore_permille=0)) == {"a", "b"}
    text: View = replace(view(HOUR_SEVEN), parameters={"shed_permille": "x"})
    assert kept(Dep().decide(text)) == {"b"}  # a policy never raises: the usual value counts
