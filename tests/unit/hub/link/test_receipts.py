"""Receipts prove what they say to the node's own check, fit their size, and heal what was lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from edge.receipts import Proven, check_receipt, log_trust
from hub.intake import Verified
from hub.ledger.store import Store
from hub.link.receipts import RECEIPTS_A_BUILD_MAX, Receipts
from hub.sequencer import as_entry, as_pack
from messages.entries import Seal, sign_entry
from messages.log.checkpoint import parse_checkpoint
from messages.log.note import parse_note
from messages.log.tree import leaf_hash, root
from messages.receipt import RECEIPT_BYTES_MAX, Receipt
from messages.status import Hello, StreamHead
from tests.support.small_ledger import BALLAST_BYTES, SmallHub

KID = b"m1 kid 8"


class Desk:
    """A hub's store and receipts, and a node that keeps its bytes until they are proven."""

    def __init__(self, folder: Path) -> None:
        self.hub = SmallHub(folder)
        self.trust = log_trust(self.hub.trust)
        self.receipts = Receipts(self.hub.store)
        self.held: dict[tuple[bytes, str, int], bytes] = {}
        self.final: dict[tuple[bytes, str], int] = {}

    def store(self, *messages: Verified) -> None:
        logged = [message for message in messages if message.stream != "telemetry"]
        packs = [message for message in messages if message.stream == "telemetry"]
        indices = self.hub.store.append(map_list(as_entry, logged), map_list(as_pack, packs))
        for message, index in zip(logged, indices, strict=True):
            self.receipts.note_stored(message, index)
        for message in packs:
            self.receipts.note_stored(message, None)

    def send(self, kid: bytes, stream: str, sequences: Iterable[int]) -> list[Verified]:
        found = []
        for sequence in sequences:
            raw = b"%s %s %d" % (kid, stream.encode(), sequence)
            self.held[kid, stream, sequence] = raw
            message = Verified(
                raw, leaf_hash(raw), kid, "m1", "n1", "reading", stream, sequence, 1, 0, None
            )  # type: ignore[arg-type]  # receipts look at no body
            found.append(message)
        return found

    def seal(self) -> None:
        """As a hub seals: the entry carries the hub's signature, which the node checks."""
        pending = self.hub.store.packs.pending()
        seal = Seal(0, len(pending), root([pack.leaf_hash for pack in pending]))
        raw = sign_entry(self.hub.hub, seal, self.hub.trust.network_id)
        entry = self.hub.entry(self.hub.hub, raw, "seal")
        sealed = [(pack.kid, pack.sequence) for pack in pending]
        (index,) = self.hub.store.append([entry], sealed=sealed)
        self.receipts.note_sealed(pending, index)

    def build(self, node: str = "n1") -> list[Receipt]:
        self.hub.checkpoint()
        newest = self.hub.store.newest_checkpoint()
        assert newest is not None
        return self.receipts.build(node, newest)

    def take(self, receipt: Receipt) -> Proven:
        """What the node does with a receipt: check it, and let go of what it proves."""
        signed = sign_entry(self.hub.hub, receipt, self.hub.trust.network_id)
        assert len(signed) <= RECEIPT_BYTES_MAX

        def leaf_of(kid: bytes, stream: str, sequence: int) -> bytes | None:
            raw = self.held.get((kid, stream, sequence))
            return None if raw is None else leaf_hash(raw)

        proven = check_receipt(receipt, self.trust, None, leaf_of)
        if not proven.gone:
            for place in proven.places:
                assert place[2] <= proven.final[place[:2]]
                del self.held[place]
                self.final[place[:2]] = max(self.final.get(place[:2], 0), place[2])
        return proven

    def take_all(self) -> None:
        for receipt in self.build():
            self.take(receipt)

    def say_hello(self) -> None:
        streams = {place[:2] for place in self.held} | set(self.final)
        heads = tuple(
            StreamHead(kid, stream, 10**6, 10**6, self.final.get((kid, stream), 0), 10**6)
            for kid, stream in sorted(streams)
        )
        hello = Hello("n1", bytes(16), "", heads, len(self.held), "")
        self.receipts.note_hello(hello, {kid for kid, _ in streams})


def map_list(make, messages):  # type: ignore[no-untyped-def]
    return [make(message) for message in messages]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.hub.store.close()


def test_what_is_stored_is_final_at_once_where_nobody_witnesses(desk: Desk) -> None:
    desk.store(*desk.send(KID, "register", [1, 2, 3]), *desk.send(b"node kid", "event", [1]))
    assert desk.receipts.due == ("n1",)
    (receipt,) = desk.build()
    assert desk.receipts.due == ()
    assert [(line.stream, line.stored_up_to, line.final_up_to) for line in receipt.streams] == [
        ("register", 3, 3),
        ("event", 1, 1),
    ]
    head = parse_checkpoint(parse_note(receipt.checkpoint).text)
    assert head.size == desk.hub.store.size == 5
    desk.take(receipt)
    assert desk.held == {}
    assert desk.build() == []


def test_each_node_gets_its_own(desk: Desk) -> None:
    (mine,) = desk.send(KID, "register", [1])
    desk.store(mine)
    assert desk.build("n2") == []
    assert len(desk.build()) == 1


def test_nothing_is_proven_twice_until_it_is_asked_for(desk: Desk) -> None:
    desk.store(*desk.send(KID, "register", [1, 2]))
    desk.take_all()
    desk.store(*desk.send(KID, "register", [3]))
    (receipt,) = desk.build()
    (line,) = receipt.streams
    assert (line.from_sequence, len(line.indices), line.final_up_to) == (3, 1, 3)


def test_what_is_sent_again_is_proven_again(desk: Desk) -> None:
    desk.store(*desk.send(KID, "register", range(1, 6)))
    desk.build()  # lost on its way
    desk.receipts.note_again("n1", KID, "register", 3)
    desk.receipts.note_again("n1", KID, "register", 4)
    (receipt,) = desk.build()
    (line,) = receipt.streams
    assert (line.from_sequence, line.final_up_to, len(line.indices)) == (3, 5, 3)
    desk.take(receipt)
    assert sorted(desk.held) == [(KID, "register", 1), (KID, "register", 2)]


def test_a_hello_says_from_where_to_prove(desk: Desk) -> None:
    desk.store(*desk.send(KID, "register", range(1, 6)))
    desk.build()  # lost on its way
    desk.say_hello()
    assert desk.receipts.due == ("n1",)
    desk.take_all()
    assert desk.held == {}
    desk.receipts.note_again("n1", KID, "register", 1)  # an old one, late on the network
    desk.say_hello()  # but the node says that 5 are final
    assert desk.build()[0].streams[0].indices == ()


def test_a_hello_speaks_for_its_own_keys_only(desk: Desk) -> None:
    desk.store(*desk.send(KID, "register", [1]))
    desk.build()
    hello = Hello("n2", bytes(16), "", (StreamHead(KID, "register", 1, 0, 0, 1),), 0, "")
    desk.receipts.note_hello(hello, set())
    assert desk.receipts.due == ()
    assert desk.build("n2") == []


def test_a_hub_that_restarted_proves_what_a_hello_asks_for(desk: Desk) -> None:
    desk.store(*desk.send(KID, "register", range(1, 9)))
    desk.receipts = Receipts(desk.hub.store)
    desk.final[KID, "register"] = 2
    for sequence in (1, 2):
        del desk.held[KID, "register", sequence]
    desk.say_hello()
    desk.take_all()
    assert desk.held == {}


def test_packs_are_stored_first_and_final_with_their_seal(desk: Desk) -> None:
    other = b"m2 kid 8"
    desk.store(*desk.send(KID, "telemetry", [1, 2, 3]), *desk.send(other, "telemetry", [1, 2]))
    (receipt,) = desk.build()
    assert [(line.stored_up_to, line.final_up_to) for line in receipt.streams] == [(3, 0), (2, 0)]
    assert receipt.seals == ()
    assert desk.take(receipt).places == frozenset()
    desk.seal()
    (receipt,) = desk.build()
    (seal,) = receipt.seals
    assert {(pack.kid, pack.sequence, pack.position) for pack in seal.packs} == {
        (KID, 1, 0),
        (KID, 2, 1),
        (KID, 3, 2),
        (other, 1, 3),
        (other, 2, 4),
    }
    desk.take(receipt)
    assert desk.held == {}


def test_packs_of_a_hub_that_restarted_before_the_seal(desk: Desk) -> None:
    desk.store(*desk.send(KID, "telemetry", [1, 2, 3]))
    desk.receipts = Receipts(desk.hub.store)
    desk.store(*desk.send(KID, "telemetry", [4]))
    desk.seal()
    desk.take_all()
    assert desk.held == {}


def test_packs_of_several_seals_in_one_receipt(desk: Desk) -> None:
    for slot in range(3):
        desk.store(*desk.send(KID, "telemetry", [2 * slot + 1, 2 * slot + 2]))
        desk.seal()
    (receipt,) = desk.build()
    assert len(receipt.seals) == 3
    desk.take(receipt)
    assert desk.held == {}


def test_gaps_are_passed_over(desk: Desk) -> None:
    desk.store(*desk.send(KID, "register", [1, 2]))
    gap = desk.hub
    gap.gap("register", 3, 4)  # of another key: here it only takes two indices
    desk.receipts.note_gap("n1", KID, "register", 4)
    desk.store(*desk.send(KID, "register", [5, 6]))
    (receipt,) = desk.build()
    assert [(line.from_sequence, len(line.indices)) for line in receipt.streams] == [(1, 2), (5, 2)]
    assert {line.final_up_to for line in receipt.streams} == {6}
    desk.take(receipt)
    assert desk.held == {}


def test_a_stream_of_nothing_but_gaps(desk: Desk) -> None:
    desk.receipts.note_gap("n1", KID, "register", 1)
    (receipt,) = desk.build()
    assert [(line.stored_up_to, line.indices) for line in receipt.streams] == [(1, ())]
    assert desk.build() == []


def test_a_long_backlog_fits_into_receipts_of_their_size(desk: Desk) -> None:
    """Leaves scattered over the tree cost the most hashes."""
    kids = [b"meter%03d" % number for number in range(40)]
    for sequence in range(1, 61):
        batch = [desk.send(kid, "register", [sequence])[0] for kid in kids]
        desk.store(*batch)
    everything = len(desk.held)
    receipts = desk.build()
    assert len(receipts) > 1
    for receipt in receipts:
        desk.take(receipt)
    assert everything == 2400
    assert desk.held == {}


def test_scattered_leaves_are_cut_to_size(desk: Desk) -> None:
    """One node's entry among fifty of others, again and again."""
    noise = 0
    for sequence in range(1, 301):
        desk.store(*desk.send(KID, "register", [sequence]))
        other = desk.send(b"others' ", "register", range(noise + 1, noise + 51))
        noise += 50
        desk.hub.store.append([as_entry(message) for message in other])
    for place in [place for place in desk.held if place[0] != KID]:
        del desk.held[place]
    rounds = 0
    while desk.receipts.due:
        rounds += 1
        receipts = desk.build()
        assert len(receipts) <= RECEIPTS_A_BUILD_MAX
        for receipt in receipts:
            desk.take(receipt)
        assert rounds < 5
    assert desk.held == {}


def test_a_hundred_streams_and_more(desk: Desk) -> None:
    kids = [b"meter%03d" % number for number in range(250)]
    desk.store(*(desk.send(kid, "register", [1])[0] for kid in kids))
    receipts = desk.build()
    assert [len(receipt.streams) for receipt in receipts] == [100, 100, 50]
    for receipt in receipts:
        desk.take(receipt)
    assert desk.held == {}


def test_a_very_long_backlog_goes_on_with_the_next_batch(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.link.receipts.PROVEN_A_RECEIPT_MAX", 5)
    desk.store(*desk.send(KID, "register", range(1, 5 * RECEIPTS_A_BUILD_MAX + 8)))
    assert len(desk.build()) == RECEIPTS_A_BUILD_MAX
    assert desk.receipts.due == ("n1",)
    assert len(desk.build()) == 2
    assert desk.receipts.due == ()


def test_a_store_reopened_proves_the_same(desk: Desk, tmp_path: Path) -> None:
    desk.store(*desk.send(KID, "register", range(1, 30)))
    desk.hub.checkpoint()
    desk.hub.store.close()
    desk.hub.store = Store.open(desk.hub.url, ballast_bytes=BALLAST_BYTES)
    desk.receipts = Receipts(desk.hub.store)
    desk.say_hello()
    desk.take_all()
    assert desk.held == {}
