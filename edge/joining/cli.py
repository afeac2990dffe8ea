"""The commands `join` and `rotate`: how a node comes to its microgrid, and to new keys."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from edge.service import log_to_stderr, told

Alg = Annotated[
    Literal["eddsa", "es256"] | None,
    typer.Option(help="Kind of the keys that are made; left out, as keygen does."),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands to a program."""
    app.command(short_help="Join the microgrid of a pairing text.")(join)
    app.command(short_help="Give the node new keys, while it runs.")(rotate)


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


def rotate(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Meters, or the node's own name; none: every key.", metavar="NAMES"),
    ] = None,
    *,
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The node's configuration file.", metavar="FILE")
    ] = Path("edge.toml"),
    to: Annotated[
        str, typer.Option("--to", help="Where the new key lies, or is made.", metavar="KEY")
    ] = "",
    alg: Alg = None,
) -> None:
    """Let new keys take over from those of the node and its meters; no reading is lost.

    Each new key is made where the old one lies: keys/pv.pem is followed by keys/pv.2.pem, a key on
    a token by one with another label. For a handle of a TPM, and for a credential, say --to. A
    running agent changes over at once; without one, the next start does. edge.toml names the new
    keys, and the hub hears of them from the old ones, so nobody has to confirm anything.

    If it was ended halfway, run it again. Run it as the user that the agent runs as.

      gridtally-edge rotate

      gridtally-edge rotate dep1-pv --to tpm:0x81000102
    """
    log_to_stderr(verbose=False)
    with told():
        from edge.joining.rotate import rotate as change_keys
        from keys.stores import ALGORITHMS

        chosen = None if alg is None else ALGORITHMS[alg]
        for each in change_keys(config, names or (), to, chosen):
            owner = f"meter {each.name}" if each.name else "the node"
            what = each.fingerprint or "finished what was begun:"
            print(f"{what}  {owner}: {each.new_place}")
            when = "signs with it now" if each.is_agents else "signs with it from its next start on"
            print(f"the agent {when}; {each.old_place} signs nothing more", file=sys.stderr)
        told_when = "`gridtally-edge status` says that the hub has their last word"
        print(f"delete old keys when {told_when}", file=sys.stderr)
