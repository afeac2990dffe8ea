"""`gridtally-hub order` and `market`: a member's calls to the market, signed by his own key."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hub.commands.terminal import fail, instant, loaded, log_to_stderr, told

if TYPE_CHECKING:
    from keys.trading import Told, Trader
    from messages.orders import Wish

order = typer.Typer(
    name="order",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="A member's orders, and any other call to the market, signed by his key.\n\n"
    "An order for one slot counts there alone; one without a slot stands until it is withdrawn, "
    "for all to see. Where the book is sealed an order for one slot goes onto the ledger as a "
    "hash first, and is revealed by itself once the gate of its slot is closed: this program "
    "keeps its salt on disk and stays until then; or --leave, and `order reveal` later.\n\n"
    "  gridtally-hub market                                 which contract, which gate\n\n"
    "  gridtally-hub order bid 250000 --slot next --key ann.pem\n\n"
    "  gridtally-hub order ask 120000 --energy-uwh 5000000 --key ann.pem\n\n"
    "  gridtally-hub order list --key ann.pem               what waits, what became of others\n\n"
    "This runs on the hub's machine. From a member's own, with the same words: gridtally-member.",
)

Config = Annotated[
    Path, typer.Option("--config", "-c", help="The hub's configuration file.", metavar="FILE")
]
Key = Annotated[str, typer.Option("--key", help="The member's key, which signs.", metavar="KEY")]
Price = Annotated[int, typer.Argument(help="The limit. [utok per kWh]", metavar="PRICE")]
Energy = Annotated[
    int | None, typer.Option(help="How much at most; default: all that the meter will show. [uWh]")
]
Slot = Annotated[
    str,
    typer.Option(
        help="The slot's start, as 2026-11-21T12:00Z, or next: the first whose gate is open; "
        "without it the order stands until it is withdrawn.",
        metavar="SLOT",
    ),
]
Fee = Annotated[int, typer.Option(help="What the call pays, where it costs something. [utok]")]
Salt = Annotated[
    Path | None,
    typer.Option(
        "--salts", help="Where sealed orders are kept until they are revealed.", metavar="DIR"
    ),
]
Leave = Annotated[bool, typer.Option("--leave", help="A sealed order: do not stay to reveal it.")]
HERE: Final = Path("hub.toml")
LOOK_EVERY_S: Final = 1.0
FATES_SHOWN: Final = 20


def add_commands(app: typer.Typer) -> None:
    """Add the verbs on orders to the hub's program."""
    app.add_typer(order)
    app.command(short_help="Which market is in force, and which is to come.")(market)


@order.command(short_help="Offer to buy.")
def bid(
    *,
    price: Price,
    key: Key,
    energy_uwh: Energy = None,
    slot: Slot = "",
    prefers: Annotated[
        str, typer.Option(help="Sellers, dearest first: ann,bob.", metavar="NAMES")
    ] = "",
    fuels: Annotated[
        str, typer.Option(help="The only fuels taken: solar,wind.", metavar="NAMES")
    ] = "",
    areas: Annotated[str, typer.Option(help="The only areas taken.", metavar="NAMES")] = "",
    fee_utok: Fee = 0,
    leave: Leave = False,
    salts: Salt = None,
    config: Config = HERE,
) -> None:
    """Buy at PRICE at most; print the order's id.

    gridtally-hub order bid 250000 --slot next --prefers bob --key ann.pem
    """
    from messages.orders import Wish

    names = (_names(text) for text in (prefers, fuels, areas))
    wish = Wish("bid", energy_uwh, price, *names)
    _place(_trader(config, key, salts), wish, slot, fee_utok, leave=leave)


@order.command(short_help="Offer to sell.")
def ask(
    *,
    price: Price,
    key: Key,
    energy_uwh: Energy = None,
    slot: Slot = "",
    fee_utok: Fee = 0,
    leave: Leave = False,
    salts: Salt = None,
    config: Config = HERE,
) -> None:
    """Sell at PRICE at least; print the order's id.

    gridtally-hub order ask 120000 --key ann.pem
    """
    from messages.orders import Wish

    wish = Wish("ask", energy_uwh, price)
    _place(_trader(config, key, salts), wish, slot, fee_utok, leave=leave)


@order.command(short_help="Take an order back.")
def withdraw(
    order_id: Annotated[str, typer.Argument(help="The order's id.", metavar="ORDER")],
    key: Key,
    fee_utok: Fee = 0,
    config: Config = HERE,
) -> None:
    """Take an order back from all slots whose gate is open.

    gridtally-hub order withdraw 3f0c... --key ann.pem
    """
    arguments: dict[str, int | str | bytes | bool] = {"order": order_id}
    if fee_utok:
        arguments["fee_utok"] = fee_utok
    with told():
        _served(_trader(config, key, None).call("withdraw", arguments))


@order.command(short_help="Reveal the sealed orders that are due.")
def reveal(
    key: Key,
    stay: Annotated[
        bool, typer.Option("--stay", help="Until none is left, however long it takes.")
    ] = False,
    salts: Salt = None,
    config: Config = HERE,
) -> None:
    """Do what is due for each sealed order of a key: hand its commitment in again, or reveal it.

    gridtally-hub order reveal --stay --key ann.pem
    """
    trader = _trader(config, key, salts)
    with told():
        if stay:
            _stay(trader)
            return
        for done in trader.tend():
            print(done.sentence, file=sys.stderr)


@order.command("call", short_help="Any other call: list, buy, sell, deposit, prefer, ...")
def other(
    method: Annotated[str, typer.Argument(help="What the contract is asked.", metavar="METHOD")],
    key: Key,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help="Its arguments: numbers, texts, hex:00ff.", metavar="[NAME=VALUE]..."),
    ] = None,
    config: Config = HERE,
) -> None:
    """Call the contract in force with arguments as its page in docs/markets has them.

    gridtally-hub order call deposit member=ann amount_utok=5000000 --key bank.pem

    gridtally-hub order call buy sale=7f3a... energy_uwh=2000000 --key ann.pem
    """
    from keys.trading import read_arguments

    try:
        given = read_arguments(arguments or ())
    except ValueError as error:
        fail(str(error), os.EX_USAGE)
    with told():
        answer = _served(_trader(config, key, None).call(method, given)).answer or {}
        for name, value in sorted(answer.items()):
            print(f"{name}: {value.hex() if isinstance(value, bytes) else value}")


@order.command("list", short_help="What waits in the book, and what became of orders.")
def show(
    key: Key,
    limit: Annotated[int, typer.Option(help="How many that are over.")] = FATES_SHOWN,
    salts: Salt = None,
    config: Config = HERE,
) -> None:
    """Print a member's orders: those that wait, those sealed here, and the newest that are over.

    gridtally-hub order list --key ann.pem
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.ordering.desk import OrderDesk
        from hub.ordering.showing import fate_line, laid_line, sealed_line
        from keys.stores import open_signer

        signer, desk = open_signer(key), OrderDesk(loaded(config))
        member = desk.member(signer)
        for laid in desk.book(member):
            print(laid_line(laid))
        for sealed in desk.trader(signer, salts).sealed:
            print(sealed_line(sealed))
        for fate in desk.fates(member, limit):
            print(fate_line(fate))


def market(config: Config = HERE) -> None:
    """Print the market in force with its parameters and gate, then those that are to come.

    gridtally-hub market
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.ordering.desk import OrderDesk
        from hub.ordering.showing import market_lines

        for line in market_lines(OrderDesk(loaded(config)).markets()):
            print(line)


def _place(trader: Trader, wish: Wish, slot: str, fee_utok: int, *, leave: bool) -> None:
    with told():
        slot_ms = trader.slot_of(slot, instant)
        placed = _served(trader.order(wish, slot_ms, fee_utok))
        print(placed.call_id.hex())
        if trader.is_sealed(placed) and not leave:
            print("sealed; staying to reveal it. Ctrl-C, and `order reveal` later", file=sys.stderr)
            _stay(trader)


def _stay(trader: Trader) -> None:
    for done in trader.stay(lambda: time.sleep(LOOK_EVERY_S)):
        print(done.sentence, file=sys.stderr)


def _served(answer: Told) -> Told:
    if answer.reason:
        fail(f"refused: {answer.reason}", os.EX_NOPERM)
    return answer


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _trader(config: Path, key: str, salts: Path | None) -> Trader:
    log_to_stderr(verbose=False)
    with told():
        from hub.ordering.desk import OrderDesk
        from keys.stores import open_signer

        return OrderDesk(loaded(config)).trader(open_signer(key), salts)
