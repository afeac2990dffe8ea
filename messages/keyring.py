"""Which key counts at which place in the log, worked out from the entries alone.

A second reading of the registry, independent of the fold's: a verifier that asked the fold would
believe what it should check. Source: trust 4.3, valid by log position and not by a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from messages.entries import Genesis, KeyEntry
from messages.errors import BadSignature
from messages.log.note import ED25519, NoteKey, parse_vkey
from messages.logkeeping import Quorum, Takeover, quorum_fault, takeover_fault
from messages.membership import (
    HOLDERS,
    OFFICE_HOLDERS,
    ORDINARY_ROLES,
    ROLES,
    entry_fault,
    key_id,
    key_of,
)
from messages.publickey import PublicKey, parse_cose_key

__all__ = ["ADMINISTRATORS", "ENROLLERS", "SIGNERS", "KeyRing", "Ringed", "key_id"]

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
    "fault": frozenset(("hub", "member")),
    "seal": frozenset(("hub",)),
    "block": frozenset(("hub", "replica")),
    "call": frozenset(("member",)),
    "notice": frozenset(("hub",)),
    "feed": frozenset(("feeder",)),
    "key": frozenset(("member", "node", "meter", "replica", "feeder")),
    "policy": frozenset(("member",)),
    "quorum": frozenset(("member",)),
    "takeover": frozenset(("member",)),
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
        self.log_key: NoteKey | None = None  # whose signature a checkpoint needs now
        self.quorum = ""  # the policy in force
        self.takeovers: tuple[Takeover, ...] = ()

    def found(self, genesis: Genesis) -> None:
        """Take in the keys of entry 0. Raises BadKey."""
        founder = parse_cose_key(genesis.administrator)
        self._keys[founder.kid] = Ringed(founder, "member", "administrator", 1, frozenset(ROLES))
        for holder, cose_key in (("hub", genesis.hub), ("log", genesis.log)):
            key = parse_cose_key(cose_key)
            self._keys[key.kid] = Ringed(key, holder, holder, 1, frozenset())
        self.log_key = NoteKey(genesis.origin, ED25519, parse_cose_key(genesis.log))
        self.quorum = genesis.policy

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

    def key(self, kid: bytes) -> PublicKey:
        """Return a key that is or was registered; raises BadSignature if none ever was."""
        if kid not in self._keys:
            raise BadSignature(f"no key {kid.hex()} is registered")
        return self._keys[kid].key

    def change(self, index: int, signer: Ringed, entry: KeyEntry) -> None:
        """Take in a key entry, if its signer may change that key; else it changes nothing."""
        if not signer.is_newest or entry_fault(entry) or not self._may(signer, entry):
            return
        if entry.action == "enrol":
            self._enrol(entry)
        elif entry.action == "rotate":
            self._rotate(entry)
        elif entry.action == "revoke":
            self._revoke(index, entry)
        else:
            self._give_roles(entry)

    def keep_log(self, index: int, signer: Ringed, entry: Quorum | Takeover) -> None:
        """Take in another quorum or log key, if an administrator says so; else nothing changes."""
        if self.log_key is None or not signer.is_newest or not signer.roles & ADMINISTRATORS:
            return
        if isinstance(entry, Quorum):
            if not quorum_fault(entry, self.log_key):
                self.quorum = entry.policy
        elif not takeover_fault(entry, index, self.log_key):
            self._take_over(parse_vkey(entry.new), entry)

    def _take_over(self, new: NoteKey, entry: Takeover) -> None:
        old_kid = new.public.kid if self.log_key is None else self.log_key.public.kid
        if new.public.kid in self._keys:
            return
        self._keys[old_kid] = replace(self._keys[old_kid], last_sequences={})
        self._keys[new.public.kid] = Ringed(new.public, "log", "log", 1, frozenset())
        self.log_key, self.quorum = new, entry.policy
        self.takeovers = (*self.takeovers, entry)

    def _may(self, signer: Ringed, entry: KeyEntry) -> bool:
        """Whether a key may change what it says: as an enroller, or to name its own successor."""
        if entry.action == "rotate" and key_id(entry.replaces) == signer.key.kid:
            return signer.holder in HOLDERS
        held = (self._keys[kid].roles for kid in self._kids_of(entry.holder, entry.name))
        roles = set(entry.roles).union(*held)
        is_office = entry.holder in OFFICE_HOLDERS or not roles <= set(ORDINARY_ROLES)
        wanted = ADMINISTRATORS if entry.action == "role" or is_office else ENROLLERS
        return bool(signer.roles & wanted)

    def _enrol(self, entry: KeyEntry) -> None:
        key = key_of(entry)
        if key.kid in self._keys or self._kids_of(entry.holder, entry.name):
            return
        self._keys[key.kid] = Ringed(
            key, entry.holder, entry.name, entry.first_sequence, frozenset(entry.roles)
        )

    def _rotate(self, entry: KeyEntry) -> None:
        key, old_kid = key_of(entry), key_id(entry.replaces)
        old = self._keys.get(old_kid)
        if old is None or not old.is_newest or key.kid in self._keys:
            return
        if (old.holder, old.name) != (entry.holder, entry.name):
            return
        self._keys[key.kid] = replace(old, key=key, first_sequence=entry.first_sequence)
        self._keys[old_kid] = replace(old, last_sequences=dict(entry.last_sequences))

    def _revoke(self, index: int, entry: KeyEntry) -> None:
        wanted = key_id(entry.key) if entry.key else None
        kids = [
            kid
            for kid, found in self._keys.items()
            if (found.holder, found.name) == (entry.holder, entry.name)
            if found.revoked_at is None and wanted in (None, kid)
        ]
        if not self._leaves_nobody(kids):
            for kid in kids:
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
