"""The regulator's investigations: a named case, for a reason and a time, on one pseudonym.

A built-in contract that every policy has. Only a regulator calls it (`hub.core.rights`), and a case
is used by who opened it. Nothing here changes what anybody owns: only the case's own row.

    open      case, subject, slot_ms, reason, until_slot_ms, embargo_slot_ms   answer {owner}
    identify  case                                                             answer {owner}
    close     case                                                             answer {}

`subject` is a pseudonym; `slot_ms` the slot it was seen in, where each slot has its own. The case
is open in slots up to `until_slot_ms` and then closes by itself. The owner is told when the slot
`embargo_slot_ms` begins (0: at once), at the latest when the case is over; then the hub appends a
notice. Who it is, is said in the answer and the state: as public as the ledger is, and no more.
Source: paper 000 section 3, the regulator requests information to investigate malpractice, and
changes none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from hub.core.asking import Answer, Methods, Request, serve
from hub.core.draft import Draft
from hub.core.effects import OwnerTold
from hub.core.events import Event
from hub.core.outcome import Outcome, ignore
from hub.core.pseudonyms import member_under
from hub.core.records import Case
from hub.core.state import Change, State
from hub.market.contract import Value
from hub.market.errors import CallRefused
from messages.entries import Call
from messages.investigation import Notice

REGULATOR: Final = "regulator"
CASE_MS_MAX: Final = 92 * 86_400_000
"""How long a case may stay open. [ms]"""
REASON_CHARS_MAX: Final = 500
ACCESSES_MAX: Final = 1_000
"""How often a case may be used: whoever needs more opens another one."""
NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


def keep_cases(draft: Draft, event: Event, call: Call, next_slot_ms: int) -> Mapping[str, Value]:
    """Serve one call, and return its answer.

    Raises:
        CallRefused: the text says why; nothing has changed.
    """
    return serve(draft, event, call, next_slot_ms, _METHODS)


def use_case(asked: Request, name: str, owner: str) -> None:
    """Write down that a case is used for something of an owner's, by the request at hand.

    Raises:
        CallRefused: no regulator, no such case, another's, over, or on somebody else.
    """
    case = _open_case(asked, name)
    if case.owner != owner:
        raise CallRefused(f"case {name} is on somebody else")
    if len(case.accesses) >= ACCESSES_MAX:
        raise CallRefused(f"case {name} was used {ACCESSES_MAX} times: open another one")
    accesses = (*case.accesses, asked.event.index)
    asked.draft.put("case", name, case._replace(accesses=accesses))


def due_notices(state: State) -> Iterator[Notice]:
    """Yield what owners are to be told now, in the order of the cases' names."""
    next_slot_ms = state.progress.next_slot_ms
    if next_slot_ms is None:
        return
    for name, case in sorted(state.cases.items()):
        if case.told_index is None and case.is_public(next_slot_ms):
            yield Notice(name, case.owner, case.accesses)


def take_notice(state: State, event: Event, notice: Notice) -> Outcome:
    """Note that an owner was told; once, not before it is due, and all of it."""
    if notice not in due_notices(state):
        return ignore(event, f"nothing is to be told to {notice.owner} of case {notice.case!r} now")
    told = state.cases[notice.case]._replace(told_index=event.index)
    effect = OwnerTold(event.index, notice.case, notice.owner)
    return Outcome((Change("case", notice.case, told),), (effect,))


def _open(asked: Request) -> Mapping[str, Value]:
    name, reason = asked.text("case"), asked.text("reason")
    if NAME.fullmatch(name) is None:
        raise CallRefused(f"{name!r} is no name of a case: want a-z, 0-9 and -, at most 32")
    if asked.draft.row("case", name) is not None:
        raise CallRefused(f"there was a case {name} already: a name is used once")
    if not 1 <= len(reason) <= REASON_CHARS_MAX:
        raise CallRefused(f"a case has a reason of 1 to {REASON_CHARS_MAX} characters")
    until_ms, embargo_ms = asked.number("until_slot_ms"), asked.number("embargo_slot_ms")
    fault = _time_fault(until_ms, embargo_ms, asked.next_slot_ms)
    if fault:
        raise CallRefused(fault)
    round_ms = asked.number("slot_ms") if "slot_ms" in asked.arguments else None
    subject = asked.text("subject")
    owner = member_under(asked.draft.state, subject, round_ms)
    if not owner:
        raise CallRefused(f"nobody appears as {subject!r}")
    case = Case(owner, asked.member, reason, asked.event.index, until_ms, embargo_ms)
    asked.draft.put("case", name, case)
    return {"owner": owner}


def _time_fault(until_ms: int, embargo_ms: int, now_ms: int) -> str:
    if until_ms < now_ms:
        return f"the case would have ended at {until_ms}, now is {now_ms}"
    if until_ms > now_ms + CASE_MS_MAX:
        return f"a case is open for at most {CASE_MS_MAX // 86_400_000} days"
    if embargo_ms > until_ms:
        return f"the embargo is too long: the owner is told when the case ends, at {until_ms}"
    return ""


def _identify(asked: Request) -> Mapping[str, Value]:
    name = asked.text("case")
    owner = _open_case(asked, name).owner
    use_case(asked, name, owner)
    return {"owner": owner}


def _close(asked: Request) -> Mapping[str, Value]:
    name = asked.text("case")
    case = _open_case(asked, name)
    asked.draft.put("case", name, case._replace(closed_index=asked.event.index))
    return {}


def _open_case(asked: Request, name: str) -> Case:
    case: Case | None = asked.draft.row("case", name)
    if REGULATOR not in asked.key.roles:
        raise CallRefused(f"{asked.member} is no regulator: only one reads under a case")
    if case is None:
        raise CallRefused(f"there is no case {name!r}")
    if case.by != asked.member:
        raise CallRefused(f"case {name} is not {asked.member}'s")
    if not case.is_open(asked.next_slot_ms):
        raise CallRefused(f"case {name} is over")
    return case


_METHODS: Final[Methods[Answer]] = {
    "open": (
        ("case", "subject", "slot_ms", "reason", "until_slot_ms", "embargo_slot_ms"),
        _open,
    ),
    "identify": (("case",), _identify),
    "close": (("case",), _close),
}
