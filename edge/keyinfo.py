"""The command `gridtally-edge key-info`: where each key of a node lies, and which it is."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from edge.service import loaded, log_to_stderr, told
from keys.info import info_lines, key_info


def add_to(app: typer.Typer) -> None:
    """Add the command to a program."""
    app.command(name="key-info", short_help="Where each key lies, and which it is.")(show)


def show(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The node's configuration file.", metavar="FILE")
    ] = Path("edge.toml"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Open every key of the node and show its fingerprint, its algorithm and its place.

    A key that cannot be opened is shown with the reason, and what mends it. Ends with 0 if all can
    be, else with 69. No key and no PIN is ever shown.

      gridtally-edge key-info --config /etc/gridtally/edge.toml
    """
    log_to_stderr(verbose=False)
    with told():
        settings = loaded(config)
        found = [
            key_info(f"meter {name}" if name else f"node {settings.node}", place)
            for name, place in settings.key_places.items()
        ]
        lines = info_lines(found)
        print(json.dumps([asdict(each) for each in found]) if as_json else "\n".join(lines))
        if any(each.fault for each in found):
            raise typer.Exit(os.EX_UNAVAILABLE)
