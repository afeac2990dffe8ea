"""Which key counts at which place in the log, worked out from the entries alone.

A second reading of the registry, independent of the fold's: a verifier that asked the fold would
believe what it should check. Source: trust 4.3, valid by log position and not by a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from messages.entries import Genesis, KeyEntry
from messages.errors import BadKey, BadSignature
from messages.publickey import KID_BYTES, PublicKey, parse_cose_key

ADMINISTRATORS: Final = frozenset(("administrator",))
ENROLLERS: Final = ADMINISTRATORS | {"manager"}
SIGNERS: Final[Mapping[str, frozenset[str]]] = {
    "reading": frozenset(("meter",)),
    "telemetry": frozenset(("meter",)),
    "ack": frozenset(("node",)),
    "epoch": frozenset(("node",)),
    "calibration": frozenset(("node",)),
    "close": frozenset(("hub",)),
    "gap": frozenset(("hub",)),
    "decision": frozenset(("hub",)),
    "seal": frozenset(("hub",)),
    "block": frozenset(("hub", "member")),
    "call": frozenset(("member",)),
    "key": frozenset(("member",)),
    "policy": frozenset(("member",)),
    "genesis": frozenset(("member",)),
}
"""Kind of entry -> whose keys may sign it at all. What a member's role allows is the fold's."""


@dataclass(frozen=True, slots=True)
class Ringed:
    """One key as the entries so far have it; `last_sequences` is None while it is the newest."""

    key: PublicKey
    holder: str
    name: str
    first_sequence: int
    roles: frozenset[str]
    last_sequences: Mapping[str, int] | None = None
    revoked_at: int | None = None

    @property
    def is_newest(self) -> bool:
        """Whether it is neither revoked nor rotated."""
        return self.revoked_at is None and self.last_sequences is None


class KeyRing:
    """Owns the keys as of the entries it was shown, in order."""

    def __init__(self) -> None:
        self._keys: dict[bytes, Ringed] = {}

    def found(self, genesis: Genesis) -> None:
        """Take in the keys of entry 0. Raises BadKey."""
        founder = parse_cose_key(genesis.administrator)
        self._keys[founder.kid] = Ringed(founder, "member", "administrator", 1, ENROLLERS)
        for holder, cose_key in (("hub", genesis.hub), ("log", genesis.log)):
            key = parse_cose_key(cose_key)
            self._keys[key.kid] = Ringed(key, holder, holder, 1, frozenset())

    def signer(self, kid: bytes, kind: str, stream: str, sequence: int) -> Ringed:
        """Return the key that may have signed a message here.

        Raises:
            BadSignature: no such key, a key of another holder, revoked, or past its last sequence.
        """
        found = self._keys.get(kid)
        if found is None:
            raise BadSignature(f"no key {kid.hex()} is registered at this place")
        if found.holder not in SIGNERS.get(kind, ()):
            raise BadSignature(f"a {kind} entry is not signed by {found.holder} {found.name}")
        if found.revoked_at is not None:
            raise BadSignature(
                f"the key of {found.holder} {found.name} was revoked by entry {found.revoked_at}"
            )
        if found.last_sequences is not None and sequence > found.last_sequences.get(stream, 0):
            raise BadSignature(f"{found.holder} {found.name} had a new key by then")
        return found

    def change(self, index: int, signer: Ringed, entry: KeyEntry) -> None:
        """Take in a key entry, if its signer may change keys; else it changes nothing."""
        if not signer.roles & (ADMINISTRATORS if entry.action == "role" else ENROLLERS):
            return
        try:
            self._change(index, entry)
        except BadKey:
            return  # such an entry changes nothing

    def _change(self, index: int, entry: KeyEntry) -> None:
        if entry.action == "enrol":
            key = parse_cose_key(entry.key)
            first = max(entry.first_sequence, 1)
            roles = frozenset(entry.roles)
            self._keys.setdefault(key.kid, Ringed(key, entry.holder, entry.name, first, roles))
        elif entry.action == "rotate":
            self._rotate(entry)
        elif entry.action == "revoke":
            self._revoke(index, entry)
        elif entry.action == "role":
            self._give_roles(entry)

    def _rotate(self, entry: KeyEntry) -> None:
        key = parse_cose_key(entry.key)
        old_kid = key_id(entry.replaces)
        old = self._keys.get(old_kid)
        if old is None or not old.is_newest or key.kid in self._keys:
            return
        first = max(entry.first_sequence, 1)
        self._keys[key.kid] = replace(old, key=key, first_sequence=first)
        self._keys[old_kid] = replace(old, last_sequences=dict(entry.last_sequences))

    def _revoke(self, index: int, entry: KeyEntry) -> None:
        kids = [key_id(entry.key)] if entry.key else self._kids_of(entry.holder, entry.name)
        kids = [kid for kid in kids if kid in self._keys]
        if self._leaves_nobody(kids):
            return
        for kid in kids:
            if self._keys[kid].revoked_at is None:
                self._keys[kid] = replace(self._keys[kid], revoked_at=index)

    def _give_roles(self, entry: KeyEntry) -> None:
        kids = self._kids_of("member", entry.name)
        if "administrator" not in entry.roles and self._leaves_nobody(kids):
            return
        for kid in kids:
            self._keys[kid] = replace(self._keys[kid], roles=frozenset(entry.roles))

    def _kids_of(self, holder: str, name: str) -> list[bytes]:
        return [
            kid
            for kid, found in self._keys.items()
            if (found.holder, found.name) == (holder, name) and found.is_newest
        ]

    def _leaves_nobody(self, kids: list[bytes]) -> bool:
        return not any(
            "administrator" in found.roles and found.is_newest
            for kid, found in self._keys.items()
            if kid not in kids
        )


def key_id(named: bytes) -> bytes:
    """Return the key id in a key id, a thumbprint or a COSE_Key. Raises BadKey."""
    return named[:KID_BYTES] if len(named) in (KID_BYTES, 32) else parse_cose_key(named).kid
