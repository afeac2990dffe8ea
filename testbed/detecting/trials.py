"""One trial: a street with honest losses and meters of class 1, and one meter that is wrong.

The detector looks twice a day over the second half of the time. It does not know that anything is
wrong, nor when it began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, NamedTuple

from hub.watching.suspects import Rules, find
from hub.watching.window import SLOTS_MAX, Track, Window
from testbed.detecting.street import House

CLASS_SPREAD: Final = 0.007
CLASS_MAX: Final = 0.02
BOUNDARY_SPREAD: Final = 0.003
STANDBY_WH: Final = 30.0
LOOK_MS: Final = 12 * 3_600_000
YEAR_MS: Final = 365 * 24 * 3_600_000

HONEST: Final = "honest"
LYING: Final = "lying_meter"
LYING_PANELS: Final = "lying_meter, panels"
BYPASSED: Final = "stolen_meter, bypassed"
FOREIGN: Final = "stolen_meter, another's readings"


class Case(NamedTuple):
    """What is wrong with one meter, and how much of it is not shown."""

    name: str
    strength: float = 0.0


CASES: Final = (
    Case(HONEST),
    *(Case(LYING, share) for share in (0.05, 0.10, 0.25, 0.50)),
    *(Case(LYING_PANELS, share) for share in (0.25, 0.50)),
    Case(BYPASSED, 1.0),
    Case(FOREIGN, 1.0),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`after_ms`: from the first wrong slot until the right meter was named; None: never.

    `wrongly`: meters that were named although they are right. `unowned`: whether it was ever said
    that nobody shows something. `meter_ms`: meters x time that was looked at.
    """

    case: Case
    after_ms: int | None
    wrongly: int
    unowned: bool
    meter_ms: int


def play(street: Sequence[House], slot_ms: int, case: Case, seed: int, rules: Rules) -> Outcome:
    """Return how the detector did on a street with one wrong meter."""
    random = Random(seed)
    slots = len(street[0].used_wh)
    begin = slots // 2 + random.randrange(24)
    with_panels = [place for place, house in enumerate(street) if house.made_wh]
    of = with_panels if case.name == LYING_PANELS else range(len(street))
    who = random.choice(list(of))
    tracks, boundary_wh = falsified_street(street, random, case, who, begin)
    wanted = "" if case.name == HONEST else _name(who, "made" if of is with_panels else "used")
    step = LOOK_MS // slot_ms
    found_at: int | None = None
    wrongly: set[str] = set()
    unowned = False
    for end in range(slots // 2, slots + 1, step):
        for suspect in find(_window(tracks, boundary_wh, end, slot_ms), rules):
            if not suspect.meter_id:
                unowned = True
            elif suspect.meter_id != wanted or end <= begin:
                wrongly.add(suspect.meter_id)
            elif found_at is None:
                found_at = end
    after_ms = None if found_at is None else (found_at - begin) * slot_ms
    looked_ms = len(tracks) * (slots - slots // 2) * slot_ms
    return Outcome(case, after_ms, len(wrongly), unowned, looked_ms)


def _window(tracks: list[Track], boundary_wh: list[float], end: int, slot_ms: int) -> Window:
    first = max(0, end - SLOTS_MAX)
    return Window(
        tuple(place * slot_ms for place in range(first, end)),
        slot_ms,
        tuple(
            Track(each.meter_id, each.member, each.purpose, each.net_wh[first:end])
            for each in tracks
        ),
        tuple(boundary_wh[first:end]),
    )


def _name(place: int, what: str) -> str:
    return f"h{place + 1:02}-{what}"


def _gain(random: Random, spread: float) -> float:
    return 1 + max(-CLASS_MAX, min(CLASS_MAX, random.gauss(0, spread)))


def falsified_street(
    street: Sequence[House], random: Random, case: Case, who: int, begin: int
) -> tuple[list[Track], list[float]]:
    """Return what the meters show, and the boundary meter with all losses behind it."""
    boundary_wh = _brought_in(street, random)
    tracks = []
    for place, house in enumerate(street):
        member, gain = f"h{place + 1:02}", _gain(random, CLASS_SPREAD)
        used = [each * gain for each in house.used_wh]
        made = list(house.made_wh)
        if place == who:
            used, made = _falsified(used, made, case, begin, street[(who + 1) % len(street)])
        tracks.append(Track(_name(place, "used"), member, "consumption", tuple(used)))
        if made:
            gain = _gain(random, CLASS_SPREAD)
            net = tuple(-each * gain for each in made)
            tracks.append(Track(_name(place, "made"), member, "generation", net))
    return tracks, boundary_wh


def _brought_in(street: Sequence[House], random: Random) -> list[float]:
    """Return true net import plus losses: in each house's line, in the shared one, at rest. [Wh]"""
    lines = [random.uniform(0.002, 0.012) / max(house.used_wh) for house in street]
    net = [
        sum(house.used_wh[slot] - (house.made_wh[slot] if house.made_wh else 0) for house in street)
        for slot in range(len(street[0].used_wh))
    ]
    peak, gain = max(map(abs, net)), _gain(random, BOUNDARY_SPREAD)
    return [
        gain
        * (
            each
            + 0.02 * each * each / peak
            + 15
            + sum(
                line * house.used_wh[slot] ** 2 for line, house in zip(lines, street, strict=True)
            )
        )
        for slot, each in enumerate(net)
    ]


def _falsified(
    used: list[float], made: list[float], case: Case, begin: int, neighbour: House
) -> tuple[list[float], list[float]]:
    """Return what a wrong meter shows from a slot on."""
    before = used[:begin]
    if case.name == LYING:
        used = before + [each * (1 - case.strength) for each in used[begin:]]
    elif case.name == BYPASSED:
        used = before + [min(each, STANDBY_WH) for each in used[begin:]]
    elif case.name == FOREIGN:
        scale = 0.6 * sum(used) / max(sum(neighbour.used_wh), 1.0)
        used = before + [each * scale for each in neighbour.used_wh[begin:]]
    elif case.name == LYING_PANELS:
        made = made[:begin] + [each * (1 - case.strength) for each in made[begin:]]
    return used, made
