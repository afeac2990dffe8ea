"""Reads the arguments of a call: each by name and kind, and none that nobody asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hub.market.contract import Value
from hub.market.errors import CallRefused
from hub.market.parameters import listed

NAMES_MAX: Final = 16
NAME_CHARS_MAX: Final = 48


class Arguments:
    """The arguments of one call. Every reader raises CallRefused naming call and argument."""

    def __init__(self, method: str, given: Mapping[str, Value]) -> None:
        self._method = method
        self._given = given
        self._used: set[str] = set()

    def has(self, name: str) -> bool:
        """Whether an argument was given."""
        return name in self._given

    def whole(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """Return a whole number within bounds."""
        value = self._take(name, default)
        if type(value) is not int or not low <= value <= high:
            raise self._refusal(name, f"a whole number from {low} to {high}", value)
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text."""
        value = self._take(name, default)
        if not isinstance(value, str):
            raise self._refusal(name, "a text", value)
        return value

    def raw(self, name: str) -> bytes:
        """Return bytes."""
        value = self._take(name, None)
        if not isinstance(value, bytes):
            raise self._refusal(name, "bytes", value)
        return value

    def one_of(self, name: str, *options: str) -> str:
        """Return one of some words."""
        value = self._take(name, None)
        if not isinstance(value, str) or value not in options:
            raise self._refusal(name, f"one of {', '.join(options)}", value)
        return value

    def names(self, name: str) -> tuple[str, ...]:
        """Return the names in a text, separated by commas; none where it is not given."""
        found = listed(self.text(name, ""))
        if len(found) > NAMES_MAX or any(len(each) > NAME_CHARS_MAX for each in found):
            wanted = f"at most {NAMES_MAX} names of at most {NAME_CHARS_MAX} characters"
            raise self._refusal(name, wanted, found)
        return found

    def check_used(self) -> None:
        """Refuse an argument that the call does not have."""
        for name in sorted(self._given):
            if name not in self._used:
                raise CallRefused(f"{self._method} has no argument {name!r}")

    def _take(self, name: str, default: Value) -> Value:
        self._used.add(name)
        if name not in self._given and default is None:
            raise CallRefused(f"{self._method} needs {name}")
        return self._given.get(name, default)

    def _refusal(self, name: str, wanted: str, value: Value | tuple[str, ...]) -> CallRefused:
        return CallRefused(f"{self._method}: {name} is {wanted}, not {value!r}")
