"""The files of a simulated installation are what the programs themselves accept."""

from itertools import count
from pathlib import Path

import pytest

from edge.config import load_config as load_edge_config
from hub.config import load_config as load_hub_config
from hub.ledger.store import Store
from testbed.errors import BadScenario
from testbed.founding import found_microgrid
from testbed.homes import Home, Homes
from testbed.installation import Installation, socket_folder
from testbed.layout import Layout, current_max_ma, plan, shunt_mohm
from testbed.probes import Kind
from testbed.scenario import load_scenario

HOMES = Homes((Home("a", [1_000], [0]), Home("b", [0], [2_000]), Home("c", [5], [5])), 1, 900_000)


def installation(folder: Path, layout: Layout) -> Installation:
    folder.mkdir(parents=True, exist_ok=True)
    return Installation(folder, layout, 1883, 8088, socket_folder(folder, layout))


@pytest.fixture(params=["paper000", "village", "homes"])
def layout(request: pytest.FixtureRequest) -> Layout:
    scenario = load_scenario(request.param)
    planned = plan(scenario, HOMES if scenario.homes else None, None, homes_an_edge=2)
    ports = count(20_000)
    return planned.with_ports(ports)


def test_every_configuration_is_accepted_and_names_what_was_planned(
    tmp_path: Path, layout: Layout
) -> None:
    made = installation(tmp_path / "demo", layout)
    made.write()
    hub = load_hub_config(made.hub_toml)
    assert (hub.microgrid, hub.slots.slot_ms) == (layout.scenario.microgrid, layout.slot_ms)
    for node in layout.nodes:
        edge = load_edge_config(made.edge_toml(node.node))
        assert [m.meter_id for m in edge.meter] == [m.meter_id for m in node.meters]
        assert [r.relay for r in edge.relay] == [r.relay for r in node.relays]
        assert edge.simulation is not None
        assert edge.guard.socket == str(made.guard(node.node))


def test_generators_on_shunts_are_mounted_backwards_and_nothing_else(
    tmp_path: Path, layout: Layout
) -> None:
    made = installation(tmp_path / "demo", layout)
    made.write()
    for node in layout.nodes:
        for table in load_edge_config(made.edge_toml(node.node)).meter:
            wanted = table.model == "ina219" and table.purpose == "generation"
            assert table.reversed is wanted


def test_a_long_path_gets_its_sockets_elsewhere(tmp_path: Path) -> None:
    layout = plan(load_scenario("paper000"), None, None)
    made = installation(tmp_path / ("deep" * 20), layout)
    made.write()
    config = load_edge_config(made.edge_toml("dep1"))
    assert config.simulation is not None
    paths = [config.guard.socket, config.simulation.wire, config.simulation.clock]
    assert all(path is not None and len(path.encode()) < 107 for path in paths)
    assert made.sockets.parent != made.folder
    made.sockets.rmdir()


def test_founding_enrols_every_meter_and_nothing_twice(tmp_path: Path, layout: Layout) -> None:
    made = installation(tmp_path / "demo", layout)
    found_microgrid(made)
    with Store.open(load_hub_config(made.hub_toml).database, read_only=True) as store:
        kinds = [entry.kind for entry in store.entries()]
    meters = sum(len(node.meters) for node in layout.nodes)
    assert kinds == ["genesis", "policy", *["key"] * (meters + len(layout.nodes))]
    keys = list((made.folder / "keys").glob("*.pem"))
    assert len(keys) == 3 + meters + len(layout.nodes)
    assert all(key.stat().st_mode & 0o77 == 0 for key in keys)


def test_a_policy_that_nobody_can_follow_is_refused_before_anything_is_made(
    tmp_path: Path,
) -> None:
    text = (tmp_path / "mine.toml").resolve()
    text.write_text(scenario_file().replace('deficit = "curtail"', 'deficit = "pray"'))
    made = installation(tmp_path / "demo", plan(load_scenario(str(text)), None, None))
    with pytest.raises(BadScenario, match="deficit"):
        found_microgrid(made)
    assert not made.hub_toml.exists()


def scenario_file() -> str:
    from testbed.scenario import scenario_text

    return scenario_text("paper000")


@pytest.mark.parametrize(
    ("rated_w", "mohm"), [(10, 100), (40, 50), (120, 20), (250, 10), (350, 5), (2_000, 1)]
)
def test_the_largest_shunt_that_carries_a_fifth_more_is_taken(rated_w: int, mohm: int) -> None:
    assert shunt_mohm("m", rated_w, 12_500) == mohm


def test_too_much_for_an_ina219_is_a_sentence() -> None:
    with pytest.raises(BadScenario, match=r"m: 9000 W at 12500 mV is more than an INA219"):
        shunt_mohm("m", 9_000, 12_500)


def test_homes_share_edges_as_asked() -> None:
    planned = plan(load_scenario("homes"), HOMES, None, homes_an_edge=2)
    assert [node.node for node in planned.nodes] == ["street1", "street2"]
    assert [len(node.meters) for node in planned.nodes] == [4, 2]
    assert [m.address for m in planned.nodes[0].meters] == [1, 2, 3, 4]
    assert {m.probe.kind for m in planned.nodes[0].meters} == {Kind.GENERATION, Kind.CONSUMPTION}
    many = Homes(tuple(Home(f"h{n}", [1], [1]) for n in range(124)), 1, 900_000)
    with pytest.raises(BadScenario, match="Modbus has 247 unit addresses"):
        plan(load_scenario("homes"), many, None, homes_an_edge=124)


def test_every_current_fits_its_shunt() -> None:
    for node in plan(load_scenario("paper000"), None, None).nodes:
        for meter in node.meters:
            assert meter.rated_w * 1_000_000 // 12_500 <= current_max_ma(meter)
