"""Listings of paper 003, figure 1a, and paper 001: a price is set, a trade is matched or not.

Salian et al., *Review of Blockchain Enabled Decentralized Energy Trading Mechanisms*: a prosumer
sets a price; a consumer's call to buy is matched if it offers at least that, and then at the price
that was set. The events bear the names of the figure: `price set`, `trade matched`, `trade not
matched`. Ours: quantities in parts, rounds (a listing is for one slot), and listings of buyers,
`want`, which a seller's call answers at the price that the buyer set. A listing shows a pseudonym,
fresh with each; who is behind it stands on the two bills alone.

    list      price_utok_per_kwh, energy_uwh, slot_ms
    want      the same, by a buyer
    buy, sell price_utok_per_kwh, energy_uwh, slot_ms, [listing]
    cancel    listing

A call takes the best listing first (cheapest, or dearest wanted), ties by who came first, or the
one it names. A trade binds until its slot closes; the meters then decide how much of it there was:
earlier trades first. What a trade lacks is the grid's, and both are told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

from hub.market.arguments import Arguments
from hub.market.contract import (
    ASK,
    BID,
    CallRequest,
    CallResult,
    Clearing,
    Fate,
    Match,
    Order,
    SlotBook,
    StepBudget,
    Value,
)
from hub.market.crossing import energy_of
from hub.market.errors import CallRefused
from hub.market.offered import offered
from hub.market.orderbook import AHEAD_SLOTS, call_fee
from hub.market.parameters import read, whole
from hub.market.rest import held_back, rest_to_grid


@dataclass(frozen=True, slots=True)
class Rules:
    """How many listings and trades a member may have in a slot, and the fee of a call. [utok]"""

    listings_max: int = whole(8, 1, 64)
    call_fee_utok: int = whole(0, 0, 10**12)


class Row(NamedTuple):
    """One listing. `side` is what its member does: ASK sells, BID wants. `left_uwh`: untraded."""

    listing: str
    member: str
    side: str
    energy_uwh: int
    left_uwh: int
    price_utok_per_kwh: int
    sequence: int


class Trade(NamedTuple):
    """Energy that a call took of a listing, at the listing's price.

    `limit_utok_per_kwh` is what the caller would have gone to; `taken_by`: his call.
    """

    listing: str
    seller: str
    buyer: str
    energy_uwh: int
    price_utok_per_kwh: int
    limit_utok_per_kwh: int
    taken_by: str


class Round:
    """The listings of one slot and the trades they made, in order."""

    def __init__(self, rows: Iterable[Row], trades: Iterable[Trade]) -> None:
        self.rows = list(rows)
        self.trades = list(trades)
        self._lanes: dict[str, list[int]] = {}

    def put(self, row: Row) -> None:
        """Add a listing."""
        self.rows.append(row)
        self._lanes.clear()

    def take(self, caller: Row, only: str = "") -> int:
        """Let a call take from the other side's listings; return what it got. [uWh]"""
        sign = 1 if caller.side == BID else -1
        wanted = caller.energy_uwh
        lane = self._lane(ASK if caller.side == BID else BID)
        while lane and not self.rows[lane[-1]].left_uwh:
            lane.pop()
        for place in reversed(lane):
            row = self.rows[place]
            if sign * row.price_utok_per_kwh > sign * caller.price_utok_per_kwh or not wanted:
                break
            if row.member == caller.member or not row.left_uwh or only not in ("", row.listing):
                continue
            energy = min(wanted, row.left_uwh)
            wanted -= energy
            self.rows[place] = row._replace(left_uwh=row.left_uwh - energy)
            self.trades.append(_trade(row, caller, energy))
        return caller.energy_uwh - wanted

    def _lane(self, side: str) -> list[int]:
        """Return the places of one side's listings, the best last."""
        if side not in self._lanes:
            sign = 1 if side == ASK else -1
            self._lanes[side] = sorted(
                (place for place, row in enumerate(self.rows) if row.side == side),
                key=lambda at: (sign * self.rows[at].price_utok_per_kwh, self.rows[at].sequence),
                reverse=True,
            )
        return self._lanes[side]


class Listing:
    """Set a price and wait, or take one that was set."""

    name: ClassVar[str] = "listing"

    def check(self, parameters: Mapping[str, Value]) -> None:
        """Refuse a parameter that is unknown or cannot be."""
        read(self.name, Rules, parameters)

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        """Deliver the trades of the slot as far as the meters showed the energy."""
        read(self.name, Rules, book.parameters)
        key = f"round.{book.slot_ms:015d}"
        found = _round(book.memory, key)
        asked: list[Row] = []
        if book.orders:
            found, asked = _off_the_ledger(book, budget)
        budget.spend(len(found.rows) + 4 * len(found.trades) + len(book.positions))
        delivered = list(_delivered(book, found.trades))
        matches = tuple(match for match in delivered if match.energy_uwh)
        return Clearing(
            matches=matches,
            remainders=rest_to_grid(book, matches),
            curtailments=held_back(book.positions),
            memory={old: None for old in book.memory if old <= key},
            fates=tuple(_fates(book, found, delivered, asked)),
            takes_orders=True,
        )

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        """Set a price, take one that was set, or cancel a listing."""
        rules = read(self.name, Rules, request.parameters)
        side = _SIDES.get(request.method)
        if side is None and request.method != "cancel":
            known = ", ".join((*_SIDES, "cancel"))
            raise CallRefused(f"{self.name} has no call {request.method!r}; there are: {known}")
        given = Arguments(request.method, request.arguments)
        fee = call_fee(rules.call_fee_utok, request.member, given)
        if side is None:
            result = _cancel(request, given)
        else:
            result = _place(rules, request, given, side, budget)
        given.check_used()
        return CallResult((*fee, *result.transfers), result.memory, result.answer)


_SIDES: Final[Mapping[str, str]] = {"list": ASK, "want": BID, "buy": BID, "sell": ASK}


def _place(
    rules: Rules, request: CallRequest, given: Arguments, side: str, budget: StepBudget
) -> CallResult:
    low, high = request.tariff.floor_utok_per_kwh, request.tariff.cap_utok_per_kwh
    slot_ms = _slot(request, given)
    key = f"round.{slot_ms:015d}"
    found = _round(request.memory, key)
    budget.spend(1 + len(found.rows) + len(found.trades))
    energy = given.whole("energy_uwh", 1, 10**18)
    call_id = request.call_id.hex()
    row = Row(
        _pseudonym(request.call_id),
        request.member,
        side,
        energy,
        energy,
        given.whole("price_utok_per_kwh", low, high),
        request.sequence,
    )
    mine = sum(each.member == request.member for each in found.rows)
    mine += sum(request.member in (each.seller, each.buyer) for each in found.trades)
    if mine >= rules.listings_max:
        raise CallRefused(f"you have {mine} listings and trades in slot {slot_ms}, no more")
    if request.method in ("list", "want"):
        found.put(row)
        answer: dict[str, Value] = {"event": "price set", "listing": row.listing}
    else:
        only = given.text("listing", "")
        got = found.take(row._replace(listing=call_id), only)
        event = "trade matched" if got else "trade not matched"
        answer = {"event": event, "energy_uwh": got}
    return CallResult((), {key: _memory(found)}, answer)


def _cancel(request: CallRequest, given: Arguments) -> CallResult:
    wanted = given.text("listing")
    for key in request.memory:
        found = _round(request.memory, key)
        for place, row in enumerate(found.rows):
            if (row.listing, row.member) == (wanted, request.member):
                sold = row.energy_uwh - row.left_uwh
                found.rows[place] = row._replace(energy_uwh=sold, left_uwh=0)
                if not sold:
                    del found.rows[place]
                return CallResult((), {key: _memory(found)}, {"left_uwh": row.left_uwh})
    raise CallRefused(f"you have no listing {wanted!r}")


def _slot(request: CallRequest, given: Arguments) -> int:
    slot_ms = given.whole("slot_ms", 0, 10**14)
    if slot_ms % request.length_ms:
        raise CallRefused(f"{slot_ms} is no slot's start")
    last_ms = request.slot_ms + AHEAD_SLOTS * request.length_ms
    if not request.slot_ms <= slot_ms <= last_ms:
        raise CallRefused(f"a listing is for one of the slots {request.slot_ms} to {last_ms}")
    return slot_ms


def _pseudonym(call_id: bytes) -> str:
    """Return what a listing is shown as; nobody learns from it whose the next one is."""
    return hashlib.sha256(b"gridtally/v1/listing" + call_id).hexdigest()[:12]


def _round(memory: Mapping[str, Value], key: str) -> Round:
    rows: Any = memory.get(key) or ((), ())
    return Round(map(Row._make, rows[0]), map(Trade._make, rows[1]))


def _memory(found: Round) -> Value:
    if not found.rows and not found.trades:
        return None
    return (tuple(map(tuple, found.rows)), tuple(map(tuple, found.trades)))


def _trade(row: Row, caller: Row, energy_uwh: int) -> Trade:
    seller, buyer = (row, caller) if row.side == ASK else (caller, row)
    return Trade(
        row.listing,
        seller.member,
        buyer.member,
        energy_uwh,
        row.price_utok_per_kwh,
        caller.price_utok_per_kwh,
        caller.listing,
    )


def _off_the_ledger(book: SlotBook, budget: StepBudget) -> tuple[Round, list[Row]]:
    """Take a book's asks as listings and its bids as calls to buy, in the order they came."""
    on_offer = offered(book, budget)
    listed = [_row(order, place) for place, order in enumerate(on_offer.asks)]
    asked = sorted(on_offer.bids, key=lambda order: (order.sequence, order.meter))
    found = Round(listed, ())
    calls = [_row(order, place) for place, order in enumerate(asked)]
    for call in calls:
        found.take(call)
    budget.spend(len(calls) + len(found.trades))
    return found, calls


def _row(order: Order, place: int) -> Row:
    energy = energy_of(order)
    name = order.order_id or f"{order.side}-{place}"
    price = order.price_utok_per_kwh
    return Row(name, order.member, order.side, energy, energy, price, place)


def _delivered(book: SlotBook, trades: Iterable[Trade]) -> Iterator[Match]:
    """Yield a match for each trade, with the energy that both meters bear, maybe none."""
    positions = {p.member: p for p in book.positions}
    gives = {p.member: p.surplus_uwh for p in book.positions}
    takes = {p.member: p.deficit_uwh for p in book.positions}
    for trade in trades:
        energy, meters = trade.energy_uwh, ("", "")
        if not book.is_bare:
            energy = min(energy, gives.get(trade.seller, 0), takes.get(trade.buyer, 0))
        if energy and not book.is_bare:
            gives[trade.seller] -= energy
            takes[trade.buyer] -= energy
            meters = positions[trade.seller].export_meter, positions[trade.buyer].import_meter
        yield Match(trade.seller, trade.buyer, *meters, energy, trade.price_utok_per_kwh)


def _fates(
    book: SlotBook, found: Round, delivered: list[Match], asked: list[Row]
) -> Iterator[Fate]:
    """Tell of each listing, and of each call that took one, what came of it."""
    known = {p.member for p in book.positions}
    got, agreed = dict[str, int](), dict[str, int]()
    for trade, match in zip(found.trades, delivered, strict=True):
        for name in (trade.listing, trade.taken_by):
            got[name] = got.get(name, 0) + match.energy_uwh
            agreed[name] = agreed.get(name, 0) + trade.energy_uwh
    for row in (*found.rows, *(asked or _callers(found))):
        if row.energy_uwh and (book.is_bare or row.member in known):
            energy = got.get(row.listing, 0)
            reason = _reason(row, agreed.get(row.listing, 0), energy)
            yield Fate(
                row.member,
                row.listing,
                row.side,
                row.energy_uwh,
                row.price_utok_per_kwh,
                energy,
                reason,
            )


def _reason(row: Row, agreed_uwh: int, got_uwh: int) -> str:
    if got_uwh == row.energy_uwh:
        return ""
    if agreed_uwh > got_uwh:
        return "trade matched, but the meters did not show the energy"
    return "trade matched in part" if got_uwh else "trade not matched"


def _callers(found: Round) -> Iterator[Row]:
    """Yield each call that took something, with all that it took."""
    calls: dict[str, Row] = {}
    sides = {row.listing: row.side for row in found.rows}
    for place, trade in enumerate(found.trades):
        side = BID if sides.get(trade.listing, ASK) == ASK else ASK
        member = trade.buyer if side == BID else trade.seller
        before = calls.get(trade.taken_by)
        energy = trade.energy_uwh + (before.energy_uwh if before else 0)
        limit = trade.limit_utok_per_kwh
        calls[trade.taken_by] = Row(trade.taken_by, member, side, energy, 0, limit, place)
    yield from calls.values()
