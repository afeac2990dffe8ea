"""SunSpec points: what the words of a model mean, and which reads hold them.

Offsets count from the model's ID register. A value stands as a whole number and its scale factor
in another register of the same model: value = number * 10**factor. What is not implemented has a
word of its own for each type and is recognised before anything is scaled; a value whose factor is
not implemented says nothing.

Source: SunSpec device information model specification, data types.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType
from typing import Final

from hardware.errors import ImplausibleSample
from hardware.registers import single

Value = Fraction | str | None

HEADER_WORDS: Final = 2
"""ID and length."""

FACTOR_MOST: Final = 10
"""Scale factors are -10 to 10."""

_TYPES: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        "u16": (1, 0xFFFF),
        "s16": (1, 0x8000),
        "u32": (2, 0xFFFF_FFFF),
        "acc32": (2, 0),
        "enum16": (1, 0xFFFF),
        "bits16": (1, 0xFFFF),
        "bits32": (2, 0xFFFF_FFFF),
        "f32": (2, 0x7FC0_0000),
        "factor": (1, 0x8000),
        "text8": (8, 0),
        "text16": (16, 0),
        "pad": (1, 0x8000),
    }
)
"""Type -> words, and the number that means "not implemented". High word first."""


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a model.

    Attributes:
        point: its name in SunSpec's documents.
        name: what it is, without the unit.
        unit: as in `hardware.registers.UNITS`.
        type: u16, s16, u32, acc32, enum16, bits16, bits32, f32, factor, text8, text16 or pad.
        offset: from the model's ID register.
        factor: the point that is its scale factor; empty: none.
        names: words for 0, 1, 2...
    """

    point: str
    name: str
    unit: str
    type: str
    offset: int
    factor: str = ""
    names: tuple[str, ...] = ()

    @property
    def end(self) -> int:
        """The offset after its last word."""
        return self.offset + _TYPES[self.type][0]

    @property
    def key(self) -> str:
        """The name with its unit: "power_w"."""
        unit = "percent" if self.unit == "%" else self.unit.lower()
        return f"{self.name}_{unit}" if unit else self.name


@dataclass(frozen=True)
class Layout:
    """The points of a model; `repeated` are those of its first repeating group, if it has one."""

    title: str
    points: tuple[Point, ...]
    repeated: tuple[Point, ...] = ()

    @cached_property
    def by_name(self) -> Mapping[str, Point]:
        """Every point by its name in SunSpec's documents."""
        return MappingProxyType({each.point: each for each in (*self.points, *self.repeated)})

    @property
    def end(self) -> int:
        """The offset after the last point that does not repeat."""
        return self.points[-1].end

    def spans(self, points: Iterable[str]) -> Iterator[tuple[int, int]]:
        """Yield for each point the (first, end) offsets that hold it and its scale factor."""
        for name in points:
            point = self.by_name[name]
            both = [point, self.by_name[point.factor]] if point.factor else [point]
            yield min(each.offset for each in both), max(each.end for each in both)


def value(layout: Layout, point: str, words: Mapping[int, int]) -> Value:
    """Return a point in its unit; None: not implemented, by itself or for want of its factor.

    Args:
        layout: the model.
        point: its name in SunSpec's documents.
        words: offset -> word; has every word of the point and of its factor.

    Raises:
        ImplausibleSample: a scale factor outside -10 to 10, or an infinite float.
    """
    row = layout.by_name[point]
    return decode(row, words, layout.by_name[row.factor].offset if row.factor else None)


def decode(row: Point, words: Mapping[int, int], factor_at: int | None) -> Value:
    """Return a point whose scale factor is at another offset; None there: the number as it is."""
    raw = [words[offset] for offset in range(row.offset, row.end)]
    if row.type.startswith("text"):
        text = b"".join(word.to_bytes(2, "big") for word in raw)
        return text.partition(b"\0")[0].decode("latin-1").strip() or None
    unsigned = 0
    for word in raw:
        unsigned = unsigned << 16 | word
    if unsigned == _TYPES[row.type][1]:
        return None
    if row.type == "f32":
        return _single(row, unsigned)
    number = unsigned
    if row.type in ("s16", "factor") and unsigned & 0x8000:
        number -= 0x1_0000
    if row.names and number < len(row.names) and row.names[number]:
        return row.names[number]
    if factor_at is None:
        return Fraction(number)
    factor = scale_factor(words[factor_at], row)
    return None if factor is None else Fraction(number) * Fraction(10) ** factor


def scale_factor(word: int, row: Point) -> int | None:
    """Return a scale factor; None: not implemented. Raises ImplausibleSample outside -10 to 10."""
    if word == _TYPES["factor"][1]:
        return None
    factor = word - 0x1_0000 if word & 0x8000 else word
    if abs(factor) > FACTOR_MOST:
        raise ImplausibleSample(
            f"{row.point}: {row.factor} is {factor}, want -{FACTOR_MOST} to {FACTOR_MOST}"
        )
    return factor


def _single(row: Point, bits: int) -> Fraction | None:
    if bits & 0x7FFF_FFFF == 0x7F80_0000:
        raise ImplausibleSample(f"{row.point}: an infinite float")
    return single(bits)


def requests(layout: Layout, points: Sequence[str], words_max: int) -> tuple[tuple[int, int], ...]:
    """Return the (first, end) offsets of the reads that hold the header and these points.

    The header comes with the first read; a value and its scale factor come in one read, since
    some inverters change the factor while they run.

    Args:
        layout: the model.
        points: names in SunSpec's documents.
        words_max: the most registers in one read; what must stay together stays together.
    """
    reads: list[tuple[int, int]] = [(0, HEADER_WORDS)]
    for first, end in sorted(layout.spans(points)):
        start, last = reads[-1]
        if max(end, last) - start <= words_max:
            reads[-1] = (start, max(end, last))
        else:
            reads.append((first, end))
    return tuple(reads)
