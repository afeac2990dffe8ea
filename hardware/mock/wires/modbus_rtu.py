"""The far end of a serial Modbus line: requests out of bytes, replies at the speed of the wire.

With a baud rate, bytes take their time in both directions (11 bits a character), a frame begins
after 3.5 characters of silence only, and who talks while another does garbles both.

Source: Modbus over serial line 1.02, 2.5.1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hardware.mock.wires.modbus_line import Line, Part, Reply
from hardware.mock.wires.modbus_pdu import ModbusDevice

_FIXED_BYTES = {1: 8, 2: 8, 3: 8, 4: 8, 5: 8, 6: 8, 0x2B: 7}
_COUNTED = (0x0F, 0x10)
_FORGET_S = 0.05
_BITS = 11
_SILENT_CHARACTERS = 3.5
_FAST_BAUD, _FAST_SILENCE_S = 19_200, 0.001_75
_STEP_S = 0.004
_GARBLED = 0x5A


def crc16(frame: bytes) -> bytes:
    """Return the two check bytes of an RTU frame, low byte first.

    >>> crc16(bytes.fromhex("010400000002")).hex()
    '71cb'
    """
    crc = 0xFFFF
    for byte in frame:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


@dataclass(frozen=True, slots=True)
class Pace:
    """How long one character takes, and the silence between two frames. [s]"""

    character_s: float
    silence_s: float

    @classmethod
    def of(cls, baud: int | None) -> Pace:
        """Return the pace of a line; without a baud rate everything is at once."""
        if baud is None:
            return cls(0.0, 0.0)
        character_s = _BITS / baud
        slow_s = _SILENT_CHARACTERS * character_s
        return cls(character_s, slow_s if baud <= _FAST_BAUD else _FAST_SILENCE_S)


class RtuSide:
    """Devices on a serial line, fed with a master's bytes as they come."""

    def __init__(
        self,
        devices: Mapping[int, ModbusDevice],
        loop: asyncio.AbstractEventLoop,
        write: Callable[[bytes], object],
        baud: int | None,
    ) -> None:
        """Know the devices; `write` puts bytes on the wire."""
        self.line = Line(devices, loop.time, is_serial=True)
        self._loop = loop
        self._write = write
        self._pace = Pace.of(baud)
        self._buffer = b""
        self._forgetting: asyncio.TimerHandle | None = None
        self._talks: set[asyncio.Task[None]] = set()
        self._talkers = 0
        self._master_until_s = 0.0
        self._quiet_at_s = 0.0
        self._is_heard = True

    def receive(self, data: bytes) -> None:
        """Take bytes of the master, who sent them at this moment."""
        if not self._pace.character_s:
            self._take(data)
            return
        now_s = self._loop.time()
        if self._master_until_s <= now_s:
            self._is_heard = now_s >= self._quiet_at_s
        begins_s = max(now_s, self._master_until_s)
        self._master_until_s = begins_s + len(data) * self._pace.character_s
        self._quiet_at_s = max(self._quiet_at_s, self._master_until_s + self._pace.silence_s)
        if self._is_heard:
            self._loop.call_at(self._master_until_s, self._take, data)

    def stop(self) -> None:
        """Fall silent at once, inside the loop."""
        for task in self._talks:
            task.cancel()
        if self._forgetting is not None:
            self._forgetting.cancel()

    def _take(self, data: bytes) -> None:
        """Take bytes; what is no whole request when the line falls silent is forgotten."""
        self._buffer += data
        if self._forgetting is not None:
            self._forgetting.cancel()
        self._forgetting = self._loop.call_later(_FORGET_S, self._forget)
        while size := self._request_bytes():
            request, self._buffer = self._buffer[:size], self._buffer[size:]
            if crc16(request[:-2]) == request[-2:]:
                self._serve(request)
            else:
                self._buffer = b""  # a device is silent on a bad checksum

    def _forget(self) -> None:
        self._buffer = b""

    def _request_bytes(self) -> int:
        """Return the length of the first request, or 0 while it is not whole."""
        if len(self._buffer) < 4:
            return 0
        size = _FIXED_BYTES.get(self._buffer[1], 0)
        if self._buffer[1] in _COUNTED and len(self._buffer) > 6:
            size = 9 + self._buffer[6]
        elif not size and self._buffer[1] not in _COUNTED:
            size = len(self._buffer)
        return size if size and len(self._buffer) >= size else 0

    def _serve(self, request: bytes) -> None:
        def frame(own_id: int, reply: bytes) -> bytes:
            head = bytes([own_id]) + reply
            return head + crc16(head)

        if self.line.has("echo"):
            self._write(request)
        reply = self.line.ask(request[0], request[1:-2], frame)
        if reply is None:
            return
        if self._pace.character_s or len(reply.parts) > 1 or reply.parts[0].after_s:
            task = self._loop.create_task(self._play(reply))
            self._talks.add(task)
            task.add_done_callback(self._talks.discard)
        else:
            self._write(reply.parts[0].content)
            self.line.has_replied(reply.devices)

    async def _play(self, reply: Reply) -> None:
        await asyncio.sleep(self._pace.silence_s)
        for part in reply.parts:
            await self._talk(part)
        self.line.has_replied(reply.devices)

    async def _talk(self, part: Part) -> None:
        """Put one part on the wire, a few characters at a time; each is there when it is over."""
        if part.after_s:
            await asyncio.sleep(part.after_s)
        character_s, left = self._pace.character_s, part.content
        step = max(1, int(_STEP_S / character_s)) if character_s else len(left)
        over_s = self._loop.time()
        self._talkers += 1
        try:
            while left:
                some, left = left[:step], left[step:]
                over_s += len(some) * character_s
                await asyncio.sleep(max(0.0, over_s - self._loop.time()))
                self._write(self._heard_by_all(some))
        finally:
            self._talkers -= 1

    def _heard_by_all(self, content: bytes) -> bytes:
        """Return these characters, garbled if somebody else talks too; the line is busy now."""
        now_s = self._loop.time()
        is_alone = self._talkers == 1 and now_s >= self._master_until_s
        self._quiet_at_s = max(self._quiet_at_s, now_s + self._pace.silence_s)
        if is_alone or not self._pace.character_s:
            return content
        return bytes(byte & _GARBLED for byte in content)
