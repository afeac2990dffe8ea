"""The planner of block reads and the decoder of registers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware import registers
from hardware.errors import ImplausibleSample
from hardware.registers import SIZES, Register, plan


def register(address: int, encoding: str = "u16", exponent: int = 0, high: int = 2**40) -> Register:
    return Register(f"q{address}", address, encoding, exponent, -(2**40), high)


@st.composite
def tables(draw):
    rows, address = [], draw(st.integers(0, 9))
    for _ in range(draw(st.integers(1, 12))):
        row = register(address, draw(st.sampled_from(sorted(SIZES))))
        rows.append(row)
        address = row.end + draw(st.integers(0, 30))
    return draw(st.permutations(rows))


@given(tables(), st.integers(2, 125), st.integers(0, 40))
def test_a_plan_reads_each_register_whole_and_once_within_the_limits(rows, words_max, hole):
    planned = plan(rows, function=4, words_max=words_max, hole_words_max=hole)
    read = [row for block in planned.blocks for row in block.registers]
    assert sorted(read, key=lambda row: row.address) == sorted(rows, key=lambda row: row.address)
    for block in planned.blocks:
        assert block.count <= words_max
        covered = range(block.address, block.address + block.count)
        for row in block.registers:
            assert row.address in covered
            assert row.end - 1 in covered
        pairs = pairwise(block.registers)
        assert all(later.address - row.end <= hole for row, later in pairs)


@given(tables(), st.integers(2, 125))
def test_a_plan_wastes_no_request(rows, words_max):
    blocks = plan(rows, function=4, words_max=words_max, hole_words_max=125).blocks
    for block, following in pairwise(blocks):
        assert following.registers[0].end - block.address > words_max


@pytest.mark.parametrize("words_max", [-1, 0, 1, 126])
def test_a_limit_that_no_device_has_is_refused(words_max):
    with pytest.raises(ValueError, match=f"words_max = {words_max}"):
        plan([register(0)], function=4, words_max=words_max)


@pytest.mark.parametrize(
    ("encoding", "words", "number"),
    [
        ("u16", [0xFFF6], 65_526),
        ("s16", [0xFFF6], -10),
        ("u32", [0x0001, 0x0002], 65_538),
        ("s32", [0xFFFF, 0xFFFE], -2),
        ("u32_low_first", [0x0002, 0x0001], 65_538),
        ("s32_low_first", [0xFFFE, 0xFFFF], -2),
        ("f32", [0x3FC0, 0x0000], 2),
    ],
)
def test_each_encoding_decodes(encoding, words, number):
    assert registers.decode(register(7, encoding), [99, *words, 99], 6) == number


def test_the_exponent_scales_and_rounds_half_to_even():
    assert registers.decode(register(0, "u16", 7), [3], 0) == 30_000_000
    assert [registers.decode(register(0, "s16", -1), [word], 0) for word in (5, 15, 0xFFFB)] == [
        0,
        2,
        0,
    ]


def test_an_implausible_value_names_register_words_and_limits():
    with pytest.raises(ImplausibleSample, match=r"0x0005, words 0065: q5 = 101, want .* to 100"):
        registers.decode(register(5, high=100), [101], 5)


def test_an_unknown_encoding_is_our_own_fault():
    broken = Register("q", 0, "u16", 0, 0, 1)
    object.__setattr__(broken, "encoding", "u17")
    with pytest.raises(KeyError):
        registers.decode(broken, [1], 0)
