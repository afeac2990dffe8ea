"""The commands about witnesses on the hub's side: the quorum, and evidence against its log."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from hub.commands.terminal import fail, log_to_stderr, told
from hub.config import load_config

Config = Annotated[
    Path, typer.Option("--config", "-c", help="The hub's configuration file.", metavar="FILE")
]
HERE = Path("hub.toml")


def add_commands(app: typer.Typer) -> None:
    """Add the verbs to the hub's program."""
    app.command(short_help="Say whose cosignatures make a checkpoint final.")(quorum)
    app.command(short_help="Compare a head that somebody shows with this ledger.")(evidence)


def _print_example(wanted: bool) -> None:
    if wanted:
        from hub.commands.quorum import EXAMPLE

        print(EXAMPLE, end="")
        raise typer.Exit


def quorum(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="A C2SP policy; its `log` line may be left out. Without it the one in force is "
            "printed.",
            metavar="FILE",
        ),
    ] = None,
    config: Config = HERE,
    example: Annotated[
        bool,
        typer.Option(
            "--example", help="Print a file to begin with.", is_eager=True, callback=_print_example
        ),
    ] = False,
) -> None:
    """Put a quorum into force, or print the one that is.

    The administrator's key signs an entry with it, and trust.toml gets it. Nodes delete a reading
    only under a checkpoint that meets it, so every node needs the new trust.toml; start the hub
    again, too.

      gridtally-hub quorum

      gridtally-hub quorum --example > quorum.policy

      gridtally-hub quorum quorum.policy
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.commands.quorum import set_policy
        from hub.starting import read_trust

        settings = load_config(config)
        if file is None:
            print(read_trust(Path(settings.trust)).policy, end="")
            return
        now_ms = time.time_ns() // 1_000_000
        print(set_policy(settings, _read(file), str(file), now_ms), end="")
        print(f"{settings.trust}: copy it to every node, and start the hub again", file=sys.stderr)


def evidence(
    file: Annotated[
        Path,
        typer.Argument(help="A checkpoint as a signed note, or an evidence file.", metavar="FILE"),
    ],
    config: Config = HERE,
) -> None:
    """Say whether this ledger continues what somebody else was shown of it.

    If the log signed both and they cannot both be true, a file that convinces a stranger is left in
    evidence/: `gridtally-verify evidence` needs only it and the log's key. Two heads of different
    sizes, as a witness keeps them, get the missing proof from this ledger. Ends with 0 if they
    agree, 65 if not. Works while the hub runs.

      gridtally-hub evidence shown-by-a-neighbour.txt
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.cosigning.showing import compare_file

        agrees, lines = compare_file(load_config(config), _read(file))
        print("\n".join(lines))
        if not agrees:
            raise typer.Exit(os.EX_DATAERR)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{path}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}", os.EX_NOINPUT)
