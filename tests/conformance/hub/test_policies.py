"""What every dispatch policy owes, run over the catalog."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.balancing.catalog import POLICIES
from hub.balancing.errors import BadParameter
from hub.balancing.policy import Limits, MeterPower, RelayState, View
from messages import cbor
from messages.entries import Decision, Output, sign_entry
from messages.topics import NAME
from tests.support.bench import house, relay, view
from tests.support.signers import ed25519

every_policy = pytest.mark.parametrize("name", sorted(POLICIES))
SHORT = view(house("ann", 20, {"a": 10, "b": 20, "c": 30}), house("bob", 5, {"d": -40}))

powers = st.none() | st.integers(-(10**9), 10**9)
members = st.sampled_from(["ann", "bob", ""])
meters = st.builds(
    MeterPower,
    st.sampled_from(["m1", "m2", "m3"]),
    members,
    st.sampled_from(["generation", "consumption", "net", "storage", "appliance", "boundary"]),
    st.sampled_from(["", "m1", "gone"]),
    st.integers(0, 10**9),
    powers,
    st.none() | st.integers(0, 10**6),
)
relays = st.builds(
    RelayState,
    node=st.just("pi"),
    relay=st.sampled_from(["r1", "r2", "r3"]),
    member=members,
    load=st.sampled_from(["", "m1", "m2", "gone"]),
    deenergised=st.sampled_from(["fed", "cut"]),
    rated_mw=st.integers(0, 10**9),
    is_critical=st.booleans(),
    is_cut=st.none() | st.booleans(),
    since_ms=st.none() | st.integers(0, 10**6),
    held_power_mw=st.none() | st.integers(0, 10**9),
    min_on_ms=st.integers(0, 10**4),
    min_off_ms=st.integers(0, 10**4),
    is_failsafe=st.booleans(),
)
views = st.builds(
    View,
    st.just("bench"),
    st.just(0),
    st.lists(meters, max_size=3, unique_by=lambda m: m.meter_id).map(tuple),
    st.lists(relays, max_size=3, unique_by=lambda r: r.name).map(tuple),
    st.builds(Limits, st.integers(0, 10**9), st.integers(0, 10**6)),
    st.dictionaries(st.sampled_from(["shed_permille", "x"]), st.integers(-5, 5) | st.just("x")),
)


@every_policy
def test_it_has_the_name_it_is_found_by(name: str) -> None:
    assert POLICIES[name]().name == name
    assert NAME.fullmatch(name.replace("_", "-"))


@every_policy
@given(shown=views)
def test_it_never_raises_and_orders_every_relay_once(name: str, shown: View) -> None:
    verdict = POLICIES[name]().decide(shown)
    assert [(o.node, o.relay) for o in verdict.orders] == sorted(r.name for r in shown.relays)
    states = {relay.name: relay for relay in shown.relays}
    for order in verdict.orders:
        state = states[order.node, order.relay]
        assert order.energised == state.energised(cut=order.cut)
        assert not (order.cut and state.is_critical)
        assert order.power_mw is None or order.power_mw >= 0
    assert POLICIES[name]().decide(shown) == verdict


@every_policy
@given(shown=views)
def test_a_view_that_was_kept_gives_the_same_verdict(name: str, shown: View) -> None:
    assert POLICIES[name]().decide(View.loads(shown.dumps())) == POLICIES[name]().decide(shown)


@every_policy
def test_its_words_fit_into_a_decision_entry(name: str) -> None:
    crowd = view(*(house(f"m{n}", 1, {f"r{n}": 50}, base_w=9) for n in range(60)))
    verdict = POLICIES[name]().decide(crowd)
    outputs = tuple(
        Output(o.node, o.relay, o.member, o.load, o.energised, o.cut, o.power_mw)
        for o in verdict.orders
    )
    decision = Decision(
        0, name, b"c" * 32, b"v" * 32, verdict.limit, verdict.rule, verdict.reason, outputs
    )
    assert len(sign_entry(ed25519("hub"), decision, b"n" * 32)) < cbor.ENTRY_BYTES_MAX // 4
    assert max(len(o.reason.encode()) for o in verdict.orders) < 64
    assert len(verdict.rule) < 100
    assert verdict.limit


@every_policy
def test_missing_data_is_never_a_reason_to_feed_more(name: str) -> None:
    """A generator falls silent: no load that was cut comes back for it."""
    before = {o.relay for o in POLICIES[name]().decide(SHORT).orders if not o.cut}
    silent = tuple(
        replace(m, power_mw=None) if m.purpose == "generation" else m for m in SHORT.meters
    )
    verdict = POLICIES[name]().decide(replace(SHORT, meters=silent))
    assert {o.relay for o in verdict.orders if not o.cut} <= before


@every_policy
def test_it_refuses_parameters_it_does_not_know(name: str) -> None:
    POLICIES[name]().check({})
    POLICIES[name]().check({"import_mw_max": 1, "stale_after_ms": 2})
    with pytest.raises(BadParameter, match="no-such-parameter"):
        POLICIES[name]().check({"no-such-parameter": 1})


@every_policy
def test_an_empty_bench(name: str) -> None:
    verdict = POLICIES[name]().decide(view())
    assert (verdict.orders, verdict.infeasible, verdict.deficit_mw) == ((), (), 0)
    alone = view(((), (relay("r", "ann", is_critical=True),)))
    assert [o.cut for o in POLICIES[name]().decide(alone).orders] == [False]
