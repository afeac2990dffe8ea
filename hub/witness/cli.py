"""The witness's part of the command line. It needs no hub, no ledger and no hub.toml."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from hub.commands.terminal import fail, log_to_stderr, told

Folder = Annotated[Path, typer.Option("--dir", help="The witness's folder.", metavar="DIR")]
Logs = Annotated[
    list[str] | None,
    typer.Option("--log", help="A log to watch: its vkey. May be given again.", metavar="VKEY"),
]
NAME_HELP = "Its name for good, as an address without https://, such as example.org/w1."


def add_commands(app: typer.Typer) -> None:
    """Add the witness's verbs to the hub's program."""
    app.command("witness-init", short_help="Make the key and the memory of a new witness.")(init)
    app.command("witness", short_help="Be a witness: cosign logs that only grow.")(witness)


def init(
    directory: Folder,
    name: Annotated[str, typer.Option(help=NAME_HELP, metavar="NAME")],
    log: Logs = None,
) -> None:
    """Make a new witness in a folder, and print the line that names it in a policy.

    Run it on a machine of somebody who neither runs the hub nor trades. The folder's witness.db is
    what makes it a witness: if that is ever lost, the key must be retired.

      gridtally-hub witness-init --dir w1 --name example.org/w1

      gridtally-hub witness-init --dir w1 --name example.org/w1 --log VKEY
    """
    log_to_stderr(verbose=False)
    with told():
        _found(directory, name, log or [])


def witness(
    directory: Folder,
    listen: Annotated[
        str, typer.Option(help="Where to answer.", metavar="HOST:PORT")
    ] = "127.0.0.1:8091",
    name: Annotated[
        str | None,
        typer.Option(help="Makes a new witness of this name if the folder is new.", metavar="NAME"),
    ] = None,
    log: Logs = None,
    follow: Annotated[
        Path | None,
        typer.Option(
            help="A trust.toml by which a watched log's key ended: watch its successor instead.",
            metavar="FILE",
        ),
    ] = None,
) -> None:
    """Answer logs over HTTP (C2SP tlog-witness v1.0.0): cosign what continues, refuse the rest.

    What it cosigned is on its disk before it answers. Two heads of one log that cannot both be true
    are kept in the folder's evidence/, for `gridtally-verify evidence`.

      gridtally-hub witness --dir w1 --listen 127.0.0.1:8091

      gridtally-hub witness --dir w1 --listen 127.0.0.1:8091 --log VKEY

      gridtally-hub witness --dir w1 --listen 127.0.0.1:8091 --follow trust.toml
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.starting import read_trust
        from hub.witness import home
        from hub.witness.server import run_witness

        if home.is_empty(directory):
            if name is None:
                fail(f"{directory}: no witness is here; give it a --name to make one", os.EX_CONFIG)
            _found(directory, name, log or [])
        else:
            home.add_logs(directory, log or [])
        if follow is not None:
            for vkey in home.follow(directory, read_trust(follow)):
                print(f"no longer watched: {vkey}", file=sys.stderr)
        host, port = _address(listen)
        run_witness(directory, host, port, lambda: int(time.time()))


def _found(directory: Path, name: str, logs: list[str]) -> None:
    from hub.witness.home import found
    from messages.log.note import format_vkey

    key = found(directory, name, logs)
    print(f"witness {name.replace('/', '-')} {format_vkey(key)}", flush=True)
    print(
        f"A new witness is in {directory}: keep witness.db as you keep the key, on one machine, "
        "and never put an old copy back. The line above goes into the policy of each log, with "
        "the address where this witness answers behind it.",
        file=sys.stderr,
    )


def _address(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        fail(f"--listen {listen}: not HOST:PORT", os.EX_USAGE)
    return host.strip("[]"), int(port)
