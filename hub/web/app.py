"""The web process: page, REST and metrics on loopback. It reads the ledger and appends nothing.

Wiring only. It verifies live samples and the ledger itself, and believes nothing that the hub says.
"""

from __future__ import annotations

from pathlib import Path

from fastapi_offline import FastAPIOffline
from nicegui import ui
from starlette.staticfiles import StaticFiles

from hub.config import HubConfig
from hub.errors import ConfigError
from hub.inbox import Inbox
from hub.serving import bind_port, serve
from hub.vault.answers import Answers
from hub.vault.stores import open_stores
from hub.web.api import build_routes
from hub.web.banking import build_bank_routes
from hub.web.faults import build_fault_routes
from hub.web.guarded import KnownPaths, StrictHeaders, check_loopback
from hub.web.orders import build_order_routes
from hub.web.page import build_page
from hub.web.proposing import build_propose_routes
from hub.web.reader import LedgerReader
from hub.web.relays import build_relay_routes
from hub.web.replicas import build_replica_routes
from hub.web.requests import Counter, build_request_routes
from hub.web.tlog import EntryDoor, build_log_routes
from hub.web.visitors import Visitors
from hub.web.watch import Watch

STATIC = Path(__file__).parent / "static"
TOKEN_CHARS_MIN = 20


def run_web(config: HubConfig) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        ListenRefused: the address is not loopback, or its port is taken.
        ConfigError: the file with the token for entries cannot be read, or others can read it.
    """
    check_loopback(config.web.host)
    listener = bind_port(
        config.web.host, config.web.port, "set another `port` under [web] in hub.toml"
    )
    watch = Watch(config)
    app = FastAPIOffline(
        title="gridtally",
        description="What the microgrid did, and the proofs.",
        docs_url="/docs",
        redoc_url=None,
    )
    door = EntryDoor(_token(config.web.entries_token_file), watch.is_disclosed)
    visitors = Visitors(watch.ledger)
    app.include_router(build_routes(watch, watch.ledger, door, visitors.who))
    app.include_router(build_relay_routes(watch, visitors.who))
    counter = _counter(config, watch.ledger, visitors)
    app.include_router(build_request_routes(counter))
    app.include_router(build_order_routes(watch.ledger, visitors, watch.ledger.contracts))
    app.include_router(build_bank_routes(watch.ledger, visitors))
    app.include_router(build_log_routes(watch.ledger, door))
    app.include_router(build_replica_routes(watch.ledger, door, counter.stores))
    app.include_router(build_propose_routes(watch.ledger, Inbox(Path(config.state))))
    board = None if config.simulation is None else config.simulation.switchboard
    if board is not None:
        app.include_router(build_fault_routes(Path(board), config.microgrid, watch.picture))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    routes = list(app.routes)
    ui.run_with(
        app,
        root=lambda: build_page(watch.picture, watch.why, has_board=board is not None),
        title=f"gridtally · {config.microgrid}",
        dark=None,
        show_welcome_message=False,
    )
    watch.start()
    try:
        serve(StrictHeaders(KnownPaths(app, routes)), listener, "hub.web")
    finally:
        watch.stop()


def _counter(config: HubConfig, ledger: LedgerReader, visitors: Visitors) -> Counter:
    state = Path(config.state)
    stores = open_stores(config.records.stores, config.state)
    return Counter(ledger, visitors, Inbox(state), Answers(state), stores)


def _token(path: str | None) -> str | None:
    """Return the token that readers of entries must show, None if nobody needs one."""
    if path is None:
        return None
    try:
        mode, token = Path(path).stat().st_mode, Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError((f"[web] entries_token_file: {path}: {error}",)) from None
    if mode & 0o077 or len(token) < TOKEN_CHARS_MIN:
        raise ConfigError(
            (
                f"[web] entries_token_file: {path}: want {TOKEN_CHARS_MIN} characters or more that "
                f"nobody can guess, and mode 0600: chmod 600 {path}",
            )
        )
    return token
