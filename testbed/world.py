"""The world that simulated devices measure: members on one bus, conserving energy to the unit.

Between instants every power is linear; it jumps at instants only (a new slot, a contact that
moves). So a meter that samples before and after each jump integrates without error.
Energy is kept in ticks of half a microwatt-millisecond, in which a trapezoid is a whole number:
7 200 000 ticks are one microwatt-hour. Nothing in here rounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from testbed.flows import Flows, Limits, Wanted, solve
from testbed.series import Series

TICKS_PER_UWH = 7_200_000


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
class Load:
    """Something that draws power when it wants to and its contact lets it."""

    name: str
    series: Series
    contact: Contact | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """One member's place: generators and loads behind one wire to the bus."""

    name: str
    generators: tuple[Series, ...]
    loads: tuple[Load, ...]
    wire_mohm: int = 0


@dataclass(frozen=True, slots=True)
class Storage:
    """A buffer on the bus. It loses nothing; what it cannot take or give is left to the others."""

    capacity_uwh: int
    level_uwh: int
    power_max_uw: int


@dataclass(frozen=True, slots=True)
class Grid:
    """A tie to a stronger grid. None: no limit. [uW]"""

    import_max_uw: int | None = None
    export_max_uw: int | None = None


class Kind(Enum):
    """What a meter measures at its site; positive power is import into that site."""

    GENERATION = "generation"
    CONSUMPTION = "consumption"
    NET = "net"
    APPLIANCE = "appliance"
    STORAGE = "storage"
    BOUNDARY = "boundary"


@dataclass(frozen=True, slots=True)
class Probe:
    """A place where a meter is connected; `load` only for an appliance."""

    kind: Kind
    site: str = ""
    load: str = ""


@dataclass(slots=True)
class Register:
    """Import and export of one probe since the start. [ticks]"""

    import_ticks: int = 0
    export_ticks: int = 0


@dataclass(slots=True)
class Totals:
    """What the whole bus did since the start. [ticks]; storage and grid positive into the bus."""

    generated: int = 0
    consumed: int = 0
    lost: int = 0
    storage: int = 0
    grid: int = 0

    def residual(self) -> int:
        """Return what does not add up; zero, or the world is broken."""
        return self.generated + self.storage + self.grid - self.consumed - self.lost


@dataclass(slots=True)
class World:
    """One bus with everything on it. The only owner of simulated time and energy.

    `step_ms` is the interval between instants: the buffer promises no more than it can keep up
    for one of them.
    """

    sites: tuple[Site, ...]
    storage: Storage | None
    grid: Grid | None
    bus_mv: int
    now_ms: int
    step_ms: int
    totals: Totals = field(default_factory=Totals)
    flows: Flows = field(init=False)
    moves: int = 0
    _level_ticks: int = field(init=False)
    _pins: dict[tuple[str, int], bool] = field(default_factory=dict)
    _registers: dict[Probe, Register] = field(default_factory=dict)
    _limits: Limits = field(init=False)

    def __post_init__(self) -> None:
        """Stand at the first instant, after its jump."""
        self._level_ticks = self.storage.level_uwh * TICKS_PER_UWH if self.storage else 0
        self.jump()

    # -- what drives it

    def advance(self, to_ms: int) -> None:
        """Let time pass up to the next instant and stop just before its jump.

        Raises ValueError if the interval is not the world's step: the buffer counts on it.
        """
        if to_ms - self.now_ms != self.step_ms:
            raise ValueError(f"the world advances by {self.step_ms} ms, not {to_ms - self.now_ms}")
        ends = solve(self._wanted(to_ms, after=False), self._limits, self.bus_mv)
        self._account(self.flows, ends)
        self.now_ms = to_ms
        self.flows = ends

    def jump(self) -> bool:
        """Let what changes at this instant change; return whether anything did."""
        before = getattr(self, "flows", None)
        self._limits = self._promises()
        self.flows = solve(self._wanted(self.now_ms, after=True), self._limits, self.bus_mv)
        return before != self.flows

    def set_pin(self, node: str, pin: int, high: bool) -> None:
        """Take a pin's new level from a guard; its load follows at once."""
        if self._pins.get((node, pin)) == high:
            return
        self._pins[node, pin] = high
        if any(
            load.contact and (load.contact.node, load.contact.pin) == (node, pin)
            for site in self.sites
            for load in site.loads
        ):
            self.moves += 1
            self.jump()

    # -- what is measured

    def watch(self, probe: Probe) -> None:
        """Keep a register for this probe from now on."""
        self._registers.setdefault(probe, Register())

    def power_uw(self, probe: Probe) -> int:
        """Return the power at a probe now; positive is import into its site. [uW]"""
        return probe_power_uw(self.sites, self.flows, probe)

    def energy_uwh(self, probe: Probe) -> tuple[int, int]:
        """Return import and export of a watched probe since the start, floored. [uWh]"""
        register = self._registers[probe]
        return register.import_ticks // TICKS_PER_UWH, register.export_ticks // TICKS_PER_UWH

    @property
    def level_uwh(self) -> int:
        """The buffer's content, floored. [uWh]"""
        return self._level_ticks // TICKS_PER_UWH

    @property
    def level_ticks(self) -> int:
        """The buffer's exact content. [ticks]"""
        return self._level_ticks

    def is_energised(self, contact: Contact) -> bool:
        """Return whether a contact's coil carries current; a pin nobody drives has none."""
        high = self._pins.get((contact.node, contact.pin))
        return high is not None and high == contact.active_high

    def is_fed(self, load: Load) -> bool:
        """Return whether a load's contact lets it draw."""
        if load.contact is None:
            return True
        return self.is_energised(load.contact) != (load.contact.deenergised == "fed")

    # -- how it works

    def _wanted(self, at_ms: int, *, after: bool) -> list[Wanted]:
        return [
            Wanted(
                tuple(series.power_uw(at_ms, after=after) for series in site.generators),
                tuple(
                    load.series.power_uw(at_ms, after=after) if self.is_fed(load) else 0
                    for load in site.loads
                ),
                site.wire_mohm,
            )
            for site in self.sites
        ]

    def _promises(self) -> Limits:
        """Return limits that the buffer can keep for a whole step, whatever happens in it."""
        grid_import = self.grid.import_max_uw if self.grid else 0
        grid_export = self.grid.export_max_uw if self.grid else 0
        if self.storage is None:
            return Limits(0, 0, grid_import, grid_export)
        room_ticks = self.storage.capacity_uwh * TICKS_PER_UWH - self._level_ticks
        return Limits(
            min(self.storage.power_max_uw, self._level_ticks // (2 * self.step_ms)),
            min(self.storage.power_max_uw, room_ticks // (2 * self.step_ms)),
            grid_import,
            grid_export,
        )

    def _account(self, start: Flows, end: Flows) -> None:
        step = self.step_ms
        totals = self.totals
        totals.generated += (_sum(start.generators_uw) + _sum(end.generators_uw)) * step
        totals.consumed += (_sum(start.loads_uw) + _sum(end.loads_uw)) * step
        totals.lost += (sum(start.losses_uw) + sum(end.losses_uw)) * step
        drawn = (start.storage_uw + end.storage_uw) * step
        totals.storage += drawn
        totals.grid += (start.grid_uw + end.grid_uw) * step
        self._level_ticks -= drawn
        for probe, register in self._registers.items():
            first = probe_power_uw(self.sites, start, probe)
            last = probe_power_uw(self.sites, end, probe)
            imported, exported = split_ticks(first, last, step)
            register.import_ticks += imported
            register.export_ticks += exported


def split_ticks(first_uw: int, last_uw: int, step_ms: int) -> tuple[int, int]:
    """Return import and export of a linear piece; their difference is its exact integral. [ticks]

    Where the power crosses zero the two triangles are fractions: import is floored, and export is
    what keeps the difference exact.
    """
    net = (first_uw + last_uw) * step_ms
    if first_uw >= 0 and last_uw >= 0:
        return net, 0
    if first_uw <= 0 and last_uw <= 0:
        return 0, -net
    above = max(first_uw, last_uw)
    imported = above * above * step_ms // abs(first_uw - last_uw)
    return imported, imported - net


def probe_power_uw(sites: Sequence[Site], flows: Flows, probe: Probe) -> int:
    """Return the power at a probe for given flows; positive is import into its site. [uW]"""
    if probe.kind is Kind.BOUNDARY:
        return flows.storage_uw + flows.grid_uw
    if probe.kind is Kind.STORAGE:
        return -flows.storage_uw
    index = next(i for i, site in enumerate(sites) if site.name == probe.site)
    if probe.kind is Kind.APPLIANCE:
        names = [load.name for load in sites[index].loads]
        return flows.loads_uw[index][names.index(probe.load)]
    generated, consumed = sum(flows.generators_uw[index]), sum(flows.loads_uw[index])
    if probe.kind is Kind.GENERATION:
        return -generated
    return consumed if probe.kind is Kind.CONSUMPTION else consumed - generated


def _sum(groups: tuple[tuple[int, ...], ...]) -> int:
    return sum(map(sum, groups))
