"""Coefficients from a comparison: what they are, and when they cannot be right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.calibration.coefficients import AS_THE_DEVICE_SAYS, Coefficients
from edge.calibration.errors import CalibrationRefused
from edge.calibration.fitting import (
    Averages,
    Values,
    averaged,
    doubts_of_gain,
    doubts_of_zero,
    fitted,
    nothing,
    zeroed,
)
from hardware.ports import Sample
from messages.correction import Correction

RATED_MW = 2_000_000


def sample(power_mw, voltage_mv=230_000, current_ma=4_300, frequency_mhz=50_000):
    return Sample(power_mw, 5, 6, voltage_mv, current_ma, frequency_mhz)


def said(power=988_142, voltage=230_000, current=4_300, *, direct=False, spread=0):
    return Averages(Values(power, voltage, current), Values(spread, spread, spread), 30, direct)


def test_means_round_half_to_even_and_spreads_are_whole():
    found = averaged([sample(10, 3), sample(11, 4), sample(15, 9)])
    assert found == Averages(Values(12, 5, 4_300), Values(5, 6, 0), 3, is_direct=False)
    assert averaged([sample(1), sample(2)]).mean.power == 2
    assert averaged([sample(1, frequency_mhz=None)]).is_direct


def test_a_quantity_that_one_sample_lacks_is_not_averaged():
    found = averaged([sample(10, None), sample(12)])
    assert (found.mean, found.spread) == (Values(11, None, 4_300), Values(2, None, 0))


def test_a_gain_makes_it_say_what_is_true():
    new = fitted(AS_THE_DEVICE_SAYS, said(), Values(power=1_000_000))
    assert new == Coefficients(power=Correction(12_000, 0))
    assert new.power.of(988_142) == 1_000_000


def test_feeding_in_is_compared_with_feeding_in():
    new = fitted(AS_THE_DEVICE_SAYS, said(-988_142), Values(power=-1_000_000))
    assert new.power == Correction(12_000, 0)


def test_a_gain_leaves_the_offset_and_counts_from_it():
    old = Coefficients(power=Correction(999, 142), voltage=Correction(7))
    new = fitted(old, said(), Values(power=494_000))
    assert new == replace(old, power=Correction(-500_000, 142))


def test_alternating_current_and_voltage_leave_power_alone():
    new = fitted(AS_THE_DEVICE_SAYS, said(), Values(voltage=231_150, current=4_343))
    assert new == Coefficients(voltage=Correction(5_000), current=Correction(10_000))


def test_on_direct_current_power_follows_the_current():
    found = said(48_000, 12_000, 4_000, direct=True)
    new = fitted(AS_THE_DEVICE_SAYS, found, Values(voltage=12_060, current=4_040))
    assert new.power.gain_ppm == 15_050
    assert new.power.of(48_000) == 48_722  # 12.060 V * 4.040 A
    old = Coefficients(power=Correction(-3, 9), voltage=Correction(5_000))
    new = fitted(old, found, Values(current=4_040))
    assert (new.power, new.voltage) == (Correction(15_050, 9), Correction(5_000))
    assert fitted(old, found, Values(voltage=12_060)).power == Correction(-3, 9)
    assert fitted(old, found, Values(power=48_009, current=4_040)).power == Correction(375, 9)


def test_nothing_that_flows_is_zero_from_now_on():
    old = Coefficients(power=Correction(12_000, 5), current=Correction(3))
    direct = zeroed(old, said(-31, 12_000, 4, direct=True))
    assert direct == Coefficients(power=Correction(12_000, -31), current=Correction(3, 4))
    assert (direct.power.of(-31), direct.current.of(4)) == (0, 0)
    assert zeroed(old, said(-31, 230_000, 4)) == replace(old, power=Correction(12_000, -31))
    assert nothing(said(direct=True)) == Values(power=0, current=0)
    assert nothing(said(current=None, direct=True)) == nothing(said()) == Values(power=0)


@pytest.mark.parametrize(
    ("mean", "true", "reason"),
    [
        ({"power": None}, {"power": 5}, "it said no power in every sample"),
        ({"current": None}, {"current": 5}, "it said no current in every sample"),
        ({"power": 0}, {"power": 1_000}, "power: a gain needs something that flows"),
        ({}, {"power": 0}, "power: a gain needs something that flows"),
        (
            {},
            {"power": -1_000_000},
            r"it says 988.142 W where -1000.000 W is given, the other direction. Positive is "
            r"import. If that is how it flows, give --power-w with the other sign",
        ),
        ({}, {"power": 494_070}, "power would be corrected by -50.0001 %: that is no calibration"),
        ({"voltage": 2_000}, {"voltage": 230_000}, r"voltage would be corrected by \+11400 %"),
    ],
)
def test_what_no_gain_can_mend_is_refused(mean, true, reason):
    with pytest.raises(CalibrationRefused, match=reason):
        fitted(AS_THE_DEVICE_SAYS, said(**mean), Values(**true))


def test_a_device_without_power_has_no_zero():
    with pytest.raises(CalibrationRefused, match="it said no power"):
        zeroed(AS_THE_DEVICE_SAYS, said(None))


def gain_doubts(found, true):
    new = fitted(AS_THE_DEVICE_SAYS, found, true)
    return list(doubts_of_gain(new, found, true, RATED_MW))


@pytest.mark.parametrize(
    ("power_mw", "doubted"),
    [(1_200_000, False), (1_200_001, True), (800_000, False), (799_999, True)],
)
def test_a_gain_beyond_a_fifth_is_doubted(power_mw, doubted):
    doubts = gain_doubts(said(1_000_000), Values(power=power_mw))
    assert ["more than 20 %" in each for each in doubts] == [True] * doubted


def test_a_load_that_moves_or_is_small_is_doubted():
    unsteady = said(1_000_000, spread=50_001)
    assert gain_doubts(unsteady, Values(power=1_000_000)) == [
        "power moved by 50.001 W meanwhile: compare while it is steady"
    ]
    assert gain_doubts(said(1_000_000, spread=50_000), Values(power=1_000_000)) == []
    (small,) = gain_doubts(said(99_000), Values(power=99_999))
    assert small.startswith("99.999 W is less than 5 % of rated_w")
    assert gain_doubts(said(99_000), Values(power=100_000)) == []
    assert gain_doubts(said(spread=10_000), Values(voltage=230_000)) == []


@pytest.mark.parametrize(
    ("power_mw", "spread_mw", "said_so"),
    [
        (40_000, 20_000, []),
        (-40_001, 0, ["-40.001 W is more than 2 % of rated_w: does really nothing flow?"]),
        (0, 20_001, ["power moved by 20.001 W meanwhile: does really nothing flow?"]),
    ],
)
def test_a_zero_at_which_something_flows_is_doubted(power_mw, spread_mw, said_so):
    found = said(power_mw, spread=spread_mw)
    new = zeroed(AS_THE_DEVICE_SAYS, found)
    assert list(doubts_of_zero(new, found, RATED_MW)) == said_so
