"""The commands `join` and `rotate`: how a node comes to its microgrid, and to new keys."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from edge.service import log_to_stderr, told


def add_to(app: typer.Typer) -> None:
    """Add the commands to a program."""
    app.command(short_help="Join the microgrid of a pairing text.")(join)


def join(
    text: Annotated[
        list[str],
        typer.Argument(help="What `gridtally-hub pair` shows, from GT1 on.", metavar="TEXT"),
    ],
    directory: Annotated[
        Path, typer.Option("--dir", help="Where edge.toml is, or will be.", metavar="DIR")
    ] = Path(),
) -> None:
    """Make the node's keys, show them to the hub, and write all that `run` needs.

    Compare the fingerprint that is shown here with the one at the hub: whoever is at the hub says
    yes there. Then trust.toml, certificates and the broker's place in edge.toml are written, and
    the node can run. The other lines of edge.toml stay; if there is none, one is written that has
    no devices yet. Nothing is told to a hub that did not make the text.

      gridtally-edge join GT1/HUB.LOCAL/8890/DEP1/ABCD... --dir /etc/gridtally
    """
    log_to_stderr(verbose=False)
    with told():
        from edge.joining.join import Shown
        from edge.joining.join import join as join_microgrid

        def show(shown: Shown) -> None:
            print(f"node {shown.node} asks to join; its keys:", file=sys.stderr)
            for each in shown.keys:
                name = f"meter {each.name}" if each.name else f"node {shown.node}"
                print(f"{each.signer.public.fingerprint}  {name}", file=sys.stderr)
            print(f"\n{shown.fingerprint}  all of them: compare this one\n", file=sys.stderr)
            print("waiting for the person at the hub ...", file=sys.stderr)

        files = join_microgrid("".join(text), directory, show)
        for path in files:
            print(path)
        print(f"joined: gridtally-edge run --config {files[-1]}", file=sys.stderr)
