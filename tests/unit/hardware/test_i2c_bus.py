"""The I2C bus: the kernel's error numbers become named errors; smbus2's calls reach the chip."""

from __future__ import annotations

import errno
import os

import pytest
from smbus2 import i2c_msg

from hardware import errors
from hardware.buses.i2c import I2cBus, I2cOptions, open_i2c
from hardware.mock.wires.i2c_bus import SimulatedI2cBus


class Memory:
    """A chip of 256 bytes with a pointer that moves on."""

    def __init__(self) -> None:
        self.cells = bytearray(256)
        self.pointer = 0

    def write(self, sent: bytes) -> None:
        if sent:
            self.pointer = sent[0]
            self.cells[self.pointer : self.pointer + len(sent) - 1] = sent[1:]

    def read(self, count: int) -> bytes:
        got = bytes(self.cells[self.pointer : self.pointer + count])
        self.pointer = (self.pointer + count) % 256
        return got


class Failing:
    """A wire that fails with one error number, and counts how often it was opened and closed."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.opened = 0
        self.closed = 0

    def open(self) -> Failing:
        self.opened += 1
        return self

    def read_i2c_block_data(self, i2c_addr: int, register: int, length: int, /) -> list[int]:
        raise OSError(self.number, os.strerror(self.number))

    def write_i2c_block_data(self, i2c_addr: int, register: int, data: list[int], /) -> None:
        raise OSError(self.number, os.strerror(self.number))

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(
    ("number", "kind", "says", "reopens"),
    [
        (errno.EREMOTEIO, errors.DeviceAbsent, "no acknowledge", False),
        (errno.ENXIO, errors.DeviceAbsent, "no acknowledge", False),
        (errno.EIO, errors.DeviceAbsent, "no acknowledge", False),
        (errno.ETIMEDOUT, errors.BusStuck, "SDA and SCL", True),
        (errno.EAGAIN, errors.BusTimeout, "arbitration", False),
        (errno.EBUSY, errors.DeviceRefused, "kernel driver", False),
        (errno.ENOENT, errors.BusUnavailable, "enable I2C", True),
        (errno.EACCES, errors.BusUnavailable, "group i2c", True),
        (errno.ECONNREFUSED, errors.BusUnavailable, "refused", True),
    ],
)
def test_error_numbers_become_named_errors(number, kind, says, reopens):
    wire = Failing(number)
    bus = I2cBus(wire.open, "i2c1")
    with pytest.raises(kind, match="i2c1") as raised:
        bus.read_word(0x40, 0)
    assert says in str(raised.value)
    with pytest.raises(kind):
        bus.write_word(0x40, 0, 0)
    assert (wire.opened, wire.closed) == ((2, 2) if reopens else (1, 0))


def test_a_bus_that_is_not_there_is_found_on_first_use_only():
    bus = open_i2c(I2cOptions(device="/dev/i2c-none"))
    with pytest.raises(errors.BusUnavailable, match="enable I2C"):
        bus.read_word(0x40, 0)
    bus.close()


def test_words_travel_most_significant_byte_first():
    chip = Memory()
    bus = I2cBus(lambda: SimulatedI2cBus({0x50: chip}), "i2c1")
    bus.write_word(0x50, 5, 0xA2C4)
    assert chip.cells[5:7] == b"\xa2\xc4"
    assert bus.read_word(0x50, 5) == 0xA2C4


def test_every_call_of_smbus2_reaches_the_chip():
    chip = Memory()
    with SimulatedI2cBus({0x50: chip}) as bus:
        bus.write_quick(0x50)
        bus.write_byte_data(0x50, 1, 0x11)
        bus.write_word_data(0x50, 2, 0x3322)
        bus.write_i2c_block_data(0x50, 4, [0x44, 0x55])
        assert chip.cells[1:6] == b"\x11\x22\x33\x44\x55"
        bus.write_byte(0x50, 1)
        assert [bus.read_byte(0x50), bus.read_byte(0x50)] == [0x11, 0x22]
        assert bus.read_byte_data(0x50, 3) == 0x33
        assert bus.read_word_data(0x50, 4) == 0x5544
        assert bus.read_i2c_block_data(0x50, 1, 5) == [0x11, 0x22, 0x33, 0x44, 0x55]


def test_combined_messages_are_transfers_of_their_own():
    chip, other = Memory(), Memory()
    bus = SimulatedI2cBus({0x50: chip, 0x51: other})
    other.cells[0] = 9
    write, read, last = (
        i2c_msg.write(0x50, [7, 1, 2]),
        i2c_msg.read(0x51, 1),
        i2c_msg.write(0x50, [7]),
    )
    got, more = i2c_msg.read(0x50, 2), i2c_msg.read(0x50, 1)
    bus.i2c_rdwr(write, read, last, got, more, i2c_msg.write(0x51, [3, 8]))
    assert (bytes(read), bytes(got), bytes(more)) == (b"\x09", b"\x01\x02", b"\x00")
    assert other.cells[3] == 8


@pytest.mark.parametrize("length", [0, 33])
def test_a_block_longer_than_smbus_carries_is_refused(length):
    bus = SimulatedI2cBus({0x50: Memory()})
    with pytest.raises(ValueError, match=f"a block of {length} bytes"):
        bus.read_i2c_block_data(0x50, 0, length)


def test_nobody_acknowledges_a_free_address():
    with pytest.raises(OSError, match="Remote I/O") as raised:
        SimulatedI2cBus().read_byte(0x40)
    assert raised.value.errno == 121


def test_two_chips_cannot_share_an_address():
    bus = SimulatedI2cBus({0x50: Memory()})
    with pytest.raises(ValueError, match="0x50 is taken"):
        bus.attach(0x50, Memory())


def test_a_stuck_bus_loses_every_device_and_comes_back():
    bus = SimulatedI2cBus({0x50: Memory(), 0x51: Memory()})
    bus.faults.switch("stuck", True)
    for addr in (0x50, 0x51, 0x52):
        with pytest.raises(OSError, match="timed out") as raised:
            bus.read_byte(addr)
        assert raised.value.errno == 110
    bus.faults.switch("stuck", False)
    assert bus.read_byte(0x50) == 0


def test_a_flaky_wire_fails_now_and_then():
    bus = SimulatedI2cBus({0x50: Memory()}, seed=1)
    bus.faults.switch("flaky", True)
    failures = 0
    for _ in range(1_000):
        try:
            bus.read_byte(0x50)
        except OSError as error:
            failures += error.errno == 121
    assert 5 <= failures <= 50
