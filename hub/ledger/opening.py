"""Opening a ledger: make or check its tables, find the tree's right edge, check the tail.

A start reads the right edge, the newest checkpoint and the last TAIL_ENTRIES entries, whatever the
ledger's size; the whole is `verify`'s work.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, Engine, func, insert, inspect, select

from hub.errors import LedgerBehind, LedgerCorrupt, SchemaMismatch
from hub.ledger import proofs, schema
from hub.ledger.engine import place, protect, reading, writing
from hub.ledger.newest import HandedOut
from hub.ledger.nodes import StoredNodes, missing_node
from hub.ledger.records import Checkpoint
from messages.errors import MessageError
from messages.log.checkpoint import Checkpoint as TreeHead
from messages.log.checkpoint import parse_checkpoint
from messages.log.note import parse_note
from messages.log.tree import Frontier, leaf_hash

TAIL_ENTRIES = 2_000
DO_NOT_SIGN = "Do not sign on: run `gridtally-hub verify`, and put the newest good copy back."
COSIGNATURES = (
    "CREATE TABLE cosignature ("
    "size BIGINT NOT NULL REFERENCES checkpoint (size), name VARCHAR(255) NOT NULL, "
    "key_id {bytes} NOT NULL, time_s BIGINT NOT NULL, line TEXT NOT NULL, "
    "PRIMARY KEY (size, name, key_id))"
)
FATES = (
    "CREATE TABLE fate ("
    "slot_ms BIGINT NOT NULL, number INTEGER NOT NULL, member VARCHAR(64) NOT NULL, "
    "order_id VARCHAR(64) NOT NULL, side VARCHAR(16) NOT NULL, energy_uwh BIGINT NOT NULL, "
    "price_utok_per_kwh BIGINT NOT NULL, matched_uwh BIGINT NOT NULL, reason TEXT NOT NULL, "
    "PRIMARY KEY (slot_ms, number))"
)
BYTES = {"postgresql": "BYTEA"}  # what other dialects call BLOB
MIGRATIONS: dict[int, tuple[str, ...]] = {1: (COSIGNATURES,), 2: (FATES,)}
"""Version -> the way to the next."""


class Opened(NamedTuple):
    """What a store knows after a checked start."""

    frontier: Frontier
    newest: Checkpoint | None


def create_tables(engine: Engine) -> None:
    """Make an empty ledger in one transaction, if the database holds none."""
    with writing(engine) as connection:
        if inspect(connection).has_table(schema.ledger.name):
            return
        schema.metadata.create_all(connection)
        protect(connection)
        start = [
            {"name": "schema_version", "number": schema.SCHEMA_VERSION},
            {"name": "size", "number": 0},
        ]
        connection.execute(insert(schema.ledger), start)


def check_schema(engine: Engine, *, migrate: bool) -> None:
    """Refuse a file that is no ledger or newer than this program; bring an older one up to date."""
    where = place(engine)
    with reading(engine) as connection:
        if not inspect(connection).has_table(schema.ledger.name):
            raise SchemaMismatch(f"{where} holds no ledger: make one with `gridtally-hub init`")
        version = read_number(connection, "schema_version")
    if version > schema.SCHEMA_VERSION:
        raise SchemaMismatch(
            f"{where} has schema version {version}; this program knows versions up to "
            f"{schema.SCHEMA_VERSION}. Install the newer gridtally that wrote it."
        )
    if version < schema.SCHEMA_VERSION:
        if not migrate:
            raise SchemaMismatch(
                f"{where} has schema version {version}, this program reads "
                f"{schema.SCHEMA_VERSION}: start `gridtally-hub run` once, it brings it up to date."
            )
        _migrate(engine, version)


def _migrate(engine: Engine, version: int) -> None:
    kind = BYTES.get(engine.dialect.name, "BLOB")
    with writing(engine) as connection:
        for step in range(version, schema.SCHEMA_VERSION):
            for statement in MIGRATIONS[step]:
                connection.exec_driver_sql(statement.format(bytes=kind))
        write_number(connection, "schema_version", schema.SCHEMA_VERSION)


def read_number(connection: Connection, name: str) -> int:
    """Return one of the ledger's own numbers."""
    wanted = select(schema.ledger.c.number).where(schema.ledger.c.name == name)
    number = connection.execute(wanted).scalar_one_or_none()
    if number is None:
        raise LedgerCorrupt(f"the ledger does not say its {name}")
    return int(number)


def write_number(connection: Connection, name: str, number: int) -> None:
    """Set one of the ledger's own numbers."""
    column = schema.ledger.c.name
    connection.execute(schema.ledger.update().where(column == name).values(number=number))


def read_newest(connection: Connection) -> Checkpoint | None:
    """Return the stored checkpoint with the largest size."""
    table = schema.checkpoint
    row = connection.execute(select(table).order_by(table.c.size.desc()).limit(1)).first()
    return Checkpoint(row.size, row.note) if row else None


def head_of(checkpoint: Checkpoint) -> TreeHead:
    """Return what a stored note says, its signature unchecked."""
    try:
        head = parse_checkpoint(parse_note(checkpoint.note).text)
    except MessageError as error:
        raise LedgerCorrupt(f"checkpoint {checkpoint.size} cannot be read: {error}") from error
    if head.size != checkpoint.size:
        raise LedgerCorrupt(f"the checkpoint stored for {checkpoint.size} says {head.size}")
    return head


def inspect_log(engine: Engine, nodes: StoredNodes) -> Opened:
    """Return the tree's right edge and the newest checkpoint, the tail checked against both."""
    with reading(engine) as connection:
        size = read_number(connection, "size")
        last = connection.execute(select(func.max(schema.entry.c.index))).scalar_one()
        newest = read_newest(connection)
    held = 0 if last is None else last + 1
    if newest and newest.size > held:
        raise LedgerCorrupt(cut_tail(held, newest.size))
    if held != size:
        raise LedgerCorrupt(wrong_size(size, held))
    try:
        frontier = proofs.frontier(size, nodes)
        _check_tail(engine, nodes, frontier)
    except LedgerCorrupt as error:
        raise LedgerCorrupt(f"{error}. {DO_NOT_SIGN}") from error
    if newest:
        _check_newest(newest, nodes)
    return Opened(frontier, newest)


def cut_tail(held: int, promised: int) -> str:
    """Say in words that entries are missing at the end."""
    return (
        f"the ledger holds {held} entries, fewer than the {promised} of its newest checkpoint: "
        "its tail was cut off. Put the full file back; do not sign on."
    )


def wrong_size(size: int, held: int) -> str:
    """Say in words that the stored count is not that of the entries."""
    return (
        f"the ledger says it has {size} entries, but its last one makes {held}. "
        "Do not sign on: run `gridtally-hub verify`."
    )


def changed_entry(index: int) -> str:
    """Say in words that an entry's bytes and its hash do not belong together."""
    return f"entry {index} is not the one that was hashed into the log: it or its hash was changed"


def _check_tail(engine: Engine, nodes: StoredNodes, edge: Frontier) -> None:
    start = max(0, edge.size - TAIL_ENTRIES)
    again = proofs.frontier(start, nodes)
    finished: list[tuple[int, int, bytes]] = []
    table = schema.entry
    wanted = select(table.c.index, table.c.leaf_hash, table.c.raw).where(table.c.index >= start)
    with reading(engine) as connection:
        for index, leaf, raw in connection.execute(wanted.order_by(table.c.index)):
            if index != again.size:
                raise LedgerCorrupt(missing_node(0, again.size))
            if leaf_hash(raw) != leaf:
                raise LedgerCorrupt(changed_entry(index))
            finished += again.append(leaf)
    stored = nodes.fetch((level, index) for level, index, _ in finished)
    for level, index, digest in finished:
        if stored[level, index] != digest:
            raise LedgerCorrupt(wrong_node(level, index))
    if again.root() != edge.root():
        raise LedgerCorrupt("the stored hashes of the log's right edge do not fit its last entries")


def wrong_node(level: int, index: int) -> str:
    """Say in words which stored hash is not that of its entries."""
    first, last = index << level, ((index + 1) << level) - 1
    return f"the stored hash over entries {first} to {last} (level {level}) is not theirs"


def _check_newest(newest: Checkpoint, nodes: StoredNodes) -> None:
    if proofs.root(newest.size, nodes) != head_of(newest).root:
        raise LedgerCorrupt(
            f"the first {newest.size} entries do not have the root that the stored checkpoint over "
            "them was signed for. Do not sign on: run `gridtally-hub verify`."
        )


def check_continues(seen: HandedOut, nodes: StoredNodes, size: int, source: str) -> None:
    """Raise LedgerBehind unless the ledger holds and continues a checkpoint that was handed out."""
    if seen.size > size:
        raise LedgerBehind(
            f"this ledger holds {size} entries, but {source} a checkpoint over {seen.size}: it is "
            "an old copy, and signing on would fork the log. Put the newest copy back. If that is "
            "lost, end the log's key with `gridtally-hub log retire`: another one goes on with "
            "what is here."
        )
    if proofs.root(seen.size, nodes) != seen.root:
        raise LedgerBehind(
            f"{source} a checkpoint over {seen.size} entries with another root than this ledger's: "
            "two histories exist under one key. Do not sign on; keep both files as evidence. Which "
            "one counts, people decide: with `gridtally-hub log retire` a new key goes on with it."
        )
