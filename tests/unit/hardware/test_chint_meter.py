"""The simulated Chint meters, and what their model files make of them."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from hardware import catalog
from hardware.errors import BusTimeout, DeviceRefused, WrongDevice
from hardware.mock.meters.chint import Ddsu666, Dtsu666, Dtsu666H
from hardware.mock.points import Feeder, ThreePhase
from tests.support.asked import ask, number, words
from tests.support.hardware_bench import ModbusDirect

ONE = Feeder(230_500, -517_250, 50_020, 1_234_500_000_000, 67_250_000_000)
THREE = ThreePhase(
    (
        Feeder(230_000, 460_000, 50_000, 10 * 10**9, 0),
        Feeder(231_000, -924_000, 50_000, 0, 20 * 10**9),
        Feeder(229_000, 0, 50_000, 30 * 10**9, 0),
    ),
    energy_import_uwh=25 * 10**9,
    energy_export_uwh=5 * 10**9,
)


def driver(model: str, device: Any, **given: object) -> Any:
    return catalog.make_meter(model, ModbusDirect(device), {"address": 1, **given})


def single(device: Any, address: int) -> float:
    return struct.unpack(">f", bytes.fromhex(words(device, 3, address, 2)))[0]


@pytest.mark.parametrize(
    ("address", "value"),
    [
        (0x2000, 3983.7),
        (0x2006, 2300.0),
        (0x200A, 2290.0),
        (0x200E, 4000.0),
        (0x2012, -4640.0),
        (0x2014, 4600.0),
        (0x2016, -9240.0),
        (0x201A, 0.0),
        (0x202A, -1000.0),
        (0x202E, -1000.0),
        (0x2044, 5000.0),
        (0x101E, 25.0),
        (0x1020, 10.0),
        (0x1028, 5.0),
        (0x102C, 20.0),
        (0x401E, 25.0),
        (0x4028, 5.0),
    ],
)
def test_a_dtsu666_shows_tenths_and_thousandths(address, value):
    meter = Dtsu666(THREE)
    assert single(meter, address) == pytest.approx(value, rel=1e-5)
    assert words(meter, 4, address, 2) == words(meter, 3, address, 2)


def test_behind_transformers_it_shows_their_secondary_side():
    meter = Dtsu666(THREE, current_ratio=40, voltage_ratio_tenths=25)
    assert words(meter, 3, 0x0006, 2) == "0028 0019"
    assert single(meter, 0x2006) == pytest.approx(2300 / 2.5)
    assert single(meter, 0x200C) == pytest.approx(2000 / 40)
    assert single(meter, 0x2012) == pytest.approx(-4640 / 100)
    assert (single(meter, 0x101E), single(meter, 0x401E)) == pytest.approx((25, 0.25))


@pytest.mark.parametrize("energy_set", ["primary", "secondary"])
def test_the_ratios_are_taken_back_and_either_set_of_energies_can_be_chosen(energy_set):
    meter = Dtsu666(THREE, current_ratio=40, voltage_ratio_tenths=25, energy_sets=(energy_set,))
    chosen = {}
    if energy_set == "secondary":
        assert driver("dtsu666", meter).sample().energy_import_uwh == 0
        chosen = {
            "energy_import_from": "energy_import_secondary",
            "energy_export_from": "energy_export_secondary",
        }
    sample = driver("dtsu666", meter, **chosen).sample()
    assert sample.power_mw == pytest.approx(-464_000, abs=10)
    assert sample.voltage_mv == pytest.approx(230_000, abs=10)
    assert sample.current_ma == pytest.approx(6_000, abs=1)
    assert sample.frequency_mhz == 50_000
    assert sample.energy_import_uwh == pytest.approx(25 * 10**9, abs=10_000)
    assert sample.energy_export_uwh == pytest.approx(5 * 10**9, abs=10_000)


def test_ratios_are_read_again_after_a_silence():
    meter = Dtsu666(THREE)
    meter_driver = driver("dtsu666", meter)
    assert meter_driver.sample().power_mw == -464_000
    meter.faults.switch("silent", True)
    with pytest.raises(BusTimeout):
        meter_driver.sample()
    meter.faults.switch("silent", False)
    assert ask(meter, "10 00 06 00 01 02 00 14") == "10 00 06 00 01"
    assert meter_driver.sample().power_mw == pytest.approx(-464_000, abs=10)


def test_a_value_that_is_not_a_number_is_no_value():
    for model, meter in (("dtsu666", Dtsu666(THREE)), ("ddsu666", Ddsu666(ONE))):
        meter.faults.switch("not_available", True)
        sample = driver(model, meter).sample()
        assert (sample.power_mw, sample.quality) == (None, "unavailable")


def test_energies_are_cleared_by_a_command():
    phases = tuple(Feeder() for _ in range(3))
    feeder = ThreePhase(phases, energy_import_uwh=40 * 10**9, energy_export_uwh=9 * 10**9)
    meter = Dtsu666(feeder)
    assert ask(meter, "10 0002 0001 02 0001") == "10 00 02 00 01"
    feeder.energy_import_uwh += 3 * 10**9
    assert (single(meter, 0x101E), single(meter, 0x1028), single(meter, 0x401E)) == (3, 0, 3)
    assert number(meter, 3, 0x0002) == 0


@pytest.mark.parametrize(
    ("request_pdu", "reply"),
    [
        ("10 0006 0001 02 0000", "90 03"),
        ("10 0006 0002 04 0028 2710", "90 03"),
        ("10 002C 0001 02 0006", "90 03"),
        ("10 0004 0001 02 0001", "90 02"),
        ("06 0006 0028", "86 01"),
        ("03 07D1 0001", "83 02"),
        ("03 0836 0050", "83 02"),
        ("03 2046 0002", "83 02"),
        ("01 0000 0001", "81 01"),
    ],
)
def test_it_refuses_what_it_does_not_have(request_pdu, reply):
    assert ask(Dtsu666(THREE), request_pdu) == reply


def test_settings_are_taken_all_or_none():
    meter = Dtsu666(THREE)
    assert ask(meter, "10 0006 0002 04 0028 0000") == "90 03"
    assert words(meter, 3, 0x0006, 2) == "0001 000A"
    assert ask(meter, "10 002E 0001 02 000B") == "10 00 2E 00 01"
    assert (meter.hears(11), number(meter, 3, 0x002E)) == (True, 11)


def test_a_ddsu666_counts_power_in_kilowatts():
    meter = Ddsu666(ONE)
    values = {0x2000: 230.5, 0x2002: 2.244, 0x2004: -0.51725, 0x200A: -1, 0x200E: 50.02}
    for address, value in {**values, 0x4000: 1234.5, 0x400A: 67.25}.items():
        assert single(meter, address) == pytest.approx(value, rel=1e-6)
    sample = driver("ddsu666", meter).sample()
    assert sample.power_mw == -517_250
    assert sample.energy_export_uwh == 67_250_000_000
    assert number(meter, 3, 0x0006) == 1


def test_the_meter_beside_a_huawei_inverter_is_told_by_one_word():
    meter = Dtsu666H(THREE)
    assert words(meter, 3, 0x07D1, 1) == "3F80"
    assert words(meter, 3, 0x2006, 2) == "exception 2"
    assert words(meter, 4, 0x0836, 2) == "exception 1"
    sample = driver("dtsu666_h", meter).sample()
    assert (sample.power_mw, sample.voltage_mv, sample.current_ma) == (-464_000, 230_000, 6_000)
    assert (sample.energy_import_uwh, sample.energy_export_uwh) == (25 * 10**9, 5 * 10**9)
    assert words(meter, 3, 0x08A6, 10) == " ".join(["0000"] * 10)


def test_each_chint_map_is_refused_on_the_other_meter():
    meter = Dtsu666(THREE)
    with pytest.raises(DeviceRefused, match="exception 2"):
        driver("dtsu666_h", meter).sample()
    with pytest.raises(DeviceRefused, match="exception 2"):
        driver("dtsu666", Dtsu666H(THREE)).sample()
    meter.faults.switch("wrong_model", True)
    assert words(meter, 3, 0x07D1, 1) == "3F80"
    other = Dtsu666H(THREE)
    other.faults.switch("wrong_model", True)
    with pytest.raises(WrongDevice, match="want 0x3F80 or 0x3B11"):
        driver("dtsu666_h", other).sample()
