"""The log over HTTP as C2SP tlog-tiles has it: any monitor, mirror or verifier reads it here.

/checkpoint                       the newest one that the policy calls final, with cosignatures
/policy                           whose cosignatures make a checkpoint final (C2SP tlog-policy)
/tile/<level>/<n>[.p/<width>]     hashes
/tile/entries/<n>[.p/<width>]     entries: for whoever may read them
/proof/<index>.tlog-proof         one entry's inclusion proof (C2SP tlog-proof)

A tile never changes, so caches may keep it for ever; a checkpoint is to be asked for each time.
"""

from __future__ import annotations

import gzip
import hmac
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Path, Response
from fastapi.responses import PlainTextResponse

from hub.errors import NoSuchEntry
from hub.web.reader import LedgerReader
from messages.errors import MalformedMessage
from messages.log.tiles import Tile, parse_tile_path

FOR_EVER = "public, max-age=31536000, immutable"
FOR_EVER_PRIVATE = "private, max-age=31536000, immutable"
NOT_AT_ALL = "no-cache"
BINARY = "application/octet-stream"
BEARER = "Bearer "
Authorization = Annotated[str, Header()]
AcceptEncoding = Annotated[str, Header()]


class EntryDoor:
    """Who may read entries: anybody, or whoever shows the token.

    Entries name everybody. So without a token nobody reads them where the disclosure in force hides
    anything: `is_disclosed` says whether it does not.
    """

    def __init__(self, token: str | None, is_disclosed: Callable[[], bool] = lambda: True) -> None:
        self._token = token
        self._is_disclosed = is_disclosed

    @property
    def is_open(self) -> bool:
        """Whether anybody may."""
        return self._token is None and self._is_disclosed()

    def require(self, authorization: str) -> None:
        """Let in who may; HTTPException 401 or 403 keeps out everybody else."""
        if self.is_open:
            return
        if self._token is None:
            raise HTTPException(
                403,
                "entries name members, and the disclosure in force hides them: set "
                "`entries_token_file` under [web] for those who may read them",
            )
        shown = authorization.removeprefix(BEARER) if authorization.startswith(BEARER) else ""
        if not hmac.compare_digest(shown.encode(), self._token.encode()):
            raise HTTPException(
                401,
                "entries are for members and replicas: show the token of this hub",
                {"WWW-Authenticate": "Bearer"},
            )


def build_log_routes(ledger: LedgerReader, door: EntryDoor) -> APIRouter:
    """Return the routes of tlog-tiles, with policy and proofs beside them."""
    routes = APIRouter(tags=["log"])
    _text_routes(routes, ledger)
    _tile_routes(routes, ledger, door)
    return routes


def _text_routes(routes: APIRouter, ledger: LedgerReader) -> None:
    @routes.get(
        "/checkpoint",
        summary="Newest final checkpoint, with cosignatures",
        response_class=PlainTextResponse,
    )
    def checkpoint() -> Response:
        return _text(ledger.published)

    @routes.get(
        "/policy",
        summary="Whose cosignatures make a checkpoint final",
        response_class=PlainTextResponse,
    )
    def policy() -> Response:
        return _text(lambda: ledger.policy)

    @routes.get(
        "/proof/{index}.tlog-proof",
        summary="Inclusion proof of one entry",
        response_class=PlainTextResponse,
    )
    def proof(index: Annotated[int, Path(ge=0, lt=2**63)]) -> Response:
        return _text(lambda: ledger.proof(index))


def _tile_routes(routes: APIRouter, ledger: LedgerReader, door: EntryDoor) -> None:
    @routes.get(
        "/tile/{path:path}", summary="Hashes, or entries, as tiles", response_class=Response
    )
    def tile(
        path: str, authorization: Authorization = "", accept_encoding: AcceptEncoding = ""
    ) -> Response:
        try:
            named = parse_tile_path(f"tile/{path}")
        except MalformedMessage as error:
            raise HTTPException(404, str(error)) from error
        if named.level >= 0:
            return _tile(ledger, named, FOR_EVER)
        door.require(authorization)
        kept = FOR_EVER if door.is_open else FOR_EVER_PRIVATE
        return _compressed(_tile(ledger, named, kept), accept_encoding)


def _text(read: Callable[[], str]) -> Response:
    try:
        return PlainTextResponse(read(), headers={"Cache-Control": NOT_AT_ALL})
    except NoSuchEntry as missing:
        raise HTTPException(404, str(missing), {"Cache-Control": NOT_AT_ALL}) from missing


def _tile(ledger: LedgerReader, tile: Tile, kept: str) -> Response:
    try:
        body = ledger.tile(tile)
    except NoSuchEntry as missing:
        raise HTTPException(404, str(missing), {"Cache-Control": NOT_AT_ALL}) from missing
    return Response(body, media_type=BINARY, headers={"Cache-Control": kept})


def _compressed(answer: Response, accept_encoding: str) -> Response:
    """Entry bundles shrink; hashes do not."""
    answer.headers["Vary"] = "Accept-Encoding"
    wanted = [word.partition(";")[0].strip() for word in accept_encoding.split(",")]
    if "gzip" not in wanted:
        return answer
    body = gzip.compress(bytes(answer.body), 6, mtime=0)
    headers = {name: answer.headers[name] for name in ("Cache-Control", "Vary")}
    return Response(body, media_type=BINARY, headers=headers | {"Content-Encoding": "gzip"})
