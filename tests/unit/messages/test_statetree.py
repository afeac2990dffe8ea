"""Rows under a state root: what is there is proven, what is not, too, and neither for the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from messages import statetree
from messages.errors import BadProof
from messages.log.tree import EMPTY_ROOT, leaf_hash, node_hash, root
from messages.statetree import (
    SIZE_KEY,
    AbsenceProof,
    StateTree,
    bucket_of,
    check_absent,
    check_row,
    encode_row,
)

Rows = dict[bytes, Any]
SIZES = (1, 2, 3, 8, 9, 40)
MANY = 300  # rows; "too many for one tree" in the tests of buckets


def rows_of(count: int) -> Rows:
    """Return so many rows, the row "size" among them, around which others could stand."""
    found: Rows = {b"%03d" % (2 * number): number for number in range(count - 1)}
    return {**found, SIZE_KEY: count}


def tree_of(rows: Rows) -> StateTree:
    found = StateTree()
    for key, value in rows.items():
        found.put(key, leaf_hash(encode_row(key, value)))
    return found


def absence(tree: StateTree, rows: Rows, key: bytes) -> AbsenceProof:
    return tree.prove_absent(key, lambda found: encode_row(found, rows[found]))


@pytest.fixture
def bucketed(monkeypatch: pytest.MonkeyPatch) -> tuple[StateTree, Rows]:
    """A tree of more rows than one tree takes."""
    monkeypatch.setattr(statetree, "ROWS_IN_ONE_TREE", 100)
    rows = rows_of(MANY)
    tree = tree_of(rows)
    assert tree.is_bucketed
    return tree, rows


def absent_keys() -> list[bytes]:
    return [b"", b"0", b"\xff", *(b"%03d" % (2 * number + 1) for number in range(MANY))]


@pytest.mark.parametrize("count", SIZES)
def test_up_to_a_hundred_thousand_rows_the_root_is_rfc_6962s_over_all(count: int) -> None:
    rows = rows_of(count)
    leaves = [leaf_hash(encode_row(key, rows[key])) for key in sorted(rows)]
    assert tree_of(rows).root() == root(leaves)


def test_beyond_it_is_the_root_over_256_buckets(bucketed: tuple[StateTree, Rows]) -> None:
    tree, rows = bucketed
    tops = []
    for number in range(256):
        keys = sorted(key for key in rows if bucket_of(key) == number)
        leaves = [leaf_hash(encode_row(key, rows[key])) for key in keys]
        tops.append(leaf_hash(statetree.cbor.encode([number, len(keys), root(leaves)])))
    while len(tops) > 1:
        tops = [node_hash(tops[at], tops[at + 1]) for at in range(0, len(tops), 2)]
    assert tree.root() == tops[0]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return a list that grows with every inner node that is hashed."""
    made: list[bytes] = []

    def hashed(left: bytes, right: bytes) -> bytes:
        made.append(node_hash(left, right))
        return made[-1]

    monkeypatch.setattr(statetree.tree, "node_hash", hashed)
    return made


def test_a_change_costs_one_path(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(MANY)
    tree = tree_of(rows)
    before = tree.root()
    made = counted(monkeypatch)
    tree.put(b"000", leaf_hash(b"else"))
    assert tree.root() != before
    assert len(made) == (MANY - 1).bit_length()
    tree.put(b"000", leaf_hash(encode_row(b"000", rows[b"000"])))
    assert tree.root() == before


def test_a_change_costs_one_bucket(
    bucketed: tuple[StateTree, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, rows = bucketed
    before = tree.root()
    made = counted(monkeypatch)
    tree.put(b"000", leaf_hash(b"else"))
    assert tree.root() != before
    assert 255 <= len(made) < 255 + 8
    tree.put(b"000", leaf_hash(encode_row(b"000", rows[b"000"])))
    assert tree.root() == before


@pytest.mark.parametrize("count", SIZES)
def test_changes_one_after_the_other_come_to_the_same_root(count: int) -> None:
    rows = rows_of(count)
    tree = tree_of(rows)
    for turn, key in enumerate(sorted(rows)[::3]):
        rows[key] = turn
        tree.put(key, leaf_hash(encode_row(key, turn)))
        if turn % 4 == 0:
            assert tree.root() == tree_of(rows).root()
    last = max(rows)
    del rows[last]
    tree.put(last, None)
    tree.put(b"none there", None)
    assert tree.root() == tree_of(rows).root()


def test_the_form_follows_the_number_of_rows_back_and_forth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(statetree, "ROWS_IN_ONE_TREE", 9)
    small, more = rows_of(9), {**rows_of(9), b"zz": 1}
    tree = tree_of(small)
    plain = tree.root()
    tree.put(b"zz", leaf_hash(encode_row(b"zz", 1)))
    assert tree.is_bucketed
    assert tree.root() == tree_of(more).root() != plain
    tree.put(b"zz", None)
    assert tree.root() == plain


def test_a_copy_goes_its_own_way(bucketed: tuple[StateTree, Rows]) -> None:
    tree, _ = bucketed
    before = tree.root()
    twin = tree.copy()
    twin.put(b"new", leaf_hash(b"new"))
    assert (len(twin), len(tree)) == (MANY + 1, MANY)
    assert tree.root() == before != twin.root()


@pytest.mark.parametrize("count", SIZES)
def test_every_row_is_proven(count: int) -> None:
    rows = rows_of(count)
    tree = tree_of(rows)
    for key, value in rows.items():
        assert check_row(tree.prove(key, encode_row(key, value)), tree.root()) == (key, value)


def test_every_row_of_a_bucket_is_proven(bucketed: tuple[StateTree, Rows]) -> None:
    tree, rows = bucketed
    for key, value in rows.items():
        assert check_row(tree.prove(key, encode_row(key, value)), tree.root()) == (key, value)


@pytest.mark.parametrize("count", SIZES)
def test_every_gap_is_proven(count: int) -> None:
    rows = rows_of(count)
    tree = tree_of(rows)
    for key in absent_keys():
        if key not in rows:
            check_absent(key, absence(tree, rows, key), tree.root())


def test_every_gap_of_a_bucket_is_proven_and_an_empty_bucket(
    bucketed: tuple[StateTree, Rows],
) -> None:
    tree, rows = bucketed
    empty = 0
    for key in absent_keys():
        proof = absence(tree, rows, key)
        check_absent(key, proof, tree.root())
        empty += not proof.neighbours
    assert empty > 10


def _broken(proof: statetree.RowProof) -> list[statetree.RowProof]:
    found = [
        replace(proof, row=proof.row[:-1] + bytes((proof.row[-1] ^ 1,))),
        replace(proof, row=proof.row + b"\0"),
        replace(proof, row=b"\x05"),
        replace(proof, row=b"\x82\x01\x02"),
        replace(proof, index=proof.index + 1),
        replace(proof, path=(*proof.path, b"\0" * 32)),
        replace(proof, path=tuple(reversed(proof.path))),
        replace(proof, path=proof.path[1:]),
    ]
    bucket = proof.bucket
    if bucket is not None:
        found += [
            replace(proof, bucket=None),
            replace(proof, size=proof.size + 1),
            replace(proof, bucket=replace(bucket, size=bucket.size + 1)),
            replace(proof, bucket=replace(bucket, root=EMPTY_ROOT)),
            replace(proof, bucket=replace(bucket, path=bucket.path[1:])),
        ]
    return found


def test_what_is_broken_proves_no_row(bucketed: tuple[StateTree, Rows]) -> None:
    rows = rows_of(40)
    plain = tree_of(rows)
    for tree in (bucketed[0], plain):
        key = SIZE_KEY if tree is plain else max(rows, key=lambda key: len(_beside(bucketed, key)))
        value = (rows if tree is plain else bucketed[1])[key]
        proof = tree.prove(key, encode_row(key, value))
        check_row(proof, tree.root())
        for bad in _broken(proof):
            with pytest.raises(BadProof):
                check_row(bad, tree.root())
        with pytest.raises(BadProof):
            check_row(proof, plain.root() if tree is not plain else bucketed[0].root())


def _beside(bucketed: tuple[StateTree, Rows], key: bytes) -> list[bytes]:
    return [other for other in bucketed[1] if bucket_of(other) == bucket_of(key)]


def test_no_row_that_is_there_can_be_shown_absent() -> None:
    """Whatever rows a liar calls neighbours, one lies between them, or they are none."""
    rows = rows_of(9)
    tree = tree_of(rows)
    keys = sorted(rows)
    proofs = {key: tree.prove(key, encode_row(key, rows[key])) for key in keys}
    size = proofs[SIZE_KEY]
    for key in keys:
        for low in (None, *keys):
            for high in (None, *keys):
                shown = tuple(proofs[name] for name in (low, high) if name is not None)
                with pytest.raises(BadProof):
                    check_absent(key, AbsenceProof(shown, size, None), tree.root())


def test_the_number_of_rows_must_be_proven_for_the_last_gap() -> None:
    """Else any row could be called the last one."""
    rows = rows_of(5)
    tree = tree_of(rows)
    proof = absence(tree, rows, b"zz")
    check_absent(b"zz", proof, tree.root())
    other = tree.prove(b"000", encode_row(b"000", 0))
    for bad in (None, other, replace(other, size=1, index=0, path=())):
        with pytest.raises(BadProof):
            check_absent(b"zz", replace(proof, size=bad), tree.root())
    first = replace(proof.neighbours[0], size=proof.neighbours[0].size + 1)
    with pytest.raises(BadProof):
        check_absent(b"zz", replace(proof, neighbours=(first,)), tree.root())


def test_neighbours_of_another_bucket_show_nothing(bucketed: tuple[StateTree, Rows]) -> None:
    tree, rows = bucketed
    there = b"000"
    elsewhere = next(key for key in absent_keys() if bucket_of(key) != bucket_of(there))
    foreign = absence(tree, rows, elsewhere)
    with pytest.raises(BadProof):
        check_absent(there, foreign, tree.root())
    own = tree.bucket(there)
    with pytest.raises(BadProof, match="another tree"):
        check_absent(there, replace(foreign, bucket=own), tree.root())
    with pytest.raises(BadProof, match="none is shown"):
        check_absent(there, AbsenceProof((), None, own), tree.root())


def test_only_what_is_there_is_proven_and_only_what_is_not_absent() -> None:
    rows = rows_of(5)
    tree = tree_of(rows)
    for row in (encode_row(b"000", 99), encode_row(b"001", 0)):
        with pytest.raises(AssertionError):
            tree.prove(b"000" if row.endswith(b"\x63") else b"001", row)
    with pytest.raises(AssertionError):
        absence(tree, rows, b"000")
