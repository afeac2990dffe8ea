"""No fault of a serial line makes the reply to one request pass for that to another.

Simulated time: the bus and its framing are the real ones, the wire is a list of what arrives when.
All requests ask for the same number of registers, so that only their order tells replies apart. A
late reply comes up to 1.8 times the timeout after its request. The cases are the same each time:
one in a million, half a reply that another device's late half completes, is beyond any client.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.buses.modbus import ModbusBus, Timing
from hardware.buses.modbus_frames import RtuFraming
from hardware.buses.modbus_lines import Clock
from hardware.errors import TransientHardwareError
from hardware.mock.wires.modbus_rtu import crc16

BAUD = 9_600
TIMING = Timing(
    latency_s=0.2,
    margin_s=0.05,
    byte_s=11 / BAUD,
    silence_s=38.5 / BAUD,
    pause_s=0.1,
    settle=1.0,
)
Parts = list[tuple[float, bytes]]
"""What arrives, and how long after the reply should have begun. [s]"""


def flipped(reply: bytes, bit: int) -> bytes:
    return (int.from_bytes(reply, "big") ^ 1 << bit).to_bytes(len(reply), "big")


def late_s(dice: random.Random, reply: bytes) -> float:
    return dice.uniform(0.5, 1.0) * TIMING.timeout_s(None, 8 + len(reply))


FAULTS: dict[str, Callable[[random.Random, bytes, bytes], Parts]] = {
    "none": lambda dice, asked, reply: [(0.0, reply)],
    "silent": lambda dice, asked, reply: [],
    "late": lambda dice, asked, reply: [(late_s(dice, reply), reply)],
    "half": lambda dice, asked, reply: [(0.0, reply[:4])],
    "half, the rest late": lambda dice, asked, reply: [
        (0.0, reply[:4]),
        (late_s(dice, reply), reply[4:]),
    ],
    "split": lambda dice, asked, reply: [
        (0.0, reply[:4]),
        (dice.uniform(0.02, 0.05), reply[4:]),
    ],
    "bit flip": lambda dice, asked, reply: [(0.0, flipped(reply, dice.randrange(8 * len(reply))))],
    "stray zeros": lambda dice, asked, reply: [(0.0, bytes(dice.randrange(1, 4)) + reply)],
    "noise": lambda dice, asked, reply: [(0.0, dice.randbytes(dice.randrange(1, 30)) + reply)],
    "noise, then late": lambda dice, asked, reply: [
        (0.0, dice.randbytes(20)),
        (late_s(dice, reply), reply),
    ],
    "echo": lambda dice, asked, reply: [(0.0, asked + reply)],
    "wrong id": lambda dice, asked, reply: [(0.0, framed(bytes([reply[0] % 3 + 1]) + reply[1:-2]))],
    "wrong function": lambda dice, asked, reply: [
        (0.0, framed(bytes([reply[0], reply[1] ^ 7]) + reply[2:-2]))
    ],
    "wrong length": lambda dice, asked, reply: [(0.0, framed(reply[:2] + b"\x02" + reply[3:5]))],
    "a twin behind it": lambda dice, asked, reply: [
        (0.0, reply),
        (dice.uniform(0.0, 0.05), framed(reply[:3] + b"\xff\xff\xff\xff")),
    ],
}


class Wire:
    """A line whose far end answers each request with words that name it, as its faults let it."""

    name = "wire"

    def __init__(self, seed: int) -> None:
        self.now_s = 0.0
        self.fault = "none"
        self.random = random.Random(seed)
        self._arriving: list[tuple[float, bytes]] = []
        self._is_open = False

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def ready(self) -> bytes:
        """What came while nobody listened is lost with the port, or read before the request."""
        came = b"".join(content for at_s, content in self._arriving if at_s <= self.now_s)
        self._arriving = [each for each in self._arriving if each[0] > self.now_s]
        was_open, self._is_open = self._is_open, True
        return came if was_open else b""

    def send(self, content: bytes) -> None:
        device, function, address = content[0], content[1], content[2:4]
        words = bytes([device, function]) + address
        reply = framed(bytes([device, function, 4]) + words)
        latency_s = self.random.uniform(0.005, TIMING.latency_s - 0.01)
        begins_s = self.now_s + TIMING.byte_s * len(content) + latency_s
        for after_s, part in FAULTS[self.fault](self.random, content, reply):
            self._arriving.append((begins_s + after_s, part))
        self._arriving.sort(key=lambda each: each[0])

    def hear(self, until_s: float) -> bytes:
        if not self._arriving or self._arriving[0][0] > until_s:
            self.now_s = max(self.now_s, until_s)
            return b""
        at_s, content = self._arriving.pop(0)
        self.now_s = max(self.now_s, at_s)
        return content

    def close(self) -> None:
        self._is_open = False


def framed(head: bytes) -> bytes:
    return head + crc16(head)


def ask(bus: ModbusBus, device: int, function: int, address: int) -> bool:
    """Return whether there was an answer; it must be the right one."""
    try:
        got = bus.read_words(device, function, address, 2)
    except TransientHardwareError:
        return False
    assert got == (device << 8 | function, address)
    return True


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32))
def test_a_late_reply_is_never_taken_for_the_next_over_200_random_faults(seed):
    wire = Wire(seed)
    bus = ModbusBus(wire, RtuFraming(), TIMING, Clock(lambda: wire.now_s, wire.sleep))
    answered = dict.fromkeys(FAULTS, 0)
    for _ in range(200):
        wire.fault = wire.random.choice(list(FAULTS))
        device, function = wire.random.randrange(1, 4), wire.random.choice((3, 4))
        answered[wire.fault] += ask(bus, device, function, wire.random.randrange(1 << 16))
    assert answered["silent"] + answered["half"] + answered["bit flip"] == 0
    assert min(answered[fault] for fault in ("stray zeros", "split", "echo", "noise")) > 0
    wire.sleep(1.0)
    wire.fault = "none"
    assert all(ask(bus, device, 4, 7) for device in (1, 2, 3))


@given(st.integers(0, 1 << 32), st.sampled_from(list(FAULTS)))
def test_a_fault_of_one_device_costs_the_next_one_at_most_a_retry(seed, fault):
    wire = Wire(seed)
    bus = ModbusBus(wire, RtuFraming(), TIMING, Clock(lambda: wire.now_s, wire.sleep))
    wire.fault = fault
    ask(bus, 1, 4, 0)
    wire.fault = "none"
    assert ask(bus, 2, 4, 8) or ask(bus, 2, 4, 8)
