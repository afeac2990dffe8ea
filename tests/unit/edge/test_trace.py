"""Lines of a trace: written, read back, collected from a bus, and offered on a socket."""

from __future__ import annotations

import socket
import threading

import pytest

from edge.errors import Unavailable
from edge.trace import (
    FRAMES_MAX,
    BadTrace,
    Frame,
    Tap,
    format_frame,
    head,
    is_offered,
    lines_of_agent,
    lines_while,
    parse_frame,
    parse_trace,
    trace_door,
)

MS = 1_000_000


class Clock:
    def __init__(self):
        self.ns = 0

    def __call__(self):
        return self.ns


class Bus:
    """What a bus has for a listener."""

    def __init__(self):
        self.trace = None


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tap(clock):
    return Tap(clock)


def shown(lines):
    return [line.split(" ", 1)[1] for line in lines]


@pytest.mark.parametrize(
    "frame",
    [
        Frame(0, ">", b"\x01\x04"),
        Frame(1_795_248_900_999_999, "<", bytes(range(256))),
        Frame(1_795_248_900_000_000, "<", b""),
    ],
)
def test_a_line_is_read_back_as_the_same_frame(frame):
    assert parse_frame(format_frame(frame)) == frame


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", 'x.trace: no line "# bus NAME KIND"'),
        ("# bus a i2c\nnonsense", "x.trace:2: want TIME, > or <"),
        ("# bus a i2c\n2026-11-21 > 01", "x.trace:2: "),
        ("# bus a i2c\n\n2026-11-21T08:15:00.1Z > 0", "x.trace:3: "),
    ],
)
def test_what_is_no_trace_is_named_with_its_line(text, why):
    with pytest.raises(BadTrace, match=why.replace("(", r"\(")):
        parse_trace(text, "x.trace")


def test_a_file_is_its_head_and_its_frames():
    lines = [*head("rs485", "modbus_rtu"), "# a remark", "1970-01-01T00:00:01.000002Z > 01"]
    found = parse_trace("\n".join(lines), "x.trace")
    assert (found.bus, found.kind) == ("rs485", "modbus_rtu")
    assert found.frames == (Frame(1_000_002, ">", b"\x01"),)


def test_a_reply_in_pieces_is_one_line(tap, clock):
    tap("sent", b"\x01\x04", 0.0)
    for piece in (b"\x01", b"\x04\x02", b"\x00"):
        clock.ns += 20 * MS
        tap("heard", piece, 0.0)
    assert shown(tap.lines(0)) == ["> 01 04"], "more of it may still come"
    clock.ns += 51 * MS
    assert shown(tap.lines(0)) == ["< 01 04 02 00"]


def test_the_next_request_ends_a_reply(tap, clock):
    tap("heard", b"\x01", 0.0)
    tap("sent", b"\x02", 0.0)
    assert shown(tap.lines(0)) == ["< 01", "> 02"]


def test_after_a_silence_what_comes_is_another_frame(tap, clock):
    tap("heard", b"\x01", 0.0)
    clock.ns += 51 * MS
    tap("heard", b"\x02", 0.0)
    assert shown(tap.end()) == ["< 01", "< 02"]


def test_who_reads_too_slowly_is_told_how_much_is_lost(tap):
    for _ in range(FRAMES_MAX + 3):
        tap("sent", b"\x01", 0.0)
    first, *rest = tap.lines(0)
    assert first == "# 3 frames lost: they are not read fast enough"
    assert len(rest) == FRAMES_MAX


def test_a_bus_of_our_own_is_listened_to_only_as_long_as_asked():
    bus, reads = Bus(), []

    def read():
        reads.append(1)
        bus.trace("sent", bytes([len(reads)]), 0.0)

    assert shown(lines_while(bus, read, lambda: len(reads) == 2)) == ["> 01", "> 02"]
    assert bus.trace is None


@pytest.fixture
def door(tmp_path):
    bus = Bus()
    door = trace_door(tmp_path / "trace.sock", {"rs485": bus}, {"rs485": "modbus_rtu"})
    door.start()
    for _ in range(1000):
        if (tmp_path / "trace.sock").exists():
            break
        threading.Event().wait(0.005)
    yield tmp_path / "trace.sock", bus
    door.stop()


def test_an_agent_hands_out_the_lines_of_a_bus(door):
    path, bus = door
    lines = lines_of_agent(path, "rs485", 20.0)
    assert (next(lines), next(lines)) == head("rs485", "modbus_rtu")
    for _ in range(1000):
        if bus.trace is not None:
            break
        threading.Event().wait(0.005)
    bus.trace("sent", b"\x01\x04", 0.0)
    assert next(lines).endswith("> 01 04")
    lines.close()


def test_an_agent_says_what_it_does_not_have(door):
    path, bus = door
    with pytest.raises(Unavailable, match="no bus is named 'i2c9'"):
        list(lines_of_agent(path, "i2c9", 20.0))
    assert bus.trace is None


def test_a_socket_left_behind_is_nobody(door, tmp_path):
    path, _ = door
    assert is_offered(path)
    left = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as gone:
        gone.bind(str(left))
    assert left.is_socket()
    assert not is_offered(left)
    assert not is_offered(tmp_path / "none.sock")


def test_without_an_agent_nobody_listens(tmp_path):
    with pytest.raises(Unavailable, match="no agent offers traces"):
        list(lines_of_agent(tmp_path / "trace.sock", "rs485", 1.0))
