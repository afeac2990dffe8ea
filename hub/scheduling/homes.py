"""A member's step of ADMM: what he would exchange, near a target, with what he has.

Many homes can be asked at once, each by itself: a member alone is a list of one. His problem is a
quadratic program, solved by the method of OSQP (Stellato et al. 2020) with a few iterations each
round, going on from where the last round left it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hub.scheduling.coupling import Series
from messages.scheduling import Devices, Task

UWH_PER_KWH: Final = 1e9
UTOK_PER_TOKEN: Final = 1e6
ITERATIONS: Final = 15
"""Of the inner program, each round."""
RELAXATION: Final = 1.6
GOLDEN: Final = (5**0.5 - 1) / 2
"""Multiples of it less whole numbers spread evenly over 0 to 1, however many there are."""
STIFF: Final = 1e-6
LEVEL_WEIGHT: Final = 0.02
"""Of the bounds on levels against those on flows: a level adds up many flows."""


@dataclass(frozen=True, slots=True)
class Home:
    """What a member has and expects of a day. Series by slot. [uWh]

    `base_uwh`: what he draws without devices, below 0 he feeds in; `spare_uwh`: how much of it need
    not be fed in. The battery begins at `level_uwh` and is to end at `end_uwh` or above.
    """

    member: str
    devices: Devices
    base_uwh: tuple[int, ...]
    spare_uwh: tuple[int, ...]
    level_uwh: int = 0
    end_uwh: int = 0


class Homes:
    """Homes whose batteries keep the same share on a way; arrays have a row a home.

    Flows are side by side: charged, discharged, curtailed, each slot by slot. [kWh]
    """

    def __init__(self, homes: Sequence[Home], slot_ms: int, rho: float) -> None:
        self.homes = tuple(homes)
        self._rho = rho
        self._slots = len(homes[0].base_uwh)
        battery = next((home.devices.battery for home in homes if home.devices.battery), None)
        self._keeps = battery.efficiency_percent / 100 if battery else 1.0
        self._choices = [
            [_Choice(task, self._slots) for task in home.devices.tasks] for home in homes
        ]
        self._base = np.array([home.base_uwh for home in homes]) / UWH_PER_KWH
        self._bounds(slot_ms)
        self._prepare()
        self.exchange = self._base + self._tasks()

    def _bounds(self, slot_ms: int) -> None:
        batteries = [home.devices.battery for home in self.homes]
        most = [each.most_uwh(slot_ms) / UWH_PER_KWH if each else 0.0 for each in batteries]
        full = np.array([each.capacity_uwh / UWH_PER_KWH if each else 0.0 for each in batteries])
        worn = [each.wear_utok_per_kwh / UTOK_PER_TOKEN if each else 0.0 for each in batteries]
        begin = np.array([home.level_uwh for home in self.homes]) / UWH_PER_KWH
        end = np.array([home.end_uwh for home in self.homes]) / UWH_PER_KWH
        spare = np.array([home.spare_uwh for home in self.homes]) / UWH_PER_KWH
        flow = np.repeat(np.array(most)[:, None], 2 * self._slots, 1)
        level_low = np.repeat(-begin[:, None], self._slots, 1)
        level_low[:, -1] += end
        level_high = np.repeat((full - begin)[:, None], self._slots, 1)
        self._low = np.hstack([np.zeros((len(begin), 3 * self._slots)), level_low])
        self._high = np.hstack([flow, spare, level_high])
        self._wear = np.repeat(np.array(worn)[:, None], 3 * self._slots, 1)
        self._wear[:, 2 * self._slots :] = 0.0

    def _prepare(self) -> None:
        """Invert once what every iteration needs."""
        slots, rho = self._slots, self._rho
        one, before = np.eye(slots), np.tril(np.ones((slots, slots)))
        exchange = np.hstack([one, -one, one])
        levels = np.hstack([self._keeps * before, -before / self._keeps, 0 * one])
        self._weight = rho * np.repeat([1.0, LEVEL_WEIGHT], [3 * slots, slots])
        system = rho * exchange.T @ exchange + rho * (1 + STIFF) * np.eye(3 * slots)
        self._inverse = np.linalg.inv(system + rho * LEVEL_WEIGHT * levels.T @ levels)
        self._flows = np.zeros_like(self._wear)
        self._split = np.clip(np.zeros_like(self._low), self._low, self._high)
        self._forces = np.zeros_like(self._low)

    def respond(self, shift: Series) -> None:
        """Set `exchange` to what suits each home near its last one less the shift."""
        target = self.exchange - shift
        beside = self._base + self._net() - target
        for row, choices in zip(beside, self._choices, strict=True):
            for choice in choices:
                choice.move(row + sum(each.profile for each in choices))
        fixed = self._base + self._tasks()
        self._iterate(self._wear + self._rho * _tripled(fixed - target))
        self.exchange = fixed + self._net()

    def decide(self) -> None:
        """Let every task begin in one slot from now on: no longer partly in several."""
        for place, choices in enumerate(self._choices):
            for choice in choices:
                choice.decide((place + 1) * GOLDEN % 1)

    def _iterate(self, cost: Any) -> None:
        for _ in range(ITERATIONS):
            pull = self._weight * self._split - self._forces
            right = self._rho * STIFF * self._flows - cost + self._pulled(pull)
            flows = right @ self._inverse
            found = RELAXATION * np.hstack([flows, self._levels(flows)])
            found += (1 - RELAXATION) * self._split
            self._flows = RELAXATION * flows + (1 - RELAXATION) * self._flows
            self._split = np.clip(found + self._forces / self._weight, self._low, self._high)
            self._forces = self._forces + self._weight * (found - self._split)

    def _levels(self, flows: Any) -> Any:
        """Return by how much each slot's level differs from the first."""
        charged, discharged = flows[:, : self._slots], flows[:, self._slots : 2 * self._slots]
        return np.cumsum(self._keeps * charged - discharged / self._keeps, axis=1)

    def _pulled(self, pull: Any) -> Any:
        """Return what bounds on flows and levels do to the flows."""
        later = np.cumsum(pull[:, : 3 * self._slots - 1 : -1], axis=1)[:, ::-1]
        found = pull[:, : 3 * self._slots].copy()
        found[:, : self._slots] += self._keeps * later
        found[:, self._slots : 2 * self._slots] -= later / self._keeps
        return found

    def _net(self) -> Any:
        charged, discharged, curtailed = self.flows
        return charged - discharged + curtailed

    @property
    def flows(self) -> tuple[Any, Any, Any]:
        """What is charged, discharged and curtailed, a row a home. [kWh]"""
        slots = self._slots
        return (
            self._split[:, :slots],
            self._split[:, slots : 2 * slots],
            self._split[:, 2 * slots : 3 * slots],
        )

    def starts(self, place: int) -> tuple[int, ...]:
        """Return when the tasks of a home begin."""
        return tuple(choice.start for choice in self._choices[place])

    def _tasks(self) -> Any:
        """Return what tasks draw as they lie now."""
        found = np.zeros_like(self._base)
        for place, choices in enumerate(self._choices):
            for choice in choices:
                found[place] += choice.profile
        return found


class _Choice:
    """When a task begins: at first partly in several slots, which converges; then in one.

    Moved by steps of Frank and Wolfe (1956).
    """

    def __init__(self, task: Task, slots: int) -> None:
        self._first = task.earliest
        energy = np.array(task.energy_uwh) / UWH_PER_KWH
        self._profiles = np.zeros((task.latest - task.earliest + 1, slots))
        for place, row in enumerate(self._profiles, task.earliest):
            row[place : place + len(energy)] = energy
        self._parts = np.full(len(self._profiles), 1 / len(self._profiles))

    @property
    def profile(self) -> Any:
        """What it draws in each slot. [kWh]"""
        return self._parts @ self._profiles

    @property
    def start(self) -> int:
        """The slot in which most of it begins."""
        return self._first + int(self._parts.argmax())

    def move(self, beside: Any) -> None:
        """Go towards the beginning that takes most off what all draws beside the target."""
        best = int((self._profiles @ beside).argmin())
        way = self._profiles[best] - self.profile
        length = float(way @ way)
        step = min(max(-float(beside @ way) / length, 0.0), 1.0) if length else 0.0
        self._parts *= 1 - step
        self._parts[best] += step

    def decide(self, at: float) -> None:
        """Begin where the parts up to a slot pass `at`: homes alike do not all choose the same."""
        slot = int(np.searchsorted(np.cumsum(self._parts), at * float(self._parts.sum())))
        self._parts = np.zeros_like(self._parts)
        self._parts[min(slot, len(self._parts) - 1)] = 1.0


def _tripled(net: Any) -> Any:
    """Return what a cost of the exchange is for charging, discharging and curtailing."""
    return np.hstack([net, -net, net])
