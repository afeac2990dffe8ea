"""Headers on their way to the ledger: whose time it is, what lies, and what the hub does alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub.balancing.catalog import POLICIES
from hub.closing import COMPLETE, Closer, CloseRule
from hub.core.headers import in_turn
from hub.cosigning.proposals import Proposals, who_proposes
from hub.desk import Desk
from hub.inbox import Inbox
from hub.market.catalog import CONTRACTS
from hub.spine import Spine
from hub.starting import Opened
from messages.entries import KeyEntry, sign_entry
from messages.proposing import USUAL_RULES, vrf_input
from tests.support.hub_bench import SLOT_MS, START_MS, Bench
from tests.support.village import replica_of, vrf_of

ROUND_MS = USUAL_RULES.round_ms


class Site:
    """A hub whose members ann and bob have replicas, and a clock that a test sets."""

    def __init__(self, bench: Bench, opened: Opened) -> None:
        self.bench = bench
        self.opened = opened
        self.spine: Spine = bench.spine(opened)
        self.now_ms = 0
        self.proposals = Proposals(opened.recorder, lambda: self.now_ms)
        inbox = Inbox(bench.folder)
        self.desk = Desk(inbox, self.spine, CONTRACTS, POLICIES, self.proposals)
        self.closer = Closer(self.spine, opened.pen, CloseRule(SLOT_MS, 0, 0))
        self.slot = 0
        replicas = [
            KeyEntry(
                "enrol",
                "replica",
                name,
                replica_of(name).public.cose_key,
                vrf=vrf_of(name).public.cose_key,
            )
            for name in ("ann", "bob")
        ]
        assert set(bench.enrol(self.spine, bench.key_entries() + replicas)) == {""}
        self.read()
        while not self.order:  # nobody weighs anything yet: these are the hub's
            self.close()

    @property
    def order(self) -> tuple[str, ...]:
        return self.opened.recorder.state.draw.order

    def read(self) -> None:
        at_ms = START_MS + self.slot * SLOT_MS
        self.spine.take_in(self.bench.readings(at_ms, self.slot), self.now_ms, at_ms)

    def close(self) -> None:
        self.slot += 1
        self.read()
        end_ms = START_MS + self.slot * SLOT_MS
        self.closer.close(end_ms - SLOT_MS, COMPLETE, end_ms)
        self.proposals.tend()

    def header(self, name: str, **changes: Any) -> bytes:
        draft = self.opened.recorder.next_header()
        assert draft is not None
        network_id = self.opened.trust.network_id
        proof = vrf_of(name).prove(vrf_input(network_id, draft.height, draft.seed))
        mine = replace(draft, vrf_proof=proof, round=self.order.index(name))
        return sign_entry(replica_of(name), replace(mine, **changes), network_id)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    bench = Bench(tmp_path / "hub")
    opened = bench.open()
    yield Site(bench, opened)
    opened.close()


def test_a_closed_slot_waits_for_the_replicas_header(site: Site) -> None:
    site.close()
    state = site.opened.recorder.state
    assert len(state.dues) == 1
    first, second = site.order
    height = state.progress.header_height + 1
    assert who_proposes(state) == (
        f"block {height} (closed slots that wait: 1) is {first}'s to propose, then {second}"
    )
    assert site.desk.append(site.header(first)) == ""
    assert state.dues == {}


def test_who_stands_by_waits_for_the_round(site: Site) -> None:
    site.now_ms = 1_000
    site.close()
    second = site.header(site.order[1])
    site.now_ms += ROUND_MS - 1
    assert site.desk.append(second) == "round 1 opens in 1 ms: others come before it"
    site.now_ms += 1
    assert site.desk.append(second) == ""


def test_each_block_waits_anew(site: Site) -> None:
    site.close()
    site.close()
    site.now_ms += ROUND_MS
    assert site.desk.append(site.header(site.order[0])) == ""
    assert "others come before it" in site.desk.append(site.header(site.order[1]))


def test_another_root_of_the_log_never_gets_onto_it(site: Site) -> None:
    site.close()
    size = site.opened.recorder.store.size
    reason = site.desk.append(site.header(site.order[0], log_root=b"x" * 32))
    assert reason.startswith("the header has another root of the first ")
    assert site.opened.recorder.store.size == size


def test_a_lie_about_the_state_is_put_on_record_and_its_signer_named(site: Site) -> None:
    site.close()
    liar, other = site.order
    size = site.opened.recorder.store.size
    reason = site.desk.append(site.header(liar, state_root=b"x" * 32))
    assert f"the replica of {liar} signed block" in reason
    assert site.spine.alarms[f"proposer {liar}"] == reason
    assert site.opened.recorder.store.size == size + 1
    assert "had its turn" in site.desk.append(site.header(liar))
    assert site.opened.recorder.store.size == size + 1
    site.now_ms += ROUND_MS
    assert site.desk.append(site.header(other)) == ""


def test_the_same_header_twice_is_one(site: Site) -> None:
    site.close()
    header = site.header(site.order[0])
    assert site.desk.append(header) == site.desk.append(header) == ""


def test_the_hub_proposes_again_once_the_last_replica_is_gone(site: Site) -> None:
    site.close()
    state = site.opened.recorder.state
    site.closer.add_headers()
    assert state.dues, "not while they can"
    gone = [KeyEntry("revoke", "replica", name, b"") for name in ("ann", "bob")]
    assert set(site.bench.enrol(site.spine, gone)) == {""}
    site.closer.add_headers()
    assert state.dues == {}
    assert in_turn(state) == {}
    assert who_proposes(state).startswith("the hub is the only proposer")


def test_blocks_that_wait_survive_a_restart(site: Site) -> None:
    for _ in range(20):  # past a snapshot, too
        site.close()
    root = site.opened.recorder.state.root()
    expected = site.opened.recorder.next_header()
    site.opened.close()
    with_them = site.bench.open()
    try:
        assert with_them.recorder.state.root() == root
        assert with_them.recorder.next_header() == expected
    finally:
        with_them.close()


def test_a_desk_without_proposals_takes_no_header(site: Site) -> None:
    site.close()
    desk = Desk(Inbox(site.bench.folder), site.spine, CONTRACTS, POLICIES)
    reason = desk.append(site.header(site.order[0]))
    assert reason == "a block entry does not come through the inbox"
