"""Signed calls from a member's own machine: for records, readings, the market. No key is here.

GET  /api/v1/clock                the slot that closes next: what requests are timed by
POST /api/v1/requests             one signed call, 4096 bytes at most: looked at, and spooled
GET  /api/v1/requests/<call id>   what became of it; for who signed it
GET  /api/v1/answers/<call id>    the answer: deterministic CBOR of [answer, entry, ciphertext]; for
                                  who signed the call. `entry` put the record; both are empty for
                                  readings. What it says, only the key in the call opens.

The hub's fold decides, and appends every request that is in order, served or refused.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path as FilePath
from threading import Lock
from typing import Annotated, Any, Final

from fastapi import APIRouter, HTTPException, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from hub.core.calls import BUILT_IN
from hub.core.state import State
from hub.errors import RecordUnavailable
from hub.inbox import Inbox
from hub.link.buckets import Buckets
from hub.vault.answers import Answers
from hub.vault.stores import Stores, blob_of
from hub.web.reader import LedgerReader
from hub.web.tlog import Authorization
from hub.web.visitors import Visitors
from messages import cbor, cose
from messages.banking import CONTRACT as BANKING
from messages.disputes import CONTRACT as DISPUTES
from messages.entries import Call, network_aad, parse_as
from messages.errors import MessageError
from messages.publickey import parse_cose_key

CALL_BYTES_MAX: Final = 4_096
WAITING_MAX: Final = 50
CALLS_AT_ONCE: Final = 20
CALL_EVERY_MS: Final = 3_000
"""Each call stays on the ledger for ever, so a member makes one in so long after the first ones."""
REMEMBERED_MAX: Final = 1_000
CallId = Annotated[str, Path(pattern=r"^[0-9a-f]{16,64}$")]


@dataclass(frozen=True, slots=True)
class Counter:
    """Where requests are handed in and answers lie."""

    ledger: LedgerReader
    visitors: Visitors
    inbox: Inbox
    answers: Answers
    stores: Stores


def build_request_routes(counter: Counter) -> APIRouter:
    """Return the routes for requests."""
    routes = APIRouter(tags=["requests"])
    spooled = Spooled(counter)
    _request_routes(routes, counter, spooled)

    @routes.get("/api/v1/answers/{call_id}", summary="An answer", response_class=Response)
    def answer(call_id: CallId, authorization: Authorization = "") -> Response:
        asker = counter.visitors.member(authorization, f"/api/v1/answers/{call_id}")
        return _answer(counter, asker.name, bytes.fromhex(call_id))

    return routes


def _request_routes(routes: APIRouter, counter: Counter, spooled: Spooled) -> None:
    @routes.get("/api/v1/clock", summary="What requests are timed by")
    def clock() -> dict[str, int]:
        with counter.ledger.lock:
            state = counter.ledger.state
            next_ms = state.progress.next_slot_ms
            if next_ms is None:
                raise HTTPException(503, "no slot has closed yet, and requests are timed by slots")
            return {"next_slot_ms": next_ms, "slot_ms": state.slot_ms}

    @routes.post("/api/v1/requests", summary="Hand in a signed call", status_code=202)
    async def hand_in(request: Request) -> dict[str, str]:
        raw = bytearray()
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > CALL_BYTES_MAX:
                raise HTTPException(413, f"a request has at most {CALL_BYTES_MAX} bytes")
        return {"call_id": await run_in_threadpool(spooled.take, bytes(raw))}

    @routes.get("/api/v1/requests/{call_id}", summary="What became of a request")
    def became(call_id: CallId, authorization: Authorization = "") -> dict[str, Any]:
        asker = counter.visitors.member(authorization, f"/api/v1/requests/{call_id}")
        return spooled.outcome(asker.name, bytes.fromhex(call_id))


class Spooled:
    """Owns what was handed in and where it waits, as far back as it is remembered."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._waiting: OrderedDict[bytes, tuple[str, FilePath]] = OrderedDict()
        self._lock = Lock()
        self._buckets = Buckets(CALLS_AT_ONCE, CALL_EVERY_MS)

    def take(self, raw: bytes) -> str:
        """Look at a signed call and spool it; return its call id.

        Raises:
            HTTPException: it is none of a member's that counts, he makes too many, or the inbox is
                full.
        """
        with self._counter.ledger.lock:
            state = self._counter.ledger.state
            status, found, member = judged(state, raw)
            counted = isinstance(found, Call) and found.call_id in state.calls
        if not isinstance(found, Call):
            raise HTTPException(status, found)
        if not counted:  # who hands in somebody's old request spends nothing of his
            with self._lock:
                self._spool(raw, found, member)
        return found.call_id.hex()

    def _spool(self, raw: bytes, call: Call, member: str) -> None:
        inbox = self._counter.inbox
        if inbox.holds(raw):
            return
        if len(inbox.waiting()) >= WAITING_MAX:
            raise HTTPException(503, "the hub takes nothing now: hand it in again later")
        if not self._buckets.take(member, time.time_ns() // 1_000_000):
            raise HTTPException(429, f"{member} makes too many requests: hand it in again later")
        self._waiting[call.call_id] = member, inbox.put(raw)
        while len(self._waiting) > REMEMBERED_MAX:
            self._waiting.popitem(last=False)

    def outcome(self, member: str, call_id: bytes) -> dict[str, Any]:
        """Return what became of a member's call: waiting, refused, failed or served; and why."""
        served = self._counter.ledger.call_outcome(call_id)
        if served is not None and served.member == member:
            state = "failed" if served.reason else "served"
            answer = {
                name: value.hex() if isinstance(value, bytes) else value
                for name, value in served.answer.items()
            }
            return {"state": state, "reason": served.reason, "answer": answer}
        owner, path = self._waiting.get(call_id, ("", None))
        if path is None or owner != member:
            raise HTTPException(404, "no request of yours has this id")
        reason = self._counter.inbox.outcome(path)
        # Taken, and not read back from the ledger yet, is waiting, too.
        return {"state": "refused" if reason else "waiting", "reason": reason or ""}


def judged(state: State, raw: bytes) -> tuple[int, Call | str, str]:
    """Return a status, the call or why it is not handed on, and whose it is."""
    network = state.network
    try:
        envelope = cose.parse(raw, limit=CALL_BYTES_MAX)
        call = parse_as(Call, envelope)
        key = state.keys.get(envelope.kid)
        if network is None or key is None or key.holder != "member" or not key.is_current:
            return 403, f"no member that counts has the key {envelope.kid.hex()}", ""
        cose.verify(envelope, parse_cose_key(key.cose_key), network_aad(network.network_id))
    except MessageError as error:
        return 400, str(error), ""
    next_ms = state.progress.next_slot_ms or 0
    if call.not_after_slot_ms < next_ms:
        return 400, f"too late: not after {call.not_after_slot_ms}, now {next_ms}", ""
    known = {*BUILT_IN, BANKING, DISPUTES}
    known |= {policy.contract for policy in state.policies.values()}
    if call.contract not in known:
        return (
            400,
            f"no contract {call.contract!r} is known; there are {', '.join(sorted(known))}",
            "",
        )
    return 202, call, key.name


def _answer(counter: Counter, member: str, call_id: bytes) -> Response:
    with counter.ledger.lock:
        access = counter.ledger.state.accesses.get(call_id)
        record = None if access is None else counter.ledger.state.records.get(access.record)
    if access is None or access.member != member:
        raise HTTPException(404, "no request of yours has this id, or it is too old")
    answer = counter.answers.look(call_id)
    if answer is None:
        raise HTTPException(425, "the request is on the ledger and not final yet: ask again later")
    if not answer:
        raise HTTPException(410, "the hub has nothing to give for this request any more")
    entry, ciphertext = b"", b""
    if record is not None:
        entry = counter.ledger.entry_with(access.record)
        try:
            ciphertext = counter.stores.get(blob_of(record.locators))
        except RecordUnavailable as error:
            raise HTTPException(503, str(error)) from None
    body = cbor.encode([answer, entry, ciphertext])
    headers = {"Cache-Control": "no-store"}
    return Response(body, media_type="application/cbor", headers=headers)
