"""`gridtally-hub case`: the regulator's investigations, each request signed by the regulator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hub.commands.terminal import log_to_stderr, told

if TYPE_CHECKING:
    from hub.vault.desk import RecordDesk

case = typer.Typer(
    name="case",
    no_args_is_help=True,
    help="Investigations: a case names a pseudonym, a reason and a time, and stays on the ledger.",
)

Config = Annotated[
    Path, typer.Option("--config", "-c", help="The hub's configuration file.", metavar="FILE")
]
Key = Annotated[str, typer.Option("--key", help="The regulator's key, which signs.", metavar="KEY")]
Name = Annotated[str, typer.Argument(help="The case's name: a-z, 0-9 and -.", metavar="CASE")]
HERE: Final = Path("hub.toml")
DAY_MS: Final = 86_400_000


def add_commands(app: typer.Typer) -> None:
    """Add the verbs on cases to the hub's program."""
    app.add_typer(case)


@case.command("open", short_help="Open a case on whoever appears under a pseudonym.")
def open_case(
    *,
    name: Name,
    key: Key,
    subject: Annotated[str, typer.Option(help="The pseudonym, as m-7kq2-hx5p.")],
    reason: Annotated[str, typer.Option(help="What is investigated; it stays on the ledger.")],
    days: Annotated[int, typer.Option(help="How long it stays open, 1 to 92 days.")] = 14,
    embargo_days: Annotated[
        int, typer.Option(help="For how long the owner is not told; at most as long as it is open.")
    ] = 0,
    slot_ms: Annotated[
        int | None,
        typer.Option(help="The slot in which the pseudonym was seen, where each has its own. [ms]"),
    ] = None,
    config: Config = HERE,
) -> None:
    """Open a case by a signed entry. It ends by itself, and then its owner is told at the latest.

    gridtally-hub case open tap-1 --subject m-7kq2-hx5p --reason "seal broken" --key rita.pem
    """
    log_to_stderr(verbose=False)
    with told():
        desk = _desk(config, key)
        now_ms = desk.next_slot_ms
        embargo_ms = now_ms + embargo_days * DAY_MS if embargo_days else 0
        arguments: dict[str, int | str | bytes | bool] = {
            "case": name,
            "subject": subject,
            "reason": reason,
            "until_slot_ms": now_ms + days * DAY_MS,
            "embargo_slot_ms": embargo_ms,
        }
        if slot_ms is not None:
            arguments["slot_ms"] = slot_ms
        _ask(desk, "open", arguments)


@case.command(short_help="Say who is behind the pseudonym, and which records he owns.")
def identity(name: Name, key: Key, config: Config = HERE) -> None:
    """Print name, meters and records of the case's subject. That it was asked stays on the ledger.

    Records are read with `gridtally-hub record get RECORD --case CASE`: those of purpose identity
    say who a member is outside of the microgrid.

    gridtally-hub case identity tap-1 --key rita.pem
    """
    log_to_stderr(verbose=False)
    with told():
        desk = _desk(config, key)
        _ask(desk, "identify", {"case": name})
        from hub.casework.showing import identity_lines

        state = desk.state()
        for line in identity_lines(state, state.cases[name].owner):
            print(line)


@case.command("close", short_help="Close a case before its time.")
def close_case(name: Name, key: Key, config: Config = HERE) -> None:
    """Close it. With it ends the embargo: the owner is told.

    gridtally-hub case close tap-1 --key rita.pem
    """
    log_to_stderr(verbose=False)
    with told():
        _ask(_desk(config, key), "close", {"case": name})


@case.command("list", short_help="Cases that are told, and with a key one's own.")
def show(
    key: Annotated[
        str, typer.Option("--key", help="A regulator's or an owner's key.", metavar="KEY")
    ] = "",
    config: Config = HERE,
) -> None:
    """List cases whose owners were told; with a key also those that its member opened.

    gridtally-hub case list --key rita.pem
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.casework.showing import case_lines
        from hub.config import load_config
        from hub.vault.desk import read_state
        from keys.stores import open_signer

        state = read_state(load_config(config))
        row = state.keys.get(open_signer(key).public.kid) if key else None
        for line in case_lines(state, "" if row is None else row.name):
            print(line)


def _ask(desk: RecordDesk, method: str, arguments: dict[str, int | str | bytes | bool]) -> None:
    from hub.core.rights import CASES

    desk.ask(method, arguments, CASES)


def _desk(config: Path, key: str) -> RecordDesk:
    from hub.config import load_config
    from hub.vault.desk import RecordDesk
    from keys.stores import open_signer

    return RecordDesk(load_config(config), open_signer(key))
