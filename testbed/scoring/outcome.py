"""What many played scenarios say together: which policy did best, who joined and sold, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Final

from testbed.scoring.control import CYCLE_MS
from testbed.scoring.playing import BASELINES, THRESHOLD, Played
from testbed.tables import Scenario

UWH_PER_MWH: Final = 1000


@dataclass(frozen=True, slots=True)
class Joined:
    """A member who was enrolled during the run, and what he sold. Slots from 0; None: nothing."""

    member: str
    joined_slot: int
    first_sale_slot: int | None
    sold_mwh: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """One scenario under every control that was asked for, the baselines first."""

    name: str
    scenario: Scenario
    runs: tuple[Played, ...]

    @property
    def best(self) -> Played | None:
        """Of our policies: limits first, then energy served; None if none was asked for."""
        ours = [run for run in self.runs if run.control not in BASELINES]
        return min(ours, key=_order, default=None)

    @property
    def threshold(self) -> Played:
        """The baseline that others run."""
        return next(run for run in self.runs if run.control == THRESHOLD)


def _order(run: Played) -> tuple[int, int, int]:
    score = run.score
    return max(score.time_to_safe_ms - CYCLE_MS, 0), score.not_served_mwh, score.switchings


def outcomes(runs: Sequence[tuple[str, Played]]) -> Iterator[Outcome]:
    """Yield an outcome a scenario, from runs in order of scenarios."""
    for name, rows in groupby(runs, key=lambda row: row[0]):
        played = tuple(run for _, run in rows)
        yield Outcome(name, played[0].scenario, played)


def joined(run: Played) -> Iterator[Joined]:
    """Yield who joined in a run that kept a ledger."""
    scenario = run.scenario
    for event in scenario.event if run.settled else ():
        if event.event != "join":
            continue
        sales = [
            (slot.slot_ms, row.match.energy_uwh)
            for slot in run.settled
            for row in slot.matches
            if row.match.seller == event.target
        ]
        first_ms = min((slot_ms for slot_ms, _ in sales), default=None)
        yield Joined(
            member=event.target,
            joined_slot=event.at_s * 1000 // scenario.slot_ms,
            first_sale_slot=_slot(scenario, first_ms),
            sold_mwh=sum(energy for _, energy in sales) // UWH_PER_MWH,
        )


def _slot(scenario: Scenario, at_ms: int | None) -> int | None:
    return None if at_ms is None else (at_ms - scenario.start_ms) // scenario.slot_ms


def json_line(found: Sequence[Outcome]) -> str:
    """Return all of it as one line. [mWh, ms]"""
    return json.dumps(
        {
            "cycle_ms": CYCLE_MS,
            "scenarios": [
                {
                    "scenario": outcome.name,
                    "seed": outcome.scenario.seed,
                    "best": outcome.best.control if outcome.best else None,
                    "controls": [
                        {
                            "control": run.control,
                            **asdict(run.score),
                            "joined": [asdict(each) for each in joined(run)],
                        }
                        for run in outcome.runs
                    ],
                }
                for outcome in found
            ],
        }
    )
