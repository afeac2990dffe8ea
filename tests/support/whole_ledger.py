"""A ledger of 200 entries with a row in nearly every table, to be spoiled cell by cell."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hub.auditing.audit import Inputs, audit, views_fault
from hub.balancing.dep import Dep
from hub.balancing.policy import view_root
from hub.bookkeeping import rows_of
from hub.core.events import read_event
from hub.core.state import State
from hub.core.step import step
from hub.errors import LedgerError
from hub.ledger.books import BookRow
from hub.ledger.records import Cosigned, Evidence, Snapshot
from hub.ledger.store import Store
from hub.ledger.verify import verify
from messages.entries import Decision, Output
from messages.log.cosignature import cosign, open_cosignatures
from messages.log.note import COSIGNATURE, NoteKey, format_vkey, parse_note
from messages.log.tree import leaf_hash
from messages.trust import Trust
from tests.support.bench import house, view
from tests.support.signers import ed25519
from tests.support.small_ledger import START_MS, SmallHub

SLOTS = 47
WITNESS = NoteKey("witness.example/w1", COSIGNATURE, ed25519("w1").public)
VIEW = view(house("bob", 20, {"heater": 60}))


@dataclass(frozen=True)
class Whole:
    """The ledger file, and what its verifier believes."""

    path: Path
    trust: Trust

    def fault(self) -> str:
        """What `verify`, and then `audit`, find wrong in the file; "" if nothing."""
        return first_fault(self.path, self.trust)


def first_fault(path: Path, trust: Trust) -> str:
    """Return the first finding of `verify`, or else of `audit`."""
    url = f"sqlite:///{path}"
    try:
        found = verify(url, trust).findings
        if found:
            return found[0]
        with Store.open(url, read_only=True) as store:
            size = store.size
            snapshots = {kept.size: kept for kept in store.snapshots()}
            if max(snapshots, default=0) > size:
                return "a snapshot is of more entries than the ledger has"
            inputs = Inputs(views=store.views.body, snapshots=snapshots)
            report = audit(store.raws(0, size), inputs, store.books.history())
            return report.difference or views_fault(store.views.all())
    except (LedgerError, ValueError, TypeError) as error:
        return f"cannot be read: {error}"


def make_whole(folder: Path) -> Whole:
    """Write it: 200 entries, a little of everything beside them."""
    hub = SmallHub(folder)
    hub.enrol()
    with hub.store:
        proposal = Dep().decide(VIEW)
        outputs = tuple(
            Output(o.node, o.relay, o.member, o.load, o.energised, o.cut, o.power_mw)
            for o in proposal.orders
        )
        root = view_root(VIEW)
        made = Decision(
            VIEW.at_ms, "dep", b"", root, "supply", proposal.rule, proposal.reason, outputs
        )
        hub.store.views.keep(root, VIEW.at_ms, VIEW.dumps())
        hub.store.append([hub.say(hub.hub, made), hub.ack(), hub.ack(), hub.ack()])
        hub.fill_slots(SLOTS)
        note = hub.store.newest_checkpoint()
        if note is None:
            raise AssertionError("no checkpoint")
        line = cosign(parse_note(note.note).text, START_MS // 1000, WITNESS.name, ed25519("w1"))
        (found,) = open_cosignatures(note.note + line, (WITNESS,))
        hub.store.cosignatures.keep(
            Cosigned(note.size, WITNESS.name, WITNESS.key_id, found.time_s, line), 0
        )
        keep_clone(hub)
        hub.store.strangers.count({("bad-signature", "n1"): 3})
        fold(hub.store)
    policy = f"{hub.trust.policy.splitlines()[0]}\nwitness w1 {format_vkey(WITNESS)}\nquorum w1\n"
    return Whole(hub.path, replace(hub.trust, policy=policy))


def keep_clone(hub: SmallHub) -> None:
    """Keep evidence: two contents under one sequence of a meter."""
    first = hub.store.stored(hub.meter.public.kid, "register", 1)
    hub.sequences["register"], now = 0, hub.sequences["register"]
    clone = hub.reading(import_uwh=7)
    hub.sequences["register"] = now
    if first is None:
        raise AssertionError("no first reading")
    hub.store.strangers.keep(
        Evidence(leaf_hash(clone.raw), clone.kid, "register", 1, first.raw, clone.raw)
    )


def fold(store: Store) -> None:
    """Write books and a snapshot as a hub does."""
    state = State()
    rows: list[BookRow] = []
    for entry in store.entries():
        event = read_event(entry.index, entry.raw)
        outcome = step(state, event)
        state.apply(outcome.changes)
        rows += rows_of(event, outcome.effects)
        if entry.index == 150:
            store.save_snapshot(Snapshot(151, state.root(), state.dumps()))
    store.books.replace(rows)


# --- cell by cell ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One value of one row."""

    table: str
    column: str
    row: dict[str, Any]
    keys: tuple[str, ...]

    @property
    def value(self) -> Any:
        """What stands there."""
        return self.row[self.column]

    def write(self, connection: sqlite3.Connection, old: Any, new: Any) -> None:
        """Put `new` where `old` is."""
        row = self.row | {self.column: old}
        where = " AND ".join(f'"{key}" IS ?' for key in self.keys)
        statement = f'UPDATE "{self.table}" SET "{self.column}" = ? WHERE {where}'
        changed = connection.execute(statement, (new, *(row[key] for key in self.keys))).rowcount
        if changed != 1:
            raise AssertionError(f"{self.table} {row}: {changed} rows changed")


def tables(path: Path) -> list[str]:
    """Return the names of all tables."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        return sorted(name for (name,) in found if not name.startswith("sqlite_"))


def cells(connection: sqlite3.Connection, table: str) -> Iterator[Cell]:
    """Yield every value of a table."""
    columns = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
    names = [column[1] for column in columns]
    keys = tuple(column[1] for column in columns if column[5])
    for values in connection.execute(f'SELECT * FROM "{table}"').fetchall():
        row = dict(zip(names, values, strict=True))
        for name in names:
            yield Cell(table, name, row, keys)


def unprotected(path: Path) -> None:
    """Take the triggers away, as an owner with a shell would."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'"):
            connection.execute(f'DROP TRIGGER "{name}"')


def turned(value: Any, bit: int) -> Any:
    """Return a value with one of its bits turned; None becomes a number."""
    if value is None:
        return 1 << bit % 8
    if isinstance(value, int):
        return value ^ (1 << bit)
    if isinstance(value, str):
        raw = value.encode()
        return turned(raw, bit).decode("latin-1") if raw else chr(1 << bit % 7)
    if not value:
        return bytes((1 << bit % 8,))
    spoilt = bytearray(value)
    spoilt[bit // 8] ^= 1 << bit % 8
    return bytes(spoilt)


def bits_of(value: Any) -> int:
    """Return how many bits a value has to turn."""
    if isinstance(value, int):
        return max(value.bit_length() + 1, 2)
    if isinstance(value, str | bytes):
        return max(len(value.encode() if isinstance(value, str) else value) * 8, 1)
    return 1
