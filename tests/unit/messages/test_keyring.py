"""Who may sign is read from the entries alone, by place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from messages.entries import Genesis, KeyEntry
from messages.errors import BadKey, BadSignature
from messages.keyring import KeyRing, Ringed, key_id
from tests.support.signers import ed25519, p256

FOUNDER, HUB, LOG = ed25519("founder").public, ed25519("hub").public, ed25519("log").public
ALICE, BOB, METER = ed25519("alice").public, ed25519("bob").public, p256("m1").public


@pytest.fixture
def ring() -> KeyRing:
    made = KeyRing()
    made.found(
        Genesis(
            "bench",
            "o",
            1,
            1,
            "open",
            True,
            FOUNDER.cose_key,
            HUB.cose_key,
            LOG.cose_key,
            "",
            0,
        )
    )
    return made


def founder(ring: KeyRing) -> Ringed:
    return ring.signer(FOUNDER.kid, "key", "", 0)


PROOF = b"p" * 64  # a ring looks at no signature
METER_FIELDS = {"node": "n1", "member": "alice", "purpose": "net"}


def enrol(ring: KeyRing, by: Ringed, name: str, key: bytes, **more: object) -> None:
    holder = str(more.pop("holder", "member"))
    more = {**(METER_FIELDS if holder == "meter" else {}), **more}
    ring.change(5, by, KeyEntry("enrol", holder, name, key, **more))  # type: ignore[arg-type]


def counts(ring: KeyRing, kid: bytes, kind: str = "call") -> bool:
    try:
        ring.signer(kid, kind, "", 0)
    except BadSignature:
        return False
    return True


def test_genesis_names_three_keys(ring: KeyRing) -> None:
    assert counts(ring, FOUNDER.kid, "policy")
    assert counts(ring, HUB.kid, "close")
    assert not counts(ring, HUB.kid, "policy")
    assert not counts(ring, LOG.kid, "close")
    assert not counts(ring, ALICE.kid)


def test_a_founder_of_small_order_is_refused() -> None:
    bad = b"\xa3\x01\x01\x20\x06\x21\x58\x20" + b"\x01" + bytes(31)
    with pytest.raises(BadKey):
        KeyRing().found(Genesis("b", "o", 1, 1, "open", True, bad, b"", b"", "", 0))


def test_enrolment_begins_where_it_says(ring: KeyRing) -> None:
    enrol(ring, founder(ring), "m1", METER.cose_key, holder="meter", first_sequence=7)
    found = ring.signer(METER.kid, "reading", "register", 7)
    assert (found.holder, found.name, found.first_sequence) == ("meter", "m1", 7)
    with pytest.raises(BadSignature, match="a ack entry is not signed by meter m1"):
        ring.signer(METER.kid, "ack", "event", 1)
    with pytest.raises(BadSignature, match="is not signed by"):
        ring.signer(METER.kid, "unheard of", "", 0)


def test_a_member_enrols_nobody_unless_made_a_manager(ring: KeyRing) -> None:
    enrol(ring, founder(ring), "alice", ALICE.cose_key)
    alice = ring.signer(ALICE.kid, "key", "", 0)
    enrol(ring, alice, "bob", BOB.cose_key)
    assert not counts(ring, BOB.kid)
    ring.change(6, founder(ring), KeyEntry("role", "member", "alice", b"", roles=("manager",)))
    manager = ring.signer(ALICE.kid, "key", "", 0)
    enrol(ring, manager, "bob", BOB.cose_key)
    assert counts(ring, BOB.kid)
    role = KeyEntry("role", "member", "bob", b"", roles=("administrator",))
    ring.change(7, manager, role)  # roles are for the administrator to give
    assert ring.signer(BOB.kid, "key", "", 0).roles == frozenset()


@pytest.mark.parametrize("named", [METER.kid, METER.thumbprint, METER.cose_key, b""])
def test_revocation_by_any_name_of_a_key(ring: KeyRing, named: bytes) -> None:
    enrol(ring, founder(ring), "m1", METER.cose_key, holder="meter")
    ring.change(9, founder(ring), KeyEntry("revoke", "meter", "m1", named))
    with pytest.raises(BadSignature, match="meter m1 was revoked by entry 9"):
        ring.signer(METER.kid, "reading", "register", 1)
    ring.change(12, founder(ring), KeyEntry("revoke", "meter", "m1", METER.kid))
    with pytest.raises(BadSignature, match="revoked by entry 9"):
        ring.signer(METER.kid, "reading", "register", 1)


def test_somebody_always_stays_administrator(ring: KeyRing) -> None:
    ring.change(5, founder(ring), KeyEntry("revoke", "member", "administrator", FOUNDER.kid))
    ring.change(6, founder(ring), KeyEntry("role", "member", "administrator", b"", roles=("bank",)))
    assert {"administrator", "manager"} <= founder(ring).roles
    enrol(ring, founder(ring), "alice", ALICE.cose_key, roles=("administrator",))
    ring.change(7, founder(ring), KeyEntry("revoke", "member", "administrator", FOUNDER.kid))
    assert not counts(ring, FOUNDER.kid)
    assert counts(ring, ALICE.kid)


def test_rotation_leaves_the_old_key_its_last_words(ring: KeyRing) -> None:
    by = founder(ring)
    enrol(ring, by, "m1", METER.cose_key, holder="meter")
    new = ed25519("m1 again").public
    rotate = KeyEntry(
        "rotate",
        "meter",
        "m1",
        new.cose_key,
        replaces=METER.kid,
        last_sequences={"register": 4},
        first_sequence=2,
        proof=PROOF,
    )
    ring.change(7, by, replace(rotate, proof=b""))
    assert not counts(ring, new.kid, "reading"), "it is not countersigned"
    ring.change(8, by, rotate)
    assert ring.signer(METER.kid, "reading", "register", 4).name == "m1"
    with pytest.raises(BadSignature, match="meter m1 had a new key by then"):
        ring.signer(METER.kid, "reading", "register", 5)
    assert ring.signer(new.kid, "reading", "register", 9).first_sequence == 2
    third = ed25519("third").public
    for replaces in (METER.kid, b"no such."):  # rotated already; not known
        again = replace(rotate, key=third.cose_key, replaces=replaces)
        ring.change(9, by, again)
        assert not counts(ring, third.kid, "reading")
    ring.change(9, by, replace(rotate, key=METER.cose_key, replaces=new.kid))
    assert ring.signer(new.kid, "reading", "register", 99).is_newest


def test_an_entry_with_a_bad_key_changes_nothing(ring: KeyRing) -> None:
    by = founder(ring)
    for action in ("enrol", "rotate", "revoke", "unheard of"):
        ring.change(5, by, KeyEntry(action, "member", "eve", b"not a key"))
    assert counts(ring, FOUNDER.kid)
    with pytest.raises(BadKey):
        key_id(b"not a key")
