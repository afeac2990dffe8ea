"""REST under /api/v1: the same picture as the page, and the ledger's own texts. Reads only."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, HTTPException, Path, Query, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from hub.core.disclosing import NOBODY, Asker
from hub.errors import NoSuchEntry
from hub.web.metrics import metrics_text
from hub.web.reader import LedgerReader
from hub.web.tlog import Authorization, EntryDoor
from hub.web.view import Picture, SlotView
from hub.web.visitors import Who

Index = Annotated[int, Path(ge=0, lt=2**63)]


def anybody(_authorization: str, _path: str) -> Asker:
    """Take everybody for nobody in particular."""
    return NOBODY


class Sight(Protocol):
    """What may be seen, by who asks."""

    def picture(self, asker: Asker = NOBODY) -> Picture:
        """Return the microgrid now."""

    def slots(self, limit: int, asker: Asker = NOBODY) -> tuple[SlotView, ...]:
        """Return the newest closed slots, newest first."""


def build_routes(
    sight: Sight, ledger: LedgerReader, door: EntryDoor, who: Who = anybody
) -> APIRouter:
    """Return every route of /api/v1, /metrics and /healthz; `who` says who asks for a view."""
    routes = APIRouter()
    _picture_routes(routes, sight, who)
    _slot_routes(routes, sight, who)
    _proof_routes(routes, ledger, door)
    _machine_routes(routes, sight)
    return routes


def _picture_routes(routes: APIRouter, sight: Sight, who: Who) -> None:
    def seen(authorization: str, name: str) -> Picture:
        return sight.picture(who(authorization, f"/api/v1/{name}"))

    @routes.get("/api/v1/picture", tags=["now"], summary="The whole microgrid now")
    def picture(authorization: Authorization = "") -> dict[str, Any]:
        return asdict(seen(authorization, "picture"))

    @routes.get("/api/v1/members", tags=["now"], summary="Members with meters and relays")
    def members(authorization: Authorization = "") -> list[dict[str, Any]]:
        return [asdict(member) for member in seen(authorization, "members").members]

    @routes.get("/api/v1/meters", tags=["now"], summary="Newest signed sample of each meter")
    def meters(authorization: Authorization = "") -> list[dict[str, Any]]:
        found = seen(authorization, "meters").members
        return [asdict(meter) for member in found for meter in member.meters]

    @routes.get("/api/v1/facts", tags=["now"], summary="Facts from outside, age and fallback")
    def facts() -> list[dict[str, Any]]:
        return [asdict(fact) for fact in sight.picture().facts]

    @routes.get("/api/v1/suspects", tags=["now"], summary="Meters that do not fit the others")
    def suspects(authorization: Authorization = "") -> list[dict[str, Any]]:
        found = seen(authorization, "suspects").suspects
        return [{**each._asdict(), "text": each.text} for each in found]

    @routes.get("/api/v1/ledger", tags=["ledger"], summary="Ledger head and what we verified")
    def head() -> dict[str, Any]:
        return asdict(sight.picture().ledger)


def _slot_routes(routes: APIRouter, sight: Sight, who: Who) -> None:
    @routes.get("/api/v1/slots", tags=["market"], summary="Closed slots, newest first")
    def slots(
        limit: Annotated[int, Query(ge=1, le=1000)] = 24, authorization: Authorization = ""
    ) -> list[dict[str, Any]]:
        asker = who(authorization, f"/api/v1/slots?limit={limit}")
        return [asdict(slot) for slot in sight.slots(limit, asker)]


def _proof_routes(routes: APIRouter, ledger: LedgerReader, door: EntryDoor) -> None:
    @routes.get(
        "/api/v1/ledger/checkpoint",
        tags=["ledger"],
        summary="Newest signed checkpoint",
        response_class=PlainTextResponse,
    )
    def checkpoint() -> str:
        try:
            return ledger.checkpoint()
        except NoSuchEntry as missing:
            raise HTTPException(404, str(missing)) from missing

    @routes.get(
        "/api/v1/ledger/entries/{index}",
        tags=["ledger"],
        summary="The exact bytes of one entry",
        response_class=Response,
    )
    def entry(index: Index, authorization: Authorization = "") -> Response:
        door.require(authorization)
        try:
            return Response(ledger.entry(index), media_type="application/cose")
        except NoSuchEntry as missing:
            raise HTTPException(404, str(missing)) from missing

    @routes.get(
        "/api/v1/ledger/proofs/{index}",
        tags=["ledger"],
        summary="Inclusion proof of one entry as .tlog-proof",
        response_class=PlainTextResponse,
    )
    def proof(index: Index) -> str:
        try:
            return ledger.proof(index)
        except NoSuchEntry as missing:
            raise HTTPException(404, str(missing)) from missing


def _machine_routes(routes: APIRouter, sight: Sight) -> None:
    @routes.get("/metrics", tags=["machines"], summary="Prometheus metrics")
    def metrics() -> Response:
        return Response(metrics_text(sight.picture()), media_type="text/plain; version=0.0.4")

    @routes.get("/healthz", tags=["machines"], summary="200 when all is well, else 503 and why")
    def healthz() -> JSONResponse:
        picture = sight.picture()
        wrong = [*picture.alarms]
        if picture.ledger.finding:
            wrong.append(picture.ledger.finding)
        return JSONResponse({"ok": not wrong, "wrong": wrong}, 503 if wrong else 200)
