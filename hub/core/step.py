"""`step(state, event)`: what one ledger entry changes. The whole fold hangs on this table.

A step is pure: it reads the state and returns changes and effects; the caller applies them. The
fold has no clock but the close entries, so a replay gives the same state, byte for byte. No entry
stops it: what has no right or no meaning is an `Ignored` effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from hub.core.calibrating import take_calibration
from hub.core.calls import call_fault, take_call
from hub.core.clearing import Contracts
from hub.core.closing import close_slot
from hub.core.effects import Ignored
from hub.core.events import Event
from hub.core.faulting import take_fault
from hub.core.feeding import take_feed
from hub.core.headers import note_root, take_header
from hub.core.investigating import take_notice
from hub.core.loads import take_ack, take_decision
from hub.core.logkeeping import set_quorum, take_over
from hub.core.outcome import Outcome, ignore
from hub.core.registers import begin_epoch, take_reading
from hub.core.registry import change_key, found
from hub.core.regulation import set_policy
from hub.core.rights import objection
from hub.core.state import State
from hub.market.catalog import CONTRACTS
from messages.entries import (
    Ack,
    BlockHeader,
    Calibration,
    Call,
    Close,
    Decision,
    Epoch,
    Gap,
    Genesis,
    KeyEntry,
    PolicyEntry,
    Seal,
)
from messages.feeding import Feed
from messages.investigation import Notice
from messages.logkeeping import Quorum, Takeover
from messages.reading import Reading
from messages.relayfault import RelayFault

__all__ = ["Outcome", "objection_to", "step"]


def _nothing(_state: State, _event: Event, _body: Gap | Seal) -> Outcome:
    """Gaps and seals are for the log's own order and proofs; the fold learns nothing from them."""
    return Outcome()


_STEPS: Final[Mapping[type, Callable[[State, Event, Any], Outcome]]] = {
    Reading: take_reading,
    Epoch: begin_epoch,
    Calibration: take_calibration,
    Decision: take_decision,
    Ack: take_ack,
    PolicyEntry: set_policy,
    KeyEntry: change_key,
    Genesis: found,
    BlockHeader: take_header,
    Quorum: set_quorum,
    Takeover: take_over,
    Feed: take_feed,
    Gap: _nothing,
    Seal: _nothing,
    Notice: take_notice,
    RelayFault: take_fault,
}

_MARKET_STEPS: Final[Mapping[type, Callable[[State, Event, Any, Contracts], Outcome]]] = {
    Close: close_slot,
    Call: take_call,
}


def step(state: State, event: Event, contracts: Contracts = CONTRACTS) -> Outcome:
    """Return what an entry changes and what it means; `state` stays as it is.

    The entry after a close also writes down the state root that the close left.

    Args:
        state: everything the entries before this one made.
        event: the next entry of the log.
        contracts: the market contracts that policies may name (`hub.market.catalog.installed`).
    """
    outcome = _step(state, event, contracts)
    rooted = note_root(state)
    return Outcome((*rooted, *outcome.changes), outcome.effects) if rooted else outcome


def objection_to(state: State, event: Event, contracts: Contracts = CONTRACTS) -> str:
    """Say why an entry would change nothing, so that it need not be appended; "": append it.

    A call is not run for that: what comes of it, also a failure, is on record.
    """
    if isinstance(event.body, Call):
        return objection(state, event) or call_fault(state, event.body)
    effects = step(state, event, contracts).effects
    return "; ".join(effect.reason for effect in effects if isinstance(effect, Ignored))


def _step(state: State, event: Event, contracts: Contracts) -> Outcome:
    reason = objection(state, event)
    if reason is not None:
        return ignore(event, reason)
    body = event.body
    plain = _STEPS.get(type(body))
    if plain is not None:
        return plain(state, event, body)
    return _MARKET_STEPS[type(body)](state, event, body, contracts)
