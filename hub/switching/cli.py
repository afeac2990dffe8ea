"""`gridtally-hub why`: why a relay stands as it does, in plain words."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from hub.commands.terminal import instant, loaded, log_to_stderr, told

HERE: Final = Path("hub.toml")


def add_commands(app: typer.Typer) -> None:
    """Add the command to the hub's."""
    app.command(short_help="Why a relay stands as it does.")(why)


def why(
    relay: Annotated[str, typer.Argument(help="RELAY, or NODE/RELAY.", metavar="RELAY")],
    at: Annotated[
        str | None,
        typer.Option("--at", help="Then, as 2026-11-21T12:00Z; default: now.", metavar="TIME"),
    ] = None,
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The hub's configuration file.", metavar="FILE")
    ] = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say which decision spoke of a relay last: the limit that bound, what was seen, what was done.

    All of it stands on the ledger. What the hub saw, and why every other relay was left as it was,
    is kept beside it for as long as the retention rule says.

    gridtally-hub why dep2-heater-relay --at 2026-06-21T07:30Z
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.balancing.catalog import installed
        from hub.ledger.store import Store
        from hub.switching.explaining import explain, why_lines

        at_ms = None if at is None else instant(at)
        with Store.open(loaded(config).database, read_only=True) as store:
            found = explain(store, relay, at_ms, installed())
        if as_json:
            print(json.dumps(asdict(found), default=bytes.hex))
            return
        for line in why_lines(found):
            print(line)
