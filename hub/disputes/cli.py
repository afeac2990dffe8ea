"""`gridtally-hub dispute` and `rule`: contest a line of a bill, answer, decide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hub.commands.terminal import fail, instant, loaded, log_to_stderr, progress, told

if TYPE_CHECKING:
    from hub.config import HubConfig
    from hub.core.state import State
    from hub.disputes.finding import Found

dispute = typer.Typer(
    name="dispute",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Disputes: contest a line of a bill; the amount is held until a regulator rules.",
)

Config = Annotated[
    Path, typer.Option("--config", "-c", help="The hub's configuration file.", metavar="FILE")
]
Key = Annotated[str, typer.Option("--key", help="The member's key, which signs.", metavar="KEY")]
Number = Annotated[int, typer.Argument(help="The dispute's number.", metavar="DISPUTE")]
Reason = Annotated[str, typer.Option(help="Why; it stays on the ledger, for all to read.")]
HERE: Final = Path("hub.toml")
RULINGS: Final = ("uphold", "dismiss", "split")


def add_commands(app: typer.Typer) -> None:
    """Add the verbs on disputes to the hub's program."""
    app.add_typer(dispute)
    app.command(short_help="Rule on a dispute, as a regulator.")(rule)


@dispute.command("lines", short_help="What a member can dispute, and until when.")
def lines(
    member: Annotated[str, typer.Argument(help="Whose bill.", metavar="MEMBER")],
    config: Config = HERE,
) -> None:
    """List the lines of a bill that can still be disputed. Works while the hub runs.

    gridtally-hub dispute lines ann
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.disputes.finding import lines_of

        for text in lines_of(_found(loaded(config), member)):
            print(text)


@dispute.command("open", short_help="Dispute a line of one's bill.")
def begin(
    *,
    slot: Annotated[str, typer.Argument(help="The slot's start, with its zone.", metavar="SLOT")],
    line: Annotated[int, typer.Argument(help="The line's number in that slot.", metavar="LINE")],
    key: Key,
    reason: Reason,
    amount_utok: Annotated[
        int | None, typer.Option(help="How much of it; default: all of the line. [utok]")
    ] = None,
    config: Config = HERE,
) -> None:
    """Dispute a line, by slot and number as `dispute lines` has them; print the dispute's number.

    The amount goes from the other side of the line to @held until a regulator rules on it.

      gridtally-hub dispute open 2026-11-21T12:00Z 1 --reason "meter swapped" --key ann.pem
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.disputes.finding import line_of
        from keys.stores import open_signer

        settings = loaded(config)
        kid = open_signer(key).public.kid
        member = _state(settings).keys.get(kid)
        if member is None:
            fail(f"{key}: no entry has enrolled this key")
        found = line_of(_found(settings, member.name), instant(slot), line)
        arguments: dict[str, int | str | bytes | bool] = {
            "slot_ms": found.slot_ms,
            "row": found.row,
            "place": found.place,
            "proof": found.proof,
            "line": found.number,
            "amount_utok": abs(found.line.amount_utok) if amount_utok is None else amount_utok,
            "reason": reason,
        }
        before = set(_state(settings).disputes)
        _ask(settings, key, "open", arguments)
        mine = [
            number
            for number, row in _state(settings).disputes.items()
            if number not in before and row.claimant == member.name
        ]
        print("\n".join(map(str, sorted(mine))))


@dispute.command(short_help="Answer a dispute, as the other side.")
def answer(number: Number, key: Key, reason: Reason, config: Config = HERE) -> None:
    """Say, once, why the line is right. The regulator decides.

    gridtally-hub dispute answer 4711 --reason "the register is right" --key bob.pem
    """
    _simple(config, key, "answer", number, reason)


@dispute.command(short_help="Give in, as the other side: what is held goes to the claimant.")
def concede(number: Number, key: Key, reason: Reason, config: Config = HERE) -> None:
    """End a dispute by giving in.

    gridtally-hub dispute concede 4711 --reason "true" --key bob.pem
    """
    _simple(config, key, "concede", number, reason)


@dispute.command(short_help="Take a dispute back: what is held goes back.")
def withdraw(number: Number, key: Key, reason: Reason, config: Config = HERE) -> None:
    """End one's own dispute.

    gridtally-hub dispute withdraw 4711 --reason "my mistake" --key ann.pem
    """
    _simple(config, key, "withdraw", number, reason)


@dispute.command("list", short_help="The disputes that are open.")
def show(config: Config = HERE) -> None:
    """List each with its parties, what is held, and until when it is ruled on.

    gridtally-hub dispute list
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.disputes.finding import disputes_of

        for text in disputes_of(_state(loaded(config))):
            print(text)


def rule(
    *,
    number: Number,
    ruling: Annotated[
        str, typer.Argument(help=f"{', '.join(RULINGS[:-1])} or {RULINGS[-1]}.", metavar="RULING")
    ],
    key: Annotated[
        str, typer.Option("--key", help="The regulator's key, which signs.", metavar="KEY")
    ],
    reason: Reason,
    to_claimant_utok: Annotated[
        int, typer.Option(help="What the claimant gets by a split. [utok]", min=0)
    ] = 0,
    config: Config = HERE,
) -> None:
    """Rule on a dispute by a signed entry, which gives out what is held; nothing is changed back.

    uphold: to the claimant; dismiss: back to the other side; split: a part to each. Only a key with
    the role regulator may, and not in a dispute of its own holder.

      gridtally-hub rule 4711 uphold --reason "the meter was swapped" --key rita.pem

      gridtally-hub rule 4711 split --to-claimant-utok 100000 --reason "half" --key rita.pem
    """
    log_to_stderr(verbose=False)
    with told():
        arguments: dict[str, int | str | bytes | bool] = {
            "dispute": number,
            "ruling": ruling,
            "to_claimant_utok": to_claimant_utok,
            "reason": reason,
        }
        _ask(loaded(config), key, "rule", arguments)


def _simple(config: Path, key: str, method: str, number: int, reason: str) -> None:
    log_to_stderr(verbose=False)
    with told():
        _ask(loaded(config), key, method, {"dispute": number, "reason": reason})


def _ask(
    config: HubConfig, key: str, method: str, arguments: dict[str, int | str | bytes | bool]
) -> None:
    from hub.vault.desk import RecordDesk
    from keys.stores import open_signer
    from messages.disputes import CONTRACT

    RecordDesk(config, open_signer(key)).ask(method, arguments, CONTRACT)


def _found(config: HubConfig, member: str) -> list[Found]:
    from hub.disputes.finding import find_lines
    from hub.ledger.store import Store
    from hub.market.catalog import installed

    with Store.open(config.database, read_only=True) as store, progress("folding") as tell:
        return find_lines(store, member, installed(), tell)


def _state(config: HubConfig) -> State:
    from hub.vault.desk import read_state

    return read_state(config)
