"""Modbus RTU over a pseudo-terminal: captured frames, line faults, late replies."""

from __future__ import annotations

import json
import os
import select
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardware import catalog, errors, words
from hardware.buses.modbus import ModbusBus
from hardware.mock.chargers.epever import EpeverController
from hardware.mock.meters.eastron import Sdm120Meter
from hardware.mock.points import Feeder, Plant
from hardware.mock.wires.modbus_rtu import crc16
from hardware.mock.wires.modbus_server import ModbusRtuServer
from tests.support.scripted_line import ScriptedLine

FOLDER = Path(__file__).parents[2] / "vectors"
SDM120 = json.loads((FOLDER / "sdm120.json").read_text())
EPEVER = json.loads((FOLDER / "epever_tracer.json").read_text())
RELAY = json.loads((FOLDER / "waveshare_relay.json").read_text())
LATENCY_MS = 250
TIMEOUT_S = 0.312


def named(rows):
    return [pytest.param(row, id=row["name"]) for row in rows]


def open_bus(device: str, **more: object) -> ModbusBus:
    given = {"device": device, "baud": 115_200, "latency_ms": LATENCY_MS, "pause_ms": 0}
    return catalog.open_bus("modbus_rtu", {**given, **more})


def framed(head: str) -> bytes:
    frame = bytes.fromhex(head)
    return frame + crc16(frame)


@pytest.fixture
def meter() -> Sdm120Meter:
    return Sdm120Meter(Feeder(power_mw=-512_500, energy_export_uwh=3 * 10**9))


@pytest.fixture
def server(meter: Sdm120Meter, tmp_path: Path) -> Iterator[ModbusRtuServer]:
    with ModbusRtuServer({1: meter}, link=tmp_path / "ttyBENCH") as server:
        yield server


@pytest.fixture
def bus(server: ModbusRtuServer) -> Iterator[ModbusBus]:
    bus = open_bus(server.device)
    yield bus
    bus.close()


class RawLine:
    """The port without a driver: bytes out, bytes in until the line is quiet."""

    def __init__(self, device: str) -> None:
        self._port = os.open(device, os.O_RDWR | os.O_NOCTTY)

    def ask(self, request: bytes, quiet_s: float = 0.2) -> bytes:
        os.write(self._port, request)
        reply = b""
        while select.select([self._port], [], [], quiet_s)[0]:
            reply += os.read(self._port, 4096)
        return reply

    def close(self) -> None:
        os.close(self._port)


@pytest.fixture
def raw(server: ModbusRtuServer) -> Iterator[RawLine]:
    line = RawLine(server.device)
    yield line
    line.close()


@pytest.mark.parametrize("row", named(SDM120["exchanges"]))
def test_captured_frames_of_the_sdm120(row):
    request, reply = bytes.fromhex(row["request"]), bytes.fromhex(row["reply"])
    with ScriptedLine({request: reply}) as line:
        bus = open_bus(line.device)
        got = bus.read_words(1, row["function"], row["address"], row["count"])
        bus.close()
    assert line.heard == request
    assert " ".join(f"{word:04X}" for word in got) == row["words"]


@pytest.mark.parametrize("row", named(SDM120["negative"]))
def test_what_must_not_be_decoded_is_refused_by_name(row):
    bodies = {16: "01 10 00 14 00 02 04 00 00 00 00"}
    head = bodies.get(row["function"], f"01 04 {row['address']:04X} {row['count']:04X}")
    with ScriptedLine({framed(head): bytes.fromhex(row["reply"])}) as line:
        bus = open_bus(line.device)

        def ask() -> None:
            if row["function"] == 16:
                bus.write_words(1, row["address"], (0,) * row["count"])
            else:
                words.f32(*bus.read_words(1, 4, row["address"], row["count"]), 3)

        with pytest.raises(getattr(errors, row["refused"])):
            ask()
        bus.close()


@pytest.mark.parametrize("row", named(SDM120["silent"]))
def test_a_device_is_silent_on_a_bad_checksum(raw, row):
    assert raw.ask(bytes.fromhex(row["request"])) == b""
    assert raw.ask(bytes.fromhex(row["right"]))[:2] in (b"\x01\x83", b"\x01\x90")


@pytest.mark.parametrize("row", named(EPEVER["exchanges"]))
def test_the_simulated_tracer_answers_captured_frames_byte_for_byte(row):
    plant = Plant(battery_mv=12_300)
    controller = EpeverController(plant, starts_at_ms=1_435_803_845_000, clock_s=lambda: 0.0)
    with ModbusRtuServer({1: controller}) as server:
        line = RawLine(server.device)
        assert line.ask(bytes.fromhex(row["request"])) == bytes.fromhex(row["reply"])
        line.close()


def test_the_captured_identification_is_read_by_our_bus():
    row = next(row for row in EPEVER["exchanges"] if row["name"] == "identification")
    script = {bytes.fromhex(row["request"]): bytes.fromhex(row["reply"])}
    with ScriptedLine(script) as line:
        bus = open_bus(line.device)
        objects = bus.identify(1)
        bus.close()
    assert {str(key): value for key, value in objects.items()} == EPEVER["objects"]


COILS = [row for row in RELAY["exchanges"] if "coil" in row]


@pytest.mark.parametrize("row", named(COILS))
def test_coil_frames_are_those_of_captured_boards(row):
    frame = bytes.fromhex(row["request"])
    with ScriptedLine({frame: frame}) as line:
        bus = open_bus(line.device)
        bus.write_bit(frame[0], row["coil"], row["energised"])
        bus.close()
    assert line.heard == frame


def power(bus: ModbusBus) -> float:
    got = bus.read_words(1, 4, 0x0C, 2)
    return struct.unpack(">f", struct.pack(">HH", *got))[0]


@pytest.mark.parametrize("fault", ["stray_zero", "garbage", "split", "echo"])
def test_what_a_line_does_to_a_good_reply_is_tolerated(bus, meter, fault):
    meter.faults.switch(fault, True)
    assert power(bus) == -512.5


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        ("bad_crc", errors.BadChecksum, "9 bytes but no valid reply: 01 04 04"),
        ("cut", errors.BadChecksum, "8 bytes but no valid reply"),
        ("half", errors.BadChecksum, "4 bytes but no valid reply: 01 04 04"),
        ("wrong_id", errors.UnexpectedReply, "a reply of device 2, want one of 1"),
        ("wrong_function", errors.UnexpectedReply, "a reply to function 3, want one to 4"),
        ("wrong_length", errors.UnexpectedReply, "a reply of 3 bytes, want 5: 04 02 c4 00"),
        ("silent", errors.BusTimeout, "no reply in 31"),
        ("gateway_path", errors.DeviceAbsent, "exception 10, gateway path unavailable"),
        ("busy", errors.DeviceBusy, "exception 6, busy"),
        ("gateway", errors.DeviceAbsent, "exception 11, gateway target silent"),
        ("device_failure", errors.DeviceRefused, "exception 4, device failure"),
    ],
)
def test_each_line_fault_is_named_and_passes(bus, meter, fault, kind, says):
    meter.faults.switch(fault, True)
    with pytest.raises(kind, match="device 1: read 2 words at 0x000C with function 4") as raised:
        power(bus)
    assert says in str(raised.value)
    meter.faults.switch(fault, False)
    assert power(bus) == -512.5


def test_an_adapter_that_echoes_is_an_option(server, meter):
    meter.faults.switch("echo", True)
    bus = open_bus(server.device, local_echo=True)
    assert power(bus) == -512.5
    bus.close()


def test_a_late_reply_is_never_taken_for_the_next(bus, meter):
    """Each request asks for another quantity of the same length, so a mix-up would be silent."""
    meter.faults.switch("late", True)
    meter.delay_s = 1.2 * TIMEOUT_S
    with pytest.raises(errors.BusTimeout):
        bus.read_words(1, 4, 0x0046, 2)  # frequency; its reply is still on its way
    meter.faults.switch("late", False)
    assert power(bus) == -512.5
    assert words.f32(*bus.read_words(1, 4, 0x0000, 2), 3) == 230_000


def test_after_a_timeout_the_port_rests_until_a_late_reply_must_be_over(bus, meter):
    meter.faults.switch("silent", True)
    with pytest.raises(errors.BusTimeout):
        power(bus)
    meter.faults.switch("silent", False)
    begun = time.monotonic()
    power(bus)
    assert time.monotonic() - begun >= LATENCY_MS / 1000


def test_the_pause_between_requests_is_kept(server):
    bus = open_bus(server.device, pause_ms=40)
    begun = time.monotonic()
    for _ in range(4):
        power(bus)
    bus.close()
    assert time.monotonic() - begun >= 3 * 0.040


def test_a_meter_that_restarts_when_hurried_falls_silent(bus, meter):
    meter.faults.switch("reboots", True)
    assert power(bus) == -512.5
    with pytest.raises(errors.BusTimeout):
        power(bus)


def test_a_port_that_is_not_there_comes_back_by_itself(meter, tmp_path):
    bus = open_bus(str(tmp_path / "ttyGONE"))
    with pytest.raises(
        errors.BusUnavailable, match="ttyGONE: no such port; is the adapter plugged in"
    ):
        power(bus)
    with ModbusRtuServer({1: meter}, link=tmp_path / "ttyGONE"):
        assert power(bus) == -512.5
    with pytest.raises(errors.TransientHardwareError, match="ttyGONE"):
        power(bus)
    with ModbusRtuServer({1: meter}, link=tmp_path / "ttyGONE"):
        assert power(bus) == -512.5
    bus.close()


def test_a_port_that_somebody_else_holds_is_told(bus, server):
    assert power(bus) == -512.5
    other = open_bus(server.device)
    with pytest.raises(errors.BusUnavailable, match="does another program hold it"):
        power(other)
    assert power(bus) == -512.5


def test_a_port_without_permission_is_told(bus, server, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_args: False)
    server.close()
    Path(server.device).touch()
    with pytest.raises(errors.BusUnavailable, match="join the group dialout"):
        power(bus)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ("01 03 04 43 66 33 34", "a reply to function 3, want one to 4"),
        ("01 04 02 43 66", "a reply of 3 bytes, want 5: 04 02 43 66"),
        ("01 04 08 43 66 33 34 00 00 00 00", "a reply of 9 bytes, want 5"),
    ],
    ids=["another function", "too short", "too long"],
)
def test_a_good_frame_that_answers_something_else_is_refused(reply, says):
    request = framed("01 04 00 00 00 02")
    with ScriptedLine({request: framed(reply)}) as line:
        bus = open_bus(line.device)
        with pytest.raises(errors.UnexpectedReply, match=says):
            bus.read_words(1, 4, 0, 2)
        bus.close()


def test_a_frame_of_another_device_is_refused():
    request = framed("01 04 00 00 00 02")
    with ScriptedLine({request: framed("02 04 04 43 66 33 34")}) as line:
        bus = open_bus(line.device)
        with pytest.raises(errors.UnexpectedReply, match="a reply of device 2, want one of 1"):
            bus.read_words(1, 4, 0, 2)
        bus.close()


def test_a_request_in_pieces_is_whole_and_rubbish_is_forgotten(raw):
    request = bytes.fromhex("01 04 00 0C 00 02 B1 C8")
    first = raw.ask(request)
    assert first[:3] == b"\x01\x04\x04"
    assert raw.ask(request[:3], quiet_s=0.01) == b""
    assert raw.ask(request[3:]) == first
    assert raw.ask(b"\x01\x04\x00") == b""
    assert raw.ask(request) == first


def test_another_id_and_broadcast_get_no_reply(bus, raw):
    for head in ("02 04 00 0C 00 02", "00 04 00 0C 00 02"):
        assert raw.ask(framed(head)) == b""
    with pytest.raises(errors.BusTimeout, match="device 2"):
        bus.read_words(2, 4, 0x000C, 2)


def test_an_exception_is_no_sample(bus):
    with pytest.raises(errors.DeviceRefused, match="exception 2, illegal address") as raised:
        bus.read_words(1, 4, 0x0001, 2)
    assert raised.value.code == 2


def test_devices_and_threads_share_one_line(meter):
    plant = Plant(pv_power_mw=77_000)
    with ModbusRtuServer({1: meter, 2: EpeverController(plant)}) as server:
        bus = open_bus(server.device)
        meters = [
            catalog.make_meter("sdm120", bus, {"address": 1}),
            catalog.make_meter("epever_tracer", bus, {"address": 2}),
        ]
        seen: list[set[int | None]] = [set(), set()]

        def poll(which: int) -> None:
            for _ in range(8):
                seen[which].add(meters[which].sample().power_mw)

        threads = [threading.Thread(target=poll, args=(which,)) for which in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        bus.close()
    assert seen == [{-512_500}, {-77_000}]
