"""What a scan believes of every simulated device, and the configuration it drafts of it."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from edge.commissioning.draft import check_free, draft, node_name, write_draft
from edge.commissioning.errors import BadUsage
from edge.commissioning.findings import Belief, Finding, Place, Sure, Trouble, place, printable
from edge.commissioning.recognising import recognise
from edge.commissioning.scan_i2c import scan_i2c
from edge.commissioning.scan_lines import (
    QUESTIONS,
    Effort,
    answering,
    listen,
    rounds,
    scan_modbus,
    usual_ids,
    usual_settings,
)
from edge.commissioning.scanning import _everywhere, parse_ids
from edge.config import parse_config
from edge.errors import ConfigError
from hardware import catalog
from hardware.buses.i2c import I2cBus
from hardware.errors import BadChecksum, BusStuck, BusTimeout, BusUnavailable, DeviceRefused
from hardware.mock.catalog import SIMULATORS
from hardware.mock.chips.ina219 import Ina219Chip
from hardware.mock.chips.ina226 import Ina226Chip
from hardware.mock.chips.ina3221 import Ina3221Chip
from hardware.mock.points import Feeder, Line, Plant, split
from hardware.mock.vedirect.mppt import VictronMppt
from hardware.mock.wires.i2c_bus import SimulatedI2cBus, bus_error
from tests.support.hardware_bench import ModbusDirect
from tests.support.vedirect_lines import HandClock, TalkingLine

TCP = place("modbus_tcp", host="meter", port=502)
I2C1 = place("i2c", device="/dev/i2c-1")


def silent(*_progress):
    """Take what a progress bar would show."""


def device(name):
    feeder = Feeder(power_mw=345_000, energy_import_uwh=12_345 * 10**9)
    simulator = SIMULATORS[name]
    match simulator.point:
        case "relays":
            return simulator.build()
        case "three_phase":
            return simulator.build(split(feeder))
        case "plant":
            return simulator.build(Plant(pv_power_mw=55_000))
        case "direct":
            return simulator.build(Feeder(voltage_mv=13_400, power_mw=26_800))
    return simulator.build(feeder)


def recognised(name, kind="modbus_rtu", address=1):
    return recognise(ModbusDirect(device(name), address), address, kind)


MODELS = (*catalog.METERS, *catalog.RELAYS)


def twin(name):
    """Return the model of a simulator; some are variants of one, as renogy_rover_elite.

    A part of a device answers as the device does.
    """
    found = max((each for each in MODELS if name.startswith(each)), key=len)
    part = catalog.RELAYS.get(found)
    return found if part is None else part.part_of or found


SAME = {"em112": "em111", "sdm230": "sdm120"}
"""Models that nothing tells from another one that is named first."""

ON_MODBUS = [name for name, each in SIMULATORS.items() if {"tcp", "rtu"} & set(each.wires)]


@pytest.mark.parametrize("name", ON_MODBUS)
def test_every_simulated_device_is_taken_for_what_it_is(name):
    kind = "modbus_rtu" if "rtu" in SIMULATORS[name].wires else "modbus_tcp"
    beliefs = recognised(name, kind).beliefs
    model = twin(name)
    first = beliefs[0].model
    assert first in {model, SAME.get(model)}
    assert model in {each.model for each in beliefs}
    assert all(each.why for each in beliefs)


@pytest.mark.parametrize("name", ["sdm120", "abb_b23", "em24", "epever_tracer", "tristar_mppt"])
def test_who_says_its_name_is_certain(name):
    beliefs = recognised(name).beliefs
    assert [(each.model, each.sure) for each in beliefs] == [(name, Sure.CERTAIN)]


def test_who_has_no_name_is_likely_and_what_it_would_read_is_why():
    (belief,) = recognised("pzem016").beliefs
    assert belief.sure is Sure.LIKELY
    assert belief.why == "as such it would read 230 V, 1.5 A, 345 W, 50 Hz"


def test_what_cannot_be_told_apart_is_named_beside():
    likely, *others = recognised("em112").beliefs
    assert {likely.model, *(each.model for each in others)} == {"em111", "em112"}
    assert likely.sure is Sure.LIKELY


def test_a_serial_number_comes_along():
    assert recognised("abb_b23").facts["serial"] == "23456789"
    facts = recognised("sunspec").facts
    assert (facts["maker"], facts["sunspec_models"]) == ("Simulated", "1, 101, 120, 123, 160")


def test_a_sunspec_list_says_where_and_what():
    (belief,) = recognised("sunspec").beliefs
    assert belief.why == '"SunS" at 40000; model 101 (inverter, single phase) at 40070'
    assert belief.options == {}


def test_a_board_with_id_255_is_an_lc_board_first():
    assert recognised("lc_relay", address=255).beliefs[0].sure is Sure.LIKELY
    assert recognised("waveshare_relay").beliefs[0].model == "waveshare_relay"
    assert dict(recognised("lc_relay_r4d8").beliefs[0].options) == {"dialect": "r4d8"}


class Strange:
    """A device that knows nothing that we ask."""

    def heed(self, device, manners):
        """Nothing waits here."""

    def read_words(self, device, function, address, count):
        raise DeviceRefused("exception 2", 2)

    read_bits = read_words

    def identify(self, device):
        raise DeviceRefused("exception 1", 1)


def test_a_stranger_is_found_and_not_named():
    assert recognise(Strange(), 1, "modbus_rtu").beliefs == ()
    (found,) = scan_modbus(Strange(), TCP, (1,), QUESTIONS, (), silent)
    assert (found.best.model, found.best.sure) == ("", Sure.UNKNOWN)


def test_only_reads_are_sent():
    port = ModbusDirect(device("sdm120"))
    recognise(port, 1, "modbus_rtu")
    assert {request[0] for request in port.requests} <= {1, 2, 3, 4, 0x2B}


# --- ids -----------------------------------------------------------------------------------------


class Party:
    """A line with one behaviour an id: a value is answered, an error raised."""

    def __init__(self, **ids):
        self.ids = {int(key[2:]): value for key, value in ids.items()}
        self.asked = []

    def heed(self, device, manners):
        """Nothing waits here."""

    def read_words(self, device, function, address, count):
        self.asked.append((device, function))
        answer = self.ids.get(device, BusTimeout("silence"))
        if isinstance(answer, Exception):
            raise answer
        return (answer,) * count

    read_bits = read_words


def test_a_refusal_is_an_answer_and_silence_is_none():
    line = Party(id2=0, id3=DeviceRefused("exception 2", 2), id4=BadChecksum("noise"))
    assert answering(line, range(1, 6), QUESTIONS, silent) == ([2, 3], [4])


def test_who_answered_is_not_asked_again():
    line = Party(id2=0)
    answering(line, (1, 2), QUESTIONS, silent)
    assert line.asked.count((2, 3)) == 1
    assert [function for device, function in line.asked if device == 2] == [3]
    assert [function for device, function in line.asked if device == 1] == [3, 4, 1]


def test_a_line_that_cannot_be_opened_is_given_up_soon():
    gone = BusUnavailable("no such port")
    line = Party(**{f"id{n}": gone for n in range(1, 10)})
    with pytest.raises(BusUnavailable):
        answering(line, range(1, 10), QUESTIONS, silent)
    assert len(line.asked) == 3


def test_garbled_answers_beside_good_ones_are_trouble():
    line = Party(id2=DeviceRefused("exception 2", 2), id4=BadChecksum("noise"))
    line.identify = lambda device: {}
    found = list(scan_modbus(line, TCP, (2, 4), QUESTIONS, (), silent))
    assert found[1] == Trouble(
        "meter:502, id 4",
        "bytes come, but no valid reply: two devices with one id, or bad wiring",
    )


def test_usual_settings_and_ids_are_those_of_the_models():
    settings = usual_settings()
    assert settings[0] == (9_600, "N", 1)
    assert {(2_400, "N", 1), (9_600, "E", 1), (115_200, "N", 1)} <= set(settings)
    assert {1, 11, 255} <= set(usual_ids())


def test_a_scan_goes_on_from_the_usual_to_everything_unless_it_is_quick():
    settings, few = usual_settings(), usual_ids()
    (first,) = rounds(settings, few, Effort(quick=True))
    assert [setting for setting, _, _ in first] == settings
    assert list(rounds(settings, (5,), Effort(ids=(5,)))) == [
        [(setting, (5,), QUESTIONS) for setting in settings]
    ]
    usual, speeds, everything = rounds(settings, few, Effort())
    assert usual == first
    assert not {setting for setting, _, _ in speeds} & set(settings)
    assert {setting for setting, _, _ in everything} == set(settings)
    assert all(set(ids) | set(few) >= set(range(1, 248)) for _, ids, _ in everything)


def test_ids_are_numbers_and_ranges():
    assert parse_ids("1-3, 11,3") == (1, 2, 3, 11)
    for wrong in ("", "0", "256", "3-1", "x", "1-"):
        with pytest.raises(BadUsage, match="want numbers and ranges"):
            parse_ids(wrong)


def test_ports_go_by_their_stable_names_where_there_are_any(tmp_path):
    for name in ("i2c-1", "ttyUSB0", "ttyACM1", "ttyS0"):
        (tmp_path / name).touch()
    found = _everywhere(tmp_path, tmp_path / "by-id")
    assert list(found.i2c) == [str(tmp_path / "i2c-1")]
    assert [Path(each).name for each in found.ports] == ["ttyACM1", "ttyUSB0"]
    (tmp_path / "by-id").mkdir()
    assert list(_everywhere(tmp_path, tmp_path / "by-id").ports) == [str(tmp_path / "by-id")]


# --- VE.Direct -----------------------------------------------------------------------------------


def test_a_device_that_talks_is_known_by_its_blocks():
    clock = HandClock()
    line = TalkingLine(VictronMppt(Plant(), clock_s=clock), clock)
    found = listen(line, "/dev/ttyVE", 2.2, clock_s=clock, sleep_s=clock.pause)
    assert found.best.model == "vedirect"
    assert found.place == place("vedirect", device="/dev/ttyVE")
    assert found.facts["product_id"].startswith("0x")


class Quiet:
    """A line on which nothing, or noise, comes."""

    def __init__(self, noise=b""):
        self.noise = noise

    def read(self):
        return self.noise


@pytest.mark.parametrize("noise", [b"", b"$GPGGA,123519,4807.038,N\r\n", bytes(range(256))])
def test_silence_and_noise_are_no_device(noise):
    clock = HandClock()
    assert listen(Quiet(noise), "/dev/x", 2.2, clock_s=clock, sleep_s=clock.pause) is None


# --- I2C -----------------------------------------------------------------------------------------


class Pattern:
    """A chip that answers each read with the same bytes, whatever is asked."""

    def __init__(self, byte):
        self.byte = byte
        self.written = []

    def write(self, sent):
        self.written.append(sent)

    def read(self, count):
        return bytes([self.byte]) * count


class Owned(Pattern):
    """A chip that a kernel driver holds."""

    def read(self, count):
        raise bus_error(errno.EBUSY)


def on_i2c(chips):
    return list(scan_i2c(I2cBus(lambda: SimulatedI2cBus(chips), "i2c1"), I2C1, silent))


def test_power_monitors_are_told_apart_by_their_registers():
    line = Line(current_ua=1_000_000, bus_mv=12_000)
    found = on_i2c(
        {
            0x40: Ina219Chip(line),
            0x41: Ina226Chip(line),
            0x42: Ina3221Chip((line, line, line)),
        }
    )
    assert [(each.address, each.best.model, each.best.sure) for each in found] == [
        (0x40, "ina219", Sure.LIKELY),
        (0x41, "ina226", Sure.CERTAIN),
        (0x42, "ina3221", Sure.CERTAIN),
    ]
    assert found[0].best.why == "configuration 399F as after power-on, 12 V"
    assert "5449" in found[1].best.why


def test_a_configured_ina219_is_known_by_its_calibration():
    line = Line(bus_mv=12_000)
    chip = Ina219Chip(line)
    bus = I2cBus(lambda: SimulatedI2cBus({0x40: chip}), "i2c1")
    given = {"shunt_mohm": 100, "current_max_ma": 3200}
    catalog.make_meter("ina219", bus, given).sample()
    (found,) = on_i2c({0x40: chip})
    assert (found.best.model, found.best.sure) == ("ina219", Sure.LIKELY)
    assert "calibration" in found.best.why


def test_strangers_are_told_by_what_is_usual_there_and_never_written_to():
    chips = {0x44: Pattern(0x00), 0x4F: Pattern(0xFF), 0x50: Pattern(0x5A), 0x68: Pattern(0x12)}
    found = on_i2c(chips)
    assert [each.best.model for each in found] == ["", "", "", ""]
    assert "SHT3x" in found[0].best.why
    assert "EEPROM" in found[2].best.why
    assert "DS3231" in found[3].best.why
    assert chips[0x50].written == []
    assert all(len(sent) == 1 for sent in chips[0x44].written), "register pointers and no values"


def test_a_chip_of_the_kernel_is_named_as_such():
    (found,) = on_i2c({0x41: Owned(0)})
    assert "kernel" in found.best.why


def test_a_stuck_bus_ends_the_scan():
    bus = SimulatedI2cBus({})
    bus.faults.switch("stuck", True)
    with pytest.raises(BusStuck):
        list(scan_i2c(I2cBus(lambda: bus, "i2c1"), I2C1, silent))


# --- the configuration ---------------------------------------------------------------------------

RTU = place("modbus_rtu", device="/dev/serial/by-id/usb-x", baud=9600, parity="N", stopbits=1)


def finding(where, address, model, sure=Sure.CERTAIN, facts=None, **options):
    return Finding(where, address, (Belief(model, sure, "it says so", options),), facts or {})


ALL = [
    finding(I2C1, 0x40, "ina219"),
    finding(I2C1, 0x41, "ina3221"),
    Finding(I2C1, 0x68, (Belief("", Sure.UNKNOWN, "a clock"),)),
    finding(RTU, 1, "abb_b23", facts={"serial": "23456789"}),
    finding(RTU, 2, "abb_b23", Sure.LIKELY),
    finding(RTU, 255, "lc_relay", Sure.POSSIBLE, dialect="r4d8"),
    finding(TCP, 1, "sunspec", device_index=2),
    finding(place("vedirect", device="/dev/serial/by-id/usb-ve"), None, "vedirect"),
]


def complaints(text):
    with pytest.raises(ConfigError) as error:
        parse_config(text, Path("/nowhere/edge.toml"))
    return error.value.findings


def test_check_config_names_everything_that_is_marked_unknown():
    text = draft(ALL, "dep1")
    marked = re.findall(r"^# (\w+) = .*# UNKNOWN: ", text, re.MULTILINE)
    named = [re.search(r'missing key "(\w+)"|: (\w+): ', each) for each in complaints(text)]
    assert all(named), complaints(text)
    assert sorted(marked) == sorted(each[1] or each[2] for each in named)
    assert "shunt_mohm" in marked


def answered(text):
    """Return a draft with an answer to each unknown."""
    answers = {
        "microgrid": '"bench"',
        "member": '"alice"',
        "purpose": '"net"',
        "deenergised": '"cut"',
        "rated_w": "100",
        "shunt_mohm": "100",
        "current_max_ma": "3200",
        "not_failsafe": "true",
    }
    return re.sub(
        r"^# (\w+) = .*# UNKNOWN: .*$", lambda m: f"{m[1]} = {answers[m[1]]}", text, flags=re.M
    )


def test_a_draft_that_is_filled_in_is_a_whole_configuration():
    config = parse_config(answered(draft(ALL, "dep1")), Path("/nowhere/edge.toml"))
    assert [each.kind for each in config.bus] == ["i2c", "modbus_rtu", "modbus_tcp", "vedirect"]
    assert [(each.meter_id, each.options.get("address")) for each in config.meter] == [
        ("dep1-ina219", 0x40),
        ("dep1-ina3221", 0x41),
        ("dep1-ina3221-2", 0x41),
        ("dep1-ina3221-3", 0x41),
        ("dep1-abb-b23", 1),
        ("dep1-abb-b23-2", 2),
        ("dep1-sunspec", 1),
        ("dep1-vedirect", None),
    ]
    assert [each.options["channel"] for each in config.meter if "channel" in each.options] == [
        1,
        2,
        3,
    ]
    assert config.meter[4].options["serial"] == "23456789"
    assert config.meter[6].options["device_index"] == 2
    assert dict(config.relay[0].options) == {"address": 255, "channel": 1, "dialect": "r4d8"}


def test_what_a_device_calls_itself_stays_in_its_comment():
    evil = finding(RTU, 1, "abb_b23", facts={"vendor": printable('x\n[[relay]]\r\n"\\')})
    assert "\n[[relay]]" not in draft([evil], "dep1")
    quoted = finding(RTU, 1, "abb_b23", facts={"serial": '1"\\2'})
    config = parse_config(answered(draft([quoted], "dep1")), Path("/nowhere/edge.toml"))
    assert config.meter[0].options["serial"] == '1"\\2'


def test_an_existing_file_stays(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text("mine")
    with pytest.raises(BadUsage, match="exists and stays"):
        write_draft(path, ALL, "dep1")
    assert path.read_text() == "mine"


def test_whether_it_can_be_written_is_known_before_the_scan(tmp_path):
    (tmp_path / "edge.toml").write_text("mine")
    (tmp_path / "link.toml").symlink_to(tmp_path / "nothing")
    check_free(tmp_path / "new.toml")
    for name, why in (("edge.toml", "exists"), ("link.toml", "exists"), ("no/e.toml", "no folder")):
        with pytest.raises(BadUsage, match=why):
            check_free(tmp_path / name)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("raspberrypi", "raspberrypi"),
        ("My_Pi.local", "my-pi"),
        ("-", "node1"),
        ("a" * 40, "a" * 16),
    ],
)
def test_a_node_is_named_after_its_host(host, name):
    assert node_name(host) == name


def test_a_place_is_short_in_a_table():
    assert RTU.short == "usb-x 9600 8N1"
    assert TCP.short == "meter:502"
    assert Place("i2c", (("device", "/dev/i2c-1"),)).short == "i2c-1"
