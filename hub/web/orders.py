"""Markets and orders over REST: which market is in force, what lies in its book, what became of it.

GET /api/v1/market   the market in force and those that are to come
GET /api/v1/book     what waits, as who asks may see it: orders, listings, offers of storages
GET /api/v1/orders   one's own: those that wait, and the newest that are over; signed by a member

Orders are placed by signed calls, POST /api/v1/requests (`hub.web.requests`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import APIRouter, HTTPException, Query

from hub.core.clearing import Contracts
from hub.core.disclosing import OPEN, Asker, disclosure_at
from hub.core.state import State
from hub.lens import Lens, lens_of
from hub.market.catalog import CONTRACTS
from hub.market.orderbook import Laid
from hub.ordering.market import book_of, markets, unnamed
from hub.web.reader import LedgerReader
from hub.web.tlog import Authorization
from hub.web.visitors import Visitors

FATES_SHOWN: Final = 50
FATES_MAX: Final = 500


def build_order_routes(ledger: LedgerReader, visitors: Visitors, contracts: Contracts) -> APIRouter:
    """Return the routes about markets and orders."""
    routes = APIRouter(tags=["market"])
    _market_routes(routes, ledger, visitors.who, contracts)

    @routes.get("/api/v1/orders", summary="One's own orders; signed by a member")
    def orders(
        limit: Annotated[int, Query(ge=1, le=FATES_MAX)] = FATES_SHOWN,
        authorization: Authorization = "",
    ) -> dict[str, Any]:
        path = "/api/v1/orders" + ("" if limit == FATES_SHOWN else f"?limit={limit}")
        member = visitors.member(authorization, path).name
        with ledger.lock:
            found = book_of(ledger.state, contracts)
            waiting = [each for each in found if each.member == member]
        return {
            "member": member,
            "waiting": [each._asdict() for each in waiting],
            "over": [asdict(each) for each in ledger.fates(member, limit)],
        }

    return routes


def _market_routes(
    routes: APIRouter,
    ledger: LedgerReader,
    who: Callable[[str, str], Asker],
    contracts: Contracts,
) -> None:
    @routes.get("/api/v1/market", summary="The market in force, and those that are to come")
    def market() -> dict[str, Any]:
        with ledger.lock:
            state = ledger.state
            next_ms = state.progress.next_slot_ms
            if next_ms is None:
                raise HTTPException(503, "no slot has closed yet, and orders are timed by slots")
            found = list(markets(state, contracts))
            if disclosure_at(state) != OPEN:
                found = list(map(unnamed, found))
            return {
                "next_slot_ms": next_ms,
                "slot_ms": state.slot_ms,
                "markets": [*map(asdict, found)],
            }

    @routes.get("/api/v1/book", summary="Orders that wait, as who asks may see them")
    def book(authorization: Authorization = "") -> list[dict[str, Any]]:
        asker = who(authorization, "/api/v1/book")
        with ledger.lock:
            return shown_book(ledger.state, lens_of(ledger.state, asker), contracts)


def shown_book(state: State, lens: Lens, contracts: Contracts = CONTRACTS) -> list[dict[str, Any]]:
    """Return what waits, under the names of the next slot, in the order of those."""
    next_ms = state.progress.next_slot_ms

    def name(each: Laid) -> str:
        if each.alias and each.member != lens.asker.name:
            return each.alias
        return lens.name(each.member, lens.now, next_ms)

    shown = [
        each._replace(member=name(each), alias="")
        for each in book_of(state, contracts)
        if lens.sees("trade", each.member, lens.now)
    ]
    return [each._asdict() for each in sorted(shown, key=lambda each: (each.member, each.order_id))]
