"""Readings, live samples and telemetry packs: one byte string each, everything else refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from messages import cbor, cose, senml
from messages.errors import MalformedMessage, MessageError
from messages.live import Live, live_sequence, parse_live, sign_live
from messages.reading import (
    USUAL,
    Reading,
    _decode_any,
    decode_reading,
    encode_reading,
    parse_reading,
    sign_reading,
)
from messages.telemetry import CONTENT_TYPE, SAMPLES_MAX, Pack, parse_pack, sign_pack
from tests.support.signers import ed25519

METER = ed25519("meter")
AT_MS = 1_767_225_600_000
READING = Reading("bench", "dep1-pv", 41, AT_MS, 1_234_560_000, 300_120)
LIVE = Live("bench", "dep1-pv", live_sequence(3, 7), AT_MS, power_mw=-20_000, beacon=bytes(16))
PACK = Pack(
    "bench", "dep1-pv", 5, AT_MS, 1000, ("power_mw", "voltage_mv"), ((1, None, -3), (4, 5, 6))
)


@pytest.mark.parametrize(
    "reading",
    [
        READING,
        replace(READING, import_uwh=None),
        replace(READING, export_uwh=None),
        replace(READING, import_uwh=0, epoch=2, quality="frozen"),
        replace(READING, import_uwh=2**63 - 1, export_uwh=2**32, sequence=2**32, at_ms=0),
    ],
)
def test_a_reading_comes_back(reading: Reading) -> None:
    raw = sign_reading(METER, reading)
    envelope = cose.parse(raw)
    cose.verify(envelope, METER.public)

    assert parse_reading(envelope) == reading
    assert sign_reading(METER, parse_reading(envelope)) == raw


def test_the_quick_reader_agrees_with_the_strict_one() -> None:
    for number in (0, 1, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63 - 1):
        for name in ("a", "a" * 20, "a" * 21, "a" * 32):
            reading = Reading(name, "m-1", number or 5, number, number, number)
            payload = encode_reading(reading)
            assert USUAL.fullmatch(payload)
            assert decode_reading(payload) == _decode_any(payload) == reading


def test_a_reading_is_the_documented_senml() -> None:
    assert cbor.decode(encode_reading(READING)) == [
        {-2: "bench/dep1-pv/", -3: cbor.decimal(AT_MS, -3), 0: "register", 1: "count", 2: 41},
        {0: "import", 1: "Wh", 2: cbor.decimal(1_234_560_000, -6)},
        {0: "export", 1: "Wh", 2: cbor.decimal(300_120, -6)},
    ]
    assert len(sign_reading(METER, READING)) < 190


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"count\x02\x01", b"count\x02\x00"),
        (b"\x78\x23b/" + b"m" * 32, b"\x78\x24b/" + b"m" * 33),
        (b"\x78\x23b/" + b"m" * 32, b"\x78\x24" + b"m" * 33 + b"/b"),
    ],
)
def test_the_quick_reader_leaves_refusals_to_the_strict_one(old: bytes, new: bytes) -> None:
    """Their bytes fit the grammar; the counter from 1 on and names of 32 do not."""
    payload = encode_reading(Reading("b", "m" * 32, 1, 0, 0, 0)).replace(old, new)
    assert USUAL.fullmatch(payload)
    with pytest.raises(MalformedMessage):
        decode_reading(payload)


@pytest.mark.parametrize("name", ["sequence", "at_ms", "import_uwh", "export_uwh", "epoch"])
def test_what_no_database_can_hold_is_refused(name: str) -> None:
    """A 64th bit would pass the signature and break whoever stores the number."""
    changes: dict[str, Any] = {name: 2**63}
    with pytest.raises(MalformedMessage, match="64 bits"):
        decode_reading(encode_reading(replace(READING, **changes)))
    if name == "at_ms":
        with pytest.raises(MalformedMessage, match="64 bits"):
            decode_reading(encode_reading(replace(READING, at_ms=-(2**63) - 1)))


HEAD: dict[int, Any] = {-2: "b/m/", -3: cbor.decimal(0, -3), 0: "register", 1: "count", 2: 1}
TOTAL: dict[int, Any] = {0: "import", 1: "Wh", 2: cbor.decimal(1, -6)}


@pytest.mark.parametrize(
    "records",
    [
        {},
        [],
        [HEAD],
        [{**HEAD, 0: "live"}, TOTAL],
        [{**HEAD, 1: "Wh"}, TOTAL],
        [{**HEAD, 2: 0}, TOTAL],
        [{**HEAD, 2: True}, TOTAL],
        [{**HEAD, -2: "b/m"}, TOTAL],
        [{**HEAD, -2: "b/M/"}, TOTAL],
        [{**HEAD, -2: 5}, TOTAL],
        [{**HEAD, -3: 0}, TOTAL],
        [{**HEAD, -3: cbor.decimal(0, 0)}, TOTAL],
        [{**HEAD, 8: b""}, TOTAL],
        ["head", TOTAL],
        [HEAD, {**TOTAL, 0: "power"}],
        [HEAD, {**TOTAL, 1: "kWh"}],
        [HEAD, {**TOTAL, 2: 1}],
        [HEAD, {**TOTAL, 2: cbor.decimal(1, -3)}],
        [HEAD, {**TOTAL, 2: cbor.decimal(-1, -6)}],
        [HEAD, {**TOTAL, 6: 1}],
        [HEAD, TOTAL, TOTAL],
        [HEAD, {**TOTAL, 0: "export"}, TOTAL],
        [HEAD, TOTAL, {0: "epoch", 1: "count", 2: 0}],
        [HEAD, TOTAL, {0: "epoch", 1: "count"}],
        [HEAD, TOTAL, {0: "quality", 3: ""}],
        [HEAD, TOTAL, {0: "quality", 3: b"x"}],
        [HEAD, {0: "quality", 3: "x"}],
        [HEAD, 5],
    ],
)
def test_other_senml_is_refused(records: Any) -> None:
    with pytest.raises(MalformedMessage):
        decode_reading(cbor.encode(records))


def test_a_reading_under_another_content_type_is_refused() -> None:
    envelope = cose.parse(cose.sign1(METER, CONTENT_TYPE, encode_reading(READING)))
    with pytest.raises(MalformedMessage):
        parse_reading(envelope)


def test_every_changed_byte_of_a_payload_is_another_reading_or_none() -> None:
    payload = encode_reading(READING)
    for place in range(len(payload)):
        for change in (1, 0x80):
            bad = bytearray(payload)
            bad[place] ^= change
            try:
                read = decode_reading(bytes(bad))
            except MessageError:
                continue
            assert read != READING
            assert encode_reading(read) == bytes(bad)


@pytest.mark.parametrize(
    "live",
    [
        LIVE,
        replace(LIVE, beacon=b"", quality="late"),
        Live("b", "m", 1, 0, 1, 2, 3, 4, 5, 6, bytes(range(16)), "x"),
        Live("b", "m", 1, 0),
    ],
)
def test_a_live_sample_comes_back(live: Live) -> None:
    raw = sign_live(METER, live)
    assert parse_live(cose.parse(raw)) == live
    with pytest.raises(MalformedMessage):
        parse_reading(cose.parse(raw))


def test_live_counter_holds_boot_and_number() -> None:
    assert live_sequence(3, 7) == 3 * 2**32 + 7


@pytest.mark.parametrize(
    "payload",
    [
        [],
        {},
        [{**HEAD, 0: "live"}, {0: "beacon", 8: bytes(15)}],
        [HEAD],
        [{**HEAD, 0: "live"}, TOTAL, TOTAL],
    ],
)
def test_other_live_payloads_are_refused(payload: Any) -> None:
    with pytest.raises(MalformedMessage):
        parse_live(cose.parse(cose.sign1(METER, senml.CONTENT_TYPE, cbor.encode(payload))))
    with pytest.raises(MalformedMessage):
        parse_live(cose.parse(cose.sign1(METER, "x", cbor.encode(payload))))


def test_a_pack_comes_back() -> None:
    raw = sign_pack(METER, PACK)
    assert parse_pack(cose.parse(raw)) == PACK
    assert PACK.last_ms == AT_MS + 2000


def pack_with(**changes: Any) -> bytes:
    value = cbor.decode(cose.parse(sign_pack(METER, PACK)).payload)
    value.update(changes)
    return cose.sign1(
        METER, CONTENT_TYPE, cbor.encode({k: v for k, v in value.items() if v != "gone"})
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"telemetry": 0},
        {"telemetry": "1"},
        {"t0_ms": None},
        {"step_ms": 0},
        {"names": []},
        {"names": "power_mw"},
        {"names": ["voltage_mv", "power_mw"]},
        {"names": ["power_mw", "power_mw"]},
        {"names": ["power_mw", "colour"]},
        {"columns": []},
        {"columns": [[1], [1, 2]]},
        {"columns": [[], []]},
        {"columns": [[1], 5]},
        {"columns": [[1], [True]]},
        {"columns": [[1], ["1"]]},
        {"columns": [[1] * (SAMPLES_MAX + 1)] * 2},
        {"meter_id": "M"},
        {"microgrid": ""},
        {"microgrid": 5},
        {"telemetry": 2**63},
        {"t0_ms": -(2**63) - 1},
        {"columns": [[2**63], [1]]},
        {"columns": [[None], [-(2**63) - 1]]},
        {"extra": 1},
        {"names": "gone"},
    ],
)
def test_other_packs_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        parse_pack(cose.parse(pack_with(**changes)))


def test_a_pack_under_another_content_type_is_refused() -> None:
    with pytest.raises(MalformedMessage):
        parse_pack(cose.parse(cose.sign1(METER, 112, b"")))
    with pytest.raises(MalformedMessage):
        parse_pack(cose.parse(cose.sign1(METER, CONTENT_TYPE, cbor.encode([]))))
