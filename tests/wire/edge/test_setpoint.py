"""From samples to a limited inverter and back: hub, lease, bus, wire, signed answer, own timer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hardware import catalog
from hardware.mock.points import Plant
from hardware.mock.sunspec.device import SunSpecHybrid, SunSpecInverter
from hub.core.events import read_event
from messages.entries import Decision, RelayEntry
from tests.support.hardware_bench import modbus
from tests.support.leased import Clock, Part, Way, leased

RATED_MW, CAP_MW, SUN_MW, DRAWN_MW = 3_000_000, 1_000_000, 2_400_000, 400_000
ENTRY = RelayEntry("roof", "fed", "pv", "alice", RATED_MW, critical=False, setpoint="limit")


@pytest.fixture(params=["direct", "modbus_tcp", "modbus_rtu"])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Way]:
    """A roof in full sun, most of which would leave, where a third of its rating may."""
    clock = Clock()
    inverter = SunSpecInverter(Plant(pv_power_mw=SUN_MW), clock_s=clock.now_s)
    with ExitStack() as stack:
        bus = modbus(request.param, inverter, tmp_path, stack)
        meter = catalog.make_meter("sunspec", bus, {"address": 1})

        def powers() -> dict[str, int]:
            return {"pv": meter.sample().power_mw or 0, "load": DRAWN_MW, "heater": 0}

        policy = {"dispatch": "none", "dispatch_parameters": {"export_mw_max": CAP_MW}}
        folder = tmp_path / "hub"
        folder.mkdir()
        yield stack.enter_context(
            leased(folder, Part(bus, "sunspec_limit", ENTRY), powers, clock, **policy)
        )


def decisions(way: Way) -> list[Decision]:
    entries = way.board.spine.recorder.store.of_kind("decision")
    bodies = [read_event(entry.index, entry.raw).body for entry in entries]
    return [body for body in bodies if isinstance(body, Decision)]


def left_mw(way: Way) -> int:
    return -way.powers()["pv"] - DRAWN_MW


def test_what_would_leave_is_limited_and_let_go(way: Way) -> None:
    assert left_mw(way) == SUN_MW - DRAWN_MW
    way.run(4)
    assert CAP_MW * 9 // 10 < left_mw(way) <= CAP_MW
    (told,) = [output for each in decisions(way) for output in each.outputs if output.cut]
    assert told.setpoint_mw == RATED_MW * 446 // 1000
    assert decisions(way)[-1].limit == "export"
    assert "export is capped at 1.0 kW" in decisions(way)[-1].reason
    assert way.acks() == [("applied", True, told.setpoint_mw)]
    way.run(10)  # renewals are no news
    assert len(way.acks()) == 1
    assert left_mw(way) <= CAP_MW


def test_when_the_node_dies_the_inverter_lets_go_by_its_own_timer(way: Way) -> None:
    way.run(4)
    assert left_mw(way) <= CAP_MW
    way.clock.now_ms += 6_000  # the life of a lease; nobody does anything
    assert left_mw(way) == SUN_MW - DRAWN_MW


def test_when_the_hub_is_silent_the_node_ends_the_limit(way: Way) -> None:
    way.run(4)
    way.carries = False
    way.run(7)
    assert left_mw(way) == SUN_MW - DRAWN_MW
    assert [outcome for outcome, *_ in way.acks()][:2] == ["applied", "expired"]


# a battery


BATTERY = RelayEntry("store", "fed", "pv", "alice", RATED_MW, critical=False, setpoint="battery")


@pytest.fixture(params=["direct", "modbus_rtu"])
def island(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Way, SunSpecHybrid]]:
    """A house that draws 400 W on an island, with nothing but a battery."""
    clock = Clock()
    hybrid = SunSpecHybrid(Plant(), rated_mw=RATED_MW, clock_s=clock.now_s)
    with ExitStack() as stack:
        bus = modbus(request.param, hybrid, tmp_path, stack)
        meter = catalog.make_meter("sunspec", bus, {"address": 1})

        def powers() -> dict[str, int]:
            return {"pv": meter.sample().power_mw or 0, "load": DRAWN_MW, "heater": 0}

        folder = tmp_path / "hub"
        folder.mkdir()
        way = leased(
            folder,
            Part(bus, "sunspec_storage", BATTERY),
            powers,
            clock,
            owners={"pv": {"purpose": "storage"}},
            dispatch="priority",
            dispatch_parameters={"battery_first": 1},
        )
        yield stack.enter_context(way), hybrid


def test_a_battery_gives_what_is_lacking(island: tuple[Way, SunSpecHybrid]) -> None:
    way, hybrid = island
    way.run(4)
    told = -DRAWN_MW - RATED_MW * 25 // 1000
    step_mw = RATED_MW // 10_000  # a rate has steps of 0.01 %, and is rounded towards nothing
    assert hybrid.battery.power_mw == -(-told // step_mw * step_mw)
    assert decisions(way)[-1].outputs[0].setpoint_mw == told
    assert "batteries give 475.0 W: store" in decisions(way)[-1].reason
    assert way.acks() == [("applied", True, told)]
    way.clock.now_ms += 6_000
    assert hybrid.battery.power_mw == 0


def test_an_empty_battery_is_said_to_be_not_enough(island: tuple[Way, SunSpecHybrid]) -> None:
    way, hybrid = island
    hybrid.battery.charge_percent = 0
    way.run(6)
    verdict = way.board.dispatcher.verdict
    assert verdict is not None
    assert verdict.infeasible == ("supply: 400.0 W too much that no relay can cut",)
