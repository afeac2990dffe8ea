"""What a log says to its witnesses (C2SP tlog-witness v1.0.0): the body of add-checkpoint.

old <size that the witness cosigned last>
<base64 hash>                     the consistency proof from there, a line each, at most 63
<blank line>
<the checkpoint, signed by the log>
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from messages.errors import MalformedMessage
from messages.log.note import parse_decimal, unbase64
from messages.log.tree import HASH_BYTES

PROOF_MAX = 63
SIZE_TYPE = "text/x.tlog.size"  # media type of the answer 409: the size cosigned last


@dataclass(frozen=True, slots=True)
class Submission:
    """A checkpoint (a signed note) with the proof that it continues the tree of `old` entries."""

    old: int
    proof: tuple[bytes, ...]
    checkpoint: str


def format_submission(submission: Submission) -> str:
    """Return the body of a request."""
    hashes = "".join(f"{base64.b64encode(value).decode()}\n" for value in submission.proof)
    return f"old {submission.old}\n{hashes}\n{submission.checkpoint}"


def parse_submission(text: str) -> Submission:
    """Return what a request's body holds; neither note nor proof is checked.

    Raises:
        MalformedMessage: no old size, too many hashes, a hash of another length, or no blank line.
    """
    head, blank, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or not lines[0].startswith("old "):
        raise MalformedMessage("a submission is `old <size>`, a proof, a blank line, a checkpoint")
    old = parse_decimal(lines[0].removeprefix("old "), "the old size")
    if len(lines) - 1 > PROOF_MAX:
        raise MalformedMessage(f"a consistency proof has at most {PROOF_MAX} hashes")
    proof = tuple(unbase64(line) for line in lines[1:])
    if any(len(value) != HASH_BYTES for value in proof):
        raise MalformedMessage(f"a hash has {HASH_BYTES} bytes")
    return Submission(old, proof, checkpoint)


def format_size(size: int) -> str:
    """Return the body of the answer 409."""
    return f"{size}\n"


def parse_size(text: str) -> int:
    """Return the size in the body of an answer 409.

    Raises:
        MalformedMessage: it is not one decimal and a newline.
    """
    if not text.endswith("\n"):
        raise MalformedMessage("a size ends in a newline")
    return parse_decimal(text[:-1], "the size")


def origin_hash(origin: str) -> str:
    """Return the name under which a witness shows its newest checkpoint of a log."""
    return hashlib.sha256(origin.encode()).hexdigest()
