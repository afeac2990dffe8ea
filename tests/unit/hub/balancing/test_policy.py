"""Views, their roots and bodies; the policy that cuts nothing; the catalog."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from hub.balancing import catalog
from hub.balancing.dep import Dep
from hub.balancing.errors import BadParameter, UnknownPolicy
from hub.balancing.none import NoDispatch
from hub.balancing.orders import power_text
from hub.balancing.policy import View, view_root
from messages import schema
from messages.errors import MalformedMessage
from messages.log.tree import check_inclusion, leaf_hash, prove_inclusion, subtree_of
from tests.support.bench import house, kept, relay, view

VIEW = view(house("ann", 20, {"a": 30, "b": -5}), house("bob", 5, {}), shed_permille=20)


def test_the_body_of_a_view_reads_back() -> None:
    assert View.loads(VIEW.dumps()) == VIEW
    with pytest.raises(MalformedMessage):
        View.loads(VIEW.dumps()[:-1])


def test_every_part_of_a_view_is_under_its_root() -> None:
    root = view_root(VIEW)
    assert len(root) == 32
    others = [
        replace(VIEW, microgrid="other"),
        replace(VIEW, at_ms=1),
        replace(VIEW, limits=replace(VIEW.limits, import_mw_max=1)),
        replace(VIEW, parameters={}),
        replace(VIEW, meters=(replace(VIEW.meters[0], power_mw=1), *VIEW.meters[1:])),
        replace(VIEW, relays=(replace(VIEW.relays[0], is_critical=True), *VIEW.relays[1:])),
        replace(VIEW, meters=VIEW.meters[1:]),
    ]
    roots = {view_root(other) for other in others}
    assert len(roots) == len(others)
    assert root not in roots


def test_a_member_can_show_how_his_meter_was_seen() -> None:
    from messages import cbor

    parts = [*VIEW.meters, *VIEW.relays, VIEW.limits]
    bodies = [schema.encode_record(part) for part in parts]
    rest = {
        "microgrid": VIEW.microgrid,
        "at_ms": VIEW.at_ms,
        "parameters": dict(VIEW.parameters),
    }
    leaves = [leaf_hash(body) for body in (*bodies, cbor.encode(rest))]
    path = prove_inclusion(1, len(leaves), subtree_of(leaves))
    leaf = leaf_hash(schema.encode_record(VIEW.meters[1]))
    check_inclusion(leaf, 1, len(leaves), path, view_root(VIEW))


def test_coils_and_loads() -> None:
    normally_closed, normally_open = relay("a", "ann"), relay("b", "ann", deenergised="cut")
    assert normally_closed.energised(cut=True)
    assert not normally_closed.energised(cut=False)
    assert not normally_open.energised(cut=True)
    assert normally_open.energised(cut=False)


def test_no_dispatch_cuts_nothing() -> None:
    verdict = NoDispatch().decide(VIEW)
    assert kept(verdict) == {"a", "b"}
    assert verdict.deficit_mw == 30_000 + 5_000 - 25_000
    assert [order.relay for order in verdict.changed(VIEW)] == ["b"]
    NoDispatch().check({"import_mw_max": 3})
    with pytest.raises(BadParameter, match="no parameter mood, shed_permille"):
        NoDispatch().check({"shed_permille": 3, "mood": 1})


def test_a_contact_nobody_spoke_of_counts_as_changed() -> None:
    unknown = replace(VIEW, relays=(relay("x", "ann", is_cut=None),))
    assert [order.relay for order in NoDispatch().decide(unknown).changed(unknown)] == ["x"]


@pytest.mark.parametrize(
    ("power_mw", "text"),
    [
        (0, "0.0 W"),
        (20_099, "20.0 W"),
        (-999, "-0.9 W"),
        (999_999, "999.9 W"),
        (1_000_000, "1.0 kW"),
        (-1_234_567, "-1.2 kW"),
    ],
)
def test_powers_for_people(power_mw: int, text: str) -> None:
    assert power_text(power_mw) == text


def test_policies_are_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(catalog.policy("dep"), Dep)
    with pytest.raises(UnknownPolicy, match="no dispatch policy 'x'; there are dep, "):
        catalog.policy("x")
    value = "hub.balancing.errors:BalancingError"
    points = EntryPoints(EntryPoint(name, value, catalog.GROUP) for name in ("lab", "dep"))
    monkeypatch.setattr(catalog, "entry_points", lambda group: points.select(group=group))
    found = catalog.installed()
    assert set(found) == {*catalog.POLICIES, "lab"}
    assert found["dep"] is Dep


@pytest.mark.parametrize(("wiring", "fed_ms", "cut_ms"), [("fed", 20, 10), ("cut", 10, 20)])
def test_least_times_are_the_coils_and_wiring_says_what_the_load_gets(
    wiring: str, fed_ms: int, cut_ms: int
) -> None:
    wired = relay("heat", "ann", deenergised=wiring, min_on_ms=10, min_off_ms=20)
    assert (wired.min_fed_ms, wired.min_cut_ms) == (fed_ms, cut_ms)
