"""Members' calls: each counts once, for the contract in force, or fails and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from hub.core.clearing import Contracts, check_memory, check_transfer, own_copy
from hub.core.draft import Draft
from hub.core.effects import CallFailed, CallServed, Line
from hub.core.events import Event
from hub.core.investigating import keep_cases
from hub.core.money import transfer
from hub.core.outcome import Outcome, ignore
from hub.core.pricing import policy_at
from hub.core.recordkeeping import CONTRACT as RECORDS
from hub.core.recordkeeping import keep_records
from hub.core.results import book_results
from hub.core.rights import CASES
from hub.core.state import State
from hub.market.contract import CallRequest, CallResult, StepBudget, Value
from hub.market.errors import CallRefused, MarketError
from messages.entries import Call

CALL_AHEAD_MS: Final = 31 * 86_400_000
"""How long a call may stay valid: its id is remembered for as long. [ms]"""
CALL_ID_BYTES: Final = range(8, 33)
BUILT_IN: Final[Mapping[str, Callable[[Draft, Event, Call, int], Mapping[str, Value]]]] = {
    RECORDS: keep_records,
    CASES: keep_cases,
}
"""Contracts that every policy has."""


def take_call(state: State, event: Event, call: Call, contracts: Contracts) -> Outcome:
    """Run a member's call. A contract that raises leaves everything as it was."""
    next_slot_ms = state.progress.next_slot_ms
    if call.call_id in state.calls:
        return ignore(event, f"call {call.call_id.hex()} counted once already")
    if next_slot_ms is None or len(call.call_id) not in CALL_ID_BYTES:
        return ignore(event, "a call needs an id of 8 to 32 bytes, and a slot that has closed")
    member = state.keys[event.kid].name
    draft = Draft(state)
    effect: CallServed | CallFailed
    try:
        _check_time(call, next_slot_ms)
        if call.contract in BUILT_IN:
            answer = BUILT_IN[call.contract](draft, event, call, next_slot_ms)
            effect = CallServed(
                event.index, call.call_id, member, call.contract, call.method, answer, ()
            )
        else:
            result = _run(state, member, call, next_slot_ms, contracts)
            effect = _serve(draft, event.index, member, call, result)
    except MemoryError:
        raise  # this machine's fault, not the contract's
    except MarketError as error:
        effect = _failure(event.index, member, call, str(error))
    except Exception as error:
        effect = _failure(event.index, member, call, f"the contract raised {type(error).__name__}")
    if isinstance(effect, CallFailed):
        draft = Draft(state)
    if next_slot_ms <= call.not_after_slot_ms <= next_slot_ms + CALL_AHEAD_MS:
        draft.put("call", call.call_id, call.not_after_slot_ms)
    book_results(draft, (effect,))
    return Outcome(draft.changes(), (effect,))


def _check_time(call: Call, next_slot_ms: int) -> None:
    if call.not_after_slot_ms < next_slot_ms:
        raise CallRefused(f"too late: not after {call.not_after_slot_ms}, now {next_slot_ms}")
    if call.not_after_slot_ms > next_slot_ms + CALL_AHEAD_MS:
        raise CallRefused("a call may stay valid for 31 days")


def _run(
    state: State, member: str, call: Call, next_slot_ms: int, contracts: Contracts
) -> CallResult:
    policy = policy_at(state, next_slot_ms)
    if policy is None or policy.contract != call.contract or call.contract not in contracts:
        raise CallRefused(f"contract {call.contract!r} is not in force")
    request = CallRequest(
        member=member,
        call_id=call.call_id,
        method=call.method,
        arguments=own_copy(call.arguments),
        slot_ms=next_slot_ms,
        memory=own_copy(state.memory.get(call.contract, {})),
    )
    return contracts[call.contract]().call(request, StepBudget())


def _serve(draft: Draft, index: int, member: str, call: Call, result: CallResult) -> CallServed:
    members = {meter.member: True for meter in draft.state.meters.values()} | {member: True}
    lines: list[Line] = []
    for move in result.transfers:
        check_transfer(move, members)
        lines += transfer(move.payer, move.payee, move.amount_utok, move.reason)
    check_memory(result.answer)
    if result.memory is not None:
        check_memory(result.memory)
        draft.put("memory", call.contract, own_copy(result.memory))
    draft.book(lines)
    answer = own_copy(result.answer)
    return CallServed(index, call.call_id, member, call.contract, call.method, answer, tuple(lines))


def _failure(index: int, member: str, call: Call, reason: str) -> CallFailed:
    return CallFailed(index, call.call_id, member, call.contract, call.method, reason)
