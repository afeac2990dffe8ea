"""Who is enrolled, as the hub's loop needs it: the fold's registry in intake's words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hub.core.records import Key
from hub.core.state import State
from hub.intake import KnownKey
from messages.publickey import parse_cose_key

SENDERS = ("meter", "node", "member")


@dataclass(frozen=True, slots=True)
class Roster:
    """One picture of the registry; made anew whenever an entry changes it.

    `keys` by key id; `nodes` are the names the hub publishes to, in order.
    """

    keys: Mapping[bytes, KnownKey]
    nodes: tuple[str, ...]

    def owned_by(self, node: str) -> frozenset[bytes]:
        """Return the ids of the keys whose messages a node carries."""
        return frozenset(kid for kid, known in self.keys.items() if known.node == node)

    def name_of(self, kid: bytes) -> str:
        """Return whose key this is, for people; the key id in hex if nobody's."""
        known = self.keys.get(kid)
        return kid.hex() if known is None else known.name


NOBODY: Final = Roster({}, ())


def call_roll(state: State, before: Roster = NOBODY) -> Roster:
    """Return the roster of a state; keys that stood in the one before are not parsed again."""
    keys = {
        kid: _known(key, before.keys.get(kid))
        for kid, key in state.keys.items()
        if key.holder in SENDERS
    }
    nodes = {key.name for key in keys.values() if key.holder == "node" and not key.is_revoked}
    return Roster(keys, tuple(sorted(nodes)))


def _known(key: Key, before: KnownKey | None) -> KnownKey:
    parsed = before.key if before and before.key.cose_key == key.cose_key else None
    return KnownKey(
        key=parsed or parse_cose_key(key.cose_key),
        holder=key.holder,
        name=key.name,
        node=key.node,
        first_sequence=key.first_sequence,
        last_sequences=dict(key.last_sequences) if key.rotated_to else None,
        is_revoked=key.until_index is not None,
    )
