"""The simulated ABB meters, and what their model files make of them."""

from __future__ import annotations

from typing import Any

import pytest

from hardware import catalog
from hardware.errors import WrongDevice
from hardware.mock.meters.abb import AbbB21, AbbB23
from hardware.mock.points import Feeder, ThreePhase
from tests.support.asked import ask, number, words
from tests.support.hardware_bench import ModbusDirect

ONE = Feeder(
    voltage_mv=230_900,
    power_mw=-2_300_000,
    frequency_mhz=49_980,
    energy_import_uwh=1_234_567_000_000,
    energy_export_uwh=89_120_000_000,
)
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


@pytest.mark.parametrize(
    ("address", "count", "value"),
    [
        (0x5000, 4, 123_456),
        (0x5004, 4, 8_912),
        (0x5008, 4, 114_544),
        (0x500C, 4, 0),
        (0x5018, 4, 123_456),
        (0x5B00, 2, 2_309),
        (0x5B0C, 2, 996),
        (0x5B14, 2, -230_000),
        (0x5B1C, 2, 0),
        (0x5B24, 2, 230_000),
        (0x5B2C, 1, 4_998),
        (0x5B2D, 1, 1_800),
        (0x5B3A, 1, -1_000),
        (0x5B3E, 1, 2),
        (0x8900, 2, 7_654_321),
    ],
)
def test_a_b21_shows_what_it_measures(address, count, value):
    assert number(AbbB21(ONE, serial=7_654_321), 3, address, count) == value


@pytest.mark.parametrize(
    ("address", "count", "value"),
    [
        (0x5000, 4, 2_500),
        (0x5460, 4, 1_000),
        (0x5468, 4, 3_000),
        (0x5470, 4, 2_000),
        (0x547C, 4, -2_000),
        (0x5B02, 2, 2_310),
        (0x5B06, 2, 3_983),
        (0x5B0E, 2, 400),
        (0x5B12, 2, 0),
        (0x5B14, 2, -46_400),
        (0x5B16, 2, 46_000),
        (0x5B18, 2, -92_400),
        (0x5B28, 2, 92_400),
        (0x5B2F, 1, 1_800),
        (0x5B32, 1, 1_200),
        (0x5B38, 1, -600),
        (0x5B3C, 1, -1_000),
        (0x5B40, 1, 2),
    ],
)
def test_a_b23_shows_every_phase(address, count, value):
    assert number(AbbB23(THREE), 3, address, count) == value


@pytest.mark.parametrize(
    ("address", "count", "code"),
    [
        (0x5B02, 2, "FFFF FFFF"),
        (0x5B0E, 2, "FFFF FFFF"),
        (0x5B16, 2, "7FFF FFFF"),
        (0x5460, 4, "FFFF FFFF FFFF FFFF"),
        (0x5478, 4, "7FFF FFFF FFFF FFFF"),
        (0x5B3B, 1, "7FFF"),
        (0x5B34, 3, "FFFF FFFF FFFF"),
    ],
)
def test_what_a_b21_lacks_is_not_available(address, count, code):
    assert words(AbbB21(ONE), 3, address, count) == code


def test_it_says_who_it_is():
    meter = AbbB21(ONE, serial=12_345)
    assert words(meter, 3, 0x8960, 2) == "4232 3120"
    assert words(meter, 3, 0x8900, 2) == "0000 3039"
    assert words(meter, 3, 0x8908, 8) == "312E 322E 3000 0000 0000 0000 0000 0000"
    assert words(AbbB23(THREE), 3, 0x8960, 2) == "4232 3320"


@pytest.mark.parametrize(
    ("request_pdu", "code"),
    [
        ("03 4F FF 00 02", 2),
        ("03 50 24 00 01", 2),
        ("03 5B 40 00 03", 2),
        ("04 5B 00 00 02", 1),
        ("06 5B 00 00 01", 2),
        ("10 5B 00 00 01 02 00 01", 2),
        ("05 00 00 FF 00", 1),
        ("03 50 00 00 7E", 3),
    ],
)
def test_it_refuses_as_the_manual_says(request_pdu, code):
    reply = bytes.fromhex(ask(AbbB21(ONE), request_pdu))
    assert reply == bytes([int(request_pdu[:2], 16) | 0x80, code])


def test_a_sample_takes_two_requests_and_one_more_for_the_type():
    bus = ModbusDirect(AbbB23(THREE))
    meter = catalog.make_meter("abb_b23", bus, {"address": 1})
    sample = meter.sample()
    assert (sample.power_mw, sample.voltage_mv, sample.frequency_mhz) == (-464_000, 230_000, 50_000)
    assert (sample.energy_import_uwh, sample.energy_export_uwh) == (25 * 10**9, 5 * 10**9)
    assert sample.current_ma == 6_000
    assert [request.hex(" ") for request in bus.requests] == [
        "03 89 60 00 02",
        "03 50 00 00 08",
        "03 5b 00 00 2d",
    ]


def test_a_small_model_counts_no_export_and_says_so():
    sample = driver("abb_b21", AbbB21(ONE, is_bidirectional=False)).sample()
    assert sample.energy_export_uwh is None
    assert sample.quality == "unavailable"
    assert (sample.power_mw, sample.energy_import_uwh) == (-2_300_000, 1_234_560_000_000)


def test_power_that_is_not_available_is_no_power():
    meter = AbbB21(ONE)
    meter.faults.switch("not_available", True)
    sample = driver("abb_b21", meter).sample()
    assert (sample.power_mw, sample.energy_import_uwh) == (None, None)
    assert sample.quality == "unavailable"


def test_the_other_model_is_told_by_its_type():
    with pytest.raises(WrongDevice, match="abb_b23 at address 1: it calls itself 'B21', want B23"):
        driver("abb_b23", AbbB21(ONE)).sample()


def test_another_unit_of_the_same_model_is_told_by_its_serial_number():
    assert driver("abb_b21", AbbB21(ONE, serial=77), serial="77").sample().power_mw == -2_300_000
    with pytest.raises(WrongDevice, match="serial number 78, want 77"):
        driver("abb_b21", AbbB21(ONE, serial=78), serial="77").sample()
