"""The SDM120 driver and its simulated meter, without a wire between them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from hardware import catalog, registers
from hardware.errors import BusTimeout, DeviceRefused, ImplausibleSample, WrongDevice
from hardware.mock.eastron_meter import Sdm120Meter
from hardware.mock.modbus_pdu import answer
from hardware.mock.points import Feeder
from tests.support.hardware_bench import ModbusDirect

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "sdm120.json").read_text())


def split(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


def single(value: float) -> tuple[int, int]:
    return struct.unpack(">HH", struct.pack(">f", value))


def driver(port, **given):
    return catalog.make_meter("sdm120", port, given)


class Words:
    """A `ModbusPort` with input registers at addresses, and a meter code."""

    def __init__(self, inputs: dict[int, float], code: int = 0x20) -> None:
        self.reads: list[tuple[int, int, int]] = []
        self._inputs = inputs
        self._code = code

    def heed(self, device: int, manners: object) -> None:
        """There is no line here."""

    def read_words(self, device: int, function: int, address: int, count: int) -> tuple[int, ...]:
        self.reads.append((function, address, count))
        if function == 3:
            return (self._code,)
        pairs = (
            single(self._inputs.get(place, 0.0)) for place in range(address, address + count, 2)
        )
        return tuple(word for pair in pairs for word in pair)


@pytest.mark.parametrize("row", VECTORS["floats"], ids=lambda row: row["words"])
def test_floats(row):
    bits = int(row["words"].replace(" ", ""), 16)
    value = registers.single(bits)
    assert (None if value is None else round(value * 1000)) == row["milli"]


def test_a_sample_takes_its_values_from_the_documented_addresses():
    port = Words({0: 230.5, 6: 2.25, 12: -517.25, 70: 49.9, 72: 1050.5, 74: 3.25})
    sample = driver(port, address=7).sample()
    assert (sample.voltage_mv, sample.current_ma, sample.power_mw) == (230_500, 2_250, -517_250)
    assert (sample.energy_import_uwh, sample.energy_export_uwh) == (1050_500_000_000, 3_250_000_000)
    assert sample.frequency_mhz == 49_900
    assert port.reads == [(3, 0xFC02, 1), (4, 0x00, 14), (4, 0x46, 6)]


@pytest.mark.parametrize(
    ("words_max", "blocks"),
    [
        (80, [(0x00, 76)]),
        (76, [(0x00, 76)]),
        (75, [(0x00, 14), (0x46, 6)]),
        (20, [(0x00, 14), (0x46, 6)]),
        (13, [(0x00, 8), (0x0C, 2), (0x46, 6)]),
        (3, [(0x00, 2), (0x06, 2), (0x0C, 2), (0x46, 2), (0x48, 2), (0x4A, 2)]),
    ],
)
def test_reads_stay_within_the_limit_and_are_even(words_max, blocks):
    port = Words({0: 230.0})
    driver(port, address=1, words_max=words_max).sample()
    assert [(address, count) for _function, address, count in port.reads[1:]] == blocks


def test_a_clone_that_counts_hertz_in_tenths_is_put_right():
    assert driver(Words({70: 500.0}), address=1).sample().frequency_mhz == 50_000


def test_a_quantity_the_meter_does_not_have_is_not_measured():
    sample = driver(Words({12: float("nan")}), address=1).sample()
    assert sample.power_mw is None
    assert sample.voltage_mv == 0


@pytest.mark.parametrize(
    ("address", "value", "quantity"),
    [
        (0, 1e6, "voltage_mv"),
        (0, -1.0, "voltage_mv"),
        (6, 4000.0, "current_ma"),
        (12, 1e9, "power_mw"),
        (72, -0.5, "energy_import_uwh"),
        (74, 1e9, "energy_export_uwh"),
        (70, float("inf"), "infinite"),
    ],
)
def test_what_no_meter_can_measure_is_refused_by_name(address, value, quantity):
    with pytest.raises(ImplausibleSample, match=quantity):
        driver(Words({address: value}), address=1).sample()


def test_it_is_asked_who_it_is_once_while_it_answers():
    port = ModbusDirect(meter := Sdm120Meter(Feeder()))
    meter_driver = driver(port, address=1)
    meter_driver.sample()
    meter_driver.sample()
    assert [request[0] for request in port.requests] == [3, 4, 4, 4, 4]
    assert meter.faults.active == ()


def test_after_a_silence_it_is_asked_again():
    """Somebody may have put another meter in its place."""
    port = ModbusDirect(meter := Sdm120Meter(Feeder()))
    meter_driver = driver(port, address=1)
    meter_driver.sample()
    meter.faults.switch("silent", True)
    with pytest.raises(BusTimeout):
        meter_driver.sample()
    meter.faults.switch("silent", False)
    meter.faults.switch("wrong_model", True)
    with pytest.raises(WrongDevice, match="meter code 0x0070, want 0x0020"):
        meter_driver.sample()


def test_firmware_without_a_meter_code_is_taken_as_it_is():
    class Older(Words):
        def read_words(
            self, device: int, function: int, address: int, count: int
        ) -> tuple[int, ...]:
            if function == 3:
                raise DeviceRefused("exception 2", 2)
            return super().read_words(device, function, address, count)

    assert driver(Older({0: 230.0}), address=1).sample().voltage_mv == 230_000


def test_a_meter_that_answers_less_at_once_refuses_and_says_so():
    meter_driver = driver(ModbusDirect(Sdm120Meter(Feeder(), words_max=10)), address=1)
    with pytest.raises(DeviceRefused, match="exception 2"):
        meter_driver.sample()
    meter = driver(ModbusDirect(Sdm120Meter(Feeder(), words_max=10)), address=1, words_max=10)
    assert meter.sample().voltage_mv == 230_000


FEEDER = Feeder(
    voltage_mv=231_000,
    power_mw=-462_000,
    frequency_mhz=50_020,
    energy_import_uwh=12_500_000_000,
    energy_export_uwh=2_250_000_000,
)


def image(meter: Sdm120Meter, address: int) -> float:
    reply = answer(meter, bytes([4]) + address.to_bytes(2, "big") + b"\0\x02")
    return struct.unpack(">f", reply[2:])[0]


@pytest.mark.parametrize(
    ("address", "value"),
    [
        (0x00, 231.0),
        (0x02, 0.0),
        (0x06, 2.0),
        (0x0C, -462.0),
        (0x12, 462.0),
        (0x1E, -1.0),
        (0x46, 50.02),
        (0x48, 12.5),
        (0x4A, 2.25),
        (0x54, -462.0),
        (0x58, 0.0),
        (0x5C, 462.0),
        (0x5E, 462.0),
        (0x102, 2.0),
        (0x108, 2.0),
        (0x156, 14.75),
    ],
)
def test_the_image_has_every_documented_quantity(address, value):
    assert image(Sdm120Meter(FEEDER), address) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize(("mode", "total"), [(1, 12.5), (2, 14.75), (3, 10.25)])
def test_the_meaning_of_the_total_is_programmable(mode, total):
    meter = Sdm120Meter(FEEDER)
    assert answer(meter, bytes.fromhex("10F920000102") + bytes([0, mode]))[0] == 0x10
    assert image(meter, 0x156) == total


@pytest.mark.parametrize(
    ("pdu", "code"),
    [
        ("04 00 01 00 02", 2),
        ("04 00 00 00 01", 2),
        ("04 00 00 00 52", 2),
        ("04 00 60 00 02", 2),
        ("04 00 5E 00 04", 2),
        ("04 FF FE 00 04", 2),
        ("04 00 00 00 00", 3),
        ("04 00 00 00 7E", 3),
        ("04 00 00", 3),
        ("03 00 02 00 02", 2),
        ("03 FC 04 00 01", 2),
        ("01 00 00 00 01", 1),
        ("02 00 00 00 01", 1),
        ("05 00 00 FF 00", 1),
        ("07", 1),
        ("2B 0E 01 00", 1),
        ("10 00 14 00 02 04 42 70 00 00", 4),
        ("10 00 0C 00 02 04 42 70 00", 3),
        ("10 00 0C 00 02 04 42 72 00 00", 3),
        ("10 00 00 00 02 04 42 70 00 00", 3),
        ("06 F9 20 00 09", 2),
    ],
)
def test_the_image_refuses_as_the_document_says(pdu, code):
    request = bytes.fromhex(pdu)
    assert answer(Sdm120Meter(FEEDER), request) == bytes([request[0] | 0x80, code])


def test_settings_are_taken_in_set_up_mode_only():
    meter = Sdm120Meter(FEEDER)
    set_id_60 = bytes.fromhex("10001400020442700000")
    read_id = bytes.fromhex("0300140002")
    assert answer(meter, set_id_60) == b"\x90\x04"
    meter.is_in_setup = True
    assert answer(meter, set_id_60) == set_id_60[:5]
    assert answer(meter, read_id) == bytes.fromhex("030442700000")
    pulse_60_ms = bytes.fromhex("10000C00020442700000")
    meter.is_in_setup = False
    assert answer(meter, pulse_60_ms) == pulse_60_ms[:5]


def test_the_image_identifies_itself_and_clears_its_peaks():
    feeder = Feeder(power_mw=900_000)
    meter = Sdm120Meter(feeder, serial=0x0123_4567)
    assert answer(meter, bytes.fromhex("03FC000004")).hex() == "03080123456700200204"
    assert image(meter, 0x56) == 900.0
    feeder.power_mw = 100_000
    assert image(meter, 0x56) == 900.0
    assert answer(meter, bytes.fromhex("06F0100000")) == bytes.fromhex("06F0100000")
    assert image(meter, 0x56) == 100.0
