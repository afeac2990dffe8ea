"""The replica over HTTP: a witness's paths, how it stands, and proposals of other replicas.

POST /add-checkpoint, GET /<hex SHA-256(origin)>/checkpoint     as a witness (C2SP tlog-witness)
GET  /            how it stands, for people;  GET /status  the same as JSON
POST /header      a block header that somebody proposes
GET  /blob/<name> ciphertext of a record, for whoever lost it
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from hub.replica import report
from hub.witness.server import BodyRefused, Receive, Send, WitnessServer, read_body
from hub.witness.service import Answer, Witness

JSON: Final = "application/json"
HEADER_PATH: Final = "/header"
BLOBS: Final = "/blob/"
Scope = MutableMapping[str, Any]

Facts = Callable[[], dict[str, Any]]
Show = Callable[[bytes], str]
Find = Callable[[str], bytes | None]


class ReplicaServer(WitnessServer):
    """An ASGI application over one replica.

    `show` takes a header and says why not; `find` gives a blob.
    """

    def __init__(self, witness: Witness, facts: Facts, show: Show, find: Find) -> None:
        super().__init__(witness)
        self._facts = facts
        self._show = show
        self._find = find

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope.get("path", "")
        if scope["type"] == "http" and scope["method"] == "GET" and path.startswith(BLOBS):
            await self._blob(path.removeprefix(BLOBS), send)
        else:
            await super().__call__(scope, receive, send)

    async def _blob(self, name: str, send: Send) -> None:
        found = await asyncio.to_thread(self._find, name)
        body, status = (b"no such blob is here\n", 404) if found is None else (found, 200)
        headers = [
            (b"content-type", b"application/octet-stream"),
            (b"content-length", str(len(body)).encode()),
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def answer(self, method: str, path: str, receive: Receive) -> Answer:
        """Return the answer to a request."""
        if path == "/status" and method in ("GET", "HEAD"):
            return Answer(200, json.dumps(self._facts()) + "\n", JSON)
        if path == HEADER_PATH and method == "POST":
            return await self._header(receive)
        return await super().answer(method, path, receive)

    def about(self) -> str:
        """Say how it stands."""
        return "\n".join(report.lines(self._facts())) + "\n"

    async def _header(self, receive: Receive) -> Answer:
        try:
            body = await read_body(receive)
        except BodyRefused as refused:
            return refused.answer
        reason = await asyncio.to_thread(self._show, body)
        return Answer(422, f"{reason}\n") if reason else Answer(200, "seen\n")
