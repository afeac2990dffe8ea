"""What every answer of the web process carries, and which addresses it may listen on."""

from __future__ import annotations

from ipaddress import ip_address

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


class StrictHeaders:
    """Adds the content policy to every HTTP answer and refuses what is not a read."""

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
