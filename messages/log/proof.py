"""`.tlog-proof` files: one inclusion proof with the checkpoint it leads to, as text.

c2sp.org/tlog-proof@v1
extra <base64>                    optional, not authenticated
index <decimal>
<base64 hash>                     a line each, from the sibling upward
<blank line>
<the checkpoint, verbatim>
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from messages.errors import MalformedMessage
from messages.log.checkpoint import Checkpoint, open_checkpoint
from messages.log.note import NoteKey, parse_decimal, unbase64
from messages.log.tree import HASH_BYTES, check_inclusion

HEADER = "c2sp.org/tlog-proof@v1"
PATH_MAX = 64


@dataclass(frozen=True, slots=True)
class LogProof:
    """A leaf's place, its path, and the checkpoint note as it was signed."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: str


def format_proof(proof: LogProof) -> str:
    """Return the text of a proof file."""
    hashes = "".join(f"{base64.b64encode(value).decode()}\n" for value in proof.path)
    return f"{HEADER}\nindex {proof.index}\n{hashes}\n{proof.checkpoint}"


def parse_proof(text: str) -> LogProof:
    """Return the proof in a file's text.

    Raises:
        MalformedMessage: another header, an index with leading zeros, a hash of another length.
    """
    head, blank, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or lines[0] != HEADER:
        raise MalformedMessage(f"not a proof file: its first line is not {HEADER}")
    if len(lines) > 1 and lines[1].startswith("extra "):
        unbase64(lines.pop(1).removeprefix("extra "))
    if len(lines) < 2 or not lines[1].startswith("index "):
        raise MalformedMessage("the proof names no index")
    index = parse_decimal(lines[1].removeprefix("index "), "the index")
    if len(lines) - 2 > PATH_MAX:
        raise MalformedMessage(f"an inclusion proof has at most {PATH_MAX} hashes")
    path = tuple(unbase64(line) for line in lines[2:])
    if any(len(value) != HASH_BYTES for value in path):
        raise MalformedMessage(f"a hash has {HASH_BYTES} bytes")
    return LogProof(index, path, checkpoint)


def check_proof(proof: LogProof, leaf: bytes, log_key: NoteKey) -> Checkpoint:
    """Check that a leaf hash is under the proof's checkpoint, and return the checkpoint.

    Raises:
        MalformedMessage, BadSignature, BadProof: what does not hold, in the text.
    """
    checkpoint = open_checkpoint(proof.checkpoint, log_key)
    check_inclusion(leaf, proof.index, checkpoint.size, proof.path, checkpoint.root)
    return checkpoint
