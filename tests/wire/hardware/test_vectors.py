"""Captured and derived frames of every model, through the real serial bus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hardware import catalog, errors
from hardware.buses.modbus import ModbusBus
from hardware.modelfile import shipped_names
from tests.support.scripted_line import ScriptedLine

VECTORS = Path(__file__).parents[2] / "vectors"


def rows(kind: str, key: str) -> Iterator[Any]:
    for model in shipped_names():
        path = VECTORS / f"{model}.json"
        for row in json.loads(path.read_text()).get(kind, ()) if path.exists() else ():
            if key in row and int(row["request"].split()[1], 16) in (3, 4):
                yield pytest.param(row, id=f"{model}: {row['name']}")


def read(bus: ModbusBus, row: dict[str, Any]) -> tuple[int, ...]:
    asked = bytes.fromhex(row["request"])
    address, count = int.from_bytes(asked[2:4], "big"), int.from_bytes(asked[4:6], "big")
    return bus.read_words(asked[0], asked[1], address, count)


def answered(row: dict[str, Any]) -> tuple[int, ...]:
    """Return what our bus makes of a reply; it must have asked with the very bytes of the row."""
    request, reply = bytes.fromhex(row["request"]), bytes.fromhex(row["reply"])
    with ScriptedLine({request: reply}) as line:
        bus = catalog.open_bus(
            "modbus_rtu", {"device": line.device, "baud": 115_200, "latency_ms": 150}
        )
        try:
            return read(bus, row)
        finally:
            bus.close()
            assert line.heard == request


@pytest.mark.parametrize("row", list(rows("exchanges", "expect")))
def test_a_good_reply_is_read_as_it_came(row):
    words = answered(row)
    body = b"".join(word.to_bytes(2, "big") for word in words)
    assert body == bytes.fromhex(row["reply"])[3:-2]


@pytest.mark.parametrize("row", list(rows("negative", "error")))
def test_what_must_not_be_believed_is_refused_by_name(row):
    with pytest.raises(getattr(errors, row["error"])):
        answered(row)
