import json
import queue
import socket

import pytest

from edge import clock
from edge.inbound import Instant
from edge.instants import ClockLink, parse_instant


def test_a_request_is_read():
    assert parse_instant(b'{"instant": 5, "again": true}') == Instant(5, True)
    assert parse_instant(b'{"instant": 5}') == Instant(5, False)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"5",
        b"{}",
        b'{"instant": "5"}',
        b'{"instant": true}',
        b'{"instant": 5, "again": 1}',
    ],
)
def test_anything_else_is_refused(line):
    with pytest.raises(ValueError):
        parse_instant(line)


def test_the_link_says_hello_puts_instants_and_answers(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.bind(str(tmp_path / "clock.sock"))
        door.listen()
        door.settimeout(5)
        events = queue.Queue()
        link = ClockLink(tmp_path / "clock.sock", "dep1", events.put)
        link.answer(1, {})
        link.start()
        for at_ms in (1000, 2000):  # it comes back after the clock hung up
            peer, _ = door.accept()
            with peer, peer.makefile("rwb") as lines:
                assert json.loads(lines.readline()) == {"hello": "edge", "node": "dep1"}
                lines.write(b'{"instant": %d, "again": false}\n' % at_ms)
                lines.flush()
                assert events.get(timeout=5) == Instant(at_ms, False)
                link.answer(at_ms, {"6b": {"register": 1}})
                assert json.loads(lines.readline()) == {
                    "done": at_ms,
                    "heads": {"6b": {"register": 1}},
                }
        link.stop()


def test_a_clock_that_sends_nonsense_is_hung_up_on(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.bind(str(tmp_path / "clock.sock"))
        door.listen()
        door.settimeout(5)
        link = ClockLink(tmp_path / "clock.sock", "dep1", queue.Queue().put)
        link.start()
        peer, _ = door.accept()
        with peer, peer.makefile("rwb") as lines:
            lines.readline()
            lines.write(b"nonsense\n")
            lines.flush()
            assert lines.readline() == b""
        link.stop()


def test_the_machines_clocks():
    assert len(clock.boot_id()) == 16
    assert clock.boot_id() == clock.boot_id()
    assert clock.boottime_ms() <= clock.boottime_ms()
    assert clock.utc_ms() > 1_700_000_000_000
    assert clock.is_synchronised() in (True, False)
