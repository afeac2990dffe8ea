"""What the grid tie may bring in now, after what the bus itself says: grid, island, sag or dark.

A grid that is gone shows at the boundary meter before anybody is told: on an island the sources run
the bus a little lower, in volts where it is direct current and in hertz where it is alternating,
and it sags further while more is drawn than they can give. A policy entry says where the lines are,
among the dispatch parameters:

    island_import_mw_max = 60_000   # what battery and generators bring in without the grid
    island_below_mv = 12_300        # below: the grid is gone; island_below_mhz on an AC bus
    sag_below_mv = 11_800           # below: the sources give all they can; or sag_below_mhz

While the bus sags, what the boundary meter shows is all that there is, and a twentieth of the most
is left to raise the bus again: a battery that runs empty says so by nothing else. That stays so
until it was charged for a minute, the bus was dark, or the grid is back. On a dark bus every load
draws nothing and means to draw all it is rated for, so meters count as silent and loads give way
before the black start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from hub.balancing.limits import Parameters, number
from hub.balancing.policy import MeterPower, View
from hub.link.nodes import Sample

ISLAND_IMPORT: Final = "island_import_mw_max"
SIGNALS: Final = (("mv", "voltage_mv"), ("mhz", "frequency_mhz"))
RAISE_PART: Final = 20
CHARGED_MS: Final = 60_000


@dataclass(slots=True)
class BusWatch:
    """What is remembered of the island: the most it was seen to give, and how long it charges."""

    given_mw: int | None = None
    charging_ms: int | None = None

    def seen(self, view: View, samples: Mapping[str, Sample], now_ms: int) -> View:
        """Return the view with the limits that the bus itself leaves; without the keys, as it was.

        A boundary meter that is silent cannot vouch for the grid, so it counts as gone.
        """
        boundary = next((meter for meter in view.meters if meter.purpose == "boundary"), None)
        if ISLAND_IMPORT not in view.parameters or boundary is None:
            return view
        most_mw = number(view.parameters, ISLAND_IMPORT, 0)
        sample = samples.get(boundary.meter_id)
        if sample is None or boundary.is_stale(view.limits.stale_after_ms):
            return _limited(view, min(most_mw, view.limits.import_mw_max))
        level, island_below, sag_below = _levels(view.parameters, sample)
        if level >= island_below:
            self._forget()
            return view
        if 2 * level < island_below:
            self._forget()
            return _limited(replace(view, meters=tuple(map(_silenced, view.meters))), 0)
        given_mw = (boundary.power_mw or 0) - most_mw // RAISE_PART if level < sag_below else None
        self._learn(boundary.power_mw or 0, given_mw, now_ms)
        return _limited(view, most_mw if self.given_mw is None else min(most_mw, self.given_mw))

    def _forget(self) -> None:
        self.given_mw = self.charging_ms = None

    def _learn(self, power_mw: int, given_mw: int | None, now_ms: int) -> None:
        """Note what the island gives while it sags; forget it once it has charged for a while."""
        if given_mw is not None:
            self.given_mw = given_mw if self.given_mw is None else min(self.given_mw, given_mw)
        if power_mw > 0 or given_mw is not None:
            self.charging_ms = None
        elif self.charging_ms is None:
            self.charging_ms = now_ms
        elif now_ms - self.charging_ms >= CHARGED_MS:
            self._forget()


def _levels(parameters: Parameters, sample: Sample) -> tuple[int, int, int]:
    """Return what the bus shows, below what it is an island, and below what it sags."""
    for unit, field in SIGNALS:
        island_below = number(parameters, f"island_below_{unit}", 0)
        if island_below > 0:
            shown: int | None = getattr(sample.live, field)
            return shown or 0, island_below, number(parameters, f"sag_below_{unit}", 0)
    return 0, 0, 0


def _limited(view: View, import_mw_max: int) -> View:
    return replace(view, limits=replace(view.limits, import_mw_max=import_mw_max))


def _silenced(meter: MeterPower) -> MeterPower:
    return meter if meter.purpose == "boundary" else replace(meter, age_ms=None)
