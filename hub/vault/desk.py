"""What the commands on records do: encrypt, sign a request, hand it over, take the answer."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hub.commands.enrolling import hand_over
from hub.config import HubConfig
from hub.core.recordkeeping import CONTRACT
from hub.core.state import State
from hub.errors import NoAnswer, RecordRefused
from hub.ledger.store import Store
from hub.starting import read_trust
from hub.vault.following import Follower, why_failed
from hub.vault.keeper import Keeper
from hub.vault.stores import blob_of, locators_of, names_of, open_stores
from messages import cose
from messages.entries import Call, network_aad, sign_entry
from messages.log.tree import leaf_hash
from messages.publickey import Signer
from messages.records import (
    KEY_BYTES,
    NONCE_BYTES,
    RECORD_BYTES_MAX,
    Opened,
    lock,
    open_readings,
    unlock,
    unwrap,
)
from messages.sealed import make_preimage, sign_sealed

CONTENT_TYPE: Final = "application/octet-stream"
CALL_ID_BYTES: Final = 16
ANSWER_WAIT_S: Final = 15.0
LOOK_EVERY_S: Final = 0.05
SLOTS_VALID: Final = 2
"""How many slots a request counts for: a stale one is refused."""

Value = int | str | bytes | bool
Arguments = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was served: its entry's id, and its call id."""

    entry_id: bytes
    call_id: bytes


class RecordDesk:
    """Speaks for one member, whose key signs, with the hub of a configuration."""

    def __init__(self, config: HubConfig, signer: Signer) -> None:
        self._config = config
        self._signer = signer
        self._network_id = read_trust(Path(config.trust)).network_id
        self._stores = open_stores(config.records.stores, config.state)
        self._keeper = Keeper(Path(config.state))

    def put(self, content: bytes, purpose: str, owner: str) -> bytes:
        """Encrypt a record, store it, commit to it; return its id.

        Raises:
            RecordRefused, RecordUnavailable: it is not kept.
        """
        if len(content) > RECORD_BYTES_MAX:
            raise RecordRefused(f"a record has at most {RECORD_BYTES_MAX} bytes")
        preimage = make_preimage(content, secrets.token_bytes(cose.SALT_BYTES))
        key = secrets.token_bytes(KEY_BYTES)
        locked = lock(preimage, key, secrets.token_bytes(NONCE_BYTES))
        aad = network_aad(self._network_id)
        commitment = sign_sealed(self._signer, CONTENT_TYPE, preimage, aad)
        self._keeper.keep_key(cose.parse(commitment).payload, key)
        places = self._stores.put(locked.name, locked.ciphertext)
        arguments: dict[str, Value] = {
            "commitment": commitment,
            "purpose": purpose,
            "owner": owner,
            "locators": locators_of(locked.name, places),
        }
        try:
            return self.ask("put", arguments).entry_id
        except RecordRefused:
            self._keeper.drop_key(cose.parse(commitment).payload)
            self._stores.delete(locked.name)
            raise

    def get(self, record_id: bytes, case: str = "") -> bytes:
        """Ask for a record, as its owner or grantee, or under a case; return its content.

        Raises:
            RecordRefused, RecordUnavailable: no grant, or no store has it.
            BadProof: it is not what the ledger commits to.
        """
        own = X25519PrivateKey.generate()
        reply_key = own.public_key().public_bytes_raw()
        arguments: dict[str, Value] = {"record": record_id, "reply_key": reply_key}
        asked = self.ask("read", arguments | ({"case": case} if case else {}))
        key = unwrap(self._answer(asked.call_id), record_id, own)
        record = self.state().records[record_id]
        return unlock(self._stores.get(blob_of(record.locators)), key, record.digest)

    def readings(self, meter: str, from_ms: int, until_ms: int, case: str = "") -> list[Opened]:
        """Ask for what a meter's sealed readings say, as owner or grantee, or under a case.

        Raises:
            RecordRefused: no grant.
            BadProof: it is not what the ledger commits to.
        """
        own = X25519PrivateKey.generate()
        arguments: dict[str, Value] = {
            "meter": meter,
            "from_ms": from_ms,
            "until_ms": until_ms,
            "reply_key": own.public_key().public_bytes_raw(),
        }
        asked = self.ask("unseal", arguments | ({"case": case} if case else {}))
        return open_readings(self._answer(asked.call_id), asked.call_id, own)

    def erase(self, record_id: bytes) -> tuple[str, ...]:
        """Erase a record; return the stores that could not delete its ciphertext, which is noise.

        Raises:
            RecordRefused: it is not the member's to erase.
        """
        self.ask("erase", {"record": record_id})
        state = self.state()
        name = blob_of(state.records[record_id].locators)
        # Whoever puts a record says where it lies: another's ciphertext is not his to delete.
        return self._stores.delete(name) if name in names_of(state)[1] else ()

    def grant(self, what: str, grantee: str, until_slot_ms: int) -> None:
        """Let somebody read a record, or all of a purpose; RecordRefused says why not."""
        self.ask("grant", {"what": what, "grantee": grantee, "until_slot_ms": until_slot_ms})

    def ask(self, method: str, arguments: Arguments, contract: str = CONTRACT) -> Asked:
        """Sign a request, hand it over, and see that it was served.

        Raises:
            RecordRefused: it was not; the text says why.
        """
        with Store.open(self._config.database, read_only=True) as store:
            fold = Follower(store)
            next_ms = _next_slot_ms(fold.state)
            until_ms = next_ms + SLOTS_VALID * fold.state.slot_ms
            call_id = secrets.token_bytes(CALL_ID_BYTES)
            call = Call(call_id, until_ms, contract, method, dict(arguments))
            raw = sign_entry(self._signer, call, self._network_id)
            (reason,) = hand_over(self._config, [raw])
            reason = reason or why_failed(fold.advance(), call_id)
        if reason:
            raise RecordRefused(reason)
        return Asked(leaf_hash(raw), call_id)

    @property
    def next_slot_ms(self) -> int:
        """The slot that closes next: what requests are timed by. RecordRefused if there is none."""
        return _next_slot_ms(self.state())

    def state(self) -> State:
        """Return the fold's state, as the ledger has it now."""
        return read_state(self._config)

    def _answer(self, call_id: bytes) -> bytes:
        deadline_s = time.monotonic() + ANSWER_WAIT_S
        while True:
            answer = self._keeper.take_answer(call_id)
            if answer:
                return answer
            if answer is not None:
                raise RecordRefused("the hub has no key for this record any more")
            if time.monotonic() > deadline_s:
                raise NoAnswer("the request is on the ledger and not final yet: ask again later")
            time.sleep(LOOK_EVERY_S)


def _next_slot_ms(state: State) -> int:
    next_ms = state.progress.next_slot_ms
    if next_ms is None:
        raise RecordRefused("requests are timed by slots, and none has closed yet")
    return next_ms


def read_state(config: HubConfig) -> State:
    """Return the fold's state, as the ledger has it now."""
    with Store.open(config.database, read_only=True) as store:
        return Follower(store).state
