"""Captured and derived frames of every model, decoded by its model file alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hardware.mock.wires.modbus_rtu import crc16
from hardware.modelfile import shipped_model, shipped_names
from hardware.registers import decode, natural

VECTORS = Path(__file__).parents[2] / "vectors"


def exchanges():
    for model in shipped_names():
        path = VECTORS / f"{model}.json"
        for row in json.loads(path.read_text()).get("exchanges", ()) if path.exists() else ():
            if "expect" in row:
                yield pytest.param(model, row, id=f"{model}: {row['name']}")


def read(model: str, request: bytes, reply: bytes) -> dict[str, object]:
    """Return every register of the model that lies whole inside a read's reply."""
    function, address = request[1], int.from_bytes(request[2:4], "big")
    words = [int.from_bytes(reply[at : at + 2], "big") for at in range(3, 3 + reply[2], 2)]
    found = {}
    for row in shipped_model(model).registers:
        start = row.address - address
        if row.function == function and start >= 0 and start + row.words <= len(words):
            found[row.key] = natural(row, decode(row, words[start : start + row.words]))
    return found


@pytest.mark.parametrize(("model", "row"), list(exchanges()))
def test_a_reply_says_what_it_is_known_to_say(model, row):
    request, reply = bytes.fromhex(row["request"]), bytes.fromhex(row["reply"])
    assert crc16(request[:-2]) == request[-2:]
    assert crc16(reply[:-2]) == reply[-2:]
    found = read(model, request, reply)
    assert {key: found.get(key) for key in row["expect"]} == row["expect"]


@pytest.mark.parametrize("model", shipped_names())
def test_a_shipped_model_is_whole(model):
    """Every file parses, has a source, and every register that feeds a sample has limits."""
    found = shipped_model(model)
    assert found.table.source
    assert found.registers
    feeding = {
        name.removeprefix("-") for names in vars_of(found.table.sample).values() for name in names
    }
    for name in feeding:
        register = found.register(name)
        if not register.key.endswith("wh"):
            assert register.low is not None, f"{name} has no least plausible value"
            assert register.high is not None, f"{name} has no greatest plausible value"


def vars_of(table: object) -> dict[str, tuple[str, ...]]:
    return {name: getattr(table, name) for name in type(table).__dataclass_fields__}
