"""The bank over REST.

GET /api/v1/bank   its rules, the next payout, what circulates; and one's own account, where a
                   member signs who asks

Payouts are asked for by signed calls to "bank", POST /api/v1/requests (`hub.web.requests`).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, HTTPException

from hub.banking.showing import account_of, bank_seen
from hub.core.disclosing import NOBODY_KIND
from hub.lens import lens_of
from hub.web.reader import LedgerReader
from hub.web.showing import show_bank
from hub.web.tlog import Authorization
from hub.web.visitors import Visitors


def build_bank_routes(ledger: LedgerReader, visitors: Visitors) -> APIRouter:
    """Return the routes about the bank."""
    routes = APIRouter(tags=["market"])

    @routes.get("/api/v1/bank", summary="The bank, and one's own account if a member signs")
    def bank(authorization: Authorization = "") -> dict[str, Any]:
        asker = visitors.who(authorization, "/api/v1/bank")
        with ledger.lock:
            state = ledger.state
            seen = bank_seen(state)
            if seen is None:
                raise HTTPException(503, "no slot has closed yet, and payouts are timed by slots")
            members = frozenset(meter.member for meter in state.meters.values())
            shown = show_bank(seen, lens_of(state, asker), members)
            own = None if asker.kind == NOBODY_KIND else account_of(state, asker.name)
        return asdict(shown) | {"account": None if own is None else asdict(own)}

    return routes
