"""Relay boards on real sockets and terminals: our drivers, and mbpoll, which nobody here wrote."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest

from hardware import catalog
from hardware.errors import BadChecksum, BusTimeout, DeviceAbsent, SwitchFailed
from hardware.mock.relays.board import LcBoard, R4d8Board, RelayBoard, WaveshareBoard
from hardware.mock.wires.modbus_server import ModbusRtuServer, ModbusTcpServer
from tests.support.needs import needs


@pytest.fixture
def mbpoll() -> str:
    return needs("mbpoll")


def run(program: str, *options: str) -> str:
    done = subprocess.run(
        [program, "-q", "-0", "-1", *options],
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
    )
    return done.stdout + done.stderr


def poll(program: str, *options: str) -> list[str]:
    return re.findall(r"^\[\d+\]:\s+(\S+)", run(program, *options), re.MULTILINE)


def on(board: RelayBoard) -> list[int]:
    return [channel for channel, is_on in enumerate(board.coils, 1) if is_on]


@pytest.fixture(params=["tcp", "rtu"])
def waveshare(request: pytest.FixtureRequest) -> Iterator[tuple[WaveshareBoard, list[str]]]:
    board = WaveshareBoard()
    if request.param == "tcp":
        with ModbusTcpServer({1: board}) as server:
            yield board, ["-m", "tcp", "-p", str(server.port), "127.0.0.1"]
    else:
        with ModbusRtuServer({1: board}) as server:
            yield board, ["-m", "rtu", "-b", "9600", "-P", "none", server.device]


def test_mbpoll_switches_and_reads_a_waveshare_board(mbpoll, waveshare):
    board, line = waveshare
    run(mbpoll, "-a", "1", "-t", "0", "-r", "2", *line, "1")
    assert on(board) == [3]
    run(mbpoll, "-a", "1", "-t", "0", "-r", "0", *line, *"10110001")
    assert on(board) == [1, 3, 4, 8]
    got = poll(mbpoll, "-a", "1", "-t", "0", "-r", "0", "-c", "8", *line)
    assert got == list("10110001")
    run(mbpoll, "-a", "1", "-t", "0", "-r", "255", *line, "0")
    assert on(board) == []


def test_mbpoll_reads_version_and_id_and_is_told_what_is_illegal(mbpoll, waveshare):
    _board, line = waveshare
    assert poll(mbpoll, "-a", "1", "-t", "4", "-r", str(0x8000), "-c", "1", *line) == ["300"]
    assert poll(mbpoll, "-a", "1", "-t", "4", "-r", str(0x4000), "-c", "1", *line) == ["1"]
    assert "Illegal data address" in run(mbpoll, "-a", "1", "-t", "0", "-r", "4", "-c", "8", *line)


def test_mbpoll_switches_an_r4d8_board_by_its_commands(mbpoll):
    board = R4d8Board()
    with ModbusRtuServer({3: board}) as server:
        line = ["-m", "rtu", "-b", "9600", "-P", "none", server.device]
        run(mbpoll, "-a", "3", "-t", "4", "-r", "5", *line, str(0x0100))
        assert on(board) == [5]
        got = poll(mbpoll, "-a", "3", "-t", "4", "-r", "1", "-c", "8", *line)
    assert got == list("00001000")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("silent", BusTimeout),
        ("bad_crc", BadChecksum),
        ("half", BadChecksum),
        ("gateway", DeviceAbsent),
        ("disobedient", SwitchFailed),
    ],
)
def test_what_goes_wrong_on_a_wire_is_named(fault, kind):
    board = LcBoard()
    with ModbusRtuServer({255: board}) as server:
        given = {"device": server.device, "baud": 9_600, "latency_ms": 120, "pause_ms": 0}
        bus = catalog.open_bus("modbus_rtu", given)
        relay = catalog.make_relay("lc_relay", bus, {"channel": 8})
        relay.switch(True)
        board.faults.switch(fault, True)
        with pytest.raises(kind, match=r"device 255|address 255"):
            relay.switch(False)
        board.faults.switch(fault, False)
        relay.switch(False)
        assert relay.is_energised is False
        bus.close()
    assert on(board) == []
