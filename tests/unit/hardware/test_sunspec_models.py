"""SunSpec's tables and what words mean by them, without a device."""

from __future__ import annotations

import importlib.util
import json
from fractions import Fraction
from pathlib import Path

import pytest

from hardware.errors import ImplausibleSample
from hardware.mock.wires.modbus_rtu import crc16
from hardware.sunspec.describe import describe
from hardware.sunspec.models import LAYOUTS
from hardware.sunspec.points import Point, decode, requests, value

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "sunspec.json").read_text())


def named(rows):
    return [pytest.param(row, id=row["name"]) for row in rows]


def words_of(row) -> tuple[list[int], int]:
    """Return the registers of a vector's reply, and where they stand."""
    request, reply = bytes.fromhex(row["request"]), bytes.fromhex(row["reply"])
    assert crc16(request[:-2]) == request[-2:]
    assert crc16(reply[:-2]) == reply[-2:]
    words = [int.from_bytes(reply[at : at + 2], "big") for at in range(3, 3 + reply[2], 2)]
    return words, int.from_bytes(request[2:4], "big")


@pytest.mark.parametrize("row", named(VECTORS["exchanges"]))
def test_a_reply_says_what_it_is_known_to_say(row):
    words, address = words_of(row)
    said = describe(words, address)
    assert {key: said.get(key) for key in row["expect"]} == row["expect"]


@pytest.mark.parametrize("row", VECTORS["not_implemented"], ids=lambda row: row["type"])
def test_what_is_not_implemented_is_known_by_its_words(row):
    raw = bytes.fromhex(row["words"])
    words = {at: int.from_bytes(raw[2 * at : 2 * at + 2], "big") for at in range(len(raw) // 2)}
    point = Point("X", "x", "", row["type"], 0)
    assert point.end == len(words)
    assert decode(point, words, None) is None
    words[0] ^= 0x4141
    assert decode(point, words, None) is not None


@pytest.mark.parametrize("model", LAYOUTS)
def test_every_point_stands_where_the_published_model_has_it(model):
    folder = Path(importlib.util.find_spec("sunspec2").origin).parent / "models" / "json"
    published = json.loads((folder / f"model_{model}.json").read_text())["group"]
    wanted, offset = [], 0
    for group in (published, *published.get("groups", ())):
        for point in group["points"]:
            wanted.append((offset, point["size"], point.get("sf", ""), _unit(point)))
            offset += point["size"]
    layout = LAYOUTS[model]
    found = [
        (each.offset, each.end - each.offset, each.factor, each.unit)
        for each in (*layout.points, *layout.repeated)
    ]
    assert found == wanted[2 : 2 + len(found)]
    assert len(wanted) - 2 - len(found) == (1 if model == 1 else 0)  # the pad some leave out


def _unit(point) -> str:
    """Return a published unit in our spelling: a ratio has none, percent of anything is percent."""
    unit = point.get("units", "").strip()
    spelled = {"C": "degC", "Pct": "%", "Secs": "s", "AH": "Ah", "cos()": "", "PF": ""}
    return "%" if unit.startswith("%") else spelled.get(unit, unit)


@pytest.mark.parametrize(
    ("factor", "watts"), [(0, 235), (0xFFFF, Fraction(235, 10)), (3, 235_000), (10, 235 * 10**10)]
)
def test_a_value_is_its_number_times_its_factor(factor, watts):
    assert value(LAYOUTS[101], "W", {14: 235, 15: factor}) == watts


@pytest.mark.parametrize("factor", [11, 0xFFF5, 0x7FFF])
def test_a_factor_beyond_ten_is_refused_by_name(factor):
    with pytest.raises(ImplausibleSample, match="W_SF"):
        value(LAYOUTS[101], "W", {14: 235, 15: factor})


def test_a_value_without_its_factor_says_nothing():
    assert value(LAYOUTS[101], "W", {14: 235, 15: 0x8000}) is None


def test_what_is_not_implemented_is_not_scaled():
    assert value(LAYOUTS[101], "W", {14: 0x8000, 15: 11}) is None


def test_an_infinite_float_is_refused_by_name():
    with pytest.raises(ImplausibleSample, match="W: an infinite float"):
        value(LAYOUTS[111], "W", {22: 0x7F80, 23: 0})


@pytest.mark.parametrize("model", [101, 103, 111, 113, 120, 123, 160, 203, 213])
@pytest.mark.parametrize("words_max", [33, 64, 125])
def test_a_value_and_its_factor_come_in_one_read(model, words_max):
    layout = LAYOUTS[model]
    points = [each.point for each in layout.points if each.type not in ("factor", "pad")]
    reads = requests(layout, points, words_max)
    assert reads[0][0] == 0
    assert reads[0][1] >= 2
    assert all(end - first <= words_max for first, end in reads)
    for first, end in layout.spans(points):
        assert any(start <= first and end <= stop for start, stop in reads), (first, end)


def test_after_a_models_id_its_length_is_understood():
    said = describe([0x5375, 0x6E53, 1], 40_000)
    assert describe([65], 40_003, said) == {"model_id": 1, "model": "common", "length": 65}
    assert describe([44], 40_071, {"model_id": 122}) == {"model_id": 122, "length": 44}


def test_after_a_header_the_models_values_are_understood():
    words, address = words_of(VECTORS["exchanges"][5])
    header = describe(words[:2], address)
    assert header == {"model_id": 103, "model": "inverter, three phase", "length": 50}
    assert describe(words[2:], address + 2, header) == describe(words, address)


def test_a_value_whose_factor_was_not_read_is_shown_as_it_stands():
    words, address = words_of(VECTORS["exchanges"][5])
    said = describe(words[:15], address)
    assert said["power_unscaled"] == 3515
    assert "power_w" not in said
    assert said["voltage_l1_v"] == 231


def test_a_value_with_an_impossible_factor_is_said_to_be_impossible():
    words, address = words_of(VECTORS["exchanges"][5])
    words[15] = 0x1234
    said = describe(words, address)
    assert said["power_w"] == "impossible: W: W_SF is 4660, want -10 to 10"
    assert said["frequency_hz"] == 50.01


def test_several_models_in_one_reply_come_as_blocks():
    common = [1, 2, 0x4142, 0x4300]
    said = describe([0x5375, 0x6E53, *common, 0xFFFF, 0], 0)
    assert said["marker"] == "SunS"
    assert [each.get("model_id", "end") for each in said["blocks"]] == [1, "end"]


def test_each_tracker_is_named_by_its_number():
    one = [1, *[0x4141] * 8, 500, 3_000, 1_500, 0, 7, 0xFFFF, 0xFFFF, 40, 4, 0, 0]
    two = [2, *[0] * 8, 500, 3_000, 0xFFFF, 0, 0, 0xFFFF, 0xFFFF, 0x8000, 0xFFFF, 0, 0]
    said = describe([160, 48, 0xFFFE, 0xFFFF, 0, 3, 0, 0, 2, 0xFFFF, *one, *two])
    assert (said["trackers"], said["tracker_1_name"], said["tracker_2_name"]) == (2, "A" * 16, None)
    assert (said["tracker_1_current_a"], said["tracker_1_voltage_v"]) == (5, 300)
    assert (said["tracker_1_energy_wh"], said["tracker_2_power_w"]) == (7_000, None)
    assert (said["tracker_1_state"], said["tracker_1_temperature_degc"]) == ("mppt", 40)
    assert "tracker_3_power_w" not in said


def test_a_float_is_shown_as_short_as_it_is_exact():
    words = [111, 60, *[0x7FC0, 0] * 7, 0x4366, 0x3334, *[0x7FC0, 0] * 22]
    assert describe(words)["voltage_l1_v"] == 230.2


def test_words_in_the_middle_of_nothing_stay_words():
    assert describe([7, 8, 9], 40_100) == {"words": "0007 0008 0009"}
