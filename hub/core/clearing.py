"""Run a market contract on a slot, and trust it with nothing.

A contract that raises, uses more steps than it has, or returns energy or money out of nothing has
failed: its slot is settled by the fallback, everything with the grid at the tariff, and the reason
goes on record. The reason is the same on every machine, so it quotes only texts of our own errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from hub.core.pricing import PRICE_UTOK_PER_KWH_MAX
from hub.market.contract import (
    GRID,
    SPILLED,
    STORAGE,
    SUPPLIER,
    Clearing,
    Contract,
    Curtailment,
    Position,
    Remainder,
    SlotBook,
    StepBudget,
    Transfer,
    Value,
)
from hub.market.errors import ImpossibleClearing, MarketError, UnknownContract
from messages import cbor

Contracts = Mapping[str, Callable[[], Contract]]

ROUTES: Final = (GRID, SUPPLIER, STORAGE, SPILLED)
MEMORY_BYTES_MAX: Final = 1 << 20
AMOUNT_UTOK_MAX: Final = 10**15


def clear(book: SlotBook, name: str, contracts: Contracts) -> tuple[Clearing, str]:
    """Return a slot's clearing and why it is the fallback; "" where it is the contract's own."""
    try:
        clearing = _contract(name, contracts).clear(book, StepBudget())
        check_clearing(book, clearing)
    except MemoryError:
        raise  # this machine's fault, not the contract's: another one would settle otherwise
    except MarketError as error:
        return fallback(book), str(error)
    except Exception as error:
        return fallback(book), f"contract {name} raised {type(error).__name__}"
    return clearing, ""


def fallback(book: SlotBook) -> Clearing:
    """Settle every member with the grid alone, at the tariff."""
    rows: list[Remainder] = []
    for p in book.positions:
        if p.surplus_uwh:
            rows.append(Remainder(p.member, GRID, p.surplus_uwh, book.tariff.feed_in_utok_per_kwh))
        if p.deficit_uwh:
            rows.append(Remainder(p.member, GRID, p.deficit_uwh, book.tariff.price_utok_per_kwh))
    return Clearing(
        remainders=tuple(rows),
        curtailments=tuple(
            Curtailment(p.member, p.wanted_uwh, p.consumed_uwh, p.held_uwh, 0)
            for p in book.positions
            if p.held_uwh
        ),
    )


def check_clearing(book: SlotBook, clearing: Clearing) -> None:
    """Raise ImpossibleClearing unless each member's net energy is dealt with, exactly once."""
    positions = {p.member: p for p in book.positions}
    gives = dict.fromkeys(positions, 0)
    takes = dict.fromkeys(positions, 0)
    for match in clearing.matches:
        _check_row(match.energy_uwh, match.price_utok_per_kwh)
        if match.seller == match.buyer or not {match.seller, match.buyer} <= positions.keys():
            raise ImpossibleClearing(f"{match.seller!r} cannot sell to {match.buyer!r}")
        gives[match.seller] += match.energy_uwh
        takes[match.buyer] += match.energy_uwh
    for row in clearing.remainders:
        _check_row(row.energy_uwh, row.price_utok_per_kwh)
        position = positions.get(row.member)
        if position is None or row.route not in ROUTES:
            raise ImpossibleClearing(f"nothing can go from {row.member!r} to {row.route!r}")
        side = gives if position.surplus_uwh else takes
        side[row.member] += row.energy_uwh
    for position in book.positions:
        _check_sides(position, gives[position.member], takes[position.member])
    for transfer in clearing.transfers:
        check_transfer(transfer, positions)
    _check_curtailments(clearing.curtailments, positions)
    if clearing.memory is not None:
        check_memory(clearing.memory)


def check_transfer(transfer: Transfer, members: Mapping[str, object]) -> None:
    """Raise ImpossibleClearing unless known accounts move a whole, bounded amount."""
    for account in (transfer.payer, transfer.payee):
        if account not in members and account not in (GRID, SUPPLIER, STORAGE):
            raise ImpossibleClearing(f"there is no account {account!r}")
    if type(transfer.amount_utok) is not int or not 0 <= transfer.amount_utok <= AMOUNT_UTOK_MAX:
        raise ImpossibleClearing("an amount is a whole number of micro-tokens, 0 or more")
    if type(transfer.reason) is not str:
        raise ImpossibleClearing("a transfer has a reason in words")


def check_memory(memory: Mapping[str, Value]) -> None:
    """Raise ImpossibleClearing unless a contract's memory can stand in the state."""
    if not isinstance(memory, Mapping):
        raise ImpossibleClearing("a contract's memory is a map")
    _check_value(memory)
    size = len(cbor.encode(memory))
    if size > MEMORY_BYTES_MAX:
        raise ImpossibleClearing(f"a memory of {size} bytes, at most {MEMORY_BYTES_MAX} are kept")


def own_copy(values: Mapping[str, Value]) -> dict[str, Value]:
    """Return a copy all the way down: what a contract does to its own changes no state."""
    return {key: _copied(value) for key, value in values.items()}


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return own_copy(value)
    return tuple(_copied(item) for item in value) if isinstance(value, tuple) else value


def _contract(name: str, contracts: Contracts) -> Contract:
    if name not in contracts:
        raise UnknownContract(f"no contract {name!r} is installed here")
    return contracts[name]()


def _check_row(energy_uwh: object, price: object) -> None:
    if type(energy_uwh) is not int or energy_uwh <= 0:
        raise ImpossibleClearing("energy is a whole number of uWh above 0")
    if type(price) is not int or not 0 <= price <= PRICE_UTOK_PER_KWH_MAX:
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
        if any(type(number) is not int or number < 0 for number in row[1:]):
            raise ImpossibleClearing("what was wanted and had is a whole number of uWh, 0 or more")


def _check_value(value: Any) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if type(key) is not str or len(key.encode()) > 23:
                raise ImpossibleClearing("a memory's keys are texts of at most 23 bytes")
            _check_value(item)
    elif type(value) is tuple:
        for item in value:
            _check_value(item)
    elif type(value) is int:
        if not -(2**63) <= value < 2**63:
            raise ImpossibleClearing("a number in a memory has at most 64 bits")
    elif type(value) not in (str, bytes, bool, type(None)):
        raise ImpossibleClearing(f"a {type(value).__name__} cannot stand in a memory")
