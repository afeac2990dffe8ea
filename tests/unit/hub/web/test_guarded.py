"""The web process listens on loopback only, and its answers carry the content policy."""

from __future__ import annotations

import asyncio
import socket

import pytest
from starlette.types import Message, Receive, Scope, Send

from hub.errors import ListenRefused
from hub.serving import bind_port
from hub.web.guarded import StrictHeaders, check_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_loopback_is_taken(host: str) -> None:
    check_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "10.0.0.1", "hub.example", ""])
def test_every_other_address_is_refused_with_the_way_out(host: str) -> None:
    with pytest.raises(ListenRefused, match=r"loopback only; .*ssh -L"):
        check_loopback(host)


def test_a_taken_port_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            ListenRefused, match=f"127.0.0.1:{port} .*another program has the port.*set it"
        ):
            bind_port("127.0.0.1", port, "set it elsewhere")


def test_every_answer_carries_the_policy() -> None:
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(StrictHeaders(app)({"type": "http"}, receive, send))

    headers = dict(sent[0]["headers"])
    assert headers[b"x"] == b"y"
    assert b"frame-ancestors 'none'" in headers[b"content-security-policy"]
    assert b"http" not in headers[b"content-security-policy"]
