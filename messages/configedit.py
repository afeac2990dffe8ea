"""Changes a few keys of a configuration file, and leaves every other line as a person wrote it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from messages.config import key_parts, statements

Setting = str | int | Mapping[str, str]


def set_keys(
    text: str, table: str, settings: Mapping[str, Setting], drop: tuple[str, ...] = ()
) -> str:
    """Return a TOML text in which a root table has these keys, and has none of `drop`.

    A key that is there already is written anew, right under the table's header, whether it stood in
    a line or in a table of its own. A table that is not there is added at the end. The text must be
    valid TOML.
    """
    lines = text.splitlines()
    gone = {(table, key) for key in (*settings, *drop)}
    kept: list[str] = []
    written = False
    for path, is_header, block in _blocks(lines):
        if path[:2] in gone:
            continue
        kept += block
        if is_header and path == (table,):
            kept += _written(settings)
            written = True
    if not written:
        kept += ["", f"[{table}]", *_written(settings)]
    return "\n".join(kept) + "\n"


def set_in_array(text: str, table: str, number: int, key: str, value: Setting) -> str:
    """Return a TOML text in which one `[[table]]`, counted from 0, has this value for a key.

    It is written right under the table's header. With "" for the table the key is one of those that
    stand before every table, and is written first of all.
    """
    line = f"{key} = {_value(value)}"
    kept = [] if table else [line]
    newest, is_inside = -1, not table
    for path, _, block in _blocks(text.splitlines()):
        if block[:1] and block[0].lstrip().startswith("["):
            is_array = block[0].lstrip().startswith("[[") and path == (table,)
            newest += is_array
            is_inside = is_array and newest == number
            kept += [*block, line] if is_inside else block
        elif not (is_inside and path == ((table, key) if table else (key,))):
            kept += block
    return "\n".join(kept) + "\n"


def _blocks(lines: list[str]) -> Iterator[tuple[tuple[str, ...], bool, list[str]]]:
    """Yield (key path, whether it is a table's header, lines) of each statement, in order."""
    found = list(statements("\n".join(lines)))
    ends = [line for line, _ in found[1:]] + [len(lines) + 1]
    table: tuple[str, ...] = ()
    for (start, statement), end in zip(found, ends, strict=True):
        block = lines[start - 1 : end - 1]
        if statement.startswith("["):
            table = key_parts(statement.lstrip("["))
            yield table, not statement.startswith("[["), block
        elif statement:
            yield (*table, *key_parts(statement)), False, block
        else:
            yield (), False, block  # blank, or a comment


def _written(settings: Mapping[str, Setting]) -> Iterator[str]:
    for key, value in settings.items():
        yield f"{key} = {_value(value)}"


def _value(value: Setting) -> str:
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        escaped = (f"\\u{ord(c):04x}" if c < " " or c in '"\\\x7f' else c for c in value)
        return f'"{"".join(escaped)}"'
    return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
