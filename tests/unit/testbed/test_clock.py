"""The instant barrier, over its real socket and without waiting for anybody's clock."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.clock import Clock, HubAnswer, Pace, merge_heads

Answer = Callable[[dict[str, Any]], dict[str, Any] | None]


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[Clock]:
    server = Clock(tmp_path / "clock.sock")
    yield server
    server.close()


class Client:
    """A client on a thread that answers each request by a function; None hangs up."""

    def __init__(self, path: Path, hello: dict[str, str], answer: Answer) -> None:
        self.seen: list[dict[str, Any]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(path))
        self._socket.sendall(json.dumps(hello).encode() + b"\n")
        self._answer = answer
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with self._socket, self._socket.makefile("rb") as lines:
            for line in lines:
                request = json.loads(line)
                self.seen.append(request)
                answer = self._answer(request)
                if answer is None:
                    return
                self._socket.sendall(json.dumps(answer).encode() + b"\n")

    def join(self) -> None:
        self._thread.join(5)


def edge(clock: Clock, node: str, answer: Answer | None = None) -> Client:
    def done(request: dict[str, Any]) -> dict[str, Any]:
        return {"done": request["instant"], "heads": {node: {"live": 1}}}

    return Client(clock.path, {"hello": "edge", "node": node}, answer or done)


def test_time_waits_for_every_edge_and_merges_their_heads(clock: Clock) -> None:
    clients = [edge(clock, "a"), edge(clock, "b")]
    assert clock.wait_for(["a", "b"], 5) == frozenset()
    answered = clock.edges(["a", "b"], 1000, again=False, timeout_s=5)
    assert answered.heads == {"a": {"live": 1}, "b": {"live": 1}}
    assert answered.missing == ()
    assert [client.seen for client in clients] == [[{"instant": 1000, "again": False}]] * 2


def test_the_hub_answers_what_it_moved(clock: Clock) -> None:
    def folded(request: dict[str, Any]) -> dict[str, Any]:
        return {"done": request["instant"], "moved": 2, "late": ["m1"]}

    hub = Client(clock.path, {"hello": "hub"}, folded)
    clock.wait_for(["hub"], 5)
    heads = {"00": {"register": 3}}
    assert clock.hub(7, close=0, heads=heads, deadline_ms=100) == HubAnswer(2, ("m1",))
    assert hub.seen == [{"instant": 7, "close": 0, "heads": heads, "deadline_ms": 100}]


def test_who_stays_away_is_released_after_the_timeout(clock: Clock) -> None:
    edge(clock, "a")
    clock.wait_for(["a"], 5)
    assert clock.edges(["a", "b"], 5, again=False, timeout_s=0.05).missing == ("b",)
    assert clock.wait_for(["b"], 0.01) == {"b"}


def test_a_killed_edge_joins_again_where_it_was(clock: Clock) -> None:
    """It hangs up while its answer is due; after its return it is asked the same once more."""
    dying = edge(clock, "a", lambda _request: None)
    clock.wait_for(["a"], 5)
    returned: list[Client] = []

    def come_back() -> None:
        if not returned and not clock.joined:
            returned.append(edge(clock, "a"))

    clock.idle = come_back
    answered = clock.edges(["a"], 9, again=True, timeout_s=5)
    assert answered.missing == ()
    assert dying.seen == returned[0].seen == [{"instant": 9, "again": True}]


def test_an_answer_for_another_instant_counts_for_nothing(clock: Clock) -> None:
    edge(clock, "a", lambda request: {"done": request["instant"] - 1, "heads": {}})
    clock.wait_for(["a"], 5)
    assert clock.edges(["a"], 5, again=False, timeout_s=0.05).missing == ("a",)


@pytest.mark.parametrize("line", [b"no json\n", b"x" * 1_000_001])
def test_who_sends_nonsense_is_hung_up_on(clock: Clock, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.connect(str(clock.path))
        peer.settimeout(5)
        sender = threading.Thread(target=_send, args=(peer, line), daemon=True)
        sender.start()
        clock.rest(0.2)
        sender.join(5)
        assert _is_closed(peer)


def _send(peer: socket.socket, line: bytes) -> None:
    try:
        peer.sendall(line)
    except OSError:
        return


def _is_closed(peer: socket.socket) -> bool:
    try:
        return peer.recv(1) == b""
    except ConnectionResetError:
        return True


def test_live_samples_are_renewed_while_the_hub_is_waited_for(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed broker loses live samples for good; the hub answers once it saw new ones."""
    monkeypatch.setattr("testbed.clock.RENEW_S", 0.0)
    renewed = threading.Event()

    def sample(request: dict[str, Any]) -> dict[str, Any]:
        renewed.set()
        return {"done": request["instant"], "heads": {}}

    def fold(request: dict[str, Any]) -> dict[str, Any]:
        assert renewed.wait(5)
        return {"done": request["instant"]}

    client = edge(clock, "a", sample)
    Client(clock.path, {"hello": "hub"}, fold)
    clock.wait_for(["a", "hub"], 5)
    assert clock.hub(7, close=None, heads={}, deadline_ms=100) == HubAnswer(0, ())
    assert client.seen[0] == {"instant": 7, "again": True}
    asked = len(client.seen)
    assert clock.edges(["a"], 8, again=False, timeout_s=5).missing == ()
    assert client.seen[asked:] == [{"instant": 8, "again": False}]


def test_heads_keep_the_newest() -> None:
    heads = {"a": {"live": 5, "register": 1}}
    merge_heads(heads, {"a": {"live": 4, "telemetry": 2}, "b": {"event": 1}})
    assert heads == {"a": {"live": 5, "register": 1, "telemetry": 2}, "b": {"event": 1}}


def test_pace_without_a_speed_never_rests() -> None:
    assert Pace(None).ahead_s(10**12) == 0.0


def test_pace_rests_until_the_instant_is_due() -> None:
    pace = Pace(60.0)
    assert pace.ahead_s(0) == 0.0
    assert 0.9 < pace.ahead_s(60_000) <= 1.0
