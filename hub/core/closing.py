"""Close a slot: registers to energy, energy to positions, a contract's clearing to money.

The only clock of the fold. Slots close once and in order; a register that is missing is estimated
and no meter can stop a slot.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import Final, NamedTuple

from hub.core.banking import pay_out
from hub.core.clearing import Contracts, clear, orders_left
from hub.core.disputing import keep_closed, lapse
from hub.core.draft import Draft
from hub.core.effects import (
    ESTIMATED,
    METERED,
    SHARED,
    Corrected,
    DisputeMoved,
    PricedMatch,
    RegisterReset,
    SlotEnergy,
    SlotSettled,
)
from hub.core.energy import moved, settle_span, span
from hub.core.events import Event
from hub.core.feeding import priced_at
from hub.core.headers import settled_uwh
from hub.core.loads import Held, held_uwh
from hub.core.memory import Memory, own_copy, remember
from hub.core.outcome import Outcome, ignore
from hub.core.pricing import policy_at, regulation_of
from hub.core.records import Due, Meter, Policy, Progress
from hub.core.results import book_results, frontier_of
from hub.core.settlement import settlement
from hub.core.state import State
from hub.market.contract import Clearing, Fate, Position, Site, SlotBook
from hub.market.rounding import amount_utok
from hub.market.sites import site_of
from messages.entries import Close

NETS_KEPT: Final = 672
"""Slots (a week of quarter hours) for which a member's net waits for his missing registers. Later
corrections settle each meter by itself, at the price of what it drew or fed in."""


class Slot(NamedTuple):
    """The slot that closes."""

    start_ms: int
    end_ms: int
    length_ms: int


Early = list[Corrected | RegisterReset | DisputeMoved]


def missing_registers(state: State, slot_start_ms: int) -> tuple[str, ...]:
    """Return the meters whose register at a slot's end is not in yet, by id."""
    end_ms = slot_start_ms + state.slot_ms
    return tuple(
        meter_id
        for meter_id, meter in state.meters_in_order
        if not meter.is_retired and (end_ms, meter_id) not in state.edges
        if (cursor := state.cursors.get(meter_id)) is None or cursor.at_ms < end_ms
    )


def close_slot(state: State, event: Event, close: Close, contracts: Contracts) -> Outcome:
    """Settle a slot on a close entry."""
    slot = Slot(close.slot_start_ms, close.slot_start_ms + state.slot_ms, state.slot_ms)
    fault = _fault(state, slot)
    if fault:
        return ignore(event, fault)
    draft = Draft(state)
    if state.progress.first_slot_ms is None:
        _skip_to(draft, slot.start_ms)
    early: Early = []
    energies = tuple(
        energy
        for meter_id, meter in state.meters_in_order
        if (energy := _slot_energy(draft, event.index, slot, meter_id, meter, early)) is not None
    )
    early += lapse(draft, event.index, slot.start_ms)
    settled = _settle(draft, event.index, slot, close.reason, energies, contracts)
    _keep_nets(draft, slot, settled.positions, energies)
    for call_id, not_after_ms in sorted(state.calls.items()):
        if not_after_ms <= slot.start_ms:
            draft.put("call", call_id, None)
            if call_id in state.accesses:
                draft.put("access", call_id, None)
    _finish(draft, event, slot, close, early, settled)
    return Outcome(draft.changes(), (*early, settled))


def _fault(state: State, slot: Slot) -> str:
    next_slot_ms = state.progress.next_slot_ms
    if slot.start_ms < 0 or slot.start_ms % slot.length_ms:
        return f"{slot.start_ms} is no slot's start"
    if next_slot_ms is not None and slot.start_ms != next_slot_ms:
        return f"slot {slot.start_ms} cannot close: the next one is {next_slot_ms}"
    return ""


def _skip_to(draft: Draft, start_ms: int) -> None:
    """Before the first slot: nothing is settled, the last register up to it is where it begins."""
    for at_ms, meter_id in sorted(key for key in draft.state.edges if key[0] <= start_ms):
        cursor, register = draft.known_cursor(meter_id), draft.state.edges[at_ms, meter_id]
        found = span(cursor, at_ms, register, draft.state.slot_ms)
        draft.put("cursor", meter_id, moved(cursor, at_ms, register, found))
        draft.put("edge", (at_ms, meter_id), None)


def _slot_energy(
    draft: Draft, index: int, slot: Slot, meter_id: str, meter: Meter, early: Early
) -> SlotEnergy | None:
    """Return what a meter did in the slot; None where it was not there."""
    cursor = draft.cursor(meter_id)
    register = draft.state.edges.get((slot.end_ms, meter_id))
    if cursor is None:
        return None if meter.is_retired else _row(meter_id, meter, (0, 0), ESTIMATED)
    if cursor.at_ms >= slot.end_ms:
        return None
    if register is None:
        return None if meter.is_retired else _estimate(draft, slot, meter_id, meter)
    found = span(cursor, slot.end_ms, register, slot.length_ms)
    early += settle_span(draft, index, meter_id, found, slot.end_ms)
    draft.put("cursor", meter_id, moved(cursor, slot.end_ms, register, found))
    draft.put("edge", (slot.end_ms, meter_id), None)
    if not found.shares:
        return _row(meter_id, meter, (cursor.last_import_uwh, cursor.last_export_uwh), ESTIMATED)
    return _row(meter_id, meter, found.shares[-1], METERED if len(found.shares) == 1 else SHARED)


def _estimate(draft: Draft, slot: Slot, meter_id: str, meter: Meter) -> SlotEnergy:
    """Take the meter's last metered slot, the same one for as long as its registers are missing."""
    cursor = draft.known_cursor(meter_id)
    if cursor.at_ms >= slot.start_ms:  # the first slot that it misses
        cursor = cursor._replace(
            estimate_import_uwh=cursor.last_import_uwh, estimate_export_uwh=cursor.last_export_uwh
        )
        draft.put("cursor", meter_id, cursor)
    energies = (cursor.estimate_import_uwh, cursor.estimate_export_uwh)
    return _row(meter_id, meter, energies, ESTIMATED)


def _row(meter_id: str, meter: Meter, energies: tuple[int, int], quality: str) -> SlotEnergy:
    return SlotEnergy(
        meter_id, meter.member, meter.purpose, *energies, quality, is_settled=meter.is_settled
    )


def _settle(
    draft: Draft,
    index: int,
    slot: Slot,
    reason: str,
    energies: tuple[SlotEnergy, ...],
    contracts: Contracts,
) -> SlotSettled:
    policy = policy_at(draft.state, slot.start_ms)
    held = held_uwh(draft, slot.start_ms, slot.end_ms)
    book = _book(draft, slot, policy, positions_of(energies, held))
    name = policy.contract if policy else ""
    clearing, failure = clear(book, name, contracts)
    if policy is None:
        failure = "no policy is in force"
    remember(draft, name, clearing.memory)
    fates = clearing.fates + _end_of_market(draft, name, slot.end_ms, clearing)
    lines, checks = settlement(book, clearing)
    draft.book(lines)
    lines += pay_out(draft, slot.start_ms)
    return SlotSettled(
        index=index,
        slot_ms=slot.start_ms,
        length_ms=slot.length_ms,
        reason=reason,
        contract=name,
        failure=failure,
        price_utok_per_kwh=book.tariff.price_utok_per_kwh,
        feed_in_utok_per_kwh=book.tariff.feed_in_utok_per_kwh,
        energies=energies,
        positions=book.positions,
        matches=tuple(
            PricedMatch(match, amount_utok(match.energy_uwh, match.price_utok_per_kwh))
            for match in clearing.matches
        ),
        remainders=clearing.remainders,
        curtailments=clearing.curtailments,
        fates=fates,
        lines=lines,
        checks=checks,
        unaccounted_uwh=unaccounted_uwh(energies),
    )


def _end_of_market(draft: Draft, name: str, next_ms: int, clearing: Clearing) -> tuple[Fate, ...]:
    """Drop the orders of a market that another one takes the place of in the next slot."""
    following = policy_at(draft.state, next_ms)
    if following is None or following.contract == name:
        return ()

    def counts_in(slot_ms: int) -> bool:
        policy = policy_at(draft.state, slot_ms) if slot_ms >= next_ms else None
        return policy is not None and policy.contract == name

    rows = {**Memory(draft.state.memory, name), **clearing.memory}
    reason = f"the market is {following.contract} from slot {next_ms} on"
    fates, changed = orders_left(rows, counts_in, reason)
    remember(draft, name, changed)
    return fates


def _book(
    draft: Draft, slot: Slot, policy: Policy | None, positions: tuple[Position, ...]
) -> SlotBook:
    return SlotBook(
        slot_ms=slot.start_ms,
        length_ms=slot.length_ms,
        positions=positions,
        tariff=priced_at(draft.state, slot.start_ms).tariff,
        parameters=own_copy(policy.parameters) if policy else {},
        memory=Memory(draft.state.memory, policy.contract) if policy else {},
        sites=_sites(draft.state),
        balances=MappingProxyType(draft.state.accounts),
        regulation=regulation_of(policy),
    )


def _sites(state: State) -> dict[str, Site]:
    """Return what the registry says of the meters that are settled."""
    return {
        meter_id: site_of(meter.fuel, meter.location)
        for meter_id, meter in state.meters_in_order
        if meter.is_settled and (meter.fuel or meter.location)
    }


def positions_of(energies: Iterable[SlotEnergy], held: Held) -> tuple[Position, ...]:
    """Return each member's slot, by member: what settled meters show, what relays kept back."""
    rows: dict[str, list[SlotEnergy]] = {member: [] for member in (*held.curtailed, *held.shifted)}
    for row in energies:
        if row.is_settled:
            rows.setdefault(row.member, []).append(row)
    return tuple(_position(member, rows[member], held) for member in sorted(rows))


def _position(member: str, rows: list[SlotEnergy], held: Held) -> Position:
    exports = [(-row.export_uwh, row.meter_id) for row in rows]
    imports = [(-row.import_uwh, row.meter_id) for row in rows]
    return Position(
        member=member,
        export_meter=min(exports)[1] if exports else "",
        import_meter=min(imports)[1] if imports else "",
        generated_uwh=sum(row.export_uwh for row in rows),
        consumed_uwh=sum(row.import_uwh for row in rows),
        held_uwh=held.curtailed.get(member, 0),
        estimated=any(row.quality != METERED for row in rows),
        shifted_uwh=held.shifted.get(member, 0),
    )


def unaccounted_uwh(energies: Iterable[SlotEnergy]) -> int | None:
    """Return what came in at the boundary and shows on no member's meter. [uWh]

    Losses, theft, wrong meters, estimates. None without a boundary meter that was read.
    """
    rows = tuple(energies)
    boundary = [row for row in rows if row.purpose == "boundary"]
    if not boundary or any(row.quality == ESTIMATED for row in boundary):
        return None
    brought_in = sum(row.import_uwh - row.export_uwh for row in boundary)
    return brought_in + sum(row.export_uwh - row.import_uwh for row in rows if row.is_settled)


def _keep_nets(
    draft: Draft, slot: Slot, positions: tuple[Position, ...], energies: tuple[SlotEnergy, ...]
) -> None:
    """Keep the net energy of members whose registers are missing, so that it can be corrected."""
    waiting = {
        row.member
        for row in energies
        if row.is_settled and row.quality == ESTIMATED and _is_behind(draft, row.meter_id, slot)
    }
    oldest_ms = slot.start_ms - NETS_KEPT * slot.length_ms
    for position in positions:
        if position.member in waiting:
            net_uwh = position.generated_uwh - position.consumed_uwh
            draft.put("net", (slot.start_ms, position.member), net_uwh)
        if oldest_ms >= 0 and draft.net_uwh(oldest_ms, position.member) is not None:
            draft.put("net", (oldest_ms, position.member), None)


def _is_behind(draft: Draft, meter_id: str, slot: Slot) -> bool:
    cursor = draft.cursor(meter_id)
    return cursor is not None and cursor.at_ms < slot.end_ms


def _finish(
    draft: Draft, event: Event, slot: Slot, close: Close, early: Early, settled: SlotSettled
) -> None:
    """Move the clock, and leave to the block header what it has to cover."""
    book_results(draft, (*early, settled))
    progress: Progress = draft.row("progress", ())
    end_index = event.index + 1
    due = Due(
        progress.due_end_index,
        frontier_of(progress).root(),
        slot.start_ms,
        close.at_ms,
        settled_uwh(draft.state, settled.lines),
    )
    draft.put("due", end_index, due)
    keep_closed(draft, slot.start_ms, NETS_KEPT)
    first_slot_ms = progress.first_slot_ms
    progress = progress._replace(
        first_slot_ms=slot.start_ms if first_slot_ms is None else first_slot_ms,
        next_slot_ms=slot.end_ms,
        due_end_index=end_index,
        results_size=0,
        results_hashes=(),
    )
    draft.put("progress", (), progress)
