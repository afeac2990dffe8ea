r"""A strict reader of TOML: text and a schema in, a value and all findings out.

Pure; edge and hub share it. The schema is a frozen dataclass: its fields are the keys a table may
have, the annotations are `str`, `int`, `bool`, another schema (a table), `tuple[X, ...]` (an array,
or `[[...]]` tables) and any of them with `| None`. A field without a default is required. Rules
stand in `setting(...)`:

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Bus:
        name: str = setting(check=name_complaint)
        kind: str = setting(choices=("i2c", "modbus_tcp"))
        port: int = setting(default=502, low=1, high=65_535)

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Config:
        sample_ms: int = setting(low=100)
        bus: tuple[Bus, ...] = ()

    document = read('sample = 1000\n[[bus]]\nname = "i2c1"\nkind = "i2x"\n', Config)

Now `document.value` is None, since there are findings, and they read, with `text("edge.toml")`:

    edge.toml:1: unknown key "sample": it has no unit; did you mean "sample_ms"?
    edge.toml:4: bus 1 (i2c1): kind: "i2x" is none of "i2c", "modbus_tcp"; did you mean "i2c"?

Nothing is coerced: `"20"` is not 20, 1.0 is not 1, `true` is not 1. Rules between tables (two
meters with one address) are the caller's: `document.values("meter", "*", "address")` gives paths
and values as they were written, well-formed or not, `document.finding(path, text)` a finding with
its line, and `document.with_findings(more)` the same document with those findings added. Paths to
files are texts here; what folder they are relative to is the caller's, too.

A field `options: Mapping[str, object] = rest(names)` takes, unchecked, the keys that `names(table)`
gives beside the schema's own: so the options of a meter stand among its other keys, and the
device's catalog entry checks them.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from types import UnionType
from typing import Any, Final, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

Path = tuple[str | int, ...]
Value = TypeVar("Value")

_TOKEN: Final = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}|' + r"'''.*?'{3,5}|"
    r'"(?:[^"\\\n]|\\.)*"|' + r"'[^'\n]*'|#[^\n]*|\n|[\[\]{}]|[^\"'#\n\[\]{}]+",
    re.DOTALL,
)
_KEY_PART: Final = re.compile(
    r'\s*(?:"((?:[^"\\]|\\.)*)"|' + r"'([^']*)'|([A-Za-z0-9_-]+))\s*(\.?)"
)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_SYNTAX_LINE: Final = re.compile(r"\(at line (\d+), column \d+\)|\(at end of document\)")
_WORDS: Final[Mapping[type, str]] = {str: "text", int: "a whole number", bool: "true or false"}


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing wrong with a file: its line (from 1; 0: the file as a whole) and a sentence."""

    line: int
    message: str

    def text(self, name: str) -> str:
        """Return `name:line: message`, the form editors jump to."""
        return f"{name}:{self.line}: {self.message}" if self.line else f"{name}: {self.message}"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must keep to besides its type; `check` returns a complaint or an empty text.

    `says` is told to who left the key out: what it is, and what it may be.
    """

    low: int | None = None
    high: int | None = None
    choices: tuple[str, ...] = ()
    check: Callable[[Any], str] | None = None
    says: str = ""


def setting(
    *,
    default: Any = MISSING,
    low: int | None = None,
    high: int | None = None,
    choices: tuple[str, ...] = (),
    check: Callable[[Any], str] | None = None,
    says: str = "",
) -> Any:
    """Return a dataclass field that carries a rule; `low` and `high` are included."""
    rule = Rule(low, high, choices, check, says)
    if default is MISSING:
        return field(metadata={"rule": rule})
    return field(default=default, metadata={"rule": rule})


def rest(names: Callable[[Mapping[str, Any]], Iterable[str]]) -> Any:
    """Return a dataclass field that takes the keys `names(table)` as they are."""
    return field(default_factory=dict, metadata={"rest": names})


def name_complaint(value: str) -> str:
    """Return what is wrong with a name that goes into topics and ids, or an empty text."""
    if _NAME.fullmatch(value):
        return ""
    return f'"{value}": a name has 1 to 32 of a-z, 0-9 and "-" and begins with no "-"'


@dataclass(frozen=True, slots=True)
class Document(Generic[Value]):
    """A read file: `value` (None while there is any finding), all `findings` in order of lines."""

    value: Value | None
    findings: tuple[Finding, ...]
    raw: Mapping[str, Any]
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int:
        """Return the line of a key or table, else that of the nearest one around it, else 0."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)

    def finding(self, path: Path, message: str) -> Finding:
        """Return a finding at the line of `path`, told with the table it stands in."""
        table = path[:-2] if path and isinstance(path[-1], int) else path[:-1]
        return Finding(self.line(path), _place(self.raw, table) + message)

    def values(self, *pattern: str) -> tuple[tuple[Path, Any], ...]:
        """Return (path, raw value) of each key that fits; `*` is any item of an array."""
        return tuple(_matches(self.raw, pattern, ()))

    def with_findings(self, more: Iterable[Finding]) -> "Document[Value]":
        """Return this document with findings added; with any finding at all it has no value."""
        findings = tuple(sorted({*self.findings, *more}))
        return replace(self, value=None if findings else self.value, findings=findings)


def read(text: str, schema: type[Value]) -> Document[Value]:
    """Return `text` read as `schema`, with every finding there is and not just the first."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return Document(None, (_syntax_finding(text, str(error)),), {}, {})
    walk = _Walk(Document(None, (), raw, dict(_key_lines(text))), [])
    value = walk.table(raw, schema, ())
    document: Document[Value] = replace(walk.document, value=value)
    return document.with_findings(walk.findings)


# The walk


@dataclass(frozen=True, slots=True)
class _Walk:
    """One pass over the tree; a value that is wrong becomes a finding and `MISSING`."""

    document: Document[Any]
    findings: list[Finding]

    def wrong(self, path: Path, message: str) -> Any:
        self.findings.append(self.document.finding(path, message))
        return MISSING

    def table(self, raw: Mapping[str, Any], schema: type, path: Path) -> Any:
        known = {each.name: each for each in fields(schema) if "rest" not in each.metadata}
        taken = {each.name: _rest(each, raw, known) for each in fields(schema)}
        named = {*known, *(key for names in taken.values() for key in names)}
        excused = {self._unknown(path, key, named, raw) for key in raw if key not in named}
        hints = get_type_hints(schema)
        built: dict[str, Any] = {
            name: {key: raw[key] for key in names if key in raw}
            for name, names in taken.items()
            if name not in known
        }
        for name, each in known.items():
            if name in raw:
                built[name] = self.item(raw[name], hints[name], (*path, name), each)
            elif _is_required(each):
                built[name] = MISSING
                if name not in excused:
                    self._missing(path, each)
        return MISSING if MISSING in built.values() else schema(**built)

    def _unknown(self, path: Path, key: str, known: set[str], raw: Mapping[str, Any]) -> str:
        meant = _meant(key, sorted(name for name in known if name not in raw))
        self.wrong((*path, key), f'unknown key "{key}"{_advice(key, meant)}')
        return meant

    def _missing(self, path: Path, each: Field[Any]) -> None:
        rule = each.metadata.get("rule", Rule())
        message = _place(self.document.raw, path) + f'missing key "{each.name}"'
        message += f": {rule.says}" if rule.says else ""
        self.findings.append(Finding(self.document.line(path), message))

    def item(self, raw: Any, hint: Any, path: Path, each: Field[Any] | None) -> Any:
        hint = _present(hint)
        if get_origin(hint) is tuple:
            return self.array(raw, get_args(hint)[0], path, each)
        if is_dataclass(hint):
            return self._subtable(raw, hint, path)
        if type(raw) is not hint:
            return self.wrong(path, _mistyped(path, raw, hint))
        return self._ruled(raw, path, each)

    def _subtable(self, raw: Any, hint: Any, path: Path) -> Any:
        if not isinstance(raw, dict):
            return self.wrong(path, f"{_key(path)} must be a table, got {_shown(raw)}")
        return self.table(raw, hint, path)

    def array(self, raw: Any, hint: Any, path: Path, each: Field[Any] | None) -> Any:
        if not isinstance(raw, list):
            wanted = f"[[{_key(path)}]] tables" if is_dataclass(hint) else "an array"
            return self.wrong(path, f"{_key(path)} must be {wanted}, got {_shown(raw)}")
        built = [self.item(item, hint, (*path, place), each) for place, item in enumerate(raw)]
        return MISSING if MISSING in built else tuple(built)

    def _ruled(self, raw: Any, path: Path, each: Field[Any] | None) -> Any:
        rule = each.metadata.get("rule") if each is not None else None
        complaint = _complaint(raw, rule) if rule is not None else ""
        return self.wrong(path, f"{_key(path)}: {complaint}") if complaint else raw


def _rest(each: Field[Any], raw: Mapping[str, Any], known: Mapping[str, object]) -> list[str]:
    names = each.metadata["rest"](raw) if "rest" in each.metadata else ()
    return [name for name in names if name not in known]


def _is_required(each: Field[Any]) -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def _present(hint: Any) -> Any:
    """Return X of `X | None`: TOML has no null, an optional key is simply left out."""
    if get_origin(hint) in (UnionType, Union):
        return next(part for part in get_args(hint) if part is not type(None))
    return hint


def _complaint(raw: Any, rule: Rule) -> str:
    if rule.low is not None and raw < rule.low:
        return f"{raw} is below {rule.low}"
    if rule.high is not None and raw > rule.high:
        return f"{raw} is above {rule.high}"
    if rule.choices and raw not in rule.choices:
        near = difflib.get_close_matches(raw, rule.choices, 1)
        advice = f'; did you mean "{near[0]}"?' if near else ""
        listed = ", ".join(f'"{choice}"' for choice in rule.choices)
        return f'"{raw}" is none of {listed}{advice}'
    return rule.check(raw) if rule.check is not None else ""


# Words


def _meant(key: str, free: list[str]) -> str:
    """Return the free key that was probably meant: the word with its unit, else the nearest."""
    with_unit = [name for name in free if name.startswith(key + "_")]
    near = with_unit or difflib.get_close_matches(key, free, n=1)
    return near[0] if near else ""


def _advice(key: str, meant: str) -> str:
    if not meant:
        return ""
    unit = " it has no unit;" if meant.startswith(key + "_") else ""
    return f':{unit} did you mean "{meant}"?'


def _mistyped(path: Path, raw: Any, hint: type) -> str:
    message = f"{_key(path)} must be {_WORDS[hint]}, got {_shown(raw)}"
    if hint is int and isinstance(raw, str) and raw.strip().lstrip("+-").isdigit():
        return message + "; take off the quotes"
    return message


def _shown(raw: Any) -> str:
    if isinstance(raw, str):
        return f'the text "{raw}"'
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, dict | list):
        return "a table" if isinstance(raw, dict) else "an array"
    return str(raw)


def _key(path: Path) -> str:
    """Return the last name of a path, with the 1-based place if an item of an array is meant."""
    last = path[-1]
    return f"{path[-2]} {last + 1}" if isinstance(last, int) else last


def _place(raw: Any, path: Path) -> str:
    """Return "meter 2 (dep1-pv): " for the table at `path`: its name, its place, its first text."""
    words: list[str] = []
    node = raw
    for part in path:
        if isinstance(part, int):
            node = node[part] if isinstance(node, list) and part < len(node) else {}
            texts = node.values() if isinstance(node, dict) else ()
            name = next((each for each in texts if isinstance(each, str)), "")
            words[-1] += f" {part + 1}" + (f" ({name})" if name else "")
        else:
            node = node.get(part, {}) if isinstance(node, dict) else {}
            words.append(part)
    return ".".join(words) + ": " if words else ""


def _syntax_finding(text: str, message: str) -> Finding:
    found = _SYNTAX_LINE.search(message)
    line = int(found[1]) if found and found[1] else text.count("\n") + 1
    return Finding(line, f"not valid TOML: {_SYNTAX_LINE.sub('', message).strip()}")


def _matches(node: Any, pattern: tuple[str, ...], path: Path) -> Iterator[tuple[Path, Any]]:
    if not pattern:
        yield path, node
    elif pattern[0] == "*" and isinstance(node, list):
        for place, item in enumerate(node):
            yield from _matches(item, pattern[1:], (*path, place))
    elif isinstance(node, dict) and pattern[0] in node:
        yield from _matches(node[pattern[0]], pattern[1:], (*path, pattern[0]))


# Lines: tomllib keeps none, so the statements of an already valid text are found once more


def statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of each statement; brackets and strings may carry it over many lines."""
    line, start, depth, parts = 1, 1, 0, ""
    for token in _TOKEN.findall(text):
        depth += (token in ("[", "{")) - (token in ("]", "}"))
        if token == "\n" and depth == 0:  # noqa: S105 - a line end, no secret
            yield start, parts.strip()
            parts, start = "", line + 1
        elif not token.startswith("#"):
            parts += token
        line += token.count("\n")
    yield start, parts.strip()


def _key_lines(text: str) -> Iterator[tuple[Path, int]]:
    """Yield (path, line) of each table header and key."""
    table: Path = ()
    arrays: dict[Path, int] = {}
    for line, statement in statements(text):
        if statement.startswith("[["):
            table = _resolved(key_parts(statement[2:]), arrays)
            place = arrays[table] = arrays.get(table, -1) + 1
            table = (*table, place)
            yield table, line
        elif statement.startswith("["):
            table = _resolved(key_parts(statement[1:]), arrays)
            yield table, line
        elif statement:
            yield (*table, *key_parts(statement)), line


def key_parts(statement: str) -> tuple[str, ...]:
    """Return the dotted key a statement begins with, as its parts."""
    parts, at = [], 0
    while found := _KEY_PART.match(statement, at):
        parts.append(found[1] or found[2] or found[3] or "")
        at = found.end()
        if not found[4]:
            break
    return tuple(parts)


def _resolved(names: tuple[str, ...], arrays: Mapping[Path, int]) -> Path:
    """Return the path of a header: a name that is an array of tables stands for its newest item."""
    path: Path = ()
    for place, name in enumerate(names):
        path = (*path, name)
        if path in arrays and place < len(names) - 1:
            path = (*path, arrays[path])
    return path
