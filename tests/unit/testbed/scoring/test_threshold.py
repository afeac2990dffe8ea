"""The rule of the baseline, step by step, as its description says."""

from pathlib import Path

from testbed.layout import plan
from testbed.probes import Kind, Probe
from testbed.scoring.playing import _policy
from testbed.scoring.threshold import HOLD_MS, Threshold
from testbed.world import World
from tests.support.small_scenario import event, small


def made(folder: Path, **parts: str | int) -> tuple[Threshold, World]:
    layout = plan(small(folder, **parts), None, None)
    world = layout.world()
    return Threshold(layout, world, _policy(layout, "threshold")), world


def import_w(world: World) -> int:
    return world.power_uw(Probe(Kind.BOUNDARY)) // 1_000_000


def test_one_relay_a_look_opens_the_least_important_first_and_never_a_critical_one(
    tmp_path: Path,
) -> None:
    control, world = made(tmp_path, import_mw=5_000)
    seen = []
    for second in range(4):
        control.turn(world.now_ms + second * 1000, samples=True)
        seen.append(import_w(world))
    assert seen == [30, 10, 10, 10]


def test_within_two_percent_nothing_opens(tmp_path: Path) -> None:
    control, world = made(tmp_path, import_mw=69_000)
    control.turn(world.now_ms, samples=True)
    assert import_w(world) == 70


def test_between_samples_it_does_nothing(tmp_path: Path) -> None:
    control, world = made(tmp_path)
    control.turn(world.now_ms, samples=False)
    assert import_w(world) == 70


def test_a_load_comes_back_after_a_minute_if_its_rated_power_fits(tmp_path: Path) -> None:
    control, world = made(tmp_path, import_mw=40_000, wanted_w="70, 30")
    start_ms = world.now_ms
    control.turn(start_ms, samples=True)
    assert import_w(world) == 30
    while world.now_ms < start_ms + 30_000:
        world.advance(world.now_ms + world.step_ms)
        world.jump()
    assert import_w(world) == 30  # the oven wants nothing now, and would need 40 of 10
    control.turn(start_ms + HOLD_MS, samples=True)
    assert control._open
    control, world = made(tmp_path, import_mw=72_000, wanted_w="70, 30")
    for at_ms, open_loads in ((0, 1), (HOLD_MS - 1, 1), (HOLD_MS, 0)):
        if at_ms == 0:
            control._shed(world.now_ms)
        control.turn(world.now_ms + at_ms, samples=True)
        assert len(control._open) == open_loads


def test_while_it_is_dead_it_does_nothing(tmp_path: Path) -> None:
    control, world = made(tmp_path, events=event("hub_down", 0, 10))
    control.turn(world.now_ms + 9_000, samples=True)
    assert import_w(world) == 70
    control.turn(world.now_ms + 10_000, samples=True)
    assert import_w(world) == 30


def test_a_contact_wired_to_be_cut_is_held_fed(tmp_path: Path) -> None:
    control, world = made(tmp_path, oven=', deenergised = "cut"')
    assert import_w(world) == 70
    control.turn(world.now_ms, samples=True)
    assert import_w(world) == 30
