from dataclasses import replace

import pytest

from edge.lease import Contact, Obey, Refuse, Rules, decide, is_over, safe
from messages.lease import Lease

NONCE = b"n" * 16
LEASE = Lease("dep1", "heater", NONCE, 7, 5000, True, "deficit", 40)
NOW = 100_000


def answer(lease=LEASE, *, rules=None, contacts=None, nonces=None, now_ms=NOW):
    return decide(
        lease,
        rules or {"heater": Rules(), "pump": Rules()},
        contacts or {"heater": Contact(), "pump": Contact()},
        {NONCE: 99_000} if nonces is None else nonces,
        now_ms,
    )


def test_a_lease_runs_from_when_its_nonce_was_made():
    assert answer() == Obey(
        Contact(True, NOW, 104_000, 7, 40, "deficit", (NOW,)), moves=True, news=True
    )


def test_a_renewal_moves_nothing_and_is_no_news():
    held = answer().contact
    renewed = replace(LEASE, sequence=8, ttl_ms=6000)
    assert answer(renewed, contacts={"heater": held}) == Obey(
        replace(held, ends_ms=105_000, sequence=8), moves=False, news=False
    )
    other_decision = replace(renewed, decision=41)
    assert answer(other_decision, contacts={"heater": held}).news


def test_a_newer_lease_may_be_the_shorter_one():
    held = replace(answer().contact, ends_ms=200_000)
    renewed = answer(replace(LEASE, sequence=8), contacts={"heater": held})
    assert renewed.contact.ends_ms == 104_000


@pytest.mark.parametrize(
    ("lease", "given", "reason"),
    [
        ({"relay": "fan"}, {}, '"fan" is no relay of this node'),
        ({"ttl_ms": 999}, {}, "a life of 999 ms is not from 1000 to 10000"),
        ({"ttl_ms": 10_001}, {}, "a life of 10001 ms is not from 1000 to 10000"),
        ({}, {"nonces": {}}, "its nonce is not one of the newest of this guard"),
        ({"nonce": b"m" * 16}, {}, "its nonce is not one of the newest of this guard"),
        (
            {"sequence": 6},
            {"contacts": {"heater": Contact(sequence=6)}},
            "sequence 6 is not above 6",
        ),
        ({}, {"now_ms": 104_000}, "it was over 0 ms before it came"),
        ({}, {"now_ms": 105_500}, "it was over 1500 ms before it came"),
        (
            {},
            {"rules": {"heater": Rules(min_off_ms=100_001)}},
            "released for 100000 ms of at least 100001",
        ),
        (
            {"energised": False},
            {
                "rules": {"heater": Rules(min_on_ms=2000)},
                "contacts": {"heater": Contact(energised=True, since_ms=98_500)},
            },
            "energised for 1500 ms of at least 2000",
        ),
        (
            {},
            {
                "rules": {"heater": Rules(switches_per_minute_max=2)},
                "contacts": {"heater": Contact(changes_ms=(1, 40_001, 99_000))},
            },
            "switched 2 times within a minute",
        ),
        (
            {},
            {
                "rules": {"heater": Rules(interlock="a"), "pump": Rules(interlock="a")},
                "contacts": {"heater": Contact(), "pump": Contact(energised=True)},
            },
            'interlock "a": pump is energised',
        ),
    ],
)
def test_what_is_refused(lease, given, reason):
    assert answer(replace(LEASE, **lease), **given) == Refuse(reason)


@pytest.mark.parametrize(
    ("lease", "given"),
    [
        ({"ttl_ms": 1000}, {"now_ms": 99_999}),
        ({"ttl_ms": 10_000}, {}),
        ({}, {"now_ms": 103_999}),
        ({}, {"rules": {"heater": Rules(min_off_ms=100_000)}}),
        (
            {},
            {
                "rules": {"heater": Rules(switches_per_minute_max=3)},
                "contacts": {"heater": Contact(changes_ms=(1, 40_000, 99_000))},
            },
        ),
        (
            {},
            {
                "rules": {"heater": Rules(interlock="a"), "pump": Rules(interlock="b")},
                "contacts": {"heater": Contact(), "pump": Contact(energised=True)},
            },
        ),
        (
            {},
            {"contacts": {"heater": Contact(), "pump": Contact(energised=True)}},
        ),
        (
            {},
            {
                "rules": {"heater": Rules(interlock="a"), "pump": Rules(interlock="a")},
            },
        ),
    ],
)
def test_what_is_obeyed_at_the_very_limit(lease, given):
    assert isinstance(answer(replace(LEASE, **lease), **given), Obey)


def test_releasing_is_limited_by_its_time_on_and_by_nothing_else():
    contact = Contact(energised=True, since_ms=98_000, changes_ms=(98_000,) * 9)
    rules = {"heater": Rules(min_on_ms=2000, switches_per_minute_max=1)}
    released = answer(replace(LEASE, energised=False), rules=rules, contacts={"heater": contact})
    assert released.moves
    assert not released.contact.energised
    assert released.contact.changes_ms == (98_000,) * 9 + (NOW,)


def test_a_held_contact_needs_no_permission_to_stay():
    rules = {"heater": Rules(min_on_ms=9000, min_off_ms=9000, switches_per_minute_max=0)}
    contact = Contact(energised=True, since_ms=NOW)
    assert not answer(rules=rules, contacts={"heater": contact}).moves


def test_when_a_lease_is_over():
    assert not is_over(Contact(), 10)
    assert not is_over(Contact(ends_ms=11), 10)
    assert is_over(Contact(ends_ms=10), 10)


def test_safe_forgets_the_lease_but_not_its_sequence():
    contact = Contact(True, 50, 90, 7, 40, "deficit", (50,))
    assert safe(contact, "lease over", 90) == Contact(False, 90, 0, 7, -1, "lease over", (50, 90))
    assert safe(Contact(False, 50, 90, 7, 40, "x"), "agent gone", 80) == Contact(
        False, 50, 0, 7, -1, "agent gone"
    )


ROOF = {"roof": Rules(setpoint_mw_max=3_000)}
LIMIT = replace(LEASE, relay="roof", setpoint_mw=2_000)


def roof(lease, **changes):
    return answer(lease, rules=ROOF, contacts={"roof": Contact(**changes)})


def test_a_set_point_stands_as_long_as_its_lease():
    told = roof(LIMIT)
    assert (told.contact.energised, told.contact.setpoint_mw, told.moves) == (True, 2_000, True)
    ended = safe(told.contact, "its lease is over", NOW)
    assert (ended.energised, ended.setpoint_mw) == (False, None)


def test_another_power_is_news_and_no_switching():
    held = roof(LIMIT).contact
    other = replace(LIMIT, sequence=8, setpoint_mw=1_000)
    told = answer(other, rules=ROOF, contacts={"roof": held})
    assert (told.moves, told.news) == (True, True)
    assert told.contact.changes_ms == held.changes_ms
    again = replace(LIMIT, sequence=8)
    assert not answer(again, rules=ROOF, contacts={"roof": held}).moves


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"relay": "heater"}, "it is a relay and takes no set-point"),
        ({"energised": False}, "a set-point that does not stand has no power"),
        ({"setpoint_mw": -1}, "a set-point of -1 mW is not from 0 to 3000"),
        ({"setpoint_mw": 3_001}, "a set-point of 3001 mW is not from 0 to 3000"),
    ],
)
def test_what_cannot_be_told_is_refused(changes, reason):
    lease, contacts = replace(LIMIT, **changes), {"roof": Contact(), "heater": Contact()}
    assert answer(lease, rules=ROOF | {"heater": Rules()}, contacts=contacts) == Refuse(reason)


@pytest.mark.parametrize(("told_mw", "is_taken"), [(-3_000, True), (3_000, True), (-3_001, False)])
def test_a_battery_gives_as_it_takes(told_mw, is_taken):
    rules = {"roof": Rules(setpoint_mw_max=3_000, is_battery=True)}
    lease = replace(LIMIT, setpoint_mw=told_mw)
    found = answer(lease, rules=rules, contacts={"roof": Contact()})
    assert isinstance(found, Obey) is is_taken
