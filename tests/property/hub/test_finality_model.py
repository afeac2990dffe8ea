"""No two final checkpoints disagree, whatever a hub with two histories tries on its witnesses.

The hub is the adversary: it grows two histories under one log key, shows either to any witness,
again and late, and cuts any of them off. Witnesses are the real ones on their real files, killed
before or after they stored; one of four lies and cosigns what it is shown. Edges check with their
own code. Each edge may be shown either history.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.errors import HubBehind
from edge.receipts import LogTrust, check_receipt
from hub.cosigning.evidence import EvidenceFolder
from hub.witness.memory import Memory
from hub.witness.service import Witness
from messages.log.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from messages.log.cosignature import cosign
from messages.log.note import COSIGNATURE, ED25519, NoteKey, format_vkey, parse_note
from messages.log.policy import parse_policy
from messages.log.submission import Submission, format_submission, parse_size
from messages.log.tree import leaf_hash, prove_consistency, root, subtree_of
from messages.receipt import Receipt, StreamReceipt
from tests.support.signers import ed25519

ORIGIN = "log.example/forked"
LOG = ed25519("forked log")
LOG_KEY = NoteKey(ORIGIN, ED25519, LOG.public)
WITNESSES = 4
QUORUM = 3
LIAR = 0
KID = b"k" * 8
BRANCHES = st.sampled_from((0, 1))
PLACES = st.integers(0, WITNESSES - 1)


class Killed(BaseException):
    """The witness's process died here."""


@dataclass
class WitnessHost:
    """One witness and its file; `restart` is what comes after a kill."""

    name: str
    path: Path
    memory: Memory = field(init=False)

    def __post_init__(self) -> None:
        self.signer = ed25519(self.name)
        self.key = NoteKey(self.name, COSIGNATURE, self.signer.public)
        self.memory = Memory.create(self.path, format_vkey(self.key))

    def restart(self) -> None:
        self.memory.close()
        self.memory = Memory(self.path)

    def add(self, body: bytes) -> tuple[int, str]:
        evidence = EvidenceFolder(self.path.with_suffix(".evidence"))
        witness = Witness(self.key, self.signer, (LOG_KEY,), self.memory, evidence, lambda: 7)
        answer = witness.add(body)
        return answer.status, answer.body

    @property
    def size(self) -> int:
        held = self.memory.held(ORIGIN)
        return 0 if held is None else held.size


class Edge:
    """A node that holds one entry of the history it was first shown, and wants it proven."""

    def __init__(self, trust: LogTrust) -> None:
        self.trust = trust
        self.newest: Checkpoint | None = None
        self.deleted = False

    def take(self, note: str, leaves: list[bytes]) -> bool:
        """Take a receipt over all entries; return whether it lets this node delete."""
        size = len(leaves)
        line = StreamReceipt(KID, "register", size, size, 1, tuple(range(size)))
        receipt = Receipt("n", note, (line,), (), ())  # every leaf is named: no hash is left over
        try:
            proven = check_receipt(
                receipt, self.trust, self.newest, lambda kid, stream, number: leaves[number - 1]
            )
        except HubBehind:
            return False
        self.newest = proven.checkpoint or self.newest
        return bool(proven.places)


class Forgery:
    """The adversary's hub, its witnesses and its edges."""

    def __init__(self, liars: frozenset[int] = frozenset((LIAR,))) -> None:
        self.liars = liars
        self.folder = tempfile.TemporaryDirectory()
        self.hosts = [
            WitnessHost(f"w{n}.example", Path(self.folder.name) / f"w{n}.db")
            for n in range(WITNESSES)
        ]
        lines = [f"witness w{n} {format_vkey(host.key)}" for n, host in enumerate(self.hosts)]
        names = " ".join(f"w{n}" for n in range(WITNESSES))
        vkey = format_vkey(LOG_KEY)
        text = [f"log {vkey}", *lines, f"group g {QUORUM} {names}", "quorum g"]
        policy = parse_policy("\n".join(text))
        self.trust = LogTrust(LOG.public, LOG_KEY, policy, b"")
        self.edges = [Edge(self.trust), Edge(self.trust)]
        self.histories: list[list[bytes]] = [[], []]
        self.cut_off: set[int] = set()
        self.sent: list[tuple[int, bytes]] = []
        self.lines: dict[str, dict[int, str]] = {}  # text of a head -> witness -> its line
        self.final: list[list[bytes]] = []

    def close(self) -> None:
        for host in self.hosts:
            host.memory.close()
        self.folder.cleanup()

    def grow(self, branch: int, count: int) -> None:
        history = self.histories[branch]
        start = len(history)
        history += [leaf_hash(b"%d %d" % (branch, n)) for n in range(start, start + count)]

    def fork(self, at: int) -> None:
        """Let the second history begin as the first does."""
        self.histories[1] = self.histories[0][:at]

    def note(self, branch: int, size: int) -> str:
        head = Checkpoint(ORIGIN, size, root(self.histories[branch][:size]))
        return sign_checkpoint(head, LOG)

    def submit(self, branch: int, place: int, size: int, old: int | None = None) -> None:
        """Show a head, with the best proof there can be; `old`: pretend that it cosigned that."""
        size = min(size, len(self.histories[branch]))
        if place in self.liars:
            text = parse_note(self.note(branch, size)).text
            host = self.hosts[place]
            self._keep(place, text, cosign(text, 7, host.name, host.signer))
            return
        old = self.hosts[place].size if old is None else old
        if old > size:
            return
        leaves = self.histories[branch][:size]
        proof = tuple(prove_consistency(old, size, subtree_of(leaves)))
        body = format_submission(Submission(old, proof, self.note(branch, size))).encode()
        self.sent.append((place, body))
        self.deliver(len(self.sent) - 1)

    def deliver(self, number: int) -> None:
        """Bring a request, now or much later; twice is as good as once."""
        place, body = self.sent[number]
        if place in self.cut_off:
            return
        status, answer = self.hosts[place].add(body)
        if status == 200:
            note = body.decode().partition("\n\n")[2]
            self._keep(place, parse_note(note).text, answer)
        elif status == 409:
            assert parse_size(answer) == self.hosts[place].size

    def _keep(self, place: int, text: str, line: str) -> None:
        self.lines.setdefault(text, {})[place] = line

    def show(self, branch: int, edge: int, size: int) -> None:
        """Give an edge a receipt with every cosignature there is."""
        size = min(size, len(self.histories[branch]))
        if size == 0:
            return
        note = self.note(branch, size)
        lines = self.lines.get(parse_note(note).text, {})
        leaves = self.histories[branch][:size]
        if self.edges[edge].take(note + "".join(lines.values()), leaves):
            self.final.append(leaves)

    def show_all(self) -> None:
        """A new edge is shown every head that anybody ever cosigned."""
        for branch in (0, 1):
            for text in self.lines:
                size = parse_checkpoint(text).size
                leaves = self.histories[branch][:size]
                if 0 < size == len(leaves) and root(leaves) == parse_checkpoint(text).root:
                    note = self.note(branch, size) + "".join(self.lines[text].values())
                    if Edge(self.trust).take(note, leaves):
                        self.final.append(leaves)

    def check(self) -> None:
        """One history: every final tree is a prefix of every larger one."""
        ordered = sorted(self.final, key=len)
        for small, large in pairwise(ordered):
            assert large[: len(small)] == small, f"{len(small)} and {len(large)} disagree"


class FinalityModel(RuleBasedStateMachine):
    """Everything that may happen, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.forgery = Forgery()

    def teardown(self) -> None:
        try:
            self.forgery.show_all()
            self.forgery.check()
        finally:
            self.forgery.close()

    @rule(branch=BRANCHES, count=st.integers(1, 4))
    def grow(self, branch: int, count: int) -> None:
        self.forgery.grow(branch, count)

    @precondition(lambda self: not self.forgery.lines)
    @rule(at=st.integers(0, 6))
    def fork(self, at: int) -> None:
        self.forgery.fork(at)

    @rule(branch=BRANCHES, place=PLACES, back=st.integers(0, 3))
    def submit(self, branch: int, place: int, back: int) -> None:
        size = len(self.forgery.histories[branch])
        self.forgery.submit(branch, place, max(size - back, 0))

    @rule(branch=BRANCHES, place=PLACES, old=st.integers(0, 4))
    def submit_from_elsewhere(self, branch: int, place: int, old: int) -> None:
        self.forgery.submit(branch, place, len(self.forgery.histories[branch]), old)

    @rule(branch=BRANCHES, old=st.none() | st.integers(0, 4))
    def submit_to_all(self, branch: int, old: int | None) -> None:
        for place in range(WITNESSES):
            self.forgery.submit(branch, place, len(self.forgery.histories[branch]), old)

    @precondition(lambda self: self.forgery.sent)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.forgery.sent) - 1))
        self.forgery.deliver(number)

    @rule(place=PLACES)
    def partition(self, place: int) -> None:
        self.forgery.cut_off ^= {place}

    @rule(place=PLACES)
    def restart(self, place: int) -> None:
        self.forgery.hosts[place].restart()

    @rule(branch=BRANCHES, place=PLACES, stored=st.booleans())
    def kill_while_deciding(self, branch: int, place: int, stored: bool) -> None:
        """The witness dies between check and store, or between store and answer."""
        host = self.forgery.hosts[place]
        real = Memory._store

        def killed(memory: Memory, *arguments: object) -> None:
            raise Killed

        if stored:
            self.forgery.submit(branch, place, len(self.forgery.histories[branch]))
            for kept in self.forgery.lines.values():
                if self.forgery.sent and len(kept) == 1:
                    kept.pop(place, None)  # the answer never arrived
        else:
            Memory._store = killed  # type: ignore[method-assign, assignment]
            try:
                self.forgery.submit(branch, place, len(self.forgery.histories[branch]))
            except Killed:
                pass
            finally:
                Memory._store = real  # type: ignore[method-assign]
        host.restart()

    @rule(branch=BRANCHES, edge=st.integers(0, 1), back=st.integers(0, 2))
    def show(self, branch: int, edge: int, back: int) -> None:
        size = len(self.forgery.histories[branch])
        self.forgery.show(branch, edge, max(size - back, 0))

    @invariant()
    def one_history(self) -> None:
        self.forgery.check()


TestFinality = FinalityModel.TestCase
TestFinality.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


def test_an_honest_hub_makes_heads_final_in_this_model() -> None:
    """The model is no empty promise: without a fork, edges do delete."""
    forgery = Forgery()
    try:
        for count in (3, 2, 4):
            forgery.grow(0, count)
            size = len(forgery.histories[0])
            for place in (1, 2, 3):
                forgery.submit(0, place, size)
            forgery.show(0, 0, size)
        assert [len(leaves) for leaves in forgery.final] == [3, 5, 9]
        forgery.check()
    finally:
        forgery.close()


def test_the_model_would_see_two_liars_of_four() -> None:
    forgery = Forgery(frozenset((0, 1)))
    try:
        for branch, honest in ((0, 2), (1, 3)):
            forgery.grow(branch, 3)
            for place in (0, 1, honest):
                forgery.submit(branch, place, 3)
        forgery.show_all()
        with pytest.raises(AssertionError, match="3 and 3 disagree"):
            forgery.check()
    finally:
        forgery.close()


def test_the_model_would_see_a_witness_that_was_put_back() -> None:
    """Why a lost or restored memory retires a key: with one liar it is one too many."""
    forgery = Forgery()
    try:
        host = forgery.hosts[1]
        old = host.path.read_bytes()
        for branch, honest in ((0, 2), (1, 3)):
            forgery.grow(branch, 3)
            for place in (LIAR, 1, honest):
                forgery.submit(branch, place, 3)
            host.memory.close()
            host.path.write_bytes(old)
            host.memory = Memory(host.path)
        forgery.show_all()
        with pytest.raises(AssertionError, match="disagree"):
            forgery.check()
    finally:
        forgery.close()
