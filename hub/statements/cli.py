"""What others take home and check without the hub: a member's statement, evidence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from hub.commands.terminal import fail, instant, loaded, log_to_stderr, progress, told
from hub.config import load_config
from messages.timetext import parse_month

Config = Annotated[
    Path, typer.Option("--config", "-c", help="The hub's configuration file.", metavar="FILE")
]
HERE: Final = Path("hub.toml")
FOREVER_MS: Final = 2**62
SUFFIXES: Final = (".json", ".csv", ".pdf")


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this file to the hub's program."""
    app.command(short_help="Write a member's statement, with its proofs.")(statement)
    app.command(short_help="Write what convicts a key that signed twice.")(double_signed)


def statement(
    member: Annotated[
        str, typer.Argument(help="The member, or an account like @grid.", metavar="MEMBER")
    ],
    out: Annotated[
        list[Path],
        typer.Option(help="A file ending in .json, .csv or .pdf; may be repeated.", metavar="FILE"),
    ],
    config: Config = HERE,
    start: Annotated[
        str, typer.Option("--from", help="Slots that begin at or after this time, with its zone.")
    ] = "0",
    end: Annotated[
        str | None, typer.Option("--to", help="Slots that begin before it; default: all.")
    ] = None,
    month: Annotated[
        str | None, typer.Option(help="A whole month of UTC, in place of both.", metavar="YYYY-MM")
    ] = None,
) -> None:
    """Write what was booked on a member's account: each line, what it follows from, the balance.

    The .json holds every proof: give it to the member, who checks it with gridtally-verify and
    trust.toml alone. The .csv is for a sheet, the .pdf to print; both name the entries, and others
    as the disclosure in force has it, while the .json has names as the ledger does, since that is
    what is proven. A statement covers what is settled and published (final, where a quorum is asked
    for). It shows nobody else's bill. Works while the hub runs.

      gridtally-hub statement ann --out ann.json --out ann.pdf

      gridtally-hub statement ann --month 2026-11 --out ann.json --out ann.pdf
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.core.disclosing import MEMBER_KIND, Asker
        from hub.ledger.store import Store
        from hub.lens import lens_of
        from hub.market.catalog import installed
        from hub.starting import read_trust
        from hub.statements.files import write_statement
        from hub.statements.making import Wanted, make_statement
        from hub.vault.following import Follower
        from messages.log.policy import parse_policy

        wrong = [path for path in out if path.suffix.lower() not in SUFFIXES]
        if wrong:
            fail(f"{wrong[0]}: a statement is a .json, .csv or .pdf", os.EX_USAGE)
        wanted = Wanted(member, *_span(start, end, month))
        settings = loaded(config)
        policy = parse_policy(read_trust(Path(settings.trust)).policy)
        with Store.open(settings.database, read_only=True) as store, progress("folding") as tell:
            made = make_statement(store, wanted, policy, installed(), tell)
            lens = lens_of(Follower(store).state, Asker(MEMBER_KIND, member))
        for path in out:
            write_statement(made, path, lens.called)
            print(path)


def _span(start: str, end: str | None, month: str | None) -> tuple[int, int]:
    """Return the first instant and that after the last one. [ms UTC]"""
    if month is None:
        return instant(start), FOREVER_MS if end is None else instant(end)
    if start != "0" or end is not None:
        fail("--month is a span of its own: leave out --from and --to", os.EX_USAGE)
    try:
        return parse_month(month)
    except ValueError as error:
        fail(str(error), os.EX_USAGE)


def double_signed(
    out: Annotated[Path, typer.Option(help="Where the files go.", metavar="DIR")],
    config: Config = HERE,
) -> None:
    """Write a file for each place of a stream for which a key signed two contents.

    The hub keeps both when it meets them. Anybody checks a file with gridtally-verify, without this
    ledger. Prints the files; none: nothing of the kind was met. Works while the hub runs.

      gridtally-hub double-signed --out evidence
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.ledger.store import Store
        from hub.statements.contents import write_contents

        with Store.open(load_config(config).database, read_only=True) as store:
            for path in write_contents(store, out):
                print(path)
