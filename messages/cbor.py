"""Deterministic CBOR (RFC 8949 section 4.2.1): one value, one byte string.

It refuses everything that has a second spelling: indefinite lengths, longer integers than needed,
duplicate or unsorted keys, trailing bytes; and everything we never sign: floats, undefined, tags
other than 4 (decimal fraction) and 18 (COSE_Sign1). The keys of a map are all integers in -24..23,
all non-negative integers, or all texts shorter than 24 bytes: for these cbor2's length-first order
and the RFC's bytewise order agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import cbor2

from messages.errors import MalformedMessage

Value: TypeAlias = Any
ENTRY_BYTES_MAX = 65_535
DEPTH_MAX = 12
DECIMAL_TAG, SIGN1_TAG = 4, 18

WATT_HOUR_EXPONENT = -6
MILLI_EXPONENT = -3
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


def encode(value: Value) -> bytes:
    """Return the one byte string of `value`."""
    return cbor2.dumps(value, canonical=True)


def decode(raw: bytes, *, limit: int = ENTRY_BYTES_MAX) -> Value:
    """Return the value of `raw`.

    Raises:
        MalformedMessage: `raw` is longer than `limit` bytes, is not one CBOR item, or is not the
            one byte string of its value.
    """
    if len(raw) > limit:
        raise MalformedMessage(f"{len(raw)} bytes, at most {limit} are taken")
    try:
        value = cbor2.loads(
            raw,
            semantic_decoders=TAGS,
            max_depth=DEPTH_MAX,
            allow_indefinite=False,
            allow_duplicate_keys=False,
        )
        canonical = cbor2.dumps(value, canonical=True) == raw
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise MalformedMessage(f"not deterministic CBOR: {error}") from None
    if not canonical:
        raise MalformedMessage("not deterministic CBOR: another byte string has the same value")
    _check(value)
    return value


def _check(value: Value) -> None:
    kind = type(value)
    if kind in PLAIN:
        return
    if kind is list or kind is tuple:
        for item in value:
            if type(item) not in PLAIN:
                _check(item)
    elif isinstance(value, Mapping):
        _check_keys(value)
        for item in value.values():
            if type(item) not in PLAIN:
                _check(item)
    elif kind is cbor2.CBORTag:
        _check(value.value)
    else:
        raise MalformedMessage(f"a {kind.__name__} has no place here")


def _check_keys(value: Mapping[Any, Any]) -> None:
    kinds = set(map(type, value))
    if kinds <= {str}:
        fits = all(len(key.encode()) < 24 for key in value)
    else:
        fits = kinds == {int} and (min(value) >= 0 or (min(value) >= -24 and max(value) < 24))
    if not fits:
        raise MalformedMessage("the keys of a map are small integers or texts below 24 bytes")


def _tag(number: int) -> Callable[[Any, bool], Any]:
    return lambda value, _immutable: cbor2.CBORTag(number, value)


def _refuse(_value: Any, _immutable: bool) -> Any:
    raise ValueError("a tag that is not taken here")


PLAIN = frozenset((int, str, bytes, bool, type(None)))
# cbor2 would turn these tags into dates, decimals, patterns and sockets' addresses.
TAGS = {
    **dict.fromkeys((0, 1, 2, 3, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256), _refuse),
    **dict.fromkeys((258, 260, 261, 1004, 43000, 55799), _refuse),
    DECIMAL_TAG: _tag(DECIMAL_TAG),
    SIGN1_TAG: _tag(SIGN1_TAG),
}


def decimal(mantissa: int, exponent: int) -> cbor2.CBORTag:
    """Return `mantissa` x 10^`exponent` as a CBOR decimal fraction, e.g. uWh with -6 for Wh."""
    return cbor2.CBORTag(DECIMAL_TAG, [exponent, mantissa])


def int64(value: int, where: str = "") -> int:
    """Return an integer if a database column of 64 bits can hold it.

    Raises:
        MalformedMessage: it cannot.
    """
    if INT64_MIN <= value <= INT64_MAX:
        return value
    raise MalformedMessage(f"{where or 'an integer'}: {value} does not fit into 64 bits")


def mantissa(value: Value, exponent: int) -> int:
    """Return the mantissa of a decimal fraction whose exponent must be `exponent`.

    Raises:
        MalformedMessage: a float, a bare integer, another exponent, or more than 64 bits.
    """
    if type(value) is cbor2.CBORTag and value.tag == DECIMAL_TAG:
        pair = value.value
        if len(pair) == 2 and pair[0] == exponent and type(pair[1]) is int:
            return int64(pair[1])
    raise MalformedMessage(f"want a decimal fraction with exponent {exponent}")
