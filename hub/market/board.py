"""A board of prices that were set, and the trades that calls make with them, one after the other.

A call takes the best price first (cheapest, or dearest wanted), ties by who came first, always at
the price that was set. The meters then decide how much of a trade there was: earlier trades first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from hub.market.contract import ASK, BID, Match, SlotBook, Value


class Listed(NamedTuple):
    """One listing, or a call that takes some. `side`: ASK sells, BID buys. `left_uwh`: untraded."""

    name: str
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


class Board:
    """The listings of one slot and the trades they made, in order."""

    def __init__(self, listed: Iterable[Listed] = (), trades: Iterable[Trade] = ()) -> None:
        self.listed = list(listed)
        self.trades = list(trades)
        self._lanes: dict[str, list[int]] = {}

    @classmethod
    def read(cls, memory: Mapping[str, Value], key: str) -> Board:
        """Return the board that lies in a row of memory."""
        rows: Any = memory.get(key) or ((), ())
        return cls(map(Listed._make, rows[0]), map(Trade._make, rows[1]))

    def row(self) -> Value:
        """Return the row of memory that holds it; None: nothing is on it."""
        if not self.listed and not self.trades:
            return None
        return (tuple(map(tuple, self.listed)), tuple(map(tuple, self.trades)))

    def take(self, caller: Listed, only: str = "") -> int:
        """Let a call take of the other side's listings; return what it got. [uWh]"""
        sign = 1 if caller.side == BID else -1
        lane = self._lane(ASK if caller.side == BID else BID)
        wanted = caller.energy_uwh
        while lane and not self.listed[lane[-1]].left_uwh:
            lane.pop()
        for place in reversed(lane):
            listed = self.listed[place]
            if sign * listed.price_utok_per_kwh > sign * caller.price_utok_per_kwh or not wanted:
                break
            if listed.member == caller.member or only not in ("", listed.name):
                continue
            energy = min(wanted, listed.left_uwh)
            if energy:
                wanted -= energy
                self.listed[place] = listed._replace(left_uwh=listed.left_uwh - energy)
                self.trades.append(_trade(listed, caller, energy))
        return caller.energy_uwh - wanted

    def callers(self) -> list[Listed]:
        """Return each call that took something, with all that it took."""
        sides = {listed.name: listed.side for listed in self.listed}
        calls: dict[str, Listed] = {}
        for place, trade in enumerate(self.trades):
            side = BID if sides[trade.listing] == ASK else ASK
            before = calls.get(trade.taken_by)
            calls[trade.taken_by] = Listed(
                trade.taken_by,
                trade.buyer if side == BID else trade.seller,
                side,
                trade.energy_uwh + (before.energy_uwh if before else 0),
                0,
                trade.limit_utok_per_kwh,
                place,
            )
        return list(calls.values())

    def delivered(self, book: SlotBook) -> Iterator[Match]:
        """Yield a match for each trade, with the energy that both meters bear, maybe none."""
        positions = {p.member: p for p in book.positions}
        gives = {p.member: p.surplus_uwh for p in book.positions}
        takes = {p.member: p.deficit_uwh for p in book.positions}
        for trade in self.trades:
            energy, meters = trade.energy_uwh, ("", "")
            if not book.is_bare:
                energy = min(energy, gives.get(trade.seller, 0), takes.get(trade.buyer, 0))
            if energy and not book.is_bare:
                gives[trade.seller] -= energy
                takes[trade.buyer] -= energy
                meters = positions[trade.seller].export_meter, positions[trade.buyer].import_meter
            yield Match(trade.seller, trade.buyer, *meters, energy, trade.price_utok_per_kwh)

    def _lane(self, side: str) -> list[int]:
        """Return the places of one side's listings, the best last. Nothing is listed after it."""
        if side not in self._lanes:
            sign = 1 if side == ASK else -1
            self._lanes[side] = sorted(
                (place for place, row in enumerate(self.listed) if row.side == side),
                key=lambda at: (
                    sign * self.listed[at].price_utok_per_kwh,
                    self.listed[at].sequence,
                ),
                reverse=True,
            )
        return self._lanes[side]


def _trade(listed: Listed, caller: Listed, energy_uwh: int) -> Trade:
    seller, buyer = (listed, caller) if listed.side == ASK else (caller, listed)
    return Trade(
        listed.name,
        seller.member,
        buyer.member,
        energy_uwh,
        listed.price_utok_per_kwh,
        caller.price_utok_per_kwh,
        caller.name,
    )
