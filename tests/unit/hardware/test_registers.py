"""The planner of block reads, and what words mean."""

from __future__ import annotations

import struct
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.registers import (
    UNITS,
    WORDS_OF,
    OutOfRange,
    Register,
    decode,
    natural,
    plan,
    single,
)


def register(address: int, kind: str = "u16", **more) -> Register:
    more = {"unit": "", "function": 4, "words": WORDS_OF[kind] or 3} | more
    return Register(f"q{address}", address=address, type=kind, **more)


@st.composite
def tables(draw):
    rows, address = [], draw(st.integers(0, 9))
    for _ in range(draw(st.integers(1, 12))):
        row = register(address, draw(st.sampled_from(sorted(WORDS_OF))))
        rows.append(row)
        address = row.end + draw(st.integers(0, 30))
    return draw(st.permutations(rows))


@given(tables(), st.integers(4, 125), st.integers(0, 40))
def test_a_plan_reads_each_register_whole_and_once_within_the_limits(rows, words_max, hole):
    blocks = plan(rows, words_max=words_max, hole_words_max=hole)
    read = [row for block in blocks for row in block.registers]
    assert sorted(read, key=lambda row: row.address) == sorted(rows, key=lambda row: row.address)
    for block in blocks:
        assert block.count <= words_max
        covered = range(block.address, block.address + block.count)
        for row in block.registers:
            assert row.address in covered
            assert row.end - 1 in covered
        assert all(later.address - row.end <= hole for row, later in pairwise(block.registers))


@given(tables(), st.integers(4, 125))
def test_a_plan_wastes_no_request(rows, words_max):
    blocks = plan(rows, words_max=words_max, hole_words_max=125)
    for block, following in pairwise(blocks):
        assert following.registers[0].end - block.address > words_max


def test_functions_are_never_read_together():
    rows = [register(0), register(1, function=3)]
    assert [block.function for block in plan(rows, words_max=10)] == [3, 4]


@pytest.mark.parametrize("words_max", [-1, 0, 126])
def test_a_limit_that_no_device_has_is_refused(words_max):
    with pytest.raises(ValueError, match=f"words_max = {words_max}"):
        plan([register(0)], words_max=words_max)


@pytest.mark.parametrize(
    ("kind", "words", "more", "value"),
    [
        ("u16", (0xFFFF,), {}, 65_535),
        ("s16", (0xFFF6,), {}, -10),
        ("u32", (1, 2), {}, 65_538),
        ("u32", (2, 1), {"low_first": True}, 65_538),
        ("s32", (0xFFFF, 0xFFFE), {}, -2),
        ("s32", (0xFFFE, 0xFFFF), {"low_first": True}, -2),
        ("u64", (0, 1, 0, 0), {}, 2**32),
        ("s64", (0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF), {}, -1),
        ("high_u8", (0x0F8A,), {}, 15),
        ("low_u8", (0x0F8A,), {}, 0x8A),
        ("low_s8", (0x0080,), {}, -128),
        ("high_s8", (0xFF00,), {}, -1),
        ("low_sm8", (0x0F8A,), {}, -10),
        ("high_sm8", (0x0F8A,), {}, 15),
        ("f32", (0x3F80, 0x0000), {}, 1),
        ("u16", (2_257,), {"scale": Fraction("0.1")}, Fraction("225.7")),
        ("u16", (5,), {"sign": -1}, -5),
        ("f32", (0x43FA, 0x0000), {"tenths_above": 100}, 50),
        ("u16", (0xFFFF,), {"not_available": (0xFFFF,)}, None),
        ("f32", (0x7FC0, 0x0000), {}, None),
    ],
)
def test_numbers(kind, words, more, value):
    assert decode(register(0, kind, **more), words) == value


def test_bits_and_texts():
    assert decode(register(0, "bit"), (True,)) is True
    text = (0x2020, 0x524E, 0x4720)
    assert decode(register(0, "ascii"), text) == "RNG"


@pytest.mark.parametrize("words", [(0x7F80, 0x0000), (0xFF80, 0x0000)])
def test_an_infinite_float_is_no_value(words):
    with pytest.raises(OutOfRange, match="infinite"):
        decode(register(0, "f32"), words)


def test_a_value_outside_its_limits_is_shown_with_words_and_limits():
    row = register(7, unit="V", low=0, high=500, scale=Fraction("0.1"))
    with pytest.raises(OutOfRange, match=r"0x0007, words 1770: q7_v = 600, want 0 to 500"):
        decode(row, (6_000,))


def test_limits_hold_for_the_value_that_factors_yield():
    row = register(7, unit="V", low=0, high=100, scale=Fraction(1, 32_768), times=("full_scale",))
    assert decode(row, (16_384,), Fraction(180)) == 90
    with pytest.raises(OutOfRange, match="q7_v = 135, want 0 to 100"):
        decode(row, (24_576,), Fraction(180))


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_single_is_exact(value):
    bits = struct.unpack(">I", struct.pack(">f", value))[0]
    assert single(bits) == Fraction(value)


@given(st.integers(-(10**6), 10**6), st.integers(0, 3))
def test_a_person_reads_the_decimal_that_was_meant(number, places):
    meant = number / 10**places
    words = struct.unpack(">HH", struct.pack(">f", meant))
    row = register(0, "f32")
    assert natural(row, decode(row, words)) == meant


def test_names_stand_for_numbers():
    row = register(0, names=("off", "float"))
    assert [natural(row, decode(row, (n,))) for n in (0, 1, 2)] == ["off", "float", 2]


def test_a_key_carries_its_unit():
    assert register(0, unit="kWh").key == "q0_kwh"
    assert register(0, unit="%").key == "q0_percent"
    assert register(0).key == "q0"
    assert len(UNITS) > 15
