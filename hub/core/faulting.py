"""Faults of relays: kept until measurement or a person says that a relay works again.

A welded contact that seems to work may be a load that went off by itself. So the hub may take it
back `WELDS_MAX` - 1 times; after that a person has to look: nothing switches for ever.
"""

from __future__ import annotations

from typing import Final

from hub.core.events import Event
from hub.core.outcome import Outcome, ignore
from hub.core.records import Faulty
from hub.core.state import Change, State
from messages.relayfault import FAULTS, REASON_CHARS_MAX, WELDED, WORKS, RelayFault

WELDS_MAX: Final = 2
HUB: Final = "hub"


def take_fault(state: State, event: Event, entry: RelayFault) -> Outcome:
    """Keep that a relay cannot be counted on, or that it can again."""
    name = (entry.node, entry.relay)
    if name not in state.relays:
        return ignore(event, f"node {name[0]} has no relay {name[1]}")
    if entry.fault not in FAULTS or len(entry.reason) > REASON_CHARS_MAX or entry.at_ms < 0:
        return ignore(event, f"{entry.fault!r} is no fault of a relay, or its reason is too long")
    before = state.faults.get(name)
    is_hub = state.keys[event.kid].holder == HUB
    if entry.fault == WORKS and not is_hub:
        return Outcome((Change("fault", name, None),) if before else ())
    if entry.fault == WORKS and needs_person(before):
        return ignore(
            event, f"relay {name[1]} was found welded {WELDS_MAX} times: a person clears it"
        )
    welds = (0 if before is None else before.welds) + (entry.fault == WELDED)
    fault = Faulty(entry.fault, entry.reason, entry.at_ms, welds, event.index)
    return Outcome((Change("fault", name, fault),))


def needs_person(fault: Faulty | None) -> bool:
    """Whether only a person may say that a relay works again."""
    return fault is not None and fault.fault == WELDED and fault.welds >= WELDS_MAX
