"""Replicas propose: whose turn it is, what a header must show, and what becomes of liars."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub.core import proposers
from hub.core.effects import HeaderFollows, PolicySet, WrongRoot
from hub.core.headers import in_turn, replicas, rules_at, state_root_at
from hub.core.proposers import KWH_UWH, Draw, turns
from hub.core.state import State
from messages.entries import KeyEntry
from messages.proposing import ProposerRules, first_seed, next_seed, vrf_input
from messages.vrf import proof_to_hash
from tests.support.signers import ed25519, p256
from tests.support.village import HOUR, KWH, Village, ignored, replica_of, vrf_of

MEMBERS = ("ann", "bob", "cem", "dee")


class Slots:
    """A village of four replicas that closes one slot after the other."""

    def __init__(self, members: tuple[str, ...] = MEMBERS, **policy: Any) -> None:
        self.village = Village(**policy)
        self.village.meter("ann-net", "ann", "net")
        self.village.meter("bob-net", "bob", "net")
        for member in members:
            self.village.replica(member)
        self.village.read("ann-net", 0, 0, 0)
        self.village.read("bob-net", 0, 0, 0)
        self.slot = 0
        while not self.order:  # ages begin at 0: the first blocks are the hub's
            self.close()
            self.village.header()

    @property
    def state(self) -> State:
        return self.village.state

    @property
    def order(self) -> tuple[str, ...]:
        return self.state.draw.order

    def close(self, export: int = 0, load: int = 0) -> None:
        self.slot += 1
        self.village.read("ann-net", self.slot, 0, export)
        self.village.read("bob-net", self.slot, load, 0)
        self.village.close(self.slot - 1)

    def block(self) -> HeaderFollows:
        """Close a slot and let the first in turn propose."""
        self.close()
        (effect,) = self.village.propose(self.order[0])
        assert isinstance(effect, HeaderFollows)
        return effect


@pytest.fixture
def slots() -> Slots:
    return Slots()


def test_without_replicas_the_hub_is_the_only_proposer() -> None:
    village = Village()
    village.meter("m", "ann", "net")
    village.read("m", 0, 0, 0)
    assert village.state.draw == Draw(0, first_seed(village.network_id))
    for slot in range(3):
        village.close(slot, "timeout")
        (effect,) = village.header()
        assert isinstance(effect, HeaderFollows)
        assert (effect.proposer, effect.round) == ("", 0)
        assert in_turn(village.state) == {}
    chained = next_seed(next_seed(next_seed(first_seed(village.network_id), b""), b""), b"")
    assert village.state.draw.seed == chained


def test_the_order_is_drawn_with_the_seed_from_the_weights_after_the_block_before(
    slots: Slots,
) -> None:
    state = slots.state
    for _ in range(5):
        slots.block()
        height = state.progress.header_height
        rules = rules_at(state, 0)
        weights = {
            name: proposers.weight(standing, height, rules)
            for name, standing in state.standings.items()
        }
        assert slots.order == turns(rules.rule, state.draw.seed, weights)
        assert state.draw.height == height + 1


def test_the_proof_of_a_header_makes_the_next_seed(slots: Slots) -> None:
    before = slots.state.draw
    slots.block()
    header: Any = slots.village.entries[-1].event.body
    alpha = vrf_input(slots.village.network_id, before.height, before.seed)
    assert header.vrf_proof == vrf_of(before.order[0]).prove(alpha)
    assert slots.state.draw.seed == next_seed(before.seed, proof_to_hash(header.vrf_proof))


def test_who_is_first_proposes_and_waits_anew(slots: Slots) -> None:
    first, rest = slots.order[0], slots.order[1:]
    before = slots.state.standings
    reputation, heights = before[first].reputation, {name: before[name].height for name in rest}
    effect = slots.block()
    after = slots.state.standings
    assert (effect.proposer, effect.round) == (first, 0)
    assert after[first].height == effect.height
    assert after[first].reputation == reputation + 1
    assert {name: after[name].height for name in rest} == heights


def test_who_stands_by_proposes_when_those_before_sleep(slots: Slots) -> None:
    for _ in range(30):
        slots.block()  # so that there is a reputation to lose
    slots.close()
    order = slots.order
    before = {name: slots.state.standings[name].reputation for name in order}
    (effect,) = slots.village.propose(order[2])
    assert isinstance(effect, HeaderFollows)
    assert (effect.proposer, effect.round) == (order[2], 2)
    after = {name: slots.state.standings[name].reputation for name in order}
    expected = {
        order[0]: max(before[order[0]] - 10, 0),
        order[1]: max(before[order[1]] - 10, 0),
        order[2]: before[order[2]] + 1,
        order[3]: before[order[3]],
    }
    assert after == expected


def test_of_two_headers_the_first_in_the_log_counts(slots: Slots) -> None:
    slots.close()
    first, second = slots.order[:2]
    height = slots.state.draw.height
    assert isinstance(slots.village.propose(second)[0], HeaderFollows)
    late = slots.village.entries[-1].event.body
    slots.close()
    reason = f"header {height} does not follow header {height}"
    assert ignored(slots.village.put(replica_of(first), late)) == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"seed": b"s" * 32}, "the header has another seed"),
        ({"code_id": b"c"}, "the header names other rules than the policy"),
        ({"close_time_ms": 1}, "the header has another time of the close"),
        ({"vrf_proof": b""}, "a VRF proof has 80 bytes, not 0"),
        ({"vrf_proof": b"\1" * 80}, ""),
    ],
)
def test_what_does_not_follow_from_the_log_is_no_header(
    slots: Slots, changes: dict[str, Any], reason: str
) -> None:
    slots.close()
    assert reason in ignored(slots.village.propose(slots.order[0], **changes))
    assert isinstance(slots.village.propose(slots.order[0])[0], HeaderFollows)


def test_a_proof_of_another_height_or_key_is_none(slots: Slots) -> None:
    slots.close()
    first, second = slots.order[:2]
    draw, network = slots.state.draw, slots.village.network_id
    for key, height in ((second, draw.height), (first, draw.height + 1)):
        proof = vrf_of(key).prove(vrf_input(network, height, draw.seed))
        reason = ignored(slots.village.propose(first, vrf_proof=proof))
        assert reason == "the VRF proof is not this key's for this input"


def test_nobody_takes_anothers_round(slots: Slots) -> None:
    slots.close()
    first, second = slots.order[:2]
    height = slots.state.draw.height
    assert ignored(slots.village.propose(second, round=0)) == (
        f"round 0 of block {height} is not {second}'s"
    )
    for number in (1, 99, -1):
        reason = ignored(slots.village.propose(first, round=number))
        assert reason == f"round {number} of block {height} is not {first}'s"


def test_where_replicas_can_propose_the_hub_cannot(slots: Slots) -> None:
    slots.close()
    reason = ignored(slots.village.header())
    assert reason.startswith("the hub proposes only where nobody else can: ")
    for member in MEMBERS:
        slots.village.put(slots.village.administrator, KeyEntry("revoke", "replica", member, b""))
    assert ignored(slots.village.header(round=1)) == "the hub has one round"
    assert isinstance(slots.village.header()[0], HeaderFollows)


def test_who_was_enrolled_after_the_draw_waits_for_the_next_one(slots: Slots) -> None:
    slots.close()
    slots.village.replica("eve")
    assert "eve" in replicas(slots.state)
    assert "is not eve's" in ignored(slots.village.propose("eve"))
    slots.village.propose(slots.order[0])
    slots.block()
    assert slots.state.standings["eve"].height == slots.state.progress.header_height - 2
    assert "eve" in slots.order


def test_a_revoked_replica_is_passed_over_without_blame(slots: Slots) -> None:
    slots.close()
    first, second = slots.order[:2]
    slots.village.put(slots.village.administrator, KeyEntry("revoke", "replica", first, b""))
    before = slots.state.standings[first].reputation
    assert isinstance(slots.village.propose(second)[0], HeaderFollows)
    assert slots.state.standings[first].reputation == before
    assert first not in slots.order
    slots.village.put(
        slots.village.administrator,
        KeyEntry(
            "enrol",
            "replica",
            first,
            ed25519("another").public.cose_key,
            vrf=vrf_of("another").public.cose_key,
        ),
    )
    assert slots.state.standings[first].settled_uwh == ()
    assert slots.state.standings[first].height == slots.state.progress.header_height


def test_who_signs_a_wrong_state_root_is_named_and_loses_turn_and_reputation(slots: Slots) -> None:
    for _ in range(30):
        slots.block()
    slots.close()
    liar, next_one = slots.order[:2]
    before = slots.state.standings[liar].reputation
    right = state_root_at(slots.state, min(slots.state.dues))
    (effect,) = slots.village.propose(liar, state_root=b"x" * 32)
    height = slots.state.draw.height
    assert isinstance(effect, WrongRoot)
    assert (effect.proposer, effect.height, effect.said, effect.found) == (
        liar,
        height,
        b"x" * 32,
        right,
    )
    assert slots.state.standings[liar].reputation == max(before - 50, 0)
    assert slots.state.dues, "it covers nothing"
    again = ignored(slots.village.propose(liar))
    assert again == f"{liar} had its turn: its header named a wrong state root"
    (good,) = slots.village.propose(next_one)
    assert isinstance(good, HeaderFollows)
    assert slots.state.standings[liar].reputation == max(before - 50, 0), "and not blamed twice"
    assert slots.state.draw.faulty == ()


def test_where_everybody_lied_the_hub_proposes() -> None:
    slots = Slots(("ann", "bob"))
    slots.close()
    for liar in slots.order:
        slots.village.propose(liar, state_root=b"x" * 32)
    assert in_turn(slots.state) == {}
    assert isinstance(slots.village.header()[0], HeaderFollows)


def test_a_wrong_root_of_the_hub_covers_nothing_either() -> None:
    village = Village()
    village.meter("m", "ann", "net")
    village.read("m", 0, 0, 0)
    village.close(0, "timeout")
    (effect,) = village.header(state_root=b"x" * 32)
    assert isinstance(effect, WrongRoot)
    assert effect.proposer == ""
    assert isinstance(village.header()[0], HeaderFollows)


def test_the_root_of_a_close_is_known_however_many_entries_come_before_its_header(
    slots: Slots,
) -> None:
    roots = []
    for _ in range(3):
        slots.close()
        roots.append(slots.state.root())
        slots.village.policy(from_slot=99)
    assert [due.state_root for _, due in sorted(slots.state.dues.items())] == roots
    for root in roots:
        assert state_root_at(slots.state, min(slots.state.dues)) == root
        slots.village.propose(slots.order[0])
    assert slots.state.dues == {}


def test_energy_counts_once_its_block_is_there_and_for_the_members_on_both_sides(
    slots: Slots,
) -> None:
    slots.close(export=5 * KWH, load=2 * KWH)
    assert sum(slots.state.standings["ann"].settled_uwh) == 0
    assert dict(min(slots.state.dues.items())[1].settled_uwh) == {
        "ann": 5 * KWH,
        "bob": 2 * KWH,
        "cem": 0,
        "dee": 0,
    }
    slots.village.propose(slots.order[0])
    assert slots.state.standings["ann"].settled_uwh[-1] == 5 * KWH
    assert slots.state.standings["bob"].settled_uwh[-1] == 2 * KWH
    rules = ProposerRules(alpha=1, beta=0, gamma=0)
    height = slots.state.progress.header_height
    assert proposers.weight(slots.state.standings["ann"], height, rules) == 5 * KWH // KWH_UWH


def test_a_policy_sets_the_rules_from_its_slot_on_and_others_leave_them(slots: Slots) -> None:
    rules = ProposerRules(alpha=3, beta=2, gamma=1, rule="paper", round_ms=5_000)
    (effect,) = slots.village.policy(from_slot=slots.slot + 1, proposers=rules)
    assert isinstance(effect, PolicySet)
    slots.village.policy(from_slot=slots.slot + 2)
    later = (slots.slot + 1) * HOUR
    assert rules_at(slots.state, later - 1) == ProposerRules()
    assert rules_at(slots.state, later) == rules_at(slots.state, later + HOUR) == rules


def test_rules_by_which_nobody_could_be_drawn_are_no_policy(slots: Slots) -> None:
    bad = replace(ProposerRules(), alpha=0, beta=0, gamma=0)
    assert "above 0" in ignored(slots.village.policy(from_slot=99, proposers=bad))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"vrf": b""}, "not a COSE_Key"),
        ({"vrf": p256("v").public.cose_key}, "Ed25519"),
        ({"vrf": replica_of("eve").public.cose_key}, "a key of its own"),
        ({"roles": ("member",)}, "roles are for members"),
        ({"holder": "member"}, "a member has no random function"),
    ],
)
def test_what_cannot_be_enrolled_as_a_replica(
    slots: Slots, changes: dict[str, Any], reason: str
) -> None:
    fields: dict[str, Any] = {
        "action": "enrol",
        "holder": "replica",
        "name": "eve",
        "key": replica_of("eve").public.cose_key,
        "vrf": vrf_of("eve").public.cose_key,
    }
    entry = KeyEntry(**(fields | changes))
    assert reason in ignored(slots.village.put(slots.village.administrator, entry))


def test_a_member_has_one_replica(slots: Slots) -> None:
    entry = KeyEntry(
        "enrol",
        "replica",
        "ann",
        ed25519("another").public.cose_key,
        vrf=vrf_of("another").public.cose_key,
    )
    reason = ignored(slots.village.put(slots.village.administrator, entry))
    assert reason == "replica ann has a key: rotate or revoke it first"


def test_a_replay_draws_the_same(slots: Slots) -> None:
    for number in range(6):
        slots.close(export=number * KWH)
        slots.village.propose(slots.order[number % 3])
    assert slots.village.replay() == slots.state
    assert slots.village.replay().root() == slots.state.root()
