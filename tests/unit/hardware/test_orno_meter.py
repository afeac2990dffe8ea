"""The simulated Orno meters, and what their model files make of them."""

from __future__ import annotations

from typing import Any

import pytest

from hardware import catalog
from hardware.mock.meters.orno import OrnoWe504, OrnoWe514
from hardware.mock.points import Feeder
from hardware.mock.wires.modbus_rtu import crc16
from tests.support.asked import ask, number, words
from tests.support.hardware_bench import ModbusDirect

LOAD = Feeder(230_520, 2_576_400, 49_980, 1_234_567_890_000, 0)
UNLOCK = "28 FE01 0002 04 0000 0000"


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def driver(model: str, device: Any) -> Any:
    return catalog.make_meter(model, ModbusDirect(device), {"address": 1})


@pytest.mark.parametrize(
    ("build", "address", "count", "value"),
    [
        (OrnoWe504, 0x00, 1, 2_305),
        (OrnoWe504, 0x01, 1, 111),
        (OrnoWe504, 0x02, 1, 499),
        (OrnoWe504, 0x03, 1, 2_576),
        (OrnoWe504, 0x05, 1, 2_576),
        (OrnoWe504, 0x06, 1, 1_000),
        (OrnoWe504, 0x07, 2, 1_234_567),
        (OrnoWe504, 0x0E, 1, 4),
        (OrnoWe504, 0x0F, 1, 1),
        (OrnoWe514, 0x0130, 1, 4_998),
        (OrnoWe514, 0x0131, 1, 23_052),
        (OrnoWe514, 0x0132, 1, 0),
        (OrnoWe514, 0x0139, 2, 11_176),
        (OrnoWe514, 0x0140, 2, 2_576),
        (OrnoWe514, 0x0141, 1, 2_576),
        (OrnoWe514, 0x0158, 1, 1_000),
        (OrnoWe514, 0xA000, 2, 123_456),
        (OrnoWe514, 0xA002, 2, 123_456),
        (OrnoWe514, 0xA004, 2, 0),
        (OrnoWe514, 0xA01E, 2, 0),
    ],
)
def test_they_show_what_they_measure(build, address, count, value):
    assert number(build(LOAD), 3, address, count) == value


@pytest.mark.parametrize(
    ("model", "build", "energy_uwh"),
    [
        ("orno_we504", OrnoWe504, 1_234_567_000_000),
        ("orno_we514", OrnoWe514, 1_234_560_000_000),
    ],
)
def test_a_sample_has_one_counter(model, build, energy_uwh):
    sample = driver(model, build(LOAD)).sample()
    assert (sample.power_mw, sample.energy_import_uwh) == (2_576_000, energy_uwh)
    assert (sample.energy_export_uwh, sample.quality) == (None, "")


@pytest.mark.parametrize("build", [OrnoWe504, OrnoWe514])
def test_nobody_tells_import_from_export(build):
    there, back = Feeder(power_mw=46_000), Feeder(power_mw=-46_000)
    there.energy_import_uwh = back.energy_export_uwh = 5 * 10**9
    first = 0x00 if build is OrnoWe504 else 0x0130
    assert words(build(there), 3, first, 9) == words(build(back), 3, first, 9)


def test_a_counter_of_watt_hours_begins_anew_after_32_bits():
    feeder = Feeder(energy_import_uwh=(2**32 - 1) * 10**6)
    meter = OrnoWe504(feeder)
    assert words(meter, 3, 0x07, 2) == "FFFF FFFF"
    feeder.energy_import_uwh += 3 * 10**6
    assert words(meter, 3, 0x07, 2) == "0000 0002"


def test_settings_open_for_ten_seconds_with_the_password():
    clock = Clock()
    meter = OrnoWe504(LOAD, clock_s=clock)
    assert ask(meter, "10 000F 0001 02 0021") == "90 04"
    assert ask(meter, UNLOCK) == "28 FE 01 00 01"
    clock.now_s += 9.9
    assert ask(meter, "10 000E 0001 02 0003") == "10 00 0E 00 01"
    assert ask(meter, "10 0010 0002 04 1111 2222") == "10 00 10 00 02"
    assert ask(meter, "10 000F 0001 02 0021") == "10 00 0F 00 01"
    assert words(meter, 3, 0x0E, 4) == "0003 0021 1111 2222"
    assert meter.hears(0x21)
    clock.now_s += 0.1
    assert ask(meter, "10 000E 0001 02 0004") == "90 04"
    assert ask(meter, UNLOCK) == "A8 03"
    assert ask(meter, "28 FE01 0002 04 1111 2222") == "28 FE 01 00 01"


def test_the_frames_that_open_its_settings_are_those_of_the_register_list():
    request, reply = "01 28 FE 01 00 02 04 00 00 00 00 FB 12", "01 28 FE 01 00 01 C0 24"
    asked = bytes.fromhex(request)
    assert crc16(asked[:-2]) == asked[-2:]
    answered = b"\x01" + bytes.fromhex(ask(OrnoWe504(LOAD), asked[1:-2].hex()))
    assert answered + crc16(answered) == bytes.fromhex(reply)


@pytest.mark.parametrize(
    ("build", "request_pdu", "reply"),
    [
        (OrnoWe504, "04 0000 0001", "84 01"),
        (OrnoWe504, "03 0012 0001", "83 02"),
        (OrnoWe504, "10 0003 0001 02 0001", "90 02"),
        (OrnoWe504, "06 000F 0021", "86 01"),
        (OrnoWe504, "28 FE02 0002 04 0000 0000", "A8 01"),
        (OrnoWe514, "03 0000 0001", "83 02"),
        (OrnoWe514, "03 012F 0001", "83 02"),
        (OrnoWe514, "10 0131 0001 02 0001", "90 01"),
        (OrnoWe514, UNLOCK, "A8 01"),
    ],
)
def test_they_refuse_what_they_do_not_have(build, request_pdu, reply):
    assert ask(build(LOAD), request_pdu) == reply


@pytest.mark.parametrize("value", ["000E 0001 02 0005", "000F 0001 02 00F8", "0010 0001 02 1111"])
def test_an_open_meter_refuses_wrong_values(value):
    meter = OrnoWe504(LOAD)
    ask(meter, UNLOCK)
    assert ask(meter, f"10 {value}") == "90 03"


def test_the_other_meter_under_its_id_is_another_map():
    meter = OrnoWe504(LOAD)
    meter.faults.switch("wrong_model", True)
    assert words(meter, 3, 0x00, 1) == "exception 2"
    assert number(meter, 3, 0x0131) == 23_052
