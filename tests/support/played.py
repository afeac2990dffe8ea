"""One captured exchange, played over a real port to the real bus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hardware import catalog
from tests.support.scripted_line import ScriptedLine


def played(row: Mapping[str, Any]) -> tuple[int, ...]:
    """Return what our bus makes of a reply; it must have asked with the very bytes of the row."""
    request, reply = bytes.fromhex(row["request"]), bytes.fromhex(row["reply"])
    address, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
    with ScriptedLine({request: reply}) as line:
        bus = catalog.open_bus(
            "modbus_rtu", {"device": line.device, "baud": 115_200, "latency_ms": 150}
        )
        try:
            return bus.read_words(request[0], request[1], address, count)
        finally:
            bus.close()
            assert line.heard == request
