"""Relay commands that must move nothing, delivered to the code of a guard (T5 of the test plan)."""

import logging
from collections import Counter
from random import Random

import pytest

from edge.lease import Rules
from edge.relays import NONCE_EVERY_MS, Relays
from messages.lease import TTL_MS_MIN
from testbed.faults.leases import Adversary, Hub
from tests.support.coil import Coil
from tests.support.edge_hub import NETWORK_ID, FakeHub
from tests.support.signers import ed25519

SEED = 20_261_121
LIVES, DELIVERIES = 20, 1_000
STEP_MS = 7  # between deliveries, so that nonces grow old


class Bench:
    """A guard's relays on a clock of the test's, one life after another, and who delivers."""

    def __init__(self) -> None:
        self.now_ms = 50_000
        self.random = Random(SEED)
        self.hub = FakeHub()
        self.earlier: list[bytes] = []
        self.begin()

    def begin(self) -> None:
        """Start the guard anew."""
        self.coil = Coil()
        self.relays = Relays(
            "dep1",
            self.hub.trust,
            {"heater": self.coil},
            {"heater": Rules()},
            clock_ms=lambda: self.now_ms,
        )
        self.nonces: dict[bytes, float] = {}
        self.adversary = Adversary(
            Hub(self.hub.hub, NETWORK_ID),
            "dep1",
            "heater",
            self.random,
            self.nonces,
            ed25519("stranger"),
            clock_ms=lambda: self.now_ms,
            earlier=self.earlier,
        )

    def pass_time(self, milliseconds: int) -> None:
        """Let time pass as the guard's loop does."""
        for _ in range(0, milliseconds, STEP_MS):
            self.now_ms += STEP_MS
            self.relays.end_leases()
            newest = max(self.nonces.values(), default=0)
            if self.now_ms - newest >= NONCE_EVERY_MS:
                self.relays.make_nonce()
                told = next(f for f in reversed(self.relays.unsent) if "nonce" in f)
                self.nonces[told["nonce"]] = told["boottime_ms"]
        self.relays.unsent.clear()


def test_none_is_obeyed_and_none_holds_a_contact_past_its_lease(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)  # each refusal is told
    bench, kinds = Bench(), Counter[str]()
    for _ in range(LIVES):
        bench.begin()
        bench.pass_time(NONCE_EVERY_MS)
        raw = bench.adversary.hub.sign(bench.adversary.genuine())
        bench.relays.take({"lease": raw})
        bench.adversary.obeyed.append(raw)
        assert bench.coil.history == [True]
        ends_ms = max(bench.nonces.values()) + TTL_MS_MIN
        for delivery in bench.adversary.deliveries(DELIVERIES):
            kinds[delivery.kind] += 1
            bench.relays.take({"lease": delivery.raw})
            bench.pass_time(STEP_MS)
            held = [True] if bench.now_ms < ends_ms else [True, False]
            assert bench.coil.history == held, delivery.kind
        bench.earlier += bench.adversary.obeyed
    print(f"seed {SEED}: {sum(kinds.values())} hostile deliveries, 0 obeyed: {dict(kinds)}")
    assert sum(kinds.values()) == LIVES * DELIVERIES
    assert len(kinds) == 15


def test_an_adversary_who_is_right_for_once_is_obeyed() -> None:
    """Only what is wrong with a delivery keeps the guard from obeying it."""
    bench = Bench()
    bench.pass_time(3 * NONCE_EVERY_MS)
    bench.relays.take({"lease": bench.adversary._signed()})
    assert bench.coil.history == [True]


def test_a_seed_repeats_its_deliveries() -> None:
    def kinds() -> list[str]:
        bench = Bench()
        bench.pass_time(NONCE_EVERY_MS)
        return [delivery.kind for delivery in bench.adversary.deliveries(50)]

    assert kinds() == kinds()
