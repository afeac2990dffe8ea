"""The guard as a process: relays are safe whatever the agent does, and within what time."""

import os
import signal
import socket
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from edge.frames import FrameReader, encode_frame
from edge.guardlink import look
from tests.support.edge_node import node, wait_until

ALIVE_S = 0.4


def connected(path, *options):
    """A link to the guard. Its socket is there a moment before it listens."""
    until_s = time.monotonic() + 5
    while True:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        for option in options:
            link.setsockopt(*option)
        try:
            link.connect(str(path))
        except ConnectionRefusedError:
            link.close()
            if time.monotonic() > until_s:
                raise
            time.sleep(0.01)
        else:
            return link


class Agent:
    """An agent in the test: says that it is alive, and keeps what the guard says."""

    def __init__(self, path):
        self.link = connected(path)
        self.frames = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=self._speak)]
        for thread in self._threads:
            thread.start()

    def newest(self, key):
        return next((f[key] for f in reversed(self.frames) if key in f), None)

    def send(self, frame):
        self.link.sendall(encode_frame(frame))

    def close(self):
        self._ended.set()
        with suppress(OSError):
            self.link.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self.link.close()

    def _read(self):
        reader = FrameReader()
        with suppress(OSError):
            while received := self.link.recv(65_536):
                self.frames.extend(reader.take(received))

    def _speak(self):
        while not self._ended.wait(ALIVE_S / 2):
            with suppress(OSError):
                self.send({"alive": True})


@contextmanager
def agent(made):
    found = Agent(Path(made.config.guard.socket))
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def made(tmp_path):
    with node(tmp_path) as started:
        started.process = started.start_guard()
        yield started


def energise(made, speaker, **changes):
    """Let the hub's lease energise the relay, and return when that was."""
    wait_until(lambda: speaker.newest("nonce"), 5, "a nonce")
    lease = made.hub.lease(speaker.newest("nonce"), **{"ttl_ms": 10_000, **changes})
    speaker.send({"lease": made.hub.sign(lease)})
    return made.pins.wait_for(True, 2)


def test_no_contact_moves_at_start_or_for_a_mere_agent(made):
    with agent(made) as speaker:
        wait_until(lambda: speaker.newest("relays"), 5, "the state of the relays")
        assert speaker.newest("relays") == [
            {
                "relay": "heater",
                "energised": False,
                "lease_left_ms": 0,
                "reason": "start",
                "unavailable": "",
                "setpoint_mw": None,
            }
        ]
        time.sleep(1.2)
        assert len([frame for frame in speaker.frames if "nonce" in frame]) >= 2
    assert made.pins.levels == [False]


def test_a_lease_moves_it_and_its_end_releases_it(made):
    with agent(made) as speaker:
        on = energise(made, speaker, ttl_ms=1000)
        off = made.pins.wait_for(False, 3)
        assert off - on <= 1.2
        wait_until(lambda: speaker.newest("ack")["outcome"] == "expired", 2, "it is told")
    assert made.pins.levels == [False, True, False]


def test_renewed_leases_hold_it(made):
    with agent(made) as speaker:
        energise(made, speaker, ttl_ms=1000)
        for _ in range(8):
            time.sleep(0.3)
            lease = made.hub.lease(speaker.newest("nonce"), ttl_ms=2000)
            speaker.send({"lease": made.hub.sign(lease)})
        assert made.pins.levels == [False, True]


def test_an_agent_that_sends_nonsense_is_a_dead_one(made):
    with agent(made) as speaker:
        energise(made, speaker)
        speaker.link.sendall(b"\xff\xff\xff\xffnonsense")
        made.pins.wait_for(False, 1)


def test_an_agent_that_does_not_read_does_not_hold_up_the_guard(made):
    link = connected(made.config.guard.socket, (socket.SOL_SOCKET, socket.SO_RCVBUF, 1))
    for _ in range(30):
        link.sendall(encode_frame({"alive": True}))
        time.sleep(0.02)
    link.close()
    with agent(made) as speaker:
        energise(made, speaker)


def test_it_ends_safe_and_a_new_one_starts_safe(made):
    with agent(made) as speaker:
        energise(made, speaker)
        told = time.monotonic()
        made.process.terminate()
        assert made.pins.wait_for(False, 2) - told <= 0.5
        assert made.process.wait(5) == 0
    assert not Path(made.config.guard.socket).exists()
    before = len(made.pins.history)
    made.start_guard()
    assert [high for _, high in made.pins.history[before:]] == [False]


def test_a_killed_guard_forgets_every_lease(made):
    with agent(made) as speaker:
        energise(made, speaker)
        lease = made.hub.lease(speaker.newest("nonce"))
        made.process.kill()
        made.process.wait(5)
    before = len(made.pins.history)
    made.start_guard()
    with agent(made) as speaker:
        wait_until(lambda: speaker.newest("nonce"), 5, "a nonce")
        speaker.send({"lease": made.hub.sign(lease)})
        wait_until(lambda: speaker.newest("ack"), 5, "an answer")
        assert speaker.newest("ack")["outcome"] == "refused"
        assert "nonce" in speaker.newest("ack")["reason"]
    assert [high for _, high in made.pins.history[before:]] == [False]


def test_a_second_connection_is_told_and_moves_nothing(made):
    with agent(made) as speaker:
        energise(made, speaker)
        (state,) = look(Path(made.config.guard.socket))
        assert state["energised"] is True
        assert 0 < state["lease_left_ms"] <= 10_000
        time.sleep(0.2)
        assert made.pins.levels == [False, True]


def test_a_frozen_guard_moves_nothing_later_than_its_lease(made):
    """A guard that was stopped for a while finds its leases over when it goes on."""
    with agent(made) as speaker:
        energise(made, speaker, ttl_ms=1000)
        os.kill(made.process.pid, signal.SIGSTOP)
        time.sleep(1.5)
        os.kill(made.process.pid, signal.SIGCONT)
        made.pins.wait_for(False, 0.5)
