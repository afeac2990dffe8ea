"""Is every bill right? From the entries alone: each signature, each order, each slot, each root.

It believes nothing but the bytes of the log and the rules of this program. It folds the entries
again from genesis, checks what each block header claims, and compares what it finds with the books
that pages and bills were made from. Takes entries from anywhere: a store, or exported tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from hub.auditing.bookcheck import BookCheck
from hub.auditing.place import Keeper, Place, Standing
from hub.auditing.refold import LogWrong, Preimages, Refold
from hub.balancing import deciding
from hub.balancing.catalog import POLICIES
from hub.balancing.policy import DispatchPolicy, Order, View, view_root
from hub.bookkeeping import rows_of
from hub.core.clearing import Contracts
from hub.core.effects import Corrected, Effect, HeaderFollows, Ignored, Line, SlotSettled, WrongRoot
from hub.core.state import State
from hub.cosigning.proposals import told
from hub.ledger.books import BookRow
from hub.ledger.crew import Crew, Read
from hub.ledger.records import Snapshot
from hub.market.catalog import CONTRACTS
from messages.entries import BlockHeader, Decision, Output
from messages.errors import MessageError
from messages.log.tree import Frontier

NOTES_MAX: Final = 50

Policies = Mapping[str, Callable[[], DispatchPolicy]]
Bodies = Callable[[bytes], bytes | None]


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
        found = _Audit(inputs or Inputs(), hands, books, keeper)
        if standing is not None:
            found.go_on(standing)
        reads = hands.ahead(entries, _raw_of)
        return found.report(_difference(found, reads))


def _difference(found: _Audit, reads: Iterable[Read[tuple[int, bytes]]]) -> str:
    try:
        for read in reads:
            found.take(read)
        found.finish()
    except LogWrong as wrong:
        return str(wrong)
    return ""


def _raw_of(entry: tuple[int, bytes]) -> bytes:
    return entry[1]


class _Audit:
    """One audit under way."""

    def __init__(
        self,
        inputs: Inputs,
        crew: Crew,
        books: Iterable[BookRow] | None,
        keeper: Keeper | None,
    ) -> None:
        self._inputs = inputs
        self._keeper = keeper
        self._fold = Refold(inputs.contracts, inputs.preimages, crew)
        self._books = None if books is None else BookCheck(books)
        self._new_rows: list[BookRow] = []  # since the place that was kept last
        self._counts: dict[str, int] = {}
        self._notes: list[str] = []
        self._sum_utok = 0

    def go_on(self, standing: Standing) -> None:
        """Begin where an earlier audit stood."""
        place = standing.place
        self._fold.begin(State.loads(place.state), Frontier(place.size, list(place.hashes)))
        self._fold.heads = {(kid, stream): last for kid, stream, last in place.heads}
        self._fold.log_roots = dict(place.log_roots)
        self._counts, self._notes = dict(place.counts), list(place.notes)
        self._sum_utok = place.sum_utok
        if self._books is not None:
            for rows in standing.rows:
                self._books.explain(rows)

    def take(self, read: Read[tuple[int, bytes]]) -> None:
        """Check one entry and fold it."""
        event, effects = self._fold.take(read)
        body = event.body
        if isinstance(body, Decision):
            self._decide_again(event.index, body)
        elif isinstance(body, BlockHeader):
            self._note_rules(body)
        for effect in effects:
            self._note_effect(event.index, effect)
        if self._books is not None and (effects or isinstance(body, Decision)):
            rows = list(rows_of(event, effects))
            self._books.explain(rows)
            if self._keeper is not None and self._keeper.works:
                self._new_rows += rows
        if self._fold.log.size in self._inputs.snapshots:
            self._check_snapshot(self._inputs.snapshots[self._fold.log.size])
        if self._keeper is not None and self._keeper.is_due(len(self._new_rows)):
            self._keeper.keep(self._standing())

    def _standing(self) -> Standing:
        """Return how far this audit is, with the rows of the books since it was asked last."""
        rows, self._new_rows = self._new_rows, []
        fold = self._fold
        place = Place(
            size=fold.log.size,
            hashes=tuple(fold.log.hashes),
            state=fold.state.dumps(),
            heads=tuple((kid, stream, last) for (kid, stream), last in fold.heads.items()),
            log_roots=tuple(fold.log_roots.items()),
            counts=dict(self._counts),
            notes=tuple(self._notes),
            sum_utok=self._sum_utok,
        )
        return Standing(place, [rows])

    def finish(self) -> None:
        """Check what only the whole log shows: money that came from nowhere."""
        total_utok = sum(self._fold.state.accounts.values())
        if self._sum_utok or total_utok:
            raise LogWrong(f"accounts sum to {total_utok} utok, settlements to {self._sum_utok}")
        if self._books is not None:
            self._books.finish()

    # --- one entry -------------------------------------------------------------------------

    def _note_rules(self, header: BlockHeader) -> None:
        if self._inputs.code_id and header.code_id not in (b"", self._inputs.code_id):
            self._count("other_rules")
            self._counts.setdefault("other_rules_first", header.height)
            self._counts["other_rules_last"] = header.height

    def _check_snapshot(self, kept: Snapshot) -> None:
        if (kept.root, kept.body) != (self._fold.state.root(), self._fold.state.dumps()):
            raise LogWrong(f"the snapshot after entry {kept.size - 1} is not the state there")

    def _decide_again(self, index: int, decision: Decision) -> None:
        body = self._inputs.views(decision.view_root)
        maker = self._inputs.policies.get(decision.policy)
        if body is None or maker is None:
            return
        try:
            view = View.loads(body)
        except MessageError as error:
            raise LogWrong(f"entry {index}: the decision's view is unreadable: {error}") from None
        if view_root(view) != decision.view_root:
            raise LogWrong(f"entry {index}: the view that is kept is not the one decided on")
        orders = {(row.node, row.relay): row for row in deciding.decide(maker(), view).orders}
        for output in decision.outputs:
            order = orders.get((output.node, output.relay))
            if order is None or _wanted(order) != _wanted(output):
                raise LogWrong(
                    f"entry {index}: {decision.policy} orders otherwise for {output.node}/"
                    f"{output.relay} on the view that is kept"
                )
        self._count("repeated")

    # --- what it meant ---------------------------------------------------------------------

    def _note_effect(self, index: int, effect: Effect) -> None:
        if isinstance(effect, Ignored):
            self._note(f"entry {effect.index} ({effect.kind}) had no effect: {effect.reason}")
        elif isinstance(effect, SlotSettled):
            self._count("slots")
            self._count("failed", 1 if effect.failure else 0)
            self._sum(index, effect.lines)
        elif isinstance(effect, Corrected):
            self._count("corrections")
            self._sum(index, effect.lines)
        elif isinstance(effect, HeaderFollows):
            self._count("headers")
        elif isinstance(effect, WrongRoot):
            self._take_lie(effect)

    def _take_lie(self, wrong: WrongRoot) -> None:
        """A replica that lies is on record, and its header covers nothing; a hub may not lie."""
        if not wrong.proposer:
            raise LogWrong(told(wrong))
        self._note(told(wrong))

    def _sum(self, index: int, lines: tuple[Line, ...]) -> None:
        total_utok = sum(line.amount_utok for line in lines)
        self._count("lines", len(lines))
        self._sum_utok += total_utok
        if total_utok:
            raise LogWrong(f"entry {index}: its settlement sums to {total_utok} utok")

    def report(self, difference: str) -> Report:
        """Return what was found so far."""
        return Report(
            entries=self._fold.log.size,
            slots=self._counts.get("slots", 0),
            failed_slots=self._counts.get("failed", 0),
            corrections=self._counts.get("corrections", 0),
            headers=self._counts.get("headers", 0),
            decisions_repeated=self._counts.get("repeated", 0),
            lines=self._counts.get("lines", 0),
            settlement_sum_utok=self._sum_utok,
            root=self._fold.log.root(),
            state_root=self._fold.state.root(),
            bills_utok=dict(sorted(self._fold.state.accounts.items())),
            difference=difference,
            notes=(*self._rules_notes(), *self._notes, *self._untold_notes()),
        )

    def _rules_notes(self) -> Iterator[str]:
        number = self._counts.get("other_rules", 0)
        first, last = (self._counts.get(f"other_rules_{end}", 0) for end in ("first", "last"))
        if number == 1:
            yield f"block {first} was settled by other rules than this program's"
        elif number:
            blocks = f"{number} blocks, {first} to {last},"
            yield f"{blocks} were settled by other rules than this program's"

    def _untold_notes(self) -> Iterator[str]:
        if untold := self._counts.get("notes", 0) - len(self._notes):
            yield f"and {untold} more like these"

    def _count(self, what: str, by: int = 1) -> None:
        self._counts[what] = self._counts.get(what, 0) + by

    def _note(self, text: str) -> None:
        self._count("notes")
        if len(self._notes) < NOTES_MAX:
            self._notes.append(text)


def _wanted(row: Order | Output) -> tuple[bool, int | None, int | None, str]:
    return (row.cut, row.power_mw, row.setpoint_mw, row.shift)


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
