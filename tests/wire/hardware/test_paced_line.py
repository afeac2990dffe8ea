"""A simulated line with the pace of a wire: bytes take their time, and who hurries is not heard."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator

import pytest

from hardware.mock.meters.eastron import Sdm120Meter
from hardware.mock.points import Feeder
from hardware.mock.wires.modbus_rtu import crc16
from hardware.mock.wires.modbus_server import ModbusRtuServer

BAUD = 600
CHARACTER_S = 11 / BAUD
SILENCE_S = 3.5 * CHARACTER_S
REQUEST = bytes.fromhex("01 04 00 00 00 02 71 cb")
REPLY_BYTES = 9


class Port:
    """The port without a driver."""

    def __init__(self, device: str) -> None:
        self._port = os.open(device, os.O_RDWR | os.O_NOCTTY)

    def send(self, content: bytes) -> None:
        os.write(self._port, content)

    def hear(self, quiet_s: float = 0.3) -> bytes:
        """Return what comes until the line is quiet."""
        heard = b""
        while select.select([self._port], [], [], quiet_s)[0]:
            heard += os.read(self._port, 4096)
        return heard

    def hear_whole(self) -> bytes:
        """Return a reply as soon as its last byte is there."""
        heard = b""
        while len(heard) < REPLY_BYTES and select.select([self._port], [], [], 2.0)[0]:
            heard += os.read(self._port, 4096)
        return heard

    def close(self) -> None:
        os.close(self._port)


@pytest.fixture
def meter() -> Sdm120Meter:
    return Sdm120Meter(Feeder())


@pytest.fixture
def port(meter: Sdm120Meter) -> Iterator[Port]:
    with ModbusRtuServer({1: meter, 2: Sdm120Meter(Feeder())}, baud=BAUD) as server:
        port = Port(server.device)
        yield port
        port.close()


def is_good(heard: bytes) -> bool:
    return len(heard) == REPLY_BYTES and heard[-2:] == crc16(heard[:-2])


def test_a_reply_is_there_when_its_bytes_have_gone_over_the_wire(port):
    begun_s = time.monotonic()
    port.send(REQUEST)
    assert is_good(port.hear_whole())
    wire_s = (len(REQUEST) + REPLY_BYTES) * CHARACTER_S + SILENCE_S
    assert time.monotonic() - begun_s >= wire_s


def test_who_does_not_wait_for_silence_is_not_heard(port):
    """The first request is answered; the next one follows the reply without a pause."""
    port.send(REQUEST)
    assert is_good(port.hear_whole())
    port.send(REQUEST)
    assert port.hear() == b""
    time.sleep(SILENCE_S)
    port.send(REQUEST)
    assert is_good(port.hear_whole())


def test_who_talks_into_a_reply_garbles_it_and_is_not_heard(port):
    """Tried again when a busy machine oversleeps the reply."""
    for _ in range(10):
        port.send(REQUEST)
        time.sleep((len(REQUEST) + 2) * CHARACTER_S + SILENCE_S)
        port.send(REQUEST)
        heard = port.hear()
        if not is_good(heard):
            break
    assert len(heard) == REPLY_BYTES
    assert not is_good(heard)
    port.send(REQUEST)
    assert is_good(port.hear_whole())


def test_a_late_reply_and_the_next_one_garble_each_other(port, meter):
    """A busy machine may oversleep the moment at which both are on the wire: it is tried again."""
    meter.faults.switch("late", True)
    meter.delay_s = 10 * CHARACTER_S
    other = bytes([2]) + REQUEST[1:-2]
    for _ in range(10):
        port.send(REQUEST)
        time.sleep(len(REQUEST) * CHARACTER_S + SILENCE_S)
        port.send(other + crc16(other))
        heard = port.hear()
        if len(heard) == 2 * REPLY_BYTES:
            break
    assert len(heard) == 2 * REPLY_BYTES
    assert not any(is_good(heard[at : at + REPLY_BYTES]) for at in range(REPLY_BYTES + 1))
