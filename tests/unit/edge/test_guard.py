"""The guard's loop, turned by hand over a real socket and a clock that is moved by hand."""

import socket

import pytest

from edge.door import UNSENT_BYTES_MAX, Agent
from edge.frames import FrameReader, encode_frame
from edge.guard import Guard
from edge.lease import Rules
from edge.relays import Relays
from tests.support.coil import Coil
from tests.support.edge_hub import FakeHub


class Bench:
    def __init__(self, folder):
        self.hub = FakeHub()
        self.now_ms = 50_000
        self.coil = Coil()
        self.path = str(folder / "guard.sock")
        self.door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.door.bind(self.path)
        self.door.listen()
        relays = Relays(
            "dep1", self.hub.trust, {"heater": self.coil}, {"heater": Rules()}, lambda: self.now_ms
        )
        self.why_held = ""
        self.guard = Guard(relays, self.door, lambda: self.now_ms, hold=lambda: self.why_held)
        self.links = []

    def connect(self):
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(5)
        link.connect(self.path)
        self.links.append(link)
        self.guard.turn()
        return link

    def say(self, link, *frames):
        for frame in frames:
            link.sendall(encode_frame(frame))
        self.guard.turn()

    def pass_time(self, ms):
        self.now_ms += ms
        self.guard.turn()

    def energise(self, link):
        nonce = [frame["nonce"] for frame in heard(link) if "nonce" in frame][-1]
        lease = self.hub.lease(nonce, ttl_ms=10_000)
        self.say(link, {"lease": self.hub.sign(lease)})
        assert self.coil.history == [True]

    def close(self):
        self.guard.close()
        self.door.close()
        for link in self.links:
            link.close()


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    made.guard.turn()
    yield made
    made.close()


def heard(link):
    """Return the frames that are there now."""
    link.setblocking(False)
    received = b""
    try:
        while chunk := link.recv(65_536):
            received += chunk
    except BlockingIOError:
        pass
    link.settimeout(5)
    return list(FrameReader().take(received))


def test_an_agent_gets_nonces_at_once_and_each_second(bench):
    told = [["boottime_ms", "nonce"], ["nonce_every_ms", "relays"]]
    link = bench.connect()
    assert [sorted(frame) for frame in heard(link)] == told
    bench.pass_time(999)
    assert heard(link) == []
    bench.say(link, {"alive": True})
    bench.pass_time(1)
    assert [sorted(frame) for frame in heard(link)] == told


def test_an_agent_that_hangs_up_leaves_relays_safe(bench):
    link = bench.connect()
    bench.energise(link)
    heard(link)
    link.close()
    bench.guard.turn()
    assert bench.coil.history == [True, False]
    again = bench.connect()
    acks = [frame["ack"] for frame in heard(again) if "ack" in frame]
    assert [(ack["outcome"], ack["reason"]) for ack in acks] == [
        ("safe", "the agent is gone: it closed")
    ]


def test_a_silent_agent_leaves_relays_safe_after_two_seconds(bench):
    link = bench.connect()
    bench.energise(link)
    bench.pass_time(1999)
    assert bench.coil.history == [True]
    bench.say(link, {"alive": True})
    bench.pass_time(1999)
    assert bench.coil.history == [True]
    bench.pass_time(1)
    assert bench.coil.history == [True, False]


def test_a_lease_that_is_over_releases_it_on_time(bench):
    link = bench.connect()
    bench.energise(link)
    for _ in range(9):
        bench.now_ms += 1000
        bench.say(link, {"alive": True})
    assert bench.coil.history == [True]
    bench.now_ms += 1000
    bench.say(link, {"alive": True})
    assert bench.coil.history == [True, False]


@pytest.mark.parametrize("nonsense", [b"\xff\xff\xff\xff", b"\0\0\0\1\x01", b"\0\0\0\1\xff"])
def test_nonsense_is_the_end_of_an_agent(bench, nonsense):
    link = bench.connect()
    bench.energise(link)
    link.sendall(nonsense)
    bench.guard.turn()
    assert bench.coil.history == [True, False]


def test_a_second_connection_is_told_and_hung_up_on(bench):
    link = bench.connect()
    bench.energise(link)
    second = bench.connect()
    (frame,) = heard(second)
    assert frame["relays"][0]["energised"] is True
    assert second.recv(1) == b""
    assert bench.coil.history == [True]


def test_without_an_agent_only_acknowledgements_wait(bench):
    for _ in range(70):
        bench.pass_time(1000)
    assert list(bench.guard.relays.unsent) == []


def test_an_agent_that_does_not_read_is_hung_up_on():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    agent = Agent(ours, 0)
    while len(agent.unsent) <= UNSENT_BYTES_MAX - 2000:
        agent.send({"nonce": b"n" * 1000})
    with pytest.raises(ConnectionError, match="reads no more"):
        agent.send({"nonce": b"n" * 2000})
    ours.close()
    theirs.close()


def test_what_did_not_go_at_once_goes_later_and_whole():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    agent = Agent(ours, 0)
    agent.send({"n": 0})
    while not agent.unsent:
        agent.send({"n": 1, "pad": b"p" * 500})
    reader = FrameReader()
    got = list(reader.take(theirs.recv(1_000_000)))
    agent.send({"n": 2})
    while got[-1]["n"] != 2:
        got += list(reader.take(theirs.recv(1_000_000)))
    assert [frame["n"] for frame in got] == [0, *[1] * (len(got) - 2), 2]
    assert agent.unsent == b""
    ours.close()
    theirs.close()


def test_the_bell_ends_it(bench):
    ours, theirs = socket.socketpair()
    guard = Guard(bench.guard.relays, bench.door, lambda: bench.now_ms, bell=ours)
    theirs.send(b"\x0f")
    told = []
    guard.serve(told.append)
    assert told == ["READY=1", "WATCHDOG=1"]
    guard.close()
    ours.close()
    theirs.close()


def test_short_leases_get_fresher_nonces(bench):
    link = bench.connect()
    for ttl_ms, every_ms in ((1000, 250), (2000, 500), (10_000, 1000)):
        nonce = [frame["nonce"] for frame in heard(link) if "nonce" in frame][-1]
        bench.say(link, {"lease": bench.hub.sign(bench.hub.lease(nonce, ttl_ms=ttl_ms))})
        heard(link)
        bench.pass_time(every_ms)
        assert sum("nonce" in frame for frame in heard(link)) == 1
        bench.say(link, {"alive": True})
        bench.pass_time(every_ms - 1)
        assert not any("nonce" in frame for frame in heard(link))
        bench.pass_time(1)


def test_a_guard_that_is_held_refuses_and_goes_on_telling(bench):
    link = bench.connect()
    bench.energise(link)
    bench.why_held = "metering only: why"
    bench.say(link, {"alive": True})
    assert bench.coil.history == [True, False]
    bench.say(link, {"lease": bench.hub.sign(bench.hub.lease(b"n" * 16))})
    told = heard(link)
    assert [f["ack"]["reason"] for f in told if "ack" in f][1:] == ["metering only: why"] * 2
    assert [f for f in told if "relays" in f][-1]["relays"][0]["unavailable"] == bench.why_held
    assert bench.coil.history == [True, False]


def test_a_flood_does_not_hold_up_the_end_of_a_lease(bench):
    """All that came is read at once; a lease that ends meanwhile ends between two of it."""
    link = bench.connect()
    bench.energise(link)
    take, ended = bench.guard.relays.take, []

    def slowly(frame):
        take(frame)
        bench.now_ms += 1_000
        ended.append(bench.coil.history == [True, False])

    bench.guard.relays = Slow(bench.guard.relays, slowly)
    bench.say(link, *({"lease": b"nonsense"} for _ in range(5)))
    for _ in range(10):
        link.sendall(encode_frame({"lease": b"nonsense"}))
    bench.guard.turn()
    assert ended[:10] == [False] * 10
    assert all(ended[10:])
    assert len(ended) == 15


class Slow:
    """Relays of which each frame takes its time."""

    def __init__(self, relays, take):
        self._relays = relays
        self.take = take

    def __getattr__(self, name):
        return getattr(self._relays, name)
