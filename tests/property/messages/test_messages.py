"""Whatever is written comes back; whatever is read has one byte string; nothing else escapes."""

from __future__ import annotations

import string
import types
from dataclasses import fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from messages import cbor, cose, topics
from messages.entries import KINDS, parse_as, sign_entry
from messages.errors import MessageError
from messages.lease import Lease
from messages.live import Live, parse_live, sign_live
from messages.reading import (
    Reading,
    _decode_any,
    decode_reading,
    encode_reading,
    parse_reading,
    sign_reading,
)
from messages.receipt import Receipt, Refusal
from messages.status import Beacon, Hello, Request, Status
from messages.telemetry import COLUMNS, SAMPLES_MAX, Pack, parse_pack, sign_pack
from messages.trust import Trust, format_trust, parse_trust
from tests.support.signers import ed25519, p256

METER, NODE = ed25519("meter"), p256("node")
NAMES = st.from_regex(topics.NAME, fullmatch=True)
INT64 = st.integers(-(2**63), 2**63 - 1)
TOTALS = st.integers(0, 2**63 - 1)
COUNTERS = st.integers(1, 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
WORDS = st.text(string.ascii_letters + " -", min_size=1, max_size=20)

READINGS = st.builds(
    Reading,
    microgrid=NAMES,
    meter_id=NAMES,
    sequence=COUNTERS,
    at_ms=INT64,
    import_uwh=TOTALS,
    export_uwh=st.none() | TOTALS,
    epoch=st.just(0) | COUNTERS,
    quality=st.just("") | WORDS,
)
LIVES = st.builds(
    Live,
    microgrid=NAMES,
    meter_id=NAMES,
    sequence=COUNTERS,
    at_ms=INT64,
    **dict.fromkeys(
        ("power_mw", "voltage_mv", "current_ma", "frequency_mhz", "import_uwh", "export_uwh"),
        st.none() | INT64,
    ),
    beacon=st.just(b"") | st.binary(min_size=16, max_size=16),
    quality=st.just("") | WORDS,
)


@st.composite
def packs(draw: st.DrawFn) -> Pack:
    chosen = draw(st.sets(st.sampled_from(COLUMNS), min_size=1))
    names = tuple(name for name in COLUMNS if name in chosen)
    samples = draw(st.integers(1, SAMPLES_MAX))
    column = st.lists(st.none() | INT64, min_size=samples, max_size=samples).map(tuple)
    return Pack(
        draw(NAMES),
        draw(NAMES),
        draw(COUNTERS),
        draw(INT64),
        draw(COUNTERS),
        names,
        tuple(draw(column) for _ in names),
    )


@given(READINGS)
def test_readings_come_back(reading: Reading) -> None:
    envelope = cose.parse(sign_reading(METER, reading))
    cose.verify(envelope, METER.public)
    assert parse_reading(envelope) == reading


@given(LIVES)
def test_live_samples_come_back(live: Live) -> None:
    envelope = cose.parse(sign_live(NODE, live))
    cose.verify(envelope, NODE.public)
    assert parse_live(envelope) == live


@given(packs())
def test_packs_come_back(pack: Pack) -> None:
    assert parse_pack(cose.parse(sign_pack(METER, pack))) == pack


def strategy(hint: Any) -> st.SearchStrategy[Any]:
    """What a field of a schema's dataclass may hold."""
    plain = {int: INT64, str: TEXTS, bytes: st.binary(max_size=40), bool: st.booleans()}
    plain[type(None)] = st.none()
    if hint in plain:
        return plain[hint]
    arguments = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return st.one_of(*(strategy(argument) for argument in arguments))
    if get_origin(hint) is tuple and arguments[-1] is Ellipsis:
        return st.lists(strategy(arguments[0]), max_size=3).map(tuple)
    if get_origin(hint) is tuple:
        return st.tuples(*(strategy(argument) for argument in arguments))
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        parts = {field.name: strategy(hints[field.name]) for field in fields(hint)}
        return st.builds(hint, **parts)  # type: ignore[arg-type]
    keys = st.text(string.ascii_lowercase, max_size=23)
    return st.dictionaries(keys, strategy(arguments[1]), max_size=3)


CONTROL = (Receipt, Refusal, Lease, Hello, Status, Beacon, Request)


@pytest.mark.parametrize("kind", [*KINDS.values(), *CONTROL], ids=lambda kind: kind.__name__)
@given(st.data())
def test_every_kind_comes_back(kind: Any, data: st.DataObject) -> None:
    message = data.draw(strategy(kind))
    raw = sign_entry(METER, message, bytes(32))
    assert parse_as(kind, cose.parse(raw)) == message
    assert sign_entry(METER, parse_as(kind, cose.parse(raw)), bytes(32)) == raw


def result_of(read: Any, payload: bytes) -> Any:
    try:
        return read(payload)
    except MessageError:
        return None


PAYLOAD = encode_reading(Reading("bench", "dep1-pv", 41, 1_767_225_600_000, 2**32, 70_000))


@given(READINGS.map(encode_reading), st.data())
def test_quick_and_strict_reader_agree_on_damaged_payloads(
    payload: bytes, data: st.DataObject
) -> None:
    bad = bytearray(payload)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(bad) - 1))
        if data.draw(st.booleans()):
            bad[place] = data.draw(st.integers(0, 255))
        else:
            bad[place : place + 1] = data.draw(st.binary(max_size=3))
        if not bad:
            break
    quick = result_of(decode_reading, bytes(bad))
    assert quick == result_of(_decode_any, bytes(bad))
    if quick is not None:
        assert encode_reading(quick) == bytes(bad)


@given(st.binary(max_size=200))
@example(PAYLOAD)
@example(b"\x9f\xff")
@example(b"\xc4\x82\x22")
def test_any_bytes_are_one_value_or_refused(raw: bytes) -> None:
    value = result_of(cbor.decode, raw)
    if value is not None:
        assert cbor.encode(value) == raw
    for read in (cose.parse, decode_reading):
        result_of(read, raw)


@given(st.integers(0, 300), st.binary(max_size=4), st.data())
def test_a_damaged_message_never_verifies(place: int, patch: bytes, data: st.DataObject) -> None:
    signer = data.draw(st.sampled_from([METER, NODE]))
    raw = cose.sign1(signer, 112, PAYLOAD)
    place %= len(raw)
    bad = raw[:place] + patch + raw[place + data.draw(st.integers(0, 4)) :]
    if bad != raw:
        with pytest.raises(MessageError):
            cose.verify(cose.parse(bad), signer.public)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | INT64
    | TEXTS
    | st.binary(max_size=30)
    | INT64.map(lambda number: cbor.decimal(number, -6)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(string.ascii_letters, max_size=23), inner, max_size=4)
        | st.dictionaries(st.integers(-24, 23), inner, max_size=4)
        | st.dictionaries(st.integers(0, 2**40), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(VALUES)
def test_values_come_back(value: Any) -> None:
    raw = cbor.encode(value)
    assert cbor.decode(raw) == value
    assert cbor.encode(cbor.decode(raw)) == raw
    for end in range(len(raw)):
        with pytest.raises(MessageError):
            cbor.decode(raw[:end])


@given(st.dictionaries(st.integers(-24, 23) | st.integers(0, 300), st.just(0), max_size=6))
def test_keys_are_in_the_bytewise_order_of_the_rfc(value: dict[int, int]) -> None:
    raw = cbor.encode(value)
    if result_of(cbor.decode, raw) is not None:
        keys = [cbor.encode(key) for key in value]
        assert raw[1:] == b"".join(key + b"\x00" for key in sorted(keys))


@given(NAMES, NAMES, st.sampled_from(topics.UP), st.sampled_from(topics.DOWN))
def test_topics_come_back(microgrid: str, node: str, up: str, down: str) -> None:
    assert topics.parse(topics.up(microgrid, node, up)) == topics.Topic(microgrid, node, True, up)
    assert topics.parse(topics.down(microgrid, node, down)) == topics.Topic(
        microgrid, node, False, down
    )


@given(st.text(max_size=60))
def test_any_topic_is_ours_or_refused(text: str) -> None:
    result_of(topics.parse, text)
    result_of(parse_trust, text)


@given(st.binary(min_size=32, max_size=32), TEXTS, TEXTS, TEXTS, st.booleans())
def test_trust_comes_back(
    network_id: bytes, origin: str, vkey: str, policy: str, simulation: bool
) -> None:
    trust = Trust(network_id, origin, vkey, NODE.public, policy, simulation)
    assert parse_trust(format_trust(trust)) == trust
