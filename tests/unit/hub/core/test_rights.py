"""Who may sign what, cell by cell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub.core.effects import Ignored
from hub.core.rights import DEVICES, RIGHTS
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
from messages.feeding import Feed
from messages.investigation import Notice
from messages.logkeeping import Quorum, Takeover
from messages.membership import OFFICES, ROLES
from messages.reading import Reading
from messages.relayfault import RelayFault
from tests.support.signers import ed25519
from tests.support.source import ROOT
from tests.support.village import HOUR, Village, ignored, relay, replica_of, vrf_of

NEWCOMER = ed25519("newcomer").public.cose_key
PROOF = b"p" * 64  # the fold looks at no signature


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
    "fault": RelayFault("pi", "heater", "welded", "draws on", 5),
    "fault cleared": RelayFault("pi", "heater", "", "mended", 5),
    "seal": Seal(0, 0, b""),
    "block": BlockHeader(0, b"", 0, 0, b"", b"", b"", b"", b"", b"", 0, 0),
    "call": Call(b"1" * 16, 10 * HOUR, "dep_balance", "bid", {}),
    "call case": Call(b"1" * 16, 10 * HOUR, "cases", "open", {}),
    "bank deposit": Call(b"4" * 16, 10 * HOUR, "bank", "deposit", {}),
    "notice": Notice("tap-1", "ann", ()),
    "feed": Feed("co2", 1, 0, 300, "g_per_kwh", HOUR),
    "dispute": Call(b"2" * 16, 10 * HOUR, "disputes", "open", {}),
    "dispute ruling": Call(b"3" * 16, 10 * HOUR, "disputes", "rule", {}),
    "key enrol": KeyEntry("enrol", "member", "newcomer", NEWCOMER),
    "key rotate": KeyEntry(
        "rotate",
        "member",
        "old-timer",
        NEWCOMER,
        replaces=ed25519("old-timer").public.kid,
        proof=PROOF,
    ),
    "key rotate own": KeyEntry("rotate", "member", "", NEWCOMER, proof=PROOF),
    "key of an office": KeyEntry("enrol", "member", "newcomer", NEWCOMER, roles=("bank",)),
    "key revoke": KeyEntry("revoke", "member", "old-timer", b""),
    "key role": KeyEntry("role", "member", "old-timer", b"", roles=("manager",)),
    "key describe": KeyEntry("describe", "meter", "ann-pv", b"", fuel="wind"),
    "policy prices": _policy(1, "dep_balance"),
    "policy rules": _policy(300_000, "other"),
    "quorum": Quorum("quorum none\n", 0),
    "takeover": Takeover(0, "", "", 0, "", "", "", 0),
}
# The one signer of each kind that also has the right name.
OWN_DEVICE = {"meter": "ann-pv", "node": "pi"}


def made_village() -> Village:
    village = Village()
    village.meter("ann-pv", "ann", "generation")
    village.read("ann-pv", 0, exported=0)
    village.node("pi", (relay("heater", "ann"),))
    village.person("old-timer")
    return village


@pytest.fixture
def village() -> Village:
    return made_village()


def _signer(village: Village, role: str) -> FileSigner:
    if role in OWN_DEVICE:
        return ed25519(OWN_DEVICE[role])
    if role == "replica":
        village.replica("ann")
        return replica_of("ann")
    if role == "feeder":
        return village.feeder("meteo", co2="g_per_kwh")
    if role in ("hub", "log"):
        return ed25519(role)
    return village.person(f"the-{role}", *(() if role == "member" else (role,)))


def _is_refused(village: Village, row: str, signer: FileSigner) -> bool:
    entry = ENTRIES[row]
    if row == "key rotate own":
        key = village.state.keys[signer.public.kid]
        entry = replace(entry, holder=key.holder, name=key.name, replaces=signer.public.kid)
    return any(
        isinstance(effect, Ignored) and "entry is signed by" in effect.reason
        for effect in village.put(signer, entry)
    )


def test_every_row_has_an_entry_here() -> None:
    assert set(ENTRIES) == set(RIGHTS)


@pytest.mark.parametrize("role", [*DEVICES, *ROLES])
@pytest.mark.parametrize("row", list(RIGHTS))
def test_cell(village: Village, row: str, role: str) -> None:
    is_member = role in ROLES  # a person with any role is a member, too
    expected = role in RIGHTS[row] or (is_member and "member" in RIGHTS[row])
    assert _is_refused(village, row, _signer(village, role)) is not expected


@pytest.mark.parametrize("row", [row for row in RIGHTS if "meter" not in RIGHTS[row]])
def test_the_first_administrator_holds_every_role_of_a_person(village: Village, row: str) -> None:
    expected = bool(set(RIGHTS[row]) & set(ROLES))
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
        "fault": ("hub",),
        "fault cleared": ("hub", "administrator", "manager"),
        "seal": ("hub",),
        "block": ("hub", "replica"),
        "feed": ("feeder",),
        "call": ("member",),
        "call case": ("regulator",),
        "notice": ("hub",),
        "bank deposit": ("bank",),
        "dispute": ("member",),
        "dispute ruling": ("regulator",),
        "key enrol": ("administrator", "manager"),
        "key rotate": ("administrator", "manager"),
        "key revoke": ("administrator", "manager"),
        "key role": ("administrator",),
        "key describe": ("administrator", "manager"),
        "key of an office": ("administrator",),
        "key rotate own": ("meter", "node", "replica", "feeder", "member"),
        "policy prices": ("administrator",),
        "policy rules": ("administrator", "manager"),
        "quorum": ("administrator",),
        "takeover": ("administrator",),
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


# --- what a manager cannot become


@pytest.mark.parametrize("office", OFFICES)
def test_a_manager_gives_no_office(village: Village, office: str) -> None:
    manager = village.person("boss", "manager")
    entry = KeyEntry("enrol", "member", "newcomer", NEWCOMER, roles=(office,))
    assert ignored(village.put(manager, entry)).startswith("a key of an office entry is signed by")
    village.put(manager, replace(entry, roles=("prosumer", "consumer")))
    assert village.state.keys[ed25519("newcomer").public.kid].roles == ("prosumer", "consumer")


@pytest.mark.parametrize(
    "change",
    [
        KeyEntry("revoke", "member", "chief", b""),
        KeyEntry(
            "rotate",
            "member",
            "chief",
            NEWCOMER,
            replaces=ed25519("chief").public.kid,
            proof=PROOF,
        ),
    ],
    ids=["revoke", "rotate"],
)
def test_a_manager_touches_no_key_that_holds_an_office(village: Village, change: KeyEntry) -> None:
    village.person("chief", "administrator")
    manager = village.person("boss", "manager")
    assert ignored(village.put(manager, change)).startswith("a key of an office entry is signed by")
    assert village.state.keys[ed25519("chief").public.kid].is_current
    assert not any(isinstance(e, Ignored) for e in village.put(village.administrator, change))


def test_a_manager_enrols_no_replica_and_ends_none(village: Village) -> None:
    manager = village.person("boss", "manager")
    village.replica("ann")
    key, vrf = ed25519("newcomer").public.cose_key, vrf_of("bob").public.cose_key
    for entry in (
        KeyEntry("enrol", "replica", "bob", key, vrf=vrf),
        KeyEntry("revoke", "replica", "ann", b""),
    ):
        reason = ignored(village.put(manager, entry))
        assert reason.startswith("a key of an office entry is signed by administrator")


def test_the_keys_of_hub_and_log_are_ended_by_an_administrator_and_replaced_by_nobody(
    village: Village,
) -> None:
    """They stand in trust.toml, which every node keeps a copy of."""
    manager = village.person("boss", "manager")
    for name in ("hub", "log"):
        kid = ed25519(name).public.kid
        rotate = KeyEntry("rotate", name, name, NEWCOMER, replaces=kid, proof=PROOF)
        assert ignored(village.put(village.administrator, rotate)).startswith("no holder")
        revoke = KeyEntry("revoke", name, name, kid)
        assert "is signed by administrator" in ignored(village.put(manager, revoke))
        assert village.state.keys[kid].is_current
        village.put(village.administrator, revoke)
        assert not village.state.keys[kid].is_current


# --- the table in the docs


def test_the_docs_show_what_the_fold_does() -> None:
    """Every cell is tried anew; `make docs` writes the table from RIGHTS."""
    lines = (ROOT / "docs" / "roles.md").read_text().splitlines()
    head = next(line for line in lines if line.startswith("| entry |"))
    roles = [cell.strip() for cell in head.strip("|").split("|")][1:]
    assert roles == [*DEVICES, *ROLES]
    for row in RIGHTS:
        marks = " | ".join("x" if _may(row, role) else " " for role in roles)
        assert f"| {row} | {marks} |" in lines, row


def _may(row: str, role: str) -> bool:
    village = made_village()
    return not _is_refused(village, row, _signer(village, role))
