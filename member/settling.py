"""How energy becomes money, written a second time: a doubter who asked the hub would believe it.

Integers only, one rounding rule: half to even, once a deal. Nothing here reads a proof; what comes
in is proven already, and what does not follow from it is told in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from member.errors import Code, Refused
from messages.entries import Epoch
from messages.reading import Reading
from messages.regulating import Regulation
from messages.slots import minute_of_day
from messages.statement import (
    CORRECTION,
    ESTIMATED,
    GRID,
    METERED,
    PURCHASE,
    SALE,
    SPILLED,
    TRANSFER,
    BillRow,
    Energy,
    Line,
    SlotRow,
)

KWH_UWH: Final = 1_000_000_000
CORRECTED: Final = "corrected"


class Prices(NamedTuple):
    """What energy costs and what feeding in earns, in one slot. [utok per kWh]"""

    price: int
    feed_in: int


class Pair(NamedTuple):
    """Two registers of a meter and the new beginnings between them, in order."""

    first: Reading
    epochs: tuple[Epoch, ...]
    second: Reading


def require(holds: bool, sentence: str) -> None:
    """Refuse what does not follow, with the sentence that says what."""
    if not holds:
        raise Refused(Code.ARITHMETIC, sentence)


def amount_utok(energy_uwh: int, price_utok_per_kwh: int) -> int:
    """Return what an energy costs, rounded half to even.

    >>> amount_utok(1_500_000_000, 1), amount_utok(2_500_000_000, 1), amount_utok(7, 200_000)
    (2, 2, 0)
    """
    whole, rest = divmod(energy_uwh * price_utok_per_kwh, KWH_UWH)
    return whole + (2 * rest > KWH_UWH or (2 * rest == KWH_UWH and whole % 2 == 1))


def price_at(schedule: Sequence[tuple[int, int]], slot_ms: int) -> int:
    """Return the price of a schedule (minute of the day UTC, price) at a slot's start."""
    minute = minute_of_day(slot_ms)
    found = [price for start, price in schedule if start <= minute]
    require(bool(found), f"the policy has no price for minute {minute} of the day")
    return found[-1]


def slot_energy(pair: Pair, slot_ms: int, length_ms: int) -> tuple[int, int, bool]:
    """Return (import, export, whether it was shared out) of one slot between two registers.

    What registers further apart than a slot show is shared out equally over the slots between
    them, the remainder of the division going to the later ones.
    """
    first, second = pair.first, pair.second
    require(first.at_ms < second.at_ms, "the registers do not follow each other")
    span = second.at_ms - first.at_ms
    before = slot_ms - first.at_ms
    is_within = before >= 0 and slot_ms + length_ms <= second.at_ms
    require(is_within and not span % length_ms and not before % length_ms, "not of this slot")
    number, count = before // length_ms, span // length_ms
    imported = _grown(pair, first.import_uwh, second.import_uwh, imports=True)
    exported = _grown(pair, first.export_uwh, second.export_uwh, imports=False)
    return _share(imported, number, count), _share(exported, number, count), count > 1


def _grown(pair: Pair, old: int | None, new: int | None, *, imports: bool) -> int:
    """Return what a total grew by, over its new beginnings."""
    numbers = [epoch.epoch for epoch in pair.epochs]
    wanted = list(range(pair.first.epoch + 1, pair.second.epoch + 1))
    require(
        numbers == wanted, f"between the registers epochs {wanted} have to begin, not {numbers}"
    )
    if old is None or new is None:
        return 0
    grown = new - old
    for epoch in pair.epochs:
        last = epoch.last_import_uwh if imports else epoch.last_export_uwh
        first = epoch.first_import_uwh if imports else epoch.first_export_uwh
        if last is None or first is None:
            raise Refused(Code.ARITHMETIC, "nobody knows where a total stopped")
        grown += last - first
    require(grown >= 0, "a total fell between the registers")
    return grown


def _share(total: int, number: int, count: int) -> int:
    return total * (number + 1) // count - total * number // count


# --- a slot -------------------------------------------------------------------------------------


def check_position(bill: BillRow) -> int:
    """Check that a position sums up the settled meters, and return the account's net energy."""
    rows = [row for row in bill.energies if row.is_settled]
    if not rows and not bill.positions:
        return 0
    require(len(bill.positions) == 1, "a bill has one position")
    position = bill.positions[0]
    generated, consumed = sum(r.export_uwh for r in rows), sum(r.import_uwh for r in rows)
    told = (position.generated_uwh, position.consumed_uwh)
    require(told == (generated, consumed), f"the meters show {(generated, consumed)}, not {told}")
    is_estimated = any(row.quality != METERED for row in rows)
    require(position.estimated == is_estimated, "the position hides an estimate, or claims one")
    largest = (_largest(rows, exports=True), _largest(rows, exports=False))
    named = (position.export_meter, position.import_meter)
    require(named == largest, f"the largest meters are {largest}, not {named}")
    return generated - consumed


def _largest(rows: Iterable[Energy], *, exports: bool) -> str:
    found = sorted((-(r.export_uwh if exports else r.import_uwh), r.meter_id) for r in rows)
    return found[0][1] if found else ""


def check_lines(bill: BillRow, net_uwh: int) -> None:
    """Check that the lines of a bill are its matches and remainders at their prices, no more.

    Every net energy is dealt with exactly once; what remains are transfers of a contract.
    """
    expected, given, taken = _dealt_lines(bill)
    require(
        (given, taken) == (max(net_uwh, 0), max(-net_uwh, 0)),
        f"{bill.account} has {net_uwh} uWh net, but gives {given} and takes {taken}",
    )
    head, tail = bill.lines[: len(expected)], bill.lines[len(expected) :]
    require(len(head) == len(expected), f"{len(expected)} lines follow, {len(head)} are there")
    for line, follows in zip(head, expected, strict=True):
        require(replace(line, quality="") == follows, f"a line says {line}, it follows {follows}")
        is_told = line.quality == ESTIMATED or not any(p.estimated for p in bill.positions)
        require(is_told, f"the {line.kind} with {line.counterparty} hides an estimate")
    for line in tail:
        is_transfer = (line.kind, line.energy_uwh, line.price_utok_per_kwh) == (TRANSFER, 0, 0)
        require(is_transfer, f"no match explains the {line.kind} with {line.counterparty}")


def check_account_lines(lines: Iterable[Line]) -> None:
    """Check the lines of an account without meters: each amount is its energy at its price."""
    for line in lines:
        if line.kind != TRANSFER:
            amount = amount_utok(line.energy_uwh, line.price_utok_per_kwh)
            due = -amount if line.kind == PURCHASE else amount
            require(line.amount_utok == due, f"{line.amount_utok} utok, where {due} are due")


def _dealt_lines(bill: BillRow) -> tuple[list[Line], int, int]:
    """Return the lines that follow from matches and remainders; energy given, energy taken."""
    account, lines = bill.account, list[Line]()
    sides = {SALE: 0, PURCHASE: 0}
    surplus = any(p.generated_uwh > p.consumed_uwh for p in bill.positions)

    def deal(kind: str, other: str, energy: int, price: int) -> None:
        sides[kind] += energy
        if other != SPILLED:
            amount = amount_utok(energy, price) * (1 if kind == SALE else -1)
            lines.append(Line(account, kind, other, energy, price, amount, ""))

    for priced in bill.matches:
        match = priced.match
        amount = amount_utok(match.energy_uwh, match.price_utok_per_kwh)
        require(priced.amount_utok == amount, f"a match of {amount} utok says {priced.amount_utok}")
        require(account in (match.seller, match.buyer), "a match of others stands on this bill")
        is_sale = match.seller == account
        other = match.buyer if is_sale else match.seller
        deal(SALE if is_sale else PURCHASE, other, match.energy_uwh, match.price_utok_per_kwh)
    for row in bill.remainders:
        require(row.member == account, "a remainder of others stands on this bill")
        deal(SALE if surplus else PURCHASE, row.route, row.energy_uwh, row.price_utok_per_kwh)
    return lines, sides[SALE], sides[PURCHASE]


def check_prices(slot: SlotRow, bill: BillRow, bounds: Regulation) -> None:
    """Check that no match leaves floor and cap of the policy, and the prices that a rule fixes.

    Those are the prices of the fallback, and of the balancing market.

    Prices that a contract finds by itself are proven results, and an audit's to recompute.
    """
    tariff = Prices(slot.price_utok_per_kwh, slot.feed_in_utok_per_kwh)
    low, high = bounds.floor_utok_per_kwh, bounds.cap_utok_per_kwh
    for priced in bill.matches:
        price = priced.match.price_utok_per_kwh
        is_within = not price or low <= price <= high
        require(is_within, f"a match at {price} leaves floor and cap, {low} and {high}")
    if slot.failure:
        require(not bill.matches, "a slot that failed is settled with the grid alone")
        routes = {row.route for row in bill.remainders}
        require(routes <= {GRID}, "a slot that failed is settled with the grid alone")
    elif slot.contract != "dep_balance":
        return
    surplus = any(p.generated_uwh > p.consumed_uwh for p in bill.positions)
    for row in bill.remainders:
        fixed = tariff.feed_in if surplus else tariff.price
        fixed = 0 if row.route == SPILLED else fixed
        require(row.price_utok_per_kwh == fixed, f"the tariff is {fixed} utok per kWh")
    for priced in bill.matches:
        found, fixed = priced.match.price_utok_per_kwh, min(max(tariff.price, low), high)
        require(found == fixed, f"the tariff is {fixed}, the match has {found}")


# --- corrections --------------------------------------------------------------------------------


def correction_lines(account: str, old_uwh: int, new_uwh: int, prices: Prices) -> tuple[Line, ...]:
    """Return the account's lines that turn one net energy of a slot into another."""
    legs = (
        (max(-old_uwh, 0), max(-new_uwh, 0), prices.price, -1),
        (max(old_uwh, 0), max(new_uwh, 0), prices.feed_in, 1),
    )
    return tuple(
        Line(
            account,
            CORRECTION,
            GRID,
            sign * (new - old),
            price,
            sign * (amount_utok(new, price) - amount_utok(old, price)),
            CORRECTED,
        )
        for old, new, price, sign in legs
        if old != new
    )


def check_loose_correction(lines: Iterable[Line], prices: Prices) -> None:
    """Check the lines of a correction whose estimate stands in an earlier statement.

    Amounts are differences of rounded totals, so each may be one micro-token beside its energy.
    """
    for line in lines:
        require(line.kind == CORRECTION, f"a {line.kind} stands among corrections")
        require(line.price_utok_per_kwh in prices, "the price is not the tariff of that slot")
        due = amount_utok(line.energy_uwh, line.price_utok_per_kwh)
        require(abs(line.amount_utok - due) <= 1, f"{line.amount_utok} utok, where {due} are due")
