"""The state of the microgrid: typed tables of frozen records, their root, their snapshot.

Nothing here decides anything. `hub.core.step` reads a state and returns changes; `State.apply` is
the only way in. A table is a dict; what is ordered is ordered where it is read, by key.

The state root is that of `messages.statetree` over one row a record, so that any balance can be
proven, with the key

    "<table>/<part>/<part>": texts as they are, bytes in hex, integers with 16 digits
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from hub.core.errors import SnapshotUnreadable
from hub.core.proposers import Draw, Standing
from hub.core.records import (
    Access,
    Calibrated,
    Case,
    Closed,
    Contact,
    Cursor,
    Dispute,
    Due,
    Fact,
    Faulty,
    Kept,
    Key,
    Meter,
    Network,
    Policy,
    Progress,
    Register,
    Relay,
    Shed,
    Succession,
)
from hub.market.contract import Value
from messages import cbor
from messages.errors import MalformedMessage
from messages.log.tree import leaf_hash
from messages.statetree import SIZE_KEY, AbsenceProof, RowProof, StateTree, encode_row

SNAPSHOT_BYTES_MAX: Final = 1 << 30
KEYS_CACHED: Final = 16_384  # rows whose key is at hand: the same ones change slot after slot


class Change(NamedTuple):
    """One row as it is from now on; `record` None: the row is gone."""

    table: str
    key: Any
    record: Any


class Table(NamedTuple):
    """How a table's rows are written: the types of its key's parts, and what makes a record."""

    parts: tuple[type, ...]
    record: Callable[[Any], Any]


def _plain(value: Any) -> Any:
    return value


def _row(kind: type[Any]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        return kind(*value)

    return read


TABLES: Final[Mapping[str, Table]] = {
    "network": Table((), _row(Network)),
    "progress": Table((), _row(Progress)),
    "due": Table((int,), _row(Due)),
    "draw": Table((), _row(Draw)),
    "standing": Table((str,), _row(Standing)),
    "key": Table((bytes,), _row(Key)),
    "meter": Table((str,), _row(Meter)),
    "relay": Table((str, str), _row(Relay)),
    "policy": Table((int,), _row(Policy)),
    "calibration": Table((str,), _row(Calibrated)),
    "edge": Table((int, str), _row(Register)),
    "cursor": Table((str,), _row(Cursor)),
    "net": Table((int, str), _plain),
    "contact": Table((str, str), _row(Contact)),
    "shed": Table((str, str, int), _row(Shed)),
    "fault": Table((str, str), _row(Faulty)),
    "account": Table((str,), _plain),
    "memory": Table((str, str), _plain),
    "call": Table((bytes,), _plain),
    "record": Table((bytes,), _row(Kept)),
    "committed": Table((bytes,), _plain),
    "grant": Table((str, str, str), _plain),
    "access": Table((bytes,), _row(Access)),
    "case": Table((str,), _row(Case)),
    "succession": Table((int,), _row(Succession)),
    "fact": Table((str, str, int), _row(Fact)),
    "fed": Table((str, str), _plain),
    "closed": Table((int,), _row(Closed)),
    "dispute": Table((int,), _row(Dispute)),
    "disputed": Table((bytes, int), _plain),
    "payout": Table((str,), _plain),
}
"""Every table by name. A single row has the empty key ()."""


class State:
    """All that the fold knows after some entry. Read it as attributes; change it by `apply`."""

    def __init__(self) -> None:
        tables: dict[str, dict[Any, Any]] = {name: {} for name in TABLES}
        self._tables = tables
        # the registry
        self.network_rows: dict[tuple[()], Network] = tables["network"]
        self.keys: dict[bytes, Key] = tables["key"]
        self.meters: dict[str, Meter] = tables["meter"]
        self.relays: dict[tuple[str, str], Relay] = tables["relay"]
        self.policies: dict[int, Policy] = tables["policy"]
        self.calibrations: dict[str, Calibrated] = tables["calibration"]
        # energy on its way to settlement
        self.edges: dict[tuple[int, str], Register] = tables["edge"]
        self.cursors: dict[str, Cursor] = tables["cursor"]
        self.nets: dict[tuple[int, str], int] = tables["net"]
        # loads
        self.contacts: dict[tuple[str, str], Contact] = tables["contact"]
        self.sheds: dict[tuple[str, str, int], Shed] = tables["shed"]
        # money
        self.accounts: dict[str, int] = tables["account"]
        self.memory: dict[tuple[str, str], Value] = tables["memory"]
        self.calls: dict[bytes, int] = tables["call"]
        # records off the ledger, and until when (owner, what, grantee) may read
        self.records: dict[bytes, Kept] = tables["record"]
        self.grants: dict[tuple[str, str, str], int] = tables["grant"]
        self.accesses: dict[bytes, Access] = tables["access"]
        self.cases: dict[str, Case] = tables["case"]
        # facts from outside, and the last sequence of each
        self.facts: dict[tuple[str, str, int], Fact] = tables["fact"]
        self.fed: dict[tuple[str, str], int] = tables["fed"]
        # closed slots; open disputes; (row, line) that was disputed, by which entry, until when
        self.closed: dict[int, Closed] = tables["closed"]
        self.disputes: dict[int, Dispute] = tables["dispute"]
        self.disputed: dict[tuple[bytes, int], tuple[int, int]] = tables["disputed"]
        # the log's own clock, and who proposes
        self.progress_rows: dict[tuple[()], Progress] = tables["progress"]
        self.successions: dict[int, Succession] = tables["succession"]
        self.dues: dict[int, Due] = tables["due"]
        self.draw_rows: dict[tuple[()], Draw] = tables["draw"]
        self.standings: dict[str, Standing] = tables["standing"]
        self._in_order: tuple[tuple[str, Meter], ...] | None = None
        self._of_members: dict[str, tuple[tuple[str, Meter], ...]] = {}
        self._tree = StateTree()
        self._stale: dict[tuple[str, Any], bool] = {}  # row to hash: is it unknown to the tree
        self._root: bytes | None = None  # None: some row changed since it was computed

    @property
    def network(self) -> Network | None:
        """What genesis fixed; None before it."""
        return self.network_rows.get(())

    @property
    def progress(self) -> Progress:
        """How far slots and headers have come."""
        return self.progress_rows.get((), _START)

    @property
    def faults(self) -> dict[tuple[str, str], Faulty]:
        """What measurement said of relays last, by (node, relay)."""
        return self._tables["fault"]

    @property
    def draw(self) -> Draw:
        """Who may propose the next block; only once the microgrid is founded."""
        return self.draw_rows[()]

    @property
    def payouts(self) -> dict[str, int]:
        """What members asked the bank to pay out. [utok]"""
        return self._tables["payout"]

    @property
    def slot_ms(self) -> int:
        """Length of a slot; only once the microgrid is founded. [ms]"""
        return self.network_rows[()].slot_ms

    @property
    def meters_in_order(self) -> tuple[tuple[str, Meter], ...]:
        """Every meter by its id; kept between changes of the registry."""
        if self._in_order is None:
            self._in_order = tuple(sorted(self.meters.items()))
            self._of_members = {}
            for row in self._in_order:
                member = row[1].member
                self._of_members[member] = (*self._of_members.get(member, ()), row)
        return self._in_order

    def meters_of(self, member: str) -> tuple[tuple[str, Meter], ...]:
        """Return the meters of a member by their ids."""
        _ = self.meters_in_order
        return self._of_members.get(member, ())

    def row(self, table: str, key: Any) -> Any:
        """Return one row of any table; None where there is none."""
        return self._tables[table].get(key)

    def apply(self, changes: Iterable[Change]) -> None:
        """Take in what a step changed, in order."""
        self._root = None
        tables, stale = self._tables, self._stale
        for table, key, record in changes:
            rows, name = tables[table], (table, key)
            if table == "meter":
                self._in_order = None
            if record is not None:
                if name not in stale:
                    stale[name] = key not in rows
                rows[key] = record
            elif stale.get(name):  # it came and went between two roots, as registers do
                del stale[name], rows[key]
            else:
                rows.pop(key, None)
                stale[name] = False

    def copy(self) -> State:
        """Return a state that goes its own way from here; records are shared, they never change."""
        twin = State()
        for name, rows in self._tables.items():
            twin._tables[name].update(rows)
        twin._stale = dict(self._stale)
        twin._tree = self._tree.copy()
        return twin

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and self._tables == other._tables

    __hash__ = None  # type: ignore[assignment]

    def rows(self) -> list[tuple[bytes, Any]]:
        """Return every row as (key bytes, value), in the order of the keys; with the size row."""
        found = [
            (row_key(name, key), record)
            for name, rows in self._tables.items()
            for key, record in rows.items()
        ]
        found.append((SIZE_KEY, len(found) + 1))
        found.sort(key=_key_of)
        return found

    def root(self) -> bytes:
        """Return the state root. Only rows that changed since the last call are hashed anew."""
        if self._root is None:
            self._root = self._refreshed().root()
        return self._root

    def prove(self, table: str, key: Any) -> RowProof | AbsenceProof:
        """Return the proof of a row under the state root, or that there is none."""
        raw_key = row_key(table, key)
        record = self.row(table, key)
        if record is None:
            return self._refreshed().prove_absent(raw_key, self._encoded)
        return self._refreshed().prove(raw_key, encode_row(raw_key, record))

    def dumps(self) -> bytes:
        """Return the state as canonical CBOR: [[key, value], ...] in the order of the keys."""
        return cbor.encode([[key, value] for key, value in self.rows()])

    @classmethod
    def loads(cls, raw: bytes) -> State:
        """Return the state that `dumps` wrote.

        Raises:
            SnapshotUnreadable: the bytes are not canonical, or hold a row of no table of ours.
        """
        state = cls()
        try:
            rows = cbor.decode(raw, limit=SNAPSHOT_BYTES_MAX)
            state.apply(_change(bytes(key), value) for key, value in rows if key != SIZE_KEY)
        except (MalformedMessage, KeyError, TypeError, ValueError) as error:
            raise SnapshotUnreadable(f"the snapshot cannot be read: {error}") from None
        if state.dumps() != raw:
            raise SnapshotUnreadable("the snapshot reads otherwise than it is written")
        return state

    def _size(self) -> int:
        return 1 + sum(len(rows) for rows in self._tables.values())

    def _refreshed(self) -> StateTree:
        """Return the tree over the rows as they are now."""
        for name, key in self._stale:
            raw_key, record = row_key(name, key), self._tables[name].get(key)
            leaf = None if record is None else leaf_hash(encode_row(raw_key, record))
            self._tree.put(raw_key, leaf)
        self._stale.clear()
        self._tree.put(SIZE_KEY, leaf_hash(encode_row(SIZE_KEY, self._size())))
        return self._tree

    def _encoded(self, raw_key: bytes) -> bytes:
        """Return a row that is there as it is hashed."""
        if raw_key == SIZE_KEY:
            return encode_row(raw_key, self._size())
        return encode_row(raw_key, self.row(*_read_key(raw_key)))


_START: Final = Progress()


@lru_cache(maxsize=KEYS_CACHED)
def row_key(table: str, key: Any) -> bytes:
    """Return the bytes under which a row stands in the state root."""
    parts = key if isinstance(key, tuple) else (key,)
    return "/".join((table, *map(_part, parts))).encode()


def _key_of(row: tuple[bytes, Any]) -> bytes:
    return row[0]


def _part(part: str | bytes | int) -> str:
    if isinstance(part, bytes):
        return part.hex()
    return part if isinstance(part, str) else f"{part:016d}"


def _change(raw_key: bytes, value: Any) -> Change:
    name, key = _read_key(raw_key)
    return Change(name, key, TABLES[name].record(_tupled(value)))


def _read_key(raw_key: bytes) -> tuple[str, Any]:
    """Return table and key of a row; ValueError or KeyError if no table has such a key."""
    name, *texts = raw_key.decode().split("/")
    kinds = TABLES[name].parts
    if len(texts) != len(kinds):
        raise ValueError(f"the key {raw_key!r} does not fit table {name}")
    parts = tuple(_read_part(kind, text) for kind, text in zip(kinds, texts, strict=True))
    return name, parts[0] if len(parts) == 1 else parts


def _read_part(kind: type, text: str) -> str | bytes | int:
    if kind is bytes:
        return bytes.fromhex(text)
    return int(text) if kind is int else text


def _tupled(value: Any) -> Any:
    """Return lists as tuples, all the way down, as records hold them."""
    if isinstance(value, list):
        return tuple(_tupled(item) for item in value)
    if isinstance(value, Mapping):
        return {key: _tupled(item) for key, item in value.items()}
    return value
