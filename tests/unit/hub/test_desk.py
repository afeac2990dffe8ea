"""Calls that wait in the inbox are taken together, each is answered, and none waits for another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub.balancing.catalog import POLICIES
from hub.closing import Closer, CloseRule
from hub.commands.enrolling import sign_as_administrator
from hub.desk import Desk
from hub.errors import StorageFull
from hub.inbox import TAKEN_AT_ONCE, Inbox
from hub.ledger.records import NewEntry
from hub.market.catalog import CONTRACTS
from hub.policyfile import EXAMPLE, read_policy
from keys.file import FileSigner
from messages import cose
from messages.entries import Call, KeyEntry, parse_entry, sign_entry
from messages.log.tree import leaf_hash
from messages.relayfault import WELDED, WORKS, RelayFault
from tests.support.hub_bench import SLOT_MS, START_MS, Bench
from tests.support.signers import ed25519

MEMBERS = 1_000


class Hall:
    """A hub whose contract takes orders, with a closed slot, an inbox, and members."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder)
        self.opened = self.bench.open()
        self.spine = self.bench.spine(self.opened)
        self.inbox = Inbox(folder)
        self.inbox.open()
        self.desk = Desk(self.inbox, self.spine, CONTRACTS, POLICIES)
        self.people: dict[str, FileSigner] = {}
        self.calls = 0
        policy = read_policy(EXAMPLE, "example", START_MS, CONTRACTS, POLICIES)
        auction = replace(policy, contract="double_auction", parameters={})
        self.record(self.as_administrator(*self.bench.key_entries(), auction))
        self.spine.take_in(self.bench.readings(START_MS, 0), 0, START_MS)
        end_ms = START_MS + SLOT_MS
        self.spine.take_in(self.bench.readings(end_ms, 1), 0, end_ms)
        Closer(self.spine, self.opened.pen, CloseRule(SLOT_MS, 0, 0)).close(
            START_MS, "complete", end_ms
        )

    def as_administrator(self, *bodies: Any) -> list[bytes]:
        return sign_as_administrator(self.bench.config, bodies)

    def record(self, entries: Sequence[bytes]) -> None:
        """Append entries by one commit, past the inbox."""
        envelopes = [cose.parse(raw) for raw in entries]
        self.spine.record(
            [
                NewEntry(raw, leaf_hash(raw), envelope.kid, parse_entry(envelope).KIND)
                for raw, envelope in zip(entries, envelopes, strict=True)
            ]
        )

    def member(self, name: str) -> KeyEntry:
        self.people[name] = ed25519(name)
        return KeyEntry("enrol", "member", name, self.people[name].public.cose_key)

    def call(self, who: str, call_id: int = 0, price: int = 250_000) -> bytes:
        self.calls += 1
        call = Call(
            (call_id or self.calls).to_bytes(16, "big"),
            START_MS + 3 * SLOT_MS,
            "double_auction",
            "order",
            {"side": "bid", "price_utok_per_kwh": price},
        )
        return sign_entry(self.people[who], call, self.opened.trust.network_id)

    def outcomes(self, *entries: bytes) -> list[str | None]:
        """Put entries into the inbox, take all, and say what became of each."""
        paths = [self.inbox.put(raw) for raw in entries]
        while self.inbox.waiting():
            self.desk.take()
        return [self.inbox.outcome(path) for path in paths]

    @property
    def size(self) -> int:
        return self.opened.recorder.store.size


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    made = Hall(tmp_path)
    yield made
    made.opened.close()


def test_a_thousand_members_call_at_once(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"m{number:03}" for number in range(MEMBERS)]
    hall.record(hall.as_administrator(*map(hall.member, names)))
    store, commits, before = hall.opened.recorder.store, [], hall.size
    append = store.append
    monkeypatch.setattr(store, "append", lambda *given: commits.append(given) or append(*given))
    outcomes = hall.outcomes(
        *(hall.call(name, price=250_000 + at) for at, name in enumerate(names))
    )
    assert outcomes == [""] * MEMBERS
    assert hall.size == before + MEMBERS
    orders = [place for place in hall.opened.recorder.state.memory if place[0] == "double_auction"]
    assert len(orders) == MEMBERS
    assert len(commits) == MEMBERS // TAKEN_AT_ONCE


def test_one_of_them_that_is_refused_hinders_no_other(hall: Hall) -> None:
    hall.record(hall.as_administrator(*map(hall.member, ("ann", "bob"))))
    hall.people["eve"] = ed25519("eve")
    before = hall.size
    once, again = hall.call("ann"), hall.call("ann", call_id=1, price=1)
    entries = (once, once, again, hall.call("eve"), b"no entry", hall.call("bob"))
    assert hall.outcomes(*entries) == [
        "",
        "",
        f"call {1:032x} counted once already",
        f"signed by {hall.people['eve'].public.kid.hex()}, which no entry has enrolled",
        "not a COSE_Sign1 message with tag 18",
        "",
    ]
    assert hall.size == before + 3  # the other with ann's call id stands there, and counts nothing


def test_what_was_put_first_is_taken_first(hall: Hall) -> None:
    (enrolled,) = hall.as_administrator(hall.member("ann"))
    (revoked,) = hall.as_administrator(KeyEntry("revoke", "member", "ann", b""))
    entries = [hall.call("ann"), enrolled, *(hall.call("ann") for _ in range(2)), revoked]
    early, *taken, late = hall.outcomes(*entries, hall.call("ann"))
    assert early == f"signed by {hall.people['ann'].public.kid.hex()}, which no entry has enrolled"
    assert taken == ["", "", "", ""]
    assert str(late).startswith("the key of member ann was revoked at entry ")


def test_what_finds_no_room_waits(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    hall.record(hall.as_administrator(hall.member("ann")))
    path = hall.inbox.put(hall.call("ann"))

    def full(*_: object) -> range:
        raise StorageFull("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(hall.opened.recorder.store, "append", full)
        with pytest.raises(StorageFull):
            hall.desk.take()
    assert hall.inbox.outcome(path) is None
    assert hall.desk.take() == 1
    assert hall.inbox.outcome(path) == ""


def test_a_person_says_that_a_relay_works_again_and_no_more(hall: Hall) -> None:
    hub_said = RelayFault("dep1", "heat", WELDED, "it draws on", START_MS)
    hall.spine.record([hall.opened.pen.entry(hub_said)])
    state = hall.spine.recorder.state
    (accusing,) = hall.as_administrator(hub_said)
    assert "a fault entry is signed by hub" in hall.desk.append(accusing)
    (clearing,) = hall.as_administrator(replace(hub_said, fault=WORKS, reason="replaced"))
    assert state.faults["dep1", "heat"].fault == WELDED
    assert hall.desk.append(clearing) == ""
    assert state.faults == {}
