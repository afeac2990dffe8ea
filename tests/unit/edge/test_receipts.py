"""Only a whole proof, from the bytes that are held to a checkpoint of the log, lets a row go."""

import random
from dataclasses import replace

import pytest

from edge.errors import HubBehind
from edge.receipts import check_receipt, log_trust
from messages.errors import MessageError
from messages.log.checkpoint import Checkpoint, open_checkpoint
from messages.log.cosignature import cosign
from messages.log.note import COSIGNATURE, NoteKey, format_vkey, parse_note, parse_vkey
from messages.log.tree import leaf_hash
from tests.support.edge_hub import FakeHub
from tests.support.signers import ed25519

A, B = b"a" * 8, b"b" * 8


@pytest.fixture
def hub():
    made = FakeHub()
    for n in range(1, 6):
        made.store(A, "register", n, b"A%d" % n)
        made.store(B, "event", n, b"B%d" % n)
        made.store(A, "telemetry", n, b"T%d" % n)
        if n in (2, 4):
            made.seal()
    return made


def check(hub, receipt, newest=None, missing=(), other=()):
    def leaf_of(kid, stream, sequence):
        place = (kid, stream, sequence)
        if place in missing:
            return None
        raw = hub.raws[place]
        return leaf_hash(raw + b"!" if place in other else raw)

    return check_receipt(receipt, log_trust(hub.trust), newest, leaf_of)


def test_a_whole_receipt_proves_every_row_it_names(hub):
    proven = check(hub, hub.receipt())
    assert proven.stored == {(A, "register"): 5, (B, "event"): 5, (A, "telemetry"): 5}
    assert proven.final == {(A, "register"): 5, (B, "event"): 5, (A, "telemetry"): 4}
    assert proven.places == set(hub.raws) - {(A, "telemetry", 5)}
    assert proven.checkpoint.size == len(hub.leaves)
    assert proven.note == hub.checkpoint()
    assert not proven.gone


def test_a_receipt_may_prove_a_part(hub):
    proven = check(hub, hub.receipt({(A, "register"): 4, (B, "event"): 6, (A, "telemetry"): 4}))
    assert proven.places == {(A, "register", 4), (A, "register", 5), (A, "telemetry", 4)}


def test_a_receipt_without_proofs_only_says_what_is_stored(hub):
    bare = replace(hub.receipt(), seals=(), hashes=())
    bare = replace(bare, streams=tuple(replace(line, indices=()) for line in bare.streams))
    proven = check(hub, bare)
    assert proven.places == frozenset()
    assert proven.stored[A, "register"] == 5


def test_a_receipt_without_a_checkpoint_only_says_what_is_stored(hub):
    newest = open_checkpoint(hub.checkpoint(), parse_vkey(hub.trust.log_vkey))
    proven = check(hub, replace(hub.receipt(), checkpoint=""), newest)
    assert (proven.checkpoint, proven.note) == (None, "")
    assert proven.stored[A, "register"] == 5
    assert (proven.final, proven.places, proven.gone) == ({}, frozenset(), False)


def test_lines_of_one_stream_add_up(hub):
    receipt = hub.receipt()
    line = receipt.streams[0]
    halves = (
        replace(line, stored_up_to=2, final_up_to=2, indices=line.indices[:2]),
        replace(line, from_sequence=3, indices=line.indices[2:]),
    )
    proven = check(hub, replace(receipt, streams=(*halves, *receipt.streams[1:])))
    assert proven.final[A, "register"] == 5
    assert (A, "register", 5) in proven.places


@pytest.mark.parametrize("place", [(A, "register", 2), (A, "telemetry", 1), (B, "event", 5)])
def test_other_bytes_than_those_held_prove_nothing(hub, place):
    with pytest.raises(MessageError):
        check(hub, hub.receipt(), other={place})


@pytest.mark.parametrize("place", [(A, "register", 2), (A, "telemetry", 1)])
def test_rows_that_are_gone_make_a_receipt_unprovable_but_not_wrong(hub, place):
    proven = check(hub, hub.receipt(), missing={place})
    assert proven.gone
    assert proven.places == frozenset()
    assert proven.final == {}
    assert proven.stored[A, "register"] == 5


def flipped(value):
    return bytes([value[0] ^ 1]) + value[1:]


def test_every_hash_of_the_proof_counts(hub):
    receipt = hub.receipt({(A, "register"): 4, (B, "event"): 6, (A, "telemetry"): 4})
    assert len(receipt.hashes) > 1
    for place, value in enumerate(receipt.hashes):
        hashes = (*receipt.hashes[:place], flipped(value), *receipt.hashes[place + 1 :])
        with pytest.raises(MessageError):
            check(hub, replace(receipt, hashes=hashes))
    for hashes in (receipt.hashes[:-1], (*receipt.hashes, b"h" * 32)):
        with pytest.raises(MessageError):
            check(hub, replace(receipt, hashes=hashes))


def test_every_part_of_a_seal_counts(hub):
    receipt = hub.receipt({(A, "register"): 6, (B, "event"): 6, (A, "telemetry"): 1})
    (first, second) = receipt.seals
    pack = first.packs[0]
    wrong = [
        replace(first, raw=second.raw),
        replace(first, index=second.index),
        replace(first, packs=(replace(pack, position=1), *first.packs[1:])),
        replace(first, packs=(replace(pack, sequence=2), *first.packs[1:])),
        replace(first, packs=(pack, pack, *first.packs[1:])),
        replace(first, packs=(replace(first.packs[1], position=0), *first.packs[1:])),
        replace(first, hashes=(b"h" * 32,)),
    ]
    for seal in wrong:
        with pytest.raises(MessageError):
            check(hub, replace(receipt, seals=(seal, second)))


def test_a_seal_that_is_not_the_hubs_proves_nothing(hub):
    stranger = FakeHub(hub=ed25519("stranger"))
    stranger.store(A, "telemetry", 1, b"T1")
    stranger.seal()
    with pytest.raises(MessageError, match="key id"):
        check_receipt(
            stranger.receipt(),
            log_trust(hub.trust),
            None,
            lambda kid, stream, sequence: leaf_hash(b"T1"),
        )


def test_two_places_under_one_leaf_are_refused(hub):
    """Else only one of them would be proven, and the other deleted with it."""
    receipt = hub.receipt()
    first, *rest = receipt.streams
    for indices in ((first.indices[0], *first.indices[:-1]), (*first.indices[1:], 999)):
        with pytest.raises(MessageError):
            check(hub, replace(receipt, streams=(replace(first, indices=indices), *rest)))
    with pytest.raises(MessageError, match="twice"):
        check(hub, replace(receipt, streams=(first, first, *rest)))


def test_a_hub_that_is_behind_or_different_is_found(hub):
    newest = check(hub, hub.receipt()).checkpoint
    assert check(hub, hub.receipt(), newest).places
    longer = replace(newest, size=newest.size + 1)
    with pytest.raises(HubBehind, match="an old copy was restored"):
        check(hub, hub.receipt(), longer)
    with pytest.raises(HubBehind, match="two different ledgers of 12 entries"):
        check(hub, hub.receipt(), replace(newest, root=b"r" * 32))
    assert check(hub, hub.receipt(), Checkpoint(newest.origin, 3, b"r" * 32)).places


def test_a_checkpoint_of_another_log_is_refused(hub):
    receipt = hub.receipt()
    hub.log = ed25519("another log")
    forged = replace(receipt, checkpoint=hub.checkpoint())
    hub.log = ed25519("log")
    with pytest.raises(MessageError):
        check(hub, forged)


def test_without_its_witnesses_nothing_is_final(hub):
    witness = ed25519("witness")
    key = NoteKey("witness.test", COSIGNATURE, witness.public)
    vkey = hub.trust.log_vkey
    policy = f"log {vkey}\nwitness w {format_vkey(key)}\nquorum w\n"
    trust = log_trust(replace(hub.trust, policy=policy))

    def leaf_of(*place):
        return leaf_hash(hub.raws[place])

    alone = check_receipt(hub.receipt(), trust, None, leaf_of)
    assert alone.places == frozenset()
    assert alone.final == {}
    assert alone.stored[A, "register"] == 5
    note = hub.checkpoint()
    cosigned = note + cosign(parse_note(note).text, 1_700_000_000, "witness.test", witness)
    receipt = replace(hub.receipt(), checkpoint=cosigned)
    assert check_receipt(receipt, trust, None, leaf_of).places == set(hub.raws) - {
        (A, "telemetry", 5)
    }
    assert open_checkpoint(cosigned, parse_vkey(vkey)).size == 12


@pytest.mark.parametrize("seed", range(20))
def test_a_hub_that_was_rolled_back_or_tells_two_stories_is_found_at_once(seed):
    """T11 of the test plan: by the first receipt after it, whatever it lost or changed."""
    chance = random.Random(seed)
    told = FakeHub()
    entries = chance.randint(3, 60)
    for n in range(1, entries + 1):
        told.store(A, "register", n, b"A%d" % n)
    newest = check(told, told.receipt()).checkpoint

    rolled_back = FakeHub()
    for n in range(1, chance.randint(1, entries - 1) + 1):
        rolled_back.store(A, "register", n, b"A%d" % n)
    with pytest.raises(HubBehind):
        check(rolled_back, rolled_back.receipt(), newest)

    other = FakeHub()
    changed = chance.randint(1, entries)
    for n in range(1, entries + 1):
        other.store(A, "register", n, b"B%d" % n if n == changed else b"A%d" % n)
    with pytest.raises(HubBehind):
        check(other, other.receipt(), newest)
