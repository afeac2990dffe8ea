"""Where replicas hand in block headers. This process only looks at them and spools.

POST /propose     one signed block header, 4096 bytes at most

What is signed by no replica that counts, or is for no block that is due, is refused at once, so
that nobody else fills the inbox. The hub judges the rest.
"""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import PlainTextResponse
from starlette.concurrency import run_in_threadpool

from hub.core.state import State
from hub.inbox import Inbox
from hub.web.reader import LedgerReader
from messages import cose
from messages.entries import BlockHeader, network_aad, parse_as
from messages.errors import MessageError
from messages.publickey import parse_cose_key

HEADER_BYTES_MAX: Final = 4_096
WAITING_MAX: Final = 50


def build_propose_routes(ledger: LedgerReader, inbox: Inbox) -> APIRouter:
    """Return the route on which replicas propose."""
    routes = APIRouter(tags=["log"])

    @routes.post("/propose", summary="Hand in a block header", response_class=PlainTextResponse)
    async def propose(request: Request) -> str:
        raw = await _body(request)
        await run_in_threadpool(_spool, ledger, inbox, raw)
        return "taken\n"

    return routes


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > HEADER_BYTES_MAX:
            raise HTTPException(413, f"a block header has at most {HEADER_BYTES_MAX} bytes")
    return bytes(body)


def _spool(ledger: LedgerReader, inbox: Inbox, raw: bytes) -> None:
    with ledger.lock:
        status, reason = objection(ledger.state, raw)
    if reason:
        raise HTTPException(status, reason)
    if inbox.holds(raw):
        return
    if len(inbox.waiting()) >= WAITING_MAX:
        raise HTTPException(503, "the hub takes nothing now: hand it in again later")
    inbox.put(raw)


def objection(state: State, raw: bytes) -> tuple[int, str]:
    """Say why a header is not handed on, with an HTTP status; "" if it may be appended."""
    network = state.network
    try:
        envelope = cose.parse(raw)
        header = parse_as(BlockHeader, envelope)
        key = state.keys.get(envelope.kid)
        if network is None or key is None or key.holder != "replica" or not key.is_current:
            return 403, f"no replica that counts has the key {envelope.kid.hex()}"
        cose.verify(envelope, parse_cose_key(key.cose_key), network_aad(network.network_id))
    except MessageError as error:
        return 400, str(error)
    height = state.progress.header_height + 1
    if header.height != height or header.end_index not in state.dues:
        return 409, f"block {header.height} is not due: the next one is {height}"
    return 200, ""
