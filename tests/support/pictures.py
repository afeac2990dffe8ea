"""Small pictures of a microgrid for the tests of page, map, REST and metrics."""

from __future__ import annotations

from dataclasses import replace

from hub.web.view import (
    LedgerView,
    MatchView,
    MemberView,
    MeterView,
    Picture,
    PositionView,
    RelayView,
    SlotView,
)

LEDGER = LedgerView(
    size=12,
    root="ab" * 32,
    verified=True,
    verified_size=12,
    verified_age_ms=2000,
    finding="",
    witnessed=False,
)


def meter(meter_id: str, power_mw: int | None, *, purpose: str = "consumption") -> MeterView:
    return MeterView(
        meter_id=meter_id,
        member="dep2",
        node="dep2",
        purpose=purpose,
        parent="",
        badge="silent" if power_mw is None else "signed",
        power_mw=power_mw,
        age_ms=None if power_mw is None else 400,
        quality="",
    )


def relay(name: str, *, fed: bool | None, lease_left_ms: int = 0) -> RelayView:
    return RelayView(
        relay=name,
        member="dep2",
        node="dep2",
        load=f"{name}-meter",
        fed=fed,
        energised=None if fed is None else not fed,
        lease_left_ms=lease_left_ms,
        reason="deficit 40.0 W",
        failsafe="fed",
    )


def member(name: str, net_mw: int | None, **changes: object) -> MemberView:
    plain = MemberView(
        member=name,
        generation_mw=20_000,
        load_mw=60_000,
        net_mw=net_mw,
        account_utok=0,
        meters=(meter(f"{name}-load", net_mw),),
        relays=(),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def slot(start_ms: int = 0, *, curtailed_uwh: int = 0) -> SlotView:
    return SlotView(
        start_ms=start_ms,
        end_ms=start_ms + 3_600_000,
        reason="complete",
        contract="dep_balance",
        positions=(PositionView("dep2", 20_000_000, 20_000_000, curtailed_uwh, -5, False),),
        matches=(MatchView("dep1", "dep2", 7_000_000, 150_000, 1050),),
        unaccounted_uwh=None,
    )


def picture(*members: MemberView, **changes: object) -> Picture:
    plain = Picture(
        microgrid="bench",
        simulation=False,
        at_ms=1_767_225_600_000,
        members=members,
        boundary=None,
        unaccounted_mw=None,
        slots=(),
        ledger=LEDGER,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]
