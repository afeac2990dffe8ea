"""The command `gridtally-hub key-info`: where each key of an installation lies, and which it is."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hub.commands.terminal import log_to_stderr, told
from hub.config import load_config


def add_commands(app: typer.Typer) -> None:
    """Add the command to a program."""
    app.command(name="key-info", short_help="Where each key lies, and which it is.")(show)


def show(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The hub's configuration file.", metavar="FILE")
    ] = Path("hub.toml"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Open the keys of log, hub and administrator; show fingerprint, algorithm and place of each.

    A key that cannot be opened is shown with the reason, and what mends it. Ends with 0 if all can
    be, else with 69. No key and no PIN is ever shown.

      gridtally-hub key-info --config /etc/gridtally/hub.toml
    """
    log_to_stderr(verbose=False)
    with told():
        from keys.info import info_lines, key_info  # noqa: PLC0415 - only this command needs it

        keys = load_config(config).keys
        places = {"log": keys.log, "hub": keys.hub, "administrator": keys.administrator}
        found = [key_info(name, place) for name, place in places.items() if place is not None]
        lines = info_lines(found)
        print(json.dumps([asdict(each) for each in found]) if as_json else "\n".join(lines))
        if any(each.fault for each in found):
            raise typer.Exit(os.EX_UNAVAILABLE)
