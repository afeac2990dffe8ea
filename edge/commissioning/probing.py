"""`probe`: some registers of an unknown device, in every type and word order side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from edge.commissioning.errors import BadUsage
from edge.commissioning.places import I2C
from hardware import catalog
from hardware.errors import DeviceRefused, HardwareError
from hardware.ports import I2cPort, ModbusPort
from hardware.registers import WORDS_OF, OutOfRange, Register, decode, natural

COUNTS: Final = (4, 2, 1)
"""How many registers are tried where nobody says; some devices refuse what they do not have."""

WORD_FUNCTIONS: Final = (4, 3)
MODBUS_REACH: Final = (1, 255, 0x10000)
"""First and last id, and how many registers a device can have; 0 is for all at once, unanswered."""
I2C_REACH: Final = (0x03, 0x77, 0x100)
"""First and last address of a chip, and how many registers it can have."""
_TYPES: Final = ("u16", "s16", "u32", "s32", "f32", "u64", "s64")
_SCALES: Final = tuple(Fraction(text) for text in ("1", "1/10", "1/100", "1/1000", "10", "1000"))
_PLAUSIBLE: Final = (Fraction(1, 10**4), Fraction(10**10))
_SIGNED: Final = "s"
_LOW_FIRST: Final = " low first"
COLUMNS: Final = tuple(
    kind + order for kind in _TYPES for order in (("", _LOW_FIRST) if WORDS_OF[kind] > 1 else ("",))
)
"""Heads of the columns of a table: every type in every word order."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One way to read the words at one register.

    Attributes:
        address: the register that it begins at.
        type: as in a model file.
        low_first: whether its low word comes first.
        value: what it then says; None if it is no number.
    """

    address: int
    type: str
    low_first: bool
    value: Fraction | None

    @property
    def order(self) -> str:
        """The word order, as in a model file; empty for one word."""
        if WORDS_OF[self.type] == 1:
            return ""
        return "low_first" if self.low_first else "high_first"

    @property
    def column(self) -> str:
        """The head of its column."""
        return self.type + (_LOW_FIRST if self.low_first else "")

    @property
    def number(self) -> float | int | None:
        """The value as a person writes it."""
        if self.value is None:
            return None
        shown = natural(Register("", "", 3, 0, self.type, WORDS_OF[self.type]), self.value)
        return shown if isinstance(shown, int | float) else None

    @property
    def is_likely(self) -> bool:
        """Whether a meter could mean it: no huge number, no speck, and signed only if below 0."""
        if self.value is None:
            return False
        if self.type.startswith(_SIGNED):
            return -_PLAUSIBLE[1] < self.value < 0
        return self.value == 0 or _PLAUSIBLE[0] <= abs(self.value) <= _PLAUSIBLE[1]


@dataclass(frozen=True, slots=True)
class Match:
    """One reading that is, scaled, what was expected."""

    seen: Seen
    scale: Fraction
    off: Fraction

    @property
    def value(self) -> float:
        """The reading, scaled."""
        return float((self.seen.value or Fraction(0)) * self.scale)

    def row(self, function: int) -> str:
        """Return the lines that a model file would have for it."""
        order = f'\nword_order = "{self.seen.order}"' if self.seen.order else ""
        scale = f"{float(self.scale):g}"
        return (
            f"address = 0x{self.seen.address:04X}\nfunction = {function}\n"
            f'type = "{self.seen.type}"{order}\nscale = "{scale}"'
        )


@dataclass(frozen=True, slots=True)
class Probe:
    """Registers that were read together, or why they were not."""

    function: int
    address: int
    words: tuple[int, ...]
    fault: str = ""

    def seen(self) -> list[Seen]:
        """Return every way to read every register."""
        return [
            each
            for place in range(len(self.words))
            for each in ways(self.words[place:], self.address + place)
        ]

    def matches(self, expected: Fraction, within: Fraction) -> list[Match]:
        """Return what is the expected value with some usual scale, the nearest first."""
        found = [match for each in self.seen() for match in _matches(each, expected, within)]
        return sorted(found, key=lambda match: (match.off, _SCALES.index(match.scale)))


def ways(words: Sequence[int], address: int) -> Iterator[Seen]:
    """Yield every type and word order of the value that begins with these words."""
    for kind in _TYPES:
        size = WORDS_OF[kind]
        for low_first in (False, True) if size > 1 else (False,):
            if size <= len(words):
                row = Register("", "", 3, address, kind, size, low_first)
                yield Seen(address, kind, low_first, _value(row, words[:size]))


def _value(row: Register, words: Sequence[int]) -> Fraction | None:
    try:
        value = decode(row, words)
    except OutOfRange:
        return None
    return value if isinstance(value, Fraction) else None


def _matches(seen: Seen, expected: Fraction, within: Fraction) -> Iterator[Match]:
    if seen.value is None or (seen.type.startswith(_SIGNED) and seen.value >= 0):
        return
    if expected == 0:
        if seen.value == 0 and seen.type == "u16":
            yield Match(seen, Fraction(1), Fraction(0))
        return
    for scale in _SCALES:
        off = abs(seen.value * scale - expected) / abs(expected)
        if off <= within:
            yield Match(seen, scale, off)


# --- asking --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be read; `count` and `function` None: as the device lets us."""

    device: int
    register: int
    count: int | None = None
    function: int | None = None


def ask(kind: str, bus: Any, wanted: Wanted) -> list[Probe]:
    """Read registers of a device, with each function that may hold them.

    Raises:
        BadUsage: this kind of bus has no registers, or no such address.
    """
    if kind not in (I2C, *catalog.MODBUS):
        raise BadUsage(f"a bus of kind {kind} has no registers; see what it says with trace")
    _check_reach(wanted, *(I2C_REACH if kind == I2C else MODBUS_REACH))
    if kind == I2C:
        return [_words_of_chip(bus, wanted)]
    functions = WORD_FUNCTIONS if wanted.function is None else (wanted.function,)
    return [_words_of_device(bus, wanted, function) for function in functions]


def _check_reach(wanted: Wanted, first: int, last: int, registers: int) -> None:
    if not first <= wanted.device <= last:
        raise BadUsage(f"ADDRESS {wanted.device}: want one from {first} to {last} on this bus")
    if wanted.register + (wanted.count or 1) > registers:
        raise BadUsage(f"REGISTER {wanted.register}: this bus has them up to {registers - 1}")


def _words_of_device(bus: ModbusPort, wanted: Wanted, function: int) -> Probe:
    fault = ""
    left = 0x10000 - wanted.register
    for count in (wanted.count,) if wanted.count else (each for each in COUNTS if each <= left):
        try:
            words = _read(bus, wanted, function, count)
        except DeviceRefused as error:
            fault = str(error)
        except HardwareError as error:
            fault = str(error)
            break
        else:
            return Probe(function, wanted.register, words)
    return Probe(function, wanted.register, (), fault)


def _read(bus: ModbusPort, wanted: Wanted, function: int, count: int) -> tuple[int, ...]:
    if function in WORD_FUNCTIONS:
        return bus.read_words(wanted.device, function, wanted.register, count)
    bits = bus.read_bits(wanted.device, function, wanted.register, count)
    return tuple(int(bit) for bit in bits)


def _words_of_chip(bus: I2cPort, wanted: Wanted) -> Probe:
    places = range(wanted.register, wanted.register + (wanted.count or 1))
    try:
        words = tuple(bus.read_word(wanted.device, place) for place in places)
    except HardwareError as error:
        return Probe(0, wanted.register, (), str(error))
    return Probe(0, wanted.register, words)
