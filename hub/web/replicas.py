"""What replicas need besides the log: snapshots to begin from, and what opens sealed readings.

GET /snapshot                 which there are: a size and a state root a line, newest first
GET /snapshot/<size>          the state after so many entries; what it is worth, its header says
GET /blob/<sha-256>           ciphertext of a private record
GET /opening/<bundle>         preimages of 256 entries, for a replica that is enrolled

Snapshots and ciphertext are for whoever may read entries. Preimages are for replicas alone, each
request signed: a replica that is revoked reads nothing from that entry on.
"""

from __future__ import annotations

import base64
import time
from typing import Annotated, Final

from fastapi import APIRouter, Header, HTTPException, Path, Response
from fastapi.responses import PlainTextResponse

from hub.core.state import State
from hub.errors import NoSuchEntry, RecordUnavailable
from hub.ledger.records import Snapshot
from hub.vault.stores import Stores, names_of
from hub.web.reader import LedgerReader
from hub.web.tlog import BINARY, NOT_AT_ALL, Authorization, EntryDoor
from messages import cose
from messages.entries import network_aad, parse_as
from messages.log.tiles import WIDTH
from messages.opening import FRESH_MS, Opening, format_preimages
from messages.publickey import parse_cose_key

REPLICA: Final = "replica"
Request = Annotated[str, Header(alias="Gridtally-Request")]
Size = Annotated[int, Path(ge=0, lt=2**63)]


def build_replica_routes(ledger: LedgerReader, door: EntryDoor, stores: Stores) -> APIRouter:
    """Return the routes that only replicas ask. `stores`: where ciphertext of records lies."""
    routes = APIRouter(tags=["replicas"])
    _snapshot_routes(routes, ledger, door)
    _blob_routes(routes, ledger, stores, door)
    _opening_routes(routes, ledger)
    return routes


def _snapshot_routes(routes: APIRouter, ledger: LedgerReader, door: EntryDoor) -> None:
    @routes.get("/snapshot", summary="Snapshots to begin from", response_class=PlainTextResponse)
    def snapshots(authorization: Authorization = "") -> Response:
        door.require(authorization)
        lines = [f"{kept.size} {kept.root.hex()}\n" for kept in _snapshots(ledger)]
        return PlainTextResponse("".join(lines), headers={"Cache-Control": NOT_AT_ALL})

    @routes.get("/snapshot/{size}", summary="One snapshot", response_class=Response)
    def snapshot(size: Size, authorization: Authorization = "") -> Response:
        door.require(authorization)
        body = next((kept.body for kept in _snapshots(ledger) if kept.size == size), None)
        if body is None:
            raise HTTPException(404, f"no snapshot after {size} entries is kept: see /snapshot")
        return Response(body, media_type=BINARY, headers={"Cache-Control": NOT_AT_ALL})


def _blob_routes(routes: APIRouter, ledger: LedgerReader, stores: Stores, door: EntryDoor) -> None:
    @routes.get("/blob/{name}", summary="Ciphertext of a record", response_class=Response)
    def blob(name: str, authorization: Authorization = "") -> Response:
        door.require(authorization)
        with ledger.lock:
            kept, _ = names_of(ledger.state)
        if name not in kept:  # stores may be far away: they are not asked for just any name
            raise HTTPException(404, "no record has its ciphertext under this name")
        try:
            found = stores.get(name)
        except RecordUnavailable as error:
            raise HTTPException(404, str(error), {"Cache-Control": NOT_AT_ALL}) from None
        return Response(found, media_type=BINARY, headers={"Cache-Control": NOT_AT_ALL})


def _opening_routes(routes: APIRouter, ledger: LedgerReader) -> None:
    @routes.get("/opening/{bundle}", summary="What opens sealed readings", response_class=Response)
    def opening(bundle: Size, request: Request = "") -> Response:
        with ledger.lock:
            reason = objection(ledger.state, request, bundle, time.time_ns() // 1_000_000)
        if reason:
            raise HTTPException(403, reason)
        found = ledger.preimages(bundle * WIDTH, (bundle + 1) * WIDTH)
        headers = {"Cache-Control": "no-store"}
        return Response(format_preimages(found), media_type=BINARY, headers=headers)


def _snapshots(ledger: LedgerReader) -> list[Snapshot]:
    try:
        return ledger.snapshots()
    except NoSuchEntry as missing:
        raise HTTPException(404, str(missing)) from missing


def objection(state: State, request: str, bundle: int, now_ms: int) -> str:
    """Say why a request is not answered; "" if it is."""
    network = state.network
    try:
        envelope = cose.parse(base64.b64decode(request, validate=True))
        asked = parse_as(Opening, envelope)
        key = state.keys.get(envelope.kid)
        if network is None or key is None or key.holder != REPLICA or not key.is_current:
            return "what opens sealed readings is for replicas that are enrolled"
        cose.verify(envelope, parse_cose_key(key.cose_key), network_aad(network.network_id))
    except ValueError as error:
        return f"a replica signs what it asks for: {error}"
    if asked.bundle != bundle:
        return f"the request is for bundle {asked.bundle}"
    if abs(now_ms - asked.at_ms) > FRESH_MS:
        return "the request is not of now: compare the clocks"
    return ""
