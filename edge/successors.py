"""How a key of the node is followed by another: one durable moment, and then the configuration.

In one transaction the outbox takes the old key's last word, which names for each stream the last
sequence that it signed, and notes where the new key lies. From then on nothing is signed by the old
one. Whoever reads the configuration follows that note until the configuration says so itself; so a
program may be killed at any point, and none signs with the wrong key.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from edge.config import EdgeConfig
from edge.errors import OutboxError, Unavailable
from edge.outbox import Outbox
from edge.outbox_records import Draft, Head, Key, keep_fact
from edge.outbox_schema import open_for_reading
from messages.entries import KeyEntry, sign_entry
from messages.membership import ROTATION
from messages.possession import Claim
from messages.publickey import Signer

_FACT: Final = "key of "


@dataclass(frozen=True, slots=True)
class Successor:
    """A key that took over. `name`: the meter's, "" for the node's own. Places are absolute."""

    name: str
    old_place: str
    new_place: str

    @property
    def fact(self) -> str:
        """The name under which the outbox keeps it."""
        return _FACT + self.name


@dataclass(frozen=True, slots=True)
class Change:
    """What is to happen: who signs for whom from now on."""

    successor: Successor
    claim: Claim
    old: Signer
    new: Signer


def take_over(outbox: Outbox, change: Change) -> None:
    """Let the new key follow the old one, durably; what was signed before goes out as it is.

    Raises:
        Unavailable: either key cannot: it was followed already, or has signed before.
        KeyFault: a key does not sign.
        OutboxError: nothing was stored.
    """
    heads = outbox.heads()
    old, new = change.old.public, change.new.public
    if (old.kid, ROTATION) in heads:
        raise Unavailable(f"the key {old.fingerprint} has a successor already")
    if any(kid == new.kid for kid, _ in heads) or new == old:
        raise Unavailable(f"the key {new.fingerprint} has signed here before: take a new one")
    successor = change.successor
    places = json.dumps([successor.old_place, successor.new_place])
    outbox.keep(
        _last_word(change, heads), lambda connection: keep_fact(connection, successor.fact, places)
    )


def followed(config: EdgeConfig) -> EdgeConfig:
    """Return a configuration with the keys that count, also where its file is one step behind."""
    now = {each.name: each for each in begun(config)}
    own = now.get("")
    return replace(
        config,
        key=own.new_place if own is not None else config.key,
        meter=tuple(
            replace(each, key=now[each.meter_id].new_place) if each.meter_id in now else each
            for each in config.meter
        ),
    )


def begun(config: EdgeConfig) -> list[Successor]:
    """Return the successors that are noted for keys of a configuration, or for the keys before."""
    try:
        connection = open_for_reading(Path(config.state) / "outbox.db")
    except OutboxError:
        return []  # there is none yet, or it says itself what is wrong with it
    try:
        found = _noted(connection)
    finally:
        connection.close()
    places = config.key_places
    return [each for each in found if places.get(each.name) in (each.old_place, each.new_place)]


def _noted(connection: sqlite3.Connection) -> list[Successor]:
    query = "SELECT name, value FROM fact WHERE substr(name, 1, ?) = ? ORDER BY name"
    rows = connection.execute(query, (len(_FACT), _FACT)).fetchall()
    return [Successor(name[len(_FACT) :], *json.loads(value)) for name, value in rows]


def _last_word(change: Change, heads: Mapping[Key, Head]) -> Draft:
    old, claim = change.old, change.claim
    last = {
        stream: head.next_sequence - 1
        for (kid, stream), head in heads.items()
        if kid == old.public.kid
    }
    entry = KeyEntry(
        "rotate",
        claim.holder,
        claim.name,
        change.new.public.cose_key,
        replaces=old.public.kid,
        last_sequences=last,
        proof=claim.prove(change.new),
    )
    return Draft(
        old.public.kid, ROTATION, lambda sequence: sign_entry(old, entry, claim.network_id)
    )
