r"""A model's TOML file: the whole driver of a device that is a register map and nothing else.

`hardware/models/sdm120.toml` is the example to copy; docs/devices-adding.md explains every key.
Wrong files are refused with all findings at once, each with file and line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from hardware.errors import BadModelFile, UnknownModel
from hardware.ports import Manners
from hardware.registers import UNITS, WORDS_MAX, WORDS_OF, Block, Register, plan
from messages.config import Document, Finding, read, setting

MODELS: Final = Path(__file__).parent / "models"
SAMPLE_UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "power_mw": "W",
        "energy_import_uwh": "Wh",
        "energy_export_uwh": "Wh",
        "voltage_mv": "V",
        "current_ma": "A",
        "frequency_mhz": "Hz",
    }
)
"""Field of `Sample` -> unit, without a prefix, of what may feed it."""

_TYPES: Final = tuple(WORDS_OF)
_ORDERS: Final = ("high_first", "low_first")
_PARITIES: Final = ("N", "E", "O")
_ALL_ONES: Final = "max"
_BUSES: Final = ("modbus_rtu", "modbus_tcp", "modbus_rtu_tcp")


def _scale_complaint(value: str) -> str:
    try:
        return "" if Fraction(value) else "a scale of nothing"
    except (ValueError, ZeroDivisionError):
        return f'"{value}" is no exact number, want a text as "0.1" or "1/32768"'


def _name_complaint(value: str) -> str:
    if re.fullmatch(r"[a-z][a-z0-9_]*", value):
        return ""
    return f'"{value}" is no name, want small letters, digits and _'


def _usual_complaint(value: str) -> str:
    return _scale_complaint(value) if value else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTable:
    """Factory settings of the serial side."""

    baud: int = setting(low=300, high=1_000_000)
    parity: str = setting(default="N", choices=_PARITIES)
    stopbits: int = setting(default=1, low=1, high=2)
    address: int = setting(default=1, low=1, high=247)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsTable:
    """What the device bears. [registers, ms]"""

    words_max: int = setting(default=WORDS_MAX, low=1, high=WORDS_MAX)
    words_most: int = setting(default=0, low=0, high=WORDS_MAX)
    hole_words_max: int = setting(default=0, low=0, high=WORDS_MAX)
    pause_ms: int = setting(default=0, low=0, high=5_000)
    latency_ms: int = setting(default=0, low=0, high=60_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultsTable:
    """What every register is unless it says otherwise."""

    function: int = setting(default=4, low=1, high=4)
    type: str = setting(default="u16", choices=_TYPES)
    word_order: str = setting(default="high_first", choices=_ORDERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifyTable:
    """A register that names the model: one of `values`, or a text beginning with one of `texts`."""

    function: int = setting(low=3, high=4)
    address: int = setting(low=0, high=0xFFFF)
    type: str = setting(default="u16", choices=_TYPES)
    word_order: str = setting(default="high_first", choices=_ORDERS)
    words: int = setting(default=0, low=0, high=WORDS_MAX)
    values: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialTable:
    """A register that tells two units of the model apart."""

    function: int = setting(low=3, high=4)
    address: int = setting(low=0, high=0xFFFF)
    type: str = setting(default="u32", choices=_TYPES)
    word_order: str = setting(default="high_first", choices=_ORDERS)
    words: int = setting(default=0, low=0, high=WORDS_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterTable:
    """One row of the map; see `hardware.registers.Register`.

    Attributes:
        usual: what it says in most devices, in its unit, where it scales others: who only has a
            frame without it takes this. A driver reads the register.
    """

    name: str = setting(check=_name_complaint)
    unit: str = setting(default="", choices=tuple(UNITS))
    function: int = setting(default=0, low=0, high=4)
    address: int = setting(low=0, high=0xFFFF)
    type: str = setting(default="", choices=("", *_TYPES))
    word_order: str = setting(default="", choices=("", *_ORDERS))
    words: int = setting(default=0, low=0, high=WORDS_MAX)
    scale: str = setting(default="1", check=_scale_complaint)
    sign: int = setting(default=1, low=-1, high=1)
    times: tuple[str, ...] = ()
    not_available: tuple[int, ...] = ()
    not_available_is: str = setting(default="", choices=("", _ALL_ONES))
    low: int | None = None
    high: int | None = None
    tenths_above: int = setting(default=0, low=0, high=1_000_000)
    names: tuple[str, ...] = ()
    usual: str = setting(default="", check=_usual_complaint)
    wraps: bool = True
    wraps_at: int = setting(default=0, low=0, high=1 << 62)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleTable:
    """What feeds each field of a `Sample`: names of registers, added up; "-name" is subtracted."""

    power_mw: tuple[str, ...] = ()
    energy_import_uwh: tuple[str, ...] = ()
    energy_export_uwh: tuple[str, ...] = ()
    voltage_mv: tuple[str, ...] = ()
    current_ma: tuple[str, ...] = ()
    frequency_mhz: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTable:
    """A whole file."""

    title: str
    measures: str
    source: str
    seen_on: str = "simulated device only"
    note: str = ""
    buses: tuple[str, ...] = _BUSES
    silent_at_night: bool = False
    link: LinkTable | None = None
    limits: LimitsTable = LimitsTable()
    defaults: DefaultsTable = DefaultsTable()
    identify: IdentifyTable | None = None
    serial: SerialTable | None = None
    register: tuple[RegisterTable, ...] = ()
    sample: SampleTable = SampleTable()


@dataclass(frozen=True, slots=True)
class Identify:
    """How to tell that this model answers: what the register must say."""

    register: Register
    values: tuple[int, ...]
    texts: tuple[str, ...]
    optional: bool


@dataclass(frozen=True, slots=True)
class Model:
    """One model, read and checked.

    Attributes:
        name: the file's name without its ending.
        table: what the file says, for whoever shows it.
        registers: every row of the map, in the order of the file.
        manners: what the device asks of the line.
        words_most: the most registers any sub-model answers at once.
        identify: how to tell the model; None: it cannot be told.
        serial: what tells two units apart; None: nothing does.
    """

    name: str
    table: ModelTable
    registers: tuple[Register, ...]
    manners: Manners
    words_most: int
    identify: Identify | None
    serial: Register | None

    def register(self, name: str) -> Register:
        """Return the row of this name."""
        for each in self.registers:
            if each.name == name:
                return each
        raise UnknownModel(f"{self.name} has no register {name!r}")

    def feeding(self, unit: str) -> tuple[str, ...]:
        """Return the names of all registers whose unit is this one with any prefix."""
        return tuple(each.name for each in self.registers if _plain(each.unit) == unit)

    def plan(self, names: Iterable[str], words_max: int = 0) -> tuple[Block, ...]:
        """Return the requests that read these registers; `words_max` 0: what the file says.

        Where holes may be read along, what fits into one request is read in one.
        """
        limits = self.table.limits
        rows = [self.register(name) for name in dict.fromkeys(names)]
        most, hole = words_max or limits.words_max, limits.hole_words_max
        whole = plan(rows, words_max=most, hole_words_max=most if hole else 0)
        if len(whole) == 1:
            return whole
        return plan(rows, words_max=most, hole_words_max=hole)

    @property
    def has_counters(self) -> bool:
        """Whether the device counts energy itself."""
        return bool(self.table.sample.energy_import_uwh or self.table.sample.energy_export_uwh)


def shipped_names() -> tuple[str, ...]:
    """Return the names of all shipped files, in order."""
    return tuple(sorted(path.stem for path in MODELS.glob("*.toml")))


@cache
def shipped_model(name: str) -> Model:
    """Return a shipped model; UnknownModel if there is none of this name."""
    path = MODELS / f"{name}.toml"
    if name not in shipped_names():
        raise UnknownModel(f"no model file {name}.toml in {MODELS}")
    return load_model(path)


def load_model(path: Path) -> Model:
    """Read a model file; BadModelFile holds every finding with file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise BadModelFile((f"{path}: cannot be read: {reason}",)) from None
    return parse_model(text, path)


def parse_model(text: str, path: Path) -> Model:
    """Return the model in `text`, which stood in the file `path`."""
    document = read(text, ModelTable)
    document = document.with_findings(_between(document))
    if document.value is None:
        raise BadModelFile(tuple(finding.text(str(path)) for finding in document.findings))
    return _made(path.stem, document.value)


def _made(name: str, table: ModelTable) -> Model:
    limits, identify, serial = table.limits, table.identify, table.serial
    return Model(
        name=name,
        table=table,
        registers=tuple(_register(row, table.defaults) for row in table.register),
        manners=Manners(limits.pause_ms, limits.latency_ms),
        words_most=max(limits.words_max, limits.words_most),
        identify=None
        if identify is None
        else Identify(
            _plain_register("model", identify), identify.values, identify.texts, identify.optional
        ),
        serial=None if serial is None else _plain_register("serial", serial),
    )


def _register(row: RegisterTable, defaults: DefaultsTable) -> Register:
    kind = row.type or defaults.type
    function = row.function or defaults.function
    if function <= 2:
        kind = "bit"
    words = WORDS_OF[kind] or row.words
    not_available = row.not_available
    if row.not_available_is == _ALL_ONES:
        bits = 16 * words if "8" not in kind else 8
        ones = (1 << bits) - 1
        not_available += (ones if kind.rpartition("_")[2].startswith("u") else ones >> 1,)
    return Register(
        name=row.name,
        unit=row.unit,
        function=function,
        address=row.address,
        type=kind,
        words=words,
        low_first=(row.word_order or defaults.word_order) == "low_first",
        scale=Fraction(row.scale),
        sign=row.sign,
        times=row.times,
        not_available=not_available,
        low=row.low,
        high=row.high,
        tenths_above=row.tenths_above,
        names=row.names,
        wraps_at=_end(row, kind, words) if row.wraps else None,
    )


def _end(row: RegisterTable, kind: str, words: int) -> Fraction | None:
    """Return where a counter is 0 again: what the file says, or the end of its words."""
    if row.wraps_at:
        return Fraction(row.wraps_at)
    if kind in ("f32", "ascii", "bit"):
        return None
    return Fraction(row.scale) * (1 << 16 * words)


def _plain_register(name: str, row: IdentifyTable | SerialTable) -> Register:
    return Register(
        name=name,
        unit="",
        function=row.function,
        address=row.address,
        type=row.type,
        words=WORDS_OF[row.type] or row.words,
        low_first=row.word_order == "low_first",
    )


def _plain(unit: str) -> str:
    """Return a unit without its prefix."""
    return unit[1:] if UNITS[unit] else unit


# What one key cannot say about another


def _between(document: Document[Any]) -> Iterator[Finding]:
    rows = document.raw.get("register", ())
    names: dict[str, str] = {}
    for place, row in enumerate(rows if isinstance(rows, list) else ()):
        if not isinstance(row, dict):
            continue
        path = ("register", place)
        name = row.get("name")
        if name in names:
            yield document.finding((*path, "name"), f'two registers are named "{name}"')
        if isinstance(name, str):
            unit = row.get("unit", "")
            names[name] = unit if unit in UNITS else ""
        yield from _one_row(document, path, row)
    for where, factors in document.values("register", "*", "times"):
        yield from _unnamed(document, where, factors, names)
    yield from _sources(document, names)
    yield from _identities(document)
    yield from _line(document)


def _one_row(
    document: Document[Any], path: tuple[str | int, ...], row: Mapping[str, Any]
) -> Iterator[Finding]:
    defaults = document.raw.get("defaults", {})
    kind = row.get("type") or (defaults.get("type") if isinstance(defaults, dict) else "u16")
    if kind == "ascii" and not row.get("words"):
        yield document.finding(path, 'missing key "words": a text says how many it takes')
    if row.get("sign", 1) == 0:
        yield document.finding((*path, "sign"), "sign: 0 is neither 1 nor -1")
    low, high = row.get("low"), row.get("high")
    if isinstance(low, int) and isinstance(high, int) and low > high:
        yield document.finding((*path, "low"), f"low: {low} is above high, {high}")


def _sources(document: Document[Any], names: Mapping[str, str]) -> Iterator[Finding]:
    for field, unit in SAMPLE_UNITS.items():
        for path, sources in document.values("sample", field):
            yield from _unnamed(document, path, sources, names)
            for source in sources if isinstance(sources, list) else ():
                found = names.get(str(source).removeprefix("-"))
                if found is not None and _plain(found) != unit:
                    text = f'{field}: register "{source}" is in "{found}", want {unit}'
                    yield document.finding(path, text)


def _unnamed(
    document: Document[Any], path: tuple[str | int, ...], given: Any, names: Iterable[str]
) -> Iterator[Finding]:
    known = set(names)
    for name in given if isinstance(given, list) else ():
        if isinstance(name, str) and name.removeprefix("-") not in known:
            yield document.finding(path, f'{path[-1]}: no register is named "{name}"')


def _identities(document: Document[Any]) -> Iterator[Finding]:
    for path, table in document.values("identify"):
        if isinstance(table, dict) and not table.get("values") and not table.get("texts"):
            yield document.finding(path, "identify: wants values or texts to compare with")
    for name in ("identify", "serial"):
        for path, table in document.values(name):
            if isinstance(table, dict) and table.get("type") == "ascii" and not table.get("words"):
                yield document.finding(path, f'{name}: missing key "words": a text says how many')


def _line(document: Document[Any]) -> Iterator[Finding]:
    """A device with a serial side says how it is set; Ethernet devices have none."""
    buses = document.raw.get("buses", _BUSES)
    for bus in buses if isinstance(buses, list) else ():
        if bus not in _BUSES:
            yield document.finding(("buses",), f'buses: "{bus}" is none of {", ".join(_BUSES)}')
    if document.raw and "modbus_rtu" in buses and "link" not in document.raw:
        yield document.finding((), 'missing table "link": how its serial line is set')
