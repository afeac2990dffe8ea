"""Block headers: ordinary entries that cover a close, signed by whose turn it is.

All that a header says but its proof and round follows from the entries before it, so whoever
proposes late or twice cannot fork the content: the first valid one for a height counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from hub.core import proposers
from hub.core.draft import Draft
from hub.core.effects import Effect, HeaderFollows, Line, WrongRoot
from hub.core.events import Event
from hub.core.outcome import Outcome, ignore
from hub.core.pricing import policy_at
from hub.core.proposers import Draw, Standing
from hub.core.records import Due, Key
from hub.core.state import Change, State
from messages.entries import BlockHeader
from messages.errors import BadProof
from messages.proposing import ProposerRules, first_seed, next_seed, vrf_input
from messages.publickey import parse_cose_key
from messages.vrf import proof_to_hash, verify

HUB: Final = "hub"
REPLICA: Final = "replica"


def first_draw(network_id: bytes) -> Change:
    """Return the row with which it begins: no replica is enrolled yet, so the hub proposes."""
    return Change("draw", (), Draw(0, first_seed(network_id)))


def first_standing(state: State, member: str) -> Change:
    """Return the row of a member whose replica is enrolled; an old reputation stays."""
    old = state.standings.get(member)
    reputation = 0 if old is None else old.reputation
    standing = Standing((), state.progress.header_height, reputation)
    return Change("standing", member, standing)


def replicas(state: State) -> Mapping[str, Key]:
    """Return the key of each member's replica, of those that count now."""
    return {
        key.name: key
        for _, key in sorted(state.keys.items())
        if key.holder == REPLICA and key.until_index is None and not key.rotated_to
    }


def rules_at(state: State, slot_ms: int) -> ProposerRules:
    """Return how proposers are weighed and drawn at a slot."""
    policy = policy_at(state, slot_ms)
    row = state.network_rows[()].proposers if policy is None else policy.proposers
    return ProposerRules(*row)


def in_turn(state: State) -> Mapping[int, str]:
    """Return {round: member} of those who may propose the next block; empty: the hub does."""
    known, draw = replicas(state), state.draw
    return {
        number: name
        for number, name in enumerate(draw.order)
        if name in known and name not in draw.faulty
    }


def next_header(state: State) -> tuple[int, Due] | None:
    """Return the oldest close that wants its header: (end index, what it covers)."""
    return min(state.dues.items()) if state.dues else None


def state_root_at(state: State, end_index: int) -> bytes:
    """Return the state root right after a close that wants its header."""
    return state.dues[end_index].state_root or state.root()


def draft_header(state: State, log_root: bytes) -> BlockHeader:
    """Return the header of the oldest close that wants one, as the hub would sign it.

    Args:
        state: with a close that wants its header.
        log_root: the root of the tree up to that close.
    """
    end_index, due = min(state.dues.items())
    return BlockHeader(
        height=state.progress.header_height + 1,
        previous=state.progress.header_id,
        first_index=due.first_index,
        end_index=end_index,
        log_root=log_root,
        state_root=state_root_at(state, end_index),
        results_root=due.results_root,
        code_id=_code_id(state, due),
        seed=state.draw.seed,
        vrf_proof=b"",
        round=0,
        close_time_ms=due.close_time_ms,
    )


def note_root(state: State) -> tuple[Change, ...]:
    """Return what the entry after a close adds to it: the root of the state that the close left."""
    end_index = state.progress.due_end_index
    due = state.dues.get(end_index)
    if due is None or due.state_root:
        return ()
    return (Change("due", end_index, due._replace(state_root=state.root())),)


def settled_uwh(state: State, lines: Iterable[Line]) -> tuple[tuple[str, int], ...]:
    """Return (member, energy dealt) for each member who has a standing. [uWh]"""
    found = dict.fromkeys(sorted(state.standings), 0)
    for line in lines:
        if line.account in found:
            found[line.account] += line.energy_uwh
    return tuple(found.items())


def take_header(state: State, event: Event, header: BlockHeader) -> Outcome:
    """Accept the header of the oldest close that has none; the first valid one counts.

    The log root in it is an audit's to check: a fold cannot look back.
    """
    key = state.keys[event.kid]
    fault = _fault(state, header) or _turn_fault(state, key, header)
    if fault:
        return ignore(event, fault)
    end_index, due = min(state.dues.items())
    root = state_root_at(state, end_index)
    if header.state_root != root:
        return _wrong_root(state, event, header, key)
    draft = Draft(state)
    draft.put("due", end_index, None)
    progress = state.progress._replace(
        header_height=header.height, header_id=event.leaf_hash, header_end_index=end_index
    )
    draft.put("progress", (), progress)
    _regard(draft, header, dict(due.settled_uwh), key)
    _draw_next(draft, header, due)
    follows = HeaderFollows(
        event.index,
        header.height,
        end_index,
        header.state_root,
        header.results_root,
        _proposer(key),
        header.round,
    )
    return Outcome(draft.changes(), (follows,))


def _fault(state: State, header: BlockHeader) -> str:
    """Say why a header does not follow from the entries before it, whoever signed it."""
    progress, due = state.progress, next_header(state)
    if due is None:
        return "no close wants a header"
    if header.height != progress.header_height + 1 or header.previous != progress.header_id:
        return f"header {header.height} does not follow header {progress.header_height}"
    if (header.first_index, header.end_index) != (due[1].first_index, due[0]):
        return f"the header covers entries up to {header.end_index}, the close is at {due[0] - 1}"
    if header.results_root != due[1].results_root:
        return "the header has another results root"
    if header.close_time_ms != due[1].close_time_ms:
        return "the header has another time of the close"
    if header.code_id != _code_id(state, due[1]):
        return "the header names other rules than the policy"
    return "" if header.seed == state.draw.seed else "the header has another seed"


def _turn_fault(state: State, key: Key, header: BlockHeader) -> str:
    """Say why a header is not this key's to sign."""
    turns = in_turn(state)
    if key.holder == HUB:
        if turns:
            return f"the hub proposes only where nobody else can: {_either(turns)} can"
        return "" if header.round == 0 and not header.vrf_proof else "the hub has one round"
    if key.name in state.draw.faulty:
        return f"{key.name} had its turn: its header named a wrong state root"
    if turns.get(header.round) != key.name:
        return f"round {header.round} of block {header.height} is not {key.name}'s"
    alpha = vrf_input(state.network_rows[()].network_id, header.height, header.seed)
    try:
        verify(parse_cose_key(key.vrf), alpha, header.vrf_proof)
    except BadProof as error:
        return str(error)
    return ""


def _wrong_root(state: State, event: Event, header: BlockHeader, key: Key) -> Outcome:
    """Take the turn and reputation of who signed what re-execution refutes; nothing else moves."""
    effect: Effect = WrongRoot(
        event.index,
        header.height,
        header.end_index,
        _proposer(key),
        header.state_root,
        state_root_at(state, header.end_index),
    )
    if key.holder == HUB:
        return Outcome((), (effect,))
    standing = state.standings[key.name].regarded(proposers.WRONG_ROOT)
    draw = state.draw._replace(faulty=(*state.draw.faulty, key.name))
    return Outcome((Change("standing", key.name, standing), Change("draw", (), draw)), (effect,))


def _regard(draft: Draft, header: BlockHeader, settled: Mapping[str, int], key: Key) -> None:
    """Give everybody the block's energy, the proposer its credit, and note who missed a turn."""
    state = draft.state
    missed = {name for number, name in in_turn(state).items() if number < header.round}
    for name, standing in sorted(state.standings.items()):
        after = standing.with_block(settled.get(name, 0))
        if name in missed:
            after = after.regarded(proposers.MISSED_TURN)
        if key.holder == REPLICA and name == key.name:
            after = after._replace(height=header.height).regarded(proposers.ON_TIME)
        draft.put("standing", name, after)


def _draw_next(draft: Draft, header: BlockHeader, due: Due) -> None:
    """Draw who may propose the next block, from the standings as they are now."""
    state = draft.state
    rules = rules_at(state, due.slot_ms)
    seed = next_seed(header.seed, proof_to_hash(header.vrf_proof) if header.vrf_proof else b"")
    weights = {
        name: proposers.weight(draft.row("standing", name), header.height, rules)
        for name in replicas(state)
    }
    order = proposers.turns(rules.rule, seed, weights)
    draft.put("draw", (), Draw(header.height + 1, seed, order))


def _proposer(key: Key) -> str:
    return "" if key.holder == HUB else key.name


def _code_id(state: State, due: Due) -> bytes:
    policy = policy_at(state, due.slot_ms)
    return b"" if policy is None else policy.code_id


def _either(turns: Mapping[int, str]) -> str:
    return " or ".join(turns.values())
