"""The tables of a scenario file, key by key, as a person writes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from hub.policyfile import PolicyFile
from messages.config import name_complaint, setting
from messages.fuels import FUELS
from messages.membership import location_complaint

HOME_METER: Final = "sdm120"
MS_PER_DAY: Final = 86_400_000
DIVISOR: Final = "wanted a whole part of a day"
ENGINES: Final = ("generator", "fuel_cell")
"""Sources that run only without a grid, and follow the load."""

NODE, MEMBER, METER, NOBODY = "node", "member", "meter", ""
EVENTS: Final[Mapping[str, str]] = {
    "grid_out": NOBODY,
    "cloud": MEMBER,
    "hub_down": NOBODY,
    "broker_down": NOBODY,
    "delay": NOBODY,
    "node_silent": NODE,
    "meter_gone": METER,
    "meter_lies": METER,
    "join": MEMBER,
}
"""What can happen, and what its `target` names."""
WORLDLY: Final = ("grid_out", "cloud")
"""Events of the world, which every command plays; the others only `score` can."""


def _time_complaint(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return f'"{text}" is no time like "2026-06-21T00:00:00Z"'
    return "" if moment.utcoffset() is not None else f'"{text}" lacks its zone: append Z for UTC'


def _divides_day(milliseconds: int) -> str:
    return "" if MS_PER_DAY % milliseconds == 0 else f"{milliseconds} ms: {DIVISOR}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """One slot, from 0, whose power is given instead of drawn."""

    slot: int = setting(low=0)
    power_w: int = setting(low=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a member's power over time comes from."""

    source: str = setting(choices=("random", "slots", "clear_sky", "household", *ENGINES))
    minimum_w: int = setting(default=0, low=0)
    maximum_w: int = setting(default=0, low=0)
    step_w: int = setting(default=1, low=1)
    slots_w: tuple[int, ...] = ()
    peak_w: int = setting(default=0, low=0)
    base_w: int = setting(default=0, low=0)
    ramp_w_per_s: int = setting(default=1_000_000, low=1)
    start_s: int = setting(default=0, low=0)
    black_start: bool = False
    fixed: tuple[Fixed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadTable:
    """A load on a relay of its own; the member's wanted power is made up of these."""

    load: str = setting(check=name_complaint)
    power_w: int = setting(low=1)
    pin: int = setting(low=2, high=27)
    critical: bool = False
    deenergised: str = setting(default="fed", choices=("fed", "cut"))
    importance: int = setting(default=0, low=0, high=100)
    shed_price_utok_per_kwh: int = setting(default=0, low=0)
    min_fed_s: int = setting(default=0, low=0)
    min_cut_s: int = setting(default=0, low=0)
    inrush_permille: int = setting(default=1000, low=1000, high=10_000)
    inrush_ms: int = setting(default=0, low=0)
    cold_permille: int = setting(default=1000, low=1000, high=10_000)
    cold_s: int = setting(default=0, low=0)
    flap_s: int = setting(default=0, low=0)

    @property
    def peak_w(self) -> int:
        """The most it ever draws."""
        return -(-self.power_w * max(self.inrush_permille, self.cold_permille) // 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberTable:
    """One member and the node that meters it; what its generation comes from, and where."""

    member: str = setting(check=name_complaint)
    node: str = setting(check=name_complaint)
    generation: Source
    consumption: Source
    wire_mohm: int = setting(default=0, low=0)
    rated_w: int = setting(low=1)
    fuel: str = setting(default="", choices=FUELS)
    location: str = setting(default="", check=location_complaint)
    load: tuple[LoadTable, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferTable:
    """A battery on the bus."""

    capacity_wh: int = setting(low=0)
    level_wh: int = setting(low=0)
    power_max_w: int = setting(low=1)
    efficiency_permille: int = setting(default=1000, low=1, high=1000)
    level_min_wh: int = setting(default=0, low=0)
    black_start: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class InertiaTable:
    """What keeps the bus up while supply and demand do not meet; without it, it never collapses."""

    content_ws: int = setting(low=1)
    island_permille: int = setting(default=970, low=500, high=1000)
    low_permille: int = setting(default=930, low=100, high=1000)
    collapse_permille: int = setting(default=850, low=100, high=990)
    restart_s: int = setting(default=30, low=0)
    frequency_mhz: int = setting(default=0, low=0, high=70_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class BusTable:
    """The common bus, its buffer and grid tie; `boundary` names the node that meters both."""

    voltage_mv: int = setting(low=1_000, high=26_000)
    grid: bool = False
    buffer: BufferTable | None = None
    inertia: InertiaTable | None = None
    boundary: str | None = None
    latitude_mdeg: int = setting(default=0, low=-90_000, high=90_000)
    longitude_mdeg: int = setting(default=0, low=-180_000, high=180_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTable:
    """Something that happens `at_s` after the start, `for_s` long (0: to the end)."""

    event: str = setting(choices=tuple(EVENTS))
    at_s: int = setting(low=0)
    for_s: int = setting(default=0, low=0)
    target: str = ""
    permille: int = setting(default=0, low=0, high=10_000)
    delay_ms: int = setting(default=0, low=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A whole scenario file. `policy` is what `gridtally-hub policy` reads from a file of its own.

    `homes` true: members, slots and times come from `--homes`, and `meters` are the models that the
    homes have, one after the other in turn. `shows`: what it is played for, in a sentence.
    """

    title: str
    microgrid: str = setting(check=name_complaint)
    start: str = setting(check=_time_complaint)
    policy: PolicyFile
    scale: str = ""
    shows: str = ""
    homes: bool = False
    meters: tuple[str, ...] = (HOME_METER,)
    slots: int = setting(default=24, low=1)
    slot_ms: int = setting(default=3_600_000, low=1_000, check=_divides_day)
    instant_ms: int = setting(default=300_000, low=100, check=_divides_day)
    run_s: int = setting(default=60, low=0)
    seed: int = setting(default=1, low=0)
    readings: str = setting(default="open", choices=("open", "sealed"))
    bus: BusTable | None = None
    member: tuple[MemberTable, ...] = ()
    event: tuple[EventTable, ...] = ()

    @property
    def start_ms(self) -> int:
        """Begin of slot 0. [ms UTC]"""
        return int(datetime.fromisoformat(self.start).astimezone(UTC).timestamp() * 1000)

    @property
    def end_ms(self) -> int:
        """End of the last slot. [ms UTC]"""
        return self.start_ms + self.slots * self.slot_ms

    def span_ms(self, event: EventTable) -> tuple[int, int]:
        """Return from when until when an event lasts. [ms UTC]"""
        from_ms = self.start_ms + event.at_s * 1000
        return from_ms, from_ms + event.for_s * 1000 if event.for_s else self.end_ms

    def spans_of(self, kind: str, target: str | None = None) -> tuple[tuple[int, int], ...]:
        """Return the spans of a kind of event, of those that name this target. [ms UTC]"""
        return tuple(
            self.span_ms(event)
            for event in self.event
            if event.event == kind and target in (None, event.target)
        )
