"""`scan --write`: an edge.toml of what was found, with a comment line for each thing not known.

Those lines begin with `#` and hold UNKNOWN: filled in and uncommented, they make the file whole.
Until then `check-config` names each of them as a missing key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from edge.commissioning.errors import BadUsage
from edge.commissioning.findings import Finding, Place
from hardware import catalog, options

UNKNOWN: Final = "UNKNOWN"
_ID_LENGTH_MAX: Final = 32
_CHANNELS: Final[Mapping[str, Sequence[int]]] = {"ina3221": (1, 2, 3)}
"""Model whose device is several meters -> their channels."""

_PURPOSES: Final = "generation, consumption, net, storage, appliance or boundary"
_HEAD: Final = """\
# Written by gridtally-edge scan. Each line with UNKNOWN wants an answer of yours: fill it in, and
# take the # before it away. gridtally-edge check-config says what is left.

node = "{node}"
# microgrid = "..."    # UNKNOWN: the name that gridtally-hub init was given
# member = "..."       # UNKNOWN: who owns these meters
trust = "trust.toml"
state = "state-{node}"

[sampling]
sample_ms = 1000
slot_ms = 900000       # must be what the hub says
pack_samples = 60

[broker]
host = "127.0.0.1"     # the machine with the broker
port = 1883
password_file = "{node}.password"
"""


def node_name(host: str) -> str:
    """Return a name that a node may have, after the host's.

    >>> node_name("Rasp_Berry.local")
    'rasp-berry'
    """
    name = re.sub(r"[^a-z0-9]+", "-", host.split(".", maxsplit=1)[0].lower()).strip("-")
    return name[:16].strip("-") or "node1"


def check_free(path: Path) -> None:
    """Check that a configuration can be written there, before a scan that takes minutes.

    Raises:
        BadUsage: the file exists, or its folder does not.
    """
    if path.exists() or path.is_symlink():
        raise BadUsage(f"{path}: exists and stays; give another name to --write")
    if not path.parent.is_dir():
        raise BadUsage(f"{path}: there is no folder {path.parent}")


def write_draft(path: Path, findings: Sequence[Finding], node: str) -> None:
    """Write a configuration to a new file.

    Raises:
        BadUsage: the file exists, or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(draft(findings, node))
    except FileExistsError:
        raise BadUsage(f"{path}: exists and stays; give another name to --write") from None
    except OSError as error:
        raise BadUsage(f"{path}: {error.strerror}") from None


def draft(findings: Sequence[Finding], node: str) -> str:
    """Return the text of a configuration."""
    parts = [_HEAD.format(node=node)]
    names = _bus_names(dict.fromkeys(each.place for each in findings))
    for where, name in names.items():
        parts.append(_bus(name, where))
    used: set[str] = set()
    for each in findings:
        parts.append(_device(each, names[each.place], node, used))
    return "\n".join(parts)


def _bus_names(places: Iterable[Place]) -> dict[Place, str]:
    """Return a name for each bus: i2c1 for /dev/i2c-1, else its kind and a number."""
    names: dict[Place, str] = {}
    for where in places:
        device = str(dict(where.options).get("device", ""))
        number = re.search(r"i2c-(\d+)$", device)
        name = f"i2c{number[1]}" if number else where.kind.replace("_", "-")
        count = 1
        while name in names.values():
            count += 1
            name = f"{where.kind.replace('_', '-')}-{count}"
        names[where] = name
    return names


def _bus(name: str, where: Place) -> str:
    lines = ["[[bus]]", f'name = "{name}"', f'kind = "{where.kind}"']
    lines += [f"{key} = {_toml(value)}" for key, value in where.options]
    return "\n".join(lines) + "\n"


def _device(finding: Finding, bus: str, node: str, used: set[str]) -> str:
    best = finding.best
    if not best.model:
        at = "" if finding.address is None else f" at address {_address(finding)}"
        return f"# Not known: something on {bus}{at}: {best.why}.\n"
    comments = [f"# {best.sure.word}: {best.why}"]
    comments += [f"# or {each.model}: {each.why}" for each in finding.others if each.model]
    comments += [f"# {key}: {value}" for key, value in finding.facts.items()]
    make = _relay if best.model in catalog.RELAYS else _meter
    tables = [
        make(finding, bus, node, used, {**best.options, **channel})
        for channel in [{"channel": each} for each in _CHANNELS.get(best.model, ())] or [{}]
    ]
    return "\n".join(comments) + "\n" + "\n".join(tables)


def _meter(
    finding: Finding, bus: str, node: str, used: set[str], given: Mapping[str, object]
) -> str:
    model = finding.best.model
    name = _fresh(f"{node}-{model.replace('_', '-')}", used)
    lines = [
        "[[meter]]",
        f'meter_id = "{name}"',
        f'model = "{model}"',
        f'bus = "{bus}"',
        *_options(finding, catalog.METERS[model].options, given),
        f'key = "keys/{name}.pem"',
        f'# purpose = "..."      # {UNKNOWN}: {_PURPOSES}',
        f"# rated_w = ...        # {UNKNOWN}: the most power its line is built for, in W",
    ]
    return "\n".join(lines) + "\n"


def _relay(
    finding: Finding, bus: str, node: str, used: set[str], given: Mapping[str, object]
) -> str:
    model = finding.best.model
    name = _fresh(f"{node}-relay", used)
    lines = [
        "[[relay]]               # one for each relay of the board",
        f'relay = "{name}"',
        f'model = "{model}"',
        f'bus = "{bus}"',
        *_options(finding, catalog.RELAYS[model].options, {"channel": 1, **given}),
        f"# not_failsafe = ...   # {UNKNOWN}: true if its load may stay as it is then",
        f'# deenergised = "..."  # {UNKNOWN}: what the load gets while the coil is off: fed or cut',
        f"# rated_w = ...        # {UNKNOWN}: the power of the load, in W",
    ]
    return "\n".join(lines) + "\n"


def _options(finding: Finding, kind: type[Any], given: Mapping[str, object]) -> Iterator[str]:
    """Yield what is known of a model's options, and a comment for what must be and is not."""
    known = dict(given)
    needed = options.required(kind)
    names = options.names(kind)
    if "address" in names and finding.address is not None:
        known["address"] = finding.address
    if "serial" in names and "serial" in finding.facts:
        known["serial"] = finding.facts["serial"]
    for key, value in known.items():
        shown = _address(finding) if key == "address" else _toml(value)
        yield f"{key} = {shown}"
    for key, says in needed.items():
        if key not in known:
            yield f"# {key} = ...{' ' * max(1, 16 - len(key))}# {UNKNOWN}: {says}"


def _address(finding: Finding) -> str:
    return f"0x{finding.address:02X}" if finding.place.kind == "i2c" else str(finding.address)


def _fresh(wanted: str, used: set[str]) -> str:
    name, count = wanted[:_ID_LENGTH_MAX], 1
    while name in used:
        count += 1
        end = f"-{count}"
        name = wanted[: _ID_LENGTH_MAX - len(end)] + end
    used.add(name)
    return name


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
