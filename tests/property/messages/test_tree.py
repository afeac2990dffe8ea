"""Trees of any size against RFC 6962's own recursive definitions, written out again here."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.errors import BadProof
from messages.log import tree

LEAVES = [tree.leaf_hash(number.to_bytes(2, "big")) for number in range(300)]
SIZES = st.integers(1, len(LEAVES))


def mth(leaves: list[bytes]) -> bytes:
    """MTH of section 2.1, over leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = largest_power_below(len(leaves))
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def largest_power_below(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = largest_power_below(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF of section 2.1.2."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = largest_power_below(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def subtree(start: int, end: int) -> bytes:
    return mth(LEAVES[start:end])


@given(SIZES)
def test_roots(size: int) -> None:
    assert tree.root(LEAVES[:size]) == mth(LEAVES[:size])


@given(st.data(), SIZES)
def test_inclusion(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = tree.prove_inclusion(index, size, subtree)

    assert proof == path(index, LEAVES[:size])
    tree.check_inclusion(LEAVES[index], index, size, proof, mth(LEAVES[:size]))
    for wrong in {index - 1, index + 1, index ^ 1, size} - {index}:
        with pytest.raises(BadProof):
            tree.check_inclusion(LEAVES[index], wrong, size, proof, mth(LEAVES[:size]))


@given(st.data(), SIZES)
def test_consistency(data: st.DataObject, new: int) -> None:
    old = data.draw(st.integers(1, new))
    proof = tree.prove_consistency(old, new, subtree)

    assert proof == subproof(old, LEAVES[:new], True)
    tree.check_consistency(old, new, proof, mth(LEAVES[:old]), mth(LEAVES[:new]))
    forked = mth([*LEAVES[: old - 1], tree.leaf_hash(b"forked")])
    with pytest.raises(BadProof):
        tree.check_consistency(old, new, proof, forked, mth(LEAVES[:new]))


@given(st.data(), SIZES)
def test_one_proof_for_many(data: st.DataObject, size: int) -> None:
    wanted = data.draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=40))
    proof = tree.prove_many(wanted, size, subtree)
    leaves = {index: LEAVES[index] for index in wanted}

    tree.check_many(leaves, size, proof, mth(LEAVES[:size]))
    assert len(proof) <= sum(len(path(index, LEAVES[:size])) for index in wanted)
    victim = data.draw(st.sampled_from(sorted(wanted)))
    with pytest.raises(BadProof):
        tree.check_many({**leaves, victim: bytes(32)}, size, proof, mth(LEAVES[:size]))
    with pytest.raises(BadProof):
        tree.check_many(leaves, size, [*proof, bytes(32)], mth(LEAVES[:size]))
    if len(wanted) == 1:
        assert sorted(proof) == sorted(path(victim, LEAVES[:size]))


@given(st.data(), SIZES)
def test_a_run_costs_no_more_than_its_two_edges(data: st.DataObject, size: int) -> None:
    first = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(first + 1, size))
    proof = tree.prove_many(range(first, end), size, subtree)
    tree.check_many({i: LEAVES[i] for i in range(first, end)}, size, proof, mth(LEAVES[:size]))
    assert len(proof) <= 2 * (size - 1).bit_length()


@given(st.integers(1, 2**62), st.data())
def test_a_store_is_asked_for_few_nodes_whatever_the_size(size: int, data: st.DataObject) -> None:
    """Proofs of a huge tree need no more calls than the tree is high."""
    asked: list[tuple[int, int]] = []

    def node(start: int, end: int) -> bytes:
        asked.append((start, end))
        return bytes(32)

    index = data.draw(st.integers(0, size - 1))
    tree.prove_inclusion(index, size, node)
    tree.prove_consistency(index + 1, size, node)
    assert len(asked) <= 2 * 63 + 1
    for start, end in asked:
        assert 0 <= start < end <= size
        assert start % (1 << (end - start - 1).bit_length()) == 0


@given(st.lists(st.integers(0, 40), max_size=6))
def test_a_frontier_grows_like_the_tree(steps: list[int]) -> None:
    frontier, size = tree.Frontier(), 0
    for step in steps:
        for leaf in LEAVES[size : size + step]:
            frontier.append(leaf)
        size += step
        assert frontier.size == size
        assert frontier.root() == mth(LEAVES[:size])
        assert len(frontier.hashes) == size.bit_count()
