"""What a witness answers to a submission, as the status table of tlog-witness has it. Pure.

400  malformed, or an old size above the checkpoint's
404  a log that this witness does not watch
403  no signature of a key that it trusts for the log, or a broken one
409  the old size is not that of the checkpoint cosigned last; the answer says which is
422  size 0 with a root; a proof from size 0; another root of the same size; a proof that fails
200  to be cosigned, once it is stored
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from messages.errors import BadProof, MalformedMessage, MessageError
from messages.log.checkpoint import Checkpoint, parse_checkpoint
from messages.log.note import (
    ED25519,
    NoteKey,
    open_note,
    parse_note,
    parse_vkey,
    signature_line,
)
from messages.log.submission import Submission, parse_submission
from messages.log.tree import EMPTY_ROOT, check_consistency

BODY_BYTES_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Request:
    """A submission of a known log: its text, and the note with the log's own signatures only."""

    submission: Submission
    checkpoint: Checkpoint
    text: str
    note: str


@dataclass(frozen=True, slots=True)
class Held:
    """The checkpoint of one log that was cosigned last: the note with our line, and when. [s]"""

    size: int
    root: bytes
    time_s: int
    note: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A status and why; `contradicts`: the log signed two trees, or cannot show that it did not."""

    status: int
    reason: str = ""
    contradicts: bool = False


def read_request(body: bytes, logs: Iterable[NoteKey]) -> Request | Verdict:
    """Return what a body asks for if a watched log signed it, else the refusal."""
    try:
        submission = parse_submission(body.decode())
        text = parse_note(submission.checkpoint).text
        checkpoint = parse_checkpoint(text)
    except (MessageError, UnicodeDecodeError) as error:
        return Verdict(400, str(error))
    keys = [key for key in logs if key.name == checkpoint.origin]
    if not keys:
        return Verdict(404, f"this witness does not watch {checkpoint.origin}")
    try:
        _, signers = open_note(submission.checkpoint, keys)
    except MessageError as error:
        return Verdict(403, str(error))
    if submission.old > checkpoint.size:
        return Verdict(400, f"old {submission.old} is above the size {checkpoint.size}")
    return Request(submission, checkpoint, text, _signed_by(submission.checkpoint, signers))


def _signed_by(note: str, signers: tuple[NoteKey, ...]) -> str:
    """Return a note with the verified lines of these keys, and no others."""
    parsed = parse_note(note)
    known = {(key.name, key.key_id): key for key in signers}
    lines: dict[NoteKey, str] = {}
    for line in parsed.signatures:
        key = known.get((line.name, line.key_id))
        if key is not None:
            lines.setdefault(key, signature_line(key, line.signature))
    return f"{parsed.text}\n{''.join(lines.values())}"


def judge(request: Request, held: Held | None) -> Verdict:
    """Return whether a request continues what was cosigned last; None: nothing ever was."""
    old, new = request.submission.old, request.checkpoint
    last = 0 if held is None else held.size
    if held is not None and new.size == held.size and new.root != held.root:
        return Verdict(409 if old != last else 422, _two_roots(new.size), contradicts=True)
    if old != last:
        return Verdict(409, f"the checkpoint cosigned last has {last} entries, not {old}")
    if new.size == 0 and new.root != EMPTY_ROOT:
        return Verdict(422, "an empty tree has the SHA-256 of nothing as its root")
    proof = request.submission.proof
    if held is None or old == 0:
        return Verdict(422, "from 0 entries nothing is to be proven") if proof else Verdict(200)
    if old == new.size and proof:
        return Verdict(422, "from a tree to itself nothing is to be proven")
    try:
        check_consistency(old, new.size, proof, held.root, new.root)
    except BadProof as error:
        return Verdict(422, str(error), contradicts=True)
    return Verdict(200)


def _two_roots(size: int) -> str:
    return f"the log signed two trees of {size} entries"


def parse_logs(text: str) -> tuple[NoteKey, ...]:
    """Return the keys of watched logs, one vkey a line; blank lines and # are passed over.

    Raises:
        MalformedMessage: names the line and what was expected there.
    """
    keys = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            key = parse_vkey(line.strip())
        except MalformedMessage as error:
            raise MalformedMessage(f"line {number}: {error}") from None
        if key.kind != ED25519:
            raise MalformedMessage(f"line {number}: a log's key has type 0x01")
        keys.append(key)
    return tuple(keys)
