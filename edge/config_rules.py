"""What must hold between the tables of an `edge.toml`; each rule yields findings with their lines.

The rules read the file as it was written, well-formed or not, so that all findings come at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from hardware import catalog
from hardware.errors import BadOption
from hardware.register_device import OPTION_NAMES
from messages.config import Document, Finding

SOCKET_PATH_BYTES_MAX: Final = 107  # sun_path of Linux, less its final zero
RELAY_KIND: Final = "gpio"
GUARD_SOCKET: Final = "guard.sock"
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
    """Return the options that a relay of this kind has."""
    return _option_names(catalog.RELAYS, _word(table, "kind", RELAY_KIND))


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
    for table, key in (("bus", "name"), ("meter", "meter_id"), ("relay", "relay")):
        yield from _repeated(document, document.values(table, "*", key))
    yield from _repeated(document, document.values("meter", "*", "key"))
    yield from _repeated(document, document.values("relay", "*", "pin"))
    yield from _one_address_each(document)
    yield from _meters(document, folder)
    yield from _relays(document)
    yield from _buses(document)
    yield from _grid(document)
    yield from _sockets(document, folder)


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


def _one_address_each(document: Document[Any]) -> Iterator[Finding]:
    seen: dict[tuple[str, int], Any] = {}
    for path, table in _tables(document, "meter"):
        bus = _word(table, "bus")
        address = table.get("address", _default_address(_word(table, "model")))
        if not bus or not isinstance(address, int):
            continue
        first = seen.setdefault((bus, address), path)
        if first is not path:
            line = document.line((*first, "address"))
            text = f'address {address:#04x} on bus "{bus}" is that of meter {first[1] + 1}'
            yield document.finding((*path, "address"), f"{text}, line {line}")


def _default_address(model: str) -> object:
    options = fields(catalog.METERS[model].options) if model in catalog.METERS else ()
    return next((each.default for each in options if each.name == "address"), None)


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


def _relays(document: Document[Any]) -> Iterator[Finding]:
    purposes = {
        _word(table, "meter_id"): _word(table, "purpose") for _, table in _tables(document, "meter")
    }
    for path, table in _tables(document, "relay"):
        load, kind = _word(table, "load"), _word(table, "kind", RELAY_KIND)
        if load and load not in purposes:
            text = f'load: no meter is named "{load}"{_near(load, purposes)}'
            yield document.finding((*path, "load"), text)
        elif load and purposes[load] != "appliance":
            text = f'load: meter "{load}" is not of purpose "appliance"'
            yield document.finding((*path, "load"), text)
        if kind in catalog.RELAYS:
            found = catalog.check_relay(kind, _given(table, relay_options(table)))
            yield from _unlike(document, path, found)


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
