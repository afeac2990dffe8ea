"""With witnesses, nodes are told at once what is stored, and may delete only under a quorum."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.receipts import LogTrust, Proven, check_receipt
from hub.cosigning.finality import Finality
from hub.ledger.records import Checkpoint, Cosigned
from hub.link.arrivals import Arrival
from hub.link.post import Post
from hub.spine import Spine
from messages.entries import network_aad
from messages.log.cosignature import cosign
from messages.log.note import COSIGNATURE, NoteKey, format_vkey, parse_note, parse_vkey
from messages.log.policy import LogPolicy, parse_policy
from messages.log.tree import leaf_hash
from messages.receipt import Receipt
from messages.status import StreamHead
from tests.support.hub_bench import MICROGRID, NODE, SLOT_MS, START_MS, Bench
from tests.support.signers import ed25519

NAMES = ("w1", "w2", "w3")


class Witnessed:
    """A hub whose policy asks for two of three witnesses, and a node that checks receipts."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder)
        self.opened = self.bench.open()
        assert set(self.bench.enrol(self.bench.spine(self.opened))) == {""}
        self.policy = policy_of(self.opened.trust.log_vkey)
        self.spine = self.make_spine()
        self.held: dict[int, Arrival] = {}
        self.kid = self.bench.meters["pv"].public.kid

    def make_spine(self) -> Spine:
        opened = self.opened
        finality = Finality(opened.recorder.store, self.policy)
        post = Post(self.bench.link, opened.pen, MICROGRID)
        return Spine(opened.recorder, opened.pen, post, opened.rules, finality)

    def restart(self) -> None:
        self.opened.close()
        self.opened = self.bench.open()
        self.spine = self.make_spine()

    def send(self) -> list[Receipt]:
        """Let a reading come in; return the receipts that go out."""
        number = len(self.held) + 1
        reading = self.bench.reading("pv", START_MS + number * SLOT_MS, number * 1_000)
        self.held[number] = reading
        self.spine.take_in([reading], 0, START_MS + number * SLOT_MS)
        return self.sent()

    def sent(self) -> list[Receipt]:
        return self.bench.take_sent(self.opened, Receipt)

    def sign(self) -> Checkpoint:
        return self.spine.sign_checkpoint()

    def cosign(self, checkpoint: Checkpoint, *names: str) -> list[Receipt]:
        for name in names:
            key = NoteKey(name, COSIGNATURE, ed25519(name).public)
            line = cosign(parse_note(checkpoint.note).text, 7, name, ed25519(name))
            found = Cosigned(checkpoint.size, name, key.key_id, 7, line)
            if self.spine.take_cosignature(found):
                self.spine.publish()
        return self.sent()

    def check(self, receipt: Receipt) -> Proven:
        trust = self.opened.trust
        log_trust = LogTrust(
            trust.hub_key, parse_vkey(trust.log_vkey), self.policy, network_aad(trust.network_id)
        )

        def leaf_of(kid: bytes, stream: str, sequence: int) -> bytes | None:
            assert (kid, stream) == (self.kid, "register")
            return leaf_hash(self.held[sequence].raw) if sequence in self.held else None

        return check_receipt(receipt, log_trust, None, leaf_of)


def policy_of(log_vkey: str) -> LogPolicy:
    lines = [
        f"witness {name} {format_vkey(NoteKey(name, COSIGNATURE, ed25519(name).public))}"
        for name in NAMES
    ]
    text = [f"log {log_vkey}", *lines, f"group g 2 {' '.join(NAMES)}", "quorum g", ""]
    return parse_policy("\n".join(text))


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Witnessed]:
    made = Witnessed(tmp_path)
    yield made
    made.opened.close()


def test_before_any_quorum_a_receipt_says_what_is_stored_and_proves_nothing(
    hub: Witnessed,
) -> None:
    hub.send()
    (receipt,) = hub.send()
    assert receipt.checkpoint == ""
    assert [(line.stored_up_to, line.final_up_to) for line in receipt.streams] == [(2, 0)]
    proven = hub.check(receipt)
    assert (dict(proven.stored), proven.places) == ({(hub.kid, "register"): 2}, frozenset())


def test_publishing_signs_no_checkpoint_where_witnesses_have_to_agree(hub: Witnessed) -> None:
    hub.send()
    assert hub.opened.recorder.store.checkpoints(5) == []


def test_a_quorum_lets_a_node_delete_and_one_witness_does_not(hub: Witnessed) -> None:
    hub.send()
    hub.send()
    checkpoint = hub.sign()
    assert hub.cosign(checkpoint, "w3") == []
    (receipt,) = hub.cosign(checkpoint, "w1")
    assert receipt.streams[0].final_up_to == 2
    assert hub.check(receipt).places == {(hub.kid, "register", n) for n in (1, 2)}


def test_what_came_after_the_final_checkpoint_waits_for_the_next(hub: Witnessed) -> None:
    hub.send()
    hub.cosign(hub.sign(), "w1", "w2")
    (receipt,) = hub.send()
    assert [(line.stored_up_to, line.final_up_to) for line in receipt.streams] == [(2, 1)]
    assert hub.check(receipt).places == frozenset()
    newer = hub.sign()
    assert hub.cosign(newer, "w2") == []
    (receipt,) = hub.cosign(newer, "w3")
    assert hub.check(receipt).places == {(hub.kid, "register", 2)}


def test_a_quorum_of_an_older_checkpoint_changes_nothing(hub: Witnessed) -> None:
    hub.send()
    old = hub.sign()
    hub.send()
    new = hub.sign()
    assert len(hub.cosign(new, "w1", "w2")) == 1
    assert hub.cosign(old, "w3", "w1") == []
    assert hub.spine.finality.size == new.size


def test_a_restart_remembers_what_is_final_and_claims_no_more(hub: Witnessed) -> None:
    hub.send()
    hub.cosign(hub.sign(), "w1", "w2")
    hub.send()
    hub.send()
    hub.restart()
    (receipt,) = hub.send()
    assert [(line.stored_up_to, line.final_up_to) for line in receipt.streams] == [(4, 1)]
    assert hub.check(receipt).checkpoint is not None


def test_a_hello_makes_the_hub_prove_again_what_is_final(hub: Witnessed) -> None:
    hub.send()
    hub.cosign(hub.sign(), "w1", "w2")
    hub.restart()
    head = StreamHead(hub.kid, "register", 2, 1, 0, 2)
    arrival = hub.bench.hello(hub.opened, heads=(head,))
    heard = hub.spine.verify(arrival, START_MS)
    hub.spine.receipts.note_hello(heard.body, {hub.kid})  # type: ignore[union-attr, arg-type]
    hub.spine.publish()
    (receipt,) = hub.sent()
    assert hub.check(receipt).places == {(hub.kid, "register", 1)}
    assert receipt.node == NODE
