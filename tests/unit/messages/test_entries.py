"""Every kind of entry and control message: comes back, bound to its network, read strictly."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import pytest

from messages import cbor, cose, schema
from messages.banking import BankRules
from messages.disputes import DisputeRules
from messages.entries import (
    KINDS,
    Ack,
    BlockHeader,
    Calibration,
    Call,
    Close,
    Decision,
    Epoch,
    Gap,
    Genesis,
    KeyEntry,
    Output,
    PolicyEntry,
    RelayEntry,
    Seal,
    content_type,
    network_aad,
    parse_as,
    parse_entry,
    sign_entry,
)
from messages.errors import BadSignature, MalformedMessage, UnsupportedVersion
from messages.feeding import Feed, FeedRule
from messages.investigation import Notice
from messages.lease import Lease
from messages.logkeeping import Quorum, Takeover
from messages.receipt import Receipt, Refusal, SealedPack, SealReceipt, StreamReceipt
from messages.regulating import Mix, Premium, Regulation
from messages.relayfault import RelayFault
from messages.status import Beacon, Hello, RelayStatus, Request, Status, StreamHead
from tests.support.signers import ed25519

HUB = ed25519("hub")
NETWORK = bytes(range(32))
RELAY = RelayEntry("heater", "fed", "heater-meter", "dep1", 40_000, False)
ENTRIES = [
    Genesis(
        "bench", "example/log", 900_000, 30_000, "open", True, b"a", b"h", b"l", "quorum none\n", 0
    ),
    KeyEntry("enrol", "node", "dep1", b"k", relays=(RELAY,), roles=("prosumer",)),
    KeyEntry("rotate", "meter", "m", b"k", replaces=b"o", last_sequences={"register": 4}),
    PolicyEntry(
        0,
        "dep_balance",
        {"deficit": "curtail", "n": 1},
        ((0, 5),),
        ((0, 1),),
        "dep",
        {},
        "open",
        b"",
    ),
    Close(0, "complete", ("m",), 5),
    Gap(b"k", "register", 3, 3, "malformed"),
    Decision(
        0, "dep", b"c", b"v", "l", "r", "why", (Output("n", "r", "m", "l", True, True, None),)
    ),
    Seal(0, 2, bytes(32)),
    BlockHeader(1, b"", 0, 5, b"r", b"s", b"t", b"c", b"", b"", 0, 9),
    Ack(1, "dep1", "heater", 7, True, "applied", "", 0, bytes(16), 12),
    Epoch(2, "dep1", "m", 1, 5, None, 0, None, "reset", 0),
    Calibration(
        3, "dep1", "m", 12_000, -3, 0, 0, 1, 1_000_000, None, None, 988_142, None, None, 30, "", 0
    ),
    Notice("tap-1", "ann", (3, 5)),
    Quorum("log x\nquorum none\n", 5),
    Takeover(7, "old", "new", 9, "note", "policy", "stolen", 5),
    Call(bytes(16), 0, "listing", "buy", {"n": 1, "t": "x", "b": b"y", "f": True}),
    Feed("co2", 1, 5, -3, "g_per_kwh", 9),
    RelayFault("dep1", "heater", "welded", "draws on", 5),
    KeyEntry("enrol", "feeder", "meteo", b"k", facts={"co2": "g_per_kwh"}),
    PolicyEntry(
        0,
        "dep_balance",
        {},
        ((0, 5),),
        ((0, 1),),
        "none",
        {},
        "open",
        b"",
        disputes=DisputeRules(4, 5, "halve"),
        feeds=(FeedRule("price", "meteo", 5, 0, 9), FeedRule("co2", "meteo", 5, -1, 9, 3)),
        bank=BankRules(4, 1, 2, 3, 5),
        regulation=Regulation(1, 9, 2, True, (Mix("solar", 30),), (Premium("grid", 5, 7),)),
    ),
]
CONTROL = [
    Receipt("dep1", "note", (StreamReceipt(b"k", "register", 3, 3, 2, (8, 9)),),
            (SealReceipt(4, b"raw", (SealedPack(b"k", 1, 0),), (bytes(32),)),), (bytes(32),)),
    Refusal("dep1", b"k", "register", 4, None, "wrong_meter"),
    Lease("dep1", "heater", bytes(16), 1, 5000, True, "deficit", 12),
    Hello("dep1", bytes(16), "", (StreamHead(b"k", "register", 1, 0, 0, 1),), 0, "0.1.0"),
    Status("dep1", bytes(16), (bytes(16),), (RelayStatus("heater", None, 0, ""),), 0, 0, 0),
    Beacon(bytes(16)),
    Request(0, 40_000, "deficit"),
]  # fmt: skip


def test_every_kind_is_here() -> None:
    assert {type(entry) for entry in ENTRIES} == set(KINDS.values())


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: type(e).__name__)
def test_an_entry_comes_back_and_is_bound_to_its_network(entry: Any) -> None:
    raw = sign_entry(HUB, entry, NETWORK)
    envelope = cose.parse(raw)
    cose.verify(envelope, HUB.public, network_aad(NETWORK))

    assert parse_entry(envelope) == entry
    assert envelope.content_type == content_type(entry.KIND)
    with pytest.raises(BadSignature):
        cose.verify(envelope, HUB.public, network_aad(bytes(32)))


@pytest.mark.parametrize("message", CONTROL, ids=lambda m: type(m).__name__)
def test_a_control_message_comes_back_and_is_no_entry(message: Any) -> None:
    envelope = cose.parse(sign_entry(HUB, message, NETWORK))

    assert parse_as(type(message), envelope) == message
    with pytest.raises(UnsupportedVersion):
        parse_entry(envelope)
    with pytest.raises(MalformedMessage, match=r"is not application/x\.gridtally\.close"):
        parse_as(Close, envelope)


@pytest.mark.parametrize("message", [*ENTRIES, *CONTROL], ids=lambda m: type(m).__name__)
def test_each_field_is_read_strictly(message: Any) -> None:
    for field in fields(message):
        whole = schema.to_map(message)
        for bad in (1.5, {"x": 1.5}, [[1.5]]):
            with pytest.raises(MalformedMessage):
                schema.from_map(type(message), {**whole, field.name: bad})
        del whole[field.name]
        with pytest.raises(MalformedMessage, match=f"{field.name} is missing"):
            schema.from_map(type(message), whole)
    with pytest.raises(MalformedMessage, match="extra is unknown"):
        schema.from_map(type(message), {**schema.to_map(message), "extra": 1})
    with pytest.raises(MalformedMessage, match="want a map"):
        schema.from_map(type(message), [])


def test_a_wrong_type_deep_inside_is_named() -> None:
    whole = schema.to_map(ENTRIES[6])
    whole["outputs"][0]["power_mw"] = "40"
    with pytest.raises(MalformedMessage, match=r"Decision\.outputs\.power_mw: want int"):
        schema.decode_record(Decision, cbor.encode(whole))


@dataclass(frozen=True, slots=True)
class Pair:
    pair: tuple[int, str]
    flag: bool
    either: int | str


@pytest.mark.parametrize("pair", [[1], [1, 2], "xy"])
def test_rows_have_their_length_and_types(pair: Any) -> None:
    with pytest.raises(MalformedMessage):
        schema.from_map(Pair, {"pair": pair, "flag": True, "either": 1})


def test_integers_have_64_bits() -> None:
    for number in (2**63, -(2**63) - 1):
        for values in ({"pair": [number, "x"], "either": 1}, {"pair": [1, "x"], "either": number}):
            with pytest.raises(MalformedMessage, match="64 bits"):
                schema.from_map(Pair, {**values, "flag": True})


def test_true_is_not_one() -> None:
    for flag, either in ((1, 1), (True, True), (True, None)):
        with pytest.raises(MalformedMessage):
            schema.from_map(Pair, {"pair": [1, "x"], "flag": flag, "either": either})
    assert schema.from_map(Pair, {"pair": [1, "x"], "flag": True, "either": "y"}).either == "y"


@dataclass(frozen=True, slots=True)
class Odd:
    number: float


def test_a_type_the_schema_cannot_read_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError):
        schema.from_map(Odd, {"number": 1})
    call = next(entry for entry in ENTRIES if isinstance(entry, Call))
    with pytest.raises(MalformedMessage, match="text keys"):
        schema.from_map(Call, {**schema.to_map(call), "arguments": {1: 1}})
