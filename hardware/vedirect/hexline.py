"""Questions and answers in VE.Direct HEX on a line where the device also talks unasked.

One question at a time. Text goes on around it, values come unasked, and an answer to an earlier
question may come late: only a frame with the same command and register is taken for the answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from hardware.errors import BadChecksum, BusTimeout, DeviceRefused, HardwareError
from hardware.ports import BytePort
from hardware.vedirect import frames
from hardware.vedirect.frames import Frame
from hardware.vedirect.registers import refusal_of
from hardware.vedirect.stream import Block, Damage, Stream

_STEP_S: Final = 0.002
_REPLY_TO = {frames.PING: frames.PONG, frames.VERSION: frames.DONE, frames.PRODUCT: frames.DONE}


class HexLine:
    """One device that is asked for registers, by any thread.

    Attributes:
        pushed: the newest value of each register that the device told unasked.
    """

    def __init__(
        self,
        bus: BytePort,
        name: str,
        timeout_s: float,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Use a port, which is not touched yet; `name` stands in error messages."""
        self.pushed: dict[int, bytes] = {}
        self._bus = bus
        self._name = name
        self._timeout_s = timeout_s
        self._clock_s = clock_s
        self._pause = pause
        self._stream = Stream()
        self._lock = threading.Lock()

    def get(self, register: int) -> bytes:
        """Return a register's value.

        Raises:
            DeviceRefused: it has no such register; `code` holds the flags.
            BusTimeout: no answer in time.
            BadChecksum: a damaged frame came, and no answer; or ours arrived damaged.
            TransientHardwareError: the port failed.
        """
        return self.ask(frames.get(register)).value

    def put(self, register: int, value: bytes) -> bytes:
        """Set a register and return the value that the device then tells; raises as `get`."""
        return self.ask(frames.put(register, value)).value

    def ask(self, question: Frame) -> Frame:
        """Send a frame and return its answer; raises as `get`."""
        with self._lock:
            self._hear(question)  # what came before the question answers another
            self._bus.write(frames.write(question))
            until_s = self._clock_s() + self._timeout_s
            damage = ""
            while True:
                answer, broken = self._hear(question)
                if answer is not None:
                    return self._accepted(question, answer)
                damage = damage or broken
                if self._clock_s() >= until_s:
                    raise self._silence(question, damage)
                self._pause(_STEP_S)

    def _hear(self, question: Frame) -> tuple[Frame | None, str]:
        """Take what has come; return the answer in it, if any, and what was damaged."""
        answer, damage = None, ""
        for found in self._stream.feed(self._read()):
            if isinstance(found, Damage):
                damage = found.what if found.in_frame else damage
            elif isinstance(found, Block):
                continue
            elif found.command == frames.ASYNC and found.register is not None:
                self.pushed[found.register] = found.value
            elif _answers(question, found):
                answer = found
        return answer, damage

    def _read(self) -> bytes:
        try:
            return self._bus.read()
        except HardwareError:
            self._stream = Stream()  # what comes next is no continuation
            raise

    def _accepted(self, question: Frame, answer: Frame) -> Frame:
        where = f"{self._name}, {question}"
        if answer.command == frames.ERROR:
            raise BadChecksum(f"{where}: the device could not read this frame")
        if answer.command == frames.UNKNOWN:
            raise DeviceRefused(f"{where}: unknown command")
        if answer.flags:
            raise DeviceRefused(f"{where}: {refusal_of(answer.flags)}", answer.flags)
        return answer

    def _silence(self, question: Frame, damage: str) -> BadChecksum | BusTimeout:
        if damage:
            return BadChecksum(f"{self._name}, {question}: {damage}")
        return BusTimeout(
            f"{self._name}, {question}: no answer in {self._timeout_s * 1000:.0f} ms; "
            "is the RX wire connected?"
        )


def _answers(question: Frame, found: Frame) -> bool:
    """Whether a frame can be the answer to a question, good or bad.

    A question that an adapter echoes is no answer: it has neither value nor flags, nor a body.
    """
    if found.command in (frames.ERROR, frames.UNKNOWN):
        return bool(found.body)
    if question.register is not None:
        is_same = (found.command, found.register) == (question.command, question.register)
        return is_same and bool(found.value or found.flags)
    return found.command == _REPLY_TO.get(question.command)
