"""What a bus is built of, as it is described: sites, loads, battery, engines, grid, inertia."""

from dataclasses import dataclass

from testbed.series import Series


@dataclass(frozen=True, slots=True)
class Contact:
    """The relay contact that a load hangs on, and what its wiring does.

    `deenergised` is "fed" (wired on NC) or "cut" (wired on NO), as in an edge configuration.
    """

    node: str
    pin: int
    active_high: bool
    deenergised: str


@dataclass(frozen=True, slots=True)
class Pickup:
    """What a load draws beyond its usual when it begins, in thousandths of that. [ms]

    `inrush`: a motor at standstill. `cold`: what thermostats all want at once after
    `cold_after_ms` without power.
    """

    inrush_permille: int = 1000
    inrush_ms: int = 0
    cold_permille: int = 1000
    cold_ms: int = 0
    cold_after_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class Load:
    """Something that draws power when it wants to and its contact lets it."""

    name: str
    series: Series
    contact: Contact | None = None
    pickup: Pickup | None = None


@dataclass(frozen=True, slots=True)
class Engine:
    """A generator or fuel cell: runs without a grid, follows the load, starts and ramps slowly.

    Below its minimum it cannot run: with nobody to take that, it stops. It stands still before
    `from_ms`, the time at which it is connected.
    """

    maximum_uw: int
    minimum_uw: int = 0
    ramp_uw_per_s: int = 1 << 40
    start_ms: int = 0
    black_start: bool = False
    from_ms: int = 0


@dataclass(frozen=True, slots=True)
class Site:
    """One member's place: generators and loads behind one wire to the bus."""

    name: str
    generators: tuple[Series, ...]
    loads: tuple[Load, ...]
    wire_mohm: int = 0
    engines: tuple[Engine, ...] = ()


@dataclass(frozen=True, slots=True)
class Storage:
    """A battery on the bus. What it cannot take or give is left to the others.

    `efficiency_permille` counts each way, at its terminals; `level_min_uwh` is never given.
    """

    capacity_uwh: int
    level_uwh: int
    power_max_uw: int
    efficiency_permille: int = 1000
    level_min_uwh: int = 0
    black_start: bool = True


@dataclass(frozen=True, slots=True)
class Grid:
    """A tie to a stronger grid. None: no limit. [uW]; `outages` from, until [ms UTC]"""

    import_max_uw: int | None = None
    export_max_uw: int | None = None
    outages: tuple[tuple[int, int], ...] = ()

    def is_there(self, at_ms: int) -> bool:
        """Whether it feeds the bus from this instant on."""
        return not any(start <= at_ms < end for start, end in self.outages)


@dataclass(frozen=True, slots=True)
class Inertia:
    """What a bus holds in turning masses or capacitors, and what happens when it is used up.

    With the square of voltage (DC) or frequency (AC) its energy falls: `content_ws` lies between
    the island's level and collapse, in thousandths of nominal; below `low_permille` what hangs on
    it begins to suffer. `frequency_mhz` 0: direct current.
    """

    content_ws: int
    island_permille: int = 970
    low_permille: int = 930
    collapse_permille: int = 850
    restart_ms: int = 30_000
    frequency_mhz: int = 0
