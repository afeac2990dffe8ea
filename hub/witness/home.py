"""The folder of a witness: made once, opened whole or not at all.

witness.pem     its key, mode 0600
witness.db      what it cosigned last: without it the key is retired
logs            whom it watches: the vkey of a log a line, # begins a comment
evidence/       two heads of one log that cannot both be true
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hub.cosigning.evidence import EvidenceFolder
from hub.errors import WitnessRefused
from hub.ledger.newest import sync_folder
from hub.witness.judge import parse_logs
from hub.witness.memory import RETIRE, Memory
from keys import file as key_files
from messages.errors import MalformedMessage
from messages.log.note import COSIGNATURE, NoteKey, format_vkey, parse_vkey
from messages.publickey import EDDSA, Signer
from messages.trust import Trust

LOGS_HEAD = "# The logs that this witness watches: the vkey of one a line. Read at each start.\n"


@dataclass(frozen=True, slots=True)
class Home:
    """An open witness: its key, its memory, whom it watches, where it keeps evidence."""

    key: NoteKey
    signer: Signer
    memory: Memory
    logs: tuple[NoteKey, ...]
    evidence: EvidenceFolder


def is_empty(folder: Path) -> bool:
    """Whether no witness was ever made here."""
    return not any((folder / name).exists() for name in ("witness.pem", "witness.db"))


def found(folder: Path, name: str, logs: Sequence[str]) -> NoteKey:
    """Make key and memory of a new witness; return its key.

    Raises:
        WitnessRefused: one is here already, or was.
        MalformedMessage: a name with a space or a plus, or a log's vkey of another form.
        KeyFault: the key cannot be written.
    """
    if not is_empty(folder):
        raise WitnessRefused(f"{folder}: a witness is here already; start it, or choose another")
    text = LOGS_HEAD + "".join(f"{line}\n" for line in logs)
    parse_logs(text)
    draft = folder / "witness.pem.new"
    draft.unlink(missing_ok=True)  # cut short before it had a memory: it never signed
    signer = key_files.generate(draft)
    key = NoteKey(name, COSIGNATURE, signer.public)
    vkey = format_vkey(key)
    if not (folder / "logs").exists():
        (folder / "logs").write_text(text, encoding="utf-8")
    Memory.create(folder / "witness.db", vkey).close()
    sync_folder(folder)
    _finish(folder)
    return key


def _finish(folder: Path) -> None:
    """Give the key its name, last of all; a founding that was cut short here is whole."""
    os.replace(folder / "witness.pem.new", folder / "witness.pem")
    sync_folder(folder)


def open_home(folder: Path) -> Home:
    """Open a witness.

    Raises:
        WitnessRefused: key, memory or list of logs are missing, or do not belong together.
        KeyFault: the key cannot be read, or others can read it.
    """
    if not (folder / "witness.pem").exists() and (folder / "witness.db").exists():
        if (folder / "witness.pem.new").exists():
            _finish(folder)
            return open_home(folder)
        raise WitnessRefused(
            f"{folder / 'witness.pem'}: the key of this witness is lost. Put it back, or make "
            "another witness in another folder: logs must then change their policy."
        )
    signer = key_files.load(folder / "witness.pem")
    if signer.public.alg != EDDSA:
        raise WitnessRefused(f"{folder / 'witness.pem'}: a witness signs with Ed25519")
    memory = Memory(folder / "witness.db")
    with ExitStack() as closing:
        closing.callback(memory.close)
        key = parse_vkey(memory.vkey)
        logs = _read_logs(folder / "logs")
        if key.public != signer.public:
            raise WitnessRefused(
                f"{folder}: witness.db was made for the key {memory.vkey}, witness.pem is another "
                f"one. What this key cosigned is not known here. {RETIRE}"
            )
        if any(log.public == key.public for log in logs):
            raise WitnessRefused(f"{folder / 'logs'}: a witness cannot watch with a log's own key")
        closing.pop_all()
    return Home(key, signer, memory, logs, EvidenceFolder(folder / "evidence"))


def _read_logs(path: Path) -> tuple[NoteKey, ...]:
    try:
        return parse_logs(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise WitnessRefused(f"{path}: cannot be read: {reason}") from None
    except MalformedMessage as error:
        raise WitnessRefused(f"{path}: {error}") from None


def follow(folder: Path, trust: Trust) -> tuple[str, ...]:
    """Let a witness go over to the key that took a watched log over; return the keys that ended.

    `trust` was checked when it was read: its lineage leads from the network's genesis to the key.

    Raises:
        WitnessRefused: it names no log that was watched before.
    """
    path = folder / "logs"
    known = {format_vkey(key) for key in _read_logs(path)}
    ended = tuple(each.old for each in trust.takeovers if each.old in known)
    if trust.log_vkey in known and not ended:
        return ()
    if not ended:
        raise WitnessRefused(
            f"{path}: this witness never watched a log whose key {trust.log_vkey} took over; "
            "to watch a new log, give its --log VKEY"
        )
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [f"# ended: {line}" if line.strip() in ended else line for line in lines]
    if trust.log_vkey not in known:
        kept.append(trust.log_vkey)
    draft = path.with_suffix(".partial")
    draft.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    os.replace(draft, path)
    sync_folder(folder)
    return ended


def add_logs(folder: Path, vkeys: Sequence[str]) -> None:
    """Let a witness watch more logs, from its next start on.

    Raises:
        WitnessRefused: the list cannot be read.
        MalformedMessage: a vkey of another form.
    """
    path = folder / "logs"
    known = {format_vkey(key) for key in _read_logs(path)}
    more = [vkey for vkey in vkeys if vkey not in known]
    parse_logs("\n".join(more))
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{vkey}\n" for vkey in more)
