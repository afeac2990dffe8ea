"""The ledger's tables, in one place, and nothing that reads or writes them.

Three kinds. The log (`entry`, `node`, `checkpoint`) is append-only: triggers stop accidents, and
recomputation against a signed checkpoint stops the rest. Records beside the log (`cosignature`,
`pack`, `gap`, `snapshot`, `view`, `evidence`, `refused`) have their hash or cause on it. The books
(`slot` to `decision`) are derived: they can be dropped and folded again from the entries.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
)

SCHEMA_VERSION = 3
APPEND_ONLY = ("entry", "node", "checkpoint")

metadata = MetaData()

# BIGINT everywhere but in a lone key: SQLite makes only INTEGER PRIMARY KEY the row's own address.
Count = BigInteger().with_variant(Integer(), "sqlite")

ledger = Table(
    "ledger",
    metadata,
    Column("name", String(32), primary_key=True),  # schema_version, size
    Column("number", Count, nullable=False),
)

entry = Table(
    "entry",
    metadata,
    Column("index", Count, primary_key=True, autoincrement=False),
    Column("leaf_hash", LargeBinary(32), nullable=False),
    Column("kid", LargeBinary(8), nullable=False),
    Column("stream", String(16), nullable=False),  # "" where the kind has no counter
    Column("sequence", Count),
    Column("kind", String(32), nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("preimage", LargeBinary),
    UniqueConstraint("kid", "stream", "sequence"),
)

# Written out, not bound: only so do databases see that the index below answers a query with it.
NO_READING = entry.c.kind != literal_column("'reading'")

# Where there is no sequence, the bytes themselves count once. Readings are left out: their hashes
# come in no order, so each would cost a page of its own, and halve the rate of appending.
Index(
    "entry_by_id",
    entry.c.leaf_hash,
    unique=True,
    sqlite_where=NO_READING,
    postgresql_where=NO_READING,
)

node = Table(
    "node",
    metadata,
    Column("level", Integer, primary_key=True),
    Column("index", Count, primary_key=True),
    Column("hash", LargeBinary(32), nullable=False),
    sqlite_with_rowid=False,
)

checkpoint = Table(
    "checkpoint",
    metadata,
    Column("size", Count, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
)

cosignature = Table(
    "cosignature",
    metadata,
    Column("size", Count, ForeignKey("checkpoint.size"), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("key_id", LargeBinary(4), primary_key=True),
    Column("time_s", Count, nullable=False),
    Column("line", Text, nullable=False),  # as it stands in the note, with its newline
)

pack = Table(
    "pack",
    metadata,
    Column("kid", LargeBinary(8), primary_key=True),
    Column("sequence", Count, primary_key=True),
    Column("leaf_hash", LargeBinary(32), nullable=False),
    Column("at_ms", Count, nullable=False),
    Column("seal_index", Count, ForeignKey("entry.index")),
    Column("raw", LargeBinary, nullable=False),  # last, since it is long; empty after retention
    Index("pack_by_seal", "seal_index", "kid", "sequence"),
)

gap = Table(
    "gap",
    metadata,
    Column("entry_index", Count, ForeignKey("entry.index"), primary_key=True, autoincrement=False),
    Column("kid", LargeBinary(8), nullable=False),
    Column("stream", String(16), nullable=False),
    Column("first_sequence", Count, nullable=False),
    Column("last_sequence", Count, nullable=False),
    Index("gap_by_stream", "kid", "stream", "last_sequence"),
)

snapshot = Table(
    "snapshot",
    metadata,
    Column("size", Count, primary_key=True, autoincrement=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("body", LargeBinary, nullable=False),
)

view = Table(
    "view",
    metadata,
    Column("root", LargeBinary(32), primary_key=True),
    Column("at_ms", Count, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

evidence = Table(
    "evidence",
    metadata,
    Column("leaf_hash", LargeBinary(32), primary_key=True),  # of what was offered
    Column("kid", LargeBinary(8), nullable=False),
    Column("stream", String(16), nullable=False),
    Column("sequence", Count, nullable=False),
    Column("stored", LargeBinary, nullable=False),
    Column("offered", LargeBinary, nullable=False),
)

refused = Table(
    "refused",
    metadata,
    Column("reason", String(32), primary_key=True),
    Column("node", String(32), primary_key=True),
    Column("total", Count, nullable=False),
)

slot = Table(
    "slot",
    metadata,
    Column("start_ms", Count, primary_key=True, autoincrement=False),
    Column("end_ms", Count, nullable=False),
    Column("close_index", Count, nullable=False),
    Column("reason", String(32), nullable=False),
    Column("contract", String(64), nullable=False),
    Column("result", String(16), nullable=False),  # settled | failed
    Column("matched_uwh", Count, nullable=False),
    Column("grid_import_uwh", Count, nullable=False),
    Column("grid_export_uwh", Count, nullable=False),
    Column("curtailed_uwh", Count, nullable=False),
    Column("unaccounted_uwh", Count),
)

slot_energy = Table(
    "slot_energy",
    metadata,
    Column("slot_ms", Count, primary_key=True),
    Column("meter_id", String(32), primary_key=True),
    Column("member", String(64), nullable=False),
    Column("import_uwh", Count, nullable=False),
    Column("export_uwh", Count, nullable=False),
    Column("quality", String(16), nullable=False),  # metered | estimated | corrected
)

match = Table(
    "match",
    metadata,
    Column("slot_ms", Count, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("seller", String(64), nullable=False),
    Column("buyer", String(64), nullable=False),
    Column("energy_uwh", Count, nullable=False),
    Column("price_utok_per_kwh", Count, nullable=False),
    Column("amount_utok", Count, nullable=False),
)

line = Table(
    "line",
    metadata,
    Column("slot_ms", Count, primary_key=True),
    Column("number", Count, primary_key=True),  # a correction's begins with its entry's index
    Column("member", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("counterparty", String(64), nullable=False),
    Column("energy_uwh", Count, nullable=False),
    Column("price_utok_per_kwh", Count, nullable=False),
    Column("amount_utok", Count, nullable=False),  # positive: the member receives
    Column("quality", String(16), nullable=False),
    Column("cause_index", Count, nullable=False),  # the close, or the late register it corrects
)

fate = Table(
    "fate",
    metadata,
    Column("slot_ms", Count, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("member", String(64), nullable=False),
    Column("order_id", String(64), nullable=False),
    Column("side", String(16), nullable=False),  # bid | ask | sealed
    Column("energy_uwh", Count, nullable=False),
    Column("price_utok_per_kwh", Count, nullable=False),
    Column("matched_uwh", Count, nullable=False),
    Column("reason", Text, nullable=False),  # empty where all of it was matched
)

shed = Table(
    "shed",
    metadata,
    Column("node", String(32), primary_key=True),
    Column("relay", String(32), primary_key=True),
    Column("from_ms", Count, primary_key=True),
    Column("until_ms", Count),
    Column("member", String(64), nullable=False),
    Column("wanted_mw", Count, nullable=False),
    Column("wanted_uwh", Count, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("reason", String(64), nullable=False),
    Column("decision_index", Count, nullable=False),
)

decision = Table(
    "decision",
    metadata,
    Column("entry_index", Count, primary_key=True, autoincrement=False),
    Column("at_ms", Count, nullable=False),
    Column("policy", String(64), nullable=False),
    Column("rule", String(64), nullable=False),
    Column("limit_name", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("outputs", Text, nullable=False),
    Column("view_root", LargeBinary(32), nullable=False),
)

BOOKS = (slot, slot_energy, match, line, fate, shed, decision)
