"""Who makes the nonces, who gets the leases, and how relays of several holders are one status."""

import pytest

from edge.inbound import FromBus, FromGuard
from edge.relaying import NodeKey, Relaying
from messages.entries import Ack, parse_as
from tests.support.edge_hub import NETWORK_ID, FakeHub
from tests.support.signers import ed25519

NODE = ed25519("node")
ON = {"relay": "pump", "energised": True, "lease_left_ms": 900, "reason": "deficit"}


class Bench:
    def __init__(self, *, guard, buses=("rs485",)):
        self.now_ms, self.made, self.guard_is_there = 50_000, 0, True
        self.to_guard, self.to_bus = [], []
        self.relaying = Relaying(
            NodeKey("dep1", NODE, NETWORK_ID),
            b"boot" * 4,
            self.send if guard else None,
            dict.fromkeys(buses, self.to_bus.append),
            clock_ms=lambda: self.now_ms,
            random=self.random,
        )

    def send(self, frame):
        self.to_guard.append(frame)
        return self.guard_is_there

    def random(self, count):
        self.made += 1
        return self.made.to_bytes(count, "big")

    def nonces_told(self):
        return [(f["nonce"], f["boottime_ms"]) for f in self.to_bus if "nonce" in f]


@pytest.fixture
def alone():
    return Bench(guard=False)


@pytest.fixture
def mixed():
    return Bench(guard=True)


def test_without_a_guard_a_nonce_a_second_is_made_here_and_told(alone):
    told = []
    for _ in range(10):
        told.append(alone.relaying.keep_alive())
        alone.now_ms += 400
    assert told == [True, False, False, True, False, False, True, False, False, True]
    nonces = [nonce for nonce, _ in alone.nonces_told()]
    assert alone.relaying.nonces == tuple(reversed(nonces))
    assert [made_ms for _, made_ms in alone.nonces_told()] == [50_000, 51_200, 52_400, 53_600]
    assert len(set(nonces)) == 4


def test_the_newest_sixteen_are_kept(alone):
    for _ in range(20):
        alone.relaying.keep_alive()
        alone.now_ms += 1000
    assert len(alone.relaying.nonces) == 16


def test_short_leases_get_fresher_nonces(alone):
    alone.relaying.take(FromBus("rs485", {"relays": [ON], "nonce_every_ms": 250}), 0)
    assert [alone.relaying.keep_alive() for _ in range(2)] == [True, False]
    alone.now_ms += 250
    assert alone.relaying.keep_alive()


def test_a_guard_makes_the_nonces_of_the_whole_node(mixed):
    assert not mixed.relaying.keep_alive()
    frame = {"nonce": b"n" * 16, "boottime_ms": 49_990}
    mixed.relaying.take(FromGuard(frame), 0)
    assert mixed.relaying.nonces == (b"n" * 16,)
    assert mixed.nonces_told() == [(b"n" * 16, 49_990)]
    assert {"alive": True} in mixed.to_guard
    assert {"alive": True} in mixed.to_bus


def test_a_lease_goes_to_everyone_who_holds_relays(mixed, caplog):
    caplog.set_level("INFO")
    mixed.relaying.carry(b"raw")
    assert mixed.to_guard == mixed.to_bus == [{"lease": b"raw"}]
    assert caplog.text == ""
    mixed.guard_is_there = False
    mixed.relaying.carry(b"raw")
    assert "while the guard is away" in caplog.text


def test_the_status_has_the_relays_of_every_holder(mixed):
    on_pin = {**ON, "relay": "heater"}
    mixed.relaying.take(FromGuard({"relays": [on_pin], "nonce_every_ms": 1000}), 0)
    mixed.relaying.take(FromBus("rs485", {"relays": [ON], "nonce_every_ms": 1000}), 0)
    assert [each.relay for each in mixed.relaying.relays] == ["heater", "pump"]
    assert [each.relay for each in mixed.relaying.on_buses()] == ["pump"]
    mixed.relaying.take(FromGuard(None), 0)
    heater, pump = mixed.relaying.relays
    assert (heater.energised, heater.reason) == (None, "the guard is away")
    assert (pump.energised, mixed.relaying.nonces) == (True, ())


def test_an_acknowledgement_of_a_bus_is_signed_as_the_guards_is(alone):
    ack = {
        "relay": "pump",
        "sequence": 7,
        "energised": True,
        "outcome": "applied",
        "reason": "deficit",
        "boottime_ms": 999,
    }
    (draft,) = alone.relaying.take(FromBus("rs485", {"ack": ack}), 12_345)
    signed = parse_as(Ack, FakeHub().opened(draft.sign(3), NODE))
    assert (signed.event, signed.relay, signed.lease_sequence) == (3, "pump", 7)
    assert (signed.at_ms, signed.boottime_ms) == (12_345, 999)


def test_what_holds_the_agent_is_told_to_everyone_who_has_relays(mixed):
    mixed.relaying.hold = lambda: "metering only: why"
    mixed.relaying.keep_alive()
    assert mixed.to_guard[-1] == {"alive": True, "hold": "metering only: why"}
    assert mixed.to_bus[-1] == {"alive": True, "hold": "metering only: why"}
