"""The cable between a node and its broker, with somebody on it who does what faults say.

Packets go through unchanged until a fault is on. What he sends besides is published with QoS 0,
which nobody acknowledges: so neither end's count of what is under way is disturbed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from hardware.mock.wires.loop import LoopThread
from testbed.faults.cable import Cable
from testbed.switchboard.packets import Packets
from testbed.switchboard.tampering import Sent, Tampering

DELAY_S: Final = 3.0
TICK_S: Final = 1.0
CUT: Final = "cable_cut"
DELAYED: Final = "delayed"

Write = Callable[[bytes], None]


@dataclass(slots=True)
class _Way:
    """One direction of a connection: what was written goes on in order, now or by and by."""

    loop: asyncio.AbstractEventLoop
    writer: asyncio.StreamWriter
    packets: Packets = field(default_factory=Packets)
    _free_s: float = 0.0

    def write(self, raw: bytes, delay_s: float) -> None:
        now_s = self.loop.time()
        due_s = max(now_s + delay_s, self._free_s)
        if due_s <= now_s:
            self._write(raw)
        else:
            self._free_s = due_s
            self.loop.call_at(due_s, self._write, raw)

    def _write(self, raw: bytes) -> None:
        if not self.writer.is_closing():
            self.writer.write(raw)


@dataclass(slots=True)
class _Link:
    """One connection, both ways."""

    tampering: Tampering
    to_node: _Way
    to_broker: _Way

    def upward(self, chunk: bytes) -> None:
        for packet in self.to_broker.packets.feed(chunk):
            self.send(self.tampering.upward(packet))

    def downward(self, chunk: bytes) -> None:
        for packet in self.to_node.packets.feed(chunk):
            self.send(self.tampering.downward(packet))

    def send(self, sent: Sent) -> None:
        delay_s = DELAY_S if DELAYED in self.tampering.on else 0.0
        for way, packets in ((self.to_broker, sent.to_broker), (self.to_node, sent.to_node)):
            if packets:
                way.write(b"".join(packets), delay_s)


class Line(Cable):
    """A cable whose messages can be tampered with."""

    def __init__(self, broker_port: int, tampering: Tampering, *, loop: LoopThread) -> None:
        """Listen at once, on loopback; the loop's thread owns `tampering` from now on."""
        self._tampering = tampering
        self._link: _Link | None = None
        super().__init__(broker_port, loop=loop)
        self._ticking = asyncio.run_coroutine_threadsafe(self._tick(), loop.loop)

    def is_on(self, fault: str) -> bool:
        """Whether a fault is on."""
        return fault in self._tampering.on

    def turn(self, fault: str, on: bool) -> None:
        """Begin or end a fault."""
        self._thread.call(self._turn(fault, on))

    async def _turn(self, fault: str, on: bool) -> None:
        (self._tampering.on.add if on else self._tampering.on.discard)(fault)
        if fault == CUT:
            await (self._cut() if on else self._mend())

    def _ways(
        self, node: asyncio.StreamWriter, broker: asyncio.StreamWriter
    ) -> tuple[Write, Write]:
        loop = self._thread.loop
        self._link = _Link(self._tampering, _Way(loop, node), _Way(loop, broker))
        return self._link.upward, self._link.downward

    async def _tick(self) -> None:
        """Let the newest connection carry, once a second, what faults send besides."""
        while True:
            await asyncio.sleep(TICK_S)
            if self._link is not None and CUT not in self._tampering.on:
                self._link.send(self._tampering.each_second())

    async def _stop(self) -> None:
        self._ticking.cancel()
        await super()._stop()


@dataclass(frozen=True, slots=True)
class OnLine:
    """One fault of one line."""

    line: Line
    fault: str

    @property
    def is_on(self) -> bool:
        """Whether it is played."""
        return self.line.is_on(self.fault)

    def turn(self, on: bool) -> None:
        """Begin or end it."""
        self.line.turn(self.fault, on)
