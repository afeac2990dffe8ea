"""Mutated messages against every decoder that outside bytes reach.

`python -m tests.faults.drivers.malformed COUNT SEED`: prints what was tried, what was still well
formed, and what was accepted. It ends by an exception if a decoder raises anything but its own.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from edge.frames import FrameReader, encode_frame
from hub.ledger.store import Store
from messages import cbor, cose, topics
from messages.entries import network_aad, parse_entry
from messages.errors import MessageError
from messages.log.checkpoint import parse_checkpoint
from messages.log.note import parse_note, parse_vkey
from messages.log.policy import parse_policy
from messages.log.tree import leaf_hash
from messages.publickey import PublicKey, parse_cose_key
from messages.reading import parse_reading
from messages.telemetry import parse_pack
from messages.trust import format_trust, parse_trust
from tests.support.signers import ed25519
from tests.support.whole_ledger import make_whole

SIGNERS = ("hub", "administrator", "m1", "n1", "pi", "bob-pv", "alice", "bob", "rita", "meteo")
Decoder = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Target:
    """A decoder, messages that it takes, and who signed them, if anybody did."""

    name: str
    decode: Decoder
    corpus: tuple[bytes, ...]
    network_id: bytes = b""  # of whom it is signed for; nobody signed the others

    @property
    def keys(self) -> dict[bytes, PublicKey]:
        """The keys that signed its messages, by their key ids."""
        if not self.network_id:
            return {}
        known = {ed25519(name).public.kid: ed25519(name).public for name in SIGNERS}
        signed = {cose.parse(raw).kid for raw in self.corpus}
        return {kid: known[kid] for kid in signed & known.keys()}


def _entry(raw: bytes) -> object:
    envelope = cose.parse(raw)
    if envelope.content_type == cose.SENML:
        return parse_reading(envelope)
    return parse_entry(envelope)


def _text(parse: Callable[[str], object]) -> Decoder:
    def decode(raw: bytes) -> object:
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return None
        return parse(text)

    return decode


def targets(folder: Path) -> list[Target]:
    """Return every decoder with what a whole ledger holds for it."""
    whole = make_whole(folder)
    with Store.open(f"sqlite:///{whole.path}", read_only=True, despite_behind=True) as store:
        entries = tuple(entry.raw for entry in store.entries())
        packs = tuple(pack.raw for pack in store.packs.sealed())
        notes = tuple(each.note.encode() for each in store.checkpoints())
    trust = whole.trust
    checkpoints = tuple(parse_note(note.decode()).text.encode() for note in notes)
    frames = tuple(encode_frame({"lease": raw}) for raw in entries[:20])
    return [
        Target("ledger entries", _entry, entries, trust.network_id),
        Target("telemetry packs", lambda raw: parse_pack(cose.parse(raw)), packs, trust.network_id),
        Target("CBOR", cbor.decode, tuple(cose.parse(raw).payload for raw in entries)),
        Target("guard frames", lambda raw: list(FrameReader().take(raw)), frames),
        Target("signed notes", _text(parse_note), notes),
        Target("checkpoints", _text(parse_checkpoint), checkpoints),
        Target("trust files", _text(parse_trust), (format_trust(trust).encode(),)),
        Target("log keys", _text(parse_vkey), (trust.log_vkey.encode(),)),
        Target("quorum policies", _text(parse_policy), (trust.policy.encode(),)),
        Target("public keys", parse_cose_key, (trust.hub_key.cose_key,)),
        Target("topics", _text(topics.parse), (topics.up("bench", "dep1", "register").encode(),)),
    ]


def mutate(raw: bytes, other: bytes, random: Random) -> bytes:
    """Return a message with one to three things wrong with it."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        at = random.randrange(len(raw) + 1)
        to = min(len(raw), at + random.choice((1, 2, 8, 40)))
        kind = random.randrange(7)
        if kind == 0 and at < len(raw):
            flipped = raw[at] ^ 1 << random.randrange(8)
            raw = raw[:at] + bytes((flipped,)) + raw[at + 1 :]
        elif kind == 1:
            raw = raw[:at]
        elif kind == 2:
            raw = raw[:at] + random.randbytes(to - at) + raw[to:]
        elif kind == 3:
            raw = raw[:at] + raw[to:]
        elif kind == 4:
            raw = raw[:to] + raw[at:]
        elif kind == 5:
            raw = raw[:at] + random.choice((b"\xff", b"\x9f", b"\x1b" + b"\xff" * 8)) + raw[to:]
        else:
            raw = raw[:at] + other[at:]
    return raw


def is_accepted(raw: bytes, network_id: bytes, keys: dict[bytes, PublicKey]) -> bool:
    """Whether a message verifies under the key that it names."""
    envelope = cose.parse(raw)
    key = keys.get(envelope.kid)
    if key is None:
        return False
    try:
        cose.verify(envelope, key, network_aad(network_id))
    except MessageError:
        return False
    return True


def main(count: int, seed: int) -> dict[str, object]:
    """Try so many mutated messages; return the counts."""
    random, tried, well_formed = Random(seed), Counter[str](), Counter[str]()
    verified = accepted = 0
    with tempfile.TemporaryDirectory(prefix="gridtally-") as name:
        found = targets(Path(name))
    keys = {target.name: target.keys for target in found if target.network_id}
    genuine = {leaf_hash(raw) for target in found for raw in target.corpus}
    unchanged = sum(
        is_accepted(raw, target.network_id, keys[target.name])
        for target in found
        if target.network_id
        for raw in target.corpus
    )
    for _ in range(count):
        target = random.choice(found)
        raw = mutate(random.choice(target.corpus), random.choice(target.corpus), random)
        tried[target.name] += 1
        try:
            target.decode(raw)
        except MessageError:
            continue
        well_formed[target.name] += 1
        if target.network_id and leaf_hash(raw) not in genuine:
            verified += 1
            accepted += is_accepted(raw, target.network_id, keys[target.name])
    return {
        "seed": seed,
        "tried": sum(tried.values()),
        "decoders": len(found),
        "well_formed": sum(well_formed.values()),
        "signatures_checked": verified,
        "accepted": accepted,
        "accepted_unchanged": unchanged,
    }


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]))))
