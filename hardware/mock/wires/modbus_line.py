"""The devices behind one Modbus line, and what goes wrong between them and the wire.

It is asked with the content of a frame and answers with parts: bytes, and the silence before them.
Framing, pace and sockets are its caller's business.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_

from hardware.mock.wires.modbus_pdu import ModbusDevice, answer

_REBOOT_S = 2.0
_SPLIT_S = (0.02, 0.05)
_BROADCAST = 0
_READS, _READ_WORDS = (3, 4), b"\x03"
_OTHER_FUNCTION: Mapping[int, int] = {1: 2, 2: 1, 3: 4, 4: 3, 5: 6, 6: 5, 15: 16, 16: 15}

Frame = Callable[[int, bytes], bytes]
"""Wraps an id and a reply, which begins with its function code, into what goes on the wire."""


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a reply, and how long after the request or the last part they begin. [s]"""

    after_s: float
    content: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes on the wire, and who says it."""

    parts: tuple[Part, ...]
    devices: tuple[ModbusDevice, ...]


class Line:
    """Devices that hear the same requests."""

    def __init__(
        self, devices: Mapping[int, ModbusDevice], clock_s: Callable[[], float], *, is_serial: bool
    ) -> None:
        """Put each device behind its id.

        Args:
            devices: id -> device.
            clock_s: for pauses and restarts. [s]
            is_serial: whether frames have a checksum, which faults can spoil.
        """
        self._devices = tuple(devices.values())
        for device_id, device in devices.items():
            device.device_id = device_id
        self._clock_s = clock_s
        self._is_serial = is_serial
        self._random = random.Random(1)  # noqa: S311 - a repeatable bench, not a secret
        self._replied_at: dict[ModbusDevice, float] = {}
        self._down_until: dict[ModbusDevice, float] = {}
        self._before: dict[tuple[ModbusDevice, bytes], bytes] = {}
        self._turn: dict[ModbusDevice, int] = {}

    def has(self, fault: str) -> bool:
        """Whether any device has this fault on: for what befalls the line as a whole."""
        return any(fault in device.faults.active for device in self._devices)

    def ask(self, asked_id: int, request: bytes, frame: Frame) -> Reply | None:
        """Return what comes of a request, which begins with its function code; None: silence.

        Nobody answers a broadcast but who tells its id so, and where two answer at once nobody is
        understood.
        """
        hearing = [device for device in self._devices if device.hears(asked_id)]
        said = [(device, self._answer(device, request)) for device in hearing if request]
        if asked_id == _BROADCAST:
            said = [each for each in said if each[0].tells_its_id and each[1][:1] == _READ_WORDS]
        replies = [
            (device, self._on_wire(device, asked_id or device.device_id, reply, frame))
            for device, reply in said
            if reply
        ]
        if not replies:
            return None
        if len(replies) > 1:
            collided = _collided([content for _device, content in replies])
            return Reply((Part(0.0, collided),), tuple(device for device, _content in replies))
        device, content = replies[0]
        return Reply(self._parts(device, content), (device,))

    def has_replied(self, devices: Sequence[ModbusDevice]) -> None:
        """Note that these devices' reply is over: their pause begins."""
        for device in devices:
            self._replied_at[device] = self._clock_s()

    def _answer(self, device: ModbusDevice, request: bytes) -> bytes:
        if self._is_deaf(device):
            return b""
        reply = answer(device, request)
        before = self._before.get((device, request), reply)
        if reply[:1] and reply[0] in _READS:
            self._before[device, request] = reply
        return self._misspoken(device, reply, before) if reply else reply

    def _is_deaf(self, device: ModbusDevice) -> bool:
        """Whether it restarts, or takes no request so soon after its last reply."""
        now_s = self._clock_s()
        is_hasty = now_s - self._replied_at.get(device, float("-inf")) < device.haste_s
        if is_hasty and "reboots" in device.faults:
            self._down_until[device] = now_s + _REBOOT_S
        is_down = now_s < self._down_until.get(device, float("-inf"))
        return is_down or (is_hasty and "hurried" in device.faults)

    def _misspoken(self, device: ModbusDevice, reply: bytes, before: bytes) -> bytes:
        """Return a reply as faults of the device itself make it."""
        function, body = reply[0], reply[1:]
        if "torn" in device.faults and function in _READS and len(before) == len(reply):
            body = _torn(body, before[1:])
        if "wrong_length" in device.faults and function in _READS:
            body = bytes([body[0] - 2]) + body[1:-2]
        if "wrong_function" in device.faults:
            function = _OTHER_FUNCTION.get(function, function)
        return bytes([function]) + body

    def _on_wire(self, device: ModbusDevice, asked_id: int, reply: bytes, frame: Frame) -> bytes:
        """Return the bytes of a reply, and what a line makes of them."""
        own_id = asked_id % 247 + 1 if "wrong_id" in device.faults else asked_id
        content = frame(own_id, reply)
        if "two_devices" in device.faults:
            content = self._with_a_twin(device, content, frame(asked_id, _of_a_twin(reply)))
        return self._noisy(device, content) if self._is_serial else content

    def _with_a_twin(self, device: ModbusDevice, own: bytes, twins: bytes) -> bytes:
        """Return the reply of a device, of another with its id, or both on top of each other."""
        turn = self._turn[device] = self._turn.get(device, 0) + 1
        return (own, twins, _collided([own, b"\xff" + twins]))[turn % 3]

    def _noisy(self, device: ModbusDevice, content: bytes) -> bytes:
        if "bad_crc" in device.faults:
            content = content[:-1] + bytes([content[-1] ^ 0x10])
        if "bit_flip" in device.faults:
            bit = self._random.randrange(8 * len(content))
            number = int.from_bytes(content, "little") ^ 1 << bit
            content = number.to_bytes(len(content), "little")
        if "garbage" in device.faults:
            content = self._random.randbytes(self._random.randrange(1, 9)) + content
        return b"\0" + content if "stray_zero" in device.faults else content

    def _parts(self, device: ModbusDevice, content: bytes) -> tuple[Part, ...]:
        if "cut" in device.faults:
            content = content[:-1]
        if "half" in device.faults:
            content = content[: len(content) // 2]
        delay_s = device.delay_s if "late" in device.faults else 0.0
        if "split" not in device.faults:
            return (Part(delay_s, content),)
        half = len(content) // 2
        gap_s = self._random.uniform(*_SPLIT_S)
        return Part(delay_s, content[:half]), Part(gap_s, content[half:])


def _collided(replies: Sequence[bytes]) -> bytes:
    """Return what a line makes of several replies at once: one that pulls it down wins."""
    return bytes(reduce(and_, together) for together in zip(*replies, strict=False))


def _torn(body: bytes, before: bytes) -> bytes:
    """Return a reply with every second word as it was before; the byte count stays."""
    mixed = bytearray(body)
    for at in range(3, len(body), 4):
        mixed[at : at + 2] = before[at : at + 2]
    return bytes(mixed)


def _of_a_twin(reply: bytes) -> bytes:
    """Return what another meter of the same model says: other values, another serial number."""
    if reply[0] not in _READS:
        return reply
    return reply[:2] + bytes(byte ^ place % 2 for place, byte in enumerate(reply[2:]))
