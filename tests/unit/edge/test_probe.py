"""Registers of an unknown device in every type and word order, and which one is the 230 V."""

from __future__ import annotations

import json
import struct
from fractions import Fraction
from pathlib import Path

import pytest

from edge.commissioning.errors import BadUsage, CommissioningError
from edge.commissioning.places import BusChoice, host_and_port, opened
from edge.commissioning.probe_report import expected_value, report, whole_number
from edge.commissioning.probing import Probe, Wanted, ask, ways
from hardware.buses.i2c import I2cBus
from hardware.errors import BusTimeout, DeviceRefused
from hardware.mock.chips.ina219 import Ina219Chip
from hardware.mock.meters.eastron import Sdm120Meter
from hardware.mock.points import Feeder, Line
from hardware.mock.wires.i2c_bus import SimulatedI2cBus
from hardware.modelfile import parse_model
from tests.support.hardware_bench import ModbusDirect

FIVE_PERCENT = Fraction(1, 20)
MODEL = 'title = "a"\nmeasures = "b"\nsource = "c"\n[link]\nbaud = 9600\n'


def words(form, *values):
    raw = struct.pack(f">{form}", *values)
    return tuple(int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2))


def swapped(pair):
    return tuple(reversed(pair))


def first(found, expected):
    """Return how the best match of a value is read: type, word order, scale."""
    match = Probe(4, 0, found).matches(Fraction(expected), FIVE_PERCENT)[0]
    return match.seen.type, match.seen.order, match.scale


@pytest.mark.parametrize(
    ("found", "expected", "how"),
    [
        (words("f", 230.2), "230.2", ("f32", "high_first", 1)),
        (swapped(words("f", 230.2)), "230.2", ("f32", "low_first", 1)),
        (words("H", 2302), "230.2", ("u16", "", Fraction(1, 10))),
        (words("H", 23020), "230.2", ("u16", "", Fraction(1, 100))),
        (words("h", -512), "-512", ("s16", "", 1)),
        (words("I", 7_971_000), "7971", ("u32", "high_first", Fraction(1, 1000))),
        (swapped(words("I", 130_772)), "130772", ("u32", "low_first", 1)),
        (words("i", -23_000_0), "-2300", ("s32", "high_first", Fraction(1, 100))),
        (swapped(words("i", -100_001)), "-100001", ("s32", "low_first", 1)),
        (words("Q", 1_234_567_890_123), "1234567890123", ("u64", "high_first", 1)),
        (tuple(reversed(words("q", -5_000_000_000))), "-5e9", ("s64", "low_first", 1)),
        (words("f", 2302.0), "230.2", ("f32", "high_first", Fraction(1, 10))),
        (words("f", 0.345), "345", ("f32", "high_first", 1000)),
        ((0,), "0", ("u16", "", 1)),
    ],
)
def test_what_is_expected_is_found_however_it_is_written(found, expected, how):
    assert first(found, expected) == how


def test_what_is_too_far_off_is_not_it():
    probe = Probe(4, 0, words("H", 250))
    assert probe.matches(Fraction(230), FIVE_PERCENT) == []
    assert [match.value for match in probe.matches(Fraction(240), FIVE_PERCENT)] == [250]


def test_the_nearest_comes_first_and_then_the_plainest_scale():
    probe = Probe(4, 0, (225, 2300, 230))
    found = probe.matches(Fraction(230), FIVE_PERCENT)
    assert [(each.seen.address, each.scale) for each in found if each.seen.type == "u16"] == [
        (2, 1),
        (1, Fraction(1, 10)),
        (0, 1),
    ]


def test_every_type_and_order_is_there():
    seen = {(each.type, each.order) for each in ways((1, 2, 3, 4), 0)}
    one = {("u16", ""), ("s16", "")}
    several = {(kind, order) for kind in ("u32", "s32", "f32", "u64", "s64") for order in ORDERS}
    assert seen == one | several
    assert {each.type for each in ways((1,), 0)} == {"u16", "s16"}


ORDERS = ("high_first", "low_first")


def test_the_row_that_is_shown_reads_the_value_in_a_model_file():
    probe = Probe(3, 0x10, (7, *words("H", 2302)))
    match = probe.matches(Fraction(230), FIVE_PERCENT)[0]
    model = parse_model(f'{MODEL}[[register]]\nname = "voltage"\n{match.row(3)}\n', Path("x.toml"))
    row = model.register("voltage")
    assert (row.address, row.function, row.type, row.scale) == (0x11, 3, "u16", Fraction(1, 10))


class Short:
    """A device that answers at most so many registers, with their addresses."""

    def __init__(self, most, error=DeviceRefused):
        self.most = most
        self.error = error

    def read_words(self, device, function, address, count):
        if count > self.most:
            raise self.error(f"{count} are too many")
        return tuple(range(address, address + count))

    def read_bits(self, device, function, address, count):
        return (True, False)[:count]


def test_fewer_registers_are_asked_where_four_are_refused():
    found = ask("modbus_rtu", Short(2), Wanted(device=1, register=7))
    assert [(each.function, each.words) for each in found] == [(4, (7, 8)), (3, (7, 8))]


def test_as_many_are_asked_as_were_wanted_and_not_fewer():
    (found,) = ask("modbus_rtu", Short(2), Wanted(device=1, register=7, count=3, function=4))
    assert (found.words, found.fault) == ((), "3 are too many")


def test_silence_is_not_asked_again():
    (found,) = ask("modbus_rtu", Short(2, BusTimeout), Wanted(device=1, register=0, function=3))
    assert found.fault == "4 are too many"


def test_coils_are_read_as_bits():
    (found,) = ask("modbus_rtu", Short(9), Wanted(device=1, register=0, count=2, function=1))
    assert found.words == (1, 0)


def test_a_line_without_registers_is_told():
    with pytest.raises(BadUsage, match="a bus of kind vedirect has no registers"):
        ask("vedirect", Short(9), Wanted(device=1, register=0))


def test_a_chip_is_read_register_by_register():
    bus = I2cBus(lambda: SimulatedI2cBus({0x40: Ina219Chip(Line())}), "i2c1")
    (found,) = ask("i2c", bus, Wanted(device=0x40, register=0, count=6))
    assert (found.words[0], len(found.words)) == (0x399F, 6)
    (absent,) = ask("i2c", bus, Wanted(device=0x41, register=0))
    assert "no acknowledge" in absent.fault


def sdm120():
    return ModbusDirect(Sdm120Meter(Feeder(voltage_mv=230_200, power_mw=345_000)))


def test_a_table_marks_what_is_expected_and_says_what_to_write(capsys):
    report(
        ask("modbus_rtu", sdm120(), Wanted(device=1, register=0)), Fraction(230), 5, as_json=False
    )
    out = capsys.readouterr().out
    head, row, *_ = (line for line in out.splitlines() if line.startswith(("register", "0x")))
    assert head.split()[:4] == ["register", "hex", "text", "u16"]
    assert row.split()[:2] == ["0x0000", "4366"]
    assert "230.2 <--" in row
    assert "0x0000 as f32, times 1: 230.2" in out
    assert 'type = "f32"\nword_order = "high_first"\nscale = "1"' in out
    assert "none of these is 230" in out, "among the holding registers"


def test_json_has_every_way_and_the_matches(capsys):
    probes = ask("modbus_rtu", sdm120(), Wanted(device=1, register=0x0C, count=2, function=4))
    report(probes, Fraction(345), 5, as_json=True)
    (probe,) = json.loads(capsys.readouterr().out)["probes"]
    assert probe["registers"]["0x000C"]["f32_high_first"] == 345
    assert probe["registers"]["0x000D"].keys() == {"hex", "u16", "s16"}
    assert probe["matches"][0] == {
        "register": "0x000C",
        "type": "f32",
        "word_order": "high_first",
        "scale": 1.0,
        "value": 345.0,
    }


@pytest.mark.parametrize("as_json", [True, False])
def test_nothing_read_is_told_and_is_a_failure(capsys, as_json):
    silent = [Probe(4, 0, (), "no reply in 500 ms")]
    with pytest.raises(CommissioningError):
        report(silent, None, 5, as_json=as_json)
    assert "no reply in 500 ms" in capsys.readouterr().out


def test_numbers_as_people_write_them():
    assert [whole_number(text, "REGISTER") for text in ("12", "0x0C", "0")] == [12, 12, 0]
    assert expected_value(None) is None
    assert expected_value("0.85") == Fraction(17, 20)
    for wrong in ("-1", "x", "65536"):
        with pytest.raises(BadUsage, match="REGISTER"):
            whole_number(wrong, "REGISTER")
    with pytest.raises(BadUsage, match="--expect"):
        expected_value("230 V")


def test_a_host_may_have_a_port():
    assert host_and_port("meter") == ("meter", 502)
    assert host_and_port("10.0.0.7:1502") == ("10.0.0.7", 1502)
    for wrong in ("", ":502", "meter:", "meter:x", "meter:99999"):
        with pytest.raises(BadUsage, match="want HOST"):
            host_and_port(wrong)


@pytest.mark.parametrize(
    "given", [{}, {"tcp": "a", "port": "/dev/x"}, {"port": "/dev/x", "baud": 7}]
)
def test_a_bus_is_named_once_and_rightly(given):
    with pytest.raises(BadUsage), opened(BusChoice(**given)):
        pass


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("modbus_rtu", Wanted(device=0, register=0)),
        ("modbus_tcp", Wanted(device=256, register=0)),
        ("modbus_tcp", Wanted(device=1, register=0xFFFE, count=4)),
        ("i2c", Wanted(device=0x78, register=0)),
        ("i2c", Wanted(device=0x40, register=0x100)),
    ],
)
def test_what_no_bus_can_reach_is_told_before_anything_is_sent(kind, wanted):
    with pytest.raises(BadUsage, match=r"on this bus|this bus has them"):
        ask(kind, None, wanted)


def test_the_last_register_is_read_alone():
    class Last:
        def read_words(self, device, function, address, count):
            return (7,) * count

    assert ask("modbus_tcp", Last(), Wanted(device=1, register=0xFFFF))[0].words == (7,)
