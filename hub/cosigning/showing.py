"""What `gridtally-hub evidence` finds out: does this ledger continue what others were shown?"""

from __future__ import annotations

from pathlib import Path

from hub.config import HubConfig
from hub.cosigning.evidence import EvidenceFolder, complete
from hub.ledger.log import Log
from hub.ledger.store import Store
from hub.starting import read_trust
from messages.errors import MalformedMessage
from messages.evidence import Heads, parse_evidence
from messages.log.checkpoint import open_checkpoint
from messages.log.note import NoteKey, parse_vkey


def compare_file(config: HubConfig, text: str) -> tuple[bool, list[str]]:
    """Return whether the ledger continues every head in a file, and a line about each.

    Raises:
        MessageError: the file holds no head that this log signed.
    """
    key = parse_vkey(read_trust(Path(config.trust)).log_vkey)
    folder = EvidenceFolder(Path(config.state) / "evidence")
    with Store.open(config.database, read_only=True) as store:
        found = [_compare(note, key, store, folder) for note in _notes(text)]
    return all(agrees for agrees, _ in found), [line for _, line in found]


def _notes(text: str) -> tuple[str, ...]:
    """Return the notes of an evidence file; another text is a note itself."""
    try:
        evidence = parse_evidence(text)
    except MalformedMessage:
        return (text,)
    if not isinstance(evidence, Heads):
        raise MalformedMessage("this is evidence against a meter or a hub, not against a log")
    return (evidence.first, evidence.second)


def _compare(note: str, key: NoteKey, ledger: Log, folder: EvidenceFolder) -> tuple[bool, str]:
    head = open_checkpoint(note, key)
    told = f"the head over {head.size} entries"
    if head.size > ledger.size:
        return False, (
            f"{told} is newer than this ledger, which holds {ledger.size}: this may be an old copy"
        )
    if ledger.root(head.size) == head.root:
        return True, f"{told} is continued by this ledger"
    heads = complete(note, key, ledger)
    if heads is None:
        return False, f"{told} is of another history; no checkpoint of this one covers as much yet"
    return False, f"{told} is of another history: evidence in {folder.keep(head.origin, heads)}"
