"""Power over time: which value holds on which side of an instant."""

from itertools import pairwise

import pytest

from testbed.series import ClearSky, Household, Steps, clear_sky_w_per_m2, steps_of_energy

HOUR_MS = 3_600_000
SUMMER_NOON_MS = 1_782_043_200_000  # 2026-06-21T12:00:00Z


def test_steps_jump_at_slot_edges_only() -> None:
    steps = Steps(1000, 100, (5, 7))
    at_edge = steps.power_uw(1100, after=False), steps.power_uw(1100, after=True)
    assert at_edge == (5, 7)
    assert steps.power_uw(1050, after=False) == steps.power_uw(1050, after=True) == 5


def test_steps_are_zero_outside_their_slots() -> None:
    steps = Steps(1000, 100, (5,))
    assert steps.power_uw(1000, after=False) == 0
    assert steps.power_uw(1100, after=True) == 0


@pytest.mark.parametrize("slot_ms", [60_000, 900_000, HOUR_MS])
def test_steps_of_energy_keep_each_slot_exactly(slot_ms: int) -> None:
    energies = [851_200_000, 0, 1, 999_999_999]
    steps = steps_of_energy(0, slot_ms, energies)
    assert [p * slot_ms // HOUR_MS for p in steps.powers_uw] == energies
    assert [p * slot_ms % HOUR_MS for p in steps.powers_uw] == [0] * 4


def test_steps_of_energy_carry_what_a_slot_cannot_hold() -> None:
    slot_ms = 2 * HOUR_MS  # one microwatt is two microwatt-hours a slot
    assert steps_of_energy(0, slot_ms, [1, 1, 3]).powers_uw == (0, 1, 1)


def test_the_clear_sky_follows_haurwitz() -> None:
    # At the tropic at noon on midsummer day the sun stands overhead: 1098 exp(-0.059) W/m2.
    assert clear_sky_w_per_m2(SUMMER_NOON_MS, 23.45, 0.0) == pytest.approx(1035.1, abs=0.2)
    assert clear_sky_w_per_m2(SUMMER_NOON_MS - 12 * HOUR_MS, 23.45, 0.0) == 0.0
    assert clear_sky_w_per_m2(SUMMER_NOON_MS - 6 * HOUR_MS, 23.45, 90.0) == pytest.approx(
        1035.1, abs=0.2
    )


def test_a_panel_gives_its_peak_at_a_kilowatt_a_square_metre() -> None:
    panel = ClearSky(1_000_000, 23.45, 0.0)
    assert panel.power_uw(SUMMER_NOON_MS, after=True) == 1_035_092


def test_a_household_switches_at_slot_edges_and_repeats_with_its_seed() -> None:
    home = Household(200_000_000, 800_000_000, HOUR_MS, 0.0, "7/h1")
    hours = [home.power_uw(SUMMER_NOON_MS + h * HOUR_MS, after=True) for h in range(24)]
    again = Household(200_000_000, 800_000_000, HOUR_MS, 0.0, "7/h1")
    assert hours == [
        again.power_uw(SUMMER_NOON_MS + h * HOUR_MS + 1, after=False) for h in range(24)
    ]
    assert min(hours) >= 100_000_000
    assert len(set(hours)) == 24
    assert any(abs(b - a) > 50_000_000 for a, b in pairwise(hours))
