"""One listening socket and the server behind it, with limits against slow and silent clients."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from contextlib import suppress
from typing import Any

from hypercorn.asyncio import serve as serve_with_hypercorn
from hypercorn.config import Config

from hub.errors import ListenRefused
from hub.vitals.heartbeat import ALIVE, READY, STOPPING, service_manager

READ_TIMEOUT_S = 5  # closes slow readers; a websocket stays alive by its own pings
GRACEFUL_S = 2
BEAT_S = 1.0


def bind_port(host: str, port: int, advice: str) -> socket.socket:
    """Return a bound socket, so that a taken port is one sentence before anything starts.

    Raises:
        ListenRefused: the address cannot be had; `advice` says how to choose another.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ListenRefused(
            f"cannot listen on {host}:{port} ({error.strerror or error}); if another program has "
            f"the port, stop it, or {advice}"
        ) from error
    return listener


def serve(app: Any, listener: socket.socket, logger: str) -> None:
    """Serve an ASGI application until SIGTERM or SIGINT; errors go to the named logger.

    Takes the listener over, and closes it.
    """
    asyncio.run(_serve(app, listener, logger))


async def _serve(app: Any, listener: socket.socket, logger: str) -> None:
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]  # closed by hypercorn, and only once
    config.read_timeout = READ_TIMEOUT_S
    config.accesslog = None
    config.errorlog = logging.getLogger(logger)
    config.graceful_timeout = GRACEFUL_S
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    beating = asyncio.create_task(_beat(stop))
    try:
        await serve_with_hypercorn(app, config, shutdown_trigger=stop.wait)
    finally:
        stop.set()
        await beating


async def _beat(stop: asyncio.Event) -> None:
    """Tell the service manager that this loop turns, from the loop itself, until it is to end."""
    tell = service_manager()
    tell(READY)
    while not stop.is_set():
        tell(ALIVE)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), BEAT_S)
    tell(STOPPING)
