"""RFC 6962 trees against published vectors, and every bit of every proof flipped."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from messages.errors import BadProof
from messages.log import tiles, tree
from messages.log.checkpoint import open_checkpoint
from messages.log.note import parse_vkey
from tests.support.vectors import vectors

REFERENCE = vectors("trust/rfc6962_ct_reference_tree")
DEMO = vectors("trust/checkpoint_cosignature_demo")
PROBES = vectors("trust/rfc6962_probes")
LEAVES = [tree.leaf_hash(bytes.fromhex(leaf)) for leaf in REFERENCE["leaves"]]
SUBTREE = tree.subtree_of(LEAVES)
ROOTS = [tree.root(LEAVES[:size]) for size in range(len(LEAVES) + 1)]


def unhex(hashes: list[str]) -> list[bytes]:
    return [bytes.fromhex(value) for value in hashes]


def flips(hashes: list[bytes]) -> list[list[bytes]]:
    """Every copy of `hashes` with one bit of one hash flipped, one a byte."""
    copies = []
    for place, value in enumerate(hashes):
        for byte in range(len(value)):
            bad = bytearray(value)
            bad[byte] ^= 1 << (byte % 8)
            copies.append([*hashes[:place], bytes(bad), *hashes[place + 1 :]])
    return copies


def test_hashes_and_roots_are_the_published_ones() -> None:
    assert REFERENCE["hasher"]["empty_root"] == tree.EMPTY_ROOT.hex() == tree.root([]).hex()
    assert [leaf.hex() for leaf in LEAVES] == REFERENCE["leaf_hashes"]
    for size, published in REFERENCE["roots_by_size"].items():
        assert ROOTS[int(size)].hex() == published


@pytest.mark.parametrize("case", REFERENCE["inclusion"], ids=lambda c: f"{c['index']}of{c['size']}")
def test_inclusion_proofs_are_the_published_ones(case: dict[str, Any]) -> None:
    index, size, path = case["index"], case["size"], unhex(case["proof"])

    assert tree.prove_inclusion(index, size, SUBTREE) == path
    tree.check_inclusion(LEAVES[index], index, size, path, ROOTS[size])
    for bad in flips(path):
        with pytest.raises(BadProof):
            tree.check_inclusion(LEAVES[index], index, size, bad, ROOTS[size])


@pytest.mark.parametrize("case", REFERENCE["consistency"], ids=lambda c: f"{c['old']}to{c['new']}")
def test_consistency_proofs_are_the_published_ones(case: dict[str, Any]) -> None:
    old, new, proof = case["old"], case["new"], unhex(case["proof"])

    assert tree.prove_consistency(old, new, SUBTREE) == proof
    tree.check_consistency(old, new, proof, ROOTS[old], ROOTS[new])
    for bad in flips(proof):
        with pytest.raises(BadProof):
            tree.check_consistency(old, new, bad, ROOTS[old], ROOTS[new])


def test_demo_tree_is_the_published_one() -> None:
    leaves = [tree.leaf_hash(bytes.fromhex(entry)) for entry in DEMO["entries"]]
    small, large = tree.root(leaves[:3]), tree.root(leaves)
    subtree = tree.subtree_of(leaves)

    assert [leaf.hex() for leaf in leaves] == DEMO["leaf_hashes"]
    assert (small.hex(), large.hex()) == (DEMO["root3"], DEMO["root"])
    assert DEMO["tiles"] == {tiles.tile_path(tiles.Tile(0, 0, 7)): b"".join(leaves).hex()}
    assert tree.prove_inclusion(DEMO["index"], 7, subtree) == unhex(DEMO["inclusion"])
    assert tree.prove_consistency(3, 7, subtree) == unhex(DEMO["consistency_3_7"])
    key = parse_vkey(DEMO["log_vkey"])
    heads = [open_checkpoint(DEMO[name], key) for name in ("checkpoint_3", "checkpoint")]
    assert [(head.size, head.root) for head in heads] == [(3, small), (7, large)]


def test_inclusion_probes_are_taken_and_refused_as_marked() -> None:
    for case in PROBES["inclusion"]:
        arguments = (
            bytes.fromhex(case["leaf_hash"]),
            case["index"],
            case["size"],
            unhex(case["proof"]),
            bytes.fromhex(case["root"]),
        )
        assert (
            holds(lambda arguments=arguments: tree.check_inclusion(*arguments)) is case["valid"]
        ), case


def test_consistency_probes_are_taken_and_refused_as_marked() -> None:
    for case in PROBES["consistency"]:
        arguments = (
            case["old"],
            case["new"],
            unhex(case["proof"]),
            bytes.fromhex(case["root_old"]),
            bytes.fromhex(case["root_new"]),
        )
        assert (
            holds(lambda arguments=arguments: tree.check_consistency(*arguments)) is case["valid"]
        ), case


def holds(check: Any) -> bool:
    try:
        check()
    except BadProof:
        return False
    return True


def test_no_consistency_from_nothing() -> None:
    with pytest.raises(BadProof):
        tree.check_consistency(0, 1, [], tree.EMPTY_ROOT, ROOTS[1])
    assert tree.prove_consistency(0, 5, SUBTREE) == []


@pytest.mark.parametrize("size", range(1, 9))
def test_one_proof_for_every_set_of_leaves(size: int) -> None:
    for count in range(1, size + 1):
        for chosen in itertools.combinations(range(size), count):
            proof = tree.prove_many(chosen, size, SUBTREE)
            leaves = {index: LEAVES[index] for index in chosen}
            tree.check_many(leaves, size, proof, ROOTS[size])
            for index in chosen:
                path = tree.narrow(leaves, size, proof, index)
                assert path == tree.prove_inclusion(index, size, SUBTREE)
            for bad in [*flips(proof), [*proof, ROOTS[1]], *([proof[:-1]] if proof else [])]:
                with pytest.raises(BadProof):
                    tree.check_many(leaves, size, bad, ROOTS[size])
            for index in chosen:
                with pytest.raises(BadProof):
                    tree.check_many({**leaves, index: ROOTS[0]}, size, proof, ROOTS[size])


def test_a_run_of_neighbours_costs_few_hashes() -> None:
    leaves = [tree.leaf_hash(bytes(2) + index.to_bytes(2, "big")) for index in range(3000)]
    proof = tree.prove_many(range(1000, 2000), 3000, tree.subtree_of(leaves))

    assert len(proof) <= 2 * 12
    tree.check_many({i: leaves[i] for i in range(1000, 2000)}, 3000, proof, tree.root(leaves))


def test_a_proof_for_no_leaf_is_the_root_alone() -> None:
    assert tree.prove_many([], 8, SUBTREE) == [ROOTS[8]]
    assert tree.prove_many([], 0, SUBTREE) == []


@pytest.mark.parametrize("leaves", [{}, {-1: ROOTS[1]}, {8: ROOTS[1]}, {0: b"short"}])
def test_leaves_outside_the_tree_are_refused(leaves: dict[int, bytes]) -> None:
    with pytest.raises(BadProof):
        tree.check_many(leaves, 8, [], ROOTS[8])


def test_frontier_tells_which_subtrees_it_finished() -> None:
    frontier = tree.Frontier()
    assert frontier.root() == tree.EMPTY_ROOT
    finished = [frontier.append(leaf) for leaf in LEAVES[:4]]

    assert [[(level, index) for level, index, _ in done] for done in finished] == [
        [(0, 0)],
        [(0, 1), (1, 0)],
        [(0, 2)],
        [(0, 3), (1, 1), (2, 0)],
    ]
    assert finished[3][2][2] == frontier.root() == ROOTS[4]
    copy = frontier.copy()
    copy.append(LEAVES[4])
    assert (frontier.root(), copy.root()) == (ROOTS[4], ROOTS[5])


def test_a_leaf_outside_the_tree_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError):
        tree.prove_inclusion(8, 8, SUBTREE)
    with pytest.raises(AssertionError):
        tree.prove_consistency(3, 2, SUBTREE)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 64, 100])
def test_levels_lead_to_the_root_and_changed_leaves_are_hashed_anew(size: int) -> None:
    leaves = [tree.leaf_hash(b"%d" % number) for number in range(size)]
    found = tree.levels(leaves)
    assert found[0] == leaves
    assert [found[-1][0]] == found[-1] == [tree.root(leaves)]
    for step in (1, 2, 3, 7):
        places = range(0, size, step)
        for place in places:
            found[0][place] = leaves[place] = tree.leaf_hash(b"%d of %d" % (place, step))
        tree.renew(found, places)
        assert found == tree.levels(leaves)


def test_a_frontier_grows_alike_whether_it_tells_what_it_finished_or_not() -> None:
    silent, telling = tree.Frontier(), tree.Frontier()
    for number in range(70):
        silent.add(tree.leaf_hash(b"%d" % number))
        telling.append(tree.leaf_hash(b"%d" % number))
        assert (silent.size, silent.hashes) == (telling.size, telling.hashes)
        assert silent.root() == tree.root([tree.leaf_hash(b"%d" % n) for n in range(number + 1)])
