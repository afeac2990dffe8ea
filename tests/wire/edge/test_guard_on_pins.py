"""The guard over its socket and simulated pins: a switch at the bench beats the hub's leases."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.boots import SHORT_BOOTS_MAX, Boots, boots_file, forget, write_short
from edge.door import listening
from edge.frames import FrameReader, encode_frame
from edge.guard import Guard
from edge.lease import Rules
from edge.override import BACK_AFTER_MS, Hold, Switch
from edge.relays import Relays
from hardware.buses.gpio import InputPin
from hardware.catalog import make_relay
from hardware.mock.wires.pins import BenchFactory
from tests.support.edge_hub import FakeHub

COIL, STOP = 17, 27
WHY = "overridden locally by switch stop"


class Bench:
    """A guard turned by hand, with a coil on one pin and a switch on another."""

    def __init__(self, folder: Path, door: socket.socket, *, energised: bool = False) -> None:
        self.hub, self.now_ms = FakeHub(), 50_000
        self.board = BenchFactory()
        self.coil = make_relay("gpio_relay", self.board, {"pin": COIL, "active_high": True})
        relays = Relays(
            "dep1", self.hub.trust, {"heater": self.coil}, {"heater": Rules()}, lambda: self.now_ms
        )
        self.pin = InputPin(self.board, STOP)
        self.board.pin(STOP).drive_low()  # closed to ground: normal
        switch = Switch(self.pin, True, {"heater": Hold(energised, WHY)})
        self.boots = Boots(folder, "guard", clock_ms=lambda: self.now_ms)
        self.boots.__enter__()
        self.guard = Guard(
            relays, door, lambda: self.now_ms, hold=self.boots.look, switches=(switch,)
        )
        self.agent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.agent.connect(door.getsockname())
        self.agent.settimeout(5)
        self.reader = FrameReader()
        self.told: list[dict[str, object]] = []
        self.turn(0)
        self.turn(0)

    def turn(self, passed_ms: int) -> None:
        """Let time pass for a guard whose agent is well, and hear what it tells."""
        self.now_ms += passed_ms
        self.agent.sendall(encode_frame({"alive": True}))
        self.guard.turn()
        self.agent.setblocking(False)
        try:
            while received := self.agent.recv(65_536):
                self.told += self.reader.take(received)
        except BlockingIOError:
            pass
        self.agent.settimeout(5)

    def lease(self) -> None:
        nonce = next(f["nonce"] for f in reversed(self.told) if "nonce" in f)
        lease = self.hub.lease(nonce, ttl_ms=10_000)  # type: ignore[arg-type]
        self.agent.sendall(encode_frame({"lease": self.hub.sign(lease)}))
        self.turn(0)

    @property
    def acks(self) -> list[tuple[str, str]]:
        acks = (f["ack"] for f in self.told if "ack" in f)
        return [(ack["outcome"], ack["reason"]) for ack in acks]  # type: ignore[index]

    @property
    def is_high(self) -> bool:
        return bool(self.board.history(COIL)[-1])

    def close(self) -> None:
        self.guard.close()
        self.agent.close()
        self.coil.close()
        self.pin.close()


@pytest.fixture
def door(tmp_path: Path) -> Iterator[socket.socket]:
    with listening(tmp_path / "guard.sock") as made:
        yield made


def test_a_thrown_switch_takes_the_pin_from_the_hub(tmp_path: Path, door: socket.socket) -> None:
    bench = Bench(tmp_path, door)
    bench.lease()
    assert bench.is_high
    bench.board.pin(STOP).drive_high()
    bench.turn(1)
    assert not bench.is_high
    bench.lease()
    assert not bench.is_high
    assert bench.acks == [("applied", "deficit"), ("override", WHY), ("refused", WHY)]
    bench.board.pin(STOP).drive_low()
    bench.turn(BACK_AFTER_MS)
    bench.lease()
    assert bench.is_high
    bench.close()


def test_a_person_feeds_a_load_without_agent_and_hub(tmp_path: Path, door: socket.socket) -> None:
    bench = Bench(tmp_path, door, energised=True)
    bench.board.pin(STOP).drive_high()
    bench.turn(1)
    assert bench.is_high
    bench.agent.close()
    bench.guard.turn()
    bench.now_ms += 3_600_000
    bench.guard.turn()
    assert bench.is_high
    bench.board.pin(STOP).drive_low()
    bench.now_ms += BACK_AFTER_MS
    bench.guard.turn()
    assert not bench.is_high
    bench.close()


def test_after_five_short_lives_no_lease_moves_the_pin(tmp_path: Path, door: socket.socket) -> None:
    write_short(boots_file(tmp_path, "guard"), SHORT_BOOTS_MAX)
    bench = Bench(tmp_path, door)
    bench.lease()
    assert not bench.is_high
    ((outcome, reason),) = bench.acks
    assert (outcome, reason[:13]) == ("refused", "metering only")
    assert forget(tmp_path) == {"guard": SHORT_BOOTS_MAX + 1}
    bench.turn(1)
    bench.lease()
    assert bench.is_high
    bench.close()
