"""One page a model for docs/devices, from the catalogs, the model files, vectors and simulators."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from hardware import catalog, modelfile
from hardware.mock.catalog import SIMULATORS
from testbed.in_python import ON_PINS

ROOT = Path(__file__).parent.parent
VECTORS = ROOT / "tests" / "vectors"
WRITTEN = "<!-- Written by `make docs` from catalog, model file, vectors and simulator. -->"
WIRING = {
    "i2c": "ina219-high-side.svg",
    "modbus_rtu": "rs485.svg",
    "vedirect": "vedirect.svg",
    "gpio": "relay.svg",
}
OWN_WIRING = {"epever_tracer": "epever-rj45.svg", "latching_relay": "latching-relay.svg"}
EXAMPLE_VALUES: Mapping[str, object] = {
    "address": 1,
    "shunt_mohm": 100,
    "current_max_ma": 3200,
    "pin": 17,
    "active_high": True,
    "channel": 1,
}
FUNCTIONS = {1: "coil", 2: "discrete input", 3: "holding", 4: "input"}


def pages() -> dict[str, str]:
    """Return every page of docs/devices by file name."""
    made = {f"{name}.md": page(name, catalog.METERS[name], "meter") for name in catalog.METERS}
    made |= {f"{name}.md": page(name, catalog.RELAYS[name], "relay") for name in catalog.RELAYS}
    return made | {"README.md": index()}


def index() -> str:
    """Return the list of all devices, and of what each was tested with."""
    lines = [
        "# Devices",
        "",
        WRITTEN,
        "",
        "Each model has a page: how to wire and configure it, its registers, and its twin on the "
        "wire to try it without the device. [Add a Modbus meter without Python]"
        "(../devices-adding.md) shows how a model that is not here becomes one of these.",
        "",
        "No real device has been at hand yet. What each was tested with instead stands here; if "
        "yours behaves otherwise, `gridtally-edge trace` makes the file that we want to see.",
        "",
        "| model | what it is | vectors of vendor or capture | derived | simulator | hardware |",
        "|---|---|---|---|---|---|",
    ]
    for name in (*catalog.METERS, *catalog.RELAYS):
        captured, derived = origins(name)
        twin = "mock pins" if name in ON_PINS else "yes" if twin_of(name) in SIMULATORS else "no"
        lines.append(
            f"| [`{name}`]({name}.md) | {title(name)} | {captured or '-'} | {derived or '-'} "
            f"| {twin} | none yet |"
        )
    return "\n".join(lines) + "\n"


def page(name: str, entry: Any, kind: str) -> str:
    """Return the page of one model."""
    parts = [
        f"# `{name}`: {title(name)}",
        WRITTEN,
        about(name, entry),
        wiring(name, entry),
        configuring(name, entry, kind),
        *registers(name),
        *trying(name),
        tested(name),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def twin_of(name: str) -> str:
    """Return whose simulator a model has: its own, or that of the device that it is a part of."""
    entry = catalog.RELAYS.get(name)
    return name if entry is None or name in SIMULATORS else entry.part_of or name


def title(name: str) -> str:
    """Return what a model is called."""
    if name in modelfile.shipped_names():
        return modelfile.shipped_model(name).table.title
    if name in SIMULATORS:
        return SIMULATORS[name].title
    entry = catalog.METERS[name] if name in catalog.METERS else catalog.RELAYS[name]
    return summary(entry).partition(":")[0].partition(".")[0]


def about(name: str, entry: Any) -> str:
    """Return what it measures, where that is known from, and what is known against it."""
    if name not in modelfile.shipped_names():
        return text_of(entry)
    table = modelfile.shipped_model(name).table
    lines = [
        f"Measures {table.measures}.",
        f"Source: {table.source}. Seen on: {table.seen_on}.",
    ]
    if table.note:
        lines.append(f"Known limits: {table.note}.")
    if table.silent_at_night:
        lines.append("Some units fall silent at night: that is then no fault.")
    return "\n\n".join(lines)


def text_of(entry: Any) -> str:
    """Return the docstring of the driver's file, as paragraphs."""
    module = sys.modules[entry.options.__module__]
    return inspect.cleandoc(module.__doc__ or "")


def summary(entry: Any) -> str:
    """Return the first line of the driver's file."""
    return text_of(entry).splitlines()[0]


def wiring(name: str, entry: Any) -> str:
    """Return how it is connected: diagram, kinds of bus, factory settings."""
    kinds = tuple(getattr(entry, "bus_kinds", ())) or ("gpio",)
    picture = OWN_WIRING.get(name) or next((WIRING[each] for each in kinds if each in WIRING), "")
    lines = ["## Connect", ""]
    if (ROOT / "docs" / "img" / "wiring" / picture).is_file():
        lines += [f"![How it is wired](../img/wiring/{picture})", ""]
    lines.append("Bus: " + ", ".join(f"`{each}`" for each in kinds) + ".")
    link = modelfile.shipped_model(name).table.link if name in modelfile.shipped_names() else None
    if link is not None:
        lines.append(
            f"From the factory: {link.baud} baud, 8{link.parity}{link.stopbits}, id {link.address}."
        )
    return "\n".join(lines)


def configuring(name: str, entry: Any, kind: str) -> str:
    """Return an example for edge.toml, and every option."""
    options = {each.name: each for each in fields(entry.options)}
    lines = ["## Configure", "", "```toml", f"[[{kind}]]"]
    lines += (
        [f'meter_id = "my-{name.replace("_", "-")}"', f'model = "{name}"']
        if kind == "meter"
        else [f'relay = "my-{name.replace("_", "-")}"', f'model = "{name}"']
    )
    if getattr(entry, "bus_kinds", ()):
        lines.append('bus = "..."')
    for option, each in options.items():
        if each.default is MISSING:
            lines.append(f"{option} = {toml(EXAMPLE_VALUES.get(option, 1))}")
    lines += ["```", "", "| option | what it is | left out |", "|---|---|---|"]
    for option, each in options.items():
        says = each.metadata["rule"].says.removeprefix("want ")
        if option.endswith("_from"):
            says = says.partition(", one of")[0] + ", by its name below"
        default = "required" if each.default is MISSING else toml(each.default)
        lines.append(f"| `{option}` | {says} | {default} |")
    return "\n".join(lines)


def toml(value: object) -> str:
    """Return a value as TOML writes it."""
    return json.dumps(value)


def registers(name: str) -> Iterator[str]:
    """Yield what feeds a sample, and the register map."""
    if name not in modelfile.shipped_names():
        return
    model = modelfile.shipped_model(name)
    sources = [
        (field, getattr(model.table.sample, field))
        for field in modelfile.SAMPLE_UNITS
        if getattr(model.table.sample, field)
    ]
    if sources:
        rows = [
            f"| `{field}` | {', '.join(f'`{each}`' for each in names)} |"
            for field, names in sources
        ]
        yield "\n".join(["## What feeds a sample", "", "| field | register |", "|---|---|", *rows])
    lines = [
        "## Registers",
        "",
        "Addresses are 0-based, as on the wire.",
        "",
        "| address | kind | name | type | scale | unit |",
        "|---|---|---|---|---|---|",
    ]
    for each in model.registers:
        order = ", low word first" if each.low_first and each.words > 1 else ""
        factors = "".join(f" × `{factor}`" for factor in each.times)
        scale = f"{'-' if each.sign < 0 else ''}{each.scale}{factors}"
        lines.append(
            f"| 0x{each.address:04X} | {FUNCTIONS[each.function]} | `{each.name}` "
            f"| {each.type}{order} | {scale} | {each.unit} |"
        )
    yield "\n".join(lines)


def trying(name: str) -> Iterator[str]:
    """Yield how to run its twin."""
    twin = twin_of(name)
    if twin not in SIMULATORS and name not in ON_PINS:
        return
    entry = SIMULATORS.get(twin)
    lines = ["## Try it without the device", "", "```sh"]
    if entry is None or "i2c" in entry.wires:
        lines.append(
            f"gridtally-testbed simulate {twin}      # shows the lines of Python that reach it"
        )
    elif "tcp" in entry.wires:
        powers = "" if entry.point == "relays" else " --load-w 500 --pv-w 200"
        lines.append(f"gridtally-testbed simulate {twin} --tcp 127.0.0.1:5020{powers}")
        if "rtu" in entry.wires:
            lines.append(f"gridtally-testbed simulate {twin} --pty /tmp/{twin} --fault silent")
    else:
        lines.append(f"gridtally-testbed simulate {twin} --pty /tmp/{twin} --pv-w 200")
    lines += ["```"]
    yield "\n".join(lines)


def tested(name: str) -> str:
    """Return what it was tested with."""
    captured, derived = origins(name)
    twin = "on mock pins" if name in ON_PINS else "against its simulator"
    return (
        f"## Tested how\n\nWith {captured} vectors that were captured or printed by the vendor and "
        f"{derived} derived ones, and {twin}; with hardware not yet."
    )


def origins(name: str) -> tuple[int, int]:
    """Return how many vectors are captured or the vendor's, and how many derived."""
    path = VECTORS / f"{name}.json"
    if not path.is_file():
        return 0, 0
    rows = [
        row
        for value in json.loads(path.read_text()).values()
        if isinstance(value, list)
        for row in value
        if isinstance(row, dict) and "origin" in row
    ]
    derived = sum("derived" in row["origin"] for row in rows)
    return len(rows) - derived, derived
