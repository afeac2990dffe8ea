"""The keys of records, and the answers to those who may read: the hub's part.

A record's key lies in a file of its own, named by what the ledger commits to. Everything follows
from the fold's state, so a crash loses nothing: a request that was served is answered, and a record
that was erased has no key, as soon as a final checkpoint covers the entry. Stores are not touched
here: they may be far away, and leases must not wait for them.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hub.core.records import Access, Kept
from hub.core.state import State
from hub.ledger.newest import sync_folder
from messages.errors import MalformedMessage
from messages.records import KEY_BYTES, wrap

ABSENT: Final = b""
"""The answer where the key is not here, or the answer was taken."""

log = logging.getLogger("hub.vault")


class Keeper:
    """Owns `<state>/records/keys` and `<state>/records/answers`."""

    def __init__(self, state: Path) -> None:
        self._keys = state / "records" / "keys"
        self._answers = state / "records" / "answers"
        self._final_size = -1

    def keep_key(self, digest: bytes, key: bytes) -> None:
        """Keep the key of a record, before its ciphertext is handed to anybody."""
        _write_private(self._keys / digest.hex(), key)

    def drop_key(self, digest: bytes) -> bool:
        """Overwrite a key and unlink it; False if it is not here."""
        path = self._keys / digest.hex()
        if not path.exists():
            return False
        with path.open("r+b") as file:
            file.write(bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        sync_folder(self._keys)
        return True

    def serve(self, state: State, final_size: int) -> None:
        """Answer and erase what a final checkpoint covers, if it covers more than last time."""
        if final_size == self._final_size:
            return
        for record in state.records.values():
            if record.erased_index is not None and record.erased_index < final_size:
                self._erase(record)
        for call_id, access in state.accesses.items():
            if access.entry_index < final_size and not self._has_answered(call_id):
                self._answer(call_id, access, state.records[access.record])
        for path in self._answers.glob("*"):
            if bytes.fromhex(path.stem) not in state.accesses:
                path.unlink(missing_ok=True)
        self._final_size = final_size

    def take_answer(self, call_id: bytes) -> bytes | None:
        """Return the answer to a request, once; None while there is none, b"" if there is no key.

        An empty file stays in its place, so that nobody is answered twice.
        """
        path = self._answers / call_id.hex()
        if not path.exists():
            return None
        answer = path.read_bytes()
        _write_private(path, ABSENT)
        return answer

    def _has_answered(self, call_id: bytes) -> bool:
        return (self._answers / call_id.hex()).exists()

    def _answer(self, call_id: bytes, access: Access, record: Kept) -> None:
        answer, name = ABSENT, access.record.hex()[:12]
        try:
            key = (self._keys / record.digest.hex()).read_bytes()
            answer = wrap(key, access.record, access.reply_key, X25519PrivateKey.generate())
            log.info("record %s is read by %s as %s", name, access.member, access.why)
        except FileNotFoundError:
            log.error("record %s: its key is not here", name)
        except MalformedMessage as error:
            log.warning("record %s for %s: %s", name, access.member, error)
        _write_private(self._answers / call_id.hex(), answer)

    def _erase(self, record: Kept) -> None:
        """Erase the key: from then on the ciphertext says nothing, wherever it is."""
        if self.drop_key(record.digest):
            log.info("a record of %s was erased", record.owner)


def _write_private(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)
