"""The witness over HTTP (C2SP tlog-witness v1.0.0): two paths, and little patience.

POST /add-checkpoint
GET  /<hex SHA-256(origin)>/checkpoint
GET  /                                    who this is, for people
"""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from hub.errors import StorageFull
from hub.serving import bind_port, serve
from hub.witness.home import Home, open_home
from hub.witness.judge import BODY_BYTES_MAX
from hub.witness.service import Answer, Witness
from messages.log.note import format_vkey

BODY_WITHIN_S = 10.0
BUSY = 503
NEWEST = re.compile("/([0-9a-f]{64})/checkpoint")
PATHS = ("/", "/add-checkpoint")
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

log = logging.getLogger("hub.witness")


class BodyRefused(Exception):
    """A body that is too long, too slow, or ended before its end; the answer says which."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body)
        self.answer = answer


class WitnessServer:
    """An ASGI application over one witness."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            answer = await self.answer(scope["method"], scope["path"], receive)
            await _send(send, answer, with_body=scope["method"] != "HEAD")
        # A websocket is not accepted: the server closes it.

    async def answer(self, method: str, path: str, receive: Receive) -> Answer:
        """Return the answer to a request."""
        newest = NEWEST.fullmatch(path)
        if newest is None and path not in PATHS:
            return Answer(404, "nothing is here: see /\n")
        if method not in (("POST",) if path == "/add-checkpoint" else ("GET", "HEAD")):
            return Answer(405, f"{path} is not asked with {method}\n")
        try:
            if newest is not None:
                return await asyncio.to_thread(self._witness.newest, newest[1])
            if path == "/":
                return Answer(200, self.about())
            return await asyncio.to_thread(self._witness.add, await read_body(receive))
        except BodyRefused as refused:
            return refused.answer
        except (StorageFull, sqlite3.Error) as error:
            log.error("nothing was cosigned: %s", error)
            return Answer(BUSY, "the witness cannot store: nothing was cosigned; ask again later\n")

    def about(self) -> str:
        """Say who this is."""
        logs = "".join(f"watches {key.name}\n" for key in self._witness.logs)
        return f"C2SP tlog-witness v1.0.0\nwitness {format_vkey(self._witness.key)}\n{logs}"


async def read_body(receive: Receive) -> bytes:
    """Return a request's body; BodyRefused if it is too long or too slow."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise BodyRefused(Answer(400, "the request ended before its body\n"))
                body += message.get("body", b"")
                if len(body) > BODY_BYTES_MAX:
                    raise BodyRefused(Answer(413, f"a body has at most {BODY_BYTES_MAX} bytes\n"))
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise BodyRefused(Answer(408, "the body took too long\n")) from None


async def _send(send: Send, answer: Answer, *, with_body: bool) -> None:
    body = answer.body.encode()
    headers = [
        (b"content-type", answer.kind.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    if answer.status == BUSY:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body if with_body else b""})


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def run_witness(folder: Path, host: str, port: int, utc_s: Callable[[], int]) -> None:
    """Serve the witness of a folder until SIGTERM or SIGINT.

    Raises:
        WitnessRefused, KeyFault: it may not cosign with what is there.
        ListenRefused: the address cannot be had.
    """
    home = open_home(folder)
    try:
        witness = witness_of(home, utc_s)
        with bind_port(host, port, "choose another with --listen") as listener:
            log.info("witness %s listens on %s:%d", home.key.name, *listener.getsockname()[:2])
            serve(WitnessServer(witness), listener, "hub.witness")
    finally:
        home.memory.close()


def witness_of(home: Home, utc_s: Callable[[], int]) -> Witness:
    """Return the witness of an open folder."""
    return Witness(home.key, home.signer, home.logs, home.memory, home.evidence, utc_s)
