"""Members' calls: each counts once, for the contract in force, or fails and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from hub.core.banking import keep_bank
from hub.core.clearing import Contracts, check_transfer
from hub.core.disputing import serve_dispute
from hub.core.draft import Draft
from hub.core.effects import CallFailed, CallServed, DisputeMoved, Line
from hub.core.events import Event
from hub.core.feeding import priced_at
from hub.core.investigating import keep_cases
from hub.core.memory import Memory, check_memory, check_value, own_copy, remember
from hub.core.money import transfer
from hub.core.outcome import Outcome, ignore
from hub.core.pricing import policy_at
from hub.core.recordkeeping import CONTRACT as RECORDS
from hub.core.recordkeeping import keep_records
from hub.core.records import Policy
from hub.core.results import book_results
from hub.core.rights import CASES
from hub.core.state import State
from hub.market.contract import CallRequest, CallResult, StepBudget, Value
from hub.market.errors import CallRefused, ImpossibleClearing, MarketError
from messages.banking import CONTRACT as BANKING
from messages.disputes import CONTRACT as DISPUTES
from messages.entries import Call

CALL_AHEAD_MS: Final = 31 * 86_400_000
"""How long a call may stay valid: its id is remembered for as long. [ms]"""
CALL_ID_BYTES: Final = range(8, 33)
BUILT_IN: Final[Mapping[str, Callable[[Draft, Event, Call, int], Mapping[str, Value]]]] = {
    RECORDS: keep_records,
    CASES: keep_cases,
}
"""Contracts that every policy has and that move no money."""


class Caller(NamedTuple):
    """Who calls, in which offices, and by which entry."""

    member: str
    roles: tuple[str, ...]
    entry: int


def take_call(state: State, event: Event, call: Call, contracts: Contracts) -> Outcome:
    """Run a member's call. A contract that raises leaves everything as it was."""
    next_slot_ms, fault = state.progress.next_slot_ms, call_fault(state, call)
    if fault or next_slot_ms is None:
        return ignore(event, fault)
    caller = Caller(state.keys[event.kid].name, state.keys[event.kid].roles, event.index)
    draft = Draft(state)
    effects: tuple[CallServed | CallFailed | DisputeMoved, ...]
    try:
        _check_time(call, next_slot_ms)
        effects = _built_in(draft, event, caller, call)
        if not effects:
            result = _run(state, caller, call, next_slot_ms, contracts)
            effects = (_serve(draft, caller, call, result),)
    except MemoryError:
        raise  # this machine's fault, not the contract's
    except MarketError as error:
        effects = (_failure(caller, call, str(error)),)
    except (Exception, SystemExit) as error:
        effects = (_failure(caller, call, f"the contract raised {type(error).__name__}"),)
    if isinstance(effects[0], CallFailed):
        draft = Draft(state)
    if next_slot_ms <= call.not_after_slot_ms <= next_slot_ms + CALL_AHEAD_MS:
        draft.put("call", call.call_id, call.not_after_slot_ms)
    book_results(draft, effects)
    return Outcome(draft.changes(), effects)


def call_fault(state: State, call: Call) -> str:
    """Say why a call would mean nothing, whatever it asks for; "": it is run, or fails."""
    if call.call_id in state.calls:
        return f"call {call.call_id.hex()} counted once already"
    if state.progress.next_slot_ms is None or len(call.call_id) not in CALL_ID_BYTES:
        return "a call needs an id of 8 to 32 bytes, and a slot that has closed"
    return ""


def _built_in(
    draft: Draft, event: Event, caller: Caller, call: Call
) -> tuple[CallServed | DisputeMoved, ...]:
    """Serve a call to a contract that every policy has; nothing where it is to the market's."""
    next_slot_ms = draft.state.progress.next_slot_ms or 0
    if call.contract in BUILT_IN:
        answer = BUILT_IN[call.contract](draft, event, call, next_slot_ms)
        return (_served(caller, call, answer, ()),)
    if call.contract == BANKING:
        banked = keep_bank(draft, event, call, next_slot_ms)
        return (_served(caller, call, banked.answer, banked.lines),)
    if call.contract == DISPUTES:
        moved = serve_dispute(draft, event, call, next_slot_ms)
        return (_served(caller, call, {"dispute": moved.dispute}, ()), moved)
    return ()


def _check_time(call: Call, next_slot_ms: int) -> None:
    if call.not_after_slot_ms < next_slot_ms:
        raise CallRefused(f"too late: not after {call.not_after_slot_ms}, now {next_slot_ms}")
    if call.not_after_slot_ms > next_slot_ms + CALL_AHEAD_MS:
        raise CallRefused("a call may stay valid for 31 days")


def _run(
    state: State, caller: Caller, call: Call, next_slot_ms: int, contracts: Contracts
) -> CallResult:
    policy = _policy_of(state, call, next_slot_ms)
    if call.contract not in contracts:
        raise CallRefused(f"contract {call.contract!r} is not installed here")
    request = CallRequest(
        member=caller.member,
        call_id=call.call_id,
        method=call.method,
        arguments=own_copy(call.arguments),
        slot_ms=next_slot_ms,
        memory=Memory(state.memory, call.contract),
        length_ms=state.slot_ms,
        sequence=caller.entry,
        roles=caller.roles,
        parameters=own_copy(policy.parameters),
        tariff=priced_at(state, next_slot_ms).tariff,
        balances=MappingProxyType(state.accounts),
    )
    budget = StepBudget()
    result = contracts[call.contract]().call(request, budget)
    budget.spend(0)  # one that caught the refusal itself has spent too much all the same
    return result


def _policy_of(state: State, call: Call, next_slot_ms: int) -> Policy:
    """Return the policy that a call falls under: that of the slot it names, else of the next one.

    So an order can be placed for the first slot of a contract before that is in force.
    """
    named = call.arguments.get("slot_ms")
    slot_ms = max(named, next_slot_ms) if type(named) is int else next_slot_ms
    policy = policy_at(state, slot_ms)
    if policy is None or policy.contract != call.contract:
        there = f"{policy.contract!r} is" if policy else "no contract is"
        raise CallRefused(f"contract {call.contract!r} is not in force in slot {slot_ms}: {there}")
    return policy


def _serve(draft: Draft, caller: Caller, call: Call, result: CallResult) -> CallServed:
    members = {meter.member: True for meter in draft.state.meters.values()}
    members[caller.member] = True
    lines: list[Line] = []
    for move in result.transfers:
        check_transfer(move, members)
        lines += transfer(move.payer, move.payee, move.amount_utok, move.reason)
    if not isinstance(result.answer, Mapping):
        raise ImpossibleClearing("an answer is a map")
    check_value(result.answer, "an answer")
    check_memory(Memory(draft.state.memory, call.contract), result.memory)
    remember(draft, call.contract, result.memory)
    draft.book(lines)
    return _served(caller, call, own_copy(result.answer), tuple(lines))


def _served(
    caller: Caller, call: Call, answer: Mapping[str, Value], lines: tuple[Line, ...]
) -> CallServed:
    return CallServed(
        caller.entry, call.call_id, caller.member, call.contract, call.method, answer, lines
    )


def _failure(caller: Caller, call: Call, reason: str) -> CallFailed:
    return CallFailed(caller.entry, call.call_id, caller.member, call.contract, call.method, reason)
