"""The I2C bus: sixteen-bit registers through smbus2, or through anything with its interface.

The bus opens on first use and again after a failure, so that an edge starts without it. Errors
of the kernel become errors of `hardware.errors`, each with what to look at.
Source of the error numbers: Linux Documentation/i2c/fault-codes.rst.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from hardware import options
from hardware.errors import (
    BusStuck,
    BusTimeout,
    BusUnavailable,
    DeviceAbsent,
    DeviceRefused,
    HardwareError,
)
from hardware.ports import Trace

_ABSENT = frozenset({errno.EREMOTEIO, errno.ENXIO, errno.EIO})
_UNAVAILABLE = frozenset({errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENODEV})


class SmbusWire(Protocol):
    """What is used of smbus2.SMBus; failures are OSError with the kernel's number."""

    def read_i2c_block_data(self, i2c_addr: int, register: int, length: int, /) -> list[int]:
        """Set the register pointer and read `length` bytes."""

    def write_i2c_block_data(self, i2c_addr: int, register: int, data: Sequence[int], /) -> None:
        """Set the register pointer and write bytes."""

    def read_byte(self, i2c_addr: int, /) -> int:
        """Read one byte from wherever the device's pointer stands."""

    def close(self) -> None:
        """Let go of the bus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class I2cOptions:
    """Where an I2C bus is."""

    device: str = options.text("the bus's device file, as /dev/i2c-1")


class I2cBus:
    """One I2C bus, shared by the devices on it and by threads."""

    def __init__(self, opener: Callable[[], SmbusWire], name: str) -> None:
        """Remember how to open the wire; `name` stands in error messages."""
        self.trace: Trace | None = None
        self._opener = opener
        self._name = name
        self._wire: SmbusWire | None = None
        self._lock = threading.Lock()

    def read_word(self, address: int, register: int) -> int:
        """Return a register, most significant byte first on the wire.

        Raises:
            DeviceAbsent: nobody acknowledged the address.
            BusStuck: a wire is held low, or a device stretches the clock too long.
            BusUnavailable: the bus cannot be opened.
        """
        with self._lock:
            self._tell("sent", address, register)
            try:
                got = self._opened().read_i2c_block_data(address, register, 2)
            except OSError as error:
                raise self._failure(error, address) from error
            self._tell("heard", address, *got)
        return got[0] << 8 | got[1]

    def write_word(self, address: int, register: int, word: int) -> None:
        """Write a register, most significant byte first; raises as `read_word` does."""
        sent = [word >> 8, word & 0xFF]
        with self._lock:
            self._tell("sent", address, register, *sent)
            try:
                self._opened().write_i2c_block_data(address, register, sent)
            except OSError as error:
                raise self._failure(error, address) from error

    def is_answered(self, address: int) -> bool:
        """Whether something acknowledges this address; nothing is written to it.

        Raises:
            BusStuck, BusUnavailable: as `read_word`.
        """
        with self._lock:
            try:
                self._opened().read_byte(address)
            except OSError as error:
                failure = self._failure(error, address)
                if isinstance(failure, DeviceAbsent):
                    return False
                if isinstance(failure, DeviceRefused):
                    return True
                raise failure from error
        return True

    def close(self) -> None:
        """Close the wire; the next transfer opens it again."""
        with self._lock:
            self._drop()

    def _opened(self) -> SmbusWire:
        if self._wire is None:
            self._wire = self._opener()
        return self._wire

    def _drop(self) -> None:
        if self._wire is not None:
            wire, self._wire = self._wire, None
            wire.close()

    def _tell(self, direction: Literal["sent", "heard"], *content: int) -> None:
        if self.trace is not None:
            self.trace(direction, bytes(content), time.monotonic())

    def _failure(self, error: OSError, address: int) -> HardwareError:
        self._tell("heard", address)
        where = f"i2c bus {self._name}, address 0x{address:02X}"
        number = error.errno
        if number in _ABSENT:
            return DeviceAbsent(f"{where}: no acknowledge; check power, wires and address")
        if number == errno.EBUSY:
            return DeviceRefused(f"{where}: a kernel driver owns this address")
        if number == errno.EAGAIN:
            return BusTimeout(f"{where}: lost arbitration to another master")
        self._drop()
        if number == errno.ETIMEDOUT:
            return BusStuck(f"{where}: the bus is stuck; check SDA and SCL for a short")
        if number in _UNAVAILABLE:
            return BusUnavailable(
                f"i2c bus {self._name}: {error.strerror}; enable I2C and join the group i2c"
            )
        return BusUnavailable(f"{where}: {error}")


def open_i2c(given: I2cOptions) -> I2cBus:
    """Return the bus behind a device file of Linux."""

    def opener() -> SmbusWire:
        from smbus2 import SMBus

        return SMBus(given.device)

    return I2cBus(opener, given.device)
