"""Disputes: a member contests a line of his bill, the amount is held, a regulator rules.

A built-in contract that every policy has, called by members like any other (`Call.contract` is
"disputes"). The fold keeps no bills: whoever disputes a line brings the row that it stands in, with
its proof under the results of a closed slot.

    open      slot_ms, row, place, proof, line, amount_utok, reason     the claimant
    answer    dispute, reason                                           the respondent, once
    concede   dispute, reason                                           the respondent: upheld
    withdraw  dispute, reason                                           the claimant: dismissed
    rule      dispute, ruling, to_claimant_utok, reason                 a regulator, no party

Each is answered with {dispute: index of the entry that began it}. What is held is on `HELD`, which
has as much as all open disputes together; each ends once, by entries that give out just that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from hub.core.draft import Draft
from hub.core.effects import DisputeMoved, Line
from hub.core.events import Event
from hub.core.feeding import priced_at
from hub.core.money import transfer
from hub.core.pricing import policy_at
from hub.core.records import Closed, Dispute, Key, Progress
from hub.core.results import frontier_of
from hub.core.state import State
from hub.market.contract import GRID, STORAGE, SUPPLIER
from hub.market.errors import CallRefused
from messages import cbor
from messages.disputes import (
    ANSWERED,
    DISMISS,
    DISMISSED,
    HALVE,
    HELD,
    OPEN,
    REASON_CHARS_MAX,
    SPLIT,
    UPHELD,
    UPHOLD,
    DisputeRules,
    half,
    usual_rules,
)
from messages.entries import Call
from messages.errors import MessageError
from messages.log.tree import check_inclusion, leaf_hash

Plain = TypeVar("Plain", str, int, bytes)

SPLIT_RULING: Final = "split"
RULINGS: Final = (UPHOLD, DISMISS, SPLIT_RULING)
HASH_BYTES: Final = 32
SPEAKERS: Final[Mapping[str, tuple[str, ...]]] = {
    GRID: ("administrator", "manager"),
    SUPPLIER: ("supplier",),
    STORAGE: ("storage",),
}
"""Which roles answer for an account that is nobody's own."""

_ROWS: Final = ("bill", "correction")
"""Rows of `hub.core.results` that have lines of settled energy, as their last field."""


class _Case(NamedTuple):
    """An open dispute and its number: the index of the entry that began it."""

    number: int
    dispute: Dispute


@dataclass(frozen=True, slots=True)
class _Request:
    draft: Draft
    index: int
    key: Key
    next_slot_ms: int
    arguments: Mapping[str, Any]

    @property
    def member(self) -> str:
        """Who signed."""
        return self.key.name

    def text(self, name: str) -> str:
        return self._typed(name, str)

    def number(self, name: str) -> int:
        return self._typed(name, int)

    def octets(self, name: str) -> bytes:
        return self._typed(name, bytes)

    def _typed(self, name: str, kind: type[Plain]) -> Plain:
        value = self.arguments.get(name)
        if type(value) is not kind:
            raise CallRefused(f"{name} is to be {kind.__name__}")
        return value


def serve_dispute(draft: Draft, event: Event, call: Call, next_slot_ms: int) -> DisputeMoved:
    """Serve one call, book what it moves, and return that.

    Raises:
        CallRefused: the text says why; nothing has changed.
    """
    known, serve = _METHODS.get(call.method, ((), None))
    if serve is None:
        raise CallRefused(f"disputes have no method {call.method!r}: {', '.join(_METHODS)}")
    if set(call.arguments) != set(known):
        raise CallRefused(f"{call.method} takes {', '.join(known)}")
    key = draft.state.keys[event.kid]
    asked = _Request(draft, event.index, key, next_slot_ms, call.arguments)
    if not 1 <= len(asked.text("reason")) <= REASON_CHARS_MAX:
        raise CallRefused(f"a reason has 1 to {REASON_CHARS_MAX} characters")
    return serve(asked)


# --- open ---------------------------------------------------------------------------------------


def _open(asked: _Request) -> DisputeMoved:
    slot_ms, number = asked.number("slot_ms"), asked.number("line")
    closed = _closed(asked, slot_ms)
    row, leaf = _row(asked, closed)
    line = _line(asked, row, number)
    amount = asked.number("amount_utok")
    if not 1 <= amount <= abs(line.amount_utok):
        raise CallRefused(f"{amount} utok are disputed; the line is of {abs(line.amount_utok)}")
    before = asked.draft.state.disputed.get((leaf, number))
    if before is not None:
        raise CallRefused(f"that line was disputed before, by entry {before[0]}")
    rules = _rules_at(asked.draft.state, asked.next_slot_ms)
    dispute = Dispute(
        asked.member,
        line.counterparty,
        slot_ms,
        number,
        amount,
        asked.next_slot_ms + rules.rule_slots * asked.draft.state.slot_ms,
        rules.unruled,
    )
    asked.draft.put("dispute", asked.index, dispute)
    asked.draft.put("disputed", (leaf, number), (asked.index, closed.until_ms))
    held = transfer(dispute.respondent, HELD, amount, OPEN)
    return _moved(asked.draft, asked.index, _Case(asked.index, dispute), OPEN, held)


def _closed(asked: _Request, slot_ms: int) -> Closed:
    """Return the slot, if its lines can still be disputed."""
    closed = asked.draft.state.closed.get(slot_ms)
    if closed is None:
        state = asked.draft.state
        first_ms, is_slot = state.progress.first_slot_ms, not slot_ms % state.slot_ms
        is_old = is_slot and first_ms is not None and first_ms <= slot_ms < asked.next_slot_ms
        raise CallRefused("too late for that slot" if is_old else f"{slot_ms} is no closed slot")
    if asked.next_slot_ms > closed.until_ms:
        raise CallRefused(
            f"too late: lines of slot {slot_ms} could be disputed until slot {closed.until_ms}, "
            f"now is {asked.next_slot_ms}"
        )
    return closed


def _row(asked: _Request, closed: Closed) -> tuple[Sequence[Any], bytes]:
    """Return the row that the caller brings, and its leaf hash, which is in the slot's results."""
    raw, proof = asked.octets("row"), asked.octets("proof")
    leaf = leaf_hash(raw)
    if len(proof) % HASH_BYTES:
        raise CallRefused("a proof is a row of hashes")
    path = [proof[at : at + HASH_BYTES] for at in range(0, len(proof), HASH_BYTES)]
    try:
        place, size = asked.number("place"), closed.results_size
        check_inclusion(leaf, place, size, path, closed.results_root)
        row = cbor.decode(raw)
    except MessageError as error:
        raise CallRefused(f"that row is not among the results of that slot: {error}") from None
    return row, leaf


def _line(asked: _Request, row: Sequence[Any], number: int) -> Line:
    """Return the caller's own line with this number, from 1, in a proven row."""
    if row[0] not in _ROWS:
        raise CallRefused(f"lines of a {' or a '.join(_ROWS)} are disputed, not of {row[0]!r}")
    own = [Line(*line) for line in row[-1] if line[0] == asked.member]
    if not own:
        raise CallRefused(f"no line there is of {asked.member}")
    if not 1 <= number <= len(own):
        raise CallRefused(f"there is no line {number}: {asked.member} has 1 to {len(own)} there")
    return own[number - 1]


# --- answer, concede, withdraw, rule -------------------------------------------------------------


def _answer(asked: _Request) -> DisputeMoved:
    case = number, dispute = _dispute(asked)
    _as_respondent(asked, dispute)
    if dispute.answer_index is not None:
        raise CallRefused(f"dispute {number} was answered before, by entry {dispute.answer_index}")
    asked.draft.put("dispute", number, dispute._replace(answer_index=asked.index))
    return _moved(asked.draft, asked.index, case, ANSWERED, ())


def _concede(asked: _Request) -> DisputeMoved:
    case = _dispute(asked)
    _as_respondent(asked, case.dispute)
    return _end(asked.draft, asked.index, case, case.dispute.amount_utok)


def _withdraw(asked: _Request) -> DisputeMoved:
    case = number, dispute = _dispute(asked)
    if asked.member != dispute.claimant:
        raise CallRefused(f"dispute {number} is {dispute.claimant}'s to withdraw")
    return _end(asked.draft, asked.index, case, 0)


def _rule(asked: _Request) -> DisputeMoved:
    case = number, dispute = _dispute(asked)
    if asked.member in (dispute.claimant, dispute.respondent):
        raise CallRefused(f"{asked.member} is a party to dispute {number}, and rules on none such")
    ruling, part = asked.text("ruling"), asked.number("to_claimant_utok")
    whole = {UPHOLD: dispute.amount_utok, DISMISS: 0}
    if ruling not in RULINGS:
        raise CallRefused(f"no ruling {ruling!r}: {', '.join(RULINGS)}")
    if ruling == SPLIT_RULING and not 0 < part < dispute.amount_utok:
        raise CallRefused(f"a split gives the claimant 1 to {dispute.amount_utok - 1} utok")
    if ruling != SPLIT_RULING and part not in (0, whole[ruling]):
        raise CallRefused(f"to {ruling} is to give the claimant {whole[ruling]} utok, not {part}")
    return _end(asked.draft, asked.index, case, whole.get(ruling, part))


_METHODS: Final[Mapping[str, tuple[tuple[str, ...], Callable[[_Request], DisputeMoved] | None]]] = {
    "open": (("slot_ms", "row", "place", "proof", "line", "amount_utok", "reason"), _open),
    "answer": (("dispute", "reason"), _answer),
    "concede": (("dispute", "reason"), _concede),
    "withdraw": (("dispute", "reason"), _withdraw),
    "rule": (("dispute", "ruling", "to_claimant_utok", "reason"), _rule),
}


def _dispute(asked: _Request) -> _Case:
    number = asked.number("dispute")
    found = asked.draft.state.disputes.get(number)
    if found is None:
        raise CallRefused(f"no dispute {number} is open")
    return _Case(number, found)


def _as_respondent(asked: _Request, dispute: Dispute) -> None:
    speakers = SPEAKERS.get(dispute.respondent, ())
    if asked.member != dispute.respondent and not set(speakers) & set(asked.key.roles):
        who = " or ".join(speakers) or dispute.respondent
        raise CallRefused(f"{who} answers for {dispute.respondent}, not {asked.member}")


def _end(draft: Draft, index: int, case: _Case, to_claimant_utok: int) -> DisputeMoved:
    """Give out what is held, all of it and once."""
    dispute = case.dispute
    back_utok = dispute.amount_utok - to_claimant_utok
    event = SPLIT if to_claimant_utok and back_utok else UPHELD if to_claimant_utok else DISMISSED
    lines = [
        line
        for payee, amount in ((dispute.claimant, to_claimant_utok), (dispute.respondent, back_utok))
        if amount
        for line in transfer(HELD, payee, amount, event)
    ]
    draft.put("dispute", case.number, None)
    return _moved(draft, index, case, event, lines, to_claimant_utok)


def _moved(
    draft: Draft,
    index: int,
    case: _Case,
    event: str,
    lines: Sequence[Line],
    to_claimant_utok: int = 0,
) -> DisputeMoved:
    draft.book(lines)
    number, dispute = case
    return DisputeMoved(
        index,
        number,
        event,
        dispute.claimant,
        dispute.respondent,
        dispute.slot_ms,
        dispute.line,
        dispute.amount_utok,
        to_claimant_utok,
        tuple(lines),
    )


# --- closes --------------------------------------------------------------------------------------


def lapse(draft: Draft, index: int, slot_ms: int) -> list[DisputeMoved]:
    """End, as a slot closes, the disputes on which nobody ruled up to it; by their numbers."""
    ended = []
    for number, dispute in sorted(draft.state.disputes.items()):
        if dispute.rule_by_ms <= slot_ms:
            parts = {UPHOLD: dispute.amount_utok, HALVE: half(dispute.amount_utok)}
            part = parts.get(dispute.unruled, 0)
            ended.append(_end(draft, index, _Case(number, dispute), part))
    return ended


def keep_closed(draft: Draft, slot_ms: int, slots_kept: int) -> None:
    """Keep what disputes and corrections need of the slot that closes; forget what is too old.

    Its results are those in the progress, so call it when all are booked and before it moves on.
    """
    state = draft.state
    progress: Progress = draft.row("progress", ())
    tariff, facts = priced_at(state, slot_ms)
    until_ms = slot_ms + _rules_at(state, slot_ms).within_slots * state.slot_ms
    closed = Closed(
        frontier_of(progress).root(),
        progress.results_size,
        until_ms,
        tariff.price_utok_per_kwh,
        tariff.feed_in_utok_per_kwh,
        facts,
    )
    draft.put("closed", slot_ms, closed)
    oldest_ms = slot_ms - slots_kept * state.slot_ms
    rows = state.closed.items()
    for at_ms in sorted(at for at, row in rows if at < oldest_ms and row.until_ms <= slot_ms):
        draft.put("closed", at_ms, None)
    for place in sorted(key for key, (_, last) in state.disputed.items() if last <= slot_ms):
        draft.put("disputed", place, None)


def _rules_at(state: State, slot_ms: int) -> DisputeRules:
    policy = policy_at(state, slot_ms)
    if policy is None or policy.disputes is None:
        return usual_rules(state.slot_ms)
    return DisputeRules(*policy.disputes)
