"""PZEM-016 and PZEM-017: the simulated meters, and what their model files make of them."""

from __future__ import annotations

import pytest

from hardware import catalog
from hardware.errors import BusTimeout
from hardware.mock.meters.pzem import Pzem016Meter, Pzem017Meter
from hardware.mock.points import Feeder
from hardware.mock.wires.modbus_pdu import answer
from tests.support.hardware_bench import ModbusDirect
from tests.support.vectors import vectors

WH = 10**6
RESET = b"\x42"


def ask(meter: Pzem016Meter | Pzem017Meter, pdu: str) -> bytes:
    return answer(meter, bytes.fromhex(pdu))


def words(meter: Pzem016Meter | Pzem017Meter, count: int, function: int = 4) -> list[int]:
    reply = answer(meter, bytes([function, 0, 0, 0, count]))
    assert reply[0] == function, reply.hex(" ")
    return [int.from_bytes(reply[at : at + 2], "big") for at in range(2, len(reply), 2)]


def on_mains(**more: int) -> tuple[Feeder, Pzem016Meter]:
    feeder = Feeder(**more)
    return feeder, Pzem016Meter(feeder)


def on_battery(**more: int) -> tuple[Feeder, Pzem017Meter]:
    feeder = Feeder(**{"voltage_mv": 13_440, **more})
    return feeder, Pzem017Meter(feeder)


def test_a_captured_reply_is_given_byte_for_byte():
    row = vectors("pzem016")["exchanges"][0]
    _feeder, meter = on_mains(
        voltage_mv=225_700, power_mw=24_400, energy_import_uwh=38 * WH, frequency_mhz=50_000
    )
    request, reply = (bytes.fromhex(row[key])[1:-2] for key in ("request", "reply"))
    assert answer(meter, request) == reply


def test_a_captured_reply_of_a_small_battery_is_given_byte_for_byte():
    row = vectors("pzem017")["exchanges"][0]
    _feeder, meter = on_battery(power_mw=1_344, energy_import_uwh=2 * WH)
    request, reply = (bytes.fromhex(row[key])[1:-2] for key in ("request", "reply"))
    assert answer(meter, request) == reply


@pytest.mark.parametrize("power_mw", [1_000_000, -1_000_000])
def test_nobody_tells_which_way_power_flows(power_mw):
    _feeder, meter = on_mains(power_mw=power_mw, energy_import_uwh=3 * WH, energy_export_uwh=4 * WH)
    volts, current_low, _, power_low, _, energy_low, energy_high, hertz, factor, _ = words(
        meter, 10
    )
    assert (volts, current_low, power_low, hertz, factor) == (2_300, 4_347, 10_000, 500, 100)
    assert (energy_low, energy_high) == (7, 0)


def test_values_of_two_words_have_the_low_word_first():
    feeder, meter = on_mains(power_mw=20_000_000, energy_import_uwh=130_772 * WH)
    feeder.voltage_mv = 200_000
    assert words(meter, 10)[1:7] == [100_000 & 0xFFFF, 1, 200_000 & 0xFFFF, 3, 130_772 & 0xFFFF, 1]


def test_what_is_too_small_to_start_with_reads_zero():
    _feeder, meter = on_mains(power_mw=390)
    assert words(meter, 10)[1:5] == [0, 0, 0, 0]
    assert words(meter, 10)[8] == 0


@pytest.mark.parametrize(
    ("voltage_mv", "is_silent"), [(0, True), (79_999, True), (80_000, False), (260_000, False)]
)
def test_the_mains_it_measures_powers_it(voltage_mv, is_silent):
    _feeder, meter = on_mains(voltage_mv=voltage_mv)
    assert (ask(meter, "04 0000 000A") == b"") is is_silent
    assert (ask(meter, "03 0001 0002") == b"") is is_silent
    assert (answer(meter, RESET) == b"") is is_silent


def test_a_battery_below_seven_volts_does_not_power_it_but_five_volts_do():
    feeder, meter = on_battery()
    feeder.voltage_mv = 6_990
    assert ask(meter, "04 0000 0008") == b""
    meter.has_auxiliary_supply = True
    assert words(meter, 8)[0] == 699
    assert words(meter, 8)[7] == 0xFFFF


def test_energy_is_reset_by_its_own_function():
    feeder, meter = on_mains(energy_import_uwh=500 * WH)
    assert answer(meter, RESET) == RESET
    assert words(meter, 10)[5] == 0
    feeder.energy_import_uwh += 3 * WH
    assert words(meter, 10)[5] == 3


@pytest.mark.parametrize(
    "pdu", ["42 00", "41", "41 00 00", "43", "10 0001 0001 02 0005", "01 0000 0001"]
)
def test_what_it_does_not_know_is_refused(pdu):
    _feeder, meter = on_mains()
    request = bytes.fromhex(pdu)
    assert answer(meter, request) == bytes([request[0] | 0x80, 1])


def test_a_calibration_is_noticed():
    """No driver may ever send one."""
    _feeder, meter = on_mains()
    assert ask(meter, "41 37 21")[0] == 0x41
    assert meter.calibrations == 1


def test_the_counter_begins_anew_at_the_end_of_the_display():
    feeder, meter = on_mains(energy_import_uwh=9_999_999 * WH)
    assert words(meter, 10)[5:7] == [9_999_999 & 0xFFFF, 9_999_999 >> 16]
    feeder.energy_import_uwh += 2 * WH
    assert words(meter, 10)[5:7] == [1, 0]


def test_power_above_the_threshold_raises_the_alarm():
    feeder, meter = on_mains(power_mw=2_000_000)
    assert ask(meter, "03 0001 0001").hex() == "030259d8"
    assert words(meter, 10)[9] == 0
    assert ask(meter, "06 0001 07CF") == bytes.fromhex("06000107cf")
    assert words(meter, 10)[9] == 0xFFFF
    feeder.power_mw = 1_999_000
    assert words(meter, 10)[9] == 0


def test_voltages_outside_the_thresholds_raise_their_alarms():
    feeder, meter = on_battery()
    assert ask(meter, "06 0000 0578")[0] == 6
    assert words(meter, 8)[6:] == [0, 0]
    feeder.voltage_mv = 14_010
    assert words(meter, 8)[6:] == [0xFFFF, 0]


@pytest.mark.parametrize("meter", [on_mains()[1], on_battery()[1]], ids=["016", "017"])
def test_it_answers_its_id_any_id_and_obeys_broadcasts(meter):
    assert [meter.hears(each) for each in (1, 2, 0xF8, 0)] == [True, False, True, True]
    assert ask(meter, "06 0002 00F7") == bytes.fromhex("06000200f7")
    assert [meter.hears(each) for each in (1, 0xF7, 0xF8, 0)] == [False, True, True, True]
    assert ask(meter, "03 0002 0001").hex() == "030200f7"


@pytest.mark.parametrize("new_id", ["0000", "00F8", "0100"])
def test_an_impossible_id_is_refused(new_id):
    assert ask(on_mains()[1], "06 0002" + new_id) == b"\x86\x03"


@pytest.mark.parametrize(
    ("meter", "pdu"),
    [
        (on_mains()[1], "04 0000 000B"),
        (on_mains()[1], "04 000A 0001"),
        (on_mains()[1], "03 0000 0001"),
        (on_mains()[1], "06 0003 0001"),
        (on_battery()[1], "04 0000 0009"),
        (on_battery()[1], "04 0000 000A"),
        (on_battery()[1], "03 0000 0005"),
    ],
)
def test_registers_that_are_not_there_are_refused(meter, pdu):
    request = bytes.fromhex(pdu)
    assert answer(meter, request) == bytes([request[0] | 0x80, 2])


@pytest.mark.parametrize(("code", "range_a"), [(0, 100), (1, 50), (2, 200), (3, 300)])
def test_a_wrong_shunt_setting_scales_silently(code, range_a):
    feeder, meter = on_battery(voltage_mv=20_000, power_mw=40_000)
    meter.fitted_shunt_a = 100
    assert ask(meter, f"06 0003 000{code}")[0] == 6
    feeder.energy_import_uwh += 100 * WH
    volts, current, power, _, energy, *_ = words(meter, 8)
    assert volts == 2_000
    assert (current, power, energy) == (2 * range_a, 4 * range_a, range_a)


def test_an_unknown_shunt_is_refused():
    assert ask(on_battery()[1], "06 0003 0004") == b"\x86\x03"


def sampled(model: str, meter: Pzem016Meter | Pzem017Meter):
    return catalog.make_meter(model, ModbusDirect(meter), {"address": 1}).sample()


def test_a_sample_of_mains_is_one_read():
    _feeder, meter = on_mains(
        power_mw=463_000, energy_import_uwh=130_772 * WH, frequency_mhz=49_980
    )
    port = ModbusDirect(meter)
    sample = catalog.make_meter("pzem016", port, {"address": 1}).sample()
    assert port.requests == [bytes.fromhex("0400000008")]
    assert (sample.power_mw, sample.voltage_mv, sample.current_ma) == (463_000, 230_000, 2_013)
    assert (sample.energy_import_uwh, sample.energy_export_uwh) == (130_772 * WH, None)
    assert (sample.frequency_mhz, sample.quality) == (50_000, "")


def test_a_sample_of_direct_current_is_one_read():
    _feeder, meter = on_battery(power_mw=134_400, energy_import_uwh=70_000 * WH)
    port = ModbusDirect(meter)
    sample = catalog.make_meter("pzem017", port, {"address": 1}).sample()
    assert port.requests == [bytes.fromhex("0400000006")]
    assert (sample.power_mw, sample.voltage_mv, sample.current_ma) == (134_400, 13_440, 10_000)
    assert (sample.energy_import_uwh, sample.frequency_mhz) == (70_000 * WH, None)


def test_a_meter_without_mains_is_gone_and_not_at_zero():
    feeder, meter = on_mains(power_mw=463_000)
    feeder.voltage_mv = 0
    with pytest.raises(BusTimeout):
        sampled("pzem016", meter)


def test_a_fall_of_the_counter_is_a_reset_and_never_a_wrap():
    for model, (_feeder, meter) in (("pzem016", on_mains()), ("pzem017", on_battery())):
        counting = sampled(model, meter).counting
        assert counting.import_wrap_uwh is None
        assert counting.step_uwh == WH


def test_the_other_kind_of_meter_is_seen_as_another():
    """Nothing names the model, so its values are what another map makes of them."""
    _feeder, meter = on_mains(power_mw=463_000)
    meter.faults.switch("wrong_model", True)
    assert ask(meter, "04 0000 000A") == b"\x84\x02"
    _line, battery = on_battery()
    battery.faults.switch("wrong_model", True)
    assert len(words(battery, 10)) == 10
