"""Checkpoints (C2SP tlog-checkpoint v1.0.0): the signed head of the log in three lines.

    <origin>
    <tree size, decimal, no leading zero>
    <base64 of the 32-byte root>

A log never signs two that do not agree. Extension lines are read and kept, never written.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from messages.errors import BadProof, MalformedMessage
from messages.log.note import NoteKey, check_name, open_note, parse_decimal, sign_note, unbase64
from messages.log.tree import HASH_BYTES
from messages.publickey import Signer


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: whose log, how many entries, which root."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


def format_checkpoint(checkpoint: Checkpoint) -> str:
    """Return the text that is signed."""
    root = base64.b64encode(checkpoint.root).decode()
    lines = (checkpoint.origin, str(checkpoint.size), root, *checkpoint.extensions)
    return "".join(f"{line}\n" for line in lines)


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint that a note's text holds.

    Raises:
        MalformedMessage: fewer than three lines, a size with leading zeros, a root of another size.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or any(not line for line in lines[:-1]):
        raise MalformedMessage("a checkpoint is origin, size and root, a line each")
    origin, size, root = lines[0], parse_decimal(lines[1], "the tree size"), unbase64(lines[2])
    if len(root) != HASH_BYTES:
        raise MalformedMessage(f"a root has {HASH_BYTES} bytes")
    return Checkpoint(check_name(origin), size, root, tuple(lines[3:-1]))


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> str:
    """Return the signed note; the log's key has the name of its origin."""
    return sign_note(format_checkpoint(checkpoint), checkpoint.origin, signer)


def open_checkpoint(note: str, log_key: NoteKey) -> Checkpoint:
    """Return the checkpoint of a note that the log signed.

    Raises:
        MalformedMessage, BadSignature, BadProof: as `open_note`; or another origin than the key's.
    """
    text, _ = open_note(note, (log_key,))
    checkpoint = parse_checkpoint(text)
    if checkpoint.origin != log_key.name:
        raise BadProof(f"the checkpoint is of {checkpoint.origin}, not of {log_key.name}")
    return checkpoint
