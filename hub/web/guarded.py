"""What reaches the page, what every answer carries, and which addresses it may listen on."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final

from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.errors import ListenRefused

# NiceGUI needs inline script and style and 'unsafe-eval'; the rest stays strict.
CONTENT_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'; "
    "object-src 'none'"
)
HEADERS = (
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


PAGE: Final = "/"
PAGE_PARTS: Final = "/_nicegui"
"""Where NiceGUI serves the page's own parts and its socket."""


class KnownPaths:
    """Says 404 and 405 by itself: NiceGUI answers any path and any method with the page.

    So a mirror that asks for a tile at a wrong path is not told 200 with something else.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        """Take the whole application, and the routes that it has besides the page."""
        self._app = app
        self._routes = tuple(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it; HEAD is GET, and the server leaves the body out."""
        if scope["type"] == "http":
            if scope["method"] == "HEAD":
                scope = {**scope, "method": "GET"}
            status = self._status(scope)
            if status != HTTPStatus.OK:
                answer = JSONResponse({"detail": status.phrase}, status)
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _status(self, scope: Scope) -> HTTPStatus:
        found = [route.matches(scope)[0] for route in self._routes]
        if Match.FULL in found or scope["path"].startswith(PAGE_PARTS):
            return HTTPStatus.OK
        if scope["path"] == PAGE:
            is_read = scope["method"] == "GET"
            return HTTPStatus.OK if is_read else HTTPStatus.METHOD_NOT_ALLOWED
        return HTTPStatus.METHOD_NOT_ALLOWED if Match.PARTIAL in found else HTTPStatus.NOT_FOUND


class StrictHeaders:
    """Adds the content policy to every HTTP answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with our headers on its answer."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def check_loopback(host: str) -> None:
    """Refuse any address but loopback.

    Raises:
        ListenRefused: for every other address; the page has no accounts yet, so whoever reaches it
            sees everybody's energy.
    """
    if host == "localhost":
        return
    try:
        loopback = ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ListenRefused(
            f"[web] host = {host!r}: the page has no accounts yet, so it listens on loopback only; "
            "use 127.0.0.1 and reach it from another machine with `ssh -L 8088:127.0.0.1:8088`"
        )
