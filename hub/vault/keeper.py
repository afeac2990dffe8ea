"""The keys of records, and the answers to those who may read: the hub's part.

A record's key lies in a file of its own, named by what the ledger commits to. Everything follows
from the fold's state, so a crash loses nothing: a request that was served is answered, and a record
that was erased has no key, as soon as a final checkpoint covers the entry. Stores are not touched
here: they may be far away, and leases must not wait for them.
"""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hub.core.records import Access, Kept
from hub.core.state import State
from hub.ledger.newest import sync_folder
from hub.ledger.preimages import Preimages
from hub.vault.answers import ABSENT, Answers, write_private
from hub.vault.unsealing import readings_of
from messages.errors import MalformedMessage
from messages.records import KEY_BYTES, NONCE_BYTES, Fresh, lock_readings, wrap

log = logging.getLogger("hub.vault")


class Keeper:
    """Owns `<state>/records/keys`, and answers."""

    def __init__(self, state: Path, preimages: Preimages | None = None) -> None:
        """`preimages` opens sealed readings; without it there is nothing to give of them."""
        self._keys = state / "records" / "keys"
        self._answers = Answers(state)
        self._preimages = preimages
        self._final_size = -1

    def keep_key(self, digest: bytes, key: bytes) -> None:
        """Keep the key of a record, before its ciphertext is handed to anybody."""
        write_private(self._keys / digest.hex(), key)

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
            if access.entry_index < final_size and not self._answers.holds(call_id):
                self._answers.put(call_id, self._answer(state, call_id, access, final_size))
        self._answers.keep_only(state.accesses)
        self._final_size = final_size

    def take_answer(self, call_id: bytes) -> bytes | None:
        """Return an answer, once; None while there is none, b"" if there is nothing to give."""
        return self._answers.take(call_id)

    def _answer(self, state: State, call_id: bytes, access: Access, final_size: int) -> bytes:
        try:
            if access.record:
                return self._record_key(access, state.records[access.record])
            return self._readings(state, call_id, access, final_size)
        except MalformedMessage as error:
            log.warning("request %s of %s: %s", call_id.hex(), access.member, error)
            return ABSENT

    def _record_key(self, access: Access, record: Kept) -> bytes:
        name = access.record.hex()[:12]
        try:
            key = (self._keys / record.digest.hex()).read_bytes()
        except FileNotFoundError:
            log.error("record %s: its key is not here", name)
            return ABSENT
        answer = wrap(key, access.record, access.reply_key, X25519PrivateKey.generate())
        log.info("record %s is read by %s as %s", name, access.member, access.why)
        return answer

    def _readings(self, state: State, call_id: bytes, access: Access, final_size: int) -> bytes:
        if self._preimages is None:
            return ABSENT
        found = readings_of(self._preimages, state, access, final_size)
        fresh = Fresh(
            secrets.token_bytes(KEY_BYTES),
            secrets.token_bytes(NONCE_BYTES),
            X25519PrivateKey.generate(),
        )
        log.info("%d readings are read by %s as %s", len(found), access.member, access.why)
        return lock_readings(found, call_id, access.reply_key, fresh)

    def _erase(self, record: Kept) -> None:
        """Erase the key: from then on the ciphertext says nothing, wherever it is."""
        if self.drop_key(record.digest):
            log.info("a record of %s was erased", record.owner)
