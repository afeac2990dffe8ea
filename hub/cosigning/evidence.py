"""Evidence that a log contradicts itself, kept as files that `gridtally-verify evidence` reads.

Two signed heads of one size and other roots convince a stranger by themselves. Two heads of other
sizes need a proof that the larger tree begins otherwise: who holds that tree adds it (`complete`).
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
from pathlib import Path
from typing import Final

from hub.ledger.log import Log
from messages.errors import MessageError
from messages.evidence import Heads, check_heads, format_evidence
from messages.log.checkpoint import Checkpoint, open_checkpoint
from messages.log.note import NoteKey
from messages.log.submission import origin_hash

FILES_MAX: Final = 100  # of one log: who shows us notes cannot fill the disk

log = logging.getLogger("hub.cosigning.evidence")


class EvidenceFolder:
    """Owns a folder of evidence files. It overwrites none; a full disk only costs the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def keep(self, origin: str, heads: Heads, *, proven: bool = True) -> Path | None:
        """Keep two heads, once; return the file, None if it could not be written.

        `proven` False: heads of two sizes without the proof that they contradict each other.
        """
        text = format_evidence(heads)
        prefix = f"{'heads' if proven else 'unproven'}-{origin_hash(origin)[:12]}-"
        name = f"{prefix}{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
        path = self.path / name
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                if len(list(self.path.glob(f"{prefix}*.json"))) >= FILES_MAX:
                    return None
                _write(path, text)
        except OSError as error:
            log.error("%s: the evidence could not be kept: %s", path, error)
            return None
        log.critical("evidence is kept in %s", path)
        return path


def _write(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def complete(shown: str, log_key: NoteKey, ledger: Log) -> Heads | None:
    """Return evidence against the log from a note that it signed and a ledger that it signed, too.

    Args:
        shown: a note that the log signed.
        log_key: the log's.
        ledger: a ledger of it, with stored checkpoints.

    Returns:
        None if the ledger continues what is shown, or cannot tell: it is the shorter one.

    Raises:
        MessageError: the log did not sign the note.
    """
    head = open_checkpoint(shown, log_key)
    newest = ledger.newest_checkpoint()
    if newest is None or not 0 < head.size <= newest.size:
        return None
    return _against(head, shown, newest.note, newest.size, ledger, log_key)


def _against(
    head: Checkpoint, shown: str, note: str, size: int, ledger: Log, log_key: NoteKey
) -> Heads | None:
    if head.size == size:
        found = Heads(shown, note)
    else:
        proof = ledger.prove_consistency(head.size, size)
        found = Heads(
            shown, note, _text(ledger.root(head.size)), tuple(_text(value) for value in proof)
        )
    try:
        check_heads(found, log_key)
    except MessageError:
        return None  # both can be true
    return found


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
