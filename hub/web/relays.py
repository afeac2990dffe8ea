"""REST of relays: leases, states and reasons, and on which decision each rests. Reads only."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, HTTPException, Query, Request

from hub.core.disclosing import Asker
from hub.errors import NoSuchEntry
from hub.web.tlog import Authorization
from hub.web.view import Picture
from hub.web.visitors import Who
from hub.web.why import WhyView
from messages.timetext import parse_time


class RelaySight(Protocol):
    """What may be seen of relays, by who asks."""

    def picture(self, asker: Asker) -> Picture:
        """Return the microgrid now."""

    def why(self, wanted: str, at_ms: int | None, asker: Asker) -> WhyView:
        """Return why a relay stood as it did at a time, or stands now; or NoSuchEntry."""


def build_relay_routes(sight: RelaySight, who: Who) -> APIRouter:
    """Return the routes of relays; `who` says who asks."""
    routes = APIRouter()

    @routes.get("/api/v1/relays", tags=["now"], summary="Relays: leases, states, reasons, ages")
    def relays(authorization: Authorization = "") -> list[dict[str, Any]]:
        members = sight.picture(who(authorization, "/api/v1/relays")).members
        return [asdict(relay) for member in members for relay in member.relays]

    @routes.get(
        "/api/v1/relays/{relay:path}/why",
        tags=["now"],
        summary="Why a relay stands as it does: limit, values with ages, alternatives",
    )
    def why(
        request: Request,
        relay: str,
        at: Annotated[str | None, Query(description="Then; as 2026-11-21T12:00Z")] = None,
        authorization: Authorization = "",
    ) -> dict[str, Any]:
        asker = who(authorization, _asked(request))
        try:
            return asdict(sight.why(relay, None if at is None else parse_time(at), asker))
        except NoSuchEntry as missing:
            raise HTTPException(404, str(missing)) from missing
        except ValueError as wrong:
            raise HTTPException(422, str(wrong)) from wrong

    return routes


def _asked(request: Request) -> str:
    """Return path and query as they were sent: that is what a member signs."""
    path = request.scope["raw_path"].decode("latin-1")
    query = request.scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path
