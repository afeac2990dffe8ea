"""The command `gridtally-edge doctor`."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from edge.service import loaded, log_to_stderr, told

if TYPE_CHECKING:
    from edge.doctor.checks import Finding

SIGNS: Final = {
    "ok": ("green", "ok"),
    "note": ("yellow", "note"),
    "wrong": ("bold red", "WRONG"),
    "unknown": ("dim", "?"),
}


def add_to(app: typer.Typer) -> None:
    """Add the command to a program."""
    app.command(short_help="What is wrong with this machine, and the line that mends it.")(doctor)


def doctor(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            help="The node's configuration; default: edge.toml, if it is here.",
            metavar="FILE",
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(help="Read the files of another machine, such as its card.", metavar="DIR"),
    ] = None,
    user: Annotated[str, typer.Option(help="Who is to run the node.", metavar="NAME")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Look at everything a node needs: board, system, power, groups, buses, pins, clock, card.

    With a configuration also at relays and pulls, free space, every meter, broker and hub. Each
    line says what was found; below it, where something is wrong, why it matters and what mends
    it. Nothing is changed. Ends with 0 if nothing is wrong, else with 69.

      gridtally-edge doctor

      gridtally-edge doctor --root /media/me/rootfs --json
    """
    log_to_stderr(verbose=False)
    with told():
        from edge.doctor.checks import examine
        from edge.doctor.live import examine_live
        from edge.doctor.machine import Machine

        if root is not None and not root.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "no folder with another machine's files", root)
        here = Path("edge.toml")
        path = config or (here if here.is_file() and root is None else None)
        settings = None if path is None else loaded(path)
        machine = Machine(root or Path("/"), user)
        findings = list(examine(machine, settings))
        if settings is not None and machine.is_live:
            findings += examine_live(settings)
        if as_json:
            print(json.dumps([asdict(each) for each in findings]))
        else:
            _show(findings)
        if any(each.state == "wrong" for each in findings):
            raise typer.Exit(os.EX_UNAVAILABLE)


def _show(findings: Iterable[Finding]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for each in findings:
        style, sign = SIGNS[each.state]
        console.print(Text.assemble((f"{sign:<7}", style), f"{each.name:<18}{each.found}"))
        if each.why and each.state != "ok":
            console.print(Text(f"{'':<25}{each.why}", style="dim"))
        if each.mend and each.state != "ok":
            console.print(f"{'':<25}{each.mend}", markup=False)
