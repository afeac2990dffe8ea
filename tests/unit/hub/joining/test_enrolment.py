"""What a node says of itself becomes entries, or every finding at once."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from hub.errors import BadEnrolment
from hub.joining.enrolment import FORMAT, read_enrolment
from messages.entries import RelayEntry

KEY = "a301012006215820" + "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
OTHER = "a301012006215820" + "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
SMALL_ORDER = "a301012006215820" + "01" + "00" * 31


def body() -> dict[str, Any]:
    return {
        "format": FORMAT,
        "microgrid": "bench",
        "node": "dep1",
        "member": "alice",
        "node_key": KEY,
        "meters": [
            {
                "meter_id": "dep1-heater",
                "model": "ina219",
                "purpose": "appliance",
                "parent": "dep1-load",
                "member": "alice",
                "rated_mw": 40_000,
                "key": OTHER,
                "first_sequence": 1,
            },
            {
                "meter_id": "dep1-load",
                "model": "ina219",
                "purpose": "consumption",
                "parent": "",
                "member": "alice",
                "rated_mw": 120_000,
                "key": KEY,
                "first_sequence": 7,
            },
        ],
        "relays": [
            {
                "relay": "heat",
                "deenergised": "fed",
                "load": "dep1-heater",
                "member": "alice",
                "rated_mw": 40_000,
                "critical": False,
            }
        ],
    }


def findings(changed: object) -> tuple[str, ...]:
    with pytest.raises(BadEnrolment) as raised:
        read_enrolment(json.dumps(changed), "bench")
    return raised.value.findings


def test_the_node_comes_first_and_parents_before_children() -> None:
    enrolment = read_enrolment(json.dumps(body()), "bench")
    assert [(entry.holder, entry.name) for entry in enrolment.entries] == [
        ("node", "dep1"),
        ("meter", "dep1-load"),
        ("meter", "dep1-heater"),
    ]
    assert enrolment.node.relays == (
        RelayEntry("heat", "fed", "dep1-heater", "alice", 40_000, critical=False),
    )
    load = enrolment.entries[1]
    assert (load.node, load.first_sequence, load.rated_mw) == ("dep1", 7, 120_000)
    assert load.key == bytes.fromhex(KEY)
    assert {entry.action for entry in enrolment.entries} == {"enrol"}


def test_a_relay_that_is_not_fail_safe_is_enrolled_as_such() -> None:
    changed = body()
    changed["relays"][0]["failsafe"] = False
    node = read_enrolment(json.dumps(changed), "bench").node
    assert node.relays[0].failsafe is False
    changed["relays"][0]["failsafe"] = "no"
    assert "failsafe" in findings(changed)[0]


def test_everything_wrong_is_said_at_once() -> None:
    changed = body()
    changed["microgrid"] = "other"
    changed["node"] = "Dep1"
    changed["meters"][0]["parent"] = ""
    changed["meters"][0]["purpose"] = "appliance"
    changed["meters"][1]["key"] = SMALL_ORDER
    changed["relays"][0]["deenergised"] = "open"
    found = findings(changed)
    assert [line.split(":")[0] for line in found] == [
        "microgrid",
        "relays 1",
        "meters 1 (dep1-heater)",
        "meters 2 (dep1-load)",
        "node",
    ]
    assert "small-order" in found[3]


@pytest.mark.parametrize("key", sorted(body()))
def test_each_key_is_required_and_typed(key: str) -> None:
    short = body()
    del short[key]
    assert findings(short) == (f"the file: missing key {key!r}",)
    wrong = body()
    wrong[key] = 7
    (finding,) = findings(wrong)
    assert finding.startswith(f"the file: {key} must be ")


@pytest.mark.parametrize(("table", "key"), [("meters", "purpose"), ("relays", "deenergised")])
def test_each_key_of_a_meter_and_a_relay_is_required(table: str, key: str) -> None:
    changed = body()
    del changed[table][0][key]
    assert findings(changed) == (f"{table} 1: missing key {key!r}",)


def test_true_is_no_number_and_unknown_keys_are_named() -> None:
    changed = body()
    changed["meters"][0]["rated_mw"] = True
    changed["colour"] = "green"
    assert findings(changed) == ("the file: unknown key 'colour'",)
    del changed["colour"]
    assert findings(changed) == ("meters 1: rated_mw must be a whole number",)


def test_a_name_stands_once() -> None:
    changed = body()
    changed["meters"].append(copy.deepcopy(changed["meters"][0]))
    assert "meters: 'dep1-heater' stands there twice" in findings(changed)


@pytest.mark.parametrize("text", ["", "[]", "7", "{", '{"format": 1, "format": 1}', "[" * 5_000])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(BadEnrolment):
        read_enrolment(text, "bench")


def test_what_a_source_is_and_where_and_that_its_key_agrees() -> None:
    said = body()
    said["node_proof"] = "ab" * 64
    said["meters"][1] |= {
        "purpose": "generation",
        "fuel": "solar",
        "location": "Upper Mill",
        "proof": "cd" * 64,
    }
    enrolment = read_enrolment(json.dumps(said), "bench")
    load = enrolment.entries[1]
    assert (load.fuel, load.location, load.proof) == ("solar", "Upper Mill", b"\xcd" * 64)
    assert enrolment.node.proof == b"\xab" * 64
    heater = enrolment.entries[2]
    assert (heater.fuel, heater.location, heater.proof) == ("", "", b"")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fuel": "sun"}, "no fuel 'sun'"),
        ({"purpose": "consumption", "fuel": "solar"}, "a meter for consumption has no fuel"),
        ({"location": "46.53071"}, "location: at most two decimals"),
        ({"location": "<b>"}, "location: a place in letters"),
        ({"proof": "ab"}, "proof: 64 bytes in hex"),
        ({"proof": "no hex"}, "proof: 64 bytes in hex"),
    ],
)
def test_what_a_source_cannot_say(change: dict[str, str], words: str) -> None:
    said = body()
    said["meters"][1] |= {"purpose": "generation", **change}
    (finding,) = findings(said)
    assert words in finding


@pytest.mark.parametrize("name", ["hub", "web"])
def test_no_node_has_the_hub_s_own_names(name: str) -> None:
    said = body()
    said["node"] = name
    assert findings(said) == (
        f"node: {name!r} is the hub's own name at the broker: choose another",
    )
