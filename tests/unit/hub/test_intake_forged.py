"""Readings that no meter made for us, sixty of each of six kinds: none is admitted."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hub.intake import KnownKey, Reason, Refused, Rules, Verified, verify
from hub.sequencer import Admitted, Equivocation, Sequencer
from messages import cose
from messages.errors import BadKey
from messages.publickey import EDDSA, PublicKey
from messages.reading import Reading, sign_reading
from tests.support.signers import ed25519

SLOT_MS = 900_000
NOW_MS = 10_000 * SLOT_MS
RULES = Rules(bytes(32), "bench", SLOT_MS)
METER, OTHER, OLD, STOLEN = (ed25519(name) for name in ("meter", "other", "old", "stolen"))
REGISTRY = {
    METER.public.kid: KnownKey(METER.public, "meter", "m1", "n1"),
    OTHER.public.kid: KnownKey(OTHER.public, "meter", "m2", "n2"),
    OLD.public.kid: KnownKey(OLD.public, "meter", "m3", "n1", last_sequences={"register": 3}),
    STOLEN.public.kid: KnownKey(STOLEN.public, "meter", "m4", "n1", is_revoked=True),
}
PLACES = 60
# Points under which lax libraries take S = 0 for any message: y = 1, y = 0, y = p - 1.
SMALL_ORDER = (1).to_bytes(32, "little"), bytes(32), (2**255 - 20).to_bytes(32, "little")


def reading(number: int, **changes: Any) -> Reading:
    made = Reading("bench", "m1", number, number * SLOT_MS, number * 1_000, 0)
    return replace(made, **changes)


def forged(number: int, chooser: random.Random) -> bytes:
    """Another value under a signature that was good for the first."""
    good = cose.parse(sign_reading(METER, reading(number)))
    other = cose.parse(sign_reading(METER, reading(number, import_uwh=chooser.randrange(10**9))))
    parts = (good.protected, other.payload, good.signature)
    return (
        b"\xd2\x84"
        + cose.bstr(parts[0])
        + b"\xa0"
        + b"".join(cose.bstr(part) for part in parts[1:])
    )


def wrong_meter(number: int, _chooser: random.Random) -> bytes:
    return sign_reading(OTHER, reading(number))


def revoked(number: int, _chooser: random.Random) -> bytes:
    return sign_reading(STOLEN, reading(number, meter_id="m4"))


def rotated(number: int, _chooser: random.Random) -> bytes:
    """Of the time before the key's successor, as its old key would go on."""
    return sign_reading(OLD, reading(number + 4, meter_id="m3"))


def stranger(number: int, _chooser: random.Random) -> bytes:
    return sign_reading(ed25519(f"stranger {number}"), reading(number))


def small_order(number: int, chooser: random.Random) -> bytes:
    """Signed by nobody, under a key that small-order forgeries verify for."""
    good = cose.parse(sign_reading(METER, reading(number)))
    signature = chooser.choice(SMALL_ORDER) + bytes(32)
    return (
        b"\xd2\x84"
        + cose.bstr(good.protected)
        + b"\xa0"
        + cose.bstr(good.payload)
        + cose.bstr(signature)
    )


Make = Callable[[int, random.Random], bytes]
REASONS: dict[Make, Reason] = {
    forged: Reason.BAD_SIGNATURE,
    wrong_meter: Reason.WRONG_METER,
    revoked: Reason.REVOKED_KEY,
    rotated: Reason.RETIRED_KEY,
    stranger: Reason.UNKNOWN_KEY,
    small_order: Reason.BAD_SIGNATURE,
}


@pytest.mark.parametrize("make", REASONS, ids=lambda make: make.__name__)
def test_none_of_sixty_is_taken(make: Make) -> None:
    chooser = random.Random(20261121)
    numbers = chooser.sample(range(1, 9_000), PLACES)
    node = "n2" if make is wrong_meter else "n1"
    raws = [make(number, chooser) for number in numbers]
    found = [verify(raw, node, "register", REGISTRY, RULES, NOW_MS) for raw in raws]
    assert {type(verdict) for verdict in found} == {Refused}
    assert {verdict.reason for verdict in found if isinstance(verdict, Refused)} == {REASONS[make]}


def test_a_clone_of_the_key_gets_no_second_content_in() -> None:
    """Same key, same sequence, other value: the first one counts, the second is evidence."""
    stored: dict[tuple[bytes, str, int], bytes] = {}
    sequencer = Sequencer(
        lambda kid, stream: max((n for k, s, n in stored if (k, s) == (kid, stream)), default=0),
        lambda kid, stream, sequence: stored.get((kid, stream, sequence)),
    )

    def offer(raw: bytes) -> object:
        verdict = sequencer.admit(verify(raw, "n1", "register", REGISTRY, RULES, NOW_MS))
        if isinstance(verdict, Admitted):
            for each in verdict.messages:
                stored[each.kid, each.stream, each.sequence] = each.raw
            sequencer.committed()
        return verdict

    for number in range(1, PLACES + 1):
        assert isinstance(offer(sign_reading(METER, reading(number))), Admitted)
        cloned = offer(sign_reading(METER, reading(number, import_uwh=7)))
        assert isinstance(cloned, Equivocation)
    assert len(stored) == PLACES


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_a_small_order_key_is_never_registered(point: bytes) -> None:
    with pytest.raises(BadKey):
        PublicKey(EDDSA, point)


def test_the_same_without_the_crime_is_taken() -> None:
    raw = sign_reading(METER, reading(1))
    assert isinstance(verify(raw, "n1", "register", REGISTRY, RULES, NOW_MS), Verified)
