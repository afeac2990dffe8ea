"""`scan`: every place a device could be in, one after the other, and what was found there."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.commissioning.errors import BadUsage
from edge.commissioning.findings import Place, Trouble, place
from edge.commissioning.places import I2C, host_and_port
from edge.commissioning.scan_i2c import scan_i2c
from edge.commissioning.scan_lines import (
    QUESTIONS,
    TCP_IDS,
    Effort,
    Found,
    Progress,
    scan_host,
    scan_modbus,
    scan_port,
    usual_ids,
)
from hardware import catalog
from hardware.errors import HardwareError

BY_ID: Final = Path("/dev/serial/by-id")
DEV: Final = Path("/dev")
_UNSTABLE: Final = ("ttyUSB*", "ttyACM*")
_IDS: Final = re.compile(r"(\d+)(?:-(\d+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """What to scan; all of it empty: whatever this machine has.

    Attributes:
        i2c: I2C buses, as /dev/i2c-1.
        ports: serial ports, or folders of them.
        tcp: Modbus TCP servers, HOST or HOST:PORT.
        rtu_tcp: serial servers that carry RTU frames, HOST:PORT.
        bus: a bus of a configuration.
        config: that configuration.
    """

    i2c: Sequence[str] = ()
    ports: Sequence[str] = ()
    tcp: Sequence[str] = ()
    rtu_tcp: Sequence[str] = ()
    bus: str = ""
    config: Path = Path("edge.toml")

    @property
    def is_anywhere(self) -> bool:
        """Whether nothing is named."""
        return not (self.i2c or self.ports or self.tcp or self.rtu_tcp or self.bus)


def parse_ids(text: str) -> tuple[int, ...]:
    """Return ids given as numbers and ranges.

    >>> parse_ids("1-3,11")
    (1, 2, 3, 11)

    Raises:
        BadUsage: it is something else.
    """
    found: list[int] = []
    for part in text.split(","):
        match = _IDS.fullmatch(part.strip())
        first = int(match[1]) if match else 0
        last = int(match[2] or match[1]) if match else 0
        if not 1 <= first <= last <= 255:
            raise BadUsage(f"--ids {text}: want numbers and ranges from 1 to 255, as 1-5,11")
        found += range(first, last + 1)
    return tuple(dict.fromkeys(found))


def scan(where: Where, effort: Effort, progress: Progress) -> Iterator[Found]:
    """Yield what is found, and what stood in the way.

    Raises:
        BadUsage: a place is not written as one.
        ConfigError: the configuration with the named bus is wrong.
    """
    if where.is_anywhere:
        where = _everywhere()
    hosts = [(host_and_port(each), "modbus_tcp") for each in where.tcp]
    hosts += [(host_and_port(each), "modbus_rtu_tcp") for each in where.rtu_tcp]
    ports = [port for each in where.ports for port in _ports(Path(each))]
    for device in where.i2c:
        yield from _i2c(device, progress)
    for port in ports:
        yield from scan_port(port, effort, progress)
    for (host, number), kind in hosts:
        yield from scan_host(host, number, effort, progress, kind)
    if where.bus:
        yield from _configured(where, effort, progress)


def _everywhere(dev: Path = DEV, by_id: Path = BY_ID) -> Where:
    """Return the buses and ports of this machine; ports by stable names, if there are any."""
    buses = sorted(str(each) for each in dev.glob("i2c-*"))
    if by_id.is_dir():
        return Where(i2c=buses, ports=(str(by_id),))
    ports = sorted(str(each) for pattern in _UNSTABLE for each in dev.glob(pattern))
    return Where(i2c=buses, ports=ports)


def _ports(path: Path) -> list[str]:
    """Return the ports in a folder, or the one that this is."""
    if path.is_dir():
        return sorted(str(each) for each in path.iterdir())
    return [str(path)]


def _i2c(device: str, progress: Progress) -> Iterator[Found]:
    where = place(I2C, device=device)
    with contextlib.closing(catalog.open_bus(I2C, {"device": device})) as bus:
        yield from _asked(where, lambda: scan_i2c(bus, where, progress))


def _configured(where: Where, effort: Effort, progress: Progress) -> Iterator[Found]:
    """Scan a bus that is configured already, as it is configured."""
    from edge.app import Bench
    from edge.service import loaded

    config = loaded(where.config)
    table = next((each for each in config.bus if each.name == where.bus), None)
    if table is None:
        known = ", ".join(each.name for each in config.bus)
        raise BadUsage(f"no bus is named {where.bus}; there are: {known or 'none'}")
    if table.kind == "vedirect":
        yield from scan_port(str(table.options["device"]), effort, progress)
        return
    spot = _spot(table.kind, table.options)
    bench = Bench(config)
    try:
        bus = bench.buses[table.name]
        if table.kind == I2C:
            yield from _asked(spot, lambda: scan_i2c(bus, spot, progress))
            return
        ids = effort.ids or (TCP_IDS if table.kind == "modbus_tcp" else usual_ids())
        yield from _asked(spot, lambda: scan_modbus(bus, spot, ids, QUESTIONS, (), progress))
    finally:
        bench.close()


def _spot(kind: str, given: Mapping[str, object]) -> Place:
    """Return the place of a configured bus, with the settings that were left to their defaults."""
    unset = {each.name: each.default for each in dataclasses.fields(catalog.BUSES[kind].options)}
    whole: dict[str, object] = {
        name: unset[name] for name in ("port", "parity", "stopbits") if name in unset
    }
    whole.update(given)
    return place(kind, **whole)


def _asked(where: Place, ask: Callable[[], Iterator[Found]]) -> Iterator[Found]:
    """Yield what is found; a bus that fails is told as trouble."""
    try:
        yield from ask()
    except HardwareError as error:
        yield Trouble(where.short, str(error))
