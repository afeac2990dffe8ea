"""A day at the barrier with stand-ins for edge and hub: meters add up to what the world did."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hardware import catalog
from hardware.buses.i2c import I2cBus
from hardware.mock.wires.remote import RemoteI2c, WireLink
from testbed.clock import Clock, HubAnswer, Pace
from testbed.devices import Devices, is_reversed
from testbed.errors import NotReady
from testbed.grid.cell import TICKS_PER_UWH
from testbed.installation import socket_folder
from testbed.layout import Layout, MeterPlace, NodePlace, current_max_ma, plan
from testbed.play import HINDERED_DEADLINE_MS, HUB_DEADLINE_MS, Play
from testbed.probes import Kind, Probe
from testbed.scenario import load_scenario

MW_MS_PER_UWH = 3600


@dataclass
class StandIn:
    """An edge that reads every meter with the real driver and integrates by trapezoid."""

    node: NodePlace
    wire: Path
    doubled_mw_ms: dict[str, int] = field(default_factory=dict)
    newest: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.link = WireLink(self.wire)
        bus = I2cBus(lambda: RemoteI2c(self.link, f"{self.node.node}/i2c1"), "i2c1")
        self.meters = [(place, meter(place, bus)) for place in self.node.meters]

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        at_ms = request["instant"]
        for place, driver in self.meters:
            power_mw = driver.sample().power_mw or 0
            power_mw = -power_mw if is_reversed(place) else power_mw
            before_ms, before_mw = self.newest.get(place.meter_id, (at_ms, power_mw))
            total = self.doubled_mw_ms.get(place.meter_id, 0)
            self.doubled_mw_ms[place.meter_id] = total + (before_mw + power_mw) * (
                at_ms - before_ms
            )
            self.newest[place.meter_id] = (at_ms, power_mw)
        return {"done": at_ms, "heads": {}}


def meter(place: MeterPlace, bus: I2cBus) -> Any:
    return catalog.make_meter(
        "ina219",
        bus,
        {
            "address": place.address,
            "shunt_mohm": place.shunt_mohm,
            "current_max_ma": current_max_ma(place),
            "samples_averaged": 1,
        },
    )


def serve(path: Path, hello: dict[str, str], answer: Callable[[dict[str, Any]], Any]) -> None:
    def loop() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.connect(str(path))
            link.sendall(json.dumps(hello).encode() + b"\n")
            with link.makefile("rb") as lines:
                for line in lines:
                    link.sendall(json.dumps(answer(json.loads(line))).encode() + b"\n")

    threading.Thread(target=loop, daemon=True).start()


@dataclass
class Bench:
    layout: Layout
    devices: Devices
    clock: Clock
    edges: list[StandIn]
    hub_saw: list[dict[str, Any]] = field(default_factory=list)
    moves: Callable[[dict[str, Any]], int] = lambda _request: 0

    def play(self) -> Play:
        return Play(self.layout, self.devices, self.clock, Pace(None), lambda _at: None)

    def fold(self, request: dict[str, Any]) -> dict[str, Any]:
        self.hub_saw.append(request)
        return {"done": request["instant"], "moved": self.moves(request), "late": []}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    layout = plan(load_scenario("paper000"), None, None)
    sockets = socket_folder(tmp_path, layout)
    clock = Clock(sockets / "clock.sock")
    with Devices(layout, sockets / "wire.sock") as devices:
        edges = [StandIn(node, sockets / "wire.sock") for node in layout.nodes]
        made = Bench(layout, devices, clock, edges)
        for edge in edges:
            serve(clock.path, {"hello": "edge", "node": edge.node.node}, edge.answer)
        serve(clock.path, {"hello": "hub"}, made.fold)
        assert not clock.wait_for([*(e.node.node for e in edges), "hub"], 10)
        yield made
        clock.close()
        for edge in edges:
            edge.link.close()


def test_a_day_of_readings_is_a_day_of_the_world_to_the_unit(bench: Bench) -> None:
    """Every bench watt is a whole step of the chips, so nothing is rounded."""
    tally = bench.play().run()
    assert (tally.slots, tally.instants, tally.rounds) == (24, 289, 0)
    for edge in bench.edges[:3]:
        for place in edge.node.meters:
            ticks = bench.devices.world._registers[place.probe]
            net = (ticks.import_ticks - ticks.export_ticks) // 1000
            assert edge.doubled_mw_ms[place.meter_id] == net, place.meter_id
    assert bench.devices.world.totals.residual() == 0
    assert closed(bench) == [
        (start + bench.layout.slot_ms, start)
        for start in range(bench.layout.start_ms, bench.layout.end_ms, bench.layout.slot_ms)
    ]


def closed(bench: Bench) -> list[tuple[int, int]]:
    """Return (instant, slot) for each slot that the hub was asked to close."""
    asked = [(request["instant"], request["close"]) for request in bench.hub_saw]
    return [(instant, slot) for instant, slot in asked if slot is not None]


def test_what_switches_at_an_instant_falls_between_no_two_samples(bench: Bench) -> None:
    """At t = 7 a guard opens the heater of DEP 2 while the hub decides: 40 of 60 W end there."""
    at_seven = bench.layout.start_ms + 7 * bench.layout.slot_ms

    def shed(request: dict[str, Any]) -> int:
        opens = request["instant"] == at_seven and request["close"] is not None
        if opens:
            bench.devices.run(lambda world: world.set_pin("dep2", 23, True))
        return int(opens)

    bench.moves = shed
    bench.play().run()
    assert bench.play().tally.rounds == 0
    consumption = Probe(Kind.CONSUMPTION, "dep2")
    ticks = bench.devices.world._registers[consumption].import_ticks
    edge = bench.edges[1]
    assert edge.doubled_mw_ms["dep2-consumption"] == ticks // 1000
    hours = sum(edge_hours(bench)) - shed_watts(bench)
    assert ticks == hours * 1_000_000 * TICKS_PER_UWH


def edge_hours(bench: Bench) -> tuple[int, ...]:
    from testbed.powers import slot_powers_w

    member = bench.layout.scenario.member[1]
    return slot_powers_w(bench.layout.scenario, member.consumption, member.member)


def shed_watts(bench: Bench) -> int:
    """Return what the open heater kept back from hour 7 on. [W summed over hours]"""
    from testbed.powers import choose_loads

    loads = bench.layout.scenario.member[1].load
    chosen = [choose_loads(loads, power) or frozenset() for power in edge_hours(bench)]
    return sum(40 for names in chosen[7:] if "heater" in names)


def test_a_silent_hub_is_a_sentence(tmp_path: Path) -> None:
    layout = plan(load_scenario("paper000"), None, None)
    sockets = socket_folder(tmp_path, layout)
    clock = Clock(sockets / "clock.sock")
    with Devices(layout, sockets / "wire.sock") as devices:
        play = Play(
            layout,
            devices,
            clock,
            Pace(None),
            lambda _at: None,
            edge_timeout_s=0.0,
            hub_deadline_ms=-2500,
        )
        with pytest.raises(NotReady, match="the hub did not answer"):
            play.run()
    clock.close()


# --- faults on purpose


@dataclass
class AwayHub:
    """A clock whose hub does not answer so many times."""

    silent: int
    asked: list[int] = field(default_factory=list)

    def hub(self, _at_ms: int, *, deadline_ms: int, **_rest: object) -> HubAnswer | None:
        self.asked.append(deadline_ms)
        return None if len(self.asked) <= self.silent else HubAnswer(0, ())


def test_a_play_waits_for_a_hub_that_is_away_on_purpose(bench: Bench) -> None:
    clock = AwayHub(silent=3)
    play = Play(bench.layout, bench.devices, clock, Pace(None), lambda _at: None)  # type: ignore[arg-type]
    play.is_hindered = lambda: len(clock.asked) < 4
    assert play._fold(0, None, {}) == HubAnswer(0, ())
    assert clock.asked == [HINDERED_DEADLINE_MS] * 4
    clock.silent = 9
    with pytest.raises(NotReady, match="the hub did not answer"):
        play._fold(0, None, {})
    assert clock.asked[4:] == [HUB_DEADLINE_MS]


def test_nobody_waits_for_an_edge_that_is_away_on_purpose(bench: Bench) -> None:
    play = bench.play()
    play.nodes_away = lambda: frozenset({"dep2"})
    play.instant(bench.layout.start_ms)
    assert bench.edges[0].newest
    assert not bench.edges[1].newest
    assert not play.tally.released


def test_a_welded_contact_stays_and_a_dead_coil_falls(bench: Bench) -> None:
    (heater,) = (
        load for load in bench.layout.sites[1].loads if (load.contact and load.contact.pin == 23)
    )
    relay, link = "dep2-heater-relay", bench.edges[1].link

    def driven(level: int) -> bool:
        """Whether the heater is fed once its pin stands so; its wire is on NC."""
        link.call("pin", node="dep2", pin=23, state=level)
        return bench.devices.run(lambda world: world.is_fed(heater))

    assert [driven(1), driven(0)] == [False, True]
    bench.devices.turn(relay, "welded", True)
    assert [driven(1), driven(0), driven(1)] == [True] * 3
    bench.devices.turn(relay, "welded", False)
    assert not bench.devices.run(lambda world: world.is_fed(heater))
    bench.devices.turn(relay, "coil_dead", True)
    assert bench.devices.run(lambda world: world.is_fed(heater))
    assert [driven(0), driven(1)] == [True, True]
    bench.devices.turn(relay, "coil_dead", False)
    assert not bench.devices.run(lambda world: world.is_fed(heater))
