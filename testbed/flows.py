"""Where power goes on one bus at one moment: pure arithmetic that conserves it to the microwatt.

Signs: generation, load and loss are never negative; storage, grid and swing (the bus's own inertia)
are positive when they feed the bus. `generation + storage + grid + swing == load + loss`, always,
whatever the parts ask for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one site would do at nominal voltage. [uW]"""

    generators_uw: tuple[int, ...]
    loads_uw: tuple[int, ...]
    wire_mohm: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What buffer, tie and inertia can do during the next interval. [uW], None: no limit."""

    discharge_uw: int
    charge_uw: int
    grid_import_uw: int | None
    grid_export_uw: int | None
    swing_out_uw: int = 0
    swing_in_uw: int = 0


@dataclass(frozen=True, slots=True)
class Flows:
    """Every power on the bus at one moment. [uW]; the bus voltage in millivolts.

    `missing_uw` above 0 is what nothing covered, below 0 what generators were throttled by.
    """

    generators_uw: tuple[tuple[int, ...], ...]
    loads_uw: tuple[tuple[int, ...], ...]
    losses_uw: tuple[int, ...]
    storage_uw: int
    grid_uw: int
    bus_mv: int
    swing_uw: int = 0
    missing_uw: int = 0

    def residual_uw(self) -> int:
        """Return what does not add up; zero, or the world is broken."""
        generated = sum(map(sum, self.generators_uw))
        sources = generated + self.storage_uw + self.grid_uw + self.swing_uw
        return sources - sum(map(sum, self.loads_uw)) - sum(self.losses_uw)


def solve(
    sites: Sequence[Wanted], limits: Limits, bus_mv: int, level_mv: int | None = None
) -> Flows:
    """Return the flows on a bus: the buffer first, then the tie, its inertia, then what gives way.

    A surplus that nothing takes throttles the generators. A deficit that nothing covers pulls the
    bus down: loads are taken as resistive, so their power falls with the square of the voltage.
    `level_mv` is where the bus stands now, if not at its nominal `bus_mv`.
    """
    losses = [_wire_loss_uw(site, bus_mv) for site in sites]
    generated = sum(sum(site.generators_uw) for site in sites)
    consumed = sum(sum(site.loads_uw) for site in sites)
    needed = consumed + sum(losses) - generated
    storage, grid, swing, missing = _covered(needed, limits)
    if missing > 0:
        losses, missing = _spare_losses(losses, missing, consumed)
    loads = _scaled([site.loads_uw for site in sites], consumed, consumed - max(missing, 0))
    generators = _scaled(
        [site.generators_uw for site in sites], generated, generated - max(-missing, 0)
    )
    return Flows(
        generators_uw=generators,
        loads_uw=loads,
        losses_uw=tuple(losses),
        storage_uw=storage,
        grid_uw=grid,
        bus_mv=_sagged_mv(
            bus_mv if level_mv is None else level_mv, consumed, consumed - max(missing, 0)
        ),
        swing_uw=swing,
        missing_uw=missing,
    )


def _covered(needed: int, limits: Limits) -> tuple[int, int, int, int]:
    """Return what storage, tie and inertia give, and what is missing; inertia is filled last."""
    storage, grid, missing = _fed(needed, limits)
    if missing > 0:
        swing = min(missing, limits.swing_out_uw)
        return storage, grid, swing, missing - swing
    if not limits.swing_in_uw:
        return storage, grid, 0, missing
    storage, grid, missing = _fed(needed + limits.swing_in_uw, limits)
    return storage, grid, max(missing, 0) - limits.swing_in_uw, min(missing, 0)


def _fed(needed: int, limits: Limits) -> tuple[int, int, int]:
    storage = max(-limits.charge_uw, min(limits.discharge_uw, needed))
    grid = _within(needed - storage, limits.grid_import_uw, limits.grid_export_uw)
    return storage, grid, needed - storage - grid


def _wire_loss_uw(site: Wanted, bus_mv: int) -> int:
    """Return I squared times R of the wire between a site and the bus. [uW]"""
    net_uw = abs(sum(site.generators_uw) - sum(site.loads_uw))
    current_ua = net_uw * 1000 // bus_mv
    return current_ua * current_ua * site.wire_mohm // 1_000_000_000


def _within(wanted_uw: int, import_uw: int | None, export_uw: int | None) -> int:
    if wanted_uw > 0:
        return wanted_uw if import_uw is None else min(wanted_uw, import_uw)
    return wanted_uw if export_uw is None else max(wanted_uw, -export_uw)


def _spare_losses(losses: list[int], missing: int, consumed: int) -> tuple[list[int], int]:
    """Cut losses that nothing feeds, when even dropping every load would not cover them."""
    excess = max(0, missing - consumed)
    spared = []
    for loss in losses:
        cut = min(loss, excess)
        spared.append(loss - cut)
        excess -= cut
    return spared, min(missing, consumed)


def _scaled(
    groups: Sequence[tuple[int, ...]], total: int, target: int
) -> tuple[tuple[int, ...], ...]:
    """Scale powers so that they sum exactly to the target: cumulative shares, each floored."""
    if total == target:
        return tuple(groups)
    scaled = []
    before = seen = 0
    for group in groups:
        row = []
        for power in group:
            seen += power
            share = seen * target // total
            row.append(share - before)
            before = share
        scaled.append(tuple(row))
    return tuple(scaled)


def _sagged_mv(bus_mv: int, wanted_uw: int, served_uw: int) -> int:
    if served_uw == wanted_uw:
        return bus_mv
    return isqrt(bus_mv * bus_mv * served_uw // wanted_uw)
