"""The replica over HTTP: a witness's paths, how it stands, and proposals of other replicas.

POST /add-checkpoint, GET /<hex SHA-256(origin)>/checkpoint     as a witness (C2SP tlog-witness)
GET  /            how it stands, for people;  GET /status  the same as JSON
POST /header      a block header that somebody proposes
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

from hub.replica import report
from hub.witness.server import BodyRefused, Receive, WitnessServer, read_body
from hub.witness.service import Answer, Witness

JSON: Final = "application/json"
HEADER_PATH: Final = "/header"

Facts = Callable[[], dict[str, Any]]
Show = Callable[[bytes], str]


class ReplicaServer(WitnessServer):
    """An ASGI application over one replica. `show` takes a header, and says why not."""

    def __init__(self, witness: Witness, facts: Facts, show: Show) -> None:
        super().__init__(witness)
        self._facts = facts
        self._show = show

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
