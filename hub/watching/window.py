"""The newest slots as the detector looks at them: what meters showed, boundary and all. Pure.

Only slots count in which every meter was read: an estimate would be found guilty of itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

UWH_PER_WH: Final = 1_000_000
SLOTS_MAX: Final = 336
"""A window: two weeks of hours, half a week of quarter hours."""
SHOWN: Final = ("metered", "corrected")


class Facts(NamedTuple):
    """What the registry says of a meter."""

    member: str
    purpose: str
    is_settled: bool


class Shown(NamedTuple):
    """What one meter showed in one slot. [ms UTC, uWh]"""

    slot_ms: int
    meter_id: str
    import_uwh: int
    export_uwh: int
    quality: str


@dataclass(frozen=True, slots=True)
class Track:
    """One settled meter over the window: net import, slot by slot. [Wh]"""

    meter_id: str
    member: str
    purpose: str
    net_wh: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """Slots in order, with every settled meter and the boundary's net import. [ms UTC, Wh]

    `boundary_wh` is empty where no boundary meter can tell. `left_out`: slots with an estimate.
    """

    slots: tuple[int, ...]
    slot_ms: int
    tracks: tuple[Track, ...]
    boundary_wh: tuple[float, ...]
    left_out: int = 0

    @property
    def residual_wh(self) -> list[float]:
        """What came in at the boundary and shows on no meter, slot by slot."""
        shown = [sum(each) for each in zip(*(track.net_wh for track in self.tracks), strict=True)]
        return [come - seen for come, seen in zip(self.boundary_wh, shown, strict=True)]


def window_of(rows: Iterable[Shown], meters: Mapping[str, Facts], slot_ms: int) -> Window:
    """Return the newest `SLOTS_MAX` slots in which every meter that was there was read."""
    by_slot: dict[int, list[Shown]] = {}
    for row in rows:
        by_slot.setdefault(row.slot_ms, []).append(row)
    slots = sorted(by_slot)[-SLOTS_MAX:]
    good = [at for at in slots if all(row.quality in SHOWN for row in by_slot[at])]
    nets = {
        (row.meter_id, at): (row.import_uwh - row.export_uwh) / UWH_PER_WH
        for at in good
        for row in by_slot[at]
    }
    there = sorted({meter_id for meter_id, _ in nets} & set(meters))
    boundaries = [each for each in there if meters[each].purpose == "boundary"]
    tracks = tuple(
        Track(
            each,
            meters[each].member,
            meters[each].purpose,
            tuple(nets.get((each, at), 0.0) for at in good),
        )
        for each in there
        if meters[each].is_settled
    )
    has_boundary = bool(boundaries) and all(
        (each, at) in nets for each in boundaries for at in good
    )
    brought = tuple(sum(nets[each, at] for each in boundaries) for at in good)
    boundary_wh = brought if has_boundary else ()
    return Window(tuple(good), slot_ms, tracks, boundary_wh, len(slots) - len(good))
