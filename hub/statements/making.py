"""Makes a member's statement from the ledger: reads it, folds it, and brings every proof along.

It believes nothing but the entries: rows are those that the fold gives, and each has to stand under
the results root of a block header, or there is no statement. It writes nothing and shows nobody
else's bill.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from hub.core.clearing import Contracts
from hub.core.effects import Corrected, Effect, HeaderFollows, Ignored, SlotSettled
from hub.core.events import Event, read_event
from hub.core.pricing import policy_at
from hub.core.results import result_rows, row_leaf
from hub.core.step import step
from hub.errors import LedgerCorrupt, NoSuchEntry
from hub.ledger.log import Log
from hub.ledger.records import Entry
from hub.statements.beginning import Beginning, beginning_for
from messages import statement as told
from messages.entries import Close, Epoch, KeyEntry
from messages.errors import BadKey
from messages.keyring import key_id
from messages.log import tree
from messages.log.policy import LogPolicy
from messages.logkeeping import Takeover
from messages.reading import Reading
from messages.statement import Block, Booked, Source, Statement

Progress = Callable[[int, int], None]
TELL_EVERY = 1_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose statement, and of which slots: those that begin in [from_ms, until_ms)."""

    account: str
    from_ms: int
    until_ms: int


class Cursor(NamedTuple):
    """Up to where a meter was settled before a step."""

    at_ms: int
    epoch: int


@dataclass(slots=True)
class Draft:
    """A block on its way: its own rows with their places, all leaves, and what they follow from."""

    block: Block
    leaves: list[bytes]
    balance_utok: int
    indices: set[int]
    own: list[int]  # places of the block's rows

    def proven(self) -> Block:
        """Return the block with the proof of its rows."""
        hashes = tree.prove_many(self.own, len(self.leaves), tree.subtree_of(self.leaves))
        return replace(self.block, results_proof=tuple(map(told.text_of, hashes)))


def make_statement(
    log: Log,
    wanted: Wanted,
    policy: LogPolicy,
    contracts: Contracts,
    progress: Progress = lambda done, total: None,
) -> Statement:
    """Return a statement over the slots that a published checkpoint covers with their headers.

    Raises:
        NoSuchEntry: no such account, or nothing of it is settled and published in that time.
        LedgerCorrupt: the entries do not give the results that the block headers claim.
    """
    head = log.published(policy)
    begin = beginning_for(log, wanted.account, wanted.from_ms)
    if begin.size > head.size:
        begin = Beginning()
    watch = _Watch(wanted, contracts, begin)
    last_takeover = max((row.index for row in log.of_kind(Takeover.KIND)), default=0)
    for entry in log.entries(begin.size, head.size):
        watch.take(entry)
        if entry.index % TELL_EVERY == 0:
            progress(entry.index - begin.size, head.size - begin.size)
        if watch.is_complete and entry.index >= last_takeover:
            break
    progress(1, 1)
    drafts, opening = watch.chosen()
    blocks = [draft.proven() for draft in drafts]
    named = {0, *watch.takeovers}.union(*(draft.indices for draft in (*drafts, *opening)))
    indices = watch.with_keys(log, named, _meters(blocks))
    entries = [log.entry(index) for index in sorted(indices)]
    first = opening[0].proven() if opening and opening[0].block.bill else None
    return Statement(
        format=told.FORMAT,
        network_id=entries[0].leaf_hash.hex(),
        origin=watch.network.origin,
        microgrid=watch.network.microgrid,
        account=wanted.account,
        from_ms=blocks[0].slot.slot_ms,
        until_ms=blocks[-1].slot.slot_ms + blocks[-1].slot.length_ms,
        opening_utok=opening[0].balance_utok if opening else 0,
        closing_utok=drafts[-1].balance_utok,
        totals=told.totals_of(_lines(blocks, wanted.account)),
        opening=first,
        blocks=tuple(blocks),
        entries=tuple(map(_entry_text, entries)),
        entries_proof=tuple(map(told.text_of, log.prove_many(indices, head.size))),
        checkpoint=head.note,
    )


class _Watch:
    """Folds the ledger and notes what one account's statement needs."""

    def __init__(self, wanted: Wanted, contracts: Contracts, begin: Beginning) -> None:
        self._wanted = wanted
        self._contracts = contracts
        self._state = begin.state
        self._registers = begin.registers
        self._epochs = begin.epochs
        self._key_entries = begin.key_entries
        self.takeovers = begin.takeovers
        self._leaves: list[bytes] = []  # of the results since the last close
        self._booked: list[Booked] = []
        self._waiting: dict[int, Draft] = {}  # end index -> a block without its header
        self._done: list[Draft] = []
        self._is_past = False
        self.is_complete = False  # every block of the time has its header, and later ones came
        self._before: list[Draft] = []  # the newest block before the first slot that is wanted

    @property
    def network(self) -> Any:
        """What genesis fixed."""
        return self._state.network_rows[()]

    def take(self, entry: Entry) -> None:
        """Fold one entry and note what it means to the account."""
        event = read_event(entry.index, entry.raw, entry.preimage)
        cursors = self._cursors(event)
        outcome = step(self._state, event, self._contracts)
        self._state.apply(outcome.changes)
        body = event.body
        if not any(isinstance(effect, Ignored) for effect in outcome.effects):
            if isinstance(body, Reading) and self._is_own(body.meter_id):
                self._registers[body.meter_id, body.at_ms] = (event.index, body.epoch)
            elif isinstance(body, Epoch) and self._is_own(body.meter_id):
                self._epochs[body.meter_id, body.epoch] = event.index
            elif isinstance(body, Takeover):
                self.takeovers.append(event.index)
            elif isinstance(body, KeyEntry):
                self._key_entries.append((event.index, event.kid, body))
        for effect in outcome.effects:
            self._note(effect, event, cursors)

    def chosen(self) -> tuple[list[Draft], list[Draft]]:
        """Return the blocks of the statement, and the one before them, if there is one.

        Raises:
            NoSuchEntry: there are none.
        """
        if not self._done:
            raise NoSuchEntry("no slot of that time is settled and published")
        if not any(draft.block.bill or draft.block.booked for draft in self._done):
            raise NoSuchEntry(
                f"nothing was booked on an account {self._wanted.account} in that time"
            )
        return self._done, self._before

    def with_keys(self, log: Log, indices: set[int], meters: set[str]) -> set[int]:
        """Return these entries and the key entries of whoever signed them, and of these meters."""
        wanted, kids = set(indices), {log.entry(index).kid for index in indices}
        names = {("meter", meter_id) for meter_id in meters}
        while True:
            names |= self._names(kids)
            more = {
                (index, kid)
                for index, kid, entry in self._key_entries
                if index not in wanted
                if (entry.holder, entry.name) in names or not kids.isdisjoint(_kids_in(entry))
            }
            if not more:
                return wanted
            wanted |= {index for index, _ in more}
            kids |= {kid for _, kid in more}

    # --- one entry -------------------------------------------------------------------------

    def _note(self, effect: Effect, event: Event, cursors: dict[str, Cursor]) -> None:
        start = len(self._leaves)
        rows = list(result_rows(effect, self._balance))
        self._leaves += [row_leaf(row) for row in rows]
        if isinstance(effect, HeaderFollows):
            self._finish(effect)
        elif isinstance(effect, Corrected):
            self._book_correction(effect, event, cursors, start)
        elif isinstance(effect, SlotSettled):
            self._close(effect, rows, cursors, start)
        for place, row in enumerate(rows, start):
            if row[0] == "paid" and row[2] == self._wanted.account:
                lines = tuple(told.Line(*line) for line in row[3])
                self._booked.append(Booked(place, paid=told.Paid(row[1], row[2], lines)))
            elif row[0] == "dispute" and row[3] == self._wanted.account:
                self._booked.append(Booked(place, dispute=_dispute(row)))

    def _book_correction(
        self, effect: Corrected, event: Event, cursors: dict[str, Cursor], place: int
    ) -> None:
        lines = tuple(told.Line(*line) for line in effect.lines)
        account, energy = self._wanted.account, told.Energy(*effect.energy)
        if energy.member != account and not told.own_lines(lines, account):
            return
        row = told.Correction(effect.index, effect.slot_ms, energy, lines)
        source = self._source(energy.meter_id, cursors, _edge(event, self._state.slot_ms))
        policy, facts = self._policy(effect.slot_ms), self._facts(effect.slot_ms)
        booked = Booked(place, correction=row, source=source, policy=policy, facts=facts)
        self._booked.append(booked)

    def _close(
        self, effect: SlotSettled, rows: list[Any], cursors: dict[str, Cursor], start: int
    ) -> None:
        own = {row[3]: place for place, row in enumerate(rows, start) if row[0] == "bill"}
        bill_place = own.get(self._wanted.account)
        bill = None if bill_place is None else _bill(rows[bill_place - start])
        end_ms = effect.slot_ms + effect.length_ms
        sources = tuple(
            source
            for energy in (bill.energies if bill else ())
            if energy.quality != told.ESTIMATED
            if (source := self._source(energy.meter_id, cursors, end_ms)) is not None
        )
        block = Block(
            header=-1,
            policy=self._policy(effect.slot_ms),
            results_size=len(self._leaves),
            results_proof=(),
            slot_place=start,
            slot=told.SlotRow(*rows[0][1:]),
            bill_place=bill_place,
            bill=bill,
            booked=tuple(self._booked),
            sources=sources,
            facts=self._facts(effect.slot_ms),
        )
        self._keep(effect, block)
        self._leaves, self._booked = [], []

    def _keep(self, effect: SlotSettled, block: Block) -> None:
        if effect.slot_ms >= self._wanted.until_ms:
            self._is_past = True
            return
        if effect.slot_ms < self._wanted.from_ms:  # all that is asked of it is its balance
            block = replace(block, policy=None, booked=(), sources=(), facts=())
        places = [block.slot_place, *(booked.place for booked in block.booked)]
        places += [] if block.bill_place is None else [block.bill_place]
        balance = self._balance(self._wanted.account)
        draft = Draft(block, self._leaves, balance, _indices(block), places)
        self._waiting[effect.index + 1] = draft

    def _finish(self, header: HeaderFollows) -> None:
        """Take a block's header; only what stands under its root may be told."""
        draft = self._waiting.pop(header.end_index, None)
        self.is_complete = self._is_past and not self._waiting
        if draft is None:
            return
        if tree.root(draft.leaves) != header.results_root:
            raise LedgerCorrupt(f"entry {header.index}: another results root than its entries give")
        draft.block = replace(draft.block, header=header.index)
        draft.indices.add(header.index)
        if draft.block.slot.slot_ms < self._wanted.from_ms:
            self._before = [draft]
        else:
            self._done.append(draft)

    # --- what is known ---------------------------------------------------------------------

    def _cursors(self, event: Event) -> dict[str, Cursor]:
        """Return up to where the account's meters are settled before an entry that moves it."""
        body = event.body
        if isinstance(body, Reading):
            meters: Iterable[str] = (body.meter_id,)
        elif isinstance(body, Close):
            meters = (meter_id for meter_id, _ in self._state.meters_of(self._wanted.account))
        else:
            return {}
        found = ((meter_id, self._state.cursors.get(meter_id)) for meter_id in meters)
        return {meter_id: Cursor(row.at_ms, row.epoch) for meter_id, row in found if row}

    def _source(self, meter_id: str, cursors: dict[str, Cursor], at_ms: int) -> Source | None:
        before = cursors.get(meter_id)
        register = self._registers.get((meter_id, at_ms))
        first = self._registers.get((meter_id, before.at_ms)) if before else None
        if before is None or register is None or first is None:
            return None
        epochs = range(before.epoch + 1, register[1] + 1)
        bridges = [self._epochs[meter_id, epoch] for epoch in epochs]
        return Source(meter_id, (first[0], *bridges, register[0]))

    def _policy(self, slot_ms: int) -> int | None:
        policy = policy_at(self._state, slot_ms)
        return policy.entry_index if policy else None

    def _facts(self, slot_ms: int) -> tuple[int, ...]:
        """Return the feed entries that a closed slot's prices come from."""
        closed = self._state.closed.get(slot_ms)
        return closed.facts if closed else ()

    def _balance(self, account: str) -> int:
        return self._state.accounts.get(account, 0)

    def _is_own(self, meter_id: str) -> bool:
        meter = self._state.meters.get(meter_id)
        return meter is not None and meter.member == self._wanted.account

    def _names(self, kids: set[bytes]) -> set[tuple[str, str]]:
        rows = (self._state.keys.get(kid) for kid in kids)
        return {(row.holder, row.name) for row in rows if row is not None}


def _edge(event: Event, slot_ms: int) -> int:
    """Return the instant of the register that an entry settled."""
    if isinstance(event.body, Reading):
        return event.body.at_ms
    return event.body.slot_start_ms + slot_ms if isinstance(event.body, Close) else 0


def _kids_in(entry: KeyEntry) -> set[bytes]:
    """Return the keys that a key entry names."""
    found = set()
    for named in filter(None, (entry.key, entry.replaces)):
        try:
            found.add(key_id(named))
        except BadKey:
            continue  # such an entry changes nothing
    return found


def _bill(row: list[Any]) -> told.BillRow:
    index, slot_ms, account, balance, energies, positions, matches, *rest, lines = row[1:]
    remainders, curtailments, fates = rest
    return told.BillRow(
        index,
        slot_ms,
        account,
        balance,
        tuple(told.Energy(*each) for each in energies),
        tuple(told.Position(*each) for each in positions),
        tuple(told.PricedMatch(told.Match(*each.match), each.amount_utok) for each in matches),
        tuple(told.Remainder(*each) for each in remainders),
        tuple(told.Curtailment(*each) for each in curtailments),
        tuple(told.Fate(*each) for each in fates),
        tuple(told.Line(*each) for each in lines),
    )


def _dispute(row: list[Any]) -> told.DisputeRow:
    fields = [*row[1:-1], tuple(told.Line(*line) for line in row[-1])]
    return told.DisputeRow(*fields)


def _indices(block: Block) -> set[int]:
    """Return the entries that a block names, without its header."""
    sources = [*block.sources, *(booked.source for booked in block.booked if booked.source)]
    policies = [block.policy, *(booked.policy for booked in block.booked)]
    found = {block.slot.index, *block.facts, *(index for index in policies if index is not None)}
    found.update(*(booked.facts for booked in block.booked))
    return found.union(*(source.entries for source in sources))


def _meters(blocks: list[Block]) -> set[str]:
    """Return the meters whose energy is on the bills of some blocks."""
    bills = (block.bill for block in blocks if block.bill)
    return {energy.meter_id for bill in bills for energy in bill.energies}


def _lines(blocks: list[Block], account: str) -> Iterator[told.Line]:
    for block in blocks:
        for booked in block.booked:
            yield from told.own_lines(booked.row.lines if booked.row else (), account)
        yield from block.bill.lines if block.bill else ()


def _entry_text(entry: Entry) -> told.EntryText:
    preimage = told.text_of(entry.preimage) if entry.preimage else ""
    return told.EntryText(entry.index, told.text_of(entry.raw), preimage)
