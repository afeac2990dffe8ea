"""Relays on a bus, turned by hand: real drivers on a simulated board, and a clock moved by hand."""

from itertools import pairwise

import pytest

from edge.busrelays import BusRelays, coils_of
from edge.lease import Rules
from edge.relays import Relays
from edge.sampler import BusThread, Device
from hardware import catalog
from hardware.errors import DeviceRefused
from hardware.mock.relays.board import WaveshareBoard
from hardware.ports import Sample
from messages.entries import sign_entry
from tests.support.edge_hub import FakeHub
from tests.support.hardware_bench import ModbusDirect

FOREVER = float("inf")


class Line(ModbusDirect):
    """A line on which every request takes its time."""

    def __init__(self, bench, device):
        super().__init__(device)
        self.bench = bench

    def _exchange(self, device, request):
        silent = "silent" in self._device.faults
        self.bench.now_s += self.bench.timeout_s if silent else self.bench.request_s
        return super()._exchange(device, request)


class Bench:
    def __init__(self, rules=None):
        self.now_s, self.request_s, self.timeout_s = 1_000.0, 0.0, 0.6
        self.hub = FakeHub()
        self.board = WaveshareBoard(clock_s=lambda: self.now_s)
        self.line = Line(self, self.board)
        self.heard = []
        places = {"heater": 1, "pump": 2}
        made = {
            name: catalog.make_relay("waveshare_relay", self.line, {"channel": channel})
            for name, channel in places.items()
        }
        coils = coils_of(made, lambda: self.now_s)
        relays = Relays(
            "dep1",
            self.hub.trust,
            coils,
            rules or dict.fromkeys(places, Rules()),
            clock_ms=lambda: int(self.now_s * 1000),
        )
        self.relays = BusRelays(
            "rs485", relays, coils.values(), self.heard.append, clock_s=lambda: self.now_s
        )
        self.made = 0

    def nonce(self, *, age_ms=0):
        self.made += 1
        nonce = self.made.to_bytes(16, "big")
        made_ms = int(self.now_s * 1000) - age_ms
        self.relays.tell({"nonce": nonce, "boottime_ms": made_ms})
        return nonce

    def order(self, relay="heater", **changes):
        """Let the hub order something, and give the bus its turn."""
        lease = self.hub.lease(self.nonce(), relay=relay, **changes)
        raw = sign_entry(self.hub.hub, lease, self.hub.trust.network_id)
        self.relays.tell({"lease": raw})

    def turn(self, until_s=FOREVER, **more):
        self.relays.turn(until_s, **more)

    def pass_time(self, seconds, *, alive=True):
        for _ in range(round(seconds * 2)):
            self.now_s += 0.5
            if alive:
                self.relays.tell({"alive": True})
            self.turn()

    def acks(self):
        """Return (relay, outcome, energised, reason) of each acknowledgement since last time."""
        found = [event.frame["ack"] for event in self.heard if "ack" in event.frame]
        self.heard.clear()
        return [(a["relay"], a["outcome"], a["energised"], a["reason"]) for a in found]

    def told(self):
        """Return relay -> energised, as told last."""
        frames = [event.frame for event in self.heard if "relays" in event.frame]
        return {each["relay"]: each["energised"] for each in frames[-1]["relays"]}

    def requests(self):
        """Return the function codes that went out since last time."""
        found = [request[0] for request in self.line.requests]
        self.line.requests.clear()
        return found


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def ready(bench):
    bench.turn()
    bench.requests()
    bench.heard.clear()
    return bench


def test_what_an_earlier_run_left_energised_is_released_before_anything_else(bench):
    bench.board.write_bits(0, [True] * 8)
    bench.turn()
    assert bench.board.coils == (False, False, *[True] * 6), "others' relays are not ours"
    assert bench.told() == {"heater": False, "pump": False}


def test_a_board_is_read_once_a_second_for_all_its_relays(ready):
    ready.pass_time(10)
    assert ready.requests() == [1] * 10
    assert {event.bus for event in ready.heard} == {"rs485"}


def test_a_lease_moves_a_relay_and_is_acknowledged_and_ends(ready):
    ready.order()
    ready.turn()
    assert ready.board.coils[:2] == (True, False)
    assert ready.told()["heater"] is True
    assert ready.acks() == [("heater", "applied", True, "deficit")]
    ready.pass_time(4.5)
    assert ready.board.coils[0] is True
    ready.pass_time(0.5)
    assert ready.board.coils[0] is False
    assert ready.acks() == [("heater", "expired", False, "its lease is over")]


def test_a_lease_runs_from_when_its_nonce_was_made(ready):
    lease = ready.hub.lease(ready.nonce(age_ms=4_000))
    ready.relays.tell({"lease": ready.hub.sign(lease)})
    ready.turn()
    assert ready.board.coils[0] is True
    ready.pass_time(1.0)
    assert ready.board.coils[0] is False


def test_a_lease_of_somebody_else_moves_nothing(ready):
    stranger = FakeHub()
    lease = stranger.lease(ready.nonce())
    ready.relays.tell({"lease": sign_entry(stranger.log, lease, ready.hub.trust.network_id)})
    ready.turn()
    assert ready.requests() == []
    assert ready.acks() == []


def test_the_rules_of_a_relay_hold_here_too():
    rules = {"heater": Rules(interlock="one"), "pump": Rules(interlock="one")}
    bench = Bench(rules)
    bench.turn()
    bench.order()
    bench.order("pump")
    bench.turn()
    assert bench.board.coils[:2] == (True, False)
    assert ("pump", "refused", False, 'interlock "one": heater is energised') in bench.acks()


def test_an_agent_that_is_silent_for_two_seconds_leaves_its_relays_released(ready):
    ready.order(ttl_ms=10_000)
    ready.turn()
    ready.pass_time(1.5, alive=False)
    assert ready.board.coils[0] is True
    ready.pass_time(0.5, alive=False)
    assert ready.board.coils[0] is False
    assert ready.acks()[-1] == ("heater", "safe", False, "the agent is silent")


def test_in_the_end_every_relay_is_released_and_says_so(ready):
    ready.order()
    ready.turn()
    ready.acks()
    ready.relays.end()
    assert ready.board.coils[0] is False
    assert ready.acks() == [("heater", "safe", False, "the agent ends")]


def test_a_board_that_lost_its_supply_is_safe_and_a_lease_that_stands_brings_it_back(ready):
    ready.order(ttl_ms=10_000)
    ready.turn()
    ready.acks()
    ready.board.faults.switch("brown_out", True)
    ready.pass_time(1.0)
    assert ready.acks() == [("heater", "safe", False, "it let go by itself")]
    ready.order(ttl_ms=10_000)
    ready.turn()
    assert ready.board.coils[0] is True


def test_a_silent_board_costs_one_timeout_and_is_left_alone_with_all_its_relays(ready):
    ready.board.faults.switch("silent", True)
    before_s = ready.now_s
    for relay in ("heater", "pump", "heater", "pump"):
        ready.order(relay)
    ready.turn()
    assert ready.now_s - before_s == pytest.approx(ready.timeout_s)
    assert ready.acks() == [
        ("heater", "refused", False, "it cannot be reached"),
        ("pump", "refused", False, "it cannot be reached"),
    ]
    asked_s = []
    for _ in range(60):
        ready.pass_time(0.5)
        asked_s += [ready.now_s] * len(ready.requests())
    gaps_s = [b - a for a, b in pairwise(asked_s)]
    assert max(gaps_s) < 8
    assert min(gaps_s[3:]) > 5
    assert ready.told() == {"heater": None, "pump": None}


def test_a_board_that_is_back_is_read_and_released_whatever_it_did_meanwhile(ready):
    ready.order()
    ready.turn()
    ready.board.faults.switch("silent", True)
    ready.pass_time(20)
    assert ready.board.coils[0] is True, "nobody could release it"
    assert ready.acks()[-1] == ("heater", "expired", False, "its lease is over")
    ready.board.faults.switch("silent", False)
    ready.pass_time(8)
    assert ready.board.coils[0] is False
    assert ready.told()["heater"] is False


def test_a_relay_that_does_not_follow_is_told_and_its_neighbours_do(ready, monkeypatch):
    obey = ready.board._switch
    monkeypatch.setattr(
        ready.board, "_switch", lambda channel, on, **more: obey(channel, on and channel != 0)
    )
    ready.order("heater")
    ready.order("pump")
    ready.turn()
    assert ready.board.coils[:2] == (False, True)
    assert ready.acks() == [
        ("heater", "refused", False, "it does not do what is written to it"),
        ("pump", "applied", True, "deficit"),
    ]
    ready.requests()
    ready.pass_time(10)
    assert ready.requests().count(5) < 20, "it is not tried for ever"


def test_what_takes_longer_than_there_is_time_waits_until_the_meters_had_their_turn(ready):
    ready.request_s = 0.3
    ready.order()
    ready.turn(comes_first=True)
    ready.pass_time(1.0)
    ready.requests()
    ready.order(energised=False)
    ready.turn(ready.now_s + 0.2)
    assert ready.requests() == []
    assert ready.relays.left_s(ready.now_s + 0.2) == pytest.approx(0.21)
    ready.turn(ready.now_s + 0.7, comes_first=True)
    assert ready.requests()[:2] == [5, 1]
    assert ready.board.coils[0] is False


def test_where_nobody_asks_the_meters_any_more_nothing_waits_for_them(ready):
    ready.request_s = 0.3
    ready.order()
    ready.turn(ready.now_s - 5)
    assert ready.board.coils[0] is True


def test_without_leases_it_wakes_for_the_next_look(ready):
    assert ready.relays.left_s(FOREVER) == pytest.approx(1.0)
    ready.now_s += 1.5
    assert ready.relays.left_s(FOREVER) == pytest.approx(0.01)


# on the bus's thread


class Meter:
    def __init__(self, bench):
        self.bench = bench
        self.asked_s = []

    def sample(self):
        self.asked_s.append(self.bench.now_s)
        return Sample(1, None, None, None, None, None)

    def close(self):
        """Nothing to close."""


def test_the_thread_has_relays_turn_after_a_sweep_and_ends_them(ready):
    heard = []
    thread = BusThread("rs485", ready.line, [Device("a", Meter(ready))], heard.append)
    assert not thread.has_relays
    thread.tell({"alive": True})
    thread.hold(ready.relays)
    assert thread.has_relays
    ready.order()
    thread.ask(1)
    thread.start()
    thread.tell({"alive": True})
    thread.stop()
    assert [event.token for event in heard] == [1]
    assert [(relay, outcome) for relay, outcome, *_ in ready.acks()] == [
        ("heater", "applied"),
        ("heater", "safe"),
    ]
    assert ready.board.coils[0] is False


# set-points


class Roof:
    """An inverter's limit on a line that can fail, and what it was told."""

    group, place = (1, -2), 0

    def __init__(self):
        self.told, self.fault = [], None

    @property
    def is_energised(self):
        return bool(self.told) and self.told[-1] is not None

    def read_group(self):
        return (self.is_energised,)

    def hold(self, power_mw, for_ms):
        if self.fault is not None:
            raise self.fault
        self.told.append((power_mw, for_ms))

    def switch(self, energised):
        self.told.append((0, 10_000) if energised else None)


class RoofBench(Bench):
    """The same bus with a limit on it."""

    def __init__(self):
        super().__init__()
        self.roof = Roof()
        coils = coils_of({"roof": self.roof}, lambda: self.now_s)
        relays = Relays(
            "dep1",
            self.hub.trust,
            coils,
            {"roof": Rules(setpoint_mw_max=3_000)},
            clock_ms=lambda: int(self.now_s * 1000),
        )
        self.relays = BusRelays(
            "rs485", relays, coils.values(), self.heard.append, clock_s=lambda: self.now_s
        )
        self.turn()
        self.roof.told.clear()
        self.heard.clear()


def test_a_set_point_is_told_again_by_each_renewal_and_once_acknowledged():
    bench = RoofBench()
    for _ in range(3):
        bench.order("roof", setpoint_mw=2_000, ttl_ms=5_000)
        bench.turn()
    assert bench.roof.told == [(2_000, 5_000)] * 3
    acks = [event.frame["ack"] for event in bench.heard if "ack" in event.frame]
    assert [(ack["outcome"], ack["setpoint_mw"]) for ack in acks] == [("applied", 2_000)]
    states = [event.frame["relays"][0] for event in bench.heard if "relays" in event.frame]
    assert states[-1]["setpoint_mw"] == 2_000


def test_a_renewal_that_the_device_did_not_hear_renews_nothing():
    bench = RoofBench()
    bench.order("roof", setpoint_mw=2_000, ttl_ms=5_000)
    bench.turn()
    bench.pass_time(2.5)
    bench.roof.fault = DeviceRefused("busy", 6)
    bench.order("roof", setpoint_mw=2_000, ttl_ms=5_000)
    bench.turn()
    assert bench.roof.is_energised
    bench.pass_time(3)
    assert [outcome for _, outcome, *_ in bench.acks()] == ["applied", "expired"]
    assert not bench.roof.is_energised


def test_a_set_point_that_the_device_does_not_take_is_refused():
    bench = RoofBench()
    bench.roof.fault = DeviceRefused("no such register", 2)
    bench.order("roof", setpoint_mw=2_000, ttl_ms=5_000)
    bench.turn()
    ((relay, outcome, energised, _reason),) = bench.acks()
    assert (relay, outcome, energised) == ("roof", "refused", False)


def test_a_board_takes_no_set_point(ready):
    ready.order("heater", setpoint_mw=2_000)
    ready.turn()
    ((_, outcome, _, reason),) = ready.acks()
    assert (outcome, reason) == ("refused", "it is a relay and takes no set-point")
