"""The page of the fault switchboard: there only in a simulation whose demo has one.

GET  /faults          the page
GET  /api/v1/faults   every fault, what is on, and what this process sees of it by itself
POST /api/v1/faults   {"switch": NAME, "target": TARGET, "on": true}, or {"all_off": true}

Who may send a POST: this page itself. Nobody has an account here, so another site that is open in
the same browser is told apart by its Origin, and by the name under which it reached this machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from html import escape
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool

from hub.errors import BoardAway
from hub.web.board import ANSWER_S, ask
from hub.web.view import MeterView, Picture, power_text

BODY_BYTES_MAX: Final = 1_000
LOOK_S: Final = 5.0
WEB: Final = "web"
HTML: Final = Path(__file__).parent / "static" / "faults.html"


def build_fault_routes(board: Path, microgrid: str, picture: Callable[[], Picture]) -> APIRouter:
    """Return the routes of the page over a switchboard at this socket."""
    routes = APIRouter(tags=["faults"])
    page = HTML.read_text("utf-8").replace("{microgrid}", escape(microgrid))

    @routes.get("/faults", summary="The switchboard", response_class=HTMLResponse)
    def faults() -> str:
        return page

    @routes.get("/api/v1/faults", summary="Faults to play, and what is noticed of them")
    def look() -> dict[str, Any]:
        noticed = [{"kind": kind, "text": text} for kind, text in what_is_noticed(picture())]
        return {**_without_this(_answer(board, {"look": True}, LOOK_S)), "noticed": noticed}

    @routes.post("/api/v1/faults", summary="Switch a fault on or off")
    async def switch(request: Request) -> dict[str, Any]:
        require_own_page(request)
        asked = _parse(await _body(request))
        return await run_in_threadpool(_answer, board, asked)

    return routes


def require_own_page(request: Request) -> None:
    """Refuse a request that another site makes in somebody's browser.

    Raises:
        HTTPException: 403, it is not from this page; 415, it is no JSON, as forms cannot send.
    """
    host = request.headers.get("host", "")
    if request.headers.get("origin") != f"http://{host}" or not _is_loopback(host):
        raise HTTPException(403, "faults are switched from this page itself, or from a terminal")
    if request.headers.get("content-type") != "application/json":
        raise HTTPException(415, "wanted application/json")


def _is_loopback(host: str) -> bool:
    """Whether a Host header names this machine; another name may lead here by a foreign DNS."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise HTTPException(413, f"a switch has at most {BODY_BYTES_MAX} bytes")
    return bytes(body)


def _parse(body: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(body)
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise HTTPException(400, "wanted a JSON object")
    return asked


def _answer(board: Path, request: dict[str, Any], within_s: float = ANSWER_S) -> dict[str, Any]:
    try:
        answer = ask(board, request, within_s)
    except BoardAway as error:
        raise HTTPException(503, str(error)) from None
    if "error" in answer:
        raise HTTPException(409, answer["error"])
    return answer


def _without_this(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the board without switches that would end the page itself, with no way back."""
    shown = []
    for fault in answer.get("faults", ()):
        ends_page = fault.get("kind") == "program"
        targets = [name for name in fault["targets"] if not (ends_page and name == WEB)]
        shown.append({**fault, "targets": targets})
    return {**answer, "faults": shown}


def what_is_noticed(picture: Picture) -> Iterator[tuple[str, str]]:
    """Yield what the system says of itself now, as (alarm, doubt or fact; a sentence). Pure."""
    for text in picture.alarms:
        yield "alarm", text
    if picture.ledger.finding:
        yield "alarm", f"ledger NOT VERIFIED: {picture.ledger.finding}"
    meters = [meter for member in picture.members for meter in member.meters]
    meters += [picture.boundary] if picture.boundary is not None else []
    yield from _of_meters(meters)
    for reason, count in sorted(picture.refused.items()):
        yield "doubt", f"refused messages, {reason}: {count}"
    for member in picture.members:
        for relay in member.relays:
            if relay.fed is False:
                yield "fact", f"{relay.relay} keeps {relay.load} cut: {relay.reason or 'no lease'}"
    if picture.unaccounted_mw is not None:
        yield "fact", f"unaccounted, all meters together: {power_text(picture.unaccounted_mw)}"


def _of_meters(meters: list[MeterView]) -> Iterator[tuple[str, str]]:
    for badge, kind in (("silent", "alarm"), ("late", "doubt")):
        nodes = dict.fromkeys(meter.node for meter in meters if meter.badge == badge)
        for node in nodes:
            of_node = [meter for meter in meters if meter.node == node]
            found = [meter.meter_id for meter in of_node if meter.badge == badge]
            named = f"all {len(found)} meters" if len(found) == len(of_node) else ", ".join(found)
            yield kind, f"node {node}: {named} {badge}"
    for meter in meters:
        if meter.quality and meter.badge != "silent":
            yield "doubt", f"meter {meter.meter_id} says of its value: {meter.quality}"
        elif meter.power_mw is None and meter.badge == "signed":
            yield "doubt", f"meter {meter.meter_id} has no value"
