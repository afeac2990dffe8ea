"""The VE.Direct port on a wire that fails as serial ports do."""

from __future__ import annotations

import pytest
from serial import SerialException, SerialTimeoutException

from hardware.buses.vedirect import VeDirectPort
from hardware.errors import BusTimeout, BusUnavailable


class Wire:
    """A serial port of a script: bytes that come, or an error."""

    def __init__(self, *script: bytes | Exception) -> None:
        self.script = list(script)
        self.sent = b""
        self.is_closed = False

    def read(self, size: int, /) -> bytes:
        came = self.script.pop(0) if self.script else b""
        if isinstance(came, Exception):
            raise came
        assert len(came) <= size
        return came

    def write(self, sent: bytes, /) -> int:
        if self.script and isinstance(self.script[0], Exception):
            raise self.script.pop(0)
        self.sent += sent
        return len(sent)

    def close(self) -> None:
        self.is_closed = True


def port_on(*wires: Wire | Exception, name: str = "/dev/null") -> VeDirectPort:
    """Return a port that opens these wires one after the other."""
    left = list(wires)

    def opener() -> Wire:
        wire = left.pop(0)
        if isinstance(wire, Exception):
            raise wire
        return wire

    return VeDirectPort(opener, name)


def test_nothing_is_opened_before_it_is_needed():
    port_on().close()


def test_all_that_has_come_is_read_at_once():
    wire = Wire(b"a" * 4_096, b"b" * 4_096, b"c")
    assert port_on(wire).read() == b"a" * 4_096 + b"b" * 4_096 + b"c"


def test_an_endless_stream_is_not_read_to_its_end():
    wire = Wire(*[b"a" * 4_096] * 1_000)
    assert len(port_on(wire).read()) < 1_000 * 4_096


def test_a_port_that_failed_is_closed_and_opened_anew():
    broken, healed = Wire(b"a", SerialException("gone")), Wire(b"b")
    port = port_on(broken, healed)
    with pytest.raises(BusUnavailable, match="vedirect /dev/null: gone; does another program"):
        port.read()
    assert broken.is_closed
    assert port.read() == b"b"


def test_a_port_that_does_not_open_is_tried_again():
    port = port_on(FileNotFoundError("no"), Wire(b"a"), name="/dev/ttyNONE")
    with pytest.raises(BusUnavailable, match="no such port"):
        port.read()
    assert port.read() == b"a"


def test_a_line_that_takes_nothing_is_named():
    wire = Wire(SerialTimeoutException("Write timeout"))
    port = port_on(wire)
    with pytest.raises(BusTimeout, match="takes no bytes"):
        port.write(b":154\n")
    assert wire.is_closed


def test_a_write_that_fails_closes_the_port():
    wire = Wire(SerialException("gone"))
    with pytest.raises(BusUnavailable, match="gone"):
        port_on(wire).write(b":154\n")
    assert wire.is_closed


def test_a_closed_port_is_opened_by_the_next_call():
    first, second = Wire(), Wire()
    port = port_on(first, second)
    port.write(b"1")
    port.close()
    port.write(b"2")
    assert (first.sent, first.is_closed, second.sent) == (b"1", True, b"2")


def test_a_trace_is_told_of_bytes_both_ways():
    told = []
    port = port_on(Wire(b"a"))
    port.trace = lambda direction, content, _at_s: told.append((direction, content))
    port.read()
    port.read()
    port.write(b"b")
    assert told == [("heard", b"a"), ("sent", b"b")]
