"""How a Modbus bus is configured; apart from the bus, so that checking needs no pymodbus."""

from __future__ import annotations

from dataclasses import dataclass

from hardware import options


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusTcpOptions:
    """Where a Modbus TCP server or gateway is."""

    host: str = options.text("the host name or address")
    port: int = options.number(1, 65_535, "the TCP port", default=502)
    timeout_ms: int = options.number(10, 60_000, "the longest wait in ms", default=1_000)
    pause_ms: int = options.number(0, 5_000, "the pause between requests in ms", default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusRtuOptions:
    """How a serial line is set. The pause is the longest that any device on it wants."""

    device: str = options.text("the serial port, as /dev/ttyUSB0")
    baud: int = options.choice(
        (1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 57_600, 115_200), "the line speed"
    )
    parity: str = options.choice(("N", "E", "O"), "the parity", default="N")
    stopbits: int = options.choice((1, 2), "the stop bits", default=1)
    latency_ms: int = options.number(
        10, 60_000, "the longest time a device takes to begin its reply in ms", default=500
    )
    pause_ms: int = options.number(0, 5_000, "the pause between requests in ms", default=100)
    local_echo: bool = options.flag("whether the adapter echoes what is sent", default=False)
