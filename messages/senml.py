"""SenML packs in CBOR (RFC 8428, secondary units of RFC 8798), as our meters write them.

One list. The first record carries the base name "<microgrid>/<meter_id>/", the base time and the
stream's counter; each further record one quantity. Labels: -2 bn, -3 bt, 0 n, 1 u, 2 v, 3 vs, 8 vd.
Values are decimal fractions of a fixed exponent (-6 for Wh, -3 else), counters bare integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from messages import cbor
from messages.errors import MalformedMessage
from messages.topics import check_name

BASE_NAME, BASE_TIME, NAME, UNIT, VALUE, TEXT, BYTES = -2, -3, 0, 1, 2, 3, 8
CONTENT_TYPE = 112

# name -> (unit, exponent); the order is the order in the pack
QUANTITIES: Mapping[str, tuple[str, int]] = {
    "import": ("Wh", cbor.WATT_HOUR_EXPONENT),
    "export": ("Wh", cbor.WATT_HOUR_EXPONENT),
    "power": ("W", cbor.MILLI_EXPONENT),
    "voltage": ("V", cbor.MILLI_EXPONENT),
    "current": ("A", cbor.MILLI_EXPONENT),
    "frequency": ("Hz", cbor.MILLI_EXPONENT),
}


def head(microgrid: str, meter_id: str, at_ms: int, stream: str, sequence: int) -> dict[int, Any]:
    """Return the first record: whose pack it is, of when, and its counter."""
    return {
        BASE_NAME: f"{check_name(microgrid, 'microgrid')}/{check_name(meter_id, 'meter')}/",
        BASE_TIME: cbor.decimal(at_ms, cbor.MILLI_EXPONENT),
        NAME: stream,
        UNIT: "count",
        VALUE: sequence,
    }


def quantity(name: str, value: int) -> dict[int, Any]:
    """Return the record of one quantity, in the integer unit of its exponent."""
    unit, exponent = QUANTITIES[name]
    return {NAME: name, UNIT: unit, VALUE: cbor.decimal(value, exponent)}


def count(name: str, value: int) -> dict[int, Any]:
    """Return the record of a plain count."""
    return {NAME: name, UNIT: "count", VALUE: value}


def parse_head(record: Any, stream: str) -> tuple[str, str, int, int]:
    """Return (microgrid, meter_id, at_ms, sequence) of a first record.

    Raises:
        MalformedMessage: another stream, other labels, or values of another form.
    """
    if not isinstance(record, dict) or record.keys() != {BASE_NAME, BASE_TIME, NAME, UNIT, VALUE}:
        raise MalformedMessage("the first record needs base name, base time and the counter")
    if record[NAME] != stream or record[UNIT] != "count":
        raise MalformedMessage(f"the counter is not named {stream!r} with unit count")
    base, sequence = record[BASE_NAME], record[VALUE]
    parts = base.split("/") if type(base) is str else []
    if len(parts) != 3 or parts[2]:
        raise MalformedMessage("the base name is not <microgrid>/<meter_id>/")
    if type(sequence) is not int or sequence < 1:
        raise MalformedMessage("the counter is not a positive integer")
    at_ms = cbor.mantissa(record[BASE_TIME], cbor.MILLI_EXPONENT)
    microgrid, meter_id = check_name(parts[0], "microgrid"), check_name(parts[1], "meter")
    return microgrid, meter_id, at_ms, cbor.int64(sequence, "the counter")


def parse_records(records: list[Any], kinds: Mapping[str, str]) -> dict[str, Any]:
    """Return name -> value of the records after the first, which must come in the order of `kinds`.

    `kinds` maps a name to "quantity", "count", "text" or "bytes".

    Raises:
        MalformedMessage: an unknown name, a repeated or misplaced record, a value of another form.
    """
    order = list(kinds)
    place = -1
    values: dict[str, Any] = {}
    for record in records:
        name = record.get(NAME) if isinstance(record, dict) else None
        if type(name) is not str or name not in kinds or order.index(name) <= place:
            raise MalformedMessage(f"record {name!r} is unknown, repeated or out of order")
        place = order.index(name)
        values[name] = _value(record, name, kinds[name])
    return values


def _value(record: dict[int, Any], name: str, kind: str) -> Any:
    if kind == "quantity":
        unit, exponent = QUANTITIES[name]
        if record.keys() == {NAME, UNIT, VALUE} and record[UNIT] == unit:
            return cbor.mantissa(record[VALUE], exponent)
    elif kind == "count":
        value = record.get(VALUE)
        if record == {NAME: name, UNIT: "count", VALUE: value} and type(value) is int and value > 0:
            return cbor.int64(value, name)
    else:
        label, wanted = (TEXT, str) if kind == "text" else (BYTES, bytes)
        if record.keys() == {NAME, label} and type(record[label]) is wanted and record[label]:
            return record[label]
    raise MalformedMessage(f"record {name!r}: unit or value of another form")
