"""The lines of a statement as people read them, each with the entries that it follows from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from messages.disputes import HELD
from messages.statement import (
    PURCHASE,
    SALE,
    TRANSFER,
    Block,
    Booked,
    DisputeRow,
    Line,
    PricedMatch,
    Statement,
    own_lines,
)


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a statement for people, with the entries it follows from.

    It was booked with the slot `slot_ms`; a correction is about an earlier one, `corrects_ms`.
    `number` counts the lines of a slot that can be disputed, from 1; 0 for all others, and `match`
    those of the slot's bill in which it was traded, 0 for none. `prices` are the entries of the
    policy and of the facts behind the slot's tariff. A step of a dispute is a line, also where it
    moves nothing of the account's.
    """

    slot_ms: int
    line: Line
    close: int
    header: int
    registers: tuple[int, ...] = ()
    prices: tuple[int, ...] = ()
    number: int = 0
    match: int = 0
    corrects_ms: int | None = None
    dispute: DisputeRow | None = None


def items(statement: Statement) -> Iterator[Item]:
    """Yield every line of a statement in the order in which it was booked."""
    for block in statement.blocks:
        number = 0
        for booked in block.booked:
            for item in _booked_items(statement.account, block, booked):
                number += booked.correction is not None
                yield replace(item, number=number if booked.correction else 0)
        for item in _billed_items(statement.account, block):
            number += 1
            yield replace(item, number=number)


def _booked_items(account: str, block: Block, booked: Booked) -> Iterator[Item]:
    row, source, correction = booked.row, booked.source, booked.correction
    lines = own_lines(row.lines if row else (), account)
    if booked.dispute and not lines:
        lines = (Line(account, TRANSFER, HELD, 0, 0, 0, booked.dispute.event),)
    for line in lines:
        yield Item(
            block.slot.slot_ms,
            line,
            block.slot.index,
            block.header,
            source.entries if source else (),
            _prices(booked.policy, booked.facts) if correction else (),
            corrects_ms=correction.slot_ms if correction else None,
            dispute=booked.dispute,
        )


def _billed_items(account: str, block: Block) -> Iterator[Item]:
    if block.bill is None:
        return
    registers = tuple(sorted({index for each in block.sources for index in each.entries}))
    prices = _prices(block.policy, block.facts)
    matches = dict(enumerate(block.bill.matches, 1))
    for line in own_lines(block.bill.lines, account):
        match = next((at for at, each in matches.items() if _is_of(line, each)), 0)
        matches.pop(match, None)
        slot = block.slot
        yield Item(slot.slot_ms, line, slot.index, block.header, registers, prices, match=match)


def _is_of(line: Line, priced: PricedMatch) -> bool:
    """Whether a line is the account's side of a match."""
    match = priced.match
    sides = {SALE: (match.seller, match.buyer), PURCHASE: (match.buyer, match.seller)}
    return sides.get(line.kind) == (line.account, line.counterparty) and (
        line.energy_uwh,
        abs(line.amount_utok),
    ) == (match.energy_uwh, priced.amount_utok)


def _prices(policy: int | None, facts: tuple[int, ...]) -> tuple[int, ...]:
    return (*(() if policy is None else (policy,)), *facts)
