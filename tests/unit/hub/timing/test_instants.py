"""The hub's end of the testbed's clock: parses strictly, answers once, comes back by itself."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.timing.instants import DEADLINE_MS, Instant, InstantClient, parse_instant

LINE = (
    b'{"instant": 1800000000000, "close": 1799999100000, "deadline_ms": 500,'
    b' "heads": {"bb00000000000000": {"register": 2}, "aa00000000000000": {"live": 9, "event": 1}}}'
)


def test_a_request_is_read_in_a_fixed_order() -> None:
    assert parse_instant(LINE) == Instant(
        at_ms=1_800_000_000_000,
        close_ms=1_799_999_100_000,
        deadline_ms=500,
        heads=(
            (bytes.fromhex("aa00000000000000"), "event", 1),
            (bytes.fromhex("aa00000000000000"), "live", 9),
            (bytes.fromhex("bb00000000000000"), "register", 2),
        ),
    )


def test_close_and_deadline_may_be_left_out() -> None:
    assert parse_instant(b'{"instant": 5, "close": null}') == Instant(5, None, DEADLINE_MS, ())


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{}",
        b'{"instant": 1.5}',
        b'{"instant": true}',
        b'{"instant": 1, "heads": []}',
        b'{"instant": 1, "heads": {"aa": 3}}',
        b'{"instant": 1, "heads": {"zz": {"live": 3}}}',
        b'{"instant": 1, "heads": {"aa": {"live": "3"}}}',
        b'{"instant": 1, "close": "now"}',
    ],
)
def test_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"clock sent|Expecting|hexadecimal"):
        parse_instant(line)


class Clock:
    """The testbed's side: one listening socket."""

    def __init__(self, path: Path) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen()
        self.listener.settimeout(10)
        self.woken = threading.Event()

    def accept(self) -> socket.socket:
        link, _ = self.listener.accept()
        link.settimeout(10)
        return link


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[Clock]:
    made = Clock(tmp_path / "clock.sock")
    yield made
    made.listener.close()


@pytest.fixture
def client(tmp_path: Path, clock: Clock) -> Iterator[InstantClient]:
    made = InstantClient(tmp_path / "clock.sock", clock.woken.set)
    made.start()
    yield made
    made.stop()


def read_line(link: socket.socket) -> dict[str, object]:
    with link.makefile("rb") as lines:
        body = json.loads(lines.readline())
    assert isinstance(body, dict)
    return body


def test_hello_request_answer(clock: Clock, client: InstantClient) -> None:
    with clock.accept() as link:
        assert read_line(link) == {"hello": "hub"}
        assert client.waiting is None
        link.sendall(LINE + b"\n")
        assert clock.woken.wait(10)
        request = client.waiting
        assert request == parse_instant(LINE)
        client.answer(request, 2, ("dep1-pv register 7",))
        assert client.waiting is None
        assert read_line(link) == {
            "done": 1_800_000_000_000,
            "moved": 2,
            "late": ["dep1-pv register 7"],
        }


def test_a_closed_socket_is_opened_again_and_the_old_request_is_forgotten(
    clock: Clock, client: InstantClient
) -> None:
    with clock.accept() as link:
        read_line(link)
        link.sendall(LINE + b"\n")
        assert clock.woken.wait(10)
    with clock.accept() as link:
        assert read_line(link) == {"hello": "hub"}
        assert client.waiting is None


def test_a_malformed_request_closes_the_socket(clock: Clock, client: InstantClient) -> None:
    with clock.accept() as link:
        read_line(link)
        link.sendall(b'{"instant": "now"}\n')
        assert link.recv(1) == b""
