"""Options of buses and devices: typed, checked without coercion, all findings at once.

A model's options are a frozen dataclass whose fields carry their rule; a value that is given in
the wrong type ("20" for 20, 1 for true) is a finding, never a conversion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, TypeVar

from hardware.errors import BadOption, BadOptions

Options = TypeVar("Options")


@dataclass(frozen=True, slots=True)
class Rule:
    """What one option may be: its type, its words for a person, and the values it allows."""

    kind: type[int] | type[bool] | type[str]
    says: str
    allowed: range | tuple[object, ...] | None = None

    def admits(self, value: object) -> bool:
        """Whether the value has exactly this type and is allowed."""
        if type(value) is not self.kind or value == "":
            return False
        return self.allowed is None or value in self.allowed


def number(low: int, high: int, what: str, *, default: int | None = None, step: int = 1) -> Any:
    """Declare a whole number from low to high; without a default it must be given."""
    says = f"want {what}, a whole number from {low} to {high}"
    if step > 1:
        says += f" in steps of {step}"
    return _declare(Rule(int, says, range(low, high + 1, step)), default)


def optional_number(low: int, high: int, what: str) -> Any:
    """Declare a whole number that may be left out; it is then None."""
    return field(default=None, metadata=number(low, high, what).metadata)


def choice(allowed: tuple[Any, ...], what: str, *, default: Any = None) -> Any:
    """Declare one of several values of one type."""
    listed = ", ".join(repr(each) for each in allowed)
    return _declare(Rule(type(allowed[0]), f"want {what}, one of {listed}", allowed), default)


def flag(what: str, *, default: bool | None = None) -> Any:
    """Declare true or false."""
    return _declare(Rule(bool, f"want {what}, true or false"), default)


def text(what: str, *, default: str | None = None) -> Any:
    """Declare a text that is not empty."""
    return _declare(Rule(str, f"want {what}, a text that is not empty"), default)


def check(kind: type[Any], given: Mapping[str, object]) -> tuple[BadOption, ...]:
    """Return every finding in `given`, in the order of its keys, then missing ones."""
    rules = {each.name: each for each in fields(kind)}
    known = ", ".join(rules)
    findings = [
        BadOption(key, value, rules[key].metadata["rule"].says)
        if key in rules
        else BadOption(key, value, f"unknown option, want one of {known}")
        for key, value in given.items()
        if key not in rules or not rules[key].metadata["rule"].admits(value)
    ]
    findings += [
        BadOption(name, None, f"is missing, {each.metadata['rule'].says}")
        for name, each in rules.items()
        if name not in given and _is_required(each)
    ]
    return tuple(findings)


def names(kind: type[Any]) -> tuple[str, ...]:
    """Return every option that there is."""
    return tuple(each.name for each in fields(kind))


def required(kind: type[Any]) -> dict[str, str]:
    """Return each option that must be given, and what it wants to be."""
    return {
        each.name: each.metadata["rule"].says.removeprefix("want ")
        for each in fields(kind)
        if _is_required(each)
    }


def parse(kind: type[Options], given: Mapping[str, object]) -> Options:
    """Return the checked options.

    Raises:
        BadOptions: with all findings.
    """
    findings = check(kind, given)
    if findings:
        raise BadOptions(findings)
    return kind(**given)


def _declare(rule: Rule, default: Any) -> Any:
    if default is None:
        return field(metadata={"rule": rule})
    return field(default=default, metadata={"rule": rule})


def _is_required(option: Field[Any]) -> bool:
    return option.default is MISSING
