"""What a played scenario comes to: energy not served, limits exceeded, contacts moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from messages.entries import PolicyEntry
from testbed.grid.cell import TICKS_PER_UWH
from testbed.grid.parts import Load
from testbed.layout import Layout
from testbed.scoring.limits import Excess, excesses
from testbed.world import World

UWH_PER_MWH: Final = 1000


@dataclass(frozen=True, slots=True)
class Score:
    """One scenario under one control. [mWh, ms]

    `not_served_mwh`: what loads wanted and did not get, for whatever reason; `unnecessary_mwh`: the
    part of it that open contacts held back although it would have fitted within all limits.
    `violation_mwh` is the energy beyond a limit; a dark bus counts by time alone.
    `time_to_safe_ms`: the longest time that one limit was exceeded without a break.
    """

    wanted_mwh: int
    not_served_mwh: int
    unnecessary_mwh: int
    violation_ms: int
    violation_mwh: int
    time_to_safe_ms: int
    switchings: int
    collapses: int


@dataclass(slots=True)
class Tally:
    """Adds up what is seen at each step, after everything that moves has moved."""

    layout: Layout
    policy: PolicyEntry
    _wanted: int = 0
    _lacking: int = 0
    _unnecessary: int = 0
    _over: int = 0
    _violation_ms: int = 0
    _runs_ms: dict[str, int] = field(default_factory=dict)
    _longest_ms: int = 0

    def look(self, world: World) -> None:
        """Count the coming step as the world stands now."""
        ticks = 2 * world.step_ms
        found = tuple(excesses(world, self.layout, self.policy))
        held: list[tuple[int, str]] = []
        for site, row in zip(world.sites, world.flows.loads_uw, strict=True):
            for load, served_uw in zip(site.loads, row, strict=True):
                wanted_uw = load.series.power_uw(world.now_ms, after=True)
                lacking_uw = max(wanted_uw - served_uw, 0)
                self._wanted += wanted_uw * ticks
                self._lacking += lacking_uw * ticks
                if lacking_uw and _is_held(world, load):
                    held.append((lacking_uw, site.name))
        self._unnecessary += _would_fit(held, found) * ticks
        self._note(found, world.step_ms)

    def _note(self, found: Sequence[Excess], step_ms: int) -> None:
        """Follow each limit by itself; a limit that does not count now is kept."""
        over = {each.name: each.over_uw for each in found if each.over_uw > 0}
        self._over += 2 * step_ms * sum(over.values())
        self._violation_ms += step_ms if over else 0
        self._runs_ms = {name: self._runs_ms.get(name, 0) + step_ms for name in over}
        self._longest_ms = max(self._longest_ms, *self._runs_ms.values(), 0)

    def score(self, world: World, moves_before: int) -> Score:
        """Return what it all comes to."""
        ticks_per_mwh = TICKS_PER_UWH * UWH_PER_MWH
        return Score(
            wanted_mwh=self._wanted // ticks_per_mwh,
            not_served_mwh=self._lacking // ticks_per_mwh,
            unnecessary_mwh=self._unnecessary // ticks_per_mwh,
            violation_ms=self._violation_ms,
            violation_mwh=self._over // ticks_per_mwh,
            time_to_safe_ms=self._longest_ms,
            switchings=world.moves - moves_before,
            collapses=world.swing.collapses if world.swing else 0,
        )


def _is_held(world: World, load: Load) -> bool:
    return load.contact is not None and not world.is_fed(load)


def _would_fit(held: list[tuple[int, str]], found: Sequence[Excess]) -> int:
    """Return how much of what is held back fits beside everything else, the smallest first. [uW]"""
    free = {each.name: each.free_uw if each.over_uw == 0 else 0 for each in found}
    fitting_uw = 0
    for power_uw, member in sorted(held):
        bounds = [each.name for each in found if each.members is None or member in each.members]
        if all(power_uw <= free[name] for name in bounds):
            fitting_uw += power_uw
            for name in bounds:
                free[name] -= power_uw
    return fitting_uw
