"""What the registers of one SunSpec reply say, for a person who caught it on a wire.

A reply is understood where it shows itself what it is: the marker, a model's header, the end of
the list, models that begin with their header; and what follows a header that was seen before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

from hardware.errors import ImplausibleSample
from hardware.sunspec.chain import BASES, LENGTH_MAX
from hardware.sunspec.models import COMMON, END, LAYOUTS, MARKER
from hardware.sunspec.points import HEADER_WORDS, Layout, Point, decode

Said = dict[str, object]
"""Name with unit -> a number, a text or true as a person writes it; None is not implemented."""

_UNSAID: Final = ("factor", "pad")
_FIRST_LENGTHS_AT: Final = tuple(base + len(MARKER) + 1 for base in BASES)


def describe(
    words: Sequence[int], address: int | None = None, previous: Mapping[str, object] | None = None
) -> Said:
    """Return what these registers say; under `blocks` if several models begin in them.

    Args:
        words: the registers, at least one.
        address: where the first one stands, if that is known.
        previous: what was returned for the reply before: after a model's ID a length is
            understood, and after a header a model without its own.

    >>> describe([0x5375, 0x6E53, 1])
    {'marker': 'SunS', 'model_id': 1, 'model': 'common'}
    >>> describe([66], address=40003)
    {'model_id': 1, 'model': 'common', 'length': 66}
    >>> describe([0xFFFF])
    {'end_of_list': True}
    """
    rest, said = tuple(words), Said()
    if rest[: len(MARKER)] == MARKER:
        said, rest = Said(marker="SunS"), rest[len(MARKER) :]
    elif continued := _continued(rest, previous or {}):
        return continued
    elif len(rest) == 1 and rest[0] not in LAYOUTS and rest[0] <= LENGTH_MAX:
        return (_head(COMMON) if address in _FIRST_LENGTHS_AT else {}) | {"length": rest[0]}
    blocks = list(_blocks(rest, is_header=bool(said)))
    if len(blocks) > 1:
        return said | {"blocks": blocks}
    return said | (blocks[0] if blocks else {})


def _continued(words: tuple[int, ...], previous: Mapping[str, object]) -> Said:
    """Return what words say that follow a model's ID, or its header; nothing if they do not."""
    model, length = previous.get("model_id"), previous.get("length")
    if not isinstance(model, int):
        return {}
    if length is None and len(words) in (1, words[0] + 1):
        return _head(model) | {"length": words[0]} | _points(model, words[1:])
    if length == len(words) and previous.keys() <= {"marker", "model_id", "model", "length"}:
        return _head(model) | {"length": length} | _points(model, words)
    return {}


def _blocks(words: tuple[int, ...], *, is_header: bool) -> Iterator[Said]:
    """Yield what each model says that begins in these words."""
    while words:
        if words[0] == END and len(words) <= HEADER_WORDS:
            yield {"end_of_list": True}
            return
        if not is_header and not _may_be_header(words):
            yield {"words": " ".join(f"{word:04X}" for word in words)}
            return
        said = _head(words[0])
        if len(words) == 1:
            yield said
            return
        end = HEADER_WORDS + words[1]
        yield said | {"length": words[1]} | _points(words[0], words[HEADER_WORDS:end])
        words = words[end:]


def _may_be_header(words: tuple[int, ...]) -> bool:
    if len(words) == HEADER_WORDS:
        return words[0] != 0 and words[1] <= LENGTH_MAX
    return words[0] in LAYOUTS and (len(words) == 1 or words[1] <= LENGTH_MAX)


def _head(model: int) -> Said:
    said: Said = {"model_id": model}
    return said | ({"model": LAYOUTS[model].title} if model in LAYOUTS else {})


def _points(model: int, body: tuple[int, ...]) -> Said:
    """Return the points of a known model that stand wholly in the words behind its header."""
    layout = LAYOUTS.get(model)
    if layout is None or not body:
        return {}
    words = dict(enumerate(body, HEADER_WORDS))
    said: Said = {}
    for row, prefix in _rows(layout, HEADER_WORDS + len(body)):
        if row.type in _UNSAID:
            continue
        factor_at = layout.by_name[row.factor].offset if row.factor else None
        if factor_at is None or factor_at in words:
            said[prefix + row.key] = _natural(row, words, factor_at)
        else:
            said[f"{prefix}{row.name}_unscaled"] = _natural(row, words, None)
    return said


def _natural(
    row: Point, words: Mapping[int, int], factor_at: int | None
) -> float | int | str | None:
    """Return a point as a person writes it; what it cannot mean is said in words."""
    try:
        found = decode(row, words, factor_at)
    except ImplausibleSample as error:
        return f"impossible: {error}"
    if not isinstance(found, Fraction):
        return found
    if found.denominator == 1:
        return int(found)
    return float(f"{float(found):.7g}") if row.type == "f32" else float(found)


def _rows(layout: Layout, end: int) -> Iterator[tuple[Point, str]]:
    """Yield every point before offset `end`, those of the repeating group once for each time."""
    for row in layout.points:
        if row.end <= end:
            yield row, ""
    if not layout.repeated:
        return
    size = layout.repeated[-1].end - layout.repeated[0].offset
    for number in range((end - layout.end) // size):
        for row in layout.repeated:
            yield replace(row, offset=row.offset + number * size), f"tracker_{number + 1}_"
