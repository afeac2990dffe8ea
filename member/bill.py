"""Is this bill right? A statement file and the log's key, and nothing else.

Every line has to follow: from registers that the member's meters signed, whose keys an
administrator put on the ledger; by arithmetic that is written here a second time; to rows that
stand under the results root of a block header; which stands, like all entries, in the tree of a
head that the log signed. The balances in those rows leave no room for a line left out.

What cannot be recomputed from one account's side is taken as a proven result and not called
recomputed: which match a contract made, at which price it did, and what an open relay kept back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from member.disputing import Disputes
from member.errors import Code, Refused
from member.feeding import Told, fed_prices
from member.heads import Anchor, Verdict, finality, head_facts, open_head
from member.settling import (
    Pair,
    Prices,
    check_account_lines,
    check_lines,
    check_loose_correction,
    check_position,
    check_prices,
    correction_lines,
    price_at,
    require,
    slot_energy,
)
from member.signatures import Body, Signatures
from messages.entries import BlockHeader, Close, Epoch, Genesis, KeyEntry, PolicyEntry
from messages.errors import BadProof
from messages.feeding import Feed
from messages.keyring import ENROLLERS, Ringed
from messages.log.note import unbase64
from messages.log.tree import check_many, leaf_hash
from messages.reading import Reading
from messages.regulating import UNBOUND, Regulation
from messages.statement import (
    CORRECTION,
    ESTIMATED,
    METERED,
    SHARED,
    BillRow,
    Block,
    Booked,
    Correction,
    Energy,
    Line,
    Row,
    Source,
    Statement,
    hashes_of,
    own_lines,
    parse_statement,
    row_leaf,
    totals_of,
)
from messages.statementlines import items
from messages.timetext import format_time

Kind = TypeVar("Kind")
UTOK_PER_TOKEN: Final = 1_000_000


def check_bill(text: str, anchor: Anchor) -> Verdict:
    """Check a statement file.

    Raises:
        Refused, MessageError: what does not hold.
    """
    statement = parse_statement(text)
    head = open_head(statement.checkpoint, anchor)
    words, facts = finality(statement.checkpoint, anchor)
    ledger = _Ledger(statement, head.size, head.root, anchor)
    account = _Account(statement, ledger)
    account.walk()
    lines = [item.line for item in items(statement)]
    require(statement.totals == totals_of(lines), "the totals are not the sums of the lines")
    facts |= head_facts(head) | account.facts | {"lines": len(lines), "account": statement.account}
    span = f"{format_time(statement.from_ms)} to {format_time(statement.until_ms)}"
    estimated = f", {account.estimated} of them from estimates" if account.estimated else ""
    waiting = len(account.disputes.open)
    disputed = f", {waiting} of its disputes open" if waiting else ""
    opening = "" if account.is_opened else " (not proven: no bill before it)"
    return Verdict(
        f"{statement.account}, {span}: from {_tokens(statement.opening_utok)}{opening} to "
        f"{_tokens(statement.closing_utok)} tokens by {len(lines)} lines in "
        f"{len(statement.blocks)} slots{estimated}{disputed}; {words}",
        facts,
    )


class _Ledger:
    """The entries of a statement, once it is shown that they stand in the log and who signed."""

    def __init__(self, statement: Statement, size: int, root: bytes, anchor: Anchor) -> None:
        raws = {each.index: unbase64(each.raw) for each in statement.entries}
        if list(raws) != sorted(raws) or len(raws) != len(statement.entries):
            raise Refused(Code.MALFORMED, "the entries are not in the order of their indices")
        leaves = {index: leaf_hash(raw) for index, raw in raws.items()}
        check_many(leaves, size, hashes_of(statement.entries_proof), root)
        self.ids = leaves
        self._bodies: dict[int, Body] = {}
        self._signers: dict[int, Ringed] = {}
        self.signatures = Signatures(anchor)
        for each in statement.entries:
            preimage = unbase64(each.preimage) if each.preimage else None
            taken = self.signatures.take(each.index, raws[each.index], preimage)
            if taken is not None and taken.body is not None:
                _check_right(each.index, taken.body, taken.signer)
                self._bodies[each.index] = taken.body
                self._signers[each.index] = taken.signer
        self.genesis = self.body(Genesis, 0)
        told = (statement.network_id, statement.origin, statement.microgrid)
        self.signatures.check_log()
        found = (leaves[0].hex(), anchor.log_key.name, self.genesis.microgrid)
        if told != found:
            raise Refused(Code.FOREIGN, f"it says it is of {told}, its genesis is of {found}")

    def body(self, kind: type[Kind], index: int) -> Kind:
        """Return an entry of the statement, which has to be of this kind."""
        found = self._bodies.get(index)
        if not isinstance(found, kind):
            raise Refused(Code.MALFORMED, f"entry {index} is no {kind.__name__}, or is not there")
        return found

    def signer(self, index: int) -> str:
        """Return the name of who signed an entry of the statement."""
        return self._signers[index].name

    def enrolments(self, meter_id: str) -> list[KeyEntry]:
        """Return the entries that enrolled a meter: its members and nodes, one after the other."""
        entries = (body for body in self._bodies.values() if isinstance(body, KeyEntry))
        wanted = ("enrol", "meter", meter_id)
        return [each for each in entries if (each.action, each.holder, each.name) == wanted]


@dataclass
class _Account:
    """Walks through the blocks of one account, in order, with what it holds."""

    statement: Statement
    ledger: _Ledger
    balance_utok: int = 0
    estimated: int = 0
    registers: set[int] = field(default_factory=set)
    is_opened: bool = False
    nets: dict[int, int] = field(default_factory=dict)  # slot -> the account's net energy
    energies: dict[tuple[int, str], Energy] = field(default_factory=dict)
    disputes: Disputes = field(init=False)

    def __post_init__(self) -> None:
        """Begin with no dispute known."""
        self.disputes = Disputes(self.name)

    @property
    def name(self) -> str:
        """The account."""
        return self.statement.account

    @property
    def facts(self) -> dict[str, Any]:
        """What was found, for other programs."""
        return {
            "from_ms": self.statement.from_ms,
            "until_ms": self.statement.until_ms,
            "opening_utok": self.statement.opening_utok,
            "closing_utok": self.statement.closing_utok,
            "opening_proven": self.is_opened,
            "slots": len(self.statement.blocks),
            "slots_estimated": self.estimated,
            "registers": len(self.registers),
            "disputes": self.disputes.told,
            "disputes_open": len(self.disputes.open),
            "signatures": self.ledger.signatures.checked,
        }

    def walk(self) -> None:
        """Check every block, and that they follow each other."""
        statement = self.statement
        self.balance_utok = statement.opening_utok
        previous = self._open()
        for block in statement.blocks:
            header = self._header(block, previous)
            self._check_rows(block, header)
            self._check_slot(block, header)
            for booked in block.booked:
                self._book(block, booked, header)
            if block.bill is not None:
                self._bill(block, block.bill)
            elif block.sources:
                raise Refused(Code.MALFORMED, f"slot {block.slot.slot_ms} has sources of nothing")
            previous = block
        if previous is None or not statement.blocks:
            raise Refused(Code.MALFORMED, "the statement has no slots")
        first, last = statement.blocks[0].slot, statement.blocks[-1].slot
        told = (statement.from_ms, statement.until_ms, statement.closing_utok)
        found = (first.slot_ms, last.slot_ms + last.length_ms, self.balance_utok)
        require(told == found, f"from, until and closing are {told}, and follow as {found}")

    def _open(self) -> Block | None:
        """Take the opening balance from the block before, if it is there."""
        block = self.statement.opening
        if block is None:
            if self.statement.blocks and self._height(self.statement.blocks[0]) == 0:
                require(self.balance_utok == 0, "nothing is held before the first slot of all")
                self.is_opened = True
            return None
        header = self._header(block, None)
        self._check_rows(block, header)
        if block.bill is None or block.booked or block.sources or block.policy is not None:
            raise Refused(Code.MALFORMED, "the opening block has a bill, and nothing else")
        self._hold(block.bill)
        self.is_opened = True
        return block

    # --- proofs ----------------------------------------------------------------------------

    def _height(self, block: Block) -> int:
        return self.ledger.body(BlockHeader, block.header).height

    def _header(self, block: Block, previous: Block | None) -> BlockHeader:
        """Return a block's header, which continues that of the block before."""
        header = self.ledger.body(BlockHeader, block.header)
        if previous is not None:
            before = self.ledger.body(BlockHeader, previous.header)
            follows = (header.height, header.first_index, header.previous, block.slot.slot_ms)
            wanted = (
                before.height + 1,
                before.end_index,
                self.ledger.ids[previous.header],
                previous.slot.slot_ms + previous.slot.length_ms,
            )
            if follows != wanted:
                raise Refused(Code.PROOF, f"block {header.height} does not follow the one before")
        if not header.end_index <= block.header:
            raise Refused(Code.PROOF, f"block {header.height} covers what comes after it")
        return header

    def _check_rows(self, block: Block, header: BlockHeader) -> None:
        rows: list[tuple[int | None, Row | None]] = [
            (block.slot_place, block.slot),
            (block.bill_place, block.bill),
            *((booked.place, booked.row) for booked in block.booked),
        ]
        leaves = {place: row_leaf(row) for place, row in rows if place is not None and row}
        wanted = 1 + (block.bill is not None) + len(block.booked)
        if len(leaves) != wanted or (block.bill is None) != (block.bill_place is None):
            raise Refused(Code.MALFORMED, f"block {header.height} has rows without a place")
        if block.results_size != block.slot_place + 1 + block.slot.bills:
            raise Refused(Code.PROOF, f"block {header.height} has more or fewer rows than it says")
        proof = hashes_of(block.results_proof)
        try:
            check_many(leaves, block.results_size, proof, header.results_root)
        except BadProof as error:
            raise BadProof(f"the results of block {header.height}: {error}") from None

    def _check_slot(self, block: Block, header: BlockHeader) -> None:
        slot = block.slot
        close = self.ledger.body(Close, slot.index)
        covered = (header.end_index - 1, slot.slot_ms, slot.length_ms, slot.reason)
        wanted = (slot.index, close.slot_start_ms, self.ledger.genesis.slot_ms, close.reason)
        require(covered == wanted, f"block {header.height} covers {covered}, its close is {wanted}")
        prices = self._prices(block.policy, slot.slot_ms, block.facts)
        told = Prices(slot.price_utok_per_kwh, slot.feed_in_utok_per_kwh)
        require(told == prices, f"the prices are {told}, the policy sets {prices}")
        if block.policy is None:
            require(bool(slot.failure), "a slot without a policy cannot be settled by one")
        else:
            contract = self.ledger.body(PolicyEntry, block.policy).contract
            require(slot.contract == contract, f"the policy is for contract {contract}")

    def _prices(self, policy_index: int | None, slot_ms: int, facts: tuple[int, ...]) -> Prices:
        if policy_index is None:
            require(not facts, "no policy takes prices from a feed")
            return Prices(0, 0)
        policy = self.ledger.body(PolicyEntry, policy_index)
        require(policy.from_slot_ms <= slot_ms, "the policy binds later slots only")
        told = [Told(self.ledger.body(Feed, index), self.ledger.signer(index)) for index in facts]
        scheduled = Prices(price_at(policy.prices, slot_ms), price_at(policy.feed_in, slot_ms))
        return fed_prices(policy.feeds, scheduled, told, slot_ms)

    def _bounds(self, policy_index: int | None) -> Regulation:
        if policy_index is None:
            return UNBOUND
        return self.ledger.body(PolicyEntry, policy_index).regulation

    # --- arithmetic ------------------------------------------------------------------------

    def _bill(self, block: Block, bill: BillRow) -> None:
        same = (bill.account, bill.index, bill.slot_ms)
        wanted = (self.name, block.slot.index, block.slot.slot_ms)
        require(same == wanted, f"the bill is of {same}, the slot is {wanted}")
        require(all(line.account == self.name for line in bill.lines), "a line of others")
        sources = {source.meter_id: source for source in block.sources}
        measured = [each.meter_id for each in bill.energies if each.quality != ESTIMATED]
        if [source.meter_id for source in block.sources] != measured:
            raise Refused(Code.MALFORMED, f"slot {bill.slot_ms} has other sources than energies")
        for energy in bill.energies:
            self._check_energy(energy, sources.get(energy.meter_id), block)
        if self.name.startswith("@"):
            check_account_lines(bill.lines)
        else:
            net_uwh = self.nets[bill.slot_ms] = check_position(bill)
            check_lines(bill, net_uwh)
            check_prices(block.slot, bill, self._bounds(block.policy))
        self.estimated += any(energy.quality != METERED for energy in bill.energies)
        self.balance_utok += sum(line.amount_utok for line in bill.lines)
        self._hold(bill)

    def _hold(self, bill: BillRow) -> None:
        held = (bill.account, bill.balance_utok)
        require(
            held == (self.name, self.balance_utok),
            f"after slot {bill.slot_ms} the ledger has {held[1]} utok on {held[0]}; "
            f"what is told here leads to {self.balance_utok}: something is left out",
        )

    def _check_energy(self, energy: Energy, source: Source | None, block: Block) -> None:
        slot = block.slot
        name = f"meter {energy.meter_id} in slot {slot.slot_ms}"
        members = {entry.member for entry in self.ledger.enrolments(energy.meter_id)}
        require(self.name in members, f"{name} is of {sorted(members) or 'nobody'}")
        told = (energy.import_uwh, energy.export_uwh)
        if energy.quality == ESTIMATED:
            before = self.energies.get((slot.slot_ms - slot.length_ms, energy.meter_id))
            expected = (before.import_uwh, before.export_uwh) if before else told
            require(told in (expected, (0, 0)), f"{name}: estimated at {told}, before {expected}")
        else:
            found = self._measured(energy, source, slot.slot_ms, slot.length_ms)
            require(
                (*told, energy.quality) == found, f"{name}: the registers give {found}, not {told}"
            )
        self.energies[slot.slot_ms, energy.meter_id] = energy

    def _measured(
        self, energy: Energy, source: Source | None, slot_ms: int, length_ms: int
    ) -> tuple[int, int, str]:
        """Return import, export and quality as the meter's signed registers give them."""
        name = f"meter {energy.meter_id} in slot {slot_ms}"
        if source is None or len(source.entries) < 2 or source.meter_id != energy.meter_id:
            raise Refused(Code.ARITHMETIC, f"{name}: no two registers are named for it")
        ledger = self.ledger
        first, *between, second = source.entries
        pair = Pair(
            ledger.body(Reading, first),
            tuple(ledger.body(Epoch, index) for index in between),
            ledger.body(Reading, second),
        )
        whose = {pair.first.meter_id, pair.second.meter_id, *(e.meter_id for e in pair.epochs)}
        require(whose == {energy.meter_id}, f"{name}: registers of {sorted(whose)}")
        nodes = {entry.node for entry in ledger.enrolments(energy.meter_id)}
        require({e.node for e in pair.epochs} <= nodes, f"{name}: another node vouches for it")
        self.registers |= {first, second}
        *told, is_shared = slot_energy(pair, slot_ms, length_ms)
        return told[0], told[1], SHARED if is_shared else METERED

    def _book(self, block: Block, booked: Booked, header: BlockHeader) -> None:
        row = booked.row
        if row is None or [booked.correction, booked.paid, booked.dispute].count(None) != 2:
            raise Refused(Code.MALFORMED, "something is booked that is not one of the three")
        is_covered = header.first_index <= row.index < header.end_index
        require(is_covered, f"entry {row.index} is not in block {header.height}")
        if booked.correction is not None:
            self._correct(booked, booked.correction, block)
        elif booked.source is not None or booked.policy is not None or booked.facts:
            raise Refused(Code.MALFORMED, "a payment has neither registers nor a tariff")
        elif booked.dispute is not None:
            self.disputes.take(booked.dispute)
        else:
            require(all(line.kind != CORRECTION for line in row.lines), "a correction unexplained")
        self.balance_utok += sum(line.amount_utok for line in own_lines(row.lines, self.name))

    def _correct(self, booked: Booked, row: Correction, block: Block) -> None:
        """Check what a late register changed; the estimate is known if its slot is told here."""
        energy, slot_ms, lines = row.energy, row.slot_ms, own_lines(row.lines, self.name)
        prices = self._prices(booked.policy, slot_ms, booked.facts)
        if energy.member != self.name:
            check_loose_correction(lines, prices)
            return
        found = self._measured(energy, booked.source, slot_ms, block.slot.length_ms)[:2]
        told = (energy.import_uwh, energy.export_uwh)
        name = f"meter {energy.meter_id} in slot {slot_ms}"
        require(told == found, f"{name}: the registers give {found}, not {told}")
        before = self.energies.get((slot_ms, energy.meter_id))
        self.energies[slot_ms, energy.meter_id] = energy
        if not energy.is_settled:
            require(not lines, f"{name} is not settled and has lines")
        elif before is None or slot_ms not in self.nets:
            check_loose_correction(lines, prices)
        else:
            self._check_correction(row, before, lines, prices)

    def _check_correction(
        self, row: Correction, before: Energy, lines: Iterable[Line], prices: Prices
    ) -> None:
        """Check a correction to the last micro-token.

        The account's net energy of the slot decides, while the ledger keeps it; after that the
        meter is taken by itself.
        """
        estimate = before.export_uwh - before.import_uwh
        metered = row.energy.export_uwh - row.energy.import_uwh
        net = self.nets[row.slot_ms]
        self.nets[row.slot_ms] = net + metered - estimate
        ways = [
            correction_lines(self.name, net, net + metered - estimate, prices),
            correction_lines(self.name, estimate, metered, prices),
        ]
        require(
            tuple(lines) in ways,
            f"the correction of meter {row.energy.meter_id} in slot {row.slot_ms} does not follow",
        )


def _check_right(index: int, body: Body, signer: Ringed) -> None:
    """Refuse an entry whose signer speaks of what is not his: it changed nothing on the ledger."""
    if isinstance(body, Reading):
        may = signer.name == body.meter_id
    elif isinstance(body, Epoch):
        may = signer.name == body.node
    elif isinstance(body, BlockHeader):
        may = signer.holder == "hub" or "replica" in signer.roles
    else:
        may = not isinstance(body, PolicyEntry) or bool(signer.roles & ENROLLERS)
    if not may:
        kind = type(body).__name__
        raise Refused(Code.SIGNATURE, f"entry {index}: no {kind} is for {signer.name} to sign")


def _tokens(amount_utok: int) -> str:
    whole, rest = divmod(abs(amount_utok), UTOK_PER_TOKEN)
    return f"{'-' if amount_utok < 0 else ''}{whole}.{rest:06d}"
