"""Register readings and epoch entries: what a meter says of its totals."""

from __future__ import annotations

from typing import Final

from hub.core.draft import Draft
from hub.core.effects import RegisterReset
from hub.core.energy import REGISTER_UWH_MAX, lacks, moved, settle_span, span
from hub.core.events import Event
from hub.core.outcome import Outcome, ignore
from hub.core.records import Cursor, Register
from hub.core.results import book_results
from hub.core.state import Change, State
from messages.entries import Epoch
from messages.reading import Reading

BRIDGES_MAX: Final = 16
"""New beginnings of one meter between two of its registers."""


def take_reading(state: State, event: Event, reading: Reading) -> Outcome:
    """Keep a register until its slot closes; settle the difference if it has closed already."""
    network = state.network
    if network is None:
        raise AssertionError("a meter was enrolled before genesis")
    meter_id, at_ms = reading.meter_id, reading.at_ms
    register = Register(reading.epoch, reading.import_uwh, reading.export_uwh)
    fault = _fault(state, reading, register, network.slot_ms)
    if fault:
        return ignore(event, fault)
    cursor = state.cursors.get(meter_id)
    if cursor is None:
        first = Cursor(at_ms, register.epoch, register.import_uwh, register.export_uwh)
        return Outcome((Change("cursor", meter_id, first),))
    if at_ms <= cursor.at_ms:
        return ignore(event, f"meter {meter_id}: a register of {at_ms} after one of {cursor.at_ms}")
    next_slot_ms = state.progress.next_slot_ms
    if next_slot_ms is None or at_ms > next_slot_ms:
        return Outcome((Change("edge", (at_ms, meter_id), register),))
    return _settle_late(state, event, reading, register, cursor)


def _settle_late(
    state: State, event: Event, reading: Reading, register: Register, cursor: Cursor
) -> Outcome:
    draft = Draft(state)
    found = span(cursor, reading.at_ms, register, state.slot_ms)
    effects = settle_span(draft, event.index, reading.meter_id, found, reading.at_ms)
    draft.put("cursor", reading.meter_id, moved(cursor, reading.at_ms, register, found))
    book_results(draft, effects)
    return Outcome(draft.changes(), tuple(effects))


def _fault(state: State, reading: Reading, register: Register, slot_ms: int) -> str:
    if reading.at_ms < 0 or reading.at_ms % slot_ms:
        return f"meter {reading.meter_id}: {reading.at_ms} is no edge of a slot"
    if max(reading.import_uwh or 0, reading.export_uwh or 0) > REGISTER_UWH_MAX:
        return f"meter {reading.meter_id}: a total above 1 TWh"
    missing = lacks(state.meters[reading.meter_id].purpose, register)
    return f"meter {reading.meter_id} shows no {missing} total" if missing else ""


def begin_epoch(state: State, event: Event, entry: Epoch) -> Outcome:
    """Lead over a register that began anew, so that no energy between is lost.

    The node vouches for the last totals of the old epoch and the first of the new one; without
    them, or without this entry, what lies between stays an estimate.
    """
    cursor = state.cursors.get(entry.meter_id)
    reset = RegisterReset(event.index, entry.meter_id, entry.at_ms, entry.epoch, entry.reason)
    if cursor is None:
        return Outcome((), (reset,))
    before = cursor.bridges[-1][0] if cursor.bridges else cursor.epoch
    if entry.epoch <= before or len(cursor.bridges) >= BRIDGES_MAX:
        return ignore(event, f"meter {entry.meter_id}: epoch {entry.epoch} cannot follow {before}")
    totals = (
        entry.last_import_uwh,
        entry.first_import_uwh,
        entry.last_export_uwh,
        entry.first_export_uwh,
    )
    if any(total is not None and not 0 <= total <= REGISTER_UWH_MAX for total in totals):
        return ignore(event, f"meter {entry.meter_id}: a total below 0 or above 1 TWh")
    step = (entry.epoch, _step(*totals[:2]), _step(*totals[2:]))
    change = cursor._replace(bridges=(*cursor.bridges, step))
    return Outcome((Change("cursor", entry.meter_id, change),), (reset,))


def _step(last: int | None, first: int | None) -> int | None:
    return None if last is None or first is None else last - first
