"""A member's statement: what was booked on one account in a run of slots, with all its proofs.

Canonical JSON (`messages.jsontext`), so that it can be read without us; docs/bill-format.md tells
it to other programs, `gridtally-verify bill` checks it. Energies are uWh, money utok, prices utok
per kWh, times ms UTC; bytes are base64, the network id is hex. The fields of each object are those
of the dataclass here.

What an account's slot was settled to is a row under the results root of a block header; a leaf is
the deterministic CBOR of the row's name and its fields in order, as `row_leaf` writes it:

    ["slot", ...SlotRow]   ["bill", ...BillRow]   ["correction", ...Correction]   ["paid", ...Paid]
    ["dispute", ...DisputeRow]
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final

from messages import cbor, jsontext, schema
from messages.errors import MalformedMessage
from messages.log.note import unbase64
from messages.log.tree import leaf_hash

FORMAT: Final = "gridtally-statement-1"

METERED, ESTIMATED, SHARED = "metered", "estimated", "shared"
SALE, PURCHASE, CORRECTION, TRANSFER = "sale", "purchase", "correction", "transfer"
GRID, SPILLED = "@grid", "@spilled"


# --- rows, as the ledger commits to them ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Energy:
    """What one meter did in one slot. [uWh]"""

    meter_id: str
    member: str
    purpose: str
    import_uwh: int
    export_uwh: int
    quality: str
    is_settled: bool


@dataclass(frozen=True, slots=True)
class Position:
    """A member's slot: what his settled meters show together, and what open relays kept back.

    `held_uwh` against his wish, `shifted_uwh` by it: that load waits for a cheaper slot.
    """

    member: str
    export_meter: str
    import_meter: str
    generated_uwh: int
    consumed_uwh: int
    held_uwh: int
    estimated: bool
    shifted_uwh: int


@dataclass(frozen=True, slots=True)
class Match:
    """Energy that one member bought from another."""

    seller: str
    buyer: str
    from_meter: str
    to_meter: str
    energy_uwh: int
    price_utok_per_kwh: int


@dataclass(frozen=True, slots=True)
class PricedMatch:
    """A match with its money."""

    match: Match
    amount_utok: int


@dataclass(frozen=True, slots=True)
class Remainder:
    """Energy that found no partner, and the account that took or gave it."""

    member: str
    route: str
    energy_uwh: int
    price_utok_per_kwh: int


@dataclass(frozen=True, slots=True)
class Curtailment:
    """What was wanted and not had, since a relay was open. An estimate."""

    member: str
    wanted_uwh: int
    had_uwh: int
    curtailed_uwh: int
    overdrawn_uwh: int


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of an order. `reason` tells its member, "" where all of it was matched."""

    member: str
    order_id: str
    side: str
    energy_uwh: int
    price_utok_per_kwh: int
    matched_uwh: int
    reason: str


@dataclass(frozen=True, slots=True)
class Line:
    """Money of one account: above 0 received, below 0 paid."""

    account: str
    kind: str
    counterparty: str
    energy_uwh: int
    price_utok_per_kwh: int
    amount_utok: int
    quality: str


@dataclass(frozen=True, slots=True)
class SlotRow:
    """How a slot was settled. `index` is the close entry's; `bills`: how many accounts it has."""

    index: int
    slot_ms: int
    length_ms: int
    reason: str
    contract: str
    failure: str
    price_utok_per_kwh: int
    feed_in_utok_per_kwh: int
    unaccounted_uwh: int | None
    bills: int


@dataclass(frozen=True, slots=True)
class BillRow:
    """One account's slot. `balance_utok` is what the account holds after it."""

    index: int
    slot_ms: int
    account: str
    balance_utok: int
    energies: tuple[Energy, ...]
    positions: tuple[Position, ...]
    matches: tuple[PricedMatch, ...]
    remainders: tuple[Remainder, ...]
    curtailments: tuple[Curtailment, ...]
    fates: tuple[Fate, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Correction:
    """A late register replaced an estimate; `index` is the entry that did it."""

    index: int
    slot_ms: int
    energy: Energy
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Paid:
    """Money that a member's call moved on one account; `index` is the call's entry."""

    index: int
    account: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class DisputeRow:
    """A dispute began, was answered or ended, as one account sees it (`messages.disputes`).

    `dispute` is the entry that began it, `index` the one that did this; `line` of the claimant's in
    its row of slot `slot_ms`. `to_claimant_utok` of the amount went to the claimant.
    """

    index: int
    dispute: int
    account: str
    event: str
    claimant: str
    respondent: str
    slot_ms: int
    line: int
    amount_utok: int
    to_claimant_utok: int
    lines: tuple[Line, ...]


Row = SlotRow | BillRow | Correction | Paid | DisputeRow
NAMES: Final[Mapping[type, str]] = {
    SlotRow: "slot",
    BillRow: "bill",
    Correction: "correction",
    Paid: "paid",
    DisputeRow: "dispute",
}


def row_leaf(row: Row) -> bytes:
    """Return the leaf hash of a row."""
    return leaf_hash(row_bytes(row))


def row_bytes(row: Row) -> bytes:
    """Return a row as the ledger commits to it."""
    return cbor.encode([NAMES[type(row)], *_values(row)])


def _values(value: Any) -> Any:
    if is_dataclass(value):
        return [_values(getattr(value, field.name)) for field in fields(value)]
    return [_values(item) for item in value] if isinstance(value, tuple) else value


# --- the file ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EntryText:
    """An entry of the ledger; `preimage` is what a sealed reading commits to, else ""."""

    index: int
    raw: str
    preimage: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """The entries from which a meter's energy follows: register, new beginnings, register."""

    meter_id: str
    entries: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Booked:
    """What was booked between two closes: one of three. `place` is its row's in the results.

    A correction has its source, the policy entry whose prices hold in its slot (None: none), and
    the feed entries that take their place.
    """

    place: int
    correction: Correction | None = None
    paid: Paid | None = None
    source: Source | None = None
    policy: int | None = None
    dispute: DisputeRow | None = None
    facts: tuple[int, ...] = ()

    @property
    def row(self) -> Correction | Paid | DisputeRow | None:
        """What was booked."""
        return self.correction or self.paid or self.dispute


@dataclass(frozen=True, slots=True)
class Block:
    """One slot of an account: rows, their proof under the header's results root, their causes.

    `header`, `policy` and `facts` (the feed entries that its prices come from) are indices of
    entries; the close is the last entry that the header covers. `results_proof` is one proof
    (`tree.check_many`) for all rows here, at their places.
    """

    header: int
    policy: int | None
    results_size: int
    results_proof: tuple[str, ...]
    slot_place: int
    slot: SlotRow
    bill_place: int | None
    bill: BillRow | None
    booked: tuple[Booked, ...]
    sources: tuple[Source, ...]
    facts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all lines; money has its sign. Energy of corrections is left out."""

    sold_uwh: int
    bought_uwh: int
    sales_utok: int
    purchases_utok: int
    corrections_utok: int
    transfers_utok: int


@dataclass(frozen=True, slots=True)
class Statement:
    """The file. Slots from `from_ms` until `until_ms` (end exclusive), none left out.

    `opening` is the block before the first, if the account has a bill there: its balance is the
    opening one. `entries` are in the order of their indices; `entries_proof` is one proof
    (`tree.check_many`) that all of them stand under the checkpoint.
    """

    format: str
    network_id: str
    origin: str
    microgrid: str
    account: str
    from_ms: int
    until_ms: int
    opening_utok: int
    closing_utok: int
    totals: Totals
    opening: Block | None
    blocks: tuple[Block, ...]
    entries: tuple[EntryText, ...]
    entries_proof: tuple[str, ...]
    checkpoint: str


def format_statement(statement: Statement) -> str:
    """Return the text of a statement file."""
    return jsontext.format_record(statement)


def parse_statement(text: str) -> Statement:
    """Return what a statement file says; nothing of it is proven yet.

    Raises:
        MalformedMessage: another format, or a field missing, unknown or of another type.
    """
    value = jsontext.parse_json(text)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise MalformedMessage(f"no statement: its format is not {FORMAT}")
    return schema.from_map(Statement, value)


def own_lines(lines: Iterable[Line], account: str) -> tuple[Line, ...]:
    """Return the lines of one account."""
    return tuple(line for line in lines if line.account == account)


def totals_of(lines: Iterable[Line]) -> Totals:
    """Return the sums of some lines of one account."""
    energy = dict.fromkeys((SALE, PURCHASE, CORRECTION, TRANSFER), 0)
    money = dict(energy)
    for line in lines:
        if line.kind not in money:
            raise MalformedMessage(f"a line of kind {line.kind!r} has no place in a statement")
        energy[line.kind] += line.energy_uwh
        money[line.kind] += line.amount_utok
    return Totals(
        energy[SALE],
        energy[PURCHASE],
        money[SALE],
        money[PURCHASE],
        money[CORRECTION],
        money[TRANSFER],
    )


def text_of(raw: bytes) -> str:
    """Return bytes as the file has them."""
    return base64.b64encode(raw).decode()


def hashes_of(texts: Iterable[str]) -> list[bytes]:
    """Return the hashes of a proof in the file.

    Raises:
        MalformedMessage: one is not base64.
    """
    return [unbase64(text) for text in texts]
