"""What a probe shows: tables for a person, JSON for a program, and lines for a model file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, Final

from rich.text import Text

from edge.commissioning.errors import BadUsage, CommissioningError
from edge.commissioning.probing import COLUMNS, Match, Probe, Seen
from edge.commissioning.tables import Cell, show, show_json

_MATCHES_SHOWN: Final = 5
_FUNCTIONS: Final = {
    0: "I2C registers",
    1: "coils (function 1)",
    2: "discrete inputs (function 2)",
    3: "holding registers (function 3)",
    4: "input registers (function 4)",
}


def expected_value(text: str | None) -> Fraction | None:
    """Return what a person expects; BadUsage if it is no number."""
    try:
        return None if text is None else Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise BadUsage(f"--expect {text}: want a number, as 230 or 0.85") from None


def whole_number(text: str, what: str) -> int:
    """Return 12 for "12" and for "0x0C"; BadUsage if it is no such number."""
    try:
        number = int(text, 0)
    except ValueError:
        number = -1
    if not 0 <= number <= 0xFFFF:
        raise BadUsage(f"{what} {text}: want a number from 0 to 0xFFFF, as 12 or 0x0C")
    return number


def report(
    probes: Sequence[Probe], expected: Fraction | None, within_percent: float, *, as_json: bool
) -> None:
    """Show what was read.

    Raises:
        CommissioningError: nothing was.
    """
    within = Fraction(within_percent) / 100
    found = [
        (probe, [] if expected is None else probe.matches(expected, within)) for probe in probes
    ]
    if as_json:
        show_json({"probes": [_as_json(probe, matches) for probe, matches in found]})
    else:
        for probe, matches in found:
            _show(probe, matches, expected)
    if not any(probe.words for probe in probes):
        raise CommissioningError("nothing could be read" if as_json else "nothing was read")


def _show(probe: Probe, matches: Sequence[Match], expected: Fraction | None) -> None:
    title = _FUNCTIONS[probe.function]
    if not probe.words:
        print(f"{title}: {probe.fault}")
        return
    show(title, *_table(probe, matches))
    if expected is not None:
        _tell_matches(probe, matches, float(expected))
    print()


def _tell_matches(probe: Probe, matches: Sequence[Match], expected: float) -> None:
    if not matches:
        print(f"none of these is {expected:g}")
        return
    for match in matches[:_MATCHES_SHOWN]:
        print(
            f"0x{match.seen.address:04X} as {match.seen.column}, times {float(match.scale):g}: "
            f"{match.value:.7g}"
        )
    if probe.function:
        print(f"\nThe first of these in a model file:\n\n{matches[0].row(probe.function)}")


def _table(probe: Probe, matches: Sequence[Match]) -> tuple[list[str], list[list[Cell]]]:
    """Return columns and rows: a register a row, a way to read it a column.

    What is absurd is left out, as is a column of it. What was expected is marked.
    """
    hits = {(match.seen.address, match.seen.column) for match in matches}
    seen = probe.seen()
    used = {each.column for each in seen if each.is_likely} | {column for _, column in hits}
    columns = [column for column in COLUMNS if column in used]
    rows = [
        _row(
            place,
            probe,
            [each for each in seen if each.address == probe.address + place],
            columns,
            hits,
        )
        for place in range(len(probe.words))
    ]
    return ["register", "hex", "text", *columns], rows


def _row(
    place: int,
    probe: Probe,
    seen: Iterable[Seen],
    columns: Iterable[str],
    hits: set[tuple[int, str]],
) -> list[Cell]:
    word = probe.words[place]
    cells: dict[str, Cell] = {}
    for each in seen:
        if (each.address, each.column) in hits:
            cells[each.column] = Text(f"{each.number:.10g} <--", style="bold green")
        elif each.is_likely:
            cells[each.column] = each.number
    text = "".join(chr(byte) if 0x20 < byte < 0x7F else "." for byte in word.to_bytes(2, "big"))
    head: list[Cell] = [f"0x{probe.address + place:04X}", f"{word:04X}", text]
    return [*head, *(cells.get(column) for column in columns)]


def _as_json(probe: Probe, matches: Sequence[Match]) -> dict[str, Any]:
    """Return all of it, absurd values too."""
    registers: dict[str, dict[str, Any]] = {}
    for place, word in enumerate(probe.words):
        registers[f"0x{probe.address + place:04X}"] = {"hex": f"{word:04X}"}
    for each in probe.seen():
        name = f"{each.type}_{each.order}".rstrip("_")
        registers[f"0x{each.address:04X}"][name] = each.number
    found: dict[str, Any] = {"function": probe.function, "registers": registers}
    if probe.fault:
        found["fault"] = probe.fault
    if matches:
        found["matches"] = [
            {
                "register": f"0x{match.seen.address:04X}",
                "type": match.seen.type,
                "word_order": match.seen.order,
                "scale": float(match.scale),
                "value": match.value,
            }
            for match in matches
        ]
    return found
