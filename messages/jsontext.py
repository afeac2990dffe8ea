"""Canonical JSON: one value, one text. For files that people and other programs read.

Keys sorted, no space, UTF-8 as it is, one newline at the end; numbers are whole. A text with a
float, a key twice, or any other spelling is refused, so that a file cannot be read in two ways.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from messages import schema
from messages.errors import MalformedMessage

Record = TypeVar("Record")


def format_json(value: Any) -> str:
    """Return the one text of a value: maps, lists, texts, whole numbers, true, false, null.

    >>> format_json({"b": 1, "a": [None, "é"]}).rstrip()
    '{"a":[null,"é"],"b":1}'
    """
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n"


def parse_json(text: str) -> Any:
    """Return the value of a text.

    Raises:
        MalformedMessage: no JSON, or not the one text of its value.
    """
    try:
        value = json.loads(text, parse_float=_refuse, parse_constant=_refuse)
        is_canonical = format_json(value) == text
    except (ValueError, RecursionError) as error:
        raise MalformedMessage(f"not JSON of whole numbers: {error}") from None
    if not is_canonical:
        raise MalformedMessage("not canonical JSON: sorted keys, no space, a newline at the end")
    return value


def format_record(record: Any) -> str:
    """Return a dataclass of texts, numbers and others of the kind as canonical JSON."""
    return format_json(schema.to_map(record))


def parse_record(kind: type[Record], text: str) -> Record:
    """Return the `kind` in a text.

    Raises:
        MalformedMessage: not canonical, or a key is missing, unknown or of another type.
    """
    return schema.from_map(kind, parse_json(text))


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no whole number")
