"""What a contract remembers: rows by text keys, each a row of the state of its own.

So a call that changes one member's orders hashes one row and not everybody's. A contract reads
copies and returns the rows that change; None takes a row away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from hub.core.draft import Draft
from hub.market.contract import Value
from hub.market.errors import ImpossibleClearing
from messages import cbor

ROW_BYTES_MAX: Final = 1 << 20
ROWS_MAX: Final = 1 << 16
_PLAIN: Final = frozenset((int, str, bytes, bool, type(None)))
_KEY: Final = re.compile(r"[a-z0-9@][a-z0-9@._-]{0,95}")


class Memory(Mapping[str, Value]):
    """One contract's rows in the state, read only. Keys come in order; values are copies."""

    def __init__(self, rows: Mapping[tuple[str, str], Value], contract: str) -> None:
        self._rows = rows
        self._contract = contract

    def __getitem__(self, key: str) -> Value:
        found: Value = _copied(self._rows[self._contract, key])
        return found

    def __contains__(self, key: object) -> bool:
        return (self._contract, key) in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(key for contract, key in self._rows if contract == self._contract))

    def __len__(self) -> int:
        return sum(contract == self._contract for contract, _ in self._rows)


def check_memory(known: Mapping[str, Value], changed: Mapping[str, Value]) -> None:
    """Raise ImpossibleClearing unless the rows a contract returns can stand in the state."""
    if not isinstance(changed, Mapping):
        raise ImpossibleClearing("a contract's memory is a map")
    for key, value in changed.items():
        if type(key) is not str or not _KEY.fullmatch(key):
            raise ImpossibleClearing("a row of memory is named by at most 96 of a-z 0-9 @ . _ -")
        check_value(value, "a row of memory")
    added = [key for key, value in changed.items() if value is not None and key not in known]
    if added and len(known) + len(added) > ROWS_MAX:
        raise ImpossibleClearing(f"a contract remembers at most {ROWS_MAX} rows")


def check_value(value: Value, what: str) -> None:
    """Raise ImpossibleClearing unless a value can be written as canonical CBOR, and is not long."""
    _check_parts(value)
    size = len(cbor.encode(value))
    if size > ROW_BYTES_MAX:
        raise ImpossibleClearing(f"{what} of {size} bytes, at most {ROW_BYTES_MAX} are kept")


def remember(draft: Draft, contract: str, changed: Mapping[str, Value]) -> None:
    """Put the rows that a contract returned; they were checked."""
    for key in sorted(changed):
        draft.put("memory", (contract, key), _copied(changed[key]))


def own_copy(values: Mapping[str, Value]) -> dict[str, Value]:
    """Return a copy all the way down: what a contract does to its own changes no state."""
    return {key: _copied(value) for key, value in values.items()}


def _copied(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Mapping):
        return own_copy(value)
    if isinstance(value, tuple):
        return tuple([item if type(item) in _PLAIN else _copied(item) for item in value])
    return value


def _check_parts(value: Any) -> None:
    if type(value) is int:
        if not -(2**63) <= value < 2**63:
            raise ImpossibleClearing("a number in a memory has at most 64 bits")
    elif type(value) is tuple:
        for item in value:
            if type(item) is int or type(item) not in _PLAIN:
                _check_parts(item)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if type(key) is not str or len(key.encode()) > 23:
                raise ImpossibleClearing("a memory's keys are texts of at most 23 bytes")
            _check_parts(item)
    elif type(value) not in _PLAIN:
        raise ImpossibleClearing(f"a {type(value).__name__} cannot stand in a memory")
