"""Markets and orders as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Final

from hub.ledger.books import FateRow
from hub.market.orderbook import Laid
from hub.ordering.market import MarketView
from messages.orders import SealedOrder, Wish
from messages.regulating import UNBOUND, Regulation
from messages.timetext import format_time


def market_lines(found: Iterable[MarketView]) -> Iterator[str]:
    """Yield the market in force and those to come, each with its parameters below it."""
    for number, market in enumerate(found):
        begins = "in force since slot" if number == 0 else "from slot"
        start = format_time(market.from_slot_ms)
        yield f"{market.contract}, {begins} {start}, entry {market.entry_index}"
        if market.book:
            yield f"  {market.book} book; the gate of a slot closes {_gate(market.gate_slots)}"
        for name, value in sorted(market.parameters.items()):
            yield f"  {name} = {value!r}"
        yield from map("  {}".format, _binding(market.regulation))


def _binding(rules: Regulation) -> Iterator[str]:
    """Yield what of the regulator's binds a market."""
    for name, value in asdict(rules).items():
        if name not in ("mix", "premiums") and value != getattr(UNBOUND, name):
            yield f"regulator: {_SHOWN.get(name, name)} = {value!r}"
    for mix in rules.mix:
        unmet = f", else {mix.unmet_utok_per_kwh} utok per kWh" if mix.unmet_utok_per_kwh else ""
        yield f"regulator: {mix.share_percent} % {mix.fuel} at least{unmet}"
    for premium in rules.premiums:
        above = f" beyond {premium.above_uwh} uWh a slot" if premium.above_uwh else ""
        yield f"regulator: {premium.utok_per_kwh} utok per kWh of {premium.fuel}{above}"


_SHOWN: Final[Mapping[str, str]] = {"fee_utok_per_kwh": "network_fee_utok_per_kwh"}


def laid_line(order: Laid) -> str:
    """Say what waits in the book."""
    if order.price_utok_per_kwh is None:
        return f"{order.order_id} sealed, for slot {format_time(order.from_ms)}"
    wish = Wish(order.side, order.energy_uwh, order.price_utok_per_kwh)
    until = "until withdrawn" if order.until_ms is None else f"before {format_time(order.until_ms)}"
    since = f"in slots from {format_time(order.from_ms)} " if order.from_ms else ""
    return f"{order.order_id} {_wish(wish)}, {since}{until}"


def sealed_line(order: SealedOrder) -> str:
    """Say what is sealed on this machine, and when it is revealed."""
    return (
        f"{order.order_id} sealed here: {_wish(order.wish)}, for slot "
        f"{format_time(order.slot_ms)}; revealed once slot {format_time(order.gate_ms)} has closed"
    )


def fate_line(fate: FateRow) -> str:
    """Say what became of an order in a slot."""
    got = f"{fate.matched_uwh} of {fate.energy_uwh} uWh matched"
    if fate.side == "sealed":
        return f"{format_time(fate.slot_ms)} {fate.order_id} sealed: {fate.reason}"
    limit = f"{fate.side} at {fate.price_utok_per_kwh} utok per kWh"
    reason = f": {fate.reason}" if fate.reason else ""
    return f"{format_time(fate.slot_ms)} {fate.order_id} {limit}, {got}{reason}"


def _wish(wish: Wish) -> str:
    energy = "all its meter shows" if wish.energy_uwh is None else f"{wish.energy_uwh} uWh"
    return f"{wish.side} {energy} at {wish.price_utok_per_kwh} utok per kWh"


def _gate(slots: int) -> str:
    if slots == 0:
        return "with the slot itself"
    return "with the slot before it" if slots == 1 else f"with the {slots}th slot before it"
