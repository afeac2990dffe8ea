"""Blocks that are too long for a device are read in smaller ones, and only then."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hardware.block_reader import BlockReader
from hardware.errors import BadChecksum, BusTimeout, DeviceAbsent, DeviceRefused
from hardware.registers import Block, Register, block_of


def rows(*addresses: int, words: int = 2, function: int = 4) -> tuple[Register, ...]:
    return tuple(
        Register(f"at_{address}", "", function, address, "u32", words) for address in addresses
    )


class Device:
    """A `ModbusPort` whose register n holds n; `objection` may raise to a request."""

    def __init__(self, objection: Callable[[int, int], None] = lambda address, count: None) -> None:
        self.asked: list[tuple[int, int]] = []
        self.objection = objection

    def read_words(self, device: int, function: int, address: int, count: int) -> tuple[int, ...]:
        self.asked.append((address, count))
        self.objection(address, count)
        return tuple(range(address, address + count))

    def read_bits(self, device: int, function: int, address: int, count: int) -> tuple[bool, ...]:
        self.asked.append((address, count))
        return tuple(place % 2 == 1 for place in range(address, address + count))


def refuses_above(most: int, code: int = 2) -> Callable[[int, int], None]:
    def object_to(address: int, count: int) -> None:
        if count > most:
            raise DeviceRefused(f"exception {code}", code)

    return object_to


def is_mute_above(most: int) -> Callable[[int, int], None]:
    def object_to(address: int, count: int) -> None:
        if count > most:
            raise BusTimeout("no reply")

    return object_to


def lacks(lacking: int) -> Callable[[int, int], None]:
    def object_to(address: int, count: int) -> None:
        if address <= lacking < address + count:
            raise DeviceRefused("exception 2", 2)

    return object_to


BLOCK = block_of(rows(0, 2, 6, 8))
FOUND = {"at_0": (0, 1), "at_2": (2, 3), "at_6": (6, 7), "at_8": (8, 9)}


def read(reader: BlockReader, block: Block = BLOCK, **how: bool) -> dict[str, tuple[int, ...]]:
    return {row.name: words for row, words in reader.read(block, **how)}


def test_a_block_that_is_answered_is_one_request():
    device = Device()
    assert read(BlockReader(device, 1)) == FOUND
    assert device.asked == [(0, 10)]


@pytest.mark.parametrize("code", [2, 3])
@pytest.mark.parametrize(
    ("most", "parts"),
    [
        (4, [(0, 4), (6, 4)]),
        (3, [(0, 4), (0, 2), (2, 2), (6, 4), (6, 2), (8, 2)]),
        (2, [(0, 4), (0, 2), (2, 2), (6, 4), (6, 2), (8, 2)]),
    ],
)
def test_a_refused_block_is_read_in_halves_down_to_single_values(most, parts, code):
    device = Device(refuses_above(most, code))
    assert read(BlockReader(device, 1)) == FOUND
    assert device.asked == [(0, 10), *parts]


def test_what_was_too_long_is_not_tried_again():
    device = Device(refuses_above(2))
    reader = BlockReader(device, 1)
    read(reader)
    device.asked.clear()
    assert read(reader) == FOUND
    assert device.asked == [(0, 2), (2, 2), (6, 2), (8, 2)]


def test_silence_to_a_long_block_alone_is_no_silence():
    """One firmware says nothing where its document promises an exception."""
    device = Device(is_mute_above(4))
    reader = BlockReader(device, 1)
    assert read(reader) == FOUND
    assert device.asked == [(0, 10), (0, 2), (0, 4), (6, 4)]
    device.asked.clear()
    assert read(reader) == FOUND
    assert device.asked == [(0, 4), (6, 4)]


def test_a_dead_device_costs_one_more_timeout_and_teaches_nothing():
    device = Device(is_mute_above(0))
    reader = BlockReader(device, 1)
    for _ in range(2):
        device.asked.clear()
        with pytest.raises(BusTimeout):
            read(reader)
        assert device.asked == [(0, 10), (0, 2)]
    device.objection = lambda address, count: None
    device.asked.clear()
    assert read(reader) == FOUND
    assert device.asked == [(0, 10)]


def test_a_block_that_was_answered_once_is_not_too_long_when_the_device_falls_silent():
    device = Device()
    reader = BlockReader(device, 1)
    read(reader)
    device.objection = is_mute_above(4)
    device.asked.clear()
    with pytest.raises(BusTimeout):
        read(reader)
    assert device.asked == [(0, 10)]


def test_a_device_that_dies_between_two_halves_is_asked_for_the_whole_again():
    died = [False]

    def object_to(address: int, count: int) -> None:
        if count > 4 or (died[0] and address >= 6):
            raise BusTimeout("no reply")

    device = Device(object_to)
    died[0] = True
    reader = BlockReader(device, 1)
    with pytest.raises(BusTimeout):
        read(reader)
    died[0] = False
    device.asked.clear()
    assert read(reader) == FOUND
    assert device.asked == [(0, 10), (0, 2), (0, 4), (6, 4)]


def test_a_register_it_lacks_is_refused_by_itself():
    device = Device(lacks(6))
    with pytest.raises(DeviceRefused):
        read(BlockReader(device, 1))
    assert device.asked[-1] == (6, 2)


def test_a_register_it_may_lack_is_left_out():
    device = Device(lacks(6))
    reader = BlockReader(device, 1)
    found = {name: words for name, words in FOUND.items() if name != "at_6"}
    assert read(reader, may_lack=True) == found
    device.asked.clear()
    assert read(reader, may_lack=True) == found
    assert device.asked == [(0, 4), (6, 2), (8, 2)]


def test_a_single_register_is_never_tried_again_in_other_ways():
    block = block_of(rows(4))
    for objection in (refuses_above(1), is_mute_above(1)):
        device = Device(objection)
        with pytest.raises((DeviceRefused, BusTimeout)):
            read(BlockReader(device, 1), block)
        assert device.asked == [(4, 2)]


@pytest.mark.parametrize(
    "error",
    [
        DeviceRefused("exception 1", 1),
        DeviceRefused("exception 4", 4),
        BadChecksum("noise"),
        DeviceAbsent("exception 11"),
    ],
    ids=repr,
)
def test_any_other_failure_splits_nothing(error):
    def object_to(address: int, count: int) -> None:
        raise error

    device = Device(object_to)
    with pytest.raises(type(error)):
        read(BlockReader(device, 1))
    assert device.asked == [(0, 10)]


def test_bits_are_read_with_their_own_function():
    device = Device()
    block = block_of(rows(3, 4, words=1, function=2))
    assert read(BlockReader(device, 1), block) == {"at_3": (True,), "at_4": (False,)}
