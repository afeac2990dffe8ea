"""How a VE.Direct port is configured; apart from the port, so that checking needs no pyserial."""

from __future__ import annotations

from dataclasses import dataclass

from hardware import options


@dataclass(frozen=True, slots=True, kw_only=True)
class VeDirectPortOptions:
    """Where a VE.Direct port is. The line is always 19200 8N1."""

    device: str = options.text(
        "the serial port, as /dev/serial/by-id/... or socket://HOST:PORT of a serial server"
    )
