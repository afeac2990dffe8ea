"""Listings of paper 003, figure 1a, and paper 001: a price is set, a trade is matched or not.

Salian et al., *Review of Blockchain Enabled Decentralized Energy Trading Mechanisms*: a prosumer
sets a price; a consumer's call to buy is matched if it offers at least that, and then at the price
that was set. The events bear the names of the figure: `price set`, `trade matched`, `trade not
matched`. Ours: quantities in parts, a slot for each listing, and listings of buyers, `want`, which
a seller's call answers at the price that the buyer set. A listing shows a pseudonym, fresh with
each; who is behind it stands on the two bills alone.

    list      price_utok_per_kwh, energy_uwh, slot_ms
    want      the same, by a buyer
    buy, sell price_utok_per_kwh, energy_uwh, slot_ms, [listing]
    cancel    listing
    each      [fee_utok], at least `call_fee_utok`

A trade binds until its slot closes; what it lacks on the meters is the grid's, and both are told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from hub.market.arguments import Arguments
from hub.market.board import Board, Listed
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
from hub.market.orderbook import Laid
from hub.market.parameters import read, whole
from hub.market.rest import held_back, rest_to_grid
from hub.market.serving import Methods, fee_rule, serve, slot_ahead

_BOARD: Final = "board."


@dataclass(frozen=True, slots=True)
class Rules:
    """How many listings and trades a member may have in a slot, and the fee of a call. [utok]"""

    listings_max: int = whole(8, 1, 64)
    call_fee_utok: int = fee_rule()


class Listing:
    """Set a price and wait, or take one that was set."""

    name: ClassVar[str] = "listing"

    def check(self, parameters: Mapping[str, Value]) -> None:
        """Refuse a parameter that is unknown or cannot be."""
        read(self.name, Rules, parameters)

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        """Deliver the trades of the slot as far as the meters showed the energy."""
        read(self.name, Rules, book.parameters)
        key = _key(book.slot_ms)
        board = Board.read(book.memory, key)
        calls = board.callers()
        if book.orders:
            board, calls = _off_the_ledger(book, budget)
        budget.spend(len(board.listed) + 4 * len(board.trades) + len(book.positions))
        delivered = list(board.delivered(book))
        matches = tuple(match for match in delivered if match.energy_uwh)
        return Clearing(
            matches=matches,
            remainders=rest_to_grid(book, matches),
            curtailments=held_back(book.positions),
            memory={old: None for old in book.memory if old <= key},
            fates=tuple(_fates(book, board, calls, delivered)),
            takes_orders=True,
        )

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        """Set a price, take one that was set, or cancel a listing."""
        rules = read(self.name, Rules, request.parameters)
        budget.spend(1 + len(request.memory) * rules.listings_max)
        return serve(self.name, _METHODS, rules, request, rules.call_fee_utok)

    def waiting(self, memory: Mapping[str, Value], length_ms: int) -> Iterator[Laid]:
        """Yield the listings that wait for a taker, by slot; others see their pseudonyms."""
        for key in sorted(memory):
            slot_ms = int(key.removeprefix(_BOARD))
            for row in Board.read(memory, key).listed:
                if row.left_uwh:
                    yield Laid(
                        row.member,
                        row.name,
                        row.side,
                        row.left_uwh,
                        row.price_utok_per_kwh,
                        slot_ms,
                        slot_ms + length_ms,
                        alias=row.name,
                    )


def _place(rules: Rules, request: CallRequest, given: Arguments) -> CallResult:
    """Serve list, want, buy and sell."""
    key = _key(slot_ahead(request, given))
    board = Board.read(request.memory, key)
    mine = sum(each.member == request.member for each in board.listed)
    mine += sum(request.member in (each.seller, each.buyer) for each in board.trades)
    if mine >= rules.listings_max:
        raise CallRefused(f"you have {mine} listings and trades in that slot, no more are taken")
    energy = given.whole("energy_uwh", 1, 10**18)
    low, high = request.tariff.floor_utok_per_kwh, request.tariff.cap_utok_per_kwh
    placed = Listed(
        _pseudonym(request.call_id),
        request.member,
        BID if request.method in ("want", "buy") else ASK,
        energy,
        energy,
        given.whole("price_utok_per_kwh", low, high),
        request.sequence,
    )
    if request.method in ("list", "want"):
        board.listed.append(placed)
        answer: dict[str, Value] = {"event": "price set", "listing": placed.name}
    else:
        call = placed._replace(name=request.call_id.hex())
        got = board.take(call, given.text("listing", ""))
        answer = {"event": f"trade {'matched' if got else 'not matched'}", "energy_uwh": got}
    return CallResult((), {key: board.row()}, answer)


def _cancel(_rules: Rules, request: CallRequest, given: Arguments) -> CallResult:
    name = given.text("listing")
    for key in request.memory:
        board = Board.read(request.memory, key)
        for place, row in enumerate(board.listed):
            if (row.name, row.member) == (name, request.member):
                sold = row.energy_uwh - row.left_uwh
                board.listed[place] = row._replace(energy_uwh=sold, left_uwh=0)
                if not sold:
                    del board.listed[place]
                return CallResult((), {key: board.row()}, {"left_uwh": row.left_uwh})
    raise CallRefused(f"you have no listing {name!r}")


_METHODS: Final[Methods[Rules]] = {
    **dict.fromkeys(("list", "want", "buy", "sell"), _place),
    "cancel": _cancel,
}


def _key(slot_ms: int) -> str:
    """Return the row of a slot's board; rows sort as their slots do."""
    return f"{_BOARD}{slot_ms:015d}"


def _pseudonym(call_id: bytes) -> str:
    """Return what a listing is shown as; nobody learns from it whose the next one is."""
    return hashlib.sha256(b"gridtally/v1/listing" + call_id).hexdigest()[:12]


def _off_the_ledger(book: SlotBook, budget: StepBudget) -> tuple[Board, list[Listed]]:
    """Take a book's asks as listings and its bids as calls to buy, in the order they came."""
    on_offer = offered(book, budget)
    board = Board(_listed(order, place) for place, order in enumerate(on_offer.asks))
    asked = sorted(on_offer.bids, key=lambda order: (order.sequence, order.meter))
    calls = [_listed(order, place) for place, order in enumerate(asked)]
    for call in calls:
        board.take(call)
    budget.spend(len(calls) + len(board.trades))
    return board, calls


def _listed(order: Order, place: int) -> Listed:
    energy = energy_of(order)
    name = order.order_id or f"{order.side}-{place}"
    return Listed(name, order.member, order.side, energy, energy, order.price_utok_per_kwh, place)


def _fates(
    book: SlotBook, board: Board, calls: Iterable[Listed], delivered: list[Match]
) -> Iterator[Fate]:
    """Tell of each listing, and of each call that took one, what came of it."""
    known = {p.member for p in book.positions}
    got, agreed = dict[str, int](), dict[str, int]()
    for trade, match in zip(board.trades, delivered, strict=True):
        for name in (trade.listing, trade.taken_by):
            got[name] = got.get(name, 0) + match.energy_uwh
            agreed[name] = agreed.get(name, 0) + trade.energy_uwh
    for row in (*board.listed, *calls):
        if row.energy_uwh and (book.is_bare or row.member in known):
            energy = got.get(row.name, 0)
            yield Fate(
                row.member,
                row.name,
                row.side,
                row.energy_uwh,
                row.price_utok_per_kwh,
                energy,
                _reason(row, agreed.get(row.name, 0), energy),
            )


def _reason(row: Listed, agreed_uwh: int, got_uwh: int) -> str:
    if got_uwh == row.energy_uwh:
        return ""
    if agreed_uwh > got_uwh:
        return "trade matched, but the meters did not show the energy"
    return "trade matched in part" if got_uwh else "trade not matched"
