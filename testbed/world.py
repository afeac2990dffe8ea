"""The world that simulated devices measure: members on one bus, conserving energy to the unit.

Between instants every power is linear; it jumps at instants only (a new slot, a contact that
moves). So a meter that samples before and after each jump integrates without error.
Energy is kept in ticks of half a microwatt-millisecond, in which a trapezoid is a whole number:
7 200 000 ticks are one microwatt-hour. What a battery loses each way is rounded against it and
counted; nothing else in here rounds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from testbed.flows import Flows, Limits, Wanted, solve
from testbed.grid.cell import TICKS_PER_UWH, Cell
from testbed.grid.engine import Running
from testbed.grid.parts import Contact, Grid, Inertia, Load, Site, Storage
from testbed.grid.pickup import USUAL_PERMILLE, Drawing
from testbed.grid.swing import Swing
from testbed.probes import Probe, Register, place_of, power_at_uw, split_ticks

MAINS_MHZ = 50_000


@dataclass(slots=True)
class Totals:
    """What the whole bus did since the start. [ticks]; storage, grid, swing positive into the bus.

    `lost` is lost in wires, and what was left in the bus when it collapsed.
    """

    generated: int = 0
    consumed: int = 0
    lost: int = 0
    storage: int = 0
    grid: int = 0
    swing: int = 0

    def residual(self) -> int:
        """Return what does not add up; zero, or the world is broken."""
        sources = self.generated + self.storage + self.grid + self.swing
        return sources - self.consumed - self.lost


@dataclass(slots=True)
class World:
    """One bus with everything on it. The only owner of simulated time and energy.

    `step_ms` is the interval between instants: battery and inertia promise no more than they can
    keep up for one of them. Without `inertia` a deficit pulls the bus down and it never collapses.
    """

    sites: tuple[Site, ...]
    storage: Storage | None
    grid: Grid | None
    bus_mv: int
    now_ms: int
    step_ms: int
    inertia: Inertia | None = None
    totals: Totals = field(default_factory=Totals)
    flows: Flows = field(init=False)
    moves: int = 0
    swing: Swing | None = field(init=False)
    cell: Cell | None = field(init=False)
    _pins: dict[tuple[str, int], bool] = field(default_factory=dict)
    _registers: dict[Probe, Register] = field(default_factory=dict)
    _places: dict[Probe, tuple[int, int]] = field(default_factory=dict)
    _limits: Limits = field(init=False)
    _engines: tuple[tuple[Running, ...], ...] = field(init=False)
    _drawing: dict[tuple[str, str], Drawing] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Stand at the first instant, after its jump."""
        self.cell = Cell(self.storage) if self.storage else None
        self.swing = Swing(self.inertia) if self.inertia else None
        self._engines = tuple(
            tuple(Running(engine, seen_ms=self.now_ms) for engine in site.engines)
            for site in self.sites
        )
        for site in self.sites:
            for load in site.loads:
                if load.pickup:
                    self._drawing[site.name, load.name] = Drawing(stopped_ms=self.now_ms)
        self.jump()

    # -- what drives it

    def advance(self, to_ms: int) -> None:
        """Let time pass up to the next instant and stop just before its jump.

        Raises ValueError if the interval is not the world's step: the buffer counts on it.
        """
        if to_ms - self.now_ms != self.step_ms:
            raise ValueError(f"the world advances by {self.step_ms} ms, not {to_ms - self.now_ms}")
        ends = self._solve(to_ms, after=False)
        self._account(self.flows, ends)
        self.now_ms = to_ms
        self._collapse_if_spent(self.flows, ends)
        self.flows = ends

    def jump(self) -> bool:
        """Let what changes at this instant change; return whether anything did."""
        before = getattr(self, "flows", None)
        if self.swing is not None:
            self.swing.follow(
                self.now_ms,
                self.step_ms,
                has_grid=self.has_grid,
                has_starter=self._has_starter(),
            )
        self._follow_engines(before)
        self._note_drawing()
        self._limits = self._promises()
        self.flows = self._solve(self.now_ms, after=True)
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
        return power_at_uw(self.flows, probe, self._place(probe))

    def _place(self, probe: Probe) -> tuple[int, int]:
        if probe not in self._places:
            self._places[probe] = place_of(self.sites, probe)
        return self._places[probe]

    def energy_uwh(self, probe: Probe) -> tuple[int, int]:
        """Return import and export of a watched probe since the start, floored. [uWh]"""
        register = self._registers[probe]
        return register.import_ticks // TICKS_PER_UWH, register.export_ticks // TICKS_PER_UWH

    def register(self, probe: Probe) -> Register:
        """Return the exact register of a watched probe."""
        return self._registers[probe]

    @property
    def level_uwh(self) -> int:
        """The buffer's content, floored. [uWh]"""
        return self.level_ticks // TICKS_PER_UWH

    @property
    def level_ticks(self) -> int:
        """The buffer's exact content. [ticks]"""
        return self.cell.level_ticks if self.cell else 0

    @property
    def has_grid(self) -> bool:
        """Whether the stronger grid is there now."""
        return self.grid is not None and self.grid.is_there(self.now_ms)

    @property
    def feeds(self) -> bool:
        """Whether the bus stands, and is neither dark nor starting."""
        return self.swing is None or self.swing.feeds

    def spare_uw(self) -> int:
        """Return what battery and engines could give beyond what they give now. [uW]"""
        battery_uw = self._limits.discharge_uw - self.flows.storage_uw
        ready = (running for running, _ in self.engine_uw() if running.power_uw)
        return battery_uw + sum(each.engine.maximum_uw - each.power_uw for each in ready)

    @property
    def permyriad(self) -> int:
        """Where the bus stands, in ten-thousandths of its nominal voltage or frequency."""
        return 10_000 if self.swing is None else self.swing.permyriad(has_grid=self.has_grid)

    @property
    def frequency_mhz(self) -> int:
        """Frequency of an alternating bus; without inertia it is that of the mains. [mHz]"""
        if self.inertia is None:
            return MAINS_MHZ
        return self.inertia.frequency_mhz * self.permyriad // 10_000

    def is_energised(self, contact: Contact) -> bool:
        """Return whether a contact's coil carries current; a pin nobody drives has none."""
        high = self._pins.get((contact.node, contact.pin))
        return high is not None and high == contact.active_high

    def is_fed(self, load: Load) -> bool:
        """Return whether a load's contact lets it draw."""
        if load.contact is None:
            return True
        return self.is_energised(load.contact) != (load.contact.deenergised == "fed")

    def engine_uw(self) -> Iterator[tuple[Running, str]]:
        """Yield each engine with the site it stands at."""
        for site, engines in zip(self.sites, self._engines, strict=True):
            for running in engines:
                yield running, site.name

    # -- how it works

    def _solve(self, at_ms: int, *, after: bool) -> Flows:
        return solve(self._wanted(at_ms, after=after), self._limits, self.bus_mv, self._level_mv())

    def _level_mv(self) -> int:
        """Voltage of the bus: on an alternating one only darkness shows in it. [mV]"""
        if self.inertia is None:
            return self.bus_mv
        if self.inertia.frequency_mhz:
            return self.bus_mv if self.permyriad else 0
        return self.bus_mv * self.permyriad // 10_000

    def _wanted(self, at_ms: int, *, after: bool) -> list[Wanted]:
        feeds = self.feeds
        shines = feeds or self.cell is not None  # panels charge a battery behind a dark bus
        return [
            Wanted(
                (
                    *(
                        series.power_uw(at_ms, after=after) if shines else 0
                        for series in site.generators
                    ),
                    *(running.power_uw for running in engines),
                ),
                tuple(
                    self._load_uw(site, load, at_ms, after=after) if feeds else 0
                    for load in site.loads
                ),
                site.wire_mohm,
            )
            for site, engines in zip(self.sites, self._engines, strict=True)
        ]

    def _load_uw(self, site: Site, load: Load, at_ms: int, *, after: bool) -> int:
        if not self.is_fed(load):
            return 0
        power_uw = load.series.power_uw(at_ms, after=after)
        if load.pickup is None:
            return power_uw
        drawing = self._drawing[site.name, load.name]
        return power_uw * drawing.permille(load.pickup, at_ms, after=after) // USUAL_PERMILLE

    def _note_drawing(self) -> None:
        """Note which loads with a pick-up draw from now on."""
        for site in self.sites:
            for load in site.loads:
                if load.pickup is not None:
                    wants = load.series.power_uw(self.now_ms, after=True) > 0
                    is_drawing = self.feeds and self.is_fed(load) and wants
                    self._drawing[site.name, load.name].note(is_drawing, self.now_ms)

    def _follow_engines(self, before: Flows | None) -> None:
        if not any(self._engines):
            return
        wanted_uw = sum(
            sum(site.loads_uw) - sum(site.generators_uw)
            for site in self._wanted(self.now_ms, after=True)
        ) + sum(running.power_uw for running, _ in self.engine_uw())
        starts = self.swing is not None and self.swing.starts
        is_unwanted = self.feeds and before is not None and before.missing_uw < 0
        for running, _ in self.engine_uw():
            if starts and self.swing:
                wanted_uw = max(self.swing.in_uw(self.step_ms), running.engine.minimum_uw)
            may_run = self.feeds or (starts and running.engine.black_start)
            may_run = may_run and not self.has_grid
            running.follow(wanted_uw, self.now_ms, may_run=may_run, is_unwanted=is_unwanted)
            wanted_uw -= running.power_uw

    def _has_starter(self) -> bool:
        """Whether somebody who may start a dark bus has something to start it with."""
        if self.cell and self.cell.may_start:
            return True
        return any(
            running.engine.black_start and self.now_ms >= running.engine.from_ms
            for running, _ in self.engine_uw()
        )

    def _promises(self) -> Limits:
        """Return limits that battery and inertia can keep for a whole step, whatever happens."""
        step_ms, is_dark = self.step_ms, self.swing is not None and self.swing.dark_ms is not None
        has_grid = self.grid is not None and self.has_grid and not is_dark
        return Limits(
            self.cell.discharge_uw(step_ms) if self.cell and not is_dark else 0,
            self.cell.charge_uw(step_ms) if self.cell else 0,
            self.grid.import_max_uw if self.grid and has_grid else 0,
            self.grid.export_max_uw if self.grid and has_grid else 0,
            self.swing.out_uw(step_ms) if self.swing else 0,
            self.swing.in_uw(step_ms) if self.swing else 0,
        )

    def _collapse_if_spent(self, start: Flows, end: Flows) -> None:
        """Let the bus go dark where its inertia could not carry a deficit to the next instant."""
        if (
            self.swing is not None
            and self.swing.feeds
            and max(start.missing_uw, end.missing_uw) > 0
        ):
            left = self.swing.collapse(self.now_ms)
            self.totals.swing += left
            self.totals.lost += left

    def _account(self, start: Flows, end: Flows) -> None:
        step = self.step_ms
        totals = self.totals
        totals.generated += (_sum(start.generators_uw) + _sum(end.generators_uw)) * step
        totals.consumed += (_sum(start.loads_uw) + _sum(end.loads_uw)) * step
        totals.lost += (sum(start.losses_uw) + sum(end.losses_uw)) * step
        totals.grid += (start.grid_uw + end.grid_uw) * step
        totals.storage += (start.storage_uw + end.storage_uw) * step
        if self.cell:
            self.cell.move(*split_ticks(start.storage_uw, end.storage_uw, step))
        if self.swing:
            drawn = (start.swing_uw + end.swing_uw) * step
            totals.swing += drawn
            self.swing.level_ticks -= drawn
        for probe, register in self._registers.items():
            place = self._place(probe)
            first, last = power_at_uw(start, probe, place), power_at_uw(end, probe, place)
            imported, exported = split_ticks(first, last, step)
            register.import_ticks += imported
            register.export_ticks += exported


def _sum(groups: tuple[tuple[int, ...], ...]) -> int:
    return sum(map(sum, groups))
