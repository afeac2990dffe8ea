"""Keys come, change and go by entries; the place in the log decides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub.core.effects import RegistryChanged
from hub.core.records import Cursor, Meter, Register
from hub.core.state import State
from hub.core.step import step
from messages.entries import Close, KeyEntry, RelayEntry
from messages.reading import Reading
from tests.support.signers import ed25519, p256
from tests.support.village import HOUR, KWH, Village, ignored, relay

PROOF = b"p" * 64  # the fold looks at no signature


def enrol(holder: str = "meter", name: str = "m1", **changes: Any) -> KeyEntry:
    fields: dict[str, Any] = {"key": ed25519(name).public.cose_key}
    if holder == "meter":
        fields |= {"node": "pi", "member": "ann", "purpose": "net"}
    return KeyEntry("enrol", holder, name, **(fields | changes))


@pytest.fixture
def village() -> Village:
    return Village()


def put(village: Village, entry: KeyEntry) -> Any:
    return village.put(village.administrator, entry)


def test_genesis_names_the_first_keys(village: Village) -> None:
    state = village.state
    assert {(key.holder, key.name) for key in state.keys.values()} == {
        ("member", "administrator"),
        ("hub", "hub"),
        ("log", "log"),
    }
    assert state.network is not None
    assert state.network.network_id == village.entries[0].event.leaf_hash
    assert state.slot_ms == HOUR


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"slot_ms": 0}, "genesis needs a slot length above 0 and a name for the microgrid"),
        ({"microgrid": "A B"}, "genesis needs a slot length above 0 and a name for the microgrid"),
        ({"hub": b"no key"}, "genesis names a bad key"),
        ({"administrator": ed25519("x").public.cose_key}, "genesis is signed by the administrator"),
    ],
)
def test_a_bad_genesis_founds_nothing(
    village: Village, changes: dict[str, Any], reason: str
) -> None:
    event = village.entries[0].event
    event = replace(event, body=replace(event.body, **changes))
    outcome = step(State(), event)
    assert outcome.changes == ()
    assert ignored(outcome.effects).startswith(reason)


def test_nothing_happens_before_genesis() -> None:
    outcome = step(State(), Village().entries[1].event)
    assert outcome.changes == ()
    assert "is registered" in ignored(outcome.effects)


def test_a_meter_a_node_and_a_member(village: Village) -> None:
    assert put(village, enrol("meter", "m1", rated_mw=5, serial="s1", first_sequence=7)) == (
        RegistryChanged(2, "meter m1 enrolled"),
    )
    put(village, enrol("node", "pi", relays=(relay("heater", "ann"),)))
    put(village, enrol("member", "ann", roles=("bank",)))
    kid = ed25519("m1").public.kid
    assert village.state.meters["m1"] == Meter(
        kid, "pi", "ann", "net", "", "", 5, "s1", member_index=2
    )
    assert village.state.keys[kid].first_sequence == 7
    assert village.state.relays["pi", "heater"].member == "ann"
    assert village.state.keys[ed25519("pi").public.kid].node == "pi"
    assert village.state.keys[ed25519("ann").public.kid].roles == ("bank",)


def test_a_p256_key_is_as_good(village: Village) -> None:
    put(village, enrol(key=p256("m1").public.cose_key))
    assert p256("m1").public.kid in village.state.keys


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (enrol(key=b"\xa0"), "not a COSE_Key"),
        (enrol("owner", "m1"), "no holder 'owner'"),
        (enrol("member", "@grid"), "'@grid' is no name"),
        (enrol("meter", "a/b"), "'a/b' is no name"),
        (enrol(first_sequence=0), "sequences start at 1"),
        (enrol(roles=("bank",)), "roles are for members"),
        (enrol("member", "ann", roles=("king",)), "roles are for members"),
        (enrol(node=""), "meter m1 has no node"),
        (enrol(member="@grid"), "meter m1 has no member"),
        (enrol(purpose="fun"), "meter m1: no purpose 'fun'"),
        (enrol(parent="m1"), "meter m1: 'm1' cannot be its parent"),
        (enrol(rated_mw=-1), "a rated power is not negative"),
        (enrol(fuel="sun"), "meter m1: no fuel 'sun': solar, wind"),
        (enrol(purpose="consumption", fuel="solar"), "meter m1: a meter for consumption has no"),
        (enrol(location="46.53071, 7.47892"), "meter m1: its location: at most two decimals"),
        (enrol(location="x" * 49), "meter m1: its location: at most 48 characters"),
        (enrol(location="a<b"), "meter m1: its location: a place in letters"),
        (enrol(proof=b"short"), "a proof of possession has 64 bytes"),
        (
            enrol("node", "pi", relays=(relay("x", "ann", "open"),)),
            "relay 'x' needs a name, and deenergised",
        ),
        (
            enrol("node", "pi", relays=(relay("x", "Ann"),)),
            "relay x: 'Ann' is no member",
        ),
        (
            enrol("node", "pi", relays=(RelayEntry("x", "fed", "", "ann", -1, False),)),
            "relay x: rated power and least times are not negative",
        ),
        (
            enrol("node", "pi", relays=(relay("x", "ann"), relay("x", "bob"))),
            "node pi has two relays of one name",
        ),
    ],
)
def test_what_cannot_be_enrolled(village: Village, entry: KeyEntry, reason: str) -> None:
    before = village.state.copy()
    assert ignored(put(village, entry)).startswith(reason)
    assert village.state == before


def test_one_key_once_and_one_key_each(village: Village) -> None:
    put(village, enrol())
    assert "is registered already" in ignored(put(village, enrol("member", "m1")))
    other = enrol(key=ed25519("other").public.cose_key)
    assert ignored(put(village, other)) == "meter m1 has a key: rotate or revoke it first"


def test_a_rotated_key_counts_for_what_it_signed_before(village: Village) -> None:
    village.meter("m1", "ann", "net")
    new = ed25519("m1-new")
    entry = KeyEntry(
        "rotate",
        "meter",
        "m1",
        new.public.cose_key,
        first_sequence=3,
        replaces=ed25519("m1").public.thumbprint,
        last_sequences={"register": 2},
        proof=PROOF,
    )
    put(village, entry)
    assert village.state.meters["m1"].kid == new.public.kid
    old = Reading("village", "m1", 2, 0, 1, 1)
    assert village.put(ed25519("m1"), old) == ()
    late = Reading("village", "m1", 3, HOUR, 1, 1)
    assert ignored(village.put(ed25519("m1"), late)) == "meter m1 has a new key"
    assert village.put(new, late) == ()


def test_a_rotated_member_key_signs_nothing_any_more(village: Village) -> None:
    old = village.person("ann", "administrator")
    entry = KeyEntry(
        "rotate",
        "member",
        "ann",
        ed25519("new").public.cose_key,
        replaces=old.public.kid,
        proof=PROOF,
    )
    put(village, entry)
    assert ignored(village.put(old, enrol())) == "member ann has a new key"
    assert village.put(ed25519("new"), enrol()) == (RegistryChanged(5, "meter m1 enrolled"),)


@pytest.mark.parametrize(
    ("replaces", "key", "reason"),
    [
        (b"nobody's", "new", "is no key that could be rotated"),
        (b"?", "new", "not a COSE_Key"),
        (ed25519("m1").public.cose_key, "m1", "is registered already"),
    ],
)
def test_a_rotation_that_cannot_be(
    village: Village, replaces: bytes, key: str, reason: str
) -> None:
    put(village, enrol())
    public = ed25519(key).public
    entry = KeyEntry("rotate", "meter", "m1", public.cose_key, replaces=replaces, proof=PROOF)
    assert reason in ignored(put(village, entry))


def test_a_revoked_key_counts_no_more(village: Village) -> None:
    village.meter("m1", "ann", "net")
    put(village, KeyEntry("revoke", "meter", "m1", b""))
    assert village.state.meters["m1"].is_retired
    reading = Reading("village", "m1", 1, 0, 1, 1)
    assert ignored(village.put(ed25519("m1"), reading)) == (
        "the key of meter m1 was revoked at entry 3"
    )
    assert ignored(put(village, KeyEntry("revoke", "meter", "m1", b""))) == (
        "meter m1 has no such key"
    )


def test_a_rotation_names_whose_key_it_replaces_and_is_countersigned(village: Village) -> None:
    put(village, enrol())
    put(village, enrol("meter", "m2"))
    new = ed25519("new").public.cose_key
    entry = KeyEntry("rotate", "meter", "m2", new, replaces=ed25519("m1").public.kid, proof=PROOF)
    assert ignored(put(village, entry)).endswith("is no key of meter m2")
    bare = replace(entry, name="m1", proof=b"")
    assert ignored(put(village, bare)) == "a rotation is countersigned by the new key"
    negative = replace(entry, name="m1", last_sequences={"register": -1})
    assert ignored(put(village, negative)).startswith("sequences start at 1")
    assert village.state.meters["m1"].kid == ed25519("m1").public.kid


def test_a_key_names_its_own_successor(village: Village) -> None:
    village.meter("m1", "ann", "net")
    old, new = ed25519("m1"), ed25519("m1-new")
    entry = KeyEntry(
        "rotate", "meter", "m1", new.public.cose_key, replaces=old.public.kid, proof=PROOF
    )
    assert village.put(old, entry) == (RegistryChanged(3, "meter m1 has a new key"),)
    again = replace(entry, key=ed25519("m1-third").public.cose_key)
    assert ignored(village.put(old, again)) == "meter m1 has a new key"
    village.meter("m2", "bob", "net")
    foreign = replace(again, name="m2", replaces=ed25519("m2").public.kid)
    assert "a key rotate entry is signed by" in ignored(village.put(new, foreign))


def test_revoking_somebody_ends_what_a_rotated_key_might_still_send(village: Village) -> None:
    village.meter("m1", "ann", "net")
    new = ed25519("m1-new")
    entry = KeyEntry(
        "rotate",
        "meter",
        "m1",
        new.public.cose_key,
        replaces=ed25519("m1").public.kid,
        last_sequences={"register": 9},
        proof=PROOF,
    )
    put(village, entry)
    put(village, KeyEntry("revoke", "meter", "m1", b""))
    for signer in (ed25519("m1"), new):
        late = Reading("village", "m1", 3, HOUR, 1, 1)
        assert "was revoked at entry 4" in ignored(village.put(signer, late))


def test_a_revocation_ends_no_key_of_somebody_else(village: Village) -> None:
    put(village, enrol())
    put(village, enrol("meter", "m2"))
    kid = ed25519("m1").public.kid
    assert ignored(put(village, KeyEntry("revoke", "meter", "m2", kid))) == (
        "meter m2 has no such key"
    )
    assert village.state.keys[kid].is_current


def test_a_meter_says_what_its_energy_comes_from_and_where(village: Village) -> None:
    put(village, enrol(purpose="generation", fuel="hydro", location="Upper Mill, 46.53 7.47"))
    meter = village.state.meters["m1"]
    assert (meter.fuel, meter.location) == ("hydro", "Upper Mill, 46.53 7.47")


def test_a_revocation_names_a_key(village: Village) -> None:
    reason = ignored(put(village, KeyEntry("revoke", "meter", "m1", b"?")))
    assert reason.startswith("not a COSE_Key")


def test_a_new_device_under_an_old_name_starts_from_its_own_register(village: Village) -> None:
    village.meter("m1", "ann", "net")
    village.read("m1", 0, 5 * KWH, 0)
    village.read("m1", 1, 6 * KWH, 0)
    put(village, KeyEntry("revoke", "meter", "m1", ed25519("m1").public.cose_key))
    swap = ed25519("m1-b")
    put(village, enrol(key=swap.public.cose_key, serial="b"))
    assert "m1" not in village.state.cursors
    assert village.state.edges == {}
    village.put(swap, Reading("village", "m1", 1, HOUR, 100, 0))
    village.put(swap, Reading("village", "m1", 2, 2 * HOUR, 300, 0))
    assert village.state.cursors["m1"] == Cursor(HOUR, 0, 100, 0)
    assert village.state.edges == {(2 * HOUR, "m1"): Register(0, 300, 0)}
    village.close(0)
    assert village.settle(1).positions[0].consumed_uwh == 200


def test_a_node_enrolled_anew_has_its_new_relays_only(village: Village) -> None:
    village.node("pi", (relay("a", "ann"), relay("b", "ann")))
    village.ack("a", 5, energised=True)
    put(village, KeyEntry("revoke", "node", "pi", b""))
    put(
        village,
        enrol("node", "pi", key=ed25519("pi2").public.cose_key, relays=(relay("b", "bob"),)),
    )
    assert {name: row.member for name, row in village.state.relays.items()} == {("pi", "b"): "bob"}
    assert village.state.contacts == {}


def test_there_is_always_an_administrator(village: Village) -> None:
    revoke = KeyEntry("revoke", "member", "administrator", b"")
    demote = KeyEntry("role", "member", "administrator", b"", roles=("bank",))
    for entry in (revoke, demote):
        assert ignored(put(village, entry)) == (
            "the microgrid would be left without an administrator"
        )
    second = village.person("eve", "administrator")
    assert put(village, demote) == (RegistryChanged(5, "member administrator has other roles"),)
    assert "signed by administrator" in ignored(
        village.put(village.administrator, KeyEntry("role", "member", "eve", b""))
    )
    assert ignored(village.put(second, KeyEntry("role", "member", "bob", b""))) == (
        "member bob has no key"
    )
    assert ignored(
        village.put(second, KeyEntry("role", "member", "eve", b"", roles=("king",)))
    ).startswith("roles are for members")


def test_the_hub_closes_only_while_its_key_counts(village: Village) -> None:
    put(village, KeyEntry("revoke", "hub", "hub", b""))
    assert "was revoked" in ignored(village.put(village.hub, Close(0, "complete", (), 0)))
