"""Each member's hours without and with balancing, as figures 6 to 8 of paper 000 draw them.

Without: what the member makes against what it wants. With: against what it used, once
neighbours have traded and relays have opened. From the ledger's settlements; only *wanted without
an estimate* comes from the scenario, since nobody can meter what was not drawn.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from hub.core.effects import SlotSettled
from testbed.grid.parts import Load
from testbed.layout import Layout

UWH_PER_MWH = 1000


@dataclass(frozen=True, slots=True)
class Hour:
    """One member's slot. [uWh]; `wanted_uwh` is the scenario's truth, `estimated_` the hub's."""

    slot: int
    start_ms: int
    generated_uwh: int
    wanted_uwh: int
    estimated_wanted_uwh: int
    consumed_uwh: int
    bought_uwh: int
    sold_uwh: int
    curtailed_uwh: int
    to_others_uwh: int

    @property
    def unbalanced_uwh(self) -> int:
        """Surplus (above 0) or deficit before anybody balances: figure a."""
        return self.generated_uwh - self.wanted_uwh

    @property
    def balanced_uwh(self) -> int:
        """What is left when neighbours have traded and relays have opened: figure b."""
        return self.generated_uwh + self.bought_uwh - self.sold_uwh - self.consumed_uwh


def hours_by_member(
    layout: Layout, settled: Sequence[SlotSettled]
) -> Mapping[str, tuple[Hour, ...]]:
    """Return every member's hours in order."""
    wanted = {site.name: site.loads for site in layout.sites}
    rows: dict[str, list[Hour]] = {}
    for slot in settled:
        for position in slot.positions:
            member = position.member
            rows.setdefault(member, []).append(
                Hour(
                    slot=(slot.slot_ms - layout.start_ms) // layout.slot_ms,
                    start_ms=slot.slot_ms,
                    generated_uwh=position.generated_uwh,
                    wanted_uwh=_wanted_uwh(wanted.get(member, ()), slot),
                    estimated_wanted_uwh=position.wanted_uwh,
                    consumed_uwh=position.consumed_uwh,
                    bought_uwh=sum(
                        row.match.energy_uwh for row in slot.matches if row.match.buyer == member
                    ),
                    sold_uwh=sum(
                        row.match.energy_uwh for row in slot.matches if row.match.seller == member
                    ),
                    curtailed_uwh=sum(
                        row.curtailed_uwh for row in slot.curtailments if row.member == member
                    ),
                    to_others_uwh=sum(
                        row.energy_uwh for row in slot.remainders if row.member == member
                    ),
                )
            )
    return {member: tuple(hours) for member, hours in rows.items()}


def _wanted_uwh(loads: Iterable[Load], slot: SlotSettled) -> int:
    """Return what the loads would have drawn through closed contacts; linear in the slot."""
    middle_ms = slot.slot_ms + slot.length_ms // 2
    power_uw = sum(load.series.power_uw(middle_ms, after=True) for load in loads)
    return power_uw * slot.length_ms // 3_600_000


def write_csv(folder: Path, hours: Mapping[str, Sequence[Hour]]) -> tuple[Path, ...]:
    """Write one file a member; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    names = [field.name for field in fields(Hour)]
    for member, rows in hours.items():
        path = folder / f"{member}.csv"
        with path.open("w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream)
            table.writerow([*names, "unbalanced_uwh", "balanced_uwh"])
            for row in rows:
                table.writerow([*astuple(row), row.unbalanced_uwh, row.balanced_uwh])
        written.append(path)
    return tuple(written)


BARS = " ▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[int], top: int) -> str:
    """Return values as a line of bars, scaled to `top`; what is not 0 shows at least a sliver."""
    steps = len(BARS) - 1
    return "".join(
        BARS[0] if value <= 0 or top <= 0 else BARS[max(1, min(steps, value * steps // top))]
        for value in values
    )
