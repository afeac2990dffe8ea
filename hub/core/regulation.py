"""Policy entries: what binds every slot from a slot on."""

from __future__ import annotations

import re
from dataclasses import astuple
from typing import Final

from hub.core.disclosing import DISCLOSURES, PSEUDONYMS
from hub.core.effects import PolicySet
from hub.core.events import Event
from hub.core.headers import rules_at
from hub.core.outcome import Outcome, ignore
from hub.core.pricing import policy_at, schedule_fault
from hub.core.proposers import rule_row
from hub.core.records import Policy
from hub.core.state import Change, State
from hub.market.contract import PRICE_UTOK_PER_KWH_MAX
from messages.banking import bank_rules_fault
from messages.disputes import dispute_rules_fault
from messages.entries import PolicyEntry
from messages.feeding import feed_rules_fault
from messages.proposing import rules_fault
from messages.regulating import regulation_fault

RULE_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


def set_policy(state: State, event: Event, entry: PolicyEntry) -> Outcome:
    """Put a policy into force from its slot on; a slot that is settled keeps its own."""
    fault = _fault(state, entry)
    if fault:
        return ignore(event, fault)
    policy = Policy(
        entry.contract,
        entry.parameters,
        entry.prices,
        entry.feed_in,
        entry.dispatch,
        entry.dispatch_parameters,
        entry.disclosure,
        entry.code_id,
        event.index,
        rule_row(entry.proposers or rules_at(state, entry.from_slot_ms)),
        entry.pseudonyms,
        _disputes(state, entry),
        tuple(astuple(rule) for rule in entry.feeds),
        _bank(state, entry),
        astuple(entry.regulation),
    )
    return Outcome(
        (Change("policy", entry.from_slot_ms, policy),),
        (PolicySet(event.index, entry.from_slot_ms),),
    )


def _fault(state: State, entry: PolicyEntry) -> str | None:
    start_ms, next_slot_ms = entry.from_slot_ms, state.progress.next_slot_ms
    if start_ms < 0 or start_ms % state.slot_ms:
        return f"{start_ms} is no slot's start"
    if next_slot_ms is not None and start_ms < next_slot_ms:
        return f"slot {start_ms} is settled: the next one is {next_slot_ms}"
    for what, name in (("contract", entry.contract), ("dispatch", entry.dispatch)):
        if RULE_NAME.fullmatch(name) is None:
            return f"{name!r} is no name of a {what}"
    if entry.disclosure not in DISCLOSURES or entry.pseudonyms not in PSEUDONYMS:
        return f"no disclosure {entry.disclosure!r} with {entry.pseudonyms!r} pseudonyms"
    fault = schedule_fault("prices", entry.prices) or schedule_fault("feed_in", entry.feed_in)
    fault = fault or feed_rules_fault(entry.feeds, PRICE_UTOK_PER_KWH_MAX)
    fault = fault or (dispute_rules_fault(entry.disputes) if entry.disputes else "")
    fault = fault or (bank_rules_fault(entry.bank) if entry.bank else "")
    fault = fault or regulation_fault(entry.regulation)
    return fault or (rules_fault(entry.proposers) if entry.proposers else "")


def _disputes(state: State, entry: PolicyEntry) -> tuple[int, int, str] | None:
    """Return the rules on disputes as a record holds them: the entry's, or those before it."""
    if entry.disputes is not None:
        return entry.disputes.within_slots, entry.disputes.rule_slots, entry.disputes.unruled
    before = policy_at(state, entry.from_slot_ms)
    return before.disputes if before else None


def _bank(state: State, entry: PolicyEntry) -> tuple[int, ...] | None:
    """Return the bank's rules as a record holds them: the entry's, or those before it."""
    if entry.bank is not None:
        return astuple(entry.bank)
    before = policy_at(state, entry.from_slot_ms)
    return before.bank if before else None
