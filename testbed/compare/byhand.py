"""Clear one book of orders by hand: a CSV in, the contract's own clearing and four checks out.

Columns: side (bid or ask), member, energy_uwh, price_utok_per_kwh; area and prefers (members, the
dearest first, with ; between) may be left out, and count only where options are given: even a
contract that pairs by area, as `hybrid_p2p` does, then takes all for one. There are no meters and
no accounts behind such a book: every order is good for all of its energy, and everybody can pay.

A contract that looks at no order, such as `dep_balance`, gets each member's bids as what he lacks
and his asks as what he has over, and the tariff as its price.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hub.core.clearing import Contracts
from hub.core.settlement import settlement
from hub.market.checks import Checks
from hub.market.contract import (
    ASK,
    BID,
    STEPS_PER_RUN,
    Clearing,
    Order,
    Position,
    SlotBook,
    StepBudget,
    Tariff,
    Value,
)
from hub.market.errors import MarketError
from testbed.compare.community import START_MS
from testbed.compare.tally import in_general
from testbed.compare.tariff import load_prices
from testbed.errors import BadBook, BadComparison, BadHomesFile
from testbed.homes import FINDINGS_MAX, MORE_CELLS, csv_rows

COLUMNS = ("side", "member", "energy_uwh", "price_utok_per_kwh")
SLOT_LENGTH_MS = 3_600_000
STEPS_AN_ORDER = 200
"""On top of what a slot of a hub has: a book by hand may be larger than any community."""
ENERGY_UWH_MAX = 10**18
BALANCE_UTOK = 10**17
"""What everybody has on his account: enough for any contract that asks."""
PRICE_MAX = 100_000_000
_WHOLE = re.compile(r"-?[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class ByHand:
    """What came of a book."""

    clearing: Clearing
    checks: Checks

    @property
    def price_utok_per_kwh(self) -> int | None:
        """The one price of all matches; None where there is none."""
        prices = {match.price_utok_per_kwh for match in self.clearing.matches}
        return prices.pop() if len(prices) == 1 else None

    @property
    def reasons(self) -> Counter[str]:
        """Why orders were not matched in full, numbers left out, and how many."""
        fates = self.clearing.fates
        return Counter(in_general(each.reason) for each in fates if each.reason)

    def figures(self) -> dict[str, object]:
        """Return what --json prints."""
        return {
            "matched_uwh": self.checks.matched_uwh,
            "price_utok_per_kwh": self.price_utok_per_kwh,
            "welfare_utok_uwh_per_kwh": self.checks.welfare_utok_uwh_per_kwh,
            "matches": len(self.clearing.matches),
            "checks": dict(self.checks.passed),
        }


def read_orders(path: Path) -> tuple[Order, ...]:
    """Return a book's orders; BadBook names every malformed row by its line."""
    findings: list[str] = []
    orders: list[Order] = []
    try:
        for line, fields in csv_rows(path, COLUMNS):
            faults = [*_faults(fields)]
            findings += [f"{path}:{line}: {fault}" for fault in faults]
            if not faults:
                orders.append(_order(len(orders), line, fields))
    except BadHomesFile as error:
        raise BadBook(str(error)) from None
    if findings:
        more = len(findings) - FINDINGS_MAX
        told = findings[:FINDINGS_MAX] + ([f"and {more} more"] if more > 0 else [])
        raise BadBook("\n".join(told))
    if not orders:
        raise BadBook(f"{path}: no order in it, only the header line")
    return tuple(orders)


def _faults(fields: Mapping[str, str | None]) -> list[str]:
    side, member, energy, price = ((fields[name] or "").strip() for name in COLUMNS)
    found = []
    if side not in (BID, ASK):
        found.append(f"side is {side!r}, wanted bid or ask")
    if not member or member.startswith("@"):
        found.append(f"member is {member!r}, wanted a name without @ before it")
    if not _WHOLE.fullmatch(energy) or not 0 <= int(energy) <= ENERGY_UWH_MAX:
        found.append(f"energy_uwh is {energy!r}, wanted a whole number from 0 up")
    if not _WHOLE.fullmatch(price) or abs(int(price)) > PRICE_MAX:
        found.append(f"price_utok_per_kwh is {price!r}, wanted a whole number up to {PRICE_MAX}")
    if MORE_CELLS in fields:
        found.append(MORE_CELLS)
    return found


def _order(sequence: int, line: int, fields: Mapping[str, str | None]) -> Order:
    side, member, energy, price = ((fields[name] or "").strip() for name in COLUMNS)
    prefers = fields.get("prefers") or ""
    return Order(
        member,
        side,
        int(energy),
        int(price),
        sequence,
        member,
        (fields.get("area") or "").strip(),
        tuple(name for part in prefers.split(";") if (name := part.strip())) if prefers else (),
        order_id=f"line {line}",
    )


def read_options(texts: Sequence[str]) -> dict[str, Value]:
    """Return parameters from K=V; a whole number is one, all else is text."""
    found: dict[str, Value] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise BadComparison(f"--option {text}: wanted NAME=VALUE")
        found[key] = int(value) if _WHOLE.fullmatch(value) else value
    return found


def clear_by_hand(
    name: str,
    orders: tuple[Order, ...],
    parameters: Mapping[str, Value],
    tariff: Path | None,
    contracts: Contracts,
) -> ByHand:
    """Clear a book with a contract; BadComparison says why it cannot."""
    if name not in contracts:
        raise BadComparison(f"no contract {name!r}; there are {', '.join(sorted(contracts))}")
    contract = contracts[name]()
    if not parameters:
        orders = tuple(each._replace(area="", prefers=()) for each in orders)
    book = SlotBook(
        slot_ms=START_MS,
        length_ms=SLOT_LENGTH_MS,
        positions=(),
        tariff=_tariff(orders, tariff),
        parameters=parameters,
        memory={},
        orders=orders,
        balances={each.member: BALANCE_UTOK for each in orders},
    )
    budget = StepBudget(STEPS_PER_RUN + STEPS_AN_ORDER * len(orders))
    try:
        contract.check(parameters)
        clearing = contract.clear(book, budget)
        if not clearing.fates and not clearing.matches:
            book = _with_positions(book)
            clearing = contract.clear(book, budget)
    except MarketError as error:
        raise BadComparison(str(error)) from None
    return ByHand(clearing, settlement(book, clearing).checks)


def _tariff(orders: Sequence[Order], path: Path | None) -> Tariff:
    """Return the grid's prices at midnight; without a file such as bind no order of the book."""
    if path is not None:
        return load_prices(path).at(START_MS)
    prices = [order.price_utok_per_kwh for order in orders]
    low, high = min(prices), max(prices)
    return Tariff(max(high + 1, 0), max(low, 0), min(low, 0), PRICE_MAX)


def _with_positions(book: SlotBook) -> SlotBook:
    """Return the book of a contract that takes no orders: what they ask for as what meters show."""
    sums: dict[str, list[int]] = {}
    for order in book.orders:
        row = sums.setdefault(order.member, [0, 0])
        row[order.side == BID] += order.energy_uwh or 0
    positions = tuple(
        Position(member, member, member, generated, consumed)
        for member, (generated, consumed) in sorted(sums.items())
    )
    return replace(book, positions=positions, orders=())
