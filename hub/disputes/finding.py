"""Reads from a ledger what an account can dispute now, and what is in dispute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hub.core.clearing import Contracts
from hub.core.events import read_event
from hub.core.state import State
from hub.core.step import step
from hub.disputes.rows import Disputable, Rows
from hub.errors import NoSuchEntry
from hub.ledger.log import Log
from hub.statements.beginning import beginning_for
from hub.vault.following import Follower
from messages.log.tree import leaf_hash
from messages.timetext import format_time

Progress = Callable[[int, int], None]
TELL_EVERY = 1_000


@dataclass(frozen=True, slots=True)
class Found:
    """A line that can be disputed, by its number in its slot, up to which slot. [ms]

    `before`: the entry that disputed it already; each line is disputed once.
    """

    number: int
    until_ms: int
    before: int | None
    disputable: Disputable


def find_lines(log: Log, account: str, contracts: Contracts, progress: Progress) -> list[Found]:
    """Return the lines of an account that can still be disputed, by slot and number.

    It folds the ledger as a statement over those slots does.
    """
    now = Follower(log).state
    next_ms = now.progress.next_slot_ms or 0
    until_ms = {at: row.until_ms for at, row in now.closed.items() if next_ms <= row.until_ms}
    if not until_ms:
        return []
    begin = beginning_for(log, account, min(until_ms))
    state, rows = begin.state, Rows(account)
    found: list[Disputable] = []
    for entry in log.entries(begin.size):
        outcome = step(state, read_event(entry.index, entry.raw, entry.preimage), contracts)
        state.apply(outcome.changes)
        found += rows.take(outcome.effects, lambda name: state.accounts.get(name, 0))
        if entry.index % TELL_EVERY == 0:
            progress(entry.index, log.size)
    progress(log.size, log.size)
    return list(_numbered(now, until_ms, found))


def _numbered(now: State, until_ms: dict[int, int], lines: list[Disputable]) -> Iterator[Found]:
    number, slot_ms = 0, -1
    for each in lines:
        number = number + 1 if each.slot_ms == slot_ms else 1
        slot_ms = each.slot_ms
        if slot_ms in until_ms:
            before, _ = now.disputed.get((leaf_hash(each.row), each.number), (None, 0))
            yield Found(number, until_ms[slot_ms], before, each)


def line_of(found: list[Found], slot_ms: int, number: int) -> Disputable:
    """Return one of them.

    Raises:
        NoSuchEntry: there is no such line; the text says which there are.
    """
    there = {each.number: each.disputable for each in found if each.disputable.slot_ms == slot_ms}
    if number not in there:
        words = f"lines 1 to {max(there)}" if there else "no line"
        slot = format_time(slot_ms)
        raise NoSuchEntry(f"in slot {slot} {words} can be disputed, not line {number}")
    return there[number]


def lines_of(found: list[Found]) -> Iterator[str]:
    """Yield what can be disputed, one a line."""
    for each in found:
        line = each.disputable.line
        until = f"until slot {format_time(each.until_ms)}"
        yield (
            f"{format_time(each.disputable.slot_ms)} line {each.number}: {line.kind} with "
            f"{line.counterparty}, {line.amount_utok} utok; "
            f"{until if each.before is None else f'was disputed by entry {each.before}'}"
        )


def disputes_of(state: State) -> Iterator[str]:
    """Yield the disputes that are open, one a line, by number."""
    for number, row in sorted(state.disputes.items()):
        slot, rule_by = format_time(row.slot_ms), format_time(row.rule_by_ms)
        answer = row.answer_index
        answered = "" if answer is None else f", answered by entry {answer}"
        yield (
            f"dispute {number}: {row.claimant} against {row.respondent}, {row.amount_utok} utok of "
            f"slot {slot} held{answered}; ruling by slot {rule_by}, else {row.unruled}"
        )
