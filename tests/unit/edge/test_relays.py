from dataclasses import replace

import pytest

from edge.clock import boot_id
from edge.lease import Rules
from edge.relays import Relays
from messages.entries import sign_entry
from messages.publickey import PublicKey
from tests.support.coil import Coil
from tests.support.edge_hub import FakeHub
from tests.support.signers import ed25519


class Bench:
    def __init__(self, rules=None):
        self.hub = FakeHub()
        self.now_ms = 50_000
        self.coils = {"heater": Coil(), "pump": Coil()}
        self.made = 0
        self.relays = Relays(
            "dep1",
            self.hub.trust,
            self.coils,
            rules or {name: Rules() for name in self.coils},
            clock_ms=lambda: self.now_ms,
            random=self.random,
        )

    def random(self, count):
        self.made += 1
        return self.made.to_bytes(count, "big")

    def nonce(self):
        self.relays.make_nonce()
        return next(f["nonce"] for f in reversed(self.relays.unsent) if "nonce" in f)

    def take(self, lease, signer=None):
        raw = sign_entry(signer or self.hub.hub, lease, self.hub.trust.network_id)
        self.relays.take({"lease": raw})

    def acks(self):
        found = [frame["ack"] for frame in self.relays.unsent if "ack" in frame]
        self.relays.unsent.clear()
        return found

    def stands(self, relay="heater"):
        return next(r for r in self.relays.state()["relays"] if r["relay"] == relay)


@pytest.fixture
def bench():
    return Bench()


def test_a_nonce_names_the_boot_and_is_never_the_same(bench):
    first, second = bench.nonce(), bench.nonce()
    assert len(first) == 16
    assert first != second
    assert first[:4] == boot_id()[:4]


def test_a_lease_moves_a_contact_and_is_acknowledged(bench):
    bench.take(bench.hub.lease(bench.nonce()))
    assert bench.coils["heater"].history == [True]
    assert bench.coils["pump"].history == []
    assert bench.acks() == [
        {
            "relay": "heater",
            "sequence": 1,
            "energised": True,
            "outcome": "applied",
            "reason": "deficit",
            "boottime_ms": 50_000,
            "setpoint_mw": None,
        }
    ]
    assert bench.stands() == {
        "relay": "heater",
        "energised": True,
        "lease_left_ms": 5000,
        "reason": "deficit",
        "unavailable": "",
        "setpoint_mw": None,
    }
    assert bench.stands("pump")["lease_left_ms"] == 0


def test_a_renewal_is_not_acknowledged_and_the_lease_ends_later(bench):
    bench.take(bench.hub.lease(bench.nonce()))
    bench.acks()
    bench.now_ms += 1000
    bench.take(bench.hub.lease(bench.nonce()))
    assert bench.acks() == []
    bench.now_ms += 4999
    bench.relays.end_leases()
    assert bench.stands()["energised"]
    assert bench.relays.left_ms() == 1
    bench.now_ms += 1
    bench.relays.end_leases()
    assert bench.coils["heater"].history == [True, False]
    assert [(a["outcome"], a["energised"], a["sequence"]) for a in bench.acks()] == [
        ("expired", False, 2)
    ]
    assert bench.stands()["reason"] == "its lease is over"


def test_a_lease_to_stay_released_ends_without_a_word(bench):
    bench.take(bench.hub.lease(bench.nonce(), energised=False))
    assert [a["outcome"] for a in bench.acks()] == ["applied"]
    bench.now_ms += 6000
    bench.relays.end_leases()
    assert bench.acks() == []
    assert bench.coils["heater"].history == []


def test_all_safe_releases_everything_and_says_so(bench):
    nonce = bench.nonce()
    bench.take(bench.hub.lease(nonce))
    bench.acks()
    bench.relays.all_safe("the agent is gone")
    assert bench.coils["heater"].history == [True, False]
    assert bench.coils["pump"].history == []
    assert [(a["relay"], a["outcome"], a["reason"]) for a in bench.acks()] == [
        ("heater", "safe", "the agent is gone")
    ]
    bench.take(bench.hub.lease(nonce, sequence=1))
    assert bench.coils["heater"].history == [True, False], "the old lease does not come back"


def test_hostile_leases_move_nothing(bench):
    nonce = bench.nonce()
    good = bench.hub.lease(nonce)
    bench.take(good, signer=ed25519("stranger"))
    bench.take(replace(good, node="dep2"))
    other = FakeHub()
    raw = sign_entry(bench.hub.hub, good, b"m" * 32)
    bench.relays.take({"lease": raw})
    bench.relays.take({"lease": other.beacon(b"b" * 16)})
    bench.relays.take({"lease": b""})
    bench.relays.take({"lease": 7})
    bench.relays.take({"lease": bench.hub.sign(good)[:-1]})
    bench.relays.take({"alive": True})
    assert bench.coils["heater"].history == []
    assert bench.acks() == []


def test_every_bit_of_a_lease_is_signed(bench):
    raw = bench.hub.sign(bench.hub.lease(bench.nonce()))
    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        bench.relays.take({"lease": changed})
    assert bench.coils["heater"].history == []
    bench.relays.take({"lease": raw})
    assert bench.coils["heater"].history == [True]
    bench.relays.take({"lease": raw})
    assert bench.coils["heater"].history == [True], "a replay moves nothing"


def test_only_the_newest_nonces_count(bench):
    nonces = [bench.nonce() for _ in range(17)]
    bench.take(bench.hub.lease(nonces[0]))
    assert bench.coils["heater"].history == []
    bench.take(bench.hub.lease(nonces[1]))
    assert bench.coils["heater"].history == [True]


def test_a_refusal_is_told_once_for_each_decision():
    rules = {"heater": Rules(min_off_ms=60_000), "pump": Rules()}
    bench = Bench(rules)
    for decision in (40, 40, 41):
        bench.take(bench.hub.lease(bench.nonce(), decision=decision))
    told = [(a["sequence"], a["outcome"], a["energised"], a["reason"]) for a in bench.acks()]
    assert told == [
        (1, "refused", False, "released for 0 ms of at least 60000"),
        (3, "refused", False, "released for 0 ms of at least 60000"),
    ]
    bench.take(bench.hub.lease(bench.nonce(), relay="fan"))
    assert bench.acks() == [], "no relay of ours, so nothing to acknowledge"


def test_a_pin_that_does_not_follow_is_safe_and_told(bench):
    bench.coils["heater"].stuck = True
    bench.take(bench.hub.lease(bench.nonce()))
    assert bench.stands()["reason"] == "it does not do what is written to it"
    assert [(a["outcome"], a["energised"]) for a in bench.acks()] == [("refused", False)]
    assert bench.coils["heater"].history == [True, False]


def test_a_contact_that_should_be_released_is_released_again(bench):
    bench.coils["heater"].switch(True)
    bench.nonce()
    assert bench.coils["heater"].history == [True, False]


def test_a_pin_that_cannot_be_read_is_told_as_unknown_and_released_to_be_sure(bench):
    bench.coils["heater"].is_unreadable = True
    bench.nonce()
    assert bench.stands()["energised"] is None
    assert bench.coils["heater"].history == [False]


def test_a_contact_that_let_go_by_itself_is_safe_and_a_lease_that_stands_brings_it_back(bench):
    bench.take(bench.hub.lease(bench.nonce()))
    bench.acks()
    bench.coils["heater"]._energised = False
    nonce = bench.nonce()
    assert [(a["outcome"], a["energised"], a["reason"]) for a in bench.acks()] == [
        ("safe", False, "it let go by itself")
    ]
    bench.take(bench.hub.lease(nonce))
    assert bench.coils["heater"].history == [True, False, True]
    assert [(a["outcome"], a["energised"]) for a in bench.acks()] == [("applied", True)]


def test_a_fault_that_stays_is_logged_once(bench, caplog):
    bench.coils["heater"].stuck = True
    bench.coils["heater"]._energised = True
    for _ in range(5):
        bench.nonce()
    assert len([each for each in caplog.records if each.levelname == "ERROR"]) == 1
    assert bench.coils["heater"].history == [False] * 5


def test_a_nonce_of_another_maker_counts_from_when_that_made_it(bench):
    nonce = b"n" * 16
    bench.relays.know(nonce, bench.now_ms - 4_000)
    bench.take(bench.hub.lease(nonce))
    assert bench.stands()["lease_left_ms"] == 1_000


def test_a_lease_for_a_relay_that_is_held_elsewhere_sets_the_pace_and_nothing_else(bench):
    bench.take(bench.hub.lease(bench.nonce(), relay="fan", ttl_ms=1_000))
    assert bench.relays.nonce_every_ms == 250
    assert bench.acks() == []


def test_without_a_lease_nothing_is_due(bench):
    assert bench.relays.left_ms() == 10_000


def test_the_hubs_key_is_that_of_the_trust_file(bench):
    assert isinstance(bench.hub.trust.hub_key, PublicKey)


def test_what_is_held_is_safe_and_refuses_with_the_reason(bench):
    bench.take(bench.hub.lease(bench.nonce()))
    bench.relays.take({"alive": True, "hold": "metering only: why"})
    assert bench.coils["heater"].history == [True, False]
    bench.take(bench.hub.lease(bench.nonce()))
    bench.take(bench.hub.lease(bench.nonce()))
    assert bench.coils["heater"].history == [True, False]
    assert [(ack["outcome"], ack["reason"]) for ack in bench.acks()] == [
        ("applied", "deficit"),
        ("safe", "metering only: why"),
        ("refused", "metering only: why"),
    ]
    assert bench.stands("pump")["unavailable"] == "metering only: why"
    bench.relays.take({"alive": True})
    bench.take(bench.hub.lease(bench.nonce()))
    assert bench.stands()["energised"]
    assert bench.stands()["unavailable"] == ""


def test_two_who_hold_have_both_to_let_go(bench):
    bench.relays.hold("guard", "guard: why")
    bench.relays.take({"alive": True, "hold": "agent: why"})
    bench.relays.hold("guard", "")
    assert bench.stands()["unavailable"] == "agent: why"
    bench.relays.take({"alive": True})
    assert bench.stands()["unavailable"] == ""
