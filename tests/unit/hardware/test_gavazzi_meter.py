"""The simulated Carlo Gavazzi meters, and what their model files make of them."""

from __future__ import annotations

from typing import Any

import pytest

from hardware import catalog
from hardware.errors import DeviceRefused, WrongDevice
from hardware.mock.meters.gavazzi import EASY, Em111, Em112
from hardware.mock.meters.gavazzi_em24 import LOCKED, Em24E1, Em24Rs485
from hardware.mock.points import Feeder, ThreePhase
from tests.support.asked import ask, low_first, number, words
from tests.support.hardware_bench import ModbusDirect

EXPORTING = Feeder(
    voltage_mv=230_500,
    power_mw=-461_000,
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


@pytest.mark.parametrize("build", [Em24Rs485, Em24E1])
@pytest.mark.parametrize(
    ("address", "value"),
    [
        (0x00, 2_300),
        (0x04, 2_290),
        (0x06, 3_983),
        (0x0C, 2_000),
        (0x0E, 4_000),
        (0x12, 4_600),
        (0x14, -9_240),
        (0x1A, 9_240),
        (0x1E, 0),
        (0x24, 2_300),
        (0x28, -4_640),
        (0x2A, 4_640),
    ],
)
def test_both_em24_show_what_the_phases_do_at_the_same_places(build, address, value):
    assert low_first(build(THREE), address) == value


@pytest.mark.parametrize(
    ("build", "values", "frequency_at", "power_factors_at"),
    [
        (Em24Rs485, {0x3E: 250, 0x42: 250, 0x46: 100, 0x4A: 300, 0x5C: 50}, 0x37, 0x32),
        (Em24E1, {0x34: 250, 0x3C: 250, 0x40: 100, 0x44: 300, 0x4E: 50}, 0x33, 0x2E),
    ],
)
def test_what_follows_stands_elsewhere_in_each(build, values, frequency_at, power_factors_at):
    meter = build(THREE)
    assert {address: low_first(meter, address) for address in values} == values
    assert number(meter, 4, frequency_at) == 500
    assert [number(meter, 4, power_factors_at + place) for place in range(4)] == [
        1_000,
        -1_000,
        1_000,
        -1_000,
    ]


@pytest.mark.parametrize(
    ("meter", "model"),
    [
        (Em24Rs485(THREE), "0047"),
        (Em24E1(THREE), "0670"),
        (Em111(EXPORTING), "0067"),
        (Em112(EXPORTING), "0068"),
    ],
)
def test_the_model_code_hides_in_another_value_unless_it_is_read_alone(meter, model):
    assert words(meter, 4, 0x0B, 1) == words(meter, 3, 0x0B, 1) == model
    assert words(meter, 4, 0x0A, 2).split()[1] != model
    assert words(meter, 4, 0x0B, 2).split()[0] != model


def test_each_em24_refuses_to_be_taken_for_the_other():
    with pytest.raises(WrongDevice, match=r"it calls itself '0x0670', want 0x0047"):
        driver("em24", Em24E1(THREE)).sample()
    with pytest.raises(WrongDevice, match=r"it calls itself '0x0047', want 0x0670"):
        driver("em24_e1", Em24Rs485(THREE)).sample()


@pytest.mark.parametrize(
    ("build", "model", "application_at"),
    [(Em24Rs485, "em24", 0x1101), (Em24E1, "em24_e1", 0xA000)],
)
def test_only_application_h_shows_what_flows_back(build, model, application_at):
    meter = build(THREE, application=0)
    sample = driver(model, meter).sample()
    assert (sample.power_mw, sample.energy_export_uwh) == (464_000, 0)
    ask(meter, f"06 {application_at:04X} 00 07")
    assert number(meter, 3, application_at) == 7
    sample = driver(model, meter).sample()
    assert (sample.power_mw, sample.energy_export_uwh) == (-464_000, 5 * 10**9)


@pytest.mark.parametrize(("build", "application_at"), [(Em24Rs485, 0x1101), (Em24E1, 0xA000)])
def test_a_locked_front_switch_refuses_every_write(build, application_at):
    meter = build(THREE, application=1, switch_position=LOCKED)
    assert ask(meter, f"06 {application_at:04X} 00 07") == "86 04"
    assert number(meter, 3, application_at) == 1
    meter.switch_position = 2
    ask(meter, f"06 {application_at:04X} 00 07")
    assert number(meter, 3, application_at) == 7


def test_where_the_front_switch_is_can_be_read():
    assert number(Em24E1(THREE, switch_position=LOCKED), 4, 0xA100) == LOCKED
    assert number(Em24Rs485(THREE, switch_position=LOCKED), 4, 0x0304) == LOCKED


@pytest.mark.parametrize(
    ("system", "power", "energy"), [(0, -4_640, 250), (2, -4_640, 100), (3, 4_600, 100)]
)
def test_phases_that_the_measuring_system_lacks_are_not_counted(system, power, energy):
    meter = Em24E1(THREE)
    ask(meter, f"06 1002 {system:04X}")
    assert (low_first(meter, 0x28), low_first(meter, 0x34)) == (power, energy)
    assert (low_first(meter, 0x02) == 0) == (system == 3)


def test_the_partial_counter_begins_anew_and_the_total_does_not():
    phases = tuple(Feeder() for _ in range(3))
    feeder = ThreePhase(phases, energy_import_uwh=50 * 10**9)
    meter = Em24Rs485(feeder)
    ask(meter, "06 3002 0000")
    assert low_first(meter, 0x42) == 500
    ask(meter, "06 3002 0001")
    feeder.energy_import_uwh += 7 * 10**9
    assert (low_first(meter, 0x3E), low_first(meter, 0x42)) == (570, 70)
    total = {"energy_import_from": "energy_import_total"}
    assert driver("em24", meter).sample().energy_import_uwh == 7 * 10**9
    assert driver("em24", meter, **total).sample().energy_import_uwh == 57 * 10**9
    ask(meter, "06 3000 0001")
    assert (low_first(meter, 0x3E), low_first(meter, 0x42)) == (0, 0)


def test_a_frequency_in_hundredths_is_put_right():
    meter = Em24E1(THREE)
    meter.faults.switch("tenths", True)
    assert number(meter, 4, 0x33) == 5_000
    assert driver("em24_e1", meter).sample().frequency_mhz == 50_000


@pytest.mark.parametrize(
    ("model", "build", "point"),
    [
        ("em24", Em24Rs485, THREE),
        ("em24_e1", Em24E1, THREE),
        ("em111", Em111, EXPORTING),
        ("em112", Em112, EXPORTING),
    ],
)
def test_a_value_over_its_range_is_no_value(model, build, point):
    meter = build(point)
    meter.faults.switch("not_available", True)
    assert words(meter, 4, 0x00, 2) == "FFFF 7FFF"
    sample = driver(model, meter).sample()
    assert (sample.power_mw, sample.voltage_mv, sample.quality) == (None, None, "unavailable")


@pytest.mark.parametrize(
    ("address", "value"),
    [
        (0x00, 2_305),
        (0x02, -2_000),
        (0x04, -4_610),
        (0x06, 4_610),
        (0x08, 0),
        (0x10, 12_345),
        (0x20, 891),
        (0x22, 0),
    ],
)
def test_an_em111_shows_one_phase(address, value):
    assert low_first(Em111(EXPORTING), address) == value


def test_in_easy_connection_both_directions_are_import():
    meter = Em112(EXPORTING, measurement=EASY)
    sample = driver("em112", meter).sample()
    assert (sample.power_mw, sample.current_ma) == (461_000, 2_000)
    assert (sample.energy_import_uwh, sample.energy_export_uwh) == (13_236 * 10**8, 0)
    assert ask(meter, "06 1103 0001") == "06 11 03 00 01"
    sample = driver("em112", meter).sample()
    assert (sample.power_mw, sample.current_ma) == (-461_000, -2_000)
    assert (sample.energy_import_uwh, sample.energy_export_uwh) == (12_345 * 10**8, 891 * 10**8)


def test_the_small_meter_bears_fifty_words_and_the_other_all():
    assert words(Em111(EXPORTING), 4, 0x00, 51) == "exception 3"
    assert ask(Em111(EXPORTING), "04 00 00 00 24")[:5] == "04 48"
    assert words(Em112(EXPORTING), 4, 0x00, 51) == "exception 2"


def test_a_sample_is_one_block_after_the_model_was_read_alone():
    bus = ModbusDirect(Em111(EXPORTING))
    catalog.make_meter("em111", bus, {"address": 1}).sample()
    assert [request.hex(" ") for request in bus.requests] == ["04 00 0b 00 01", "04 00 00 00 22"]


def test_a_counter_begins_anew_below_the_code_for_over_range():
    step_uwh = 10**8
    feeder = Feeder(energy_import_uwh=(0x7FFF_FFFF - 1) * step_uwh)
    meter = Em111(feeder)
    assert words(meter, 4, 0x10, 2) == "FFFE 7FFF"
    feeder.energy_import_uwh += step_uwh
    assert low_first(meter, 0x10) == 0


def test_a_new_id_is_heard_at_once():
    meter = Em111(EXPORTING)
    assert [words(meter, 3, address, 1) for address in range(0x2000, 0x2004)] == ["0001"] * 4
    assert ask(meter, "06 2000 0021") == "06 20 00 00 21"
    assert (meter.hears(1), meter.hears(0x21), number(meter, 3, 0x2000)) == (False, True, 0x21)


@pytest.mark.parametrize(
    ("request_pdu", "reply"),
    [
        ("06 20 00 00 F8", "86 03"),
        ("06 20 01 00 06", "86 03"),
        ("06 11 03 00 02", "86 03"),
        ("06 00 00 00 00", "86 02"),
        ("10 20 00 00 01 02 00 05", "90 01"),
        ("04 00 24 00 02", "84 02"),
        ("04 04 00 00 01", "84 02"),
        ("01 00 00 00 01", "81 01"),
        ("08 00 00 12 34", "08 00 00 12 34"),
        ("08 00 01 12 34", "88 01"),
    ],
)
def test_it_refuses_as_the_protocol_says(request_pdu, reply):
    assert ask(Em111(EXPORTING), request_pdu) == reply


def test_serial_numbers_are_letters():
    assert driver(
        "em111", Em111(EXPORTING, serial="BN0450014001E"), serial="BN0450014001E"
    ).sample()
    with pytest.raises(WrongDevice, match="serial number BN0450014001E, want BN0450014002E"):
        driver("em111", Em111(EXPORTING, serial="BN0450014001E"), serial="BN0450014002E").sample()
    assert words(Em24Rs485(THREE, serial="AB"), 4, 0x1300, 7).startswith("4142 0000")


def test_a_variant_without_the_export_register_says_so():
    class WithoutExport(Em24Rs485):
        def _measured(self) -> Any:
            rows = super()._measured()
            return {address: rows[address] for address in rows if address != 0x5C}

    with pytest.raises(DeviceRefused, match="exception 2"):
        driver("em24", WithoutExport(THREE)).sample()
