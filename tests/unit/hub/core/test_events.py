"""From the bytes of an entry to what the fold reads."""

from __future__ import annotations

import hashlib

import pytest

from hub.core.effects import Ignored
from hub.core.events import read_event
from hub.core.outcome import Outcome
from hub.core.step import step
from messages import cbor
from messages.cose import bstr, signed_bytes
from messages.entries import Gap, Seal
from messages.errors import BadProof, MalformedMessage, UnsupportedVersion
from messages.log.tree import leaf_hash
from messages.reading import Reading, encode_reading
from tests.support.signers import ed25519
from tests.support.village import Village

READING = Reading("village", "m1", 1, 0, 5, 6)


def test_every_kind_reads_back() -> None:
    village = Village(signed=True)
    village.meter("m1", "ann", "net")
    village.read("m1", 0, 5, 6)
    for index, entry in enumerate(village.entries):
        assert read_event(index, entry.raw) == entry.event
        assert entry.event.leaf_hash == leaf_hash(entry.raw)
    assert village.entries[-1].event.body == READING


def sealed(signer_name: str, payload: bytes) -> bytes:
    signer = ed25519(signer_name)
    protected = cbor.encode({1: signer.public.alg, 4: signer.public.kid, 258: -16, 259: 112})
    signature = signer.sign(signed_bytes(protected, payload, b""))
    return b"\xd2\x84" + bstr(protected) + b"\xa0" + bstr(payload) + bstr(signature)


def test_a_sealed_reading_says_what_its_preimage_does() -> None:
    preimage = cbor.encode([b"s" * 32, encode_reading(READING)])
    raw = sealed("m1", hashlib.sha256(preimage).digest())
    assert read_event(7, raw, preimage).body == READING
    with pytest.raises(BadProof):
        read_event(7, raw, cbor.encode([b"t" * 32, encode_reading(READING)]))
    with pytest.raises(MalformedMessage, match="without its preimage"):
        read_event(7, raw)


def test_what_is_no_entry_is_refused() -> None:
    from messages.cose import sign1

    with pytest.raises(MalformedMessage):
        read_event(0, b"\xf6")
    with pytest.raises(UnsupportedVersion):
        read_event(0, sign1(ed25519("m1"), "text/plain", b"\xf6"))


def test_gaps_and_seals_teach_the_fold_nothing() -> None:
    village = Village()
    before = village.state.copy()
    assert village.add(village.hub, Gap(b"k" * 8, "register", 1, 2, "lost")) == Outcome()
    assert village.add(village.hub, Seal(0, 3, b"r" * 32)) == Outcome()
    assert village.state == before


def test_a_step_changes_nothing_by_itself() -> None:
    village = Village()
    village.meter("m1", "ann", "net")
    village.read("m1", 0, 0, 0)
    before = village.state.copy()
    for entry in village.entries[1:]:
        for effect in step(village.state, entry.event).effects:
            assert isinstance(effect, Ignored) or village.state == before
    village.close(0)
    event = village.entries[-1].event
    fresh = before.copy()
    step(fresh, event)
    assert fresh == before
