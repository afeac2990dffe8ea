"""Evidence against the log, as a file that `gridtally-verify evidence` reads and strangers believe.

A node holds one head that the log signed and is shown another one. Of one size with other roots,
the two convict the log by themselves. A shorter head than the one held convicts nobody alone: who
holds the ledger completes the file, or not (`gridtally-hub evidence FILE`).
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

from messages.errors import MessageError
from messages.evidence import Heads, format_evidence
from messages.log.checkpoint import parse_checkpoint
from messages.log.note import parse_note
from messages.log.submission import origin_hash

FOLDER = "evidence"

log = logging.getLogger("edge.evidence")


def keep_heads(state: Path, held: str, shown: str) -> Path | None:
    """Keep two heads of one log in `evidence/`, once; None if the disk does not take the file."""
    try:
        one, other = (parse_checkpoint(parse_note(note).text) for note in (held, shown))
    except MessageError as error:  # both were opened before
        log.error("the heads could not be kept as evidence: %s", error)
        return None
    heads = Heads(held, shown) if one.size <= other.size else Heads(shown, held)
    text = format_evidence(heads)
    kind = "heads" if one.size == other.size else "unproven"
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    path = state / FOLDER / f"{kind}-{origin_hash(one.origin)[:12]}-{digest}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _write(path, text)
    except OSError as error:
        log.error("%s: the evidence could not be kept: %s", path, error.strerror or error)
        return None
    return path


def _write(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
