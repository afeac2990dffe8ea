"""One simulated device alone on a wire."""

from __future__ import annotations

import io
import json
import os
import socket
import struct

import pytest
import serial
from typer.testing import CliRunner

from hardware.mock.catalog import SIMULATORS
from testbed.cli import app
from testbed.errors import BadDevice, PortTaken
from testbed.in_python import ON_PINS, python_lines
from testbed.simulate import Running, Wanted, Wire, find, wire_for

SERVED = [name for name, entry in SIMULATORS.items() if "tcp" in entry.wires]
ANY_PORT = Wire(tcp="127.0.0.1:0")


class Clock:
    def __init__(self) -> None:
        self.now_ms = 0

    def __call__(self) -> int:
        return self.now_ms


def ask(where: str, unit: int, pdu: bytes) -> bytes:
    host, _, port = where.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.sendall(struct.pack(">HHHB", 7, 0, len(pdu) + 1, unit) + pdu)
        reply = client.recv(300)
    assert reply[:2] == b"\0\7"
    return reply[7:]


@pytest.mark.parametrize("model", SERVED)
def test_every_modbus_device_answers_on_its_own_id(model):
    running = Running(Wanted(model, ANY_PORT, load_w=500, pv_w=200))
    try:
        reply = ask(running.where, running.address, bytes([4, 0xFF, 0xFE, 0, 1]))
        assert reply[0] & 0x7F == 4
        if reply[0] & 0x80:
            assert reply[1] in (1, 2)
    finally:
        running.close()


@pytest.mark.parametrize("wire", ["tcp", "pty"])
@pytest.mark.parametrize("model", [n for n, e in SIMULATORS.items() if "vedirect" in e.wires])
def test_every_vedirect_device_talks_and_answers(model, wire, tmp_path):
    asked = ANY_PORT if wire == "tcp" else Wire(pty=str(tmp_path / "ttyVE"))
    running = Running(Wanted(model, asked, load_w=20, pv_w=50))
    name = f"socket://{running.where}" if wire == "tcp" else running.where
    try:
        with serial.serial_for_url(name, 19_200, timeout=5) as client:
            client.write(b":154\n")
            assert client.read_until(b":5").endswith(b":5")
            running.server.emit()
            assert client.read_until(b"PID\t0x").endswith(b"\r\nPID\t0x")
    finally:
        running.close()


def test_a_vedirect_device_speaks_no_rtu():
    with pytest.raises(BadDevice, match="want --tcp or --pty"):
        Running(Wanted("vedirect", Wire(rtu_tcp="127.0.0.1:0")))


def test_load_and_sun_move_the_meter_and_its_counters():
    clock = Clock()
    running = Running(Wanted("sdm120", ANY_PORT, load_w=500, pv_w=200, energy_wh=1000), clock)
    try:
        clock.now_ms += 3_600_000
        (watts,) = struct.unpack(">f", ask(running.where, 1, bytes([4, 0, 0x0C, 0, 2]))[2:])
        (kwh,) = struct.unpack(">f", ask(running.where, 1, bytes([4, 0, 0x48, 0, 2]))[2:])
        assert (watts, round(kwh, 5)) == (300, 1.3)
        assert running.obey("pv 700\n") == "ok"
        (watts,) = struct.unpack(">f", ask(running.where, 1, bytes([4, 0, 0x0C, 0, 2]))[2:])
        assert watts == -200
    finally:
        running.close()


def test_faults_can_be_switched_while_it_runs():
    running = Running(Wanted("sdm120", ANY_PORT, faults=("busy",)))
    try:
        assert ask(running.where, 1, bytes([4, 0, 0, 0, 2])) == bytes([0x84, 6])
        assert running.obey("fault busy off") == "ok"
        assert ask(running.where, 1, bytes([4, 0, 0, 0, 2]))[0] == 4
        assert "silent" in running.obey("faults")
        for line in ("fault nonsense on", "load much", "please"):
            with pytest.raises(BadDevice):
                running.obey(line)
    finally:
        running.close()


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=f"127.0.0.1:{port}: "):
            Running(Wanted("sdm120", Wire(tcp=f"127.0.0.1:{port}")))


@pytest.mark.parametrize("where", ["nowhere", "127.0.0.1:99999", "a:b"])
def test_a_place_that_is_none_is_told(where):
    with pytest.raises(BadDevice, match="want HOST:PORT"):
        Running(Wanted("sdm120", Wire(tcp=where)))


def test_a_device_sits_on_one_wire_and_on_a_port_of_its_own_by_default():
    with pytest.raises(BadDevice, match="one wire"):
        wire_for("127.0.0.1:1", "", "/tmp/x", 0)
    assert wire_for("", "", "", 0).tcp == "127.0.0.1:5020"


def test_a_model_that_is_none_is_told_with_all_there_are():
    with pytest.raises(BadDevice, match="want one of ina219"):
        find("sdm12")


@pytest.mark.parametrize("model", [n for n, e in SIMULATORS.items() if "i2c" in e.wires])
def test_the_lines_for_an_i2c_chip_work_as_printed(model):
    shown = python_lines(model)
    assert shown is not None
    lines = [line[4:] for line in shown.splitlines() if line.startswith("    ")]
    names: dict[str, object] = {}
    exec("\n".join(lines[:-1]), names)
    words = eval(lines[-1], names)
    assert len(words) == 2
    assert any(words)


@pytest.mark.parametrize("model", ON_PINS)
def test_the_lines_for_a_relay_on_pins_work_as_printed(model):
    lines = [line[4:] for line in ON_PINS[model].splitlines() if line.startswith("    ")]
    names: dict[str, object] = {}
    exec("\n".join(lines[:-1]), names)
    assert eval(lines[-1], names) is True
    result = CliRunner().invoke(app, ["simulate", model])
    assert result.exit_code == 64
    assert "In Python it is reached like this" in result.stdout


def test_every_model_of_the_catalog_can_be_asked_for():
    from hardware.catalog import METERS, RELAYS

    for name in (*METERS, *RELAYS):
        part_of = RELAYS[name].part_of if name in RELAYS else ""
        assert name in SIMULATORS or python_lines(name) is not None or find(part_of), name


@pytest.mark.parametrize("model", ["sdm120", "vedirect"])
def test_a_file_where_the_link_should_go_is_never_replaced(model, tmp_path):
    held = tmp_path / "precious"
    held.write_text("keep me")
    pointing = tmp_path / "pointing"
    pointing.symlink_to(held)
    for path in (held, pointing, tmp_path):
        with pytest.raises(PortTaken, match="want a path that is free"):
            Running(Wanted(model, Wire(pty=str(path))))
    assert held.read_text() == "keep me"
    assert pointing.is_symlink()


def test_a_link_left_behind_is_replaced_and_one_of_another_port_is_left(tmp_path):
    link = tmp_path / "ttyTWIN"
    link.symlink_to("/dev/pts/999999")
    first = Running(Wanted("sdm120", Wire(pty=str(link))))
    second = Running(Wanted("sdm120", Wire(pty=str(link))))
    target = os.readlink(link)
    first.close()
    assert os.readlink(link) == target
    second.close()
    assert not link.is_symlink()


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(PortTaken, match="No such file or directory"):
        Running(Wanted("sdm120", Wire(pty=str(tmp_path / "none" / "tty"))))


@pytest.mark.parametrize("wire", [Wire(pty="unused"), Wire(rtu_tcp="127.0.0.1:0")])
def test_a_meter_without_a_serial_side_is_on_no_serial_line(wire):
    with pytest.raises(BadDevice, match="no serial side"):
        Running(Wanted("em24_e1", wire))


def test_the_list_as_json_is_one_document():
    result = CliRunner().invoke(app, ["simulate", "--json"])
    assert {each["model"] for each in json.loads(result.stdout)} == {*SIMULATORS, *ON_PINS}


def test_the_command_lists_everything_and_refuses_in_one_sentence():
    result = CliRunner().invoke(app, ["simulate"])
    assert result.exit_code == 0
    assert all(name in result.stdout for name in SIMULATORS)
    assert "not servable over TCP" in result.stdout
    result = CliRunner().invoke(app, ["simulate", "ina219"])
    assert result.exit_code == 64
    assert "SimulatedI2cBus()" in result.stdout
    result = CliRunner().invoke(app, ["simulate", "sdm12"])
    assert result.exit_code == 64


def test_lines_from_a_pipe_are_obeyed_and_wrong_ones_told(capsys, monkeypatch):
    from testbed import simulate

    monkeypatch.setattr(simulate, "stop_on_signals", lambda: None)
    monkeypatch.setattr(simulate.signal, "pause", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    running = Running(Wanted("sdm120", ANY_PORT))
    try:
        with pytest.raises(KeyboardInterrupt):
            simulate.obey_lines(running, io.StringIO("load 5\nnonsense\n"))
    finally:
        running.close()
    said = capsys.readouterr()
    assert said.out == "ok\n"
    assert "want load W" in said.err
    assert running.point.power_mw == 5_000


def test_a_standard_input_that_is_closed_does_not_end_it(monkeypatch):
    from testbed import simulate

    monkeypatch.setattr(simulate, "stop_on_signals", lambda: None)
    monkeypatch.setattr(simulate.signal, "pause", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    running = Running(Wanted("sdm120", ANY_PORT))
    try:
        with pytest.raises(KeyboardInterrupt):
            simulate.obey_lines(running, None)
    finally:
        running.close()
