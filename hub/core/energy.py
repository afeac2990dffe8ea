"""From registers to the energy of slots. A meter's cursor is the register settlement has reached.

The energy of a slot is the difference of the registers at its edges. Where registers in between are
missing, what two registers show is shared out equally over the slots between them, the remainder
of the division going to the later ones, so that no energy is lost. A slot that closes before its
register is in is estimated; when the register comes, the difference is settled (`correct`).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hub.core.draft import Draft
from hub.core.effects import CORRECTED, Corrected, RegisterReset, SlotEnergy
from hub.core.feeding import priced_at
from hub.core.money import correction
from hub.core.records import Cursor, Register

REGISTER_UWH_MAX: Final = 10**18
"""1 TWh: a register above it is a fault, and 64 bits of money must hold what it costs."""


Bridge = tuple[int, int | None, int | None]


class Span(NamedTuple):
    """What a register tells of the slots since the cursor: (import, export) of each, in order.

    `shares` is empty, and `reset` says why, where the two registers cannot be subtracted.
    """

    start_ms: int
    shares: tuple[tuple[int, int], ...]
    reset: str = ""


def lacks(purpose: str, register: Register) -> str:
    """Say which total a meter of this purpose must show and does not; "" where none is lacking."""
    if register.import_uwh is None and purpose != "generation":
        return "import"
    if register.export_uwh is None and purpose not in ("consumption", "appliance"):
        return "export"
    return ""


def span(cursor: Cursor, at_ms: int, register: Register, slot_ms: int) -> Span:
    """Return the energy between a cursor and a later register, slot by slot. [uWh]"""
    steps = _steps(cursor, register.epoch)
    if steps is None:
        return Span(cursor.at_ms, (), f"its totals began anew: epoch {register.epoch}")
    imported = _growth(cursor.import_uwh, register.import_uwh, [step[1] for step in steps])
    exported = _growth(cursor.export_uwh, register.export_uwh, [step[2] for step in steps])
    if imported is None or exported is None:
        return Span(cursor.at_ms, (), "nobody knows where its totals stopped")
    if imported < 0 or exported < 0:
        return Span(cursor.at_ms, (), "its totals fell without a new epoch")
    count = (at_ms - cursor.at_ms) // slot_ms
    if count == 1:
        return Span(cursor.at_ms, ((imported, exported),))
    shares = tuple((_share(imported, n, count), _share(exported, n, count)) for n in range(count))
    return Span(cursor.at_ms, shares)


def moved(cursor: Cursor, at_ms: int, register: Register, found: Span) -> Cursor:
    """Return the cursor at a later register; the last share is what it goes by from then on."""
    last = found.shares[-1] if found.shares else (cursor.last_import_uwh, cursor.last_export_uwh)
    return Cursor(
        at_ms,
        register.epoch,
        register.import_uwh,
        register.export_uwh,
        last[0],
        last[1],
        cursor.estimate_import_uwh,
        cursor.estimate_export_uwh,
        cursor.bridges and tuple(step for step in cursor.bridges if step[0] > register.epoch),
    )


def settle_span(
    draft: Draft, index: int, meter_id: str, found: Span, at_ms: int
) -> list[Corrected | RegisterReset]:
    """Replace the estimates of closed slots by what a register told, in slot order.

    The meter's cursor in the draft is the one before the register; move it afterwards.
    """
    if found.reset:
        epoch = draft.known_cursor(meter_id).epoch
        _forget_nets(draft, meter_id, found.start_ms, at_ms)
        return [RegisterReset(index, meter_id, at_ms, epoch, found.reset)]
    slot_ms, first_slot_ms, next_slot_ms = _clock(draft)
    effects: list[Corrected | RegisterReset] = []
    for number, share in enumerate(found.shares):
        start_ms = found.start_ms + number * slot_ms
        if first_slot_ms <= start_ms < next_slot_ms:
            effects.append(correct(draft, index, meter_id, start_ms, share))
    return effects


def correct(
    draft: Draft, index: int, meter_id: str, slot_start_ms: int, share: tuple[int, int]
) -> Corrected:
    """Settle the difference between a slot's estimate and what the meter really did.

    The member's net energy of that slot decides between price and feed-in price; once it is no
    longer kept, the meter is taken by itself.
    """
    meter, cursor = draft.state.meters[meter_id], draft.known_cursor(meter_id)
    estimate_uwh = cursor.estimate_export_uwh - cursor.estimate_import_uwh
    metered_uwh = share[1] - share[0]
    energy = SlotEnergy(
        meter_id, meter.member, meter.purpose, *share, CORRECTED, is_settled=meter.is_settled
    )
    if not meter.is_settled:
        return Corrected(index, slot_start_ms, energy, ())
    tariff = priced_at(draft.state, slot_start_ms).tariff
    kept_uwh = draft.net_uwh(slot_start_ms, meter.member)
    old_uwh = estimate_uwh if kept_uwh is None else kept_uwh
    new_uwh = old_uwh + metered_uwh - estimate_uwh
    lines = correction(meter.member, old_uwh, new_uwh, tariff)
    if kept_uwh is not None:
        is_last = not _waits(draft, meter.member, meter_id, slot_start_ms)
        draft.put("net", (slot_start_ms, meter.member), None if is_last else new_uwh)
    draft.book(lines)
    return Corrected(index, slot_start_ms, energy, lines)


def _steps(cursor: Cursor, epoch: int) -> list[Bridge] | None:
    """Return what leads from a cursor's epoch to a register's; None where a step is missing."""
    if cursor.epoch == epoch:
        return []
    steps = [step for step in cursor.bridges if step[0] <= epoch]
    return steps if [step[0] for step in steps] == [*range(cursor.epoch + 1, epoch + 1)] else None


def _growth(old: int | None, new: int | None, steps: list[int | None]) -> int | None:
    """Return what a total grew by, over its new beginnings; None: one of them is not known.

    A total that a register does not show counts as not moved: registers that lack what their meter
    must show are refused before (`lacks`).
    """
    if old is None or new is None:
        return 0
    grown = new - old
    for step in steps:
        if step is None:
            return None
        grown += step
    return grown


def _share(total: int, number: int, count: int) -> int:
    return total * (number + 1) // count - total * number // count


def _clock(draft: Draft) -> tuple[int, int, int]:
    """Return slot length, first closed slot and next slot; an empty range before the first."""
    network, progress = draft.state.network, draft.state.progress
    if network is None:
        raise AssertionError("a register before genesis")
    if progress.first_slot_ms is None or progress.next_slot_ms is None:
        return network.slot_ms, 0, 0
    return network.slot_ms, progress.first_slot_ms, progress.next_slot_ms


def _waits(draft: Draft, member: str, besides: str, slot_start_ms: int) -> bool:
    """Whether another meter of a member has not shown yet what it did in a slot."""
    for meter_id, meter in draft.state.meters_of(member):
        if meter_id != besides and meter.is_settled and not meter.is_retired:
            cursor = draft.cursor(meter_id)
            if cursor is None or cursor.at_ms <= slot_start_ms:
                return True
    return False


def _forget_nets(draft: Draft, meter_id: str, start_ms: int, end_ms: int) -> None:
    """Make estimates final: nothing will ever correct them."""
    slot_ms, first_slot_ms, next_slot_ms = _clock(draft)
    member = draft.state.meters[meter_id].member
    for slot in range(max(start_ms, first_slot_ms), min(end_ms, next_slot_ms), slot_ms):
        if draft.net_uwh(slot, member) is not None and not _waits(draft, member, meter_id, slot):
            draft.put("net", (slot, member), None)
