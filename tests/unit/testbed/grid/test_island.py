"""What an island does when its sources do not suffice, and how it comes back."""

from testbed.grid.parts import Contact, Engine, Grid, Inertia, Load, Pickup, Site, Storage
from testbed.series import Flapping, Shaded, Steps
from testbed.world import World

W = 1_000_000
STEP_MS = 200
DAY_MS = 86_400_000
INERTIA = Inertia(content_ws=20, restart_ms=2_000)
HEATER = Contact("n", 17, True, "fed")


def steady(power_w: int) -> Steps:
    return Steps(0, DAY_MS, (power_w * W,))


def world(
    *,
    load_w: int = 40,
    sun_w: int = 0,
    battery_w: int = 30,
    grid: Grid | None = None,
    engine: Engine | None = None,
    pickup: Pickup | None = None,
    level_mwh: int = 1_000,
    inertia: Inertia = INERTIA,
) -> World:
    loads = (Load("heater", steady(load_w), HEATER, pickup),)
    engines = (engine,) if engine else ()
    storage = Storage(9 * W, level_mwh * 1000, battery_w * W) if battery_w else None
    site = Site("s", (steady(sun_w),), loads, 0, engines)
    return World((site,), storage, grid, 12_500, 0, STEP_MS, inertia)


def run(made: World, until_ms: int) -> None:
    while made.now_ms < until_ms:
        made.advance(made.now_ms + STEP_MS)
        made.jump()


def served_w(made: World) -> int:
    return sum(made.flows.loads_uw[0]) // W


def test_while_the_inertia_lasts_the_load_is_fed_and_the_bus_sags() -> None:
    made = world()
    levels = []
    for second in range(1, 3):
        run(made, second * 1000 - STEP_MS)
        levels.append(made.flows.bus_mv)
        assert served_w(made) == 40
    assert 12_125 >= levels[0] > levels[1] > 10_625


def test_the_inertia_of_20_ws_carries_10_w_for_2_s_then_the_bus_collapses() -> None:
    made = world()
    run(made, 1_800)
    assert made.feeds
    run(made, 2_400)
    assert (made.feeds, made.flows.bus_mv, served_w(made)) == (False, 0, 0)
    assert made.swing is not None
    assert made.swing.collapses == 1


def test_a_load_shed_in_time_saves_the_bus_which_recovers() -> None:
    made = world(sun_w=5)
    run(made, 1_000)
    made.set_pin("n", 17, True)
    sagged = made.flows.bus_mv
    run(made, 12_000)
    assert made.feeds
    assert made.flows.bus_mv > sagged


def test_a_battery_starts_a_dark_bus_and_a_load_too_large_makes_it_collapse_again() -> None:
    made = world()
    run(made, 20_000)
    assert made.swing is not None
    assert made.swing.collapses > 1
    made = world()
    run(made, 3_000)
    made.set_pin("n", 17, True)
    run(made, 9_000)
    assert made.feeds


def test_without_anybody_who_may_start_it_stays_dark_until_the_grid_is_back() -> None:
    made = world(battery_w=0, grid=Grid(outages=((1_000, 30_000),)))
    run(made, 29_800)
    assert not made.feeds
    run(made, 34_000)
    assert (made.feeds, served_w(made), made.flows.bus_mv) == (True, 40, 12_500)


def test_an_island_runs_a_little_lower_than_the_grid() -> None:
    made = world(load_w=20, grid=Grid(outages=((1_000, 30_000),)))
    assert made.flows.bus_mv == 12_500
    run(made, 5_000)
    assert made.flows.bus_mv == 12_125


def test_an_alternating_bus_says_it_in_hertz_alone() -> None:
    made = world(load_w=20, inertia=Inertia(20, frequency_mhz=50_000, collapse_permille=950))
    assert (made.frequency_mhz, made.flows.bus_mv) == (48_500, 12_500)


def test_a_battery_runs_empty_and_the_bus_with_it() -> None:
    made = world(load_w=20, level_mwh=50)
    run(made, 8_000)
    assert made.feeds
    run(made, 15_000)
    assert not made.feeds


def test_a_motor_draws_more_while_it_starts() -> None:
    made = world(battery_w=500, pickup=Pickup(inrush_permille=5000, inrush_ms=400))
    assert served_w(made) == 200
    run(made, 400)
    assert served_w(made) == 40


def test_a_load_that_was_long_without_draws_more_when_it_comes_back() -> None:
    pickup = Pickup(cold_permille=2000, cold_ms=2_000, cold_after_ms=1_000)
    made = world(battery_w=500, pickup=pickup)
    assert served_w(made) == 40
    for high, until_ms in ((True, 600), (False, 800)):
        made.set_pin("n", 17, high)
        run(made, until_ms)
    assert served_w(made) == 40  # a short break leaves it warm
    made.set_pin("n", 17, True)
    run(made, 2_800)
    made.set_pin("n", 17, False)
    assert served_w(made) == 80
    run(made, 4_800)
    assert served_w(made) == 40


def engine_w(made: World) -> int:
    return next(running.power_uw for running, _ in made.engine_uw()) // W


def test_a_fuel_cell_starts_ramps_and_takes_over_from_the_battery() -> None:
    cell = Engine(60 * W, 10 * W, 5 * W, start_ms=1_000)
    made = world(load_w=30, engine=cell)
    run(made, 800)
    assert (engine_w(made), made.flows.storage_uw) == (0, 30 * W)
    run(made, 2_000)
    assert 10 < engine_w(made) <= 16
    run(made, 8_000)
    assert (engine_w(made), made.flows.storage_uw) == (30, 0)


def test_below_its_minimum_it_stops_when_nobody_takes_the_rest() -> None:
    cell = Engine(60 * W, 25 * W)
    made = world(load_w=30, engine=cell, level_mwh=9_000)
    run(made, 2_000)
    assert engine_w(made) == 30
    made.set_pin("n", 17, True)
    run(made, 4_000)
    assert engine_w(made) == 0


def test_it_stands_still_while_there_is_a_grid() -> None:
    made = world(engine=Engine(60 * W), grid=Grid())
    run(made, 2_000)
    assert engine_w(made) == 0


def test_a_fuel_cell_that_may_starts_a_dark_bus() -> None:
    cell = Engine(60 * W, 5 * W, 20 * W, start_ms=400, black_start=True)
    made = world(load_w=40, battery_w=0, engine=cell)
    run(made, 1_000)
    assert not made.feeds
    run(made, 3_000)
    made.set_pin("n", 17, True)
    run(made, 12_000)
    assert made.feeds


def test_clouds_and_flapping_follow_their_times() -> None:
    shaded = Shaded(steady(100), ((1_000, 2_000, 250),))
    assert [shaded.power_uw(t, after=True) // W for t in (999, 1_000, 1_999, 2_000)] == [
        100,
        25,
        25,
        100,
    ]
    assert shaded.power_uw(2_000, after=False) == 25 * W
    flapping = Flapping(steady(10), 0, 500)
    assert [flapping.power_uw(t, after=True) // W for t in (0, 499, 500, 1_000)] == [10, 10, 0, 10]
