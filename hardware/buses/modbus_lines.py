"""The bytes below Modbus: a serial port through pyserial, or a TCP connection.

A line that failed is closed by whoever uses it, and opens again with the next request. Every wait
has an end: a far end that accepts and never answers costs a deadline and not the thread.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import socket
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import serial

from hardware.errors import BusUnavailable

_CHUNK = 4_096
_WRITE_S = 1.0
_BACKOFF_S, _BACKOFF_MAX_S = 0.25, 30.0
_KEEPALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))


@dataclass(frozen=True, slots=True)
class Clock:
    """What time it is, and waiting. A test may have its own."""

    now_s: Callable[[], float]
    sleep_s: Callable[[float], object]

    def wait_until(self, moment_s: float) -> None:
        """Return at this moment, at once if it is past."""
        left_s = moment_s - self.now_s()
        if left_s > 0:
            self.sleep_s(left_s)


MONOTONIC: Final = Clock(time.monotonic, time.sleep)


class Line(Protocol):
    """Bytes to and from the far end; any call may raise `BusUnavailable`."""

    name: str

    def ready(self) -> bytes:
        """Open the line if it is closed, and return what came unasked."""

    def send(self, content: bytes) -> None:
        """Send bytes."""

    def hear(self, until_s: float) -> bytes:
        """Return what comes as soon as something does; empty when this moment has come."""

    def close(self) -> None:
        """Close the line; what is still on its way is lost."""


class SerialLine:
    """A serial port, held alone."""

    def __init__(self, device: str, *, baud: int, parity: str, stopbits: int) -> None:
        """Know the port; it is not opened yet."""
        self.name = f"modbus_rtu {device}"
        self._device = device
        self._settings = {"baudrate": baud, "parity": parity, "stopbits": stopbits}
        self._port: serial.Serial | None = None

    def ready(self) -> bytes:
        """Open the port if it is closed, and return what came unasked."""
        if self._port is None:
            self._port = self._opened()
            return b""
        came = b""
        while some := self.hear(0.0):
            came += some
        return came

    def send(self, content: bytes) -> None:
        """Hand bytes to the port; they leave at the speed of the line."""
        port = self._held()
        try:
            port.write(content)
        except OSError as error:
            raise self._lost() from error

    def hear(self, until_s: float) -> bytes:
        """Return what comes until this moment."""
        port = self._held()
        try:
            left_s = max(0.0, until_s - MONOTONIC.now_s())
            if not select.select([port.fileno()], [], [], left_s)[0]:
                return b""
            came = os.read(port.fileno(), _CHUNK)
        except OSError as error:
            raise self._lost() from error
        if not came:
            raise self._lost()
        return came

    def close(self) -> None:
        """Close the port."""
        if self._port is not None:
            with contextlib.suppress(OSError, termios.error):
                self._port.close()
        self._port = None

    def _opened(self) -> serial.Serial:
        try:
            return serial.Serial(
                self._device, timeout=0, write_timeout=_WRITE_S, exclusive=True, **self._settings
            )
        except (OSError, ValueError, termios.error) as error:
            raise self._lost() from error

    def _held(self) -> serial.Serial:
        if self._port is None:
            raise AssertionError(f"{self.name} is used before it is ready")
        return self._port

    def _lost(self) -> BusUnavailable:
        """Close the port and say what a person can see of it."""
        self.close()
        if not Path(self._device).exists():
            why = "no such port; is the adapter plugged in?"
        elif not os.access(self._device, os.R_OK | os.W_OK):
            why = "no permission; join the group dialout"
        else:
            why = "cannot open, or the connection broke; does another program hold it?"
        return BusUnavailable(f"{self.name}: {why}")


class SocketLine:
    """A TCP connection. One that fails again and again is tried ever less often, with jitter."""

    def __init__(self, name: str, host: str, port: int, connect_s: float) -> None:
        """Know the far end; nothing is connected yet."""
        self.name = f"{name} {host}:{port}"
        self._place = (host, port)
        self._connect_s = connect_s
        self._socket: socket.socket | None = None
        self._has_answered = False
        self._failures = 0
        self._not_before_s = 0.0
        self._why = ""

    def ready(self) -> bytes:
        """Connect if there is no connection, or it was closed meanwhile."""
        came = b""
        if self._socket is not None:
            try:
                while some := self.hear(0.0):
                    came += some
            except BusUnavailable:
                self._not_before_s = 0.0  # hanging up on an idle client is good manners
        if self._socket is None:
            self._socket = self._connected()
        return came

    def send(self, content: bytes) -> None:
        """Send bytes; that they arrive is not known before an answer."""
        try:
            self._held().sendall(content)
        except OSError as error:
            raise self._hung_up() from error

    def hear(self, until_s: float) -> bytes:
        """Return what comes until this moment."""
        held = self._held()
        try:
            left_s = max(0.0, until_s - MONOTONIC.now_s())
            if not select.select([held], [], [], left_s)[0]:
                return b""
            came = held.recv(_CHUNK)
        except OSError as error:
            raise self._hung_up() from error
        if not came:
            raise self._hung_up()
        self._has_answered, self._failures = True, 0
        return came

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _connected(self) -> socket.socket:
        left_s = self._not_before_s - MONOTONIC.now_s()
        if left_s > 0:
            raise BusUnavailable(f"{self.name}: {self._why}; next try in {left_s:.1f} s")
        self._has_answered = False
        try:
            made = socket.create_connection(self._place, timeout=self._connect_s)
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE:
                if hasattr(socket, option):
                    made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        except OSError as error:
            raise self._lost("cannot connect; check host, port and the network") from error
        return made

    def _held(self) -> socket.socket:
        if self._socket is None:
            raise AssertionError(f"{self.name} is used before it is ready")
        return self._socket

    def _hung_up(self) -> BusUnavailable:
        if self._has_answered:
            return self._lost("the far end closed the connection")
        return self._lost("the far end closed the connection at once; does somebody else hold it?")

    def _lost(self, why: str) -> BusUnavailable:
        """Close the connection, and leave the far end alone for a while if it never answered."""
        self.close()
        self._why = why
        if not self._has_answered:
            longest_s = min(_BACKOFF_S * 2 ** min(self._failures, 10), _BACKOFF_MAX_S)
            jitter = random.uniform(0.5, 1.0)  # noqa: S311 - so that edges do not come together
            self._not_before_s = MONOTONIC.now_s() + longest_s * jitter
            self._failures += 1
        return BusUnavailable(f"{self.name}: {why}")
