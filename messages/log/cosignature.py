r"""Timestamped cosignatures (C2SP tlog-cosignature, 0x04): what a witness says of a checkpoint.

    signature bytes of the note line = time as uint64 big-endian || Ed25519 signature (64)
    signed message = "cosignature/v1\ntime <decimal>\n" || note text, without its signatures

It means: as of this time, the largest consistent tree seen for this origin has this root.
"""

from __future__ import annotations

from dataclasses import dataclass

from messages.errors import BadSignature, MalformedMessage
from messages.log.note import COSIGNATURE, NoteKey, check_name, parse_note, signature_line
from messages.publickey import Signer

TIME_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Cosignature:
    """Who cosigned, when in POSIX seconds, and the signature line as it stands in the note."""

    key: NoteKey
    time_s: int
    line: str


def cosigned_text(text: str, time_s: int) -> bytes:
    """Return the bytes that a cosignature covers."""
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def cosign(text: str, time_s: int, name: str, signer: Signer) -> str:
    """Return one signature line over a note's text."""
    key = NoteKey(check_name(name), COSIGNATURE, signer.public)
    signature = signer.sign(cosigned_text(text, time_s))
    return signature_line(key, time_s.to_bytes(8, "big") + signature)


def open_cosignatures(note: str, keys: tuple[NoteKey, ...]) -> tuple[Cosignature, ...]:
    """Return the cosignatures that known keys put on a note.

    Raises:
        MalformedMessage: the note, or a cosignature of a known key, has another form.
        BadSignature: a cosignature of a known key does not verify.
    """
    parsed = parse_note(note)
    known = {(key.name, key.key_id): key for key in keys if key.kind == COSIGNATURE}
    found: dict[NoteKey, Cosignature] = {}
    for line in parsed.signatures:
        key = known.get((line.name, line.key_id))
        if key is None or key in found:
            continue
        if len(line.signature) != 72:
            raise MalformedMessage(f"the cosignature by {line.name} has not 8 + 64 bytes")
        time_s = int.from_bytes(line.signature[:8], "big")
        if time_s > TIME_MAX:
            raise MalformedMessage(f"the cosignature by {line.name} has a time beyond 2^63")
        try:
            key.public.verify(line.signature[8:], cosigned_text(parsed.text, time_s))
        except BadSignature:
            raise BadSignature(f"the cosignature by {line.name} does not verify") from None
        found[key] = Cosignature(key, time_s, signature_line(key, line.signature))
    return tuple(found.values())
