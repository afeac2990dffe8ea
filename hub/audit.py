"""Is every bill right? From the entries alone: each signature, each order, each slot, each root.

It believes nothing but the bytes of the log and the rules of this program. It folds the entries
again from genesis, checks what each block header claims, and compares what it finds with the books
that pages and bills were made from. Takes entries from anywhere: a store, or exported tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from hub.auditplace import Keeper, Place, Standing
from hub.balancing.catalog import POLICIES
from hub.balancing.policy import DispatchPolicy, View, view_root
from hub.bookkeeping import rows_of
from hub.core.clearing import Contracts
from hub.core.effects import Corrected, HeaderFollows, Ignored, Line, SlotSettled
from hub.core.events import Event, read_body
from hub.core.state import Change, State
from hub.core.step import step
from hub.ledger.books import BookRow
from hub.ledger.crew import Crew, Read
from hub.ledger.records import Snapshot
from hub.market.catalog import CONTRACTS
from messages import cose
from messages.cose import Envelope
from messages.entries import (
    LABEL,
    BlockHeader,
    Close,
    Decision,
    Gap,
    Genesis,
    KeyEntry,
    NodeEvent,
    network_aad,
)
from messages.errors import BadKey, BadSignature, MessageError
from messages.log.tree import Frontier, leaf_hash
from messages.publickey import KID_BYTES, PublicKey, parse_cose_key
from messages.reading import Reading

NOTES_MAX: Final = 50

Policies = Mapping[str, Callable[[], DispatchPolicy]]
Bodies = Callable[[bytes], bytes | None]
Preimages = Callable[[int], bytes | None]


def _nothing(_key: object) -> bytes | None:
    return None


@dataclass(frozen=True, slots=True)
class Inputs:
    """What an audit uses besides the entries.

    `preimages` gives a sealed reading's preimage by index; `views` the body of a decision's view by
    its root, where it is kept: then the decision is made again. `snapshots`, by size, are compared
    with the state as it is there.
    """

    contracts: Contracts = field(default_factory=lambda: CONTRACTS)
    policies: Policies = field(default_factory=lambda: POLICIES)
    preimages: Preimages = _nothing
    views: Bodies = _nothing
    snapshots: Mapping[int, Snapshot] = field(default_factory=dict)
    code_id: bytes = b""


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit found. `difference` names the first thing that is wrong, "" if nothing is.

    `root` is the log's over all entries, `state_root` the fold's after them; `bills_utok` what each
    account holds. `notes` are worth a look and no fault, e.g. entries that had no effect.
    """

    entries: int
    slots: int
    failed_slots: int
    corrections: int
    headers: int
    decisions_repeated: int
    lines: int
    settlement_sum_utok: int
    root: bytes
    state_root: bytes
    bills_utok: Mapping[str, int]
    difference: str
    notes: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        """Whether everything agrees."""
        return not self.difference


class _Wrong(Exception):
    """The first difference; its text says where and what."""


def audit(
    entries: Iterable[tuple[int, bytes]],
    inputs: Inputs | None = None,
    books: Iterable[BookRow] | None = None,
    *,
    crew: Crew | None = None,
    keeper: Keeper | None = None,
    standing: Standing | None = None,
) -> Report:
    """Fold all entries again and compare.

    Args:
        entries: (index, bytes) of every entry in order; from 0 on, or from where `standing` is.
        inputs: what is needed besides; by default the shipped contracts and policies.
        books: the rows that pages and bills were made from; None: nothing to compare with.
        crew: checks signatures ahead, on other processors; default: this process checks them.
        keeper: is told now and then how far the audit is, so that a killed one can go on.
        standing: where an earlier audit of these entries stood.
    """
    with crew or Crew(0) as hands:
        found = _Audit(inputs or Inputs(), hands, keeps_rows=books is not None)
        if standing is not None:
            found.go_on(standing)
        return found.report(_difference(found, entries, books, keeper))


def _difference(
    found: _Audit,
    entries: Iterable[tuple[int, bytes]],
    books: Iterable[BookRow] | None,
    keeper: Keeper | None,
) -> str:
    try:
        for read in found.crew.ahead(entries, _raw_of):
            found.take(read)
            if keeper is not None and keeper.is_due:
                keeper.keep(found.standing())
        found.finish()
        if books is not None:
            found.compare(books)
    except _Wrong as wrong:
        return str(wrong)
    return ""


def _raw_of(entry: tuple[int, bytes]) -> bytes:
    return entry[1]


class _Audit:
    """One audit under way."""

    def __init__(self, inputs: Inputs, crew: Crew, *, keeps_rows: bool) -> None:
        self.crew = crew
        self._inputs = inputs
        self._state = State()
        self._log = Frontier()
        self._heads: dict[tuple[bytes, str], int] = {}
        self._keys: dict[bytes, PublicKey] = {}
        self._roots: dict[int, tuple[bytes, bytes]] = {}  # end index -> (log root, state root)
        self._rows: dict[tuple[Any, ...], BookRow] | None = {} if keeps_rows else None
        self._new_rows: list[BookRow] = []
        self._counts: dict[str, int] = {}
        self._notes: list[str] = []
        self._sum_utok = 0

    def go_on(self, standing: Standing) -> None:
        """Begin where an earlier audit stood."""
        place, rows = standing
        self._state = State.loads(place.state)
        self._log = Frontier(place.size, list(place.hashes))
        self._heads = {(kid, stream): last for kid, stream, last in place.heads}
        self._roots = {end: (log, state) for end, log, state in place.roots}
        self._counts, self._notes = dict(place.counts), list(place.notes)
        self._sum_utok = place.sum_utok
        if self._rows is not None:
            self._rows.update((_row_key(row), row) for row in rows)
        if self._state.network is not None:
            self.crew.join(self._state.network.network_id)
        for kid in self._state.keys:
            self._key(kid)

    def standing(self) -> Standing:
        """Return how far this audit is, with the rows of the books since it was asked last."""
        rows, self._new_rows = self._new_rows, []
        place = Place(
            size=self._log.size,
            hashes=tuple(self._log.hashes),
            state=self._state.dumps(),
            heads=tuple((kid, stream, last) for (kid, stream), last in self._heads.items()),
            roots=tuple((end, log, state) for end, (log, state) in self._roots.items()),
            counts=dict(self._counts),
            notes=tuple(self._notes),
            sum_utok=self._sum_utok,
        )
        return Standing(place, rows)

    def take(self, read: Read[tuple[int, bytes]]) -> None:
        """Check one entry and fold it."""
        index, raw = read.item
        if index != self._log.size:
            raise _Wrong(f"entry {self._log.size} is missing: the next one there is {index}")
        try:
            envelope = read.envelope or cose.parse(raw)
            body = read_body(envelope, self._inputs.preimages(index))
            event = Event(index, leaf_hash(raw), envelope.kid, body)
            self._check_signature(envelope, event, read.key)
        except MessageError as error:
            raise _Wrong(f"entry {index}: {error}") from None
        self._check_order(event)
        if isinstance(body, BlockHeader):
            self._check_header(index, body)
        if isinstance(body, Decision):
            self._decide_again(index, body)
        outcome = step(self._state, event, self._inputs.contracts)
        self._state.apply(outcome.changes)
        self._log.append(event.leaf_hash)
        self._book(event, outcome.effects)
        if isinstance(body, Close) and index + 1 in self._state.dues:
            self._roots[index + 1] = (self._log.root(), self._state.root())
        if self._log.size in self._inputs.snapshots:
            self._check_snapshot(self._inputs.snapshots[self._log.size])
        if isinstance(body, Genesis | KeyEntry):
            self._learn(outcome.changes)

    def _learn(self, changes: Iterable[Change]) -> None:
        """Tell the crew which keys count from now on, and in which network."""
        if self._state.network is not None:
            self.crew.join(self._state.network.network_id)
        for change in changes:
            if change.table == "key":
                self._key(change.key)

    def finish(self) -> None:
        """Check what only the whole log shows: money that came from nowhere."""
        total_utok = sum(self._state.accounts.values())
        if self._sum_utok or total_utok:
            raise _Wrong(f"accounts sum to {total_utok} utok, settlements to {self._sum_utok}")

    # --- one entry -------------------------------------------------------------------------

    def _check_signature(self, envelope: Envelope, event: Event, checked: PublicKey | None) -> None:
        body = event.body
        if isinstance(body, Genesis):
            cose.verify(envelope, parse_cose_key(body.administrator), LABEL)
            return
        key = self._key(event.kid)
        network = self._state.network
        if key is None or network is None:
            raise BadSignature(f"nobody has registered the key {event.kid.hex()}")
        if checked is key:
            return
        aad = b"" if isinstance(body, Reading) else network_aad(network.network_id)
        cose.verify(envelope, key, aad)

    def _key(self, kid: bytes) -> PublicKey | None:
        if kid not in self._keys:
            row = self._state.keys.get(kid)
            if row is None:
                return None
            self._keys[kid] = key = parse_cose_key(row.cose_key)
            self.crew.learn(key)
        return self._keys[kid]

    def _check_order(self, event: Event) -> None:
        """Each stream's sequences stand in the log once and without holes, but for gap entries."""
        body = event.body
        if isinstance(body, Gap):
            self._follow(event.index, (_gap_kid(body.key), body.stream), body.first, body.last)
        elif isinstance(body, Reading):
            self._follow(event.index, (event.kid, "register"), body.sequence, body.sequence)
        elif isinstance(body, NodeEvent):
            self._follow(event.index, (event.kid, "event"), body.event, body.event)

    def _follow(self, index: int, stream: tuple[bytes, str], first: int, last: int) -> None:
        if stream[1] == "telemetry":
            return  # packs are off the log; seals commit to them
        row = self._state.keys.get(stream[0])
        start = row.first_sequence if row else 1
        expected = self._heads.get(stream, start - 1) + 1
        if first != expected or last < first:
            who = f"{row.holder} {row.name}" if row else stream[0].hex()
            raise _Wrong(
                f"entry {index}: {stream[1]} {first} of {who}, where {expected} had to come"
            )
        self._heads[stream] = last

    def _check_header(self, index: int, header: BlockHeader) -> None:
        roots = self._roots.pop(header.end_index, None)
        if roots is None:
            return  # no close there: the fold ignores it and says so
        if header.log_root != roots[0]:
            raise _Wrong(f"entry {index}: block header {header.height} has another log root")
        if header.state_root != roots[1]:
            raise _Wrong(
                f"entry {index}: block header {header.height} says the state root after entry "
                f"{header.end_index - 1} is {header.state_root.hex()}, it is {roots[1].hex()}"
            )
        if self._inputs.code_id and header.code_id not in (b"", self._inputs.code_id):
            self._note(f"block {header.height} was settled by other rules than this program's")

    def _check_snapshot(self, kept: Snapshot) -> None:
        if (kept.root, kept.body) != (self._state.root(), self._state.dumps()):
            raise _Wrong(f"the snapshot after entry {kept.size - 1} is not the state there")

    def _decide_again(self, index: int, decision: Decision) -> None:
        body = self._inputs.views(decision.view_root)
        maker = self._inputs.policies.get(decision.policy)
        if body is None or maker is None:
            return
        try:
            view = View.loads(body)
        except MessageError as error:
            raise _Wrong(f"entry {index}: the decision's view is unreadable: {error}") from None
        if view_root(view) != decision.view_root:
            raise _Wrong(f"entry {index}: the view that is kept is not the one decided on")
        orders = {(row.node, row.relay): row for row in maker().decide(view).orders}
        for output in decision.outputs:
            order = orders.get((output.node, output.relay))
            if order is None or (order.cut, order.power_mw) != (output.cut, output.power_mw):
                raise _Wrong(
                    f"entry {index}: {decision.policy} orders otherwise for {output.node}/"
                    f"{output.relay} on the view that is kept"
                )
        self._count("repeated")

    # --- books -----------------------------------------------------------------------------

    def _book(self, event: Event, effects: tuple[Any, ...]) -> None:
        for effect in effects:
            if isinstance(effect, Ignored):
                self._note(f"entry {effect.index} ({effect.kind}) had no effect: {effect.reason}")
            elif isinstance(effect, SlotSettled):
                self._count("slots")
                self._count("failed", 1 if effect.failure else 0)
                self._sum(event.index, effect.lines)
            elif isinstance(effect, Corrected):
                self._count("corrections")
                self._sum(event.index, effect.lines)
            elif isinstance(effect, HeaderFollows):
                self._count("headers")
        if self._rows is not None:
            for row in rows_of(event, effects):
                self._rows[_row_key(row)] = row
                self._new_rows.append(row)

    def _sum(self, index: int, lines: tuple[Line, ...]) -> None:
        total_utok = sum(line.amount_utok for line in lines)
        self._count("lines", len(lines))
        self._sum_utok += total_utok
        if total_utok:
            raise _Wrong(f"entry {index}: its settlement sums to {total_utok} utok")

    def compare(self, books: Iterable[BookRow]) -> None:
        """Compare the books with what the entries give, row by row."""
        rows = dict(self._rows or {})
        for row in books:
            expected = rows.pop(_row_key(row), None)
            if expected is None:
                raise _Wrong(f"the books have a row that no entry explains: {row}")
            if row != expected:
                raise _Wrong(f"the books say {row}, the entries give {expected}")
        if rows:
            first = next(iter(rows.values()))
            raise _Wrong(f"the books lack {len(rows)} rows, the first one is {first}")

    def report(self, difference: str) -> Report:
        """Return what was found so far."""
        return Report(
            entries=self._log.size,
            slots=self._counts.get("slots", 0),
            failed_slots=self._counts.get("failed", 0),
            corrections=self._counts.get("corrections", 0),
            headers=self._counts.get("headers", 0),
            decisions_repeated=self._counts.get("repeated", 0),
            lines=self._counts.get("lines", 0),
            settlement_sum_utok=self._sum_utok,
            root=self._log.root(),
            state_root=self._state.root(),
            bills_utok=dict(sorted(self._state.accounts.items())),
            difference=difference,
            notes=tuple(self._notes),
        )

    def _count(self, what: str, by: int = 1) -> None:
        self._counts[what] = self._counts.get(what, 0) + by

    def _note(self, text: str) -> None:
        if len(self._notes) < NOTES_MAX:
            self._notes.append(text)


def views_fault(views: Iterable[tuple[bytes, int, bytes]]) -> str:
    """Say which kept view (root, time, body) is not the one that its root stands for; "": none."""
    for root, at_ms, body in views:
        try:
            view = View.loads(body)
        except MessageError as error:
            return f"the view {root.hex()} is unreadable: {error}"
        if (view_root(view), view.at_ms) != (root, at_ms):
            return f"the view {root.hex()} is not the one decided on at {at_ms}"
    return ""


def _gap_kid(raw: bytes) -> bytes:
    """Return the key id that a gap entry names: as such, as a thumbprint, or in a COSE_Key."""
    try:
        return raw[:KID_BYTES] if len(raw) in (KID_BYTES, 32) else parse_cose_key(raw).kid
    except BadKey:
        return b""


def _row_key(row: BookRow) -> tuple[Any, ...]:
    """Return a row's kind and primary key."""
    kind = type(row)
    named: Any = kind
    return kind, _key_of(named)(row)


@lru_cache(maxsize=64)
def _key_of(kind: Any) -> Callable[[BookRow], Any]:
    return attrgetter(*(column.name for column in kind.TABLE.primary_key))
