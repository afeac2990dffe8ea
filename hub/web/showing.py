"""From what there is to what somebody may see: the one gate to page, REST and metrics. Pure.

A `hub.lens.Lens` is made from the state for one asker; whatever leaves the web process has passed
it. What is hidden is left out or None; who is hidden has a pseudonym.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hub.banking.showing import BankView
from hub.core.disclosing import OPEN, sees_total
from hub.core.loads import owner_of
from hub.core.state import State
from hub.lens import Lens
from hub.ordering.market import unnamed
from hub.switching.leases import RelayName
from hub.watching.suspects import Suspect
from hub.web.view import (
    LedgerView,
    MatchView,
    MemberView,
    MeterView,
    Picture,
    PositionView,
    SlotTotalsView,
    SlotView,
    TotalsView,
)

# --- the picture of now ------------------------------------------------------------------------


def show_picture(picture: Picture, lens: Lens) -> Picture:
    """Return the microgrid now as the asker may see it; its slots have their own gate."""
    everybody = frozenset(member.member for member in picture.members)
    has_total = sees_total(lens.asker, everybody, lens.now)
    shown = [_member(member, lens) for member in picture.members if _is_seen(member, lens)]
    hidden = replace(
        picture,
        members=tuple(sorted(shown, key=lambda member: member.member)),
        totals=_totals(picture.members) if has_total else None,
        notices=lens.notices,
        suspects=tuple(each for each in picture.suspects if _may_check(each, lens, has_total)),
        disclosure=lens.now,
        slots=show_slots(picture.slots, lens),
        bank=None if picture.bank is None else show_bank(picture.bank, lens, everybody),
    )
    if lens.now == OPEN:
        return hidden
    return replace(
        hidden,
        boundary=_boundary(picture.boundary) if has_total else None,
        unaccounted_mw=picture.unaccounted_mw if has_total else None,
        request=picture.request if has_total else "",
        alarms=_unnamed(picture.alarms),
        markets=tuple(map(unnamed, picture.markets)),
        ledger=_ledger(picture.ledger),
    )


def show_bank(bank: BankView, lens: Lens, members: frozenset[str]) -> BankView:
    """Return the bank as the asker may see it: what circulates is a total over all members."""
    return (
        bank if sees_total(lens.asker, members, lens.now) else replace(bank, circulating_utok=None)
    )


def seen_relays(state: State, lens: Lens) -> tuple[RelayName, ...]:
    """Return the relays that the asker sees now: his own, or all where samples are shown."""
    return tuple(
        name
        for name, relay in sorted(state.relays.items())
        if lens.sees("live", owner_of(state, relay), lens.now)
    )


def _may_check(suspect: Suspect, lens: Lens, has_total: bool) -> bool:
    """A finding on a meter is for whom its samples are; one on nobody is a total."""
    if not suspect.meter_id:
        return has_total
    return lens.sees("live", suspect.member, lens.now)


def _is_seen(member: MemberView, lens: Lens) -> bool:
    things = ("name", "source", "trade", "live")
    return any(lens.sees(what, member.member, lens.now) for what in things)


def _member(member: MemberView, lens: Lens) -> MemberView:
    owner, is_live = member.member, lens.sees("live", member.member, lens.now)
    name = lens.name(owner, lens.now)
    found = replace(
        member,
        member=name,
        account_utok=member.account_utok if lens.sees("bill", owner, lens.now) else None,
        sources=member.sources if lens.sees("source", owner, lens.now) else (),
        is_live=is_live,
    )
    if is_live:
        return found
    return replace(found, generation_mw=None, load_mw=None, net_mw=None, meters=(), relays=())


def _totals(members: tuple[MemberView, ...]) -> TotalsView | None:
    """Return the sums over all; None if one is not known, or the others' sum would be shown."""
    if not members or any(member.net_mw is None for member in members):
        return None
    return TotalsView(
        len(members),
        sum(member.generation_mw or 0 for member in members),
        sum(member.load_mw or 0 for member in members),
    )


def _boundary(boundary: MeterView | None) -> MeterView | None:
    return None if boundary is None else replace(boundary, member="", node="")


def _unnamed(alarms: tuple[str, ...]) -> tuple[str, ...]:
    """Return that there are alarms: their texts name meters and relays."""
    if not alarms:
        return ()
    return (f"alarms: {len(alarms)}; `gridtally-hub status` on the hub names them",)


def _ledger(ledger: LedgerView) -> LedgerView:
    if not ledger.finding:
        return ledger
    return replace(ledger, finding="`gridtally-hub verify` on the hub says what is wrong")


# --- closed slots ------------------------------------------------------------------------------


def show_slots(slots: Iterable[SlotView], lens: Lens) -> tuple[SlotView, ...]:
    """Return closed slots as the asker may see them."""
    return tuple(_slot(slot, lens) for slot in slots)


def _slot(slot: SlotView, lens: Lens) -> SlotView:
    rule = lens.at(slot.start_ms)
    everybody = frozenset(position.member for position in slot.positions)
    has_total = sees_total(lens.asker, everybody, rule)
    positions = [
        _position(position, lens, rule, slot.start_ms)
        for position in slot.positions
        if lens.sees("energy", position.member, rule)
    ]
    matches = [
        _match(match, lens, rule, slot.start_ms)
        for match in slot.matches
        if lens.sees("trade", match.seller, rule) or lens.sees("trade", match.buyer, rule)
    ]
    return replace(
        slot,
        positions=tuple(positions),
        matches=tuple(sorted(matches, key=_shown)) if rule != OPEN else tuple(matches),
        fates=tuple(each for each in slot.fates if lens.sees("bill", each.member, rule)),
        failure=slot.failure if rule == OPEN or not slot.failure else "a reason that names members",
        unaccounted_uwh=slot.unaccounted_uwh if has_total else None,
        disclosure=rule,
        totals=_slot_totals(slot) if has_total and slot.positions else None,
    )


def _shown(match: MatchView) -> tuple[str, str, int, int]:
    """Return an order that follows from what is shown: that of names would tell them apart."""
    return match.seller, match.buyer, match.price_utok_per_kwh, match.energy_uwh


def _position(position: PositionView, lens: Lens, rule: str, slot_ms: int) -> PositionView:
    owner = position.member
    amount_utok = position.amount_utok if lens.sees("bill", owner, rule) else None
    return replace(position, member=lens.name(owner, rule, slot_ms), amount_utok=amount_utok)


def _match(match: MatchView, lens: Lens, rule: str, slot_ms: int) -> MatchView:
    is_own = any(lens.sees("bill", party, rule) for party in (match.seller, match.buyer))
    return replace(
        match,
        seller=lens.name(match.seller, rule, slot_ms),
        buyer=lens.name(match.buyer, rule, slot_ms),
        amount_utok=match.amount_utok if is_own else None,
    )


def _slot_totals(slot: SlotView) -> SlotTotalsView:
    return SlotTotalsView(
        len({position.member for position in slot.positions}),
        sum(position.generation_uwh for position in slot.positions),
        sum(position.load_uwh for position in slot.positions),
        sum(position.curtailed_uwh for position in slot.positions),
        sum(match.energy_uwh for match in slot.matches),
    )
