"""Frozen dataclasses to CBOR maps and back, strictly: the field's name is the map's key.

Taken types: int (of 64 bits), str, bytes, bool, X | None, tuple[X, ...], nested dataclasses and
dict[str, X]. A missing, unknown or wrongly typed key is refused by name; so a payload has one
reading.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from messages import cbor
from messages.errors import MalformedMessage

Record = TypeVar("Record")
Reader = Callable[[Any, str], Any]
PLAIN = frozenset((int, str, bytes, bool, type(None)))


def to_map(record: Any) -> Any:
    """Return a record as what cbor.encode takes: maps, lists and plain values."""
    kind: Any = type(record)
    if kind in PLAIN:
        return record
    if kind is tuple:
        return [to_map(item) for item in record]
    if isinstance(record, Mapping):
        return {key: to_map(value) for key, value in record.items()}
    return {name: to_map(getattr(record, name)) for name in _names(kind)}


@lru_cache(maxsize=512)
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def encode_record(record: Any) -> bytes:
    """Return the deterministic CBOR map of `record`."""
    return cbor.encode(to_map(record))


def decode_record(kind: type[Record], raw: bytes, *, limit: int = cbor.ENTRY_BYTES_MAX) -> Record:
    """Return the `kind` that `raw` holds.

    Raises:
        MalformedMessage: not canonical, or a key is missing, unknown or of another type.
    """
    return from_map(kind, cbor.decode(raw, limit=limit))


def from_map(kind: type[Record], value: Any, where: str = "") -> Record:
    """Return the `kind` that a decoded map holds.

    Raises:
        MalformedMessage: a key is missing, unknown or of another type; the text names it.
    """
    record: Record = _reader(kind)(value, where or kind.__name__)  # type: ignore[arg-type]
    return record


@lru_cache(maxsize=512)
def _reader(hint: Any) -> Reader:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _optional_reader(hint)
    if origin is tuple:
        return _tuple_reader(get_args(hint))
    if origin in (dict, Mapping):
        return _dict_reader(get_args(hint)[1])
    if is_dataclass(hint):
        return _record_reader(hint)
    if hint in (int, str, bytes, bool):
        return _plain_reader(hint)
    raise AssertionError(f"schema cannot read {hint!r}")


def _plain_reader(kind: type) -> Reader:
    def read(value: Any, where: str) -> Any:
        if type(value) is not kind:
            raise MalformedMessage(f"{where}: want {kind.__name__}, got {type(value).__name__}")
        return value

    def read_int(value: Any, where: str) -> Any:
        return cbor.int64(read(value, where), where)

    return read_int if kind is int else read


def _optional_reader(hint: Any) -> Reader:
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    readers = {kind: _reader(kind) for kind in kinds}

    def read(value: Any, where: str) -> Any:
        if value is None and len(kinds) < len(get_args(hint)):
            return None
        if len(kinds) == 1:
            return readers[kinds[0]](value, where)
        if type(value) in readers:
            return readers[type(value)](value, where)
        raise MalformedMessage(f"{where}: {type(value).__name__} is not taken here")

    return read


def _tuple_reader(arguments: tuple[Any, ...]) -> Reader:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        item = _reader(arguments[0])

        def read_many(value: Any, where: str) -> Any:
            if not isinstance(value, list):
                raise MalformedMessage(f"{where}: want a list, got {type(value).__name__}")
            return tuple(item(part, where) for part in value)

        return read_many
    items = tuple(_reader(argument) for argument in arguments)

    def read_row(value: Any, where: str) -> Any:
        if not isinstance(value, list) or len(value) != len(items):
            raise MalformedMessage(f"{where}: want a list of {len(items)}")
        return tuple(item(part, where) for item, part in zip(items, value, strict=True))

    return read_row


def _dict_reader(kind: Any) -> Reader:
    item = _reader(kind)

    def read(value: Any, where: str) -> Any:
        if not isinstance(value, dict) or not all(type(key) is str for key in value):
            raise MalformedMessage(f"{where}: want a map with text keys")
        return {key: item(part, f"{where}.{key}") for key, part in value.items()}

    return read


def _record_reader(kind: Any) -> Reader:
    hints = get_type_hints(kind)
    readers = {field.name: _reader(hints[field.name]) for field in fields(kind)}
    names = frozenset(readers)

    def read(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise MalformedMessage(f"{where}: want a map, got {type(value).__name__}")
        if value.keys() != names:
            raise MalformedMessage(f"{where}: {_difference(names, value.keys())}")
        parts = {name: read(value[name], f"{where}.{name}") for name, read in readers.items()}
        return kind(**parts)

    return read


def _difference(wanted: frozenset[str], found: Any) -> str:
    missing = sorted(wanted - set(found))
    unknown = sorted(str(key) for key in set(found) - wanted)
    words = [f"{name} is missing" for name in missing] + [f"{key} is unknown" for key in unknown]
    return ", ".join(words)
