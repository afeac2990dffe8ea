"""The ledger of a signed village: its entries in a store, under a checkpoint, with trust.toml."""

from __future__ import annotations

from pathlib import Path

from hub.core.rights import kind_of
from hub.ledger.records import NewEntry
from hub.ledger.store import Store
from hub.statements.making import Wanted, make_statement
from messages.entries import Gap, NodeEvent
from messages.log.checkpoint import Checkpoint, sign_checkpoint
from messages.log.note import ED25519, NoteKey, format_vkey
from messages.log.policy import parse_policy, unwitnessed
from messages.reading import Reading
from messages.statement import Statement
from messages.trust import Trust, format_trust
from tests.support.signers import ed25519
from tests.support.village import Village

ORIGIN = "gridtally.test/village"
LOG = ed25519("log")
VKEY = format_vkey(NoteKey(ORIGIN, ED25519, LOG.public))


def store_of(village: Village, folder: Path) -> Store:
    """Write a village's entries as a ledger, and sign a checkpoint over all of them."""
    store = Store.open(f"sqlite:///{folder / 'ledger.db'}", create=True, ballast_bytes=4096)
    rows = []
    for entry in village.entries:
        event, body = entry.event, entry.event.body
        stream, sequence = "", None
        if isinstance(body, Reading):
            stream, sequence = "register", body.sequence
        elif isinstance(body, NodeEvent):
            stream, sequence = "event", body.event
        assert not isinstance(body, Gap)
        rows.append(
            NewEntry(entry.raw, event.leaf_hash, event.kid, kind_of(body), stream, sequence)
        )
    store.append(rows)
    store.checkpoint(lambda size, root: sign_checkpoint(Checkpoint(ORIGIN, size, root), LOG))
    return store


def trust_of(village: Village) -> Trust:
    """What a doubter of the village believes."""
    return Trust(village.network_id, ORIGIN, VKEY, village.hub.public, unwitnessed(VKEY))


def statement_of(
    village: Village, folder: Path, account: str, first: int = 0, last: int = 10_000
) -> Statement:
    """Return an account's statement over slots [first, last); leave trust.toml in the folder."""
    (folder / "trust.toml").write_text(format_trust(trust_of(village)))
    wanted = Wanted(account, first * village.slot_ms, last * village.slot_ms)
    with store_of(village, folder) as store:
        policy = parse_policy(unwitnessed(VKEY))
        return make_statement(store, wanted, policy, village.contracts)
