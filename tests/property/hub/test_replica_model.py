"""Nothing wrong becomes final while three of four replicas must agree and one of them lies.

The hub is the adversary. It has two histories under one log key: an honest one, and one that forks
off and settles wrongly at some block. It shows either to any replica, cuts replicas off from what
they would fetch, and lets the liar cosign anything. Replicas are the real ones on their real files,
killed whenever it likes. What they cosign they hold, and came to the same results. That witnesses,
who execute nothing, make no two histories final is test_finality_model.py.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hub.cosigning.evidence import EvidenceFolder
from hub.market.catalog import CONTRACTS
from hub.replica import home
from hub.replica.errors import SourceAway, SourceWrong
from hub.replica.execution import Execution
from hub.replica.following import Following
from hub.replica.home import EXECUTES
from hub.replica.vouching import VouchingWitness
from messages.log.submission import Submission, format_submission, parse_size
from messages.log.tree import leaf_hash, prove_consistency, root, subtree_of
from tests.support.served_log import LOG_KEY, ServedLog, mirror_in, sources
from tests.support.village import KWH, Village
from tests.support.village_ledger import trust_of

pytestmark = pytest.mark.timeout(120)  # each step waits for the disk, as a replica does

REPLICAS = 4
QUORUM = 3
LIAR = 0
SLOTS = 8
PLACES = st.integers(0, REPLICAS - 1)
BRANCHES = st.sampled_from((0, 1))


@functools.cache
def history(wrong_at: int | None) -> tuple[Village, int | None]:
    """Return a signed history, and the index of its wrong header if it is to have one."""
    village, wrong = Village(signed=True), None
    village.meter("ann-pv", "ann", "generation")
    for slot in range(SLOTS + 1):
        village.read("ann-pv", slot, exported=slot * 5 * KWH)
        if slot:
            village.close(slot - 1)
            if slot - 1 == wrong_at:
                wrong = len(village.entries)
                village.header(state_root=b"\6" * 32)
            elif wrong is None:
                village.header()
    return village, wrong


class Host:
    """One replica and its folder; `restart` is what comes after a kill."""

    def __init__(self, folder: Path, village: Village, source: ServedLog) -> None:
        self.folder, self.village, self.source = folder, village, source
        home.found(folder, "", f"replica.example/{folder.name}", EXECUTES)
        self.open()

    def open(self) -> None:
        self.home = home.open_home(self.folder)
        path = self.folder / "standing"
        trust = trust_of(self.village)
        execution = Execution(path, trust, CONTRACTS, lambda index: None, workers=1)
        self.following = Following(mirror_in(self.folder), execution, sources(self.source))
        evidence = EvidenceFolder(self.folder / "evidence")
        self.witness = VouchingWitness(
            self.home, LOG_KEY, evidence, self.following, lambda: 7, within_s=0
        )

    def close(self) -> None:
        self.home.memory.close()

    def look(self) -> None:
        """One turn of its thread."""
        try:
            self.following.turn()
        except (SourceAway, SourceWrong):
            return

    def add(self, body: bytes) -> tuple[int, str]:
        """Answer; one that is behind looks at its source, and is asked again."""
        answer = self.witness.add(body)
        if answer.status == 503:
            self.look()
            answer = self.witness.add(body)
        return answer.status, answer.body

    @property
    def size(self) -> int:
        return self.witness.cosigned


class Adversary(RuleBasedStateMachine):
    @initialize(wrong_at=st.integers(1, SLOTS - 1))
    def found(self, wrong_at: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="replicas"))
        honest, _ = history(None)
        forged, wrong = history(wrong_at)
        assert wrong is not None
        self.wrong = wrong
        self.raws = [[entry.raw for entry in village.entries] for village in (honest, forged)]
        self.logs = [ServedLog(raws) for raws in self.raws]
        self.sources = [ServedLog(self.raws[0]) for _ in range(REPLICAS)]
        self.hosts = [
            Host(self.folder / f"r{place}", honest, source)
            for place, source in enumerate(self.sources)
        ]
        self.cosigned: dict[tuple[int, bytes], set[int]] = {}
        self.final: list[tuple[int, int]] = []

    def teardown(self) -> None:
        if hasattr(self, "hosts"):
            for host in self.hosts:
                host.close()
            shutil.rmtree(self.folder)

    @rule(branch=BRANCHES, place=PLACES, share=st.integers(1, 100))
    def show(self, branch: int, place: int, share: int) -> None:
        """Show a head of a history to a replica, with the proof that it asks for."""
        raws = self.raws[branch]
        size = max(1, len(raws) * share // 100)
        leaves = [leaf_hash(raw) for raw in raws[:size]]
        if place == LIAR:
            self.count(branch, size, root(leaves), place)
            return
        host = self.hosts[place]
        self.sources[place].raws = raws
        self.sources[place].size = size
        old = min(host.size, size)
        for _ in range(2):
            proof = tuple(prove_consistency(old, size, subtree_of(leaves))) if old else ()
            submission = Submission(old, proof, self.logs[branch].note(size))
            status, body = host.add(format_submission(submission).encode())
            if status != 409 or parse_size(body) > size:
                break
            old = parse_size(body)
        if status == 200:
            self.count(branch, size, root(leaves), place)

    def count(self, branch: int, size: int, root_hash: bytes, place: int) -> None:
        signers = self.cosigned.setdefault((size, root_hash), set())
        signers.add(place)
        if len(signers) >= QUORUM:
            self.final.append((branch, size))

    @rule(place=PLACES, gets=st.integers(0, 4))
    def cut_off(self, place: int, gets: int) -> None:
        """Let a replica fetch only so much more."""
        self.sources[place].gets_left = gets

    @rule(place=PLACES)
    def reconnect(self, place: int) -> None:
        self.sources[place].gets_left = None

    @rule(place=PLACES, branch=BRANCHES)
    def wander(self, place: int, branch: int) -> None:
        """Let a replica look by itself at what a source shows everybody."""
        self.sources[place].raws = self.raws[branch]
        self.sources[place].size = None
        self.hosts[place].look()

    @rule(place=PLACES)
    def kill(self, place: int) -> None:
        """Nothing that was not durable is left."""
        self.hosts[place].close()
        self.hosts[place].open()

    @invariant()
    def nothing_wrong_is_final(self) -> None:
        for branch, size in getattr(self, "final", ()):
            assert self.raws[branch][:size] == self.raws[0][:size] or size <= self.wrong

    @invariant()
    def final_heads_continue_each_other(self) -> None:
        heads = sorted(set(getattr(self, "final", ())), key=lambda head: head[1])
        for (one, small), (other, large) in pairwise(heads):
            assert small <= large
            assert self.raws[other][:small] == self.raws[one][:small]

    @invariant()
    def what_was_cosigned_is_held_and_came_out_right(self) -> None:
        for host in getattr(self, "hosts", ())[1:]:
            if host.size:
                held = [raw for _, raw in host.following.mirror.entries(0, host.size)]
                assert any(raws[: host.size] == held for raws in self.raws)
                assert held == self.raws[0][: host.size] or host.size <= self.wrong


Adversary.TestCase.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
TestReplicaModel = Adversary.TestCase


def test_a_quorum_of_honest_replicas_makes_the_honest_history_final() -> None:
    """The model can make something final: the invariants above are not empty."""
    model = Adversary()
    try:
        model.found(3)
        for place in (1, 2, 3):
            model.show(0, place, 100)
            model.show(1, place, 100)
        assert model.final == [(0, len(model.raws[0]))]
        model.nothing_wrong_is_final()
        model.what_was_cosigned_is_held_and_came_out_right()
    finally:
        model.teardown()
