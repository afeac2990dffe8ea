"""The simulated world conserves energy to the unit, whatever is built on its bus."""

import hypothesis.strategies as st
from hypothesis import given

from testbed.grid.cell import TICKS_PER_UWH
from testbed.grid.parts import Contact, Grid, Load, Site, Storage
from testbed.probes import Kind, Probe, split_ticks
from testbed.series import Steps
from testbed.world import World

STEP_MS = 300_000
STEPS = 6
POWER = st.integers(0, 150_000_000)


@st.composite
def series(draw: st.DrawFn) -> Steps:
    powers = draw(st.lists(POWER, min_size=STEPS // 2, max_size=STEPS // 2))
    return Steps(0, 2 * STEP_MS, tuple(powers))


@st.composite
def sites(draw: st.DrawFn, number: int) -> Site:
    wiring = draw(st.sampled_from(["fed", "cut"]))
    loads = [Load("always", draw(series()))]
    loads.append(Load("switched", draw(series()), Contact(f"n{number}", 17, True, wiring)))
    return Site(f"s{number}", (draw(series()),), tuple(loads), draw(st.integers(0, 500)))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    capacity = draw(st.integers(0, 50_000_000))
    level = draw(st.integers(0, capacity))
    limit = st.none() | POWER
    return World(
        sites=tuple(draw(sites(number)) for number in range(draw(st.integers(1, 3)))),
        storage=draw(st.none() | st.just(Storage(capacity, level, 200_000_000))),
        grid=draw(st.none() | st.builds(Grid, limit, limit)),
        bus_mv=draw(st.integers(5_000, 48_000)),
        now_ms=0,
        step_ms=STEP_MS,
    )


switching = st.lists(
    st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=3),
    min_size=STEPS,
    max_size=STEPS,
)


def play(world: World, moves: list[list[tuple[int, bool]]]) -> None:
    for number, pins in enumerate(moves):
        world.advance((number + 1) * STEP_MS)
        assert world.flows.residual_uw() == 0
        world.jump()
        for node, high in pins:
            world.set_pin(f"n{node}", 17, high)
            assert world.flows.residual_uw() == 0


@given(worlds(), switching)
def test_every_flow_is_accounted_for(world: World, moves: list[list[tuple[int, bool]]]) -> None:
    before = world.level_ticks
    play(world, moves)
    assert world.totals.residual() == 0
    assert world.totals.storage == before - world.level_ticks


@given(worlds(), switching)
def test_the_buffer_stays_within_its_capacity(
    world: World, moves: list[list[tuple[int, bool]]]
) -> None:
    for number, pins in enumerate(moves):
        play_one(world, number, pins)
        full = world.storage.capacity_uwh * TICKS_PER_UWH if world.storage else 0
        assert 0 <= world.level_ticks <= full


def play_one(world: World, number: int, pins: list[tuple[int, bool]]) -> None:
    world.advance((number + 1) * STEP_MS)
    world.jump()
    for node, high in pins:
        world.set_pin(f"n{node}", 17, high)


@given(worlds(), switching)
def test_meters_add_up_to_what_the_bus_did(
    world: World, moves: list[list[tuple[int, bool]]]
) -> None:
    """Generation, consumption and boundary meters differ by the wires' losses and nothing else."""
    boundary = Probe(Kind.BOUNDARY)
    probes = [
        Probe(kind, site.name) for site in world.sites for kind in (Kind.GENERATION, Kind.NET)
    ]
    for probe in [boundary, *probes]:
        world.watch(probe)
    play(world, moves)
    net = {probe: register(world, probe) for probe in [boundary, *probes]}
    assert net[boundary] == world.totals.storage + world.totals.grid
    assert -sum(net[p] for p in probes if p.kind is Kind.GENERATION) == world.totals.generated
    assert net[boundary] - world.totals.lost == sum(net[p] for p in probes if p.kind is Kind.NET)


def register(world: World, probe: Probe) -> int:
    ticks = world.register(probe)
    assert ticks.import_ticks >= 0
    assert ticks.export_ticks >= 0
    return ticks.import_ticks - ticks.export_ticks


@given(worlds())
def test_an_open_contact_drops_its_load_at_once(world: World) -> None:
    for site in world.sites:
        switched = site.loads[1]
        assert switched.contact is not None
        opening = switched.contact.deenergised == "fed"
        world.set_pin(switched.contact.node, 17, opening)
        assert not world.is_fed(switched)
        assert world.power_uw(Probe(Kind.APPLIANCE, site.name, "switched")) == 0


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9), st.integers(1, 10**7))
def test_a_linear_piece_splits_without_losing_a_tick(first: int, last: int, step: int) -> None:
    imported, exported = split_ticks(first, last, step)
    assert imported >= 0
    assert exported >= 0
    assert imported - exported == (first + last) * step
    assert imported <= max(first, last, 0) * 2 * step
    assert exported <= max(-first, -last, 0) * 2 * step + 1
