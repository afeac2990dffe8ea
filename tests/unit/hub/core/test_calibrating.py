"""What the fold keeps of a node's word that it corrects a meter."""

from __future__ import annotations

from typing import Any

import pytest

from hub.core.effects import MeterCalibrated
from hub.core.records import Calibrated
from hub.core.state import State
from messages.correction import GAIN_PPM_LEAST, GAIN_PPM_MOST, Correction
from messages.entries import Calibration, KeyEntry
from tests.support.signers import ed25519
from tests.support.village import Village, ignored

CALIBRATION = {
    "event": 1,
    "node": "pi",
    "meter_id": "m1",
    "power_gain_ppm": 12_000,
    "power_offset_mw": -3,
    "voltage_gain_ppm": 0,
    "current_gain_ppm": 500,
    "current_offset_ma": 1,
    "reference_power_mw": 1_000_000,
    "reference_voltage_mv": None,
    "reference_current_ma": None,
    "raw_power_mw": 988_139,
    "raw_voltage_mv": None,
    "raw_current_ma": None,
    "samples": 30,
    "reason": "",
    "at_ms": 77,
}
NOTHING = {
    "power_gain_ppm": 0,
    "power_offset_mw": 0,
    "current_gain_ppm": 0,
    "current_offset_ma": 0,
}


def calibration(**changes: Any) -> Calibration:
    return Calibration(**{**CALIBRATION, **changes})


@pytest.fixture
def village() -> Village:
    village = Village()
    village.meter("m1", "ann", "consumption")
    village.node("pi")
    return village


def test_the_newest_coefficients_of_a_meter_are_kept(village: Village) -> None:
    effects = village.put(ed25519("pi"), calibration())
    index = len(village.entries) - 1
    kept = Calibrated(77, 12_000, -3, 0, 500, 1, index)
    assert village.state.calibrations == {"m1": kept}
    assert kept.power == Correction(12_000, -3)
    assert effects == (MeterCalibrated(index, "m1", 12_000),)

    village.put(ed25519("pi"), calibration(event=2, power_gain_ppm=-4, at_ms=78))
    assert village.state.calibrations == {"m1": Calibrated(78, -4, -3, 0, 500, 1, index + 1)}


def test_all_zeros_mean_as_the_device_says(village: Village) -> None:
    untouched = village.state.root()
    village.put(ed25519("pi"), calibration())
    assert village.state.root() != untouched
    effects = village.put(ed25519("pi"), calibration(event=2, **NOTHING))
    assert effects == (MeterCalibrated(len(village.entries) - 1, "m1", None),)
    assert village.state.calibrations == {}
    assert village.state.root() == untouched


@pytest.mark.parametrize("field", ["power_gain_ppm", "voltage_gain_ppm", "current_gain_ppm"])
@pytest.mark.parametrize("gain_ppm", [GAIN_PPM_LEAST - 1, GAIN_PPM_MOST + 1])
def test_a_gain_that_loses_the_raw_value_changes_nothing(
    village: Village, field: str, gain_ppm: int
) -> None:
    reason = ignored(village.put(ed25519("pi"), calibration(**{field: gain_ppm})))
    assert reason == "meter m1: a gain below -50 % or above 9900 %"
    assert village.state.calibrations == {}


def test_a_new_device_under_an_old_name_is_not_calibrated(village: Village) -> None:
    village.put(ed25519("pi"), calibration())
    village.put(village.administrator, KeyEntry("revoke", "meter", "m1", b""))
    assert "m1" in village.state.calibrations
    key = ed25519("m1 again").public.cose_key
    entry = KeyEntry(
        "enrol", "meter", "m1", key, node="pi", member="ann", purpose="net", rated_mw=1
    )
    village.put(village.administrator, entry)
    assert village.state.calibrations == {}


def test_it_comes_back_from_a_snapshot_and_from_a_replay(village: Village) -> None:
    village.put(ed25519("pi"), calibration())
    assert State.loads(village.state.dumps()) == village.state == village.replay()
