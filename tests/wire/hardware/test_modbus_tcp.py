"""Modbus TCP over a real socket: framing, faults, reconnecting, and many servers in one loop."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator

import pytest

from hardware import catalog, errors
from hardware.buses.modbus import ModbusBus
from hardware.mock.meters.eastron import Sdm120Meter
from hardware.mock.points import Feeder
from hardware.mock.wires.loop import LoopThread
from hardware.mock.wires.modbus_server import ModbusTcpServer

READ_POWER = bytes.fromhex("0007 0000 0006 01 04 000C 0002")
POWER = bytes.fromhex("0007 0000 0007 01 04 04 C4002000")


@pytest.fixture
def meter() -> Sdm120Meter:
    return Sdm120Meter(Feeder(power_mw=-512_500))


@pytest.fixture
def server(meter: Sdm120Meter) -> Iterator[ModbusTcpServer]:
    with ModbusTcpServer({1: meter}) as server:
        yield server


def open_bus(port: int) -> ModbusBus:
    given = {"host": "127.0.0.1", "port": port, "timeout_ms": 300, "pause_ms": 0}
    return catalog.open_bus("modbus_tcp", given)


@pytest.fixture
def bus(server: ModbusTcpServer) -> Iterator[ModbusBus]:
    bus = open_bus(server.port)
    yield bus
    bus.close()


@pytest.fixture
def client(server: ModbusTcpServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        yield client


def power(bus: ModbusBus) -> float:
    got = bus.read_words(1, 4, 0x0C, 2)
    return struct.unpack(">f", struct.pack(">HH", *got))[0]


def test_frames_are_those_of_the_specification(client):
    client.sendall(READ_POWER)
    assert client.recv(999) == POWER


def test_frames_may_come_in_pieces_and_together(client):
    for byte in READ_POWER:
        client.sendall(bytes([byte]))
    client.sendall(READ_POWER + READ_POWER)
    got = b""
    while len(got) < 3 * len(POWER):
        got += client.recv(999)
    assert got == 3 * POWER


@pytest.mark.parametrize(
    "rubbish",
    ["0007 0001 0006 01 04 000C 0002", "0007 0000 FFFF 01 04 000C 0002", "0007 0000 0001 01 04 00"],
    ids=["another protocol", "too long", "too short"],
)
def test_rubbish_ends_the_connection_and_not_the_server(client, bus, rubbish):
    client.sendall(bytes.fromhex(rubbish))
    assert client.recv(999) == b""
    assert power(bus) == -512.5


def test_clients_do_not_disturb_each_other(server):
    buses = [open_bus(server.port) for _ in range(5)]
    for _ in range(3):
        assert [power(bus) for bus in buses] == [-512.5] * 5
    for bus in buses:
        bus.close()


def test_another_unit_gets_no_reply(bus):
    with pytest.raises(errors.BusTimeout, match="device 2: read 2 words"):
        bus.read_words(2, 4, 0x0C, 2)
    assert power(bus) == -512.5


def test_a_late_reply_is_never_taken_for_the_next(bus, meter):
    meter.faults.switch("late", True)
    meter.delay_s = 0.36
    with pytest.raises(errors.BusTimeout):
        bus.read_words(1, 4, 0x0046, 2)
    meter.faults.switch("late", False)
    assert [power(bus) for _ in range(3)] == [-512.5] * 3


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("silent", errors.BusTimeout),
        ("cut", errors.BadChecksum),
        ("busy", errors.DeviceBusy),
        ("gateway", errors.DeviceAbsent),
        ("device_failure", errors.DeviceRefused),
    ],
)
def test_each_fault_is_named_and_passes(bus, meter, fault, kind):
    meter.faults.switch(fault, True)
    with pytest.raises(kind):
        power(bus)
    meter.faults.switch(fault, False)
    assert power(bus) == -512.5


def test_a_reply_in_two_parts_is_whole(bus, meter):
    meter.faults.switch("split", True)
    assert power(bus) == -512.5


def test_a_server_that_goes_and_comes_is_found_again(meter):
    with ModbusTcpServer({1: meter}) as server:
        port = server.port
        bus = open_bus(port)
        assert power(bus) == -512.5
    with pytest.raises(errors.BusUnavailable, match=f"127.0.0.1:{port}: cannot connect"):
        power(bus)
    with pytest.raises(errors.BusUnavailable, match=r"cannot connect.*; next try in 0"):
        power(bus)
    with ModbusTcpServer({1: meter}, port=port):
        time.sleep(0.3)
        assert power(bus) == -512.5
    bus.close()


def test_many_servers_share_one_loop():
    feeders = [Feeder(power_mw=1_000 * number) for number in range(34)]
    with LoopThread() as loop:
        servers = [ModbusTcpServer({1: Sdm120Meter(feeder)}, loop=loop) for feeder in feeders]
        buses = [open_bus(server.port) for server in servers]
        assert [power(bus) for bus in buses] == list(range(34))
        feeders[7].power_mw = -5_000
        assert power(buses[7]) == -5
        for bus in buses:
            bus.close()
        for server in servers:
            server.close()


def test_many_devices_share_one_server():
    devices = {unit: Sdm120Meter(Feeder(power_mw=1_000 * unit)) for unit in range(1, 35)}
    with ModbusTcpServer(devices) as server:
        bus = open_bus(server.port)
        meters = [
            catalog.make_meter("sdm120", bus, {"address": unit, "words_max": 80})
            for unit in devices
        ]
        assert [meter.sample().power_mw for meter in meters] == [1_000 * unit for unit in devices]
        bus.close()
