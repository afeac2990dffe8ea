"""Register maps: what a register holds, which requests read it, and what its words mean.

Everything here is exact: a value is a fraction, so that a float register in kWh becomes uWh with
no binary rounding of our own. Planning groups registers into as few requests as a device's limits
allow; a value of several words is always read in one request, since read apart it can tear.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

WORDS_MAX = 125
"""The most registers one Modbus reply can hold. Source: Modbus application protocol 1.1b3, 6.3."""

WORDS_OF: Mapping[str, int] = MappingProxyType(
    {
        "bit": 1,
        "u16": 1,
        "s16": 1,
        "high_u8": 1,
        "low_u8": 1,
        "high_s8": 1,
        "low_s8": 1,
        "high_sm8": 1,
        "low_sm8": 1,
        "u32": 2,
        "s32": 2,
        "f32": 2,
        "u64": 4,
        "s64": 4,
        "ascii": 0,
    }
)
"""Type -> words; a text says its own length. `sm8`: bit 7 is the sign, the rest the magnitude."""

UNITS: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("V", "A", "W", "VA", "var", "Wh", "VAh", "varh", "Ah", "Hz"), 0),
        **dict.fromkeys(("degC", "deg", "%", "s", "min", "h", "d", ""), 0),
        **dict.fromkeys(("mV", "mA", "mW"), -3),
        **dict.fromkeys(("kW", "kVA", "kvar", "kWh", "kVAh", "kvarh"), 3),
    }
)
"""Unit -> power of ten to the unit without a prefix."""

Value = Fraction | str | bool | None


class OutOfRange(ValueError):
    """A value that this register cannot hold truthfully; the message shows words and limits."""


@dataclass(frozen=True, slots=True)
class Register:
    """One quantity of a register map.

    Attributes:
        name: what it is.
        unit: a key of `UNITS`.
        function: 1 coils, 2 discrete inputs, 3 holding, 4 input registers.
        address: 0-based address on the wire.
        type: a key of `WORDS_OF`.
        words: how many words it takes.
        low_first: whether the low word comes first; bytes in a word are always big-endian.
        scale: the number in the words times this is in `unit`.
        sign: 1, or -1 where the device counts the other way round.
        times: names of registers whose values multiply this one.
        not_available: unsigned numbers that mean "not available"; not-a-number always does.
        low: the least plausible value, in `unit`; None: any.
        high: the greatest plausible value, in `unit`; None: any.
        tenths_above: a greater value was counted in tenths; 0: never.
        names: words for 0, 1, 2...
        wraps_at: of a counter: the value at which it is 0 again; None: it is never.
    """

    name: str
    unit: str
    function: int
    address: int
    type: str = "u16"
    words: int = 1
    low_first: bool = False
    scale: Fraction = Fraction(1)
    sign: int = 1
    times: tuple[str, ...] = ()
    not_available: tuple[int, ...] = ()
    low: int | None = None
    high: int | None = None
    tenths_above: int = 0
    names: tuple[str, ...] = ()
    wraps_at: Fraction | None = None

    @property
    def key(self) -> str:
        """The name with its unit: "voltage_l1_v", "charge_percent"."""
        unit = "percent" if self.unit == "%" else self.unit.lower()
        return f"{self.name}_{unit}" if unit else self.name

    @property
    def end(self) -> int:
        """The address after the last word."""
        return self.address + self.words


@dataclass(frozen=True, slots=True)
class Block:
    """One request: consecutive words (or bits) that hold some registers."""

    function: int
    address: int
    count: int
    registers: tuple[Register, ...]


def plan(
    registers: Iterable[Register], *, words_max: int, hole_words_max: int = 0
) -> tuple[Block, ...]:
    """Group registers into the fewest requests, by function and in order of address.

    Args:
        registers: what to read.
        words_max: the most registers the device answers at once.
        hole_words_max: the longest run of unused addresses that may be read along.
    """
    if not 1 <= words_max <= WORDS_MAX:
        raise ValueError(f"words_max = {words_max}: want 1 to {WORDS_MAX}")
    groups: list[list[Register]] = []
    for register in sorted(registers, key=lambda each: (each.function, each.address, each.end)):
        group = groups[-1] if groups else []
        if group and _joins(group, register, words_max, hole_words_max):
            group.append(register)
        else:
            groups.append([register])
    return tuple(block_of(group) for group in groups)


def _joins(group: list[Register], register: Register, words_max: int, hole_words_max: int) -> bool:
    end = max(each.end for each in group)
    return (
        register.function == group[0].function
        and max(end, register.end) - group[0].address <= words_max
        and register.address - end <= hole_words_max
    )


def block_of(group: Sequence[Register]) -> Block:
    """Return the one request that reads registers of one function, in order of address."""
    first, end = group[0], max(each.end for each in group)
    return Block(first.function, first.address, end - first.address, tuple(group))


def decode(register: Register, words: Sequence[int], factor: Fraction = Fraction(1)) -> Value:
    """Return what the words of one register say, in its unit; None is not available.

    Args:
        register: what they are.
        words: its words, in the order of the wire.
        factor: the product of the registers that `times` names; limits hold for what it yields.

    Raises:
        OutOfRange: the value is outside the register's limits, or an infinite float.
    """
    if register.type == "bit":
        return bool(words[0])
    if register.type == "ascii":
        return b"".join(word.to_bytes(2, "big") for word in words).decode("latin-1").strip("\0 ")
    ordered = tuple(reversed(words)) if register.low_first else tuple(words)
    unsigned = _unsigned(register.type, ordered)
    if unsigned in register.not_available:
        return None
    number = _number(register, unsigned)
    if number is None:
        return None
    return _checked(register, number * register.scale * register.sign * factor, words)


def _unsigned(kind: str, words: Sequence[int]) -> int:
    """Return the bits of a value as an unsigned number, high word first."""
    if kind.startswith("high_"):
        return words[0] >> 8
    if kind.startswith("low_"):
        return words[0] & 0xFF
    unsigned = 0
    for word in words:
        unsigned = unsigned << 16 | word
    return unsigned


def _number(register: Register, unsigned: int) -> Fraction | None:
    kind = register.type.rpartition("_")[2]
    if kind == "f32":
        return single(unsigned)
    if kind == "sm8":
        magnitude = unsigned & 0x7F
        return Fraction(-magnitude if unsigned & 0x80 else magnitude)
    bits = int(kind[1:])
    if kind[0] == "s" and unsigned >> (bits - 1):
        unsigned -= 1 << bits
    return Fraction(unsigned)


def single(bits: int) -> Fraction | None:
    """Return the exact value of an IEEE 754 single; None is not-a-number.

    >>> round(single(0x43663334) * 1000)
    230200

    Raises:
        OutOfRange: it is infinite.
    """
    power, fraction = bits >> 23 & 0xFF, bits & 0x7F_FFFF
    if power == 0xFF:
        if fraction:
            return None
        raise OutOfRange(f"words {bits >> 16:04X} {bits & 0xFFFF:04X}: an infinite float")
    mantissa = fraction | 0x80_0000 if power else fraction
    if bits & 0x8000_0000:
        mantissa = -mantissa
    shift = max(power, 1) - 150  # value = mantissa * 2**shift
    return Fraction(mantissa << max(shift, 0), 1 << max(-shift, 0))


def _checked(register: Register, value: Fraction, words: Sequence[int]) -> Fraction:
    if register.tenths_above and value > register.tenths_above:
        value /= 10
    low, high = register.low, register.high
    if (low is not None and value < low) or (high is not None and value > high):
        text = " ".join(f"{word:04X}" for word in words)
        raise OutOfRange(
            f"register 0x{register.address:04X}, words {text}: {register.key} = {float(value):g}, "
            f"want {low if low is not None else 'any'} to {high if high is not None else 'any'}"
        )
    return value


def natural(register: Register, value: Value) -> float | int | str | bool | None:
    """Return a value as a person writes it: 230.2 for a single next to it, "float" for 1.

    >>> volts = Register("voltage", "V", 4, 0, "f32", 2)
    >>> natural(volts, decode(volts, (0x4366, 0x3334)))
    230.2
    """
    if not isinstance(value, Fraction):
        return value
    if value.denominator == 1 and 0 <= value < len(register.names):
        return register.names[int(value)]
    if value.denominator == 1:
        return int(value)
    return float(f"{float(value):.7g}") if register.type == "f32" else float(value)
