"""`gridtally-hub bank`: deposits by the bank's key, payouts by a member's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from hub.commands.terminal import fail, loaded, log_to_stderr, told

bank = typer.Typer(
    name="bank",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The bank: tokens against deposits, and payouts at intervals, under every market.\n\n"
    "  gridtally-hub bank deposit ann 5000000 --key bank.pem   mints 5 tokens for ann\n\n"
    "  gridtally-hub bank payout 2000000 --key ann.pem         asks for 2 of them\n\n"
    "  gridtally-hub bank balance                              what circulates, the next payout\n\n"
    "Amounts are in micro-tokens. The bank takes and gives the money itself outside of the ledger.",
)

Config = Annotated[
    Path, typer.Option("--config", "-c", help="The hub's configuration file.", metavar="FILE")
]
Key = Annotated[str, typer.Option("--key", help="The key that signs.", metavar="KEY")]
Amount = Annotated[int, typer.Argument(help="How much. [utok]", metavar="AMOUNT", min=1)]
HERE: Final = Path("hub.toml")


def add_commands(app: typer.Typer) -> None:
    """Add the verbs on the bank to the hub's program."""
    app.add_typer(bank)


@bank.command(short_help="Mint tokens against a deposit, as the bank.")
def deposit(
    member: Annotated[str, typer.Argument(help="Whose deposit.", metavar="MEMBER")],
    amount: Amount,
    key: Key,
    config: Config = HERE,
) -> None:
    """Mint AMOUNT for MEMBER, who paid it in; only a key with the role bank may.

    gridtally-hub bank deposit ann 5000000 --key bank.pem
    """
    _ask(config, key, "deposit", {"member": member, "amount_utok": amount})


@bank.command(short_help="Ask to be paid out, as a member.")
def payout(amount: Amount, key: Key, config: Config = HERE) -> None:
    """Ask for AMOUNT of one's own balance, burned with the close of the next slot for payouts.

    It takes the place of what was asked for before. Until then the balance can be spent; who has
    less by then is paid that, and the rest waits for the next time.

      gridtally-hub bank payout 2000000 --key ann.pem
    """
    _ask(config, key, "payout", {"amount_utok": amount})


@bank.command(short_help="Take back that one asked to be paid out.")
def withdraw(key: Key, config: Config = HERE) -> None:
    """Keep the tokens after all.

    gridtally-hub bank withdraw --key ann.pem
    """
    _ask(config, key, "withdraw", {})


@bank.command(short_help="What circulates, when payouts go out, who waits for one.")
def balance(
    member: Annotated[
        str, typer.Argument(help="One member's account; default: the bank's.", metavar="[MEMBER]")
    ] = "",
    config: Config = HERE,
) -> None:
    """Print the bank's state and who waits for a payout, or one member's account.

    gridtally-hub bank balance ann
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.banking.showing import account_line, account_of, bank_line, bank_seen
        from hub.vault.desk import read_state

        state = read_state(loaded(config))
        seen = bank_seen(state)
        if member and member not in state.accounts:
            fail(f"there is no account {member!r}: nothing was ever booked on it")
        if not member:
            print(
                bank_line(seen) if seen else "payouts are timed by slots, and none has closed yet"
            )
        for name in [member] if member else sorted(state.payouts):
            print(account_line(account_of(state, name)))


def _ask(
    config: Path, key: str, method: str, arguments: dict[str, int | str | bytes | bool]
) -> None:
    log_to_stderr(verbose=False)
    with told():
        from hub.banking.showing import account_line, account_of, bank_line, bank_seen
        from hub.vault.desk import RecordDesk
        from keys.stores import open_signer
        from messages.banking import CONTRACT

        signer = open_signer(key)
        desk = RecordDesk(loaded(config), signer)
        desk.ask(method, arguments, CONTRACT)
        state = desk.state()
        name = str(arguments.get("member", state.keys[signer.public.kid].name))
        seen = bank_seen(state)
        print(account_line(account_of(state, name)))
        if method == "payout" and seen:
            print(bank_line(seen))
