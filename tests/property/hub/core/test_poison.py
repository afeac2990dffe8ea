"""No entry stops the fold: any signer, any content, in any order."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hub.core.state import State
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
    Output,
    PolicyEntry,
    RelayEntry,
    Seal,
)
from messages.reading import Reading
from tests.support.signers import ed25519
from tests.support.village import HOUR, Village, relay

numbers = st.one_of(
    st.integers(-2, 3),
    st.integers(0, 4).map(lambda slot: slot * HOUR),
    st.integers(-(2**63), 2**63 - 1),
)
totals = st.one_of(st.none(), st.integers(0, 2**63 - 1), st.integers(0, 10))
names = st.sampled_from(["m1", "m2", "pi", "r1", "ann", "", "@grid", "a/b", "dep_balance", "hub"])
words = st.sampled_from(
    ["enrol", "rotate", "revoke", "role", "meter", "node", "member", "net", "appliance", "applied"]
)
blobs = st.one_of(
    st.binary(max_size=9),
    st.sampled_from(["m1", "m2", "pi", "new"]).map(lambda name: ed25519(name).public.cose_key),
)
schedules = st.lists(st.tuples(numbers, numbers), max_size=2).map(tuple)
plain = st.dictionaries(names, st.one_of(st.integers(-5, 5), names), max_size=2)
roles = st.lists(st.sampled_from(["bank", "administrator", "king"]), max_size=2).map(tuple)

bodies: st.SearchStrategy[Any] = st.one_of(
    st.builds(
        Reading, st.just("village"), names, numbers, numbers, totals, totals, st.integers(0, 3)
    ),
    st.builds(
        Epoch, numbers, names, names, numbers, totals, totals, totals, totals, names, numbers
    ),
    st.builds(
        Calibration,
        numbers,
        names,
        names,
        *(numbers for _ in range(5)),
        *(st.none() | numbers for _ in range(6)),
        numbers,
        names,
        numbers,
    ),
    st.builds(
        Ack, numbers, names, names, numbers, st.booleans(), words, names, numbers, blobs, numbers
    ),
    st.builds(
        Decision,
        numbers,
        names,
        blobs,
        blobs,
        names,
        names,
        names,
        st.lists(
            st.builds(
                Output,
                names,
                names,
                names,
                names,
                st.booleans(),
                st.booleans(),
                st.none() | numbers,
            ),
            max_size=2,
        ).map(tuple),
    ),
    st.builds(Close, numbers, names, st.just(()), numbers),
    st.builds(Gap, blobs, names, numbers, numbers, names),
    st.builds(Seal, numbers, numbers, blobs),
    st.builds(
        BlockHeader,
        numbers,
        blobs,
        numbers,
        numbers,
        blobs,
        blobs,
        blobs,
        blobs,
        blobs,
        blobs,
        numbers,
        numbers,
    ),
    st.builds(Call, blobs, numbers, names, names, plain),
    st.builds(PolicyEntry, numbers, names, plain, schedules, schedules, names, plain, names, blobs),
    st.builds(
        KeyEntry,
        words,
        words,
        names,
        blobs,
        node=names,
        member=names,
        purpose=words,
        parent=names,
        rated_mw=numbers,
        first_sequence=numbers,
        roles=roles,
        relays=st.lists(
            st.builds(
                RelayEntry,
                names,
                st.sampled_from(["fed", "cut"]),
                names,
                names,
                numbers,
                st.booleans(),
            ),
            max_size=2,
        ).map(tuple),
        replaces=blobs,
        last_sequences=st.dictionaries(words, numbers, max_size=1),
    ),
)
signers = st.sampled_from(["administrator", "hub", "m1", "m2", "pi", "ann", "new", "stranger"])


@given(st.lists(st.tuples(signers, bodies), max_size=25))
def test_the_fold_survives_anything_and_replays_it(entries: list[tuple[str, Any]]) -> None:
    village = Village()
    village.meter("m1", "ann", "net")
    village.meter("m2", "ann", "consumption")
    village.node("pi", (relay("r1", "ann"),))
    village.person("ann")
    village.read("m1", 0, 0, 0)
    village.close(0)
    for signer, body in entries:
        village.put(ed25519(signer), body)
    village.close(1)
    assert sum(village.state.accounts.values()) == 0
    assert village.replay() == village.state
    raw = village.state.dumps()
    assert State.loads(raw) == village.state
    assert State.loads(raw).root() == village.state.root()


@given(st.lists(st.tuples(signers, bodies), max_size=10))
def test_a_step_leaves_its_state_alone(entries: list[tuple[str, Any]]) -> None:
    from hub.core.step import step

    village = Village()
    village.meter("m1", "ann", "net")
    village.node("pi", (relay("r1", "ann"),))
    for signer, body in entries:
        before = village.state.copy()
        event_count = len(village.entries)
        village.put(ed25519(signer), body)
        untouched = before.copy()
        step(before, village.entries[event_count].event)
        assert before == untouched
