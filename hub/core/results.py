"""What the contracts did since the last close, as one root: field 7 of the block header.

Results are rows, in the order in which they came; a leaf is the deterministic CBOR of one row, the
root is RFC 6962's. What concerns one account in one slot is one row, so that its bill can be proven
and nobody else's is shown. The state carries the frontier of that tree.

    ["correction", index, slot_ms, energy, lines]                 a late register, in its own entry
    ["call", index, call_id, member, contract, method, answer]    a call that was served
    ["paid", index, account, lines]                               then one an account it moved
    ["dispute", index, dispute, account, event, claimant, respondent, slot_ms, line, amount_utok,
     to_claimant_utok, lines]                            a dispute moved: one an account it concerns
    ["failed call", index, call_id, member, contract, method, reason]
    ["slot", index, slot_ms, length_ms, reason, contract, failure, price_utok_per_kwh,
     feed_in_utok_per_kwh, unaccounted_uwh, count of bills]       the close, last of all, and then
    ["bill", index, slot_ms, account, balance_utok, energies, positions, matches, remainders,
     curtailments, fates, lines]                                  one an account, by its name

`balance_utok` is what the account holds after the close: a row left out of a statement shows as a
balance that does not follow. Energies, lines and the rest are lists of the fields of
`hub.core.effects` and `hub.market.contract`, in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

from hub.core.draft import Draft
from hub.core.effects import (
    CallFailed,
    CallServed,
    Corrected,
    DisputeMoved,
    Effect,
    Line,
    SlotSettled,
)
from hub.core.records import Progress
from messages import cbor
from messages.disputes import HELD
from messages.log.tree import Frontier, leaf_hash

RESULTS: Final = (SlotSettled, Corrected, CallServed, CallFailed, DisputeMoved)
Row: TypeAlias = list[Any]
Balance: TypeAlias = Callable[[str], int]


def result_rows(effect: Effect, balance: Balance) -> Iterator[Row]:
    """Yield the rows of one effect; none where it is no result of a contract.

    Args:
        effect: what a step did.
        balance: what an account holds once the step is taken. [utok]
    """
    if isinstance(effect, SlotSettled):
        yield from _slot_rows(effect, balance)
    elif isinstance(effect, Corrected):
        yield ["correction", effect.index, effect.slot_ms, effect.energy, effect.lines]
    elif isinstance(effect, CallServed):
        yield ["call", *_call(effect), effect.answer]
        for account in sorted({line.account for line in effect.lines}):
            yield ["paid", effect.index, account, _own(effect.lines, account)]
    elif isinstance(effect, DisputeMoved):
        yield from _dispute_rows(effect)
    elif isinstance(effect, CallFailed):
        yield ["failed call", *_call(effect), effect.reason]


def row_leaf(row: Row) -> bytes:
    """Return the leaf hash of a row."""
    return leaf_hash(cbor.encode([_plain(part) for part in row]))


def _plain(part: Any) -> Any:
    """Return a list of named tuples as one of tuples: the same bytes in half the time."""
    if type(part) is not list:
        return part
    return [tuple(item) if isinstance(item, tuple) else item for item in part]


def book_results(draft: Draft, effects: Iterable[Effect]) -> None:
    """Add results to the tree that the next block header covers; money is booked before."""
    leaves = [row_leaf(row) for effect in effects for row in result_rows(effect, draft.balance)]
    if leaves:
        draft.put("progress", (), grown(draft.state.progress, leaves))


def grown(progress: Progress, leaves: Iterable[bytes]) -> Progress:
    """Return the progress with more results on it."""
    frontier = frontier_of(progress)
    for leaf in leaves:
        frontier.append(leaf)
    return progress._replace(results_size=frontier.size, results_hashes=tuple(frontier.hashes))


def frontier_of(progress: Progress) -> Frontier:
    """Return the tree of results so far."""
    return Frontier(progress.results_size, list(progress.results_hashes))


def _slot_rows(slot: SlotSettled, balance: Balance) -> Iterator[Row]:
    parts: tuple[tuple[Any, ...], ...] = (
        slot.energies,
        slot.positions,
        slot.matches,
        slot.remainders,
        slot.curtailments,
        slot.fates,
        slot.lines,
    )
    accounts = sorted({name for found in parts for part in found for name in _concerned(part)})
    yield [
        "slot",
        slot.index,
        slot.slot_ms,
        slot.length_ms,
        slot.reason,
        slot.contract,
        slot.failure,
        slot.price_utok_per_kwh,
        slot.feed_in_utok_per_kwh,
        slot.unaccounted_uwh,
        len(accounts),
    ]
    bills: dict[str, list[Row]] = {account: [[] for _ in parts] for account in accounts}
    for place, found in enumerate(parts):
        for part in found:
            for account in _concerned(part):
                bills[account][place].append(part)
    for account, bill in bills.items():
        yield ["bill", slot.index, slot.slot_ms, account, balance(account), *bill]


def _dispute_rows(moved: DisputeMoved) -> Iterator[Row]:
    """Both parties are told each step, also one that moves no money of theirs."""
    told = [
        moved.event,
        moved.claimant,
        moved.respondent,
        moved.slot_ms,
        moved.line,
        moved.amount_utok,
        moved.to_claimant_utok,
    ]
    for account in sorted({moved.claimant, moved.respondent, HELD}):
        lines = _own(moved.lines, account)
        if lines or account != HELD:
            yield ["dispute", moved.index, moved.dispute, account, *told, lines]


def _concerned(part: Any) -> tuple[str, ...]:
    """Return the accounts on whose bill a part of a clearing stands."""
    if isinstance(part, Line):
        return (part.account,)
    if hasattr(part, "match"):
        return (part.match.seller, part.match.buyer)
    return (part.member,)


def _call(effect: CallServed | CallFailed) -> Row:
    return [effect.index, effect.call_id, effect.member, effect.contract, effect.method]


def _own(lines: Iterable[Line], account: str) -> list[Line]:
    return [line for line in lines if line.account == account]
