"""Signed notes (C2SP signed-note v1.0.0): text that carries its signatures.

    <text, ends in newline>
    <blank line>
    — <key name> base64(key id[4] || signature)      one line a signature

An unknown (name, id) is passed over; a known one that does not verify spoils the whole note.
Key text (vkey): <name>+<hex key id>+<base64(type || public key)>.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from messages.errors import BadProof, BadSignature, MalformedMessage
from messages.publickey import EDDSA, PublicKey, Signer

ED25519, COSIGNATURE = 0x01, 0x04
NOTE_CHARS_MAX = 1_000_000
SIGNATURES_MAX = 128
DASH = "— "
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\ud800-\udfff]")  # and what UTF-8 cannot say
DECIMAL = re.compile("0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A key that may sign notes: its name, its type and the public key."""

    name: str
    kind: int
    public: PublicKey

    @property
    def key_id(self) -> bytes:
        """SHA-256(name || newline || type || key)[:4]."""
        return hashlib.sha256(
            self.name.encode() + b"\n" + bytes((self.kind,)) + self.public.raw
        ).digest()[:4]


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: the name, and the bytes after the key id."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed note. `text` ends in a newline; `signatures` are in the note's order, unverified."""

    text: str
    signatures: tuple[NoteSignature, ...]


def check_name(name: str) -> str:
    """Return a key name if it may stand in a note.

    Raises:
        MalformedMessage: empty, or with a space or a plus.
    """
    if not name or "+" in name or any(char.isspace() for char in name):
        raise MalformedMessage(f"key name {name!r}: not empty, no space, no +")
    return name


def format_vkey(key: NoteKey) -> str:
    """Return the key text that others verify with."""
    packed = base64.b64encode(bytes((key.kind,)) + key.public.raw).decode()
    return f"{check_name(key.name)}+{key.key_id.hex()}+{packed}"


def parse_vkey(text: str) -> NoteKey:
    """Return the key that a vkey names.

    Raises:
        MalformedMessage: another form, an unknown type, or an id that is not the key's.
    """
    parts = text.split("+", 2)
    if len(parts) != 3 or len(parts[1]) != 8:
        raise MalformedMessage("a vkey is <name>+<8 hex digits>+<base64>")
    packed = unbase64(parts[2])
    if len(packed) != 33 or packed[0] not in (ED25519, COSIGNATURE):
        raise MalformedMessage("a vkey holds one type byte (0x01 or 0x04) and 32 bytes of key")
    try:
        public = PublicKey(EDDSA, packed[1:])
    except ValueError as error:
        raise MalformedMessage(f"the vkey's key: {error}") from None
    key = NoteKey(check_name(parts[0]), packed[0], public)
    if key.key_id.hex() != parts[1]:
        raise MalformedMessage(f"the vkey's id is {parts[1]}, its key has {key.key_id.hex()}")
    return key


def sign_note(text: str, name: str, signer: Signer) -> str:
    """Return `text` as a note signed by an Ed25519 key."""
    key = NoteKey(check_name(name), ED25519, signer.public)
    return f"{_checked(text)}\n{signature_line(key, signer.sign(text.encode()))}"


def signature_line(key: NoteKey, signature: bytes) -> str:
    """Return one signature line with its newline."""
    return f"{DASH}{key.name} {base64.b64encode(key.key_id + signature).decode()}\n"


def parse_note(note: str) -> Note:
    """Return the text and the signature lines of a note.

    Raises:
        MalformedMessage: no text, no signature, control characters, or lines of another form.
    """
    if len(note) > NOTE_CHARS_MAX:
        raise MalformedMessage(f"a note has at most {NOTE_CHARS_MAX} characters")
    cut = _checked(note).rfind("\n\n")
    lines = note[cut + 2 : -1].split("\n")
    if cut < 0 or not lines[0]:
        raise MalformedMessage("a note is text, a blank line, and signature lines")
    if len(lines) > SIGNATURES_MAX:
        raise MalformedMessage(f"a note has 1 to {SIGNATURES_MAX} signatures")
    return Note(note[: cut + 1], tuple(_parse_line(line) for line in lines))


def open_note(note: str, keys: Sequence[NoteKey]) -> tuple[str, tuple[NoteKey, ...]]:
    """Return the text of a note and which of `keys` signed it.

    Raises:
        MalformedMessage: the note has another form.
        BadSignature: a signature of a known key does not verify.
        BadProof: none of the keys signed it.
    """
    parsed = parse_note(note)
    known = {(key.name, key.key_id): key for key in keys if key.kind == ED25519}
    signers: list[NoteKey] = []
    for line in parsed.signatures:
        key = known.get((line.name, line.key_id))
        if key is None or key in signers:
            continue
        try:
            key.public.verify(line.signature, parsed.text.encode())
        except BadSignature:
            raise BadSignature(f"the note's signature by {line.name} does not verify") from None
        signers.append(key)
    if not signers:
        raise BadProof("the note carries no signature of a known key")
    return parsed.text, tuple(signers)


def _checked(text: str) -> str:
    if not text.endswith("\n"):
        raise MalformedMessage("a note and its text end in a newline")
    if CONTROL.search(text):
        raise MalformedMessage("a note has no control characters")
    return text


def _parse_line(line: str) -> NoteSignature:
    parts = line.removeprefix(DASH).split(" ")
    if not line.startswith(DASH) or len(parts) != 2:
        raise MalformedMessage("a signature line is: em dash, space, name, space, base64")
    packed = unbase64(parts[1])
    if len(packed) < 5:
        raise MalformedMessage("a signature line holds a key id and a signature")
    return NoteSignature(check_name(parts[0]), packed[:4], packed[4:])


def parse_decimal(text: str, what: str) -> int:
    """Return the number, below 2^63, that a line of a checkpoint or proof spells.

    Raises:
        MalformedMessage: not decimal, with leading zeros, or too large.
    """
    if DECIMAL.fullmatch(text) is None or int(text) >= 2**63:
        raise MalformedMessage(f"{what} is not a decimal below 2^63 without leading zeros")
    return int(text)


def unbase64(text: str) -> bytes:
    """Return what canonical standard base64 holds.

    Raises:
        MalformedMessage: it is not canonical base64.
    """
    try:
        packed = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedMessage("not standard base64 with padding") from None
    if base64.b64encode(packed).decode() != text:
        raise MalformedMessage("not canonical base64")
    return packed
