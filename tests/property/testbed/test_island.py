"""An island with battery losses, engines, inertia and collapse conserves energy to the tick."""

import hypothesis.strategies as st
from hypothesis import given, settings

from testbed.grid.cell import TICKS_PER_UWH, Cell
from testbed.grid.parts import Contact, Engine, Grid, Inertia, Load, Pickup, Site, Storage
from testbed.probes import Kind, Probe
from testbed.series import Flapping, Shaded, Steps
from testbed.world import World

STEP_MS = 200
STEPS = 25
POWER = st.integers(0, 80_000_000)
PERMILLE = st.integers(1, 1000)


@st.composite
def steps(draw: st.DrawFn) -> Steps:
    powers = draw(st.lists(POWER, min_size=5, max_size=5))
    return Steps(0, 5 * STEP_MS, tuple(powers))


@st.composite
def sites(draw: st.DrawFn, number: int) -> Site:
    shades = ((1_000, 3_000, draw(PERMILLE)),)
    pickup = Pickup(draw(st.integers(1000, 6000)), 600, draw(st.integers(1000, 3000)), 1_000, 500)
    engine = st.builds(
        Engine,
        maximum_uw=st.integers(30_000_000, 90_000_000),
        minimum_uw=st.integers(0, 30_000_000),
        ramp_uw_per_s=st.integers(1_000_000, 50_000_000),
        start_ms=st.integers(0, 1_000),
        black_start=st.booleans(),
    )
    return Site(
        f"s{number}",
        (Shaded(draw(steps()), shades),),
        (
            Load("flaps", Flapping(draw(steps()), 0, 600)),
            Load("motor", draw(steps()), Contact(f"n{number}", 17, True, "fed"), pickup),
        ),
        draw(st.integers(0, 100)),
        tuple(draw(st.lists(engine, max_size=1))),
    )


@st.composite
def islands(draw: st.DrawFn) -> World:
    capacity = draw(st.integers(0, 60_000))
    level = draw(st.integers(0, capacity))
    storage = st.builds(
        Storage,
        capacity_uwh=st.just(capacity),
        level_uwh=st.just(level),
        power_max_uw=POWER,
        efficiency_permille=PERMILLE,
        level_min_uwh=st.integers(0, level),
    )
    grid = Grid(outages=((600, draw(st.sampled_from([2_000, 9_000]))),))
    inertia = Inertia(draw(st.integers(1, 60)), restart_ms=1_000)
    return World(
        sites=tuple(draw(sites(number)) for number in range(draw(st.integers(1, 3)))),
        storage=draw(st.none() | storage),
        grid=draw(st.none() | st.just(grid)),
        bus_mv=12_500,
        now_ms=0,
        step_ms=STEP_MS,
        inertia=inertia,
    )


@given(islands(), st.lists(st.booleans(), min_size=STEPS, max_size=STEPS))
@settings(max_examples=60)
def test_an_island_accounts_for_every_tick(world: World, pins: list[bool]) -> None:
    probes = [Probe(Kind.BOUNDARY), *(Probe(Kind.NET, site.name) for site in world.sites)]
    for probe in probes:
        world.watch(probe)
    cell_before, swing_before = world.level_ticks, world.swing.level_ticks if world.swing else 0
    lost = 0
    for number, high in enumerate(pins):
        lost += sum(world.flows.losses_uw) * STEP_MS
        world.advance((number + 1) * STEP_MS)
        lost += sum(world.flows.losses_uw) * STEP_MS
        world.jump()
        world.set_pin("n0", 17, high)
        assert world.flows.residual_uw() == 0
        assert world.swing is not None
        assert 0 <= world.swing.level_ticks <= world.swing.full_ticks
    assert world.totals.residual() == 0
    assert world.swing is not None
    assert world.totals.swing == swing_before - world.swing.level_ticks
    if world.cell:
        assert cell_before - world.level_ticks == world.totals.storage + world.cell.lost_ticks
        least = world.cell.storage.level_min_uwh * TICKS_PER_UWH
        most = world.cell.storage.capacity_uwh * TICKS_PER_UWH
        assert min(least, cell_before) <= world.level_ticks <= most
    nets = [world.register(probe) for probe in probes]
    boundary, *members = (each.import_ticks - each.export_ticks for each in nets)
    swung = world.totals.swing - (world.totals.lost - lost)
    assert boundary + swung == sum(members) + lost


@given(st.lists(st.tuples(POWER, POWER), min_size=1, max_size=9), PERMILLE)
def test_a_cell_never_gives_what_it_did_not_get(moves: list[tuple[int, int]], keeps: int) -> None:
    cell = Cell(Storage(10**9, 5 * 10**8, 1, keeps))
    for given_ticks, taken_ticks in moves:
        before = cell.level_ticks
        cell.move(given_ticks, taken_ticks)
        assert cell.level_ticks - before <= taken_ticks - given_ticks
    gave, took = (sum(column) for column in zip(*moves, strict=True))
    assert cell.level_ticks + cell.lost_ticks == 5 * 10**8 * TICKS_PER_UWH + took - gave


@given(islands())
@settings(max_examples=40)
def test_on_a_dark_bus_nothing_flows_to_anybody(world: World) -> None:
    for number in range(STEPS):
        world.advance((number + 1) * STEP_MS)
        world.jump()
        if not world.feeds:
            assert sum(map(sum, world.flows.loads_uw)) == 0
        if world.swing and world.swing.dark_ms is not None:
            assert (world.flows.grid_uw, world.flows.swing_uw, world.flows.bus_mv) == (0, 0, 0)
            assert world.flows.storage_uw <= 0  # panels charge what stands behind
