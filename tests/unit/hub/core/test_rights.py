"""Who may sign what, cell by cell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub.core.effects import Ignored
from hub.core.rights import DEVICES, PEOPLE, RIGHTS
from keys.file import FileSigner
from messages.entries import (
    Ack,
    BlockHeader,
    Calibration,
    Call,
    Close,
    Decision,
    Epoch,
    Gap,
    KeyEntry,
    PolicyEntry,
    Seal,
)
from messages.reading import Reading
from tests.support.signers import ed25519
from tests.support.village import HOUR, Village, ignored, relay

NEWCOMER = ed25519("newcomer").public.cose_key


def _policy(price: int, contract: str) -> PolicyEntry:
    return PolicyEntry(
        100 * HOUR, contract, {}, ((0, price),), ((0, 100_000),), "none", {}, "open", b""
    )


ENTRIES: dict[str, Any] = {
    "reading": Reading("village", "ann-pv", 2, HOUR, None, 5),
    "ack": Ack(1, "pi", "heater", 1, True, "applied", "", 5, b"", 5),
    "epoch": Epoch(1, "pi", "ann-pv", 1, None, 5, None, 0, "swapped", 5),
    "calibration": Calibration(
        1, "pi", "ann-pv", 12_000, 0, 0, 0, 0, 5, None, None, 4, None, None, 30, "", 5
    ),
    "close": Close(0, "complete", (), HOUR),
    "gap": Gap(b"", "register", 1, 1, "lost"),
    "decision": Decision(5, "dep", b"", b"", "", "", "", ()),
    "seal": Seal(0, 0, b""),
    "block": BlockHeader(0, b"", 0, 0, b"", b"", b"", b"", b"", b"", 0, 0),
    "call": Call(b"1" * 16, 10 * HOUR, "dep_balance", "bid", {}),
    "key enrol": KeyEntry("enrol", "member", "newcomer", NEWCOMER),
    "key rotate": KeyEntry(
        "rotate", "member", "", NEWCOMER, replaces=ed25519("old-timer").public.kid
    ),
    "key revoke": KeyEntry("revoke", "member", "old-timer", b""),
    "key role": KeyEntry("role", "member", "old-timer", b"", roles=("manager",)),
    "policy prices": _policy(1, "dep_balance"),
    "policy rules": _policy(300_000, "other"),
}
# The one signer of each kind that also has the right name.
OWN_DEVICE = {"meter": "ann-pv", "node": "pi"}


@pytest.fixture
def village() -> Village:
    village = Village()
    village.meter("ann-pv", "ann", "generation")
    village.read("ann-pv", 0, exported=0)
    village.node("pi", (relay("heater", "ann"),))
    village.person("old-timer")
    return village


def _signer(village: Village, role: str) -> FileSigner:
    if role in OWN_DEVICE:
        return ed25519(OWN_DEVICE[role])
    if role in ("hub", "log"):
        return ed25519(role)
    return village.person(f"the-{role}", *(() if role == "member" else (role,)))


def _is_refused(village: Village, row: str, signer: FileSigner) -> bool:
    return any(
        isinstance(effect, Ignored) and "entry is signed by" in effect.reason
        for effect in village.put(signer, ENTRIES[row])
    )


def test_every_row_has_an_entry_here() -> None:
    assert set(ENTRIES) == set(RIGHTS)


@pytest.mark.parametrize("role", [*DEVICES, *PEOPLE])
@pytest.mark.parametrize("row", list(RIGHTS))
def test_cell(village: Village, row: str, role: str) -> None:
    is_member = role in PEOPLE  # a person with any role is a member, too
    expected = role in RIGHTS[row] or (is_member and "member" in RIGHTS[row])
    assert _is_refused(village, row, _signer(village, role)) is not expected


@pytest.mark.parametrize("row", [row for row in RIGHTS if "meter" not in RIGHTS[row]])
def test_the_first_administrator_holds_every_role_of_a_person(village: Village, row: str) -> None:
    expected = bool(set(RIGHTS[row]) & set(PEOPLE))
    assert _is_refused(village, row, village.administrator) is not expected


def test_the_table_is_the_one_of_the_paper() -> None:
    """Written out, so that a change of rights is a change of this test."""
    assert dict(RIGHTS) == {
        "reading": ("meter",),
        "ack": ("node",),
        "epoch": ("node",),
        "calibration": ("node",),
        "close": ("hub",),
        "gap": ("hub",),
        "decision": ("hub",),
        "seal": ("hub",),
        "block": ("hub", "replica"),
        "call": ("member",),
        "key enrol": ("administrator", "manager"),
        "key rotate": ("administrator", "manager"),
        "key revoke": ("administrator", "manager"),
        "key role": ("administrator",),
        "policy prices": ("administrator",),
        "policy rules": ("administrator", "manager"),
    }


def test_a_meter_speaks_of_itself_only(village: Village) -> None:
    village.meter("bob-load", "bob", "consumption")
    reading = Reading("village", "ann-pv", 2, HOUR, None, 5)
    reason = ignored(village.put(ed25519("bob-load"), reading))
    assert reason == "the key is of meter bob-load, the reading of ann-pv"


def test_a_node_speaks_of_its_own_relays_and_meters_only(village: Village) -> None:
    village.node("other")
    ack = Ack(1, "pi", "heater", 1, True, "applied", "", 5, b"", 5)
    assert ignored(village.put(ed25519("other"), ack)) == (
        "the key is of node other, the entry of pi"
    )
    ack = Ack(1, "other", "heater", 1, True, "applied", "", 5, b"", 5)
    assert ignored(village.put(ed25519("other"), ack)) == "node other has no relay heater"
    epoch = Epoch(1, "other", "ann-pv", 1, None, 5, None, 0, "swapped", 5)
    assert ignored(village.put(ed25519("other"), epoch)) == "node other has no meter ann-pv"
    calibration = replace(ENTRIES["calibration"], node="other")
    assert ignored(village.put(ed25519("other"), calibration)) == "node other has no meter ann-pv"


def test_strangers_and_second_founders(village: Village) -> None:
    stranger = ed25519("stranger")
    reason = ignored(village.put(stranger, Close(0, "complete", (), 0)))
    assert reason == f"no key {stranger.public.kid.hex()} is registered"
    genesis = village.entries[0].event.body
    assert ignored(village.put(village.administrator, genesis)) == (
        "only entry 0 can be the genesis"
    )


def test_an_action_nobody_knows(village: Village) -> None:
    reason = ignored(village.put(village.administrator, KeyEntry("bless", "member", "ann", b"")))
    assert reason == "a key bless entry is signed by nobody, not by member administrator"
