"""A contract's parameters: a frozen dataclass whose fields say what may stand there.

    @dataclass(frozen=True, slots=True)
    class Rules:
        price_rule: str = choice("uniform", "pay_as_bid")
        fee_utok_per_kwh: int = whole(0, 0, 1_000_000)

    rules = read("double_auction", Rules, book.parameters)

Policies give whole numbers and texts, so there is nothing else here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, field, fields
from typing import Any, TypeVar

from hub.market.contract import Value
from hub.market.errors import BadParameter

Rules = TypeVar("Rules")
Complaint = Callable[[Any], str]


def choice(*options: str) -> Any:
    """One of some words; the first is the default."""
    wanted = f"one of {', '.join(options)}"
    return field(
        default=options[0],
        metadata={"complaint": lambda value: "" if value in options else wanted},
    )


def whole(default: int, low: int, high: int) -> Any:
    """A whole number within bounds."""
    wanted = f"a whole number from {low} to {high}"
    return field(
        default=default,
        metadata={
            "complaint": lambda value: "" if type(value) is int and low <= value <= high else wanted
        },
    )


def words(default: str = "", complaint: Complaint = lambda _: "") -> Any:
    """A text; `complaint` says what it should be, "" where it is right."""

    def complain(value: Any) -> str:
        return complaint(value) if isinstance(value, str) else "a text"

    return field(default=default, metadata={"complaint": complain})


def read(contract: str, kind: type[Rules], parameters: Mapping[str, Value]) -> Rules:
    """Return a contract's rules as its policy sets them.

    Raises:
        BadParameter: one that the contract does not know, or one that cannot be; by name.
    """
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
    for key in sorted(parameters):
        if key not in known:
            there = ", ".join(known) or "none"
            raise BadParameter(f"{contract} has no parameter {key!r}; there are: {there}")
    for name, each in known.items():
        value = parameters.get(name, each.default)
        if value is MISSING:
            raise BadParameter(f"{contract}: {name} must be given")
        wanted = each.metadata["complaint"](value)
        if wanted:
            raise BadParameter(f"{contract}: {name} is {wanted}, not {value!r}")
    return kind(**parameters)


def listed(text: str) -> tuple[str, ...]:
    """Return the names in a text, separated by commas.

    >>> listed(" ann, bob ,")
    ('ann', 'bob')
    """
    return tuple(name.strip() for name in text.split(",") if name.strip())


def weighed(text: str) -> dict[str, int]:
    """Return names and their weights, from "ann:60, bob:40".

    Raises:
        BadParameter: a part is no name with a weight.
    """
    found: dict[str, int] = {}
    for part in listed(text):
        name, _, weight = (each.strip() for each in part.partition(":"))
        if not name or not (weight.isascii() and weight.isdigit()) or len(weight) > 9:
            raise BadParameter(f"shares are names with a whole number, ann:60, not {part!r}")
        found[name] = found.get(name, 0) + int(weight)
    return found


def weights_complaint(text: str) -> str:
    """Say what such a text should be; "" where it is right."""
    try:
        weighed(text)
    except BadParameter:
        return 'names with shares, "ann:60, bob:40"'
    return ""
