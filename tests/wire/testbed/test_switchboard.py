"""The switchboard over its sockets: the door, the page's routes, a line between two ends."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.types import Message

from hardware.mock.wires.loop import LoopThread
from hub.errors import BoardAway
from hub.web.board import ask
from hub.web.faults import build_fault_routes
from testbed.switchboard import line as line_module
from testbed.switchboard.board import Board
from testbed.switchboard.door import CLIENTS_MAX, LINE_BYTES_MAX, Door
from testbed.switchboard.line import Line
from testbed.switchboard.packets import Packets, parse_publish, publish
from testbed.switchboard.strangers import Stranger, idle_sockets, impostor, slow_requests
from testbed.switchboard.tampering import Tampering
from tests.support.edge_node import wait_until
from tests.support.pictures import picture
from tests.unit.testbed.switchboard.test_board import Lever

PAGE = "http://127.0.0.1:8088"
TOPIC = "gridtally/bench/dep1/up/register"


@dataclass
class Served:
    """A board with two levers, whose door is served as a demo does: now and then."""

    path: Path
    hub: Lever = field(default_factory=Lever)
    web: Lever = field(default_factory=Lever)

    def __post_init__(self) -> None:
        switches = {
            "kill": {"hub": self.hub, "web": self.web},
            "ledger_edited": {"hub": Lever(refusal="it takes a C compiler")},
        }
        self.door = Door(self.path, Board("a bench", switches))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self._ended.wait(0.005):
            self.door.serve()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self.door.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with closing(Served(tmp_path / "faults.sock")) as found:
        yield found


@dataclass
class Page:
    """The page's routes, asked without a server between."""

    app: FastAPI

    def get(self, path: str) -> tuple[int, bytes]:
        return self._ask("GET", path, b"", {})

    def switch(self, body: object, **headers: str) -> tuple[int, bytes]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        own = {"content-type": "application/json", **headers}
        return self._ask("POST", "/api/v1/faults", raw, own)

    def _ask(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        named = {"host": PAGE.removeprefix("http://"), **headers}
        scope = {
            **{"type": "http", "http_version": "1.1", "method": method, "scheme": "http"},
            **{"path": path, "raw_path": path.encode(), "query_string": b"", "root_path": ""},
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        }
        said: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            said.append(message)

        asyncio.run(self.app(scope, receive, send))
        return said[0]["status"], b"".join(each["body"] for each in said[1:])


@pytest.fixture
def page(served: Served) -> Page:
    routes = build_fault_routes(served.path, "<b>bench</b>", lambda: picture(alarms=("look",)))
    app = FastAPI()
    app.include_router(routes)
    return Page(app)


# --- the door


def test_only_the_owner_may_open_the_door_and_it_leaves_nothing(served: Served) -> None:
    assert served.path.stat().st_mode & 0o777 == 0o600
    served.close()
    assert not served.path.exists()


def test_a_fault_is_switched_over_the_socket(served: Served) -> None:
    told = ask(served.path, {"switch": "kill", "target": "hub", "on": True})
    assert told["told"].startswith("kill on, hub. ")
    assert served.hub.is_on
    board = ask(served.path, {"look": True})
    assert [each["on"] for each in board["faults"]] == [["hub"], []]
    assert ask(served.path, {"all_off": True}) == {"told": "off: kill hub"}
    assert not served.hub.is_on


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"switch": "kil", "target": "hub", "on": True}, "did you mean kill"),
        ({"switch": "ledger_edited", "target": "", "on": True}, "it takes a C compiler"),
        ({"switch": "kill", "target": "hub", "on": 1}, "wanted"),
        ({"switch": "kill", "target": "hub"}, "wanted"),
        ({"look": False}, "wanted"),
        ({}, "wanted"),
    ],
)
def test_what_cannot_be_done_is_an_answer(
    served: Served, request_: dict[str, Any], words: str
) -> None:
    assert words in ask(served.path, request_)["error"]
    assert not served.hub.turned


def test_nonsense_hurts_nobody_else(served: Served) -> None:
    links = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    for link, words in zip(links, (b"\xff\n", b"x" * (LINE_BYTES_MAX + 1), b"[1]\n"), strict=True):
        link.settimeout(10)
        link.connect(str(served.path))
        link.sendall(words)
    assert b"error" in links[0].recv(1_000)
    assert links[1].recv(1_000) == b""  # hung up on: the line is too long
    assert b"error" in links[2].recv(1_000)
    assert "faults" in ask(served.path, {"look": True})
    for link in links:
        link.close()


def test_many_who_say_nothing_do_not_stay_in_the_way(served: Served) -> None:
    links = [socket.socket(socket.AF_UNIX) for _ in range(CLIENTS_MAX)]
    for link in links:
        link.connect(str(served.path))
    links[0].close()
    wait_until(lambda: _answers(served.path), 20, "an answer")
    for link in links:
        link.close()


def _answers(path: Path) -> bool:
    try:
        return "faults" in ask(path, {"look": True})
    except BoardAway:
        return False


def test_a_demo_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BoardAway, match=r"no demo answers at .*gone"):
        ask(tmp_path / "gone", {"look": True})


# --- the page


def test_the_page_shows_names_as_text(page: Page) -> None:
    status, shown = page.get("/faults")
    assert status == 200
    assert b"&lt;b&gt;bench" in shown
    assert b"<b>bench" not in shown


def test_the_page_sees_the_board_and_what_was_noticed_but_no_switch_that_ends_it(
    page: Page,
) -> None:
    status, body = page.get("/api/v1/faults")
    board = json.loads(body)
    kill = board["faults"][0]
    assert (status, kill["name"], kill["group"]) == (200, "kill", "Programs")
    assert kill["targets"] == ["hub"]
    assert board["noticed"] == [{"kind": "alarm", "text": "look"}]
    assert set(board["not_played"][0]) == {"row", "about", "reason"}


def test_the_page_switches_and_another_site_does_not(page: Page, served: Served) -> None:
    asked = {"switch": "kill", "target": "hub", "on": True}
    assert page.switch(asked)[0] == 403
    assert page.switch(asked, origin="http://evil.example")[0] == 403
    assert not served.hub.turned
    assert page.switch(asked, origin=PAGE)[0] == 200
    assert served.hub.is_on
    status, body = page.switch({**asked, "target": "hup"}, origin=PAGE)
    assert (status, b"did you mean hub" in body) == (409, True)


@pytest.mark.parametrize(
    ("body", "status"), [(b"x", 400), (b"[1]", 400), (b'"' + b"x" * 2_000 + b'"', 413)]
)
def test_a_body_that_is_no_switch_is_refused(page: Page, body: bytes, status: int) -> None:
    assert page.switch(body, origin=PAGE)[0] == status


def test_a_page_without_its_demo_says_so(page: Page, served: Served) -> None:
    served.close()
    status, body = page.get("/api/v1/faults")
    assert (status, b"no demo answers" in body) == (503, True)


# --- the line


@dataclass
class Ends:
    """A line with a node on one end and a broker on the other, both in the hand of the test."""

    line: Line
    node: socket.socket
    broker: socket.socket

    def up(self, *packets: bytes) -> None:
        self.node.sendall(b"".join(packets))

    def heard(self, end: socket.socket, count: int) -> list[bytes]:
        """Return the next packets that arrive at an end."""
        cut, found = Packets(), list[bytes]()
        while len(found) < count:
            found += cut.feed(end.recv(65_536))
        return found


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    monkeypatch.setattr(line_module, "TICK_S", 0.02)
    monkeypatch.setattr(line_module, "DELAY_S", 0.2)
    with LoopThread() as loop, socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with closing(Line(port, Tampering("bench", "dep1", lambda: (b"copy",)), loop=loop)) as line:
            node = socket.create_connection(("127.0.0.1", line.port), 10)
            broker, _ = server.accept()
            for end in (node, broker):
                end.settimeout(10)
            with node, broker:
                yield Ends(line, node, broker)


def test_a_line_carries_packets_both_ways_as_they_are(ends: Ends) -> None:
    packets = [publish(TOPIC, b"x" * size) for size in (1, 50_000, 3)]
    ends.up(*packets)
    assert ends.heard(ends.broker, 3) == packets
    ends.broker.sendall(b"".join(packets))
    assert ends.heard(ends.node, 3) == packets


def test_a_fault_begins_and_ends(ends: Ends) -> None:
    ends.line.turn("duplicate", True)
    assert ends.line.is_on("duplicate")
    one = publish(TOPIC, b"one")
    ends.up(one)
    assert ends.heard(ends.broker, 2) == [one, one]
    ends.line.turn("duplicate", False)
    two = publish(TOPIC, b"two")
    ends.up(one, two)
    assert ends.heard(ends.broker, 2) == [one, two]


def test_what_is_sent_besides_comes_by_itself(ends: Ends) -> None:
    ends.line.turn("clone", True)
    found = parse_publish(ends.heard(ends.broker, 1)[0])
    assert found is not None
    assert (found.topic, found.payload) == (TOPIC, b"copy")


def test_what_is_delayed_comes_later_and_in_order(ends: Ends) -> None:
    packets = [publish(TOPIC, b"%d" % number) for number in range(5)]
    ends.line.turn("delayed", True)
    sent_s = time.monotonic()
    ends.up(*packets[:3])
    ends.up(packets[3])
    ends.broker.settimeout(10)
    first = ends.heard(ends.broker, 1)
    assert time.monotonic() - sent_s >= line_module.DELAY_S
    ends.line.turn("delayed", False)
    ends.up(packets[4])
    found = first
    while len(found) < 5:
        found += ends.heard(ends.broker, 1)
    assert found == packets


def test_a_cut_line_swallows_also_what_is_sent_besides(ends: Ends) -> None:
    ends.line.turn("clone", True)
    ends.heard(ends.broker, 1)
    ends.line.turn("cable_cut", True)
    ends.up(publish(TOPIC, b"lost"))
    wait_until(lambda: ends.line.swallowed_bytes > 0, 10, "bytes that are lost")
    ends.line.turn("cable_cut", False)
    wait_until(lambda: ends.node.recv(1_000) == b"", 10, "the mended line to hang up")


# --- strangers


def test_strangers_come_and_leave() -> None:
    with LoopThread() as loop, socket.create_server(("127.0.0.1", 0), backlog=256) as server:
        port = server.getsockname()[1]
        for act, words in ((idle_sockets, b""), (slow_requests, b"G"), (impostor, b"\x10")):
            stranger = Stranger(loop, act, port)
            stranger.turn(True)
            assert stranger.is_on
            link, _ = server.accept()
            link.settimeout(10)
            assert not words or link.recv(1) == words
            stranger.turn(False)
            assert not stranger.is_on
            with link:
                wait_until(partial(_is_over, link), 20, "the stranger to hang up")
            _hang_up_on_the_rest(server)


def _is_over(link: socket.socket) -> bool:
    try:
        return link.recv(1_000) == b""
    except ConnectionResetError:
        return True


def _hang_up_on_the_rest(server: socket.socket) -> None:
    server.settimeout(0.2)
    try:
        while True:
            server.accept()[0].close()
    except TimeoutError:
        server.settimeout(None)
