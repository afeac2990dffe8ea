"""Energy of powers that change now and then."""

from __future__ import annotations

from testbed.live_points import LiveFeeder, LivePlant, Stretch


class Clock:
    def __init__(self) -> None:
        self.now_ms = 5_000

    def __call__(self) -> int:
        return self.now_ms


def test_energy_is_exact_over_changes_of_power():
    clock = Clock()
    stretch = Stretch(clock)
    stretch.change(3_600)
    clock.now_ms += 1_000
    stretch.change(-7_200)
    clock.now_ms += 500
    assert stretch.energy_uwh == (1_000, 1_000)
    assert stretch.energy_uwh == (1_000, 1_000)


def test_a_house_with_panels_shows_the_difference():
    clock = Clock()
    feeder = LiveFeeder(clock, start_import_uwh=7)
    feeder.set_load(500_000)
    feeder.set_pv(200_000)
    clock.now_ms += 3_600_000
    assert feeder.power_mw == 300_000
    assert (feeder.energy_import_uwh, feeder.energy_export_uwh) == (300_000_007, 0)
    feeder.set_pv(700_000)
    clock.now_ms += 3_600_000
    assert (feeder.energy_import_uwh, feeder.energy_export_uwh) == (300_000_007, 200_000_000)


def test_what_a_controller_cuts_off_is_not_generated():
    clock, limits = Clock(), []
    plant = LivePlant(clock, lambda: limits[-1] if limits else None)
    plant.set_pv(100_000)
    clock.now_ms += 3_600_000
    assert plant.generated_uwh == 100_000_000
    limits.append(40_000)
    assert plant.generated_uwh == 100_000_000
    clock.now_ms += 3_600_000
    assert plant.generated_uwh == 140_000_000
    assert plant.pv_power_mw == 100_000


def test_a_device_may_look_at_the_plant_to_say_what_it_lets_through():
    plant = LivePlant(Clock())
    plant.limit_mw = lambda: abs(plant.battery_ma) + plant.generated_uwh
    plant.set_pv(100_000)
    assert plant.battery_ma == 0
