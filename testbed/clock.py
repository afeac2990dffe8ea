"""The instant barrier: simulated time moves only when every edge and the hub are done with it.

A Unix socket with one JSON object a line. A client says `{"hello": "edge", "node": N}` or
`{"hello": "hub"}`; edges get `{"instant": ms, "again": bool}` and answer `{"done": ms, "heads":
{kid: {stream: sequence}}}`; the hub gets `{"instant", "close", "heads", "deadline_ms"}` and answers
`{"done", "moved", "late"}`. Who reconnects while its answer is due is asked once more, so a killed
process joins again where it was; who stays away past the timeout is released. While the hub is
waited for, edges renew their live samples each second: those are never resent, and a killed broker
or hub may have lost the ones that the hub waits to see.

One thread, no locks: sockets are served only while somebody waits in here.
"""

import json
import selectors
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HUB = ("hub", "")
LINE_BYTES_MAX = 1_000_000
POLL_S = 0.05
RENEW_S = 1.0


@dataclass(frozen=True, slots=True)
class EdgeRound:
    """What the edges answered for an instant, and who did not. Heads: newest signed sequences."""

    heads: dict[str, dict[str, int]]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HubAnswer:
    """What the hub answered: how many leases changed contacts, and which registers came late."""

    moved: int
    late: tuple[str, ...]


@dataclass(slots=True)
class _Peer:
    """One connection; `name` is ("edge", node) or HUB once it said hello."""

    connection: socket.socket
    name: tuple[str, str] | None = None
    received: bytes = b""


def _nothing() -> None:
    """Be the idle hook of a clock that nobody supervises."""


@dataclass(slots=True)
class Clock:
    """The server's side of the barrier.

    `idle` is called about twenty times a second while waiting: the place to notice a dead child.
    """

    path: Path
    idle: Callable[[], None] = _nothing
    _listener: socket.socket = field(init=False)
    _selector: selectors.BaseSelector = field(init=False)
    _peers: dict[tuple[str, str], _Peer] = field(default_factory=dict)
    _asked: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _answers: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _renewing: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Listen at the path, which must not be longer than a Unix socket's name may be."""
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, None)

    def close(self) -> None:
        """Hang up on everybody."""
        for key in list(self._selector.get_map().values()):
            if isinstance(key.data, _Peer):
                self._drop(key.data)
        self._selector.close()
        self._listener.close()
        self.path.unlink(missing_ok=True)

    @property
    def joined(self) -> frozenset[str]:
        """Who is connected: node names and "hub"."""
        return frozenset(node or role for role, node in self._peers)

    def wait_for(self, names: Iterable[str], timeout_s: float) -> frozenset[str]:
        """Wait until all of these have joined; return who has not."""
        wanted = frozenset(names)
        deadline = time.monotonic() + timeout_s
        while wanted - self.joined and time.monotonic() < deadline:
            self._serve(POLL_S)
        return wanted - self.joined

    def rest(self, seconds: float) -> None:
        """Let real time pass while clients may still join or leave."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._serve(min(left, POLL_S))

    def edges(
        self, nodes: Iterable[str], at_ms: int, *, again: bool, timeout_s: float
    ) -> EdgeRound:
        """Let the edges sample this instant; return their merged heads and who was released."""
        names = [("edge", node) for node in nodes]
        answers = self._ask({name: {"instant": at_ms, "again": again} for name in names}, timeout_s)
        heads: dict[str, dict[str, int]] = {}
        for answer in answers.values():
            merge_heads(heads, answer.get("heads", {}))
        missing = tuple(node for role, node in names if (role, node) not in answers)
        return EdgeRound(heads, missing)

    def hub(
        self,
        at_ms: int,
        *,
        close: int | None,
        heads: dict[str, dict[str, int]],
        deadline_ms: int,
    ) -> HubAnswer | None:
        """Let the hub fold what the edges signed; None if it did not answer in time."""
        request = {"instant": at_ms, "close": close, "heads": heads, "deadline_ms": deadline_ms}
        # A hub that waits for a missing register up to its deadline still has to answer.
        answers = self._ask({HUB: request}, deadline_ms / 1000 * 2 + 5, renewing=at_ms)
        answer = answers.get(HUB)
        if answer is None:
            return None
        return HubAnswer(int(answer.get("moved", 0)), tuple(map(str, answer.get("late", ()))))

    # -- how it works

    def _ask(
        self,
        requests: dict[tuple[str, str], dict[str, Any]],
        timeout_s: float,
        renewing: int | None = None,
    ) -> dict[tuple[str, str], dict[str, Any]]:
        self._answers.clear()
        self._asked = dict(requests)
        for name, request in requests.items():
            if name in self._peers:
                self._send(self._peers[name], request)
        started = time.monotonic()
        renewed = started
        # What was renewed is waited for, too: time must not go on under a sample being taken.
        while (self._asked or self._renewing) and time.monotonic() < started + timeout_s:
            self._serve(POLL_S)
            is_due = self._asked and not self._renewing and time.monotonic() > renewed + RENEW_S
            if renewing is not None and is_due:
                renewed = time.monotonic()
                self._renew(renewing)
        self._asked = {}
        self._renewing.clear()
        return dict(self._answers)

    def _renew(self, at_ms: int) -> None:
        """Let every edge sample the same instant once more."""
        for name, peer in list(self._peers.items()):
            if name != HUB:
                self._renewing.add(name)
                self._send(peer, {"instant": at_ms, "again": True})

    def _serve(self, wait_s: float) -> None:
        for key, _ in self._selector.select(wait_s):
            if key.data is None:
                connection, _address = self._listener.accept()
                connection.setblocking(True)
                peer = _Peer(connection)
                self._selector.register(connection, selectors.EVENT_READ, peer)
            else:
                self._receive(key.data)
        self.idle()

    def _receive(self, peer: _Peer) -> None:
        try:
            chunk = peer.connection.recv(1 << 16)
        except OSError:
            chunk = b""
        peer.received += chunk
        if not chunk or len(peer.received) > LINE_BYTES_MAX:
            self._drop(peer)
            return
        while b"\n" in peer.received:
            line, peer.received = peer.received.split(b"\n", 1)
            self._take(peer, line)

    def _take(self, peer: _Peer, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            self._drop(peer)
            return
        if "hello" in message:
            self._join(peer, (str(message["hello"]), str(message.get("node", ""))))
        elif peer.name in self._renewing:
            self._renewing.discard(peer.name)
        elif peer.name in self._asked and message.get("done") == self._asked[peer.name]["instant"]:
            self._answers[peer.name] = message
            del self._asked[peer.name]

    def _join(self, peer: _Peer, name: tuple[str, str]) -> None:
        old = self._peers.get(name)
        if old is not None and old is not peer:
            self._drop(old)
        peer.name = name
        self._peers[name] = peer
        if name in self._asked:
            self._send(peer, self._asked[name])

    def _send(self, peer: _Peer, message: dict[str, Any]) -> None:
        try:
            peer.connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self._drop(peer)

    def _drop(self, peer: _Peer) -> None:
        if peer.connection.fileno() >= 0:
            self._selector.unregister(peer.connection)
            peer.connection.close()
        if peer.name is not None and self._peers.get(peer.name) is peer:
            del self._peers[peer.name]
            self._renewing.discard(peer.name)


def merge_heads(into: dict[str, dict[str, int]], heads: dict[str, dict[str, int]]) -> None:
    """Keep the newest sequence of each stream of each key."""
    for kid, streams in heads.items():
        known = into.setdefault(kid, {})
        for stream, sequence in streams.items():
            known[stream] = max(known.get(stream, 0), sequence)


@dataclass(slots=True)
class Pace:
    """Holds simulated time back to a multiple of real time; speed None is as fast as it goes."""

    speed: float | None
    _start_s: float = field(default_factory=time.monotonic)
    _start_ms: int | None = None

    def ahead_s(self, at_ms: int) -> float:
        """Return how long to rest before this instant is due; never negative.

        A run that fell behind does not catch up by rushing: the schedule moves.
        """
        if self.speed is None:
            return 0.0
        now = time.monotonic()
        if self._start_ms is None:
            self._start_ms, self._start_s = at_ms, now
        due = self._start_s + (at_ms - self._start_ms) / 1000 / self.speed
        if due < now:
            self._start_s += now - due
            return 0.0
        return due - now
