"""`gridtally-hub why`: why a relay stands as it does, in plain words; and `trust-relay`."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from hub.commands.terminal import fail, instant, loaded, log_to_stderr, told

HERE: Final = Path("hub.toml")


def add_commands(app: typer.Typer) -> None:
    """Add the commands to the hub's."""
    app.command(short_help="Why a relay stands as it does.")(why)
    app.command(short_help="Say that a relay that was mended works again.")(trust_relay)


def trust_relay(
    relay: Annotated[str, typer.Argument(help="RELAY, or NODE/RELAY.", metavar="RELAY")],
    reason: Annotated[
        str,
        typer.Option("--reason", help="What was done; it stands on the ledger.", metavar="TEXT"),
    ] = "looked at by hand",
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The hub's configuration file.", metavar="FILE")
    ] = HERE,
) -> None:
    """Take back that a relay cannot be counted on, after somebody looked at it.

    The hub finds by measurement that a contact is welded, a coil dead, or that a relay does not go
    where it is ordered (`gridtally-hub status`). It then plans without it. What works again it
    notices itself, but for a contact that was found welded twice. Signed by the administrator's
    key; a manager may sign it, too.

    gridtally-hub trust-relay dep2-heater-relay --reason "contact replaced"
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.commands.enrolling import hand_over, sign_as_administrator
        from hub.ledger.store import Store
        from hub.switching.explaining import relay_of
        from messages.relayfault import WORKS, RelayFault

        settings = loaded(config)
        with Store.open(settings.database, read_only=True) as store:
            name = relay_of(store, relay)
        node, relay = name
        entry = RelayFault(node, relay, WORKS, reason, time.time_ns() // 1_000_000)
        (refusal,) = hand_over(settings, sign_as_administrator(settings, [entry]))
        if refusal:
            fail(refusal)
        print(f"{'/'.join(name)} is counted on again")


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
