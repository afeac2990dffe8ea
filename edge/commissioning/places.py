"""Where a command finds its bus: in a configuration, or as a port, a host or a bus file by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.commissioning.errors import BadUsage
from hardware import catalog
from hardware.errors import BadOptions

I2C: Final = "i2c"
MODBUS_PORT: Final = 502


@dataclass(frozen=True, slots=True, kw_only=True)
class BusChoice:
    """What a person said of a bus; exactly one of bus, port, tcp and i2c is given."""

    bus: str = ""
    config: Path = Path("edge.toml")
    port: str = ""
    baud: int = 9_600
    parity: str = "N"
    stopbits: int = 1
    tcp: str = ""
    i2c: str = ""


def host_and_port(text: str) -> tuple[str, int]:
    """Return the two parts of HOST or HOST:PORT.

    >>> host_and_port("192.168.1.7"), host_and_port("[::1]:1502")
    (('192.168.1.7', 502), ('::1', 1502))

    Raises:
        BadUsage: the port is no number from 1 to 65535.
    """
    host, separator, port = text.rpartition(":")
    if not separator or port.endswith("]"):
        host, port = text, str(MODBUS_PORT)
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65_535:
        raise BadUsage(f"{text!r}: want HOST or HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


@contextmanager
def opened(choice: BusChoice) -> Iterator[tuple[str, Any]]:
    """Yield the kind of a bus and the bus; it is closed afterwards.

    Raises:
        BadUsage: none or several are named, or no such bus is in the configuration.
        ConfigError: the configuration is wrong.
    """
    given = [each for each in (choice.bus, choice.port, choice.tcp, choice.i2c) if each]
    if len(given) != 1:
        raise BadUsage("say where: one of --bus NAME, --port FILE, --tcp HOST and --i2c FILE")
    if choice.bus:
        with _configured(choice) as found:
            yield found
        return
    kind, options = _options(choice)
    try:
        bus = catalog.open_bus(kind, options)
    except BadOptions as error:
        raise BadUsage(str(error)) from None
    try:
        yield kind, bus
    finally:
        bus.close()


def _options(choice: BusChoice) -> tuple[str, dict[str, object]]:
    if choice.i2c:
        return I2C, {"device": choice.i2c}
    if choice.tcp:
        host, port = host_and_port(choice.tcp)
        return "modbus_tcp", {"host": host, "port": port}
    return "modbus_rtu", {
        "device": choice.port,
        "baud": choice.baud,
        "parity": choice.parity,
        "stopbits": choice.stopbits,
    }


@contextmanager
def _configured(choice: BusChoice) -> Iterator[tuple[str, Any]]:
    from edge.app import Bench
    from edge.service import loaded

    config = loaded(choice.config)
    table = next((each for each in config.bus if each.name == choice.bus), None)
    if table is None:
        known = ", ".join(each.name for each in config.bus)
        raise BadUsage(f"no bus is named {choice.bus}; there are: {known or 'none'}")
    bench = Bench(config)
    try:
        yield table.kind, bench.buses[table.name]
    finally:
        bench.close()
