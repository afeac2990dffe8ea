"""`gridtally-edge decode`: every vector that is known, through the command itself."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.commissioning.exchanges import Map, read_exchanges
from edge.commissioning.frames import parse_hex, parse_reply, parse_request
from hardware.buses.modbus_frames import crc
from hardware.catalog import METERS, RELAYS
from hardware.registers import Register

VECTORS = Path(__file__).parents[2] / "vectors"


def run(*arguments, **more):
    return CliRunner().invoke(app, ["decode", *arguments], **more)


def said(*arguments, **more):
    """Return the one object that a decode prints."""
    ended = run("--json", *arguments, **more)
    assert ended.exit_code == 0, ended.stderr
    assert len(ended.stdout.splitlines()) == 1
    return json.loads(ended.stdout)


def refused(*arguments, **more):
    """Return what standard error says when a decode ends with 65."""
    ended = run(*arguments, **more)
    assert (ended.exit_code, ended.stdout) == (os.EX_DATAERR, ""), ended.stderr
    return ended.stderr.strip()


def rtu(text):
    raw = bytes.fromhex(text)
    return (raw + crc(raw)).hex(" ")


def vectors(kind):
    for path in sorted(VECTORS.glob("*.json")):
        found = json.loads(path.read_text())
        for row in found.get(kind, ()) if isinstance(found, dict) else ():
            if path.stem in METERS and "expect" in row and "request" in row:
                yield pytest.param(path.stem, row, id=f"{path.stem}: {row['name']}")


@pytest.mark.parametrize(("model", "row"), list(vectors("exchanges")))
def test_every_vector_file_comes_out_as_it_says(model, row):
    found = said(model, row["request"], row["reply"])
    assert {key: found.get(key) for key in row["expect"]} == row["expect"]


def negatives(*errors):
    for path in sorted(VECTORS.glob("*.json")):
        found = json.loads(path.read_text())
        for row in found.get("negative", ()) if isinstance(found, dict) else ():
            if path.stem in METERS and row.get("error") in errors and "request" in row:
                yield pytest.param(path.stem, row, id=f"{path.stem}: {row['name']}")


@pytest.mark.parametrize(("model", "row"), list(negatives("BadChecksum", "UnexpectedReply")))
def test_every_damaged_vector_is_refused(model, row):
    assert refused(model, row["request"], row["reply"]).startswith("reply: ")


@pytest.mark.parametrize(("model", "row"), list(negatives("DeviceRefused")))
def test_every_refusal_among_the_vectors_is_an_exception(model, row):
    assert said(model, row["request"], row["reply"]) == {
        "exception": bytes.fromhex(row["reply"])[2]
    }


PZEM = "01 04 00 00 00 0A 70 0D"
KNOWN = [
    (
        "sdm120",
        "01 04 00 00 00 02 71 CB",
        "01 04 04 43 66 33 34 1B 38",
        {"voltage_v": 230.2},
    ),
    (
        "sdm120",
        "01 03 00 00 00 02 C4 0B",
        "01 03 04 3F 80 00 00 F7 CF",
        {"register_0x0000": 1.0},
    ),
    ("sdm120", "04 00 00 00 02", "04 04 43 70 80 00", {"voltage_v": 240.5}),
    ("sdm120", "04 00 00 00 02", "04 04 7F C0 00 00", {"voltage_v": None}),
    (
        "sdm120",
        "01 04 00 00 00 02 71 CB",
        "00 01 04 04 43 66 B3 33 3B 3A",
        {"voltage_v": 230.7},
    ),
    (
        "sdm120",
        "01 10 00 14 00 02 04 42 70 00 00 E6 F3",
        "01 90 01 8D C0",
        {"exception": 1},
    ),
    (
        "pzem016",
        PZEM,
        "01 04 14 08 D1 00 6C 00 00 00 F4 00 00 00 26 00 00 01 F4 00 64 00 00 51 34",
        {
            "voltage_v": 225.7,
            "current_a": 0.108,
            "power_w": 24.4,
            "energy_wh": 38,
            "frequency_hz": 50,
            "power_factor": 1,
            "alarm": 0,
        },
    ),
    (
        "pzem016",
        PZEM,
        "01 04 14 08 B7 08 9F 00 00 12 B8 00 00 FE D4 00 01 01 F4 00 61 00 00 F5 98",
        {
            "voltage_v": 223.1,
            "current_a": 2.207,
            "power_w": 479.2,
            "energy_wh": 130772,
            "frequency_hz": 50,
            "power_factor": 0.97,
            "alarm": 0,
        },
    ),
    (
        "pzem016",
        "-",
        "01 04 14 09 7D 33 A5 00 00 75 02 00 00 1F 23 00 00 01 F4 00 5D 00 00 47 F2",
        {
            "voltage_v": 242.9,
            "current_a": 13.221,
            "power_w": 2995.4,
            "energy_wh": 7971,
            "frequency_hz": 50,
            "power_factor": 0.93,
            "alarm": 0,
        },
    ),
    ("pzem016", "01 42 80 11", "01 42 80 11", {"energy_reset": True}),
    ("pzem016", "01 42 80 11", "01 C2 01 B0 A0", {"exception": 1}),
    (
        "pzem017",
        "-",
        "01 04 10 05 40 00 0A 00 0D 00 00 00 02 00 00 00 00 00 00 D6 29",
        {
            "voltage_v": 13.44,
            "current_a": 0.1,
            "power_w": 1.3,
            "energy_wh": 2,
            "high_voltage_alarm": 0,
            "low_voltage_alarm": 0,
        },
    ),
    ("abb_b23", "01 03 5B 3A 00 01 B7 23", "01 03 02 01 B3 F8 61", {"power_factor": 0.435}),
    ("abb_b23", "01 03 5B 3B 00 01 E6 E3", "01 03 02 7F FF D8 34", {"power_factor_l1": None}),
    ("abb_b23", "03 5B 14 00 02", "03 04 00 03 82 70", {"power_w": 2300}),
    ("em112", "04 00 04 00 02", "04 04 FF FF 7F FF", {"power_w": None}),
    ("em24", "03 00 28 00 02", "03 04 FF FF 7F FF", {"power_w": None}),
    (
        "dtsu666",
        "0B 03 07 D1 00 01 D5 ED",
        "0B 03 02 3F 80 30 15",
        {"register_0x07D1": 0x3F80},
    ),
    ("sunspec", "-", "01 03 06 53 75 6E 53 00 01 8D E4", {"marker": "SunS", "model_id": 1}),
    ("sunspec", "01 03 9C 43 00 01 5B 8E", "01 03 02 00 42 38 75", {"model_id": 1, "length": 66}),
    ("sunspec", "-", "01 03 02 FF FF B9 F4", {"end_of_list": True}),
    ("sunspec", "03 9C 40 00 02", "03 04 53 75 6E 53", {"marker": "SunS"}),
    ("sunspec", "03 9C 85 00 02", "03 04 00 65 00 32", {"model_id": 101, "length": 50}),
    (
        "epever_tracer",
        "01 04 31 04 00 01 7E F7",
        "01 04 02 04 CE 3A 64",
        {"battery_voltage_v": 12.3},
    ),
    (
        "epever_tracer",
        "01 03 90 13 00 03 D9 0E",
        "01 03 06 18 05 02 02 0F 07 0A E7",
        {"clock": "2015-07-02 02:24:05", "clock_minute": 24, "clock_second": 5},
    ),
    (
        "epever_tracer",
        "01 04 30 00 00 01 3E CA",
        "01 04 02 3A 98 AA 3A",
        {"pv_rated_voltage_v": 150},
    ),
    (
        "epever_tracer",
        "01 2B 0E 01 00 70 77",
        "01 2B 0E 01 01 00 00 03 00 15 45 50 73 6F 6C 61 72 20 54 65 63 68 20 63 6F 2E 2C 20 4C "
        "74 64 01 0C 54 72 61 63 65 72 32 32 31 35 42 4E 02 0D 56 30 32 2E 30 35 2B 56 30 37 2E "
        "31 32 D7 D8",
        {
            "vendor_name": "EPsolar Tech co., Ltd",
            "product_code": "Tracer2215BN",
            "revision": "V02.05+V07.12",
        },
    ),
    ("epever_tracer", "01 05 00 02 FF 00 2D FA", "01 05 00 02 FF 00 2D FA", {"load_is_on": True}),
    ("epever_tracer", "01 01 00 05 00 01 ED CB", "01 01 01 00 51 88", {"load_test_is_on": False}),
    ("epever_tracer", "01 02 00 05 00 01 A9 CB", "01 82 02 C1 61", {"exception": 2}),
    (
        "epever_tracer",
        "01 03 90 07 00 01 18 CB",
        "01 03 02 05 A0 BB 6C",
        {"boost_voltage_v": 14.4},
    ),
    (
        "waveshare_relay",
        "01 05 00 00 FF 00 8C 3A",
        "01 05 00 00 FF 00 8C 3A",
        {"relay_1": True},
    ),
    (
        "waveshare_relay",
        "01 05 00 01 00 00 9C 0A",
        "01 05 00 01 00 00 9C 0A",
        {"relay_2": False},
    ),
    (
        "lc_relay",
        "FF 05 00 00 FF 00 99 E4",
        "FF 05 00 00 FF 00 99 E4",
        {"relay_1": True},
    ),
    (
        "lc_relay",
        "FF 0F 00 00 00 08 01 FF 30 1D",
        "FF 0F 00 00 00 08 41 D3",
        {f"relay_{n}": True for n in range(1, 9)},
    ),
    (
        "waveshare_relay",
        "01 0F 00 00 00 08 01 55 3E AA",
        rtu("01 0F 00 00 00 08"),
        {f"relay_{n}": n % 2 == 1 for n in range(1, 9)},
    ),
    (
        "renogy_rover",
        "FF 03 00 0C 00 08 91 D1",
        "FF 03 10 20 20 52 4E 47 2D 43 54 52 4C 2D 52 56 52 34 30 37 24",
        {"model": "RNG-CTRL-RVR40"},
    ),
    ("renogy_rover", "03 E0 04 00 01", "03 02 00 04", {"battery_type_code": 4}),
    (
        "renogy_rover",
        "FF 06 01 0A 00 01 7C 2A",
        "FF 06 01 0A 00 01 7C 2A",
        {"load_command": "on", "load_command_code": 1},
    ),
    (
        "renogy_rover",
        "03 01 03 00 01",
        "03 02 0F 8A",
        {"controller_temperature_degc": 15, "battery_temperature_degc": -10},
    ),
    ("lc_relay", rtu("01 06 00 02 01 00"), rtu("01 06 00 02 01 00"), {"relay_2": True}),
    ("lc_relay", "03 00 01 00 02", "03 04 00 01 00 00", {"relay_1": True, "relay_2": False}),
    ("lc_relay", "01 05 00 01 01 00 9D 9A", "01 05 00 01 01 00 9D 9A", {"relay_2": True}),
]


@pytest.mark.parametrize(("model", "request_hex", "reply_hex", "expected"), KNOWN)
def test_what_is_known_of_a_frame_is_what_it_says(model, request_hex, reply_hex, expected):
    found = said(model, request_hex, reply_hex)
    assert {key: found.get(key, "missing") for key in expected} == expected


TWELVE = "06 40 05 DC 05 DC 05 B4 05 A0 05 64 05 28 04 EC 04 C4 04 B0 04 56 04 24"
VOLTS = [16.0, 15.0, 15.0, 14.6, 14.4, 13.8, 13.2, 12.6, 12.2, 12.0, 11.1, 10.6]


def test_the_twelve_voltages_read_and_written_have_the_same_names():
    read = said("epever_tracer", "01 03 90 03 00 0C 98 CF", f"01 03 18 {TWELVE} 97 06")
    written = said(
        "epever_tracer",
        f"01 10 90 03 00 0C 18 {TWELVE} 6F 11",
        rtu("01 10 90 03 00 0C"),
    )
    assert list(read.values()) == VOLTS
    assert all(name.endswith("_v") for name in read)
    assert written == read


def test_half_of_a_value_is_not_taken_for_one():
    ended = run(
        "--json",
        "epever_tracer",
        *("01 04 33 1B 00 01 4E 89", "01 04 02 00 00 B9 30"),
        *("01 04 33 1C 00 01 FF 48", "01 04 02 FF FF B8 80"),
    )
    assert json.loads(ended.stdout) == {"register_0x331B": 0, "register_0x331C": 0xFFFF}
    assert "has 2 registers from 0x331B, and not all are here" in ended.stderr


@pytest.mark.parametrize(
    ("model", "request_hex", "reply_hex", "why"),
    [
        (
            "sdm120",
            "01 03 00 00 00 14 C4 0B",
            "01 83 02 C0 F1",
            "request: CRC is C4 0B, want 45 C5",
        ),
        (
            "sdm120",
            "01 10 00 14 00 02 04 42 70 00 00 67 D5",
            "01 90 01 8D C0",
            "request: CRC is 67 D5, want E6 F3",
        ),
        (
            "sdm120",
            "01 04 00 00 00 02 71 CB",
            "00 01 04 04 43 66 B3 33 3B",
            "reply: length: 8 bytes after 1 stray zero byte, want 9: its end is missing",
        ),
        (
            "sdm120",
            "01 04 00 00 00 02 71 CB",
            rtu("02 04 04 43 66 33 34"),
            "reply: is from id 2, want 1 as in the request",
        ),
        (
            "sdm120",
            "01 04 00 00 00 02 71 CB",
            rtu("01 03 04 43 66 33 34"),
            "reply: has function 0x03, want 0x04 as in the request",
        ),
        ("sdm120", "01 04", "01 zz", "request: length: 2 bytes, want 8"),
        ("sdm120", "01 04 00 00 00 02 71 CB", "01 zz", "reply: 'z' is no hex digit"),
    ],
)
def test_what_is_damaged_ends_with_65_and_is_named(model, request_hex, reply_hex, why):
    assert why in refused(model, request_hex, reply_hex)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("sdm12", "01", "01"), 'did you mean "sdm120"?'),
        (("sdm120", "01 04 00 00 00 02 71 CB"), "want REQUEST_HEX REPLY_HEX"),
        (("sdm120",), "want REQUEST_HEX REPLY_HEX"),
        (("gpio_relay", "01", "01"), "speaks no Modbus"),
        (("sdm120", "--file", "x"), "only vedirect is read from a file"),
        (("ina219",), "want registers as config=399F"),
        (("ina219", "shnt=1"), 'did you mean "shunt"?'),
        (("ina219", "shunt=1", "shunt=2"), "shunt is given twice"),
        (("vedirect", "--file", "nowhere"), "nowhere: No such file"),
        (("vedirect_hex",), "want a frame"),
        (("abb_b23", "-", "03 06 00 00 00 00 00 00"), "give the request, too"),
    ],
)
def test_what_was_asked_wrongly_ends_with_64(arguments, why):
    ended = run(*arguments)
    assert (ended.exit_code, ended.stdout) == (os.EX_USAGE, "")
    assert why in ended.stderr


MINE = """\
title = "Mine"
measures = "x"
source = "me"
[link]
baud = 9600
[defaults]
function = 3
[[register]]
name = "voltage"
unit = "V"
address = 0
scale = "0.1"
low = 0
high = 300
[[register]]
name = "state"
address = 1
names = ["off", "on"]
"""


def test_a_model_of_ones_own_is_a_path(tmp_path):
    path = tmp_path / "my_meter.toml"
    path.write_text(MINE)
    read = rtu("01 03 00 00 00 03"), rtu("01 03 06 09 61 00 01 00 07")
    assert said(str(path), *read) == {
        "voltage_v": 240.1,
        "state": "on",
        "state_code": 1,
        "register_0x0002": 7,
    }
    path.write_text(path.read_text().replace("scale", "skale"))
    ended = run(str(path), *read)
    assert ended.exit_code == os.EX_CONFIG
    assert f'{path}:12: register 1 (voltage): unknown key "skale"' in ended.stderr


def test_a_value_that_cannot_be_is_shown_and_said_to_be_so():
    ended = run("sdm120", "04 00 00 00 02", "04 04 44 7A 00 00")
    assert json.loads(ended.stdout) == {"voltage_v": 1000}
    assert "voltage_v = 1000, want 0 to 500" in ended.stderr
    infinite = run("sdm120", "04 00 00 00 02", "04 04 7F 80 00 00")
    assert json.loads(infinite.stdout) == {"voltage_v": None}
    assert "an infinite float" in infinite.stderr


def test_without_terminal_marks_and_spaces_the_hex_is_the_same():
    assert said("sdm120", "01040000000271CB", "010404436633341B38") == {"voltage_v": 230.2}


SCALED = Map(
    (
        Register("scale", "", 3, 0),
        Register("voltage", "V", 3, 4, times=("scale",)),
        Register("ratio", "", 3, 9, times=("unread",)),
    ),
)


def read(known, *pairs):
    messages = []
    for asked, answered in pairs:
        request = parse_request(parse_hex(asked, "request"))
        messages.append((request, parse_reply(parse_hex(answered, "reply"), request)))
    return read_exchanges(known, messages)


def test_what_scales_a_value_may_stand_in_another_exchange():
    found = read(SCALED, ("03 00 04 00 01", "03 02 00 05"), ("03 00 00 00 01", "03 02 00 03"))
    assert found.values == {"voltage_v": 15, "scale": 3}
    assert found.notes == []


def test_without_what_scales_it_a_value_is_none_or_as_usual():
    found = read(SCALED, ("03 00 09 00 01", "03 02 00 05"))
    assert found.values == {"ratio": None}
    assert "multiplied by unread, which was not read and is not known" in found.notes[0]
    usual = Map(SCALED.registers, usual={"unread": 7})
    found = read(usual, ("03 00 09 00 01", "03 02 00 05"))
    assert found.values == {"ratio": 35}
    assert "taken as 7, as in most" in found.notes[0]


def test_a_charger_is_scaled_by_its_own_words_or_by_what_is_usual():
    battery = "03 00 18 00 01", "03 02 09 8D"
    scales = "03 00 00 00 04", "03 08 00 B4 00 00 00 50 00 00"
    found = said("tristar_mppt", *scales, *battery)
    assert (found["voltage_full_scale_v"], found["current_full_scale_a"]) == (180, 80)
    assert found["battery_voltage_v"] == pytest.approx(13.43, abs=0.005)
    assert said("tristar_mppt", *battery)["battery_voltage_v"] == found["battery_voltage_v"]


def test_functions_3_and_4_are_named_alike_unless_the_map_tells_them_apart():
    row = Register("voltage", "V", 4, 0)
    asked = ("03 00 00 00 01", "03 02 00 E6")
    assert read(Map((row,)), asked).values == {"voltage_v": 230}
    both = Map((row, Register("address", "", 3, 20)))
    assert read(both, asked).values == {"register_0x0000": 230}


def test_coils_and_inputs_without_a_name_stand_under_their_address():
    found = read(Map(()), ("01 00 05 00 02", "01 01 02"), ("02 00 07 00 01", "02 01 01"))
    assert found.values == {"coil_0x0005": False, "coil_0x0006": True, "input_0x0007": True}


def test_words_of_relay_boards_besides_on_and_off():
    toggled = rtu("01 05 00 02 55 00")
    assert said("waveshare_relay", toggled, toggled) == {"relay_3": "toggle"}
    flashed = rtu("01 05 02 00 00 07")
    assert said("waveshare_relay", flashed, flashed) == {"relay_1_flash_on_s": 0.7}
    everything = rtu("01 05 00 FF FF 00")
    assert said("waveshare_relay", everything, everything) == {"all_relays": True}
    version = rtu("01 03 80 00 00 01"), rtu("01 03 02 00 C8")
    assert said("waveshare_relay", *version) == {"software_version": 2}


# --- I2C chips -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "words", "expected"),
    [
        (
            "ina219",
            "config=019F shunt=07D0 bus=5D98 cal=5000 current=2710 power=1766 shunt_mohm=2",
            {
                "shunt_voltage_v": 0.02,
                "bus_voltage_v": 11.98,
                "calibration": 20480,
                "current_a": 10,
                "power_w": 119.8,
            },
        ),
        ("ina219", "shunt=8300", {"shunt_voltage_v": -0.32}),
        ("ina219", "shunt=F060", {"shunt_voltage_v": -0.04}),
        ("ina219", "shunt=0FA0", {"shunt_voltage_v": 0.04}),
        ("ina219", "shunt=7D00", {"shunt_voltage_v": 0.32}),
        ("ina219", "shunt_mohm=100 lsb_ua=100", {"calibration": 4096}),
        ("ina219", "shunt_mohm=100 lsb_ua=40", {"calibration": 10240}),
        ("ina219", "shunt_mohm=100 lsb_ua=50", {"calibration": 8192}),
        ("ina219", "current=FFF6 lsb_ua=100", {"current_a": -0.001}),
        ("ina219", "current=FFF6 cal=0x1000", {"current_a": -0.001}),
        (
            "ina219",
            "current=FFF6 cal=1000 power=0001",
            {"power_w": -0.002},
        ),
        ("ina219", "shunt=1F40 bus=5D98", {"current_a": 0.8, "power_w": 9.584}),
        (
            "ina219",
            "config=399F",
            {
                "mode": "both, continuous",
                "bus_range_v": 32,
                "shunt_range_v": 0.32,
                "bus_adc": "12 bit",
                "shunt_adc": "12 bit",
            },
        ),
        ("ina219", "config=07FF", {"bus_adc": "128 samples", "shunt_adc": "128 samples"}),
        (
            "ina226",
            "cal=0A00 shunt=1F40 bus=2570 current=2710 power=12B8 shunt_mohm=2",
            {
                "shunt_voltage_v": 0.02,
                "bus_voltage_v": 11.98,
                "current_a": 10,
                "power_w": 119.8,
            },
        ),
        ("ina226", "config=4127", {"samples_averaged": 1, "bus_conversion_us": 1100}),
        ("ina3221", "shunt1=C180", {"shunt_voltage_1_v": -0.08}),
        ("ina3221", "shunt=3E80", {"shunt_voltage_v": 0.08}),
        (
            "ina3221",
            "shunt2=C180 bus2=2EE0 shunt_mohm=100",
            {"current_2_a": -0.8, "bus_voltage_2_v": 12, "power_2_w": -9.6},
        ),
        ("ina3221", "config=7127", {"channels": "1 2 3"}),
    ],
)
def test_words_of_a_chip(model, words, expected):
    found = said(model, *words.split())
    assert {key: found.get(key, "missing") for key in expected} == expected


@pytest.mark.parametrize(
    ("words", "is_reset"),
    [
        ("config=399F cal=0000 current=0000 power=0000", True),
        ("config=399F cal=0000 current=0000 power=0000 shunt=1234", True),
        ("config=019F cal=0000 current=0000 power=0000", False),
    ],
)
def test_a_chip_without_calibration_has_no_current_of_zero(words, is_reset):
    ended = run("ina219", *words.split())
    found = json.loads(ended.stdout)
    assert (found["current_a"], found["power_w"]) == (None, None)
    assert (found["not_calibrated"], found["sensor_reset"]) == (True, is_reset)
    assert "not calibrated" in ended.stderr
    assert ("the sensor was reset" in ended.stderr) is is_reset


@pytest.mark.parametrize(
    ("model", "words"),
    [("ina219", "bus=5D99 cal=1000 current=7FFF"), ("ina226", "mask=0004 cal=1000 current=7FFF")],
)
def test_overflow_leaves_the_voltages_and_drops_the_rest(model, words):
    found = said(model, *words.split())
    assert (found["overflow"], found["current_a"], found["power_w"]) == (True, None, None)


@pytest.mark.parametrize("word", ["shunt=12345", "shunt=xy", "shunt=", "shunt", "shunt_mohm=0"])
def test_what_is_no_word_is_refused(word):
    assert word.partition("=")[0] in refused("ina219", word)


def test_a_calibration_above_its_register_is_said():
    assert "above its 16 bits" in run("ina219", "lsb_ua=1", "shunt_mohm=1").stderr


# --- VE.Direct -----------------------------------------------------------------------------------


def block(*fields):
    """Return a text block of these fields, with its checksum."""
    raw = b"".join(f"\r\n{label}\t{text}".encode() for label, text in fields)
    raw += b"\r\nChecksum\t"
    return raw + bytes([-sum(raw) % 256])


MPPT = block(
    ("V", "12530"), ("I", "640"), ("VPV", "31390"), ("PPV", "8"), ("CS", "3"), ("H19", "8272")
)
NEXT = block(("V", "12530"), ("I", "590"), ("VPV", "32000"), ("PPV", "---"))


def caught(tmp_path, raw):
    path = tmp_path / "caught"
    path.write_bytes(raw)
    return "vedirect", "--file", str(path)


def test_one_block_is_one_object(tmp_path):
    assert said(*caught(tmp_path, MPPT)) == {
        "battery_voltage_v": 12.53,
        "battery_current_a": 0.64,
        "pv_voltage_v": 31.39,
        "pv_power_w": 8,
        "charge_state": "bulk",
        "charge_state_code": 3,
        "yield_total_kwh": 82.72,
    }


def test_several_blocks_are_a_list(tmp_path):
    first, second = said(*caught(tmp_path, MPPT + NEXT))["blocks"]
    assert first["battery_current_a"] == 0.64
    assert second == {
        "battery_voltage_v": 12.53,
        "battery_current_a": 0.59,
        "pv_voltage_v": 32,
        "pv_power_w": None,
    }


def test_hex_text_and_standard_input_say_the_same(tmp_path):
    text = MPPT.hex(" ") + "\n"
    expected = said(*caught(tmp_path, MPPT))
    assert said(*caught(tmp_path, text.encode())) == expected
    assert said("vedirect", "--file", "-", input=MPPT) == expected
    assert said("vedirect", text) == expected


def test_a_frame_inside_a_block_is_told_beside_it(tmp_path):
    mixed = MPPT[:20] + b":A0002000148\n" + MPPT[20:]
    found = said(*caught(tmp_path, mixed))
    assert found["battery_voltage_v"] == 12.53
    assert found["hex_frames"] == [
        {"command": "async", "register": "0x0200", "device_mode": "on", "device_mode_code": 1}
    ]


def test_a_block_joined_in_its_middle_is_passed_over(tmp_path):
    assert said(*caught(tmp_path, MPPT[10:] + NEXT))["battery_current_a"] == 0.59


def test_a_damaged_block_is_named(tmp_path):
    wrong = MPPT[:-1] + bytes([MPPT[-1] ^ 1])
    assert "modulo 256, want 0" in refused(*caught(tmp_path, wrong))
    assert "modulo 256, want 0" in refused(*caught(tmp_path, NEXT + wrong))
    for end in range(1, len(MPPT)):
        assert refused(*caught(tmp_path, MPPT[:end]))


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (":7DBED009E16D2", {"register": "0xEDDB", "internal_temperature_degc": 57.9}),
        (":7ECED00FFFF77", {"battery_temperature_degc": None}),
        (":AD7ED00A000E7", {"charger_current_a": 16}),
        (":A0A2000FFFFFF7FA5", {"network_battery_current_a": None}),
        (":A0002000148", {"device_mode": "on", "device_mode_code": 1}),
        (":81520007D009B", {"charge_current_limit_a": 12.5}),
        (":7001000C80076", {"battery_capacity_ah": 200}),
        (":7F0ED0071", {"command": "get", "quantity": "battery_current_max_a"}),
        (":A200100287003008F", {"register": "0x0120", "value_hex": "28700300"}),
        (":A0D200000001E", {"network_info": 0}),
        (":AB4ED00A5A2000063", {"register": "0xEDB4"}),
        (":154", {"command": "ping"}),
        (":352", {"command": "get_version"}),
        (":451", {"command": "get_product_id"}),
        (":4AAAAFD", {"command": "frame_error"}),
        (":81520006400B4", {"charge_current_limit_a": 10}),
        (":8ABED0004B1", {"load_control": "always off", "load_control_code": 4}),
        (":8152004FFFF16", {"error": "parameter error"}),
        (":715200118", {"error": "unknown id"}),
    ],
)
def test_hex_frames(frame, expected):
    found = said("vedirect_hex", frame)
    assert {key: found.get(key, "missing") for key in expected} == expected
    assert said("vedirect_hex", " ".join(frame)) == found


def test_a_hex_frame_with_a_wrong_check_byte_is_named():
    assert "its bytes make BC, want 55" in refused("vedirect_hex", ":8F0ED00D007")


def test_every_name_of_the_catalog_is_known_to_decode():
    for name in (*METERS, *RELAYS, "vedirect", "vedirect_hex", "sunspec"):
        ended = run(name)
        assert ended.exit_code in (os.EX_USAGE, os.EX_DATAERR), name
        assert "want a path of a .toml" not in ended.stderr, name
