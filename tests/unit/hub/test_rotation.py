"""A key names its successor while the hub runs: its old words still come in, no new ones.

Then the ledger is verified from its bytes alone: that verifier must decide as the hub did.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub.closing import Closer, CloseRule
from hub.ledger.verify import verify
from hub.link.arrivals import Arrival
from hub.spine import Spine
from hub.starting import Opened
from keys.file import FileSigner
from messages.entries import KeyEntry, sign_entry
from messages.possession import Claim
from messages.reading import Reading, sign_reading
from messages.receipt import Receipt, Refusal
from messages.telemetry import Pack, sign_pack
from tests.support.hub_bench import MICROGRID, NODE, SLOT_MS, START_MS, Bench
from tests.support.signers import ed25519, p256

NOW_MS = 1_000_000
HEIR = ed25519("pv again")


def take(spine: Spine, *arrivals: Arrival) -> int:
    spine.take_in(arrivals, NOW_MS, START_MS)
    return spine.recorder.store.size


def successor(
    opened: Opened, old: FileSigner, new: FileSigner, last: dict[str, int], **changes: Any
) -> Arrival:
    """The key of meter pv names its successor."""
    network_id = opened.trust.network_id
    entry = KeyEntry(
        "rotate",
        "meter",
        "pv",
        new.public.cose_key,
        replaces=old.public.kid,
        last_sequences=last,
        proof=Claim(network_id, "meter", "pv").prove(new),
    )
    raw = sign_entry(old, replace(entry, **changes), network_id)
    return Arrival(NODE, "call", raw)


def reading(signer: FileSigner, sequence: int, slot: int) -> Arrival:
    body = Reading(MICROGRID, "pv", sequence, START_MS - (50 - slot) * SLOT_MS, 0, slot)
    return Arrival(NODE, "register", sign_reading(signer, body))


def is_sound(opened: Opened, spine: Spine) -> tuple[str, ...]:
    spine.sign_checkpoint()
    return verify(opened.config.database, opened.trust).findings


@pytest.mark.parametrize("heir", [HEIR, p256("pv again")], ids=["ed25519", "p256"])
def test_the_old_key_keeps_its_last_words_and_the_new_one_goes_on(
    bench: Bench, opened: Opened, spine: Spine, heir: FileSigner
) -> None:
    old = bench.meters["pv"]
    size = take(spine, reading(old, 1, 1))
    assert take(spine, successor(opened, old, heir, {"register": 3})) == size + 1
    assert spine.recorder.state.meters["pv"].kid == heir.public.kid
    late = [reading(old, 2, 2), reading(old, 3, 3), reading(old, 4, 4)]
    assert take(spine, *late) == size + 3, "the third is past the last word"
    assert spine.refused["retired-key", NODE] == 1
    assert take(spine, reading(heir, 1, 4)) == size + 4
    assert is_sound(opened, spine) == ()


def test_sending_a_rotation_again_changes_nothing(
    bench: Bench, opened: Opened, spine: Spine
) -> None:
    arrival = successor(opened, bench.meters["pv"], HEIR, {})
    size = take(spine, arrival)
    assert take(spine, arrival, arrival) == size
    assert not bench.take_sent(opened, Refusal)


def test_a_second_successor_is_refused_and_its_node_told(
    bench: Bench, opened: Opened, spine: Spine
) -> None:
    old = bench.meters["pv"]
    size = take(spine, successor(opened, old, HEIR, {}))
    other = ed25519("pv, another")
    assert take(spine, successor(opened, old, other, {})) == size
    (refusal,) = bench.take_sent(opened, Refusal)
    assert (refusal.kid, refusal.stream, refusal.sequence) == (old.public.kid, "key", 1)
    assert "meter pv has a new key" in refusal.reason
    assert spine.recorder.state.meters["pv"].kid == HEIR.public.kid


def test_two_successors_in_one_batch_leave_a_ledger_that_verifies(
    bench: Bench, opened: Opened, spine: Spine
) -> None:
    old, other = bench.meters["pv"], ed25519("pv, another")
    size = spine.recorder.store.size
    both = (successor(opened, old, HEIR, {}), successor(opened, old, other, {}))
    assert take(spine, *both) == size + 1
    assert is_sound(opened, spine) == ()


def test_a_successor_of_somebody_else_changes_nothing(
    bench: Bench, opened: Opened, spine: Spine
) -> None:
    size = spine.recorder.store.size
    thief = bench.meters["load"]
    replaces = bench.meters["pv"].public.kid
    assert take(spine, successor(opened, thief, HEIR, {}, replaces=replaces)) == size
    assert spine.refused["bad-rotation", NODE] == 1


def test_a_revoked_key_names_nobody(bench: Bench, opened: Opened, spine: Spine) -> None:
    old = bench.meters["pv"]
    assert bench.enrol(spine, [KeyEntry("revoke", "meter", "pv", b"")]) == [""]
    size = spine.recorder.store.size
    assert take(spine, successor(opened, old, HEIR, {}), reading(old, 1, 1)) == size
    assert spine.refused["revoked-key", NODE] == 2


def test_what_the_new_key_signed_first_waits_for_its_rotation(
    bench: Bench, opened: Opened, spine: Spine
) -> None:
    first = reading(HEIR, 1, 1)
    size = take(spine, first)
    assert spine.refused["unknown-key", NODE] == 1
    take(spine, successor(opened, bench.meters["pv"], HEIR, {}))
    assert take(spine, first) == size + 2
    spine.publish()
    receipts = bench.take_sent(opened, Receipt)
    told = [line for receipt in receipts for line in receipt.streams]
    assert (HEIR.public.kid, "register", 1) in [(x.kid, x.stream, x.stored_up_to) for x in told]


# --- through the inbox


def by_administrator(opened: Opened, proof: bytes) -> KeyEntry:
    return KeyEntry(
        "rotate",
        "meter",
        "pv",
        HEIR.public.cose_key,
        replaces=ed25519("pv").public.kid,
        proof=proof,
    )


def test_an_administrator_replaces_a_lost_key_if_the_new_one_agrees(
    bench: Bench, opened: Opened, spine: Spine
) -> None:
    claim = Claim(opened.trust.network_id, "meter", "pv")
    bad = by_administrator(opened, claim.prove(ed25519("other")))
    assert bench.enrol(spine, [bad]) == ["the signature does not verify under the registered key"]
    assert bench.enrol(spine, [by_administrator(opened, claim.prove(HEIR))]) == [""]
    assert is_sound(opened, spine) == ()


def test_an_enrolment_with_a_word_of_its_key_must_be_that_key_s(
    bench: Bench, opened: Opened, spine: Spine
) -> None:
    entry = replace(bench.meter_entry("pv"), name="pv2", key=HEIR.public.cose_key)
    claim = Claim(opened.trust.network_id, "meter", "pv2")
    stolen = replace(entry, proof=claim.prove(ed25519("other")))
    assert bench.enrol(spine, [stolen]) == [
        "the signature does not verify under the registered key"
    ]
    assert bench.enrol(spine, [replace(entry, proof=claim.prove(HEIR))]) == [""]


def test_a_ledger_with_a_forged_word_of_a_key_does_not_verify(
    bench: Bench, opened: Opened, spine: Spine
) -> None:
    """A hub that appends past its own desk is found out by whoever has the log."""
    from hub.ledger.records import NewEntry
    from messages.log.tree import leaf_hash

    entry = by_administrator(opened, b"p" * 64)
    signer = ed25519("pv")
    raw = sign_entry(signer, entry, opened.trust.network_id)
    spine.record([NewEntry(raw, leaf_hash(raw), signer.public.kid, "key")])
    (finding,) = is_sound(opened, spine)
    assert "does not verify" in finding


# --- telemetry that no seal covers yet


def pack(bench: Bench, signer: FileSigner, sequence: int) -> Arrival:
    body = Pack(
        MICROGRID, "pv", sequence, START_MS - SLOT_MS + sequence, 1_000, ("power_mw",), ((5,),)
    )
    return Arrival(NODE, "telemetry", sign_pack(signer, body))


def close(opened: Opened, spine: Spine, slot: int) -> None:
    rule = CloseRule(SLOT_MS, 0, 0)
    Closer(spine, opened.pen, rule).close(START_MS - (50 - slot) * SLOT_MS, "complete", START_MS)


@pytest.mark.parametrize("action", ["revoke", "rotate"])
def test_packs_that_were_stored_before_their_key_ended_stay_proven(
    bench: Bench, opened: Opened, spine: Spine, action: str
) -> None:
    old = bench.meters["pv"]
    take(spine, reading(old, 1, 1), pack(bench, old, 1), pack(bench, old, 2))
    entry = KeyEntry("revoke", "meter", "pv", b"")
    if action == "rotate":
        proof = Claim(opened.trust.network_id, "meter", "pv").prove(HEIR)
        entry = replace(by_administrator(opened, proof), last_sequences={"register": 1})
    assert bench.enrol(spine, [entry]) == [""]
    assert [p.sequence for p in spine.recorder.store.packs.sealed()] == [1, 2]
    close(opened, spine, 1)
    assert is_sound(opened, spine) == ()


def test_a_node_cannot_spoil_the_ledger_by_denying_packs_in_the_same_breath(
    bench: Bench, opened: Opened, spine: Spine
) -> None:
    old = bench.meters["pv"]
    take(
        spine,
        reading(old, 1, 1),
        pack(bench, old, 1),
        successor(opened, old, HEIR, {"register": 1, "telemetry": 0}),
        pack(bench, old, 2),
    )
    assert spine.recorder.state.meters["pv"].kid == HEIR.public.kid
    close(opened, spine, 1)
    assert is_sound(opened, spine) == ()


# --- how the node learns that it was taken


def told(bench: Bench, opened: Opened, kid: bytes) -> list[tuple[int, int, tuple[int, ...]]]:
    """Return (stored, final, indices) of each receipt's line about a key's last word."""
    lines = [line for each in bench.take_sent(opened, Receipt) for line in each.streams]
    return [
        (line.stored_up_to, line.final_up_to, line.indices)
        for line in lines
        if (line.kid, line.stream) == (kid, "key")
    ]


def test_a_node_gets_the_proof_of_its_rotation_each_time_it_asks(
    bench: Bench, opened: Opened, spine: Spine
) -> None:
    old = bench.meters["pv"]
    arrival = successor(opened, old, HEIR, {})
    index = take(spine, arrival) - 1
    assert told(bench, opened, old.public.kid) == [(1, 1, (index,))]
    take(spine, arrival)
    assert told(bench, opened, old.public.kid) == [(1, 1, (index,))]
