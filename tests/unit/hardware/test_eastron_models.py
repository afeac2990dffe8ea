"""The model files of the Eastron family: what they ask for, and what they make of the answers."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from hardware import catalog, registers
from hardware.errors import BusTimeout, DeviceRefused, WrongDevice
from hardware.mock.meters.eastron import (
    Sdm72Meter,
    Sdm72V2Meter,
    Sdm120Meter,
    Sdm230Meter,
    Sdm630Meter,
)
from hardware.mock.points import Feeder, ThreePhase, split
from tests.support.hardware_bench import ModbusDirect

FIELDS = (
    "power_mw",
    "energy_import_uwh",
    "energy_export_uwh",
    "voltage_mv",
    "current_ma",
    "frequency_mhz",
)
VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "sdm120.json").read_text())


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
    ("address", "value", "field"),
    [
        (0, 1e6, "voltage_mv"),
        (0, -1.0, "voltage_mv"),
        (6, 4000.0, "current_ma"),
        (12, 1e9, "power_mw"),
        (72, -0.5, "energy_import_uwh"),
        (74, 1e9, "energy_export_uwh"),
        (70, float("inf"), "frequency_mhz"),
    ],
)
def test_what_no_meter_can_measure_is_no_value_and_a_word(address, value, field):
    good = {0: 230.0, 6: 1.0, 12: 230.0, 70: 50.0, 72: 5.0, 74: 6.0}
    sample = driver(Words({**good, address: value}), address=1).sample()
    assert sample.quality == "range"
    assert [name for name in FIELDS if getattr(sample, name) is None] == [field]


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
    with pytest.raises(WrongDevice, match="sdm120 at address 1: it calls itself '0x0070'"):
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


@pytest.mark.parametrize("code", [0x0020, 0x0004], ids=hex)
def test_every_code_that_an_sdm120_was_seen_with_is_known(code):
    assert driver(Words({0: 230.0}, code), address=1).sample().voltage_mv == 230_000


def test_a_meter_that_answers_less_at_once_is_read_in_smaller_parts():
    port = ModbusDirect(Sdm120Meter(Feeder(power_mw=230_000), words_max=10))
    meter = driver(port, address=1)
    first = meter.sample()
    asked = len(port.requests)
    assert (first.voltage_mv, first.power_mw, first.frequency_mhz) == (230_000, 230_000, 50_000)
    assert meter.sample() == first
    parts = [(request[2], request[4]) for request in port.requests[asked:]]
    assert parts == [(0x00, 2), (0x06, 8), (0x46, 6)]


def test_an_sdm72_that_is_silent_to_long_requests_is_read_in_short_ones():
    """Some units answer ten registers, where the manual promises sixty."""
    port = ModbusDirect(Sdm72V2Meter(split(Feeder(power_mw=-690_000)), words_max=10))
    meter = catalog.make_meter("sdm72_v2", port, {"address": 1})
    first = meter.sample()
    assert (first.power_mw, first.voltage_mv, first.current_ma) == (-690_000, 230_000, 3_000)
    asked = len(port.requests)
    assert meter.sample() == first
    assert all(request[4] <= 10 for request in port.requests[asked:])


FEEDER = Feeder(
    voltage_mv=231_000,
    power_mw=-4_620_000,
    frequency_mhz=50_020,
    energy_import_uwh=12_500_000_000_000,
    energy_export_uwh=2_250_000_000_000,
)
FAMILY = {
    "sdm120": (Sdm120Meter(FEEDER, serial=77), [(0x00, 14), (0x46, 6)]),
    "sdm230": (Sdm230Meter(FEEDER, serial=77), [(0x00, 14), (0x46, 6)]),
    "sdm630": (Sdm630Meter(split(FEEDER), serial=77), [(0x2A, 34)]),
    "sdm72": (Sdm72Meter(split(FEEDER), serial=77), [(0x34, 2), (0x48, 4)]),
    "sdm72_v2": (Sdm72V2Meter(split(FEEDER), serial=77), [(0x2A, 34)]),
}


@pytest.mark.parametrize("model", FAMILY)
def test_each_model_gives_a_sample_in_few_reads(model):
    meter, blocks = FAMILY[model]
    port = ModbusDirect(meter)
    sample = catalog.make_meter(model, port, {"address": 1}).sample()
    assert sample.power_mw == -4_620_000
    assert sample.energy_import_uwh == 12_500 * 10**9
    assert sample.energy_export_uwh == 2_250 * 10**9
    if model != "sdm72":
        assert (sample.voltage_mv, sample.frequency_mhz) == (231_000, 50_020)
        assert sample.current_ma == pytest.approx(20_000, abs=3)
    reads = [request for request in port.requests if request[0] == 4]
    assert [(int.from_bytes(each[1:3], "big"), each[4]) for each in reads] == blocks


@pytest.mark.parametrize("model", FAMILY)
def test_the_whole_map_can_be_shown(model):
    meter, _blocks = FAMILY[model]
    found = catalog.make_meter(model, ModbusDirect(meter), {"address": 1}).values()
    assert [name for name, value in found.items() if value is None] == []
    assert found["serial_number"] == 77


@pytest.mark.parametrize("model", FAMILY)
def test_another_unit_under_the_same_id_is_noticed_by_its_serial_number(model):
    port = ModbusDirect(FAMILY[model][0])
    assert catalog.make_meter(model, port, {"address": 1, "serial": "77"}).sample()
    other = catalog.make_meter(model, port, {"address": 1, "serial": "78"})
    with pytest.raises(WrongDevice, match=f"{model} at address 1: serial number 77, want 78"):
        other.sample()


@pytest.mark.parametrize(
    ("model", "other"),
    [("sdm120", "sdm630"), ("sdm630", "sdm72"), ("sdm72", "sdm120"), ("sdm72_v2", "sdm72")],
)
def test_another_model_of_the_family_is_refused(model, other):
    port = ModbusDirect(FAMILY[other][0])
    with pytest.raises(WrongDevice, match=f"{model} at address 1"):
        catalog.make_meter(model, port, {"address": 1}).sample()


def test_the_second_edition_of_the_sdm72_can_be_read_as_the_first():
    port = ModbusDirect(FAMILY["sdm72_v2"][0])
    assert catalog.make_meter("sdm72", port, {"address": 1}).sample().power_mw == -4_620_000


def test_an_sdm630_can_meter_one_phase_of_three():
    phases = (Feeder(power_mw=1_000_000), Feeder(power_mw=-250_000), Feeder())
    port = ModbusDirect(Sdm630Meter(ThreePhase(phases)))
    chosen = {"power_from": "power_l2", "energy_import_from": "energy_import_l2"}
    sample = catalog.make_meter("sdm630", port, {"address": 1, **chosen}).sample()
    assert sample.power_mw == -250_000


def test_energy_never_comes_from_the_total_that_some_meters_do_not_have():
    meter = Sdm630Meter(split(FEEDER))
    before = catalog.make_meter("sdm630", ModbusDirect(meter), {"address": 1}).sample()
    meter.has_total = False
    assert catalog.make_meter("sdm630", ModbusDirect(meter), {"address": 1}).sample() == before
