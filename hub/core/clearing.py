"""Run a market contract on a slot, and trust it with nothing.

A contract that raises, uses more steps than it has, or returns energy or money out of nothing has
failed: its slot is settled by the fallback, everything with the grid at the tariff, and the reason
goes on record. The reason is the same on every machine, so it quotes only texts of our own errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from hub.core.memory import check_memory
from hub.market.contract import (
    ACCOUNTS,
    ASK,
    BID,
    GRID,
    PRICE_UTOK_PER_KWH_MAX,
    SEALED,
    SPILLED,
    STORAGE,
    SUPPLIER,
    Clearing,
    Contract,
    Curtailment,
    Fate,
    Position,
    SlotBook,
    StepBudget,
    Tariff,
    Transfer,
    Value,
)
from hub.market.errors import ImpossibleClearing, MarketError, UnknownContract
from hub.market.orderbook import left_behind
from hub.market.regulated import regulated
from hub.market.rest import held_back, rest_to_grid

Contracts = Mapping[str, Callable[[], Contract]]

ROUTES: Final = (GRID, SUPPLIER, STORAGE, SPILLED)
_ANY: Final = Tariff(0, 0, -PRICE_UTOK_PER_KWH_MAX, PRICE_UTOK_PER_KWH_MAX)
"""Bounds of what accounts of no member pay and ask: theirs are the tariff's."""
AMOUNT_UTOK_MAX: Final = 10**15
ENERGY_UWH_MAX: Final = 10**15
"""A GWh in one slot: sums over a thousand members still fit into 64 bits."""
WORDS_CHARS_MAX: Final = 500
ORDER_ID_CHARS_MAX: Final = 64


def clear(book: SlotBook, name: str, contracts: Contracts) -> tuple[Clearing, str]:
    """Return a slot's clearing and why it is the fallback; "" where it is the contract's own."""
    try:
        budget = StepBudget()
        clearing = _contract(name, contracts).clear(book, budget)
        budget.spend(0)  # one that caught the refusal itself has spent too much all the same
        clearing = regulated(book, clearing)
        check_clearing(book, clearing)
    except MemoryError:
        raise  # this machine's fault, not the contract's: another one would settle otherwise
    except MarketError as error:
        return fallback(book), str(error)
    except (Exception, SystemExit) as error:
        return fallback(book), f"contract {name} raised {type(error).__name__}"
    return clearing, ""


def fallback(book: SlotBook) -> Clearing:
    """Settle every member with the grid alone, at the tariff."""
    return Clearing(remainders=rest_to_grid(book, ()), curtailments=held_back(book.positions))


def orders_left(
    memory: Mapping[str, Value], counts_in: Callable[[int], bool], reason: str
) -> tuple[tuple[Fate, ...], dict[str, Value]]:
    """Return what becomes of orders whose market ends; nothing where its rows are no orders."""
    rows = {key: value for key, value in sorted(memory.items()) if value is not None}
    try:
        fates, changed = left_behind(rows, counts_in, reason)
        _check_fates(fates, {fate.member: fate for fate in fates})
    except (TypeError, ValueError, ImpossibleClearing):
        return (), {}
    return fates, changed


def check_clearing(book: SlotBook, clearing: Clearing) -> None:
    """Raise ImpossibleClearing unless each member's net energy is dealt with, exactly once."""
    positions = {p.member: p for p in book.positions}
    gives = dict.fromkeys(positions, 0)
    takes = dict.fromkeys(positions, 0)
    for match in clearing.matches:
        _check_row(match.energy_uwh, match.price_utok_per_kwh, book.tariff)
        if match.seller == match.buyer or not {match.seller, match.buyer} <= positions.keys():
            raise ImpossibleClearing(f"{match.seller!r} cannot sell to {match.buyer!r}")
        gives[match.seller] += match.energy_uwh
        takes[match.buyer] += match.energy_uwh
    for row in clearing.remainders:
        _check_row(row.energy_uwh, row.price_utok_per_kwh, _ANY)
        position = positions.get(row.member)
        if position is None or row.route not in ROUTES:
            raise ImpossibleClearing(f"nothing can go from {row.member!r} to {row.route!r}")
        side = gives if position.surplus_uwh else takes
        side[row.member] += row.energy_uwh
    for position in book.positions:
        _check_sides(position, gives[position.member], takes[position.member])
    for transfer in clearing.transfers:
        check_transfer(transfer, {**book.balances, **positions})
    _check_curtailments(clearing.curtailments, positions)
    _check_fates(clearing.fates, positions)
    check_memory(book.memory, clearing.memory)


def check_transfer(transfer: Transfer, members: Mapping[str, object]) -> None:
    """Raise ImpossibleClearing unless known accounts move a whole, bounded amount."""
    for account in (transfer.payer, transfer.payee):
        if account not in members and account not in ACCOUNTS:
            raise ImpossibleClearing(f"there is no account {account!r}")
    if type(transfer.amount_utok) is not int or not 0 <= transfer.amount_utok <= AMOUNT_UTOK_MAX:
        raise ImpossibleClearing("an amount is a whole number of micro-tokens, 0 or more")
    _check_words(transfer.reason, "a transfer's reason")


def _contract(name: str, contracts: Contracts) -> Contract:
    if name not in contracts:
        raise UnknownContract(f"no contract {name!r} is installed here")
    return contracts[name]()


def _check_row(energy_uwh: object, price: object, bounds: Tariff) -> None:
    if type(energy_uwh) is not int or energy_uwh <= 0:
        raise ImpossibleClearing("energy is a whole number of uWh above 0")
    low, high = bounds.floor_utok_per_kwh, bounds.cap_utok_per_kwh
    if type(price) is not int or (price and not low <= price <= high):
        raise ImpossibleClearing("a price is a whole number of utok per kWh within its bounds")


def _check_sides(position: Position, gives_uwh: int, takes_uwh: int) -> None:
    if (gives_uwh, takes_uwh) != (position.surplus_uwh, position.deficit_uwh):
        raise ImpossibleClearing(
            f"{position.member} has {position.surplus_uwh} uWh over and lacks "
            f"{position.deficit_uwh}, but gives {gives_uwh} and takes {takes_uwh}"
        )


def _check_curtailments(rows: tuple[Curtailment, ...], positions: Mapping[str, object]) -> None:
    for row in rows:
        if row.member not in positions:
            raise ImpossibleClearing(f"nothing was kept from {row.member!r}")
        for number in row[1:]:
            if type(number) is not int or not 0 <= number <= ENERGY_UWH_MAX:
                raise ImpossibleClearing(
                    "what was wanted and had is a whole number of uWh, 0 or more"
                )


def _check_fates(rows: tuple[Fate, ...], positions: Mapping[str, object]) -> None:
    for row in rows:
        if row.member not in positions or row.side not in (BID, ASK, SEALED):
            raise ImpossibleClearing(f"{row.member!r} has no order to {row.side!r}")
        numbers = (row.energy_uwh, row.price_utok_per_kwh, row.matched_uwh)
        if any(type(number) is not int or abs(number) >= 2**63 for number in numbers):
            raise ImpossibleClearing("an order counts in whole numbers")
        if not 0 <= row.matched_uwh <= row.energy_uwh:
            raise ImpossibleClearing("an order is matched up to its energy")
        _check_words(row.order_id, "an order's id", ORDER_ID_CHARS_MAX)
        _check_words(row.reason, "what became of an order")


def _check_words(text: object, what: str, chars_max: int = WORDS_CHARS_MAX) -> None:
    """Raise ImpossibleClearing unless a text can stand in the books and in results."""
    if type(text) is not str or len(text) > chars_max or not _is_writable(text):
        raise ImpossibleClearing(f"{what} is told in words, at most {chars_max} characters")


def _is_writable(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" or char == "\0" for char in text)
