"""Walking a SunSpec list: found where it stands, believed only as far as it can be one."""

from __future__ import annotations

import pytest

from hardware.errors import BusTimeout, DeviceRefused, WrongDevice
from hardware.sunspec.chain import Block, Chain, walk

MARKER = [0x5375, 0x6E53]


class Registers:
    """Some registers from a base on; everything else is refused with exception 2."""

    def __init__(self, words: list[int], base: int = 40_000) -> None:
        self.asked: list[tuple[int, int]] = []
        self._words = dict(enumerate(words, base))

    def read(self, address: int, count: int) -> tuple[int, ...]:
        self.asked.append((address, count))
        wanted = range(address, address + count)
        if any(each not in self._words for each in wanted):
            raise DeviceRefused("exception 2, illegal address", 2)
        return tuple(self._words[each] for each in wanted)


def listed(*models: tuple[int, int], end: tuple[int, ...] = (0xFFFF, 0)) -> list[int]:
    words = list(MARKER)
    for model, length in models:
        words += [model, length, *([0] * length)]
    return [*words, *end]


def found(*models: tuple[int, int], base: int = 40_000) -> tuple[Block, ...]:
    return walk(Registers(listed(*models), base).read).blocks


@pytest.mark.parametrize("base", [40_000, 0, 50_000])
def test_the_list_is_found_at_each_base(base):
    chain = walk(Registers(listed((1, 66), (103, 50)), base).read)
    assert chain == Chain(base, (Block(base + 2, 1, 66), Block(base + 70, 103, 50)))


def test_a_model_1_without_its_pad_moves_what_follows():
    assert found((1, 65), (101, 50))[1] == Block(40_069, 101, 50)


def test_an_end_without_a_length_is_an_end():
    registers = Registers(listed((1, 66), end=(0xFFFF,)))
    assert [block.model for block in walk(registers.read).blocks] == [1]
    assert registers.asked[-2:] == [(40_070, 2), (40_070, 1)]


def test_a_list_may_be_empty():
    assert found() == ()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([0, 0, 1, 66], "0000 0000 at 40000"),
        (listed((0, 10)), "broken at 40002: model 0"),
        (listed((1, 66), (103, 1001)), "1001"),
        (listed(*[(64_000, 0)] * 65), "more than 64"),
    ],
)
def test_what_cannot_be_a_list_is_refused_by_name(words, says):
    with pytest.raises(WrongDevice, match=says):
        walk(Registers(words).read)


def test_a_list_that_runs_out_of_addresses_is_refused():
    registers = Registers(listed(*[(64_000, 998)] * 16), 50_000)
    with pytest.raises(WrongDevice, match="before 65535"):
        walk(registers.read)


def test_a_list_that_ends_in_nothing_is_refused():
    with pytest.raises(WrongDevice, match="without an end: exception 2 at 40070"):
        walk(Registers(listed((1, 66), end=())).read)


def test_a_list_that_breaks_off_within_a_header_is_refused():
    with pytest.raises(WrongDevice, match="broken at 40070: model 103 without a length"):
        walk(Registers(listed((1, 66), end=(103,))).read)


@pytest.mark.parametrize("spoiled_from", [40_000, 40_002])
def test_a_device_that_fails_is_not_taken_for_another(spoiled_from):
    registers = Registers(listed((1, 66)))

    def failing(address, count):
        if address >= spoiled_from:
            raise DeviceRefused("exception 4, device failure", 4)
        return registers.read(address, count)

    with pytest.raises(DeviceRefused, match="exception 4"):
        walk(failing)


def test_no_marker_anywhere_names_what_was_seen():
    with pytest.raises(WrongDevice, match="exception 2 at 40000, exception 2 at 0"):
        walk(Registers([], 7).read)


def test_a_silent_device_costs_one_timeout():
    asked = []

    def silent(address, count):
        asked.append(address)
        raise BusTimeout("no reply")

    with pytest.raises(BusTimeout):
        walk(silent)
    assert asked == [40_000]


def test_64_models_are_still_walked():
    assert len(found(*[(64_000, 3)] * 64)) == 64


def test_what_belongs_to_a_device_stands_behind_its_own_model_1():
    blocks = found((1, 65), (101, 50), (120, 26), (1, 65), (203, 105), (120, 26))
    chain = Chain(40_000, blocks)
    inverter, meter = chain.measuring
    assert (chain.common(inverter), chain.common(meter)) == (blocks[0], blocks[3])
    assert (chain.beside(inverter, 120), chain.beside(meter, 120)) == (blocks[2], blocks[5])
    assert chain.beside(meter, 123) is None


def test_of_integers_and_floats_of_one_device_the_integers_are_read():
    chain = Chain(40_000, found((1, 66), (103, 50), (113, 60), (1, 66), (213, 124)))
    assert [block.model for block in chain.measuring] == [103, 213]
