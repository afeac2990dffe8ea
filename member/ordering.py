"""A member's orders from his own machine: the verbs of `gridtally-member` that trade.

The same words as `gridtally-hub order`, over HTTP, by the member's own key; `keys.trading` does
what both have in common.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from keys.salts import Salts
from keys.trading import Told, Trader, read_arguments
from member.calling import HubClient
from member.errors import HubRefused
from messages.jsontext import format_json
from messages.orders import Argument, Market, Wish

LOOK_EVERY_S: Final = 1.0


class WebCounter:
    """A hub's web process, as `keys.trading.Trader` asks it."""

    def __init__(self, hub: HubClient) -> None:
        self._hub = hub

    def market(self, slot_ms: int | None) -> Market:
        """Return the market of a slot, None: of the one that closes next."""
        found: Mapping[str, Any] = self._hub.view("market")
        at_ms = max(found["next_slot_ms"], slot_ms or 0)
        begun = [row for row in found["markets"] if row["from_slot_ms"] <= at_ms]
        if not begun:
            raise HubRefused(f"no policy is in force in slot {at_ms}")
        row = begun[-1]
        return Market(
            contract=str(row["contract"]),
            book=str(row["book"]),
            gate_slots=int(row["gate_slots"]),
            next_slot_ms=int(found["next_slot_ms"]),
            slot_ms=int(found["slot_ms"]),
        )

    def hand_in(self, raw: bytes, call_id: bytes) -> Told:
        """Hand in a signed call and wait for what becomes of it."""
        became = self._hub.hand_in(raw, call_id)
        return Told(call_id, became["reason"], became.get("answer"))


def add_verbs(verb: Callable[..., argparse.ArgumentParser], instant: Callable[[str], int]) -> None:
    """Add the verbs that trade; `verb(name, serve, about)` adds one."""

    def place(hub: HubClient, options: argparse.Namespace) -> None:
        trader = _trader(hub, options)
        slot_ms = trader.slot_of(options.slot, instant)
        placed = _served(trader.order(_wish(options), slot_ms, options.fee_utok))
        print(placed.call_id.hex())
        if trader.is_sealed(placed) and not options.leave:
            print("sealed; staying to reveal it. Ctrl-C, and `reveal` later", file=sys.stderr)
            _stay(trader)

    for side, about in (("bid", "Offer to buy at PRICE at most."), ("ask", "Offer to sell.")):
        one = verb(side, place, about)
        one.add_argument("price", metavar="PRICE", type=int, help="The limit. [utok per kWh]")
        one.add_argument("--energy-uwh", type=int, help="At most; default: all the meter shows.")
        one.add_argument(
            "--slot",
            default="",
            help="The slot's start, or next: the first whose gate is open; without it the order "
            "stands until it is withdrawn.",
        )
        one.add_argument("--leave", action="store_true", help="Sealed: do not stay to reveal it.")
        _add_fee(one)
        _add_salts(one)
        one.set_defaults(side=side, prefers="", fuels="", areas="")
        if side == "bid":
            one.add_argument("--prefers", metavar="NAMES", help="Sellers, dearest first: ann,bob.")
            one.add_argument("--fuels", metavar="NAMES", help="The only fuels taken.")
            one.add_argument("--areas", metavar="NAMES", help="The only areas taken.")
    one = verb("withdraw", _withdraw, "Take an order back from slots whose gate is open.")
    one.add_argument("order", metavar="ORDER", help="The order's id.")
    _add_fee(one)
    one = verb("reveal", _reveal, "Reveal the sealed orders that are due.")
    one.add_argument("--stay", action="store_true", help="Until none is left.")
    _add_salts(one)
    one = verb("call", _call, "Any other call to the contract in force: list, buy, deposit, ...")
    one.add_argument("method", metavar="METHOD", help="What the contract is asked.")
    one.add_argument("arguments", metavar="NAME=VALUE", nargs="*", help="Numbers, texts, hex:00ff.")
    verb("orders", _orders, "Print your orders: what waits, and what became of the others.")
    verb("market", _market, "Print which market is in force, and which is to come.")


def _add_fee(one: argparse.ArgumentParser) -> None:
    one.add_argument("--fee-utok", type=int, default=0, help="What the call pays, if it must.")


def _add_salts(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--salts",
        metavar="DIR",
        default=str(usual_salts()),
        help="Where sealed orders are kept until they are revealed.",
    )


def usual_salts() -> Path:
    """Return where sealed orders lie unless it is said: among the user's own state."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "gridtally" / "sealed-orders"


def _trader(hub: HubClient, options: argparse.Namespace) -> Trader:
    member = str(hub.view("orders")["member"])
    salts = Salts(Path(getattr(options, "salts", usual_salts())))
    return Trader(WebCounter(hub), hub.signer, hub.network_id, member, salts)


def _wish(options: argparse.Namespace) -> Wish:
    names = [
        tuple(name.strip() for name in (text or "").split(",") if name.strip())
        for text in (options.prefers, options.fuels, options.areas)
    ]
    return Wish(options.side, options.energy_uwh, options.price, *names)


def _withdraw(hub: HubClient, options: argparse.Namespace) -> None:
    arguments: dict[str, Argument] = {"order": options.order}
    if options.fee_utok:
        arguments["fee_utok"] = options.fee_utok
    _served(_trader(hub, options).call("withdraw", arguments))


def _reveal(hub: HubClient, options: argparse.Namespace) -> None:
    trader = _trader(hub, options)
    if options.stay:
        _stay(trader)
        return
    for done in trader.tend():
        print(done.sentence, file=sys.stderr)


def _call(hub: HubClient, options: argparse.Namespace) -> None:
    told = _trader(hub, options).call(options.method, read_arguments(options.arguments))
    print(format_json(dict(_served(told).answer or {})), end="")


def _orders(hub: HubClient, _options: argparse.Namespace) -> None:
    print(format_json(hub.view("orders")), end="")


def _market(hub: HubClient, _options: argparse.Namespace) -> None:
    print(format_json(hub.view("market")), end="")


def _stay(trader: Trader) -> None:
    for done in trader.stay(lambda: time.sleep(LOOK_EVERY_S)):
        print(done.sentence, file=sys.stderr)


def _served(told: Told) -> Told:
    if told.reason:
        raise HubRefused(told.reason)
    return told
