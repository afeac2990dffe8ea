"""The web process: page, REST and metrics on loopback. It reads the ledger and writes nothing.

Wiring only. It verifies live samples and the ledger itself, and believes nothing that the hub says.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from pathlib import Path

from fastapi_offline import FastAPIOffline
from hypercorn.asyncio import serve
from hypercorn.config import Config as ServerConfig
from nicegui import ui
from starlette.staticfiles import StaticFiles

from hub.config import HubConfig
from hub.errors import WebRefused
from hub.web.api import build_routes
from hub.web.guarded import StrictHeaders, check_loopback
from hub.web.page import build_page
from hub.web.watch import Watch

STATIC = Path(__file__).parent / "static"
READ_TIMEOUT_S = 5  # closes slow readers; a websocket stays alive by its own pings


def run_web(config: HubConfig) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        WebRefused: the address is not loopback, or its port is taken.
    """
    check_loopback(config.web.host)
    listener = bind_port(config.web.host, config.web.port)
    watch = Watch(config)
    app = FastAPIOffline(
        title="gridtally",
        description="What the microgrid did, and the proofs. Reads only.",
        docs_url="/docs",
        redoc_url=None,
    )
    app.include_router(build_routes(watch.picture, watch.ledger))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    ui.run_with(
        app,
        root=lambda: build_page(watch.picture),
        title=f"gridtally · {config.microgrid}",
        dark=None,
        show_welcome_message=False,
    )
    watch.start()
    try:
        asyncio.run(_serve(StrictHeaders(app), listener))
    finally:
        watch.stop()


def bind_port(host: str, port: int) -> socket.socket:
    """Return a bound socket, so that a taken port is one sentence before anything starts."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise WebRefused(
            f"cannot listen on {host}:{port} ({error.strerror}); another program has the port: "
            "stop it, or set another `port` under [web] in hub.toml"
        ) from error
    return listener


async def _serve(app: StrictHeaders, listener: socket.socket) -> None:
    server = ServerConfig()
    server.bind = [f"fd://{listener.fileno()}"]
    server.read_timeout = READ_TIMEOUT_S
    server.accesslog = None
    server.errorlog = logging.getLogger("hub.web")
    server.graceful_timeout = 2
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(app, server, shutdown_trigger=stop.wait)  # type: ignore[arg-type]
