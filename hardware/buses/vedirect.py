"""A VE.Direct line: a serial port of 19200 8N1 through pyserial, on which a device talks by itself.

The port opens on first use and again after a failure, so that an edge starts without it, and then
forgets what came before. A port has one owner: it is locked, since two readers would each get
half of the bytes.

Source: Victron VE.Direct protocol papers; pyserial 3.5.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from hardware.buses.vedirect_options import VeDirectPortOptions
from hardware.errors import BusTimeout, BusUnavailable
from hardware.ports import Trace

BAUD = 19_200
_CHUNK = 4_096
_CHUNKS_MAX = 64
_WRITE_S = 1.0


class SerialWire(Protocol):
    """What is used of pyserial's ports; failures are OSError."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes that have come."""

    def write(self, sent: bytes, /) -> int | None:
        """Send bytes."""

    def close(self) -> None:
        """Let go of the port."""


class VeDirectPort:
    """One VE.Direct line."""

    def __init__(self, opener: Callable[[], SerialWire], name: str) -> None:
        """Remember how to open the line; `name` stands in error messages."""
        self.trace: Trace | None = None
        self._opener = opener
        self._name = name
        self._wire: SerialWire | None = None
        self._lock = threading.Lock()

    def read(self) -> bytes:
        """Return what has come since the last call, perhaps nothing.

        Raises:
            BusUnavailable: the port cannot be opened, or it is gone.
        """
        with self._lock:
            try:
                came = self._drain(self._opened())
            except (OSError, ValueError) as error:  # ValueError: a URL of no known kind
                raise self._failure(error) from error
            if self.trace is not None and came:
                self.trace("heard", came, time.monotonic())
        return came

    def write(self, sent: bytes) -> None:
        """Send bytes.

        Raises:
            BusTimeout: the line takes nothing.
            BusUnavailable: the port cannot be opened, or it is gone.
        """
        with self._lock:
            try:
                self._opened().write(sent)
            except (OSError, ValueError) as error:  # ValueError: a URL of no known kind
                raise self._failure(error) from error
            if self.trace is not None:
                self.trace("sent", sent, time.monotonic())

    def close(self) -> None:
        """Close the port; the next call opens it again."""
        with self._lock:
            self._drop()

    @staticmethod
    def _drain(wire: SerialWire) -> bytes:
        """Read until nothing is left, but no endless stream to its end."""
        came = bytearray()
        for _ in range(_CHUNKS_MAX):
            part = wire.read(_CHUNK)
            if not part:
                break
            came += part
        return bytes(came)

    def _opened(self) -> SerialWire:
        if self._wire is None:
            self._wire = self._opener()
        return self._wire

    def _drop(self) -> None:
        if self._wire is not None:
            wire, self._wire = self._wire, None
            wire.close()

    def _failure(self, error: Exception) -> BusTimeout | BusUnavailable:
        from serial import SerialTimeoutException

        self._drop()
        if isinstance(error, SerialTimeoutException):
            return BusTimeout(f"vedirect {self._name}: takes no bytes; is it a VE.Direct port?")
        return BusUnavailable(f"vedirect {self._name}: {_trouble(self._name, error)}")


def open_vedirect(given: VeDirectPortOptions) -> VeDirectPort:
    """Return the line on a serial port; nothing is opened yet."""

    def opener() -> SerialWire:
        from serial import serial_for_url

        options = {} if "://" in given.device else {"exclusive": True}
        port: SerialWire = serial_for_url(
            given.device, BAUD, timeout=0, write_timeout=_WRITE_S, **options
        )
        return port

    return VeDirectPort(opener, given.device)


def _trouble(name: str, error: Exception) -> str:
    """Return what a person can see of a port that does not open or broke."""
    if "://" in name:
        return str(error)
    if not Path(name).exists():
        return "no such port; is the adapter plugged in?"
    if not os.access(name, os.R_OK | os.W_OK):
        return "no permission; join the group dialout"
    return f"{error}; does another program hold it?"
