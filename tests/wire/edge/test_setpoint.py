"""From samples to a limited inverter and back: hub, lease, bus, wire, signed answer, own timer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hardware import catalog
from hardware.mock.points import Plant
from hardware.mock.sunspec.device import SunSpecInverter
from hub.core.events import read_event
from messages.entries import Decision, RelayEntry
from tests.support.hardware_bench import modbus
from tests.support.leased import Clock, Way, leased

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
            leased(folder, bus, "sunspec_limit", ENTRY, powers, clock, **policy)
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
