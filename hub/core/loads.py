"""Loads that are held open: from decisions and acknowledgements to energy wanted and not had.

A shed begins when the contact has cut its load and a decision wants it so, whichever comes last;
it ends when the contact feeds the load again. What it kept back is the load's last signed power
times the time it was held: exact in integers, an estimate by nature.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hub.core.draft import Draft
from hub.core.effects import Effect, ShedClosed, ShedOpened
from hub.core.events import Event
from hub.core.outcome import Outcome, ignore
from hub.core.records import Contact, Relay, Shed
from hub.core.state import State
from messages.entries import Ack, Decision, Output
from messages.status import REST, WAIT

UWH_UJ: Final = 3600
"""1 uWh is 3600 uJ, and 1 mW for 1 ms is 1 uJ."""
POWER_MW_MAX: Final = 10**12
SHIFTED: Final = "shifted: its node lets it wait for a cheaper slot"

MOVED: Final = ("applied", "expired", "safe", "override")
"""Outcomes of an acknowledgement that say where the contact is; "refused" says it did not move."""


def take_decision(state: State, event: Event, decision: Decision) -> Outcome:
    """Remember what is wanted of each contact; a load that is cut already is held from now on."""
    if decision.at_ms < 0:
        return ignore(event, "a decision before 1970")
    draft = Draft(state)
    effects: list[Effect] = []
    for output in decision.outputs:
        name = (output.node, output.relay)
        relay = state.relays.get(name)
        if relay is None:
            effects += ignore(event, f"node {name[0]} has no relay {name[1]}").effects
            continue
        contact = _contact(draft, name, relay)._replace(
            decision_index=event.index,
            wants_cut=output.cut,
            rule=decision.rule,
            shift=output.shift if output.cut else "",
        )
        if contact.shed_from_ms is None:  # while it is held open, its load shows no power
            contact = contact._replace(power_mw=_power_mw(output))
        effects += _reconcile(draft, event, name, contact, max(decision.at_ms, contact.at_ms))
    return Outcome(draft.changes(), tuple(effects))


def take_ack(state: State, event: Event, ack: Ack) -> Outcome:
    """Follow a contact. Times of one relay never run backwards."""
    if ack.outcome not in MOVED:
        return Outcome()
    if ack.at_ms < 0:
        return ignore(event, "an acknowledgement before 1970")
    draft = Draft(state)
    name = (ack.node, ack.relay)
    relay = state.relays[name]
    before = _contact(draft, name, relay)
    at_ms = max(ack.at_ms, before.at_ms)
    contact = before._replace(at_ms=at_ms, is_cut=relay.is_cut(energised=ack.energised))
    effects = _reconcile(draft, event, name, contact, at_ms)
    return Outcome(draft.changes(), tuple(effects))


class Held(NamedTuple):
    """What open relays kept from each member in a slot: against his wish, and by it. [uWh]"""

    curtailed: dict[str, int]
    shifted: dict[str, int]


def held_uwh(draft: Draft, start_ms: int, end_ms: int) -> Held:
    """Return what open relays kept from each member in a slot that closes, and count it off."""
    held = Held({}, {})
    for key, shed in sorted(draft.state.sheds.items()):
        until_ms = end_ms if shed.until_ms is None else min(shed.until_ms, end_ms)
        open_ms = max(until_ms - max(key[2], start_ms), 0)
        energy_uwh, carry_uj = divmod(shed.power_mw * open_ms + shed.carry_uj, UWH_UJ)
        if energy_uwh and shed.member:
            sums = held.shifted if shed.is_shift else held.curtailed
            sums[shed.member] = sums.get(shed.member, 0) + energy_uwh
        if shed.until_ms is not None and shed.until_ms <= end_ms:
            draft.put("shed", key, None)
        elif carry_uj != shed.carry_uj:
            draft.put("shed", key, shed._replace(carry_uj=carry_uj))
    return held


def _contact(draft: Draft, name: tuple[str, str], relay: Relay) -> Contact:
    """Return what is known of a contact; one that nobody spoke of stands safe: de-energised."""
    found = draft.row("contact", name)
    return found if found is not None else Contact(0, relay.is_cut(energised=False))


def owner_of(state: State, relay: Relay) -> str:
    """Return whose load a relay switches; that of its load's meter where it is not said."""
    meter = state.meters.get(relay.load)
    return relay.member or (meter.member if meter else "")


def _power_mw(output: Output) -> int | None:
    """Return the last signed power of a load, within bounds; a load that feeds in wants nothing."""
    power_mw = output.power_mw
    return None if power_mw is None else min(max(power_mw, 0), POWER_MW_MAX)


def _reconcile(
    draft: Draft, event: Event, name: tuple[str, str], contact: Contact, at_ms: int
) -> list[Effect]:
    """End and begin a shed where contact and decision say so, and keep the contact.

    A load that waits by its node's wish is counted by itself, and one that rests not at all.
    """
    effects: list[Effect] = []
    from_ms, is_shift = contact.shed_from_ms, contact.shift == WAIT
    counts = contact.is_cut and contact.shift != REST
    if from_ms is not None:
        shed = draft.row("shed", (*name, from_ms))
        if not counts or shed.is_shift != is_shift:
            contact, closed = _closed(draft, event, name, contact, at_ms)
            effects.append(closed)
    if contact.shed_from_ms is None and counts and contact.wants_cut:
        relay = draft.state.relays[name]
        member, power_mw = owner_of(draft.state, relay), contact.power_mw or 0
        if is_shift:  # what never ran yet is taken for its rating
            power_mw = power_mw or min(relay.rated_mw, POWER_MW_MAX)
        index, rule = contact.decision_index or 0, SHIFTED if is_shift else contact.rule
        shed = Shed(member, power_mw, None, index, rule, is_shift=is_shift)
        draft.put("shed", (*name, at_ms), shed)
        contact = contact._replace(shed_from_ms=at_ms)
        effects.append(ShedOpened(event.index, *name, at_ms, shed))
    draft.put("contact", name, contact)
    return effects


def _closed(
    draft: Draft, event: Event, name: tuple[str, str], contact: Contact, at_ms: int
) -> tuple[Contact, ShedClosed]:
    from_ms = contact.shed_from_ms
    if from_ms is None:
        raise AssertionError("no shed is open")
    shed = draft.row("shed", (*name, from_ms))._replace(until_ms=at_ms)
    draft.put("shed", (*name, from_ms), shed)
    total_uwh = shed.power_mw * (at_ms - from_ms) // UWH_UJ
    effect = ShedClosed(event.index, *name, from_ms, shed, total_uwh)
    return contact._replace(shed_from_ms=None), effect
