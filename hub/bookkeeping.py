"""From what a step did to rows of the books. Pure; the same entries give the same rows again.

Pages, exports and bills read the books; proofs never do.
"""

from __future__ import annotations

from collections.abc import Iterator

from hub.core.effects import (
    Corrected,
    Effect,
    Line,
    ShedClosed,
    ShedOpened,
    SlotEnergy,
    SlotSettled,
)
from hub.core.events import Event
from hub.ledger.books import (
    BookRow,
    DecisionRow,
    FateRow,
    LineRow,
    MatchRow,
    ShedRow,
    SlotEnergyRow,
    SlotRow,
)
from hub.market.contract import GRID, SUPPLIER
from messages.entries import Decision

LINES_AN_ENTRY_MAX = 100_000  # corrections of one entry to one slot; numbers stay unique and stable


def rows_of(event: Event, effects: tuple[Effect, ...]) -> Iterator[BookRow]:
    """Yield the rows that one entry adds to the books or changes in them."""
    if isinstance(event.body, Decision):
        yield _decision_row(event.index, event.body)
    corrected: dict[int, int] = {}  # slot -> lines this entry has written to it
    for effect in effects:
        if isinstance(effect, SlotSettled):
            yield from _slot_rows(effect)
        elif isinstance(effect, Corrected):
            written = corrected.get(effect.slot_ms, 0)
            yield from _correction_rows(effect, written)
            corrected[effect.slot_ms] = written + len(effect.lines)
        elif isinstance(effect, ShedOpened):
            yield _shed_row(effect, held_uwh=0)
        elif isinstance(effect, ShedClosed):
            yield _shed_row(effect, held_uwh=effect.held_uwh)


def _slot_rows(slot: SlotSettled) -> Iterator[BookRow]:
    yield SlotRow(
        start_ms=slot.slot_ms,
        end_ms=slot.slot_ms + slot.length_ms,
        close_index=slot.index,
        reason=slot.reason,
        contract=slot.contract,
        result="failed" if slot.failure else "settled",
        matched_uwh=slot.matched_uwh,
        grid_import_uwh=_traded(slot, "purchase", (GRID, SUPPLIER)),
        grid_export_uwh=_traded(slot, "sale", (GRID,)),
        curtailed_uwh=slot.curtailed_uwh,
        unaccounted_uwh=slot.unaccounted_uwh,
    )
    for energy in slot.energies:
        yield _energy_row(slot.slot_ms, energy)
    for number, priced in enumerate(slot.matches):
        match = priced.match
        yield MatchRow(
            slot_ms=slot.slot_ms,
            number=number,
            seller=match.seller,
            buyer=match.buyer,
            energy_uwh=match.energy_uwh,
            price_utok_per_kwh=match.price_utok_per_kwh,
            amount_utok=priced.amount_utok,
        )
    for number, line in enumerate(slot.lines):
        yield _line_row(slot.slot_ms, number, line, slot.index)
    for number, fate in enumerate(slot.fates):
        if fate.order_id:  # the rest is of members who placed no order
            yield FateRow(slot.slot_ms, number, *fate)


def _traded(slot: SlotSettled, kind: str, counterparties: tuple[str, ...]) -> int:
    """Energy that members bought from or sold to these accounts. [uWh]"""
    return sum(
        line.energy_uwh
        for line in slot.lines
        if line.kind == kind and line.counterparty in counterparties
    )


def _correction_rows(correction: Corrected, written: int) -> Iterator[BookRow]:
    yield _energy_row(correction.slot_ms, correction.energy)
    first = correction.index * LINES_AN_ENTRY_MAX + written
    for number, line in enumerate(correction.lines, first):
        yield _line_row(correction.slot_ms, number, line, correction.index)


def _energy_row(slot_ms: int, energy: SlotEnergy) -> SlotEnergyRow:
    return SlotEnergyRow(
        slot_ms=slot_ms,
        meter_id=energy.meter_id,
        member=energy.member,
        import_uwh=energy.import_uwh,
        export_uwh=energy.export_uwh,
        quality=energy.quality,
    )


def _line_row(slot_ms: int, number: int, line: Line, index: int) -> LineRow:
    return LineRow(
        slot_ms=slot_ms,
        number=number,
        member=line.account,
        kind=line.kind,
        counterparty=line.counterparty,
        energy_uwh=line.energy_uwh,
        price_utok_per_kwh=line.price_utok_per_kwh,
        amount_utok=line.amount_utok,
        quality=line.quality,
        cause_index=index,
    )


def _shed_row(effect: ShedOpened | ShedClosed, held_uwh: int) -> ShedRow:
    shed = effect.shed
    return ShedRow(
        relay=effect.relay,
        from_ms=effect.from_ms,
        until_ms=shed.until_ms,
        node=effect.node,
        member=shed.member,
        wanted_mw=shed.power_mw,
        wanted_uwh=held_uwh,
        estimated=True,
        reason=shed.reason,
        decision_index=shed.decision_index,
    )


def _decision_row(index: int, decision: Decision) -> DecisionRow:
    outputs = ", ".join(
        f"{output.node}/{output.relay} {'cut' if output.cut else 'fed'}"
        for output in decision.outputs
    )
    return DecisionRow(
        entry_index=index,
        at_ms=decision.at_ms,
        policy=decision.policy,
        rule=decision.rule,
        limit_name=decision.limit,
        reason=decision.reason,
        outputs=outputs,
        view_root=decision.view_root,
    )
