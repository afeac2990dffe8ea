"""The commands of commissioning on real ports: pseudo-terminals, sockets, a simulated I2C wire."""

from __future__ import annotations

import json
import os
import re

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.config import EXAMPLE
from hardware.mock.chips.ina219 import Ina219Chip
from hardware.mock.chips.ina226 import Ina226Chip
from hardware.mock.meters.abb import AbbB23
from hardware.mock.meters.eastron import Sdm120Meter
from hardware.mock.points import Feeder, Line, Plant, split
from hardware.mock.sunspec.device import SunSpecInverter
from hardware.mock.vedirect.mppt import VictronMppt
from hardware.mock.vedirect.port import VeDirectPty
from hardware.mock.wires.i2c_bus import SimulatedI2cBus
from hardware.mock.wires.modbus_server import ModbusRtuServer, ModbusRtuTcpServer, ModbusTcpServer
from hardware.mock.wires.remote import WireServer

HEAD = EXAMPLE[: EXAMPLE.index("[[bus]]")]


def run(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


def found(*arguments):
    """Return (address, model, how sure) of each finding."""
    ended = run("scan", "--json", *arguments)
    assert ended.exit_code == 0, ended.stderr
    return [
        (each["address"], each["model"], each["sure"])
        for each in json.loads(ended.stdout)["findings"]
    ]


def sdm120():
    return Sdm120Meter(Feeder(voltage_mv=230_200, power_mw=345_000))


@pytest.fixture
def ports(tmp_path):
    """A folder of stable names: two meters on one line, and a charger that talks."""
    folder = tmp_path / "by-id"
    folder.mkdir()
    devices = {1: sdm120(), 2: AbbB23(split(Feeder()))}
    with (
        ModbusRtuServer(devices, link=folder / "usb-485"),
        VeDirectPty(VictronMppt(Plant()), link=folder / "usb-ve", period_s=0.3),
    ):
        yield folder


def test_ports_are_scanned_by_their_stable_names_and_become_a_configuration(ports, tmp_path):
    path = tmp_path / "edge.toml"
    ended = run("scan", "--ports", ports, "--ids", "1-3", "--write", path)
    assert ended.exit_code == 0, ended.stderr
    lines = [line.split() for line in ended.stdout.splitlines()[1:]]
    assert [line[:6] for line in lines] == [
        ["usb-485", "9600", "8N1", "1", "sdm120", "certain"],
        ["usb-485", "9600", "8N1", "2", "abb_b23", "certain"],
        ["usb-ve", "vedirect", "certain", "it", "tells", "text"],
    ]
    text = path.read_text()
    assert f'device = "{ports}/usb-485"' in text
    assert f'device = "{ports}/usb-ve"' in text
    checked = run("check-config", "--config", path, "--no-probe")
    assert checked.exit_code == os.EX_CONFIG
    assert checked.stderr.count('missing key "purpose"') == 3
    unknown = text.count("# UNKNOWN: ")
    assert len(checked.stderr.splitlines()) == unknown
    assert f"{unknown} lines say UNKNOWN" in ended.stderr


def test_a_port_that_is_not_there_is_told_and_nothing_else_is_lost(ports):
    ended = run("scan", "--json", "--ports", ports / "usb-485", "--ports", "/nowhere", "--ids", "1")
    assert ended.exit_code == 0
    said = json.loads(ended.stdout)
    assert [each["model"] for each in said["findings"]] == ["sdm120"]
    assert [each["where"] for each in said["troubles"]] == ["/nowhere"]
    assert "no such port" in said["troubles"][0]["why"]
    alone = run("scan", "--ports", "/nowhere")
    assert alone.exit_code == os.EX_UNAVAILABLE


def test_hosts_are_scanned_and_sunspec_lists_followed():
    devices = {1: SunSpecInverter(Plant(pv_power_mw=55_000)), 3: sdm120()}
    with ModbusTcpServer(devices) as server:
        place = f"127.0.0.1:{server.port}"
        assert found("--tcp", place, "--ids", "1,3") == [
            (1, "sunspec", "certain"),
            (3, "sdm120", "certain"),
        ]


def test_a_serial_server_is_scanned():
    with ModbusRtuTcpServer({1: sdm120()}) as server:
        place = f"127.0.0.1:{server.port}"
        assert found("--rtu-tcp", place, "--ids", "1") == [(1, "sdm120", "certain")]


def test_a_configured_bus_is_scanned_as_it_is_configured(tmp_path):
    chips = SimulatedI2cBus({0x40: Ina219Chip(Line()), 0x45: Ina226Chip(Line())})
    wire = tmp_path / "wire.sock"
    (tmp_path / "edge.toml").write_text(f'{EXAMPLE}\n[simulation]\nwire = "unix:{wire}"\n')
    with WireServer(wire, {"dep1/i2c1": chips}, lambda *_pin: None):
        assert found("--config", tmp_path / "edge.toml", "--bus", "i2c1") == [
            (0x40, "ina219", "likely"),
            (0x45, "ina226", "certain"),
        ]
        probed = run("probe", "--config", tmp_path / "edge.toml", "--bus", "i2c1", "0x40", "0")
        assert "399F" in probed.stdout
    unknown = run("scan", "--config", tmp_path / "edge.toml", "--bus", "i2c9")
    assert unknown.exit_code == os.EX_USAGE
    assert "there are: i2c1" in unknown.stderr


NODE = """
node = "dep1"
microgrid = "bench"
member = "alice"
state = "state"
[sampling]
sample_ms = 1000
slot_ms = 60000
"""


def test_a_configured_line_is_scanned_though_its_usual_settings_are_left_out(ports, tmp_path):
    (tmp_path / "edge.toml").write_text(
        f"{NODE}"
        f'[[bus]]\nname = "line"\nkind = "modbus_rtu"\ndevice = "{ports}/usb-485"\nbaud = 9600\n'
    )
    place = ("--config", tmp_path / "edge.toml", "--bus", "line", "--ids", "1")
    assert found(*place) == [(1, "sdm120", "certain")]
    assert "usb-485 9600 8N1" in run("scan", *place).stdout


def test_nothing_is_scanned_for_a_file_that_cannot_be_written(ports, tmp_path):
    (tmp_path / "edge.toml").write_text("mine")
    ended = run("scan", "--ports", ports, "--write", tmp_path / "edge.toml")
    assert ended.exit_code == os.EX_USAGE
    assert ended.stdout == ""


def test_a_probe_finds_the_mains_voltage_of_a_meter(ports):
    ended = run("probe", "--port", ports / "usb-485", "1", "0x0000", "--expect", "230")
    assert ended.exit_code == 0, ended.stderr
    assert "230.2 <--" in ended.stdout
    assert 'type = "f32"' in ended.stdout
    silent = run("probe", "--port", ports / "usb-485", "9", "0", "1", "--function", "4")
    assert silent.exit_code == os.EX_UNAVAILABLE
    assert "no reply" in silent.stdout


@pytest.fixture
def configured(ports, tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text(
        f'{HEAD}\n[[bus]]\nname = "rs485"\nkind = "modbus_rtu"\ndevice = "{ports}/usb-485"\n'
        'baud = 9600\n\n[[meter]]\nmeter_id = "a"\nmodel = "sdm120"\nbus = "rs485"\naddress = 1\n'
        'key = "a.pem"\npurpose = "net"\nrated_w = 100\n'
    )
    return path


def test_a_bus_is_traced_while_its_meters_are_read_and_played_again(configured, tmp_path):
    out = tmp_path / "x.trace"
    ended = run("trace", "rs485", "--config", configured, "--seconds", "1.5", "--out", out)
    assert ended.exit_code == 0, ended.stderr
    assert "no agent runs" in ended.stderr
    text = out.read_text()
    assert text.startswith("# gridtally trace 1\n# bus rs485 modbus_rtu\n")
    assert "Z > 01 04 00 00" in text
    played = json.loads(run("replay", out, "--model", "sdm120", "--json").stdout)
    assert {(each["voltage_mv"], each["power_mw"]) for each in played} == {(230_200, 345_000)}


def test_a_trace_may_be_json_a_line(configured):
    ended = run("trace", "rs485", "--config", configured, "--seconds", "0.5", "--json")
    first, *_ = (json.loads(line) for line in ended.stdout.splitlines())
    assert first["direction"] == ">"
    assert first["bytes"].startswith("01")


def test_a_trace_of_no_bus_is_told(configured):
    ended = run("trace", "i2c9", "--config", configured)
    assert ended.exit_code == os.EX_USAGE
    assert "there are: rs485" in ended.stderr


def test_why_a_trace_stays_empty_is_told(configured):
    text = configured.read_text()
    configured.write_text(re.sub('device = ".*"', 'device = "/nowhere"', text))
    ended = run("trace", "rs485", "--config", configured, "--seconds", "0.1")
    assert ended.exit_code == 0
    assert "/nowhere: no such port" in ended.stderr


def test_a_file_that_is_not_there_is_told_without_numbers(tmp_path):
    ended = run("replay", tmp_path / "no.trace", "--model", "sdm120")
    assert ended.stderr == f"{tmp_path}/no.trace: No such file or directory\n"
