"""What must hold between the tables of an `edge.toml`; each rule yields findings with their lines.

The rules read the file as it was written, well-formed or not, so that all findings come at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from edge.shifting import minute_of, time_complaint
from hardware import catalog
from hardware.errors import BadOption
from hardware.register_device import OPTION_NAMES
from messages.config import Document, Finding
from messages.entries import PURPOSES
from messages.fuels import FUELS
from messages.membership import SOURCES, fuel_complaint

SOCKET_PATH_BYTES_MAX: Final = 107  # sun_path of Linux, less its final zero
RELAY_MODEL: Final = "gpio_relay"
PIN_OPTIONS: Final = ("pin", "set_pin", "reset_pin")
GUARD_SOCKET: Final = "guard.sock"
SWITCHED: Final = ("appliance", "generation")
"""Purposes of meters that a relay may be in front of."""
PURPOSE_OF: Final[Mapping[str, str]] = MappingProxyType(
    {"limit": "generation", "battery": "storage"}
)
"""Kind of set-point -> purpose of the meter that shows what it does."""
UNIX: Final = "unix:"
MODEL_FILE: Final = ".toml"


def bus_options(table: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the options that a bus of this kind has."""
    return _option_names(catalog.BUSES, _word(table, "kind"))


def meter_options(table: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the options that a meter of this model has."""
    model = _word(table, "model")
    if model.endswith(MODEL_FILE):
        return OPTION_NAMES  # which of them this file allows is checked where it is read
    return _option_names(catalog.METERS, model)


def model_complaint(value: str) -> str:
    """Return what is wrong with a meter's model, or an empty text; a file is read later."""
    if value.endswith(MODEL_FILE) or value in catalog.METERS:
        return ""
    listed = ", ".join(catalog.METERS)
    return f'"{value}" is no model file (.toml) and none of {listed}{_near(value, catalog.METERS)}'


def model_in(folder: Path, model: str) -> str:
    """Return a model as the catalog knows it: the path of a model file is that folder's."""
    return str(folder / model) if model.endswith(MODEL_FILE) else model


def relay_options(table: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the options that a relay of this model has."""
    return _option_names(catalog.RELAYS, _word(table, "model", RELAY_MODEL))


def _option_names(entries: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return the options of an entry; of all entries if the name is wrong, to say only that."""
    chosen = [entries[name]] if name in entries else list(entries.values())
    return tuple(dict.fromkeys(each.name for entry in chosen for each in fields(entry.options)))


def _word(table: Mapping[str, Any], key: str, default: str = "") -> str:
    """Return a text as it stands in a table that may hold anything."""
    value = table.get(key, default)
    return value if isinstance(value, str) else ""


def socket_complaint(value: str) -> str:
    """Return what is wrong with a socket to the testbed, or an empty text."""
    if value.startswith(UNIX) and len(value) > len(UNIX):
        return ""
    return f'"{value}" must be "unix:" and the path of a socket'


def between_tables(document: Document[Any], folder: Path) -> Iterator[Finding]:
    """Yield every finding that no single key has; `folder` is that of the file."""
    names = {"bus": "name", "meter": "meter_id", "relay": "relay", "override": "switch"}
    for table, key in names.items():
        yield from _repeated(document, document.values(table, "*", key))
    yield from _repeated(document, document.values("meter", "*", "key"))
    yield from _one_place_each(document)
    yield from _one_on_each_cable(document)
    yield from _meters(document, folder)
    yield from _relays(document)
    yield from _one_pin_each(document)
    yield from _interlocks(document)
    yield from _overrides(document)
    yield from _shifts(document)
    yield from _buses(document)
    yield from _grid(document)
    yield from _sockets(document, folder)


def _shifts(document: Document[Any]) -> Iterator[Finding]:
    """Yield shiftable loads that need nothing, both or too much, or that may never wait."""
    giving = [
        each.get("meter_id")
        for _, each in _tables(document, "meter")
        if each.get("purpose") in ("generation", "storage")
    ]
    for path, table in _tables(document, "relay"):
        shift, where = table.get("shiftable"), (*path, "shiftable")
        if not isinstance(shift, dict):
            continue
        if bool(shift.get("run_minutes")) == bool(shift.get("energy_wh")):
            yield document.finding(where, "shiftable needs run_minutes or energy_wh, one of them")
        if table.get("critical"):
            yield document.finding(where, "a critical load waits for nothing: not shiftable")
        if "load" in table and table["load"] in giving:
            yield document.finding(where, f'"{table["load"]}" gives energy: not shiftable')
        short = _too_short(shift, table)
        if short:
            yield document.finding(where, short)


def _too_short(shift: Mapping[str, Any], table: Mapping[str, Any]) -> str:
    begin, end, rated_w = shift.get("window_from"), shift.get("window_until"), table.get("rated_w")
    if not all(isinstance(each, str) and not time_complaint(each) for each in (begin, end)):
        return ""
    window = (minute_of(str(end)) - minute_of(str(begin))) % 1440 or 1440
    needed = shift.get("run_minutes") or 0
    energy_wh = shift.get("energy_wh")
    if isinstance(energy_wh, int) and isinstance(rated_w, int) and rated_w > 0:
        needed = needed or -(-energy_wh * 60 // rated_w)
    if not isinstance(needed, int) or needed <= window:
        return ""
    return f"its window has {window} minutes, and it needs {needed}"


def _repeated(document: Document[Any], values: Iterable[tuple[Any, Any]]) -> Iterator[Finding]:
    seen: dict[str, Any] = {}
    for path, value in values:
        first = seen.setdefault(repr(value), path)
        if first is not path:
            where = f"{first[0]} {first[1] + 1} (line {document.line(first)})"
            yield document.finding(path, f'{path[-1]} = "{value}" is that of {where}')


def _tables(document: Document[Any], name: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    tables = document.raw.get(name, [])
    for place, table in enumerate(tables if isinstance(tables, list) else []):
        if isinstance(table, dict):
            yield (name, place), table


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a meter or relay says that it is; `channel` is None where a device has no parts."""

    path: tuple[str | int, ...]
    table: Mapping[str, Any]
    model: str
    address: int
    channel: object

    @property
    def who(self) -> str:
        """The table as a person counts it."""
        return f"{self.path[0]} {int(self.path[1]) + 1}"


def _one_place_each(document: Document[Any]) -> Iterator[Finding]:
    """Yield devices that are where another one is; the channels of one chip or board may."""
    seen: dict[tuple[str, int], list[_Place]] = {}
    for bus, place in _places(document):
        there = seen.setdefault((bus, place.address), [])
        clash = next((each for each in there if not _are_parts_of_one(each, place)), None)
        if clash is not None:
            line = document.line((*clash.path, "address"))
            part = f"channel {place.channel} of " if clash.model == place.model else ""
            where = f'{part if place.channel else ""}address {place.address:#04x} on bus "{bus}"'
            text = f"{where} is that of {clash.who}, line {line}"
            yield document.finding((*place.path, "address"), text)
        elif there:
            yield from _shared_alike(document, there[0], place)
        there.append(place)


def _one_on_each_cable(document: Document[Any]) -> Iterator[Finding]:
    """Yield meters on a VE.Direct cable that another one listens to: each would hear a half."""
    kinds = {_word(table, "name"): _word(table, "kind") for _, table in _tables(document, "bus")}
    seen: dict[str, Any] = {}
    for path, table in _tables(document, "meter"):
        bus = _word(table, "bus")
        if kinds.get(bus) != "vedirect":
            continue
        first = seen.setdefault(bus, path)
        if first is not path:
            who = f"meter {first[1] + 1} (line {document.line((*first, 'bus'))})"
            text = f'bus "{bus}" is a cable to one device, and {who} listens to it'
            yield document.finding((*path, "bus"), text)


def _places(document: Document[Any]) -> Iterator[tuple[str, _Place]]:
    for name, default, entries in (
        ("meter", "", catalog.METERS),
        ("relay", RELAY_MODEL, catalog.RELAYS),
    ):
        for path, table in _tables(document, name):
            bus, model = _word(table, "bus"), _word(table, "model", default)
            known = entries[model].options if model in entries else None
            address = table.get("address", _default(known, "address"))
            if bus and isinstance(address, int):
                channel = table.get("channel") if _has(known, "channel") else None
                yield bus, _Place(path, table, model, address, channel)


def _are_parts_of_one(first: _Place, second: _Place) -> bool:
    part = catalog.RELAYS.get(second.model)
    is_part = part is not None and part.part_of == first.model
    return is_part or (first.model == second.model and first.channel != second.channel)


def _shared_alike(document: Document[Any], first: _Place, second: _Place) -> Iterator[Finding]:
    """Yield options that one chip or board has only once, and that two tables see differently."""
    entries: Mapping[str, Any] = catalog.METERS if second.path[0] == "meter" else catalog.RELAYS
    entry = entries[second.model]
    for option in entry.shared:
        default = _default(entry.options, option)
        theirs, ours = (each.table.get(option, default) for each in (first, second))
        if theirs != ours:
            text = (
                f"{option} = {ours!r}: {first.who} is a part of the same device and has {theirs!r}"
            )
            yield document.finding((*second.path, option), text)


def _has(options: Any, name: str) -> bool:
    return options is not None and any(each.name == name for each in fields(options))


def _default(options: Any, name: str) -> object:
    every = fields(options) if options is not None else ()
    return next((each.default for each in every if each.name == name), None)


def _meters(document: Document[Any], folder: Path) -> Iterator[Finding]:
    kinds = {_word(table, "name"): _word(table, "kind") for _, table in _tables(document, "bus")}
    for path, table in _tables(document, "meter"):
        bus, model = _word(table, "bus"), _word(table, "model")
        if bus and bus not in kinds:
            text = f'bus: no bus is named "{bus}"{_near(bus, kinds)}'
            yield document.finding((*path, "bus"), text)
        elif kinds.get(bus) in catalog.BUSES and not model_complaint(model):
            given = _given(table, meter_options(table))
            found = catalog.check_meter(model_in(folder, model), kinds[bus], given)
            yield from _unlike(document, path, found)
        if table.get("purpose") == "appliance" and not table.get("parent"):
            text = 'missing key "parent": an appliance is a part of a consumption meter; name that'
            yield document.finding((*path, "parent"), text)
        fuel, purpose = _word(table, "fuel"), _word(table, "purpose")
        if fuel in FUELS and purpose in PURPOSES and purpose not in SOURCES:
            yield document.finding((*path, "fuel"), f"fuel: {fuel_complaint(fuel, purpose)}")


def _relays(document: Document[Any]) -> Iterator[Finding]:
    purposes = {
        _word(table, "meter_id"): _word(table, "purpose") for _, table in _tables(document, "meter")
    }
    kinds = {_word(table, "name"): _word(table, "kind") for _, table in _tables(document, "bus")}
    for path, table in _tables(document, "relay"):
        load, model = _word(table, "load"), _word(table, "model", RELAY_MODEL)
        if load and load not in purposes:
            text = f'load: no meter is named "{load}"{_near(load, purposes)}'
            yield document.finding((*path, "load"), text)
        elif load and not _is_told(model) and purposes[load] not in SWITCHED:
            text = f'load: meter "{load}" is not of purpose "appliance" or "generation"'
            yield document.finding((*path, "load"), text)
        if model in catalog.RELAYS:
            yield from _relay_place(document, path, table, kinds)
            yield from _failsafe(document, path, table)
            yield from _setpoint(document, path, table, purposes)


def _setpoint(
    document: Document[Any], path: Any, table: Mapping[str, Any], purposes: Mapping[str, str]
) -> Iterator[Finding]:
    """Yield a set-point whose meter is not of its kind, or that would cut it off at rest."""
    model, load = _word(table, "model", RELAY_MODEL), _word(table, "load")
    if not catalog.RELAYS[model].setpoint:
        return
    purpose = PURPOSE_OF[catalog.RELAYS[model].setpoint]
    if _word(table, "deenergised") == "cut":
        text = f'deenergised: a {model} lets everything through when nobody holds it: say "fed"'
        yield document.finding((*path, "deenergised"), text)
    if not load or (load in purposes and purposes[load] != purpose):
        text = f'load: a {model} needs a meter of purpose "{purpose}", which shows what it does'
        yield document.finding((*path, "load"), text)


def _is_told(model: str) -> bool:
    """Whether a model is a set-point, which has a rule of its own."""
    return model in catalog.RELAYS and bool(catalog.RELAYS[model].setpoint)


def _relay_place(
    document: Document[Any], path: Any, table: Mapping[str, Any], kinds: Mapping[str, str]
) -> Iterator[Finding]:
    """Yield what is wrong with where a relay sits, and with its options."""
    bus, model = _word(table, "bus"), _word(table, "model", RELAY_MODEL)
    wanted = " or ".join(catalog.RELAYS[model].bus_kinds)
    if wanted and not bus:
        text = f'missing key "bus": a {model} sits on a bus of kind {wanted}; name it'
        yield document.finding((*path, "bus"), text)
    elif bus and bus not in kinds:
        text = f'bus: no bus is named "{bus}"{_near(bus, kinds)}'
        yield document.finding((*path, "bus"), text)
    elif bus and kinds[bus] not in catalog.BUSES:
        return  # that is a finding of the bus
    found = catalog.check_relay(model, kinds.get(bus, ""), _given(table, relay_options(table)))
    if wanted and bus not in kinds:
        found = tuple(each for each in found if each.key != "bus")  # said above
    yield from _unlike(document, path, found)


def _failsafe(document: Document[Any], path: Any, table: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield a relay that does not let go by itself, where nobody said that its load bears it."""
    model = _word(table, "model", RELAY_MODEL)
    if not catalog.RELAYS[model].is_failsafe and table.get("not_failsafe") is not True:
        yield document.finding(
            (*path, "not_failsafe"),
            f"not_failsafe: a {model} stays as it is when node, wire or supply fail; say "
            "not_failsafe = true if its load bears that",
        )


def _one_pin_each(document: Document[Any]) -> Iterator[Finding]:
    seen: dict[int, Any] = {}
    for path, table in (*_tables(document, "relay"), *_tables(document, "override")):
        for key in PIN_OPTIONS:
            pin = table.get(key)
            first = seen.setdefault(pin, path) if type(pin) is int else path
            if first is not path:
                where = f"{first[0]} {first[1] + 1} (line {document.line(first)})"
                text = f'{key} = "{pin}" is that of {where}'
                yield document.finding((*path, key), text)


def _interlocks(document: Document[Any]) -> Iterator[Finding]:
    """Yield interlock groups that several holders would have to keep: each knows its own relays."""
    holders: dict[str, str] = {}
    for path, table in _tables(document, "relay"):
        group, bus = _word(table, "interlock"), _word(table, "bus")
        if group and holders.setdefault(group, bus) != bus:
            there, here = (f'bus "{each}"' if each else "pins" for each in (holders[group], bus))
            text = f'interlock: "{group}" is a group of relays on {there}; this one is on {here}'
            yield document.finding((*path, "interlock"), text)


def _overrides(document: Document[Any]) -> Iterator[Finding]:
    """Yield switches that hold what is not there, what another one holds, or two rivals at once."""
    relays = {_word(table, "relay"): table for _, table in _tables(document, "relay")}
    on_pins = [name for name, table in relays.items() if name and not _word(table, "bus")]
    holders: dict[str, str] = {}
    for path, table in _tables(document, "override"):
        switch, load, named = _word(table, "switch"), _word(table, "load", "safe"), []
        for relay in table.get("relays", ()) if isinstance(table.get("relays"), list) else ():
            if relay in on_pins:
                named.append(relay)
            else:
                text = f'relays: no relay on pins is named "{relay}"{_near(str(relay), on_pins)}'
                yield document.finding((*path, "relays"), text)
        groups: dict[str, str] = {}
        for relay in named or on_pins:
            first = holders.setdefault(relay, switch)
            if first != switch:
                text = f"relays: {relay} is held by switch {first} already"
                yield document.finding((*path, "relays"), text)
            group = _word(relays[relay], "interlock")
            energised = load not in ("safe", _word(relays[relay], "deenergised"))
            if group and energised and groups.setdefault(group, relay) != relay:
                text = f'load: of interlock "{group}" one is energised: {groups[group]} or {relay}'
                yield document.finding((*path, "load"), text)


def _buses(document: Document[Any]) -> Iterator[Finding]:
    for path, table in _tables(document, "bus"):
        kind = _word(table, "kind")
        if kind in catalog.BUSES:
            found = catalog.check_bus(kind, _given(table, bus_options(table)))
            yield from _unlike(document, path, found)


def _given(table: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: table[name] for name in names if name in table}


def _unlike(document: Document[Any], path: Any, found: Iterable[BadOption]) -> Iterator[Finding]:
    """Yield the catalog's findings, but for a key that is missing because it was misspelt."""
    told = " ".join(finding.message for finding in document.findings)
    for each in found:
        if each.value is not None or f'did you mean "{each.key}"' not in told:
            yield document.finding((*path, each.key), str(each))


def _grid(document: Document[Any]) -> Iterator[Finding]:
    steps = dict(document.values("sampling", "sample_ms"))
    slots = dict(document.values("sampling", "slot_ms"))
    for sample_ms, (path, slot_ms) in zip(steps.values(), slots.items(), strict=False):
        if type(sample_ms) is int and type(slot_ms) is int and slot_ms % max(1, sample_ms):
            text = f"slot_ms: {slot_ms} is no whole number of samples of {sample_ms} ms"
            yield document.finding(path, text)


def _sockets(document: Document[Any], folder: Path) -> Iterator[Finding]:
    for key in ("wire", "clock"):
        for path, value in document.values("simulation", key):
            if isinstance(value, str) and not socket_complaint(value):
                place = folder / value.removeprefix(UNIX)
                if place.parent.is_dir():
                    yield from _too_long(document, path, place)
                else:
                    text = f"{key}: there is no folder {place.parent}"
                    yield document.finding(path, text)
    state, guard = _word(document.raw, "state"), document.raw.get("guard", {})
    name = _word(guard, "socket", GUARD_SOCKET) if isinstance(guard, dict) else ""
    if state and name:
        yield from _too_long(document, ("state",), folder / state / name)


def _too_long(document: Document[Any], path: Any, place: Path) -> Iterator[Finding]:
    if len(str(place).encode()) > SOCKET_PATH_BYTES_MAX:
        text = f"{path[-1]}: {place} is longer than a socket's path may be, 107 bytes"
        yield document.finding(path, text)


def _near(name: str, known: Iterable[object]) -> str:
    near = difflib.get_close_matches(name, [each for each in known if isinstance(each, str)], 1)
    return f'; did you mean "{near[0]}"?' if near else ""
