"""How a Modbus bus is configured; apart from the bus, so that checking touches no library.

What a device asks of the line (its pause, how long it takes to begin its reply) stands in its
model file. A bus that says so itself overrides it for every device on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from hardware import options

_BAUDS = (1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 57_600, 115_200)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusTcpOptions:
    """Where a Modbus TCP server or gateway is."""

    host: str = options.text("the host name or address")
    port: int = options.number(1, 65_535, "the TCP port", default=502)
    timeout_ms: int | None = options.optional_number(10, 60_000, "the longest wait in ms")
    pause_ms: int | None = options.optional_number(0, 5_000, "the rest of a device in ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusRtuOptions:
    """How a serial line is set."""

    device: str = options.text("the serial port, as /dev/ttyUSB0")
    baud: int = options.choice(_BAUDS, "the line speed")
    parity: str = options.choice(("N", "E", "O"), "the parity", default="N")
    stopbits: int = options.choice((1, 2), "the stop bits", default=1)
    latency_ms: int | None = options.optional_number(
        10, 60_000, "the longest time a device takes to begin its reply in ms"
    )
    pause_ms: int | None = options.optional_number(0, 5_000, "the rest of a device in ms")
    local_echo: bool = options.flag("whether the adapter echoes what is sent", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusRtuTcpOptions:
    """Where a serial server is that carries RTU frames over TCP, and how fast its line is."""

    host: str = options.text("the host name or address")
    port: int = options.number(1, 65_535, "the TCP port")
    baud: int = options.choice(_BAUDS, "the speed of the line behind it", default=9_600)
    latency_ms: int | None = options.optional_number(
        10, 60_000, "the longest time a device takes to begin its reply in ms"
    )
    pause_ms: int | None = options.optional_number(0, 5_000, "the rest of a device in ms")
    local_echo: bool = options.flag("whether the server echoes what is sent", default=False)
