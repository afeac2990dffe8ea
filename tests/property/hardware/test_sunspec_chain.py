"""Any list of models is walked, or refused by name, and never goes round in circles."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hardware.errors import DeviceRefused, HardwareError, WrongDevice
from hardware.meters.sunspec import SunSpec, SunSpecOptions
from hardware.mock.points import Plant
from hardware.mock.sunspec.device import SunSpecInverter
from hardware.sunspec.chain import BLOCKS_MAX, LENGTH_MAX, walk
from hardware.sunspec.describe import describe
from tests.support.hardware_bench import ModbusDirect

MARKER = (0x5375, 0x6E53)
BASES = st.sampled_from([40_000, 0, 50_000])
WORD = st.integers(0, 0xFFFF)
KNOWN = st.sampled_from([1, 101, 103, 111, 113, 120, 123, 160, 201, 203, 213])
MODELS = st.lists(
    st.tuples(KNOWN | st.integers(1, 0xFFFE), st.integers(0, 200) | WORD), max_size=80
)
READS_MOST = 3 + 3 * (BLOCKS_MAX + 2)


class Registers:
    """Registers at some addresses; counts what is asked."""

    def __init__(self, words: dict[int, int]) -> None:
        self.words = words
        self.reads = 0

    def read(self, address: int, count: int) -> tuple[int, ...]:
        self.reads += 1
        wanted = range(address, address + count)
        if address + count > 0x1_0000 or any(each not in self.words for each in wanted):
            raise DeviceRefused("exception 2, illegal address", 2)
        return tuple(self.words[each] for each in wanted)


class Anything(Registers):
    """Every register of the address space holds some word of a pattern."""

    def read(self, address: int, count: int) -> tuple[int, ...]:
        self.reads += 1
        if address + count > 0x1_0000:
            raise DeviceRefused("exception 2, illegal address", 2)
        return tuple(
            self.words.get(each, each * 40_503 & 0xFFFF) for each in range(address, address + count)
        )


def headers(models: list[tuple[int, int]], base: int) -> tuple[dict[int, int], int]:
    """Return the words of marker and headers, without what is between, and where the end is."""
    words, address = dict(enumerate(MARKER, base)), base + 2
    for model, length in models:
        words |= {address: model, address + 1: length}
        address += 2 + length
    return words, address


@given(MODELS, BASES, st.sampled_from([(), (0xFFFF,), (0xFFFF, 0), (0xFFFF, 9)]))
def test_a_list_is_walked_whole_or_refused_by_name(models, base, end):
    words, end_at = headers(models, base)
    words |= dict(enumerate(end, end_at))
    registers = Registers(words)
    is_list = (
        len(models) <= BLOCKS_MAX
        and all(length <= LENGTH_MAX for _, length in models)
        and end_at < 0x1_0000 - (0 if not end else len(end) - 1)
    )
    try:
        chain = walk(registers.read)
    except WrongDevice:
        assert not (is_list and end)
    else:
        assert is_list
        assert end
        assert [(block.model, block.length) for block in chain.blocks] == models
        assert chain.base == base
        assert set(chain.measuring) <= set(chain.blocks)
    assert registers.reads <= READS_MOST


@given(st.dictionaries(st.integers(40_002, 40_400), WORD, max_size=40))
def test_random_memory_behind_the_marker_never_loops(scattered):
    registers = Anything(dict(enumerate(MARKER, 40_000)) | scattered)
    try:
        chain = walk(registers.read)
    except WrongDevice:
        pass
    else:
        ends = [block.end for block in chain.blocks]
        assert ends == sorted(ends)
        assert len(ends) <= BLOCKS_MAX
    assert registers.reads <= READS_MOST


class Spoiled(ModbusDirect):
    """A line to an inverter, some of whose registers hold something else."""

    def __init__(self, spoiled: dict[int, int]) -> None:
        super().__init__(SunSpecInverter(Plant(pv_power_mw=5_000, generated_uwh=10**9)))
        self.spoiled = spoiled

    def read_words(self, device: int, function: int, address: int, count: int) -> tuple[int, ...]:
        words = super().read_words(device, function, address, count)
        return tuple(self.spoiled.get(at, word) for at, word in enumerate(words, address))


@given(st.dictionaries(st.integers(40_000, 40_230), WORD, max_size=12))
def test_spoiled_registers_give_whole_numbers_or_a_refusal_with_a_class(spoiled):
    port = Spoiled(spoiled)
    meter = SunSpec(port, SunSpecOptions(address=1))
    try:
        sample = meter.sample()
    except HardwareError:
        pass
    else:
        numbers = (sample.power_mw, sample.energy_export_uwh, sample.voltage_mv)
        assert all(number is None or type(number) is int for number in numbers)
    assert len(port.requests) <= 2 * READS_MOST


@given(st.lists(WORD, min_size=1, max_size=125), st.none() | st.integers(0, 0xFFFF))
def test_any_reply_can_be_described(words, address):
    assert describe(words, address)
