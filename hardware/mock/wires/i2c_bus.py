"""A simulated I2C bus with smbus2's interface.

`SmbusShape` turns smbus2's calls into the three things that happen on the wire: a write, a read,
and a write followed by a repeated start and a read. `SimulatedI2cBus` answers them from chips;
the remote bus sends them over a socket. Failures are OSError with Linux' numbers.
"""

from __future__ import annotations

import errno
import os
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from hardware.mock.faults import FaultSwitches

_READ_FLAG = 0x0001
_BLOCK_MAX = 32
"""The longest SMBus block. Source: SMBus 2.0, 5.5.7."""


def bus_error(number: int) -> OSError:
    """Return the kernel's error with its own words."""
    return OSError(number, os.strerror(number))


class SmbusShape(ABC):
    """smbus2.SMBus' calls over three wire operations."""

    @abstractmethod
    def i2c_write(self, addr: int, sent: bytes) -> None:
        """Address a device for writing and send bytes, perhaps none."""

    @abstractmethod
    def i2c_read(self, addr: int, count: int) -> bytes:
        """Address a device for reading and receive `count` bytes."""

    @abstractmethod
    def i2c_write_read(self, addr: int, sent: bytes, count: int) -> bytes:
        """Write, then read after a repeated start."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Let go of the bus."""

    def write_quick(self, i2c_addr: int, force: bool | None = None) -> None:
        """Probe an address."""
        self.i2c_write(i2c_addr, b"")

    def read_byte(self, i2c_addr: int, force: bool | None = None) -> int:
        """Read one byte from where the pointer stands."""
        return self.i2c_read(i2c_addr, 1)[0]

    def write_byte(self, i2c_addr: int, value: int, force: bool | None = None) -> None:
        """Write one byte: on a register chip, set the pointer."""
        self.i2c_write(i2c_addr, bytes([value]))

    def read_byte_data(self, i2c_addr: int, register: int, force: bool | None = None) -> int:
        """Read the first byte of a register."""
        return self.i2c_write_read(i2c_addr, bytes([register]), 1)[0]

    def write_byte_data(
        self, i2c_addr: int, register: int, value: int, force: bool | None = None
    ) -> None:
        """Write the first byte of a register."""
        self.i2c_write(i2c_addr, bytes([register, value]))

    def read_word_data(self, i2c_addr: int, register: int, force: bool | None = None) -> int:
        """Read two bytes as SMBus does: the first one is the low byte."""
        return int.from_bytes(self.i2c_write_read(i2c_addr, bytes([register]), 2), "little")

    def write_word_data(
        self, i2c_addr: int, register: int, value: int, force: bool | None = None
    ) -> None:
        """Write two bytes as SMBus does: the low byte first."""
        self.i2c_write(i2c_addr, bytes([register]) + value.to_bytes(2, "little"))

    def read_i2c_block_data(
        self, i2c_addr: int, register: int, length: int, force: bool | None = None
    ) -> list[int]:
        """Read bytes from a register in the order of the wire."""
        self._check_block(length)
        return list(self.i2c_write_read(i2c_addr, bytes([register]), length))

    def write_i2c_block_data(
        self, i2c_addr: int, register: int, data: Sequence[int], force: bool | None = None
    ) -> None:
        """Write bytes to a register in the order of the wire."""
        self._check_block(len(data))
        self.i2c_write(i2c_addr, bytes([register, *data]))

    def i2c_rdwr(self, *i2c_msgs: Any) -> None:
        """Run smbus2.i2c_msg messages; a write and a read of one address become one transfer."""
        waiting: Any = None
        for message in i2c_msgs:
            if not message.flags & _READ_FLAG:
                self._send(waiting)
                waiting = message
            elif waiting is not None and waiting.addr == message.addr:
                self._fill(message, self.i2c_write_read(message.addr, bytes(waiting), message.len))
                waiting = None
            else:
                self._send(waiting)
                waiting = None
                self._fill(message, self.i2c_read(message.addr, message.len))
        self._send(waiting)

    def _send(self, message: Any) -> None:
        if message is not None:
            self.i2c_write(message.addr, bytes(message))

    @staticmethod
    def _fill(message: Any, got: bytes) -> None:
        for place, byte in enumerate(got):
            message.buf[place] = bytes([byte])

    @staticmethod
    def _check_block(length: int) -> None:
        if not 1 <= length <= _BLOCK_MAX:
            raise ValueError(f"a block of {length} bytes: SMBus carries 1 to {_BLOCK_MAX}")


class I2cChip(Protocol):
    """A chip behind an address. It may raise OSError to refuse."""

    def write(self, sent: bytes) -> None:
        """Take the bytes of one write."""

    def read(self, count: int) -> bytes:
        """Return `count` bytes from where its pointer stands."""


class SimulatedI2cBus(SmbusShape):
    """Chips by address, and faults of the whole bus: stuck, flaky."""

    def __init__(self, chips: dict[int, I2cChip] | None = None, *, seed: int = 0) -> None:
        """Wire these chips; more may be attached later."""
        self.faults = FaultSwitches("stuck", "flaky")
        self._chips: dict[int, I2cChip] = dict(chips or {})
        self._chance = random.Random(seed)  # noqa: S311 - a repeatable bench, not a secret

    def attach(self, addr: int, chip: I2cChip) -> None:
        """Wire a chip to an address.

        Raises:
            ValueError: the address is taken: two chips on one address garble each other.
        """
        if addr in self._chips:
            raise ValueError(f"address 0x{addr:02X} is taken")
        self._chips[addr] = chip

    def i2c_write(self, addr: int, sent: bytes) -> None:
        """Hand a write to its chip."""
        self._chip(addr).write(sent)

    def i2c_read(self, addr: int, count: int) -> bytes:
        """Read from a chip."""
        return self._chip(addr).read(count)

    def i2c_write_read(self, addr: int, sent: bytes, count: int) -> bytes:
        """Write to a chip and read from it."""
        chip = self._chip(addr)
        chip.write(sent)
        return chip.read(count)

    def close(self) -> None:
        """Leave the chips as they are: another master may open the bus again."""

    def _chip(self, addr: int) -> I2cChip:
        if "stuck" in self.faults:
            raise bus_error(errno.ETIMEDOUT)
        if "flaky" in self.faults and self._chance.randrange(50) == 0:
            raise bus_error(errno.EREMOTEIO)
        if addr not in self._chips:
            raise bus_error(errno.EREMOTEIO)
        return self._chips[addr]
