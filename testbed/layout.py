"""What a scenario is made of: nodes, buses, meters, relays, and the world behind them. Pure.

The same plan feeds three readers, so they cannot disagree: the configuration files of the edges,
the simulated devices, and the world that those measure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import cycle

from testbed.errors import BadScenario
from testbed.grid.parts import Contact, Grid, Inertia, Load, Pickup, Site, Storage
from testbed.homes import Home, Homes
from testbed.powers import UW_PER_W, engines_of, generation_of, load_series, series_of
from testbed.probes import Kind, Probe
from testbed.series import steps_of_energy
from testbed.tables import ENGINES, BufferTable, BusTable, LoadTable, MemberTable, Scenario
from testbed.world import World

INA219_FIRST = 0x40
INA219_ADDRESSES = 16
SHUNTS_MOHM = (100, 50, 20, 10, 5, 2, 1)
SHUNT_SPAN_MV = 320  # INA219, PGA /8
HEADROOM_PERCENT = 120
HOME_MAINS_MV = 230_000
HOMES_AN_EDGE = 20
MODBUS_UNITS = 247
INSTANTS_MS = tuple(
    1000 * s for s in (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
)
MANAGER = "manager"


@dataclass(frozen=True, slots=True)
class MeterPlace:
    """One meter: how it is wired, what it is for, and where in the world it measures."""

    meter_id: str
    model: str
    bus: str
    address: int
    purpose: str
    member: str
    rated_w: int
    probe: Probe
    parent: str = ""
    shunt_mohm: int = 0
    fuel: str = ""
    location: str = ""


@dataclass(frozen=True, slots=True)
class RelayPlace:
    """One relay and the appliance meter of the load it switches."""

    relay: str
    pin: int
    load_meter: str
    member: str
    rated_w: int
    critical: bool
    deenergised: str = "fed"
    importance: int = 0
    shed_price_utok_per_kwh: int = 0
    min_on_ms: int = 0
    min_off_ms: int = 0


@dataclass(frozen=True, slots=True)
class BusPlace:
    """A bus of a node; a Modbus gateway's port is chosen when the installation is made."""

    name: str
    kind: str
    port: int = 0


@dataclass(frozen=True, slots=True)
class NodePlace:
    """One Raspberry Pi, as it were."""

    node: str
    member: str
    buses: tuple[BusPlace, ...]
    meters: tuple[MeterPlace, ...]
    relays: tuple[RelayPlace, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """A whole simulated installation and the time it is played over. [ms UTC]"""

    scenario: Scenario
    nodes: tuple[NodePlace, ...]
    sites: tuple[Site, ...]
    start_ms: int
    slots: int
    slot_ms: int
    instant_ms: int

    @property
    def end_ms(self) -> int:
        """End of the last slot."""
        return self.start_ms + self.slots * self.slot_ms

    @property
    def members(self) -> tuple[str, ...]:
        """Every member once, in the order of the scenario."""
        named = (meter.member for node in self.nodes for meter in node.meters)
        return tuple(dict.fromkeys(named))

    @property
    def has_boundary(self) -> bool:
        """Whether a meter tells what leaves the bus."""
        return any(m.purpose == "boundary" for node in self.nodes for m in node.meters)

    def with_ports(self, ports: Iterator[int]) -> "Layout":
        """Return this layout with a port for each Modbus gateway."""
        nodes = tuple(
            replace(
                node,
                buses=tuple(
                    replace(bus, port=next(ports)) if bus.kind == "modbus_tcp" else bus
                    for bus in node.buses
                ),
            )
            for node in self.nodes
        )
        return replace(self, nodes=nodes)

    def world(self) -> World:
        """Return a fresh world at the first instant, with a register for every meter."""
        bus = self.scenario.bus
        world = World(
            sites=self.sites,
            storage=_storage(bus.buffer) if bus and bus.buffer else None,
            grid=_grid(self.scenario) if bus is None or bus.grid else None,
            bus_mv=bus.voltage_mv if bus else HOME_MAINS_MV,
            now_ms=self.start_ms,
            step_ms=self.instant_ms,
            inertia=_inertia(bus) if bus else None,
        )
        for node in self.nodes:
            for meter in node.meters:
                world.watch(meter.probe)
        return world


def _storage(buffer: BufferTable) -> Storage:
    return Storage(
        capacity_uwh=buffer.capacity_wh * UW_PER_W,
        level_uwh=buffer.level_wh * UW_PER_W,
        power_max_uw=buffer.power_max_w * UW_PER_W,
        efficiency_permille=buffer.efficiency_permille,
        level_min_uwh=buffer.level_min_wh * UW_PER_W,
        black_start=buffer.black_start,
    )


def _grid(scenario: Scenario) -> Grid:
    return Grid(outages=scenario.spans_of("grid_out"))


def _inertia(bus: BusTable) -> Inertia | None:
    table = bus.inertia
    if table is None:
        return None
    return Inertia(
        content_ws=table.content_ws,
        island_permille=table.island_permille,
        low_permille=table.low_permille,
        collapse_permille=table.collapse_permille,
        restart_ms=table.restart_s * 1000,
        frequency_mhz=table.frequency_mhz,
    )


def plan(
    scenario: Scenario, homes: Homes | None, speed: float | None, homes_an_edge: int = HOMES_AN_EDGE
) -> Layout:
    """Return what to build for a scenario, or for the homes of a file."""
    if scenario.homes:
        if homes is None:
            raise BadScenario("this scenario plays measured homes: give them with --homes FILE")
        return _plan_homes(scenario, homes, homes_an_edge)
    if homes is not None:
        raise BadScenario("--homes goes with a scenario that says homes = true, such as homes")
    return _plan_bench(scenario, speed)


# -- a bench: one node a member, INA219 boards on its I2C bus, loads on relays


def _plan_bench(scenario: Scenario, speed: float | None) -> Layout:
    bus = scenario.bus
    if bus is None:
        raise BadScenario("a scenario without homes needs a [bus]")
    nodes = [_bench_node(member, bus) for member in scenario.member]
    if bus.boundary:
        nodes.append(_boundary_node(bus.boundary, bus, scenario.member))
    return Layout(
        scenario=scenario,
        nodes=tuple(nodes),
        sites=tuple(_bench_site(scenario, member) for member in scenario.member),
        start_ms=scenario.start_ms,
        slots=scenario.slots,
        slot_ms=scenario.slot_ms,
        instant_ms=grid_of_instants(scenario, speed),
    )


def grid_of_instants(scenario: Scenario, speed: float | None) -> int:
    """Return the step between instants: the scenario's, or finer where it plays slowly. [ms]

    A live sample should not be older than about a second of real time.
    """
    if speed is None:
        return scenario.instant_ms
    fine = [
        step
        for step in INSTANTS_MS
        if step <= max(1000, speed * 1000) and scenario.instant_ms % step == 0
    ]
    return max(fine, default=scenario.instant_ms)


def _bench_node(member: MemberTable, bus: BusTable) -> NodePlace:
    node, site = member.node, member.member
    parent = f"{node}-consumption"
    kinds = [("generation", Kind.GENERATION), ("consumption", Kind.CONSUMPTION)]
    meters = [
        _ina219(f"{node}-{purpose}", purpose, site, member.rated_w, Probe(kind, site), bus)
        for purpose, kind in kinds
    ]
    meters[0] = replace(meters[0], fuel=member.fuel, location=member.location)
    meters += [
        replace(
            _ina219(
                f"{node}-{load.load}",
                "appliance",
                site,
                load.power_w,
                Probe(Kind.APPLIANCE, site, load.load),
                bus,
            ),
            parent=parent,
            shunt_mohm=shunt_mohm(f"{node}-{load.load}", load.peak_w, bus.voltage_mv),
        )
        for load in member.load
    ]
    if len(meters) > INA219_ADDRESSES:
        raise BadScenario(f"{node}: {len(meters)} INA219 on one bus, it has 16 addresses")
    placed = tuple(
        replace(meter, address=INA219_FIRST + place) for place, meter in enumerate(meters)
    )
    relays = tuple(_relay(node, site, load) for load in member.load)
    return NodePlace(node, site, (BusPlace("i2c1", "i2c"),), placed, relays)


def _relay(node: str, member: str, load: LoadTable) -> RelayPlace:
    meter = f"{node}-{load.load}"
    times_ms = (load.min_fed_s * 1000, load.min_cut_s * 1000)
    off_ms, on_ms = times_ms if load.deenergised == "fed" else times_ms[::-1]
    return RelayPlace(
        relay=f"{meter}-relay",
        pin=load.pin,
        load_meter=meter,
        member=member,
        rated_w=load.power_w,
        critical=load.critical,
        deenergised=load.deenergised,
        importance=load.importance,
        shed_price_utok_per_kwh=load.shed_price_utok_per_kwh,
        min_on_ms=on_ms,
        min_off_ms=off_ms,
    )


def _ina219(
    meter_id: str,
    purpose: str,
    member: str,
    rated_w: int,
    probe: Probe,
    bus: BusTable,
) -> MeterPlace:
    return MeterPlace(
        meter_id=meter_id,
        model="ina219",
        bus="i2c1",
        address=INA219_FIRST,
        purpose=purpose,
        member=member,
        rated_w=rated_w,
        probe=probe,
        shunt_mohm=shunt_mohm(meter_id, rated_w, bus.voltage_mv),
    )


def shunt_mohm(meter_id: str, rated_w: int, bus_mv: int) -> int:
    """Return the largest usual shunt that carries the rated power with a fifth to spare. [mOhm]"""
    current_ma = rated_w * 1_000_000 // bus_mv * HEADROOM_PERCENT // 100
    for shunt in SHUNTS_MOHM:
        if current_ma * shunt <= SHUNT_SPAN_MV * 1000:
            return shunt
    raise BadScenario(f"{meter_id}: {rated_w} W at {bus_mv} mV is more than an INA219 can measure")


def current_max_ma(meter: MeterPlace) -> int:
    """Return the current at which a meter's shunt is at full scale. [mA]"""
    return SHUNT_SPAN_MV * 1000 // meter.shunt_mohm


def _boundary_node(node: str, bus: BusTable, members: tuple[MemberTable, ...]) -> NodePlace:
    members_w = sum(member.rated_w for member in members)
    buffer_w = bus.buffer.power_max_w if bus.buffer else 0
    rated_w = buffer_w + members_w if bus.grid or not buffer_w else buffer_w
    meter = _ina219(f"{node}-boundary", "boundary", MANAGER, rated_w, Probe(Kind.BOUNDARY), bus)
    return NodePlace(node, MANAGER, (BusPlace("i2c1", "i2c"),), (meter,))


def _bench_site(scenario: Scenario, member: MemberTable) -> Site:
    name = member.member
    if member.load:
        series = load_series(scenario, member)
        loads = tuple(
            Load(
                load.load,
                series[load.load],
                Contact(member.node, load.pin, True, load.deenergised),
                _pickup(load),
            )
            for load in member.load
        )
    else:
        loads = (Load("load", series_of(scenario, member.consumption, name)),)
    is_engine = member.generation.source in ENGINES
    generators = () if is_engine else (generation_of(scenario, member),)
    return Site(name, generators, loads, member.wire_mohm, engines_of(scenario, member))


def _pickup(load: LoadTable) -> Pickup | None:
    if load.inrush_permille == load.cold_permille == 1000:
        return None
    return Pickup(load.inrush_permille, load.inrush_ms, load.cold_permille, load.cold_s * 1000)


# -- homes: two meters each, many homes behind one Modbus gateway and one node


def _plan_homes(scenario: Scenario, homes: Homes, homes_an_edge: int) -> Layout:
    groups = [
        homes.homes[first : first + homes_an_edge]
        for first in range(0, len(homes.homes), homes_an_edge)
    ]
    models = dict(zip((home.name for home in homes.homes), cycle(scenario.meters), strict=False))
    return Layout(
        scenario=replace(scenario, slots=homes.slots, slot_ms=homes.slot_ms),
        nodes=tuple(
            _homes_node(f"street{number}", group, homes.slot_ms, models)
            for number, group in enumerate(groups, 1)
        ),
        sites=tuple(_home_site(scenario, home, homes.slot_ms) for home in homes.homes),
        start_ms=scenario.start_ms,
        slots=homes.slots,
        slot_ms=homes.slot_ms,
        instant_ms=homes.slot_ms,
    )


def _homes_node(
    node: str, group: tuple[Home, ...], slot_ms: int, models: Mapping[str, str]
) -> NodePlace:
    meters: list[MeterPlace] = []
    for home in group:
        for purpose, kind, energies in (
            ("generation", Kind.GENERATION, home.generation_uwh),
            ("consumption", Kind.CONSUMPTION, home.consumption_uwh),
        ):
            peak_w = max(energies, default=0) * 3600 // (slot_ms * 1000)
            meters.append(
                MeterPlace(
                    meter_id=f"{home.name}-{purpose}",
                    model=models[home.name],
                    bus="gateway",
                    address=len(meters) + 1,
                    purpose=purpose,
                    member=home.name,
                    rated_w=max(1000, peak_w + peak_w // 5),
                    probe=Probe(kind, home.name),
                )
            )
    if len(meters) > MODBUS_UNITS:
        raise BadScenario(f"{len(group)} homes behind one gateway: Modbus has 247 unit addresses")
    bus = BusPlace("gateway", "modbus_tcp")
    return NodePlace(node, group[0].name, (bus,), tuple(meters))


def _home_site(scenario: Scenario, home: Home, slot_ms: int) -> Site:
    start = scenario.start_ms
    generation = steps_of_energy(start, slot_ms, home.generation_uwh)
    consumption = steps_of_energy(start, slot_ms, home.consumption_uwh)
    return Site(home.name, (generation,), (Load("load", consumption),))
