"""What the store proves from its nodes is what the tree of RFC 6962 proves from all leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.ledger import proofs
from hub.ledger.store import Store
from messages.log import tree
from tests.support.small_ledger import BALLAST_BYTES, append_all, raw_entries

SIZE_MAX = 300
LEAVES = [entry.leaf_hash for entry in raw_entries(SIZE_MAX)]
ROOTS = [tree.root(LEAVES[:size]) for size in range(SIZE_MAX + 1)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A ledger of 300 entries, appended in uneven batches and read back cold."""
    url = f"sqlite:///{tmp_path_factory.mktemp('proofs')}/ledger.db"
    with Store.open(url, create=True, ballast_bytes=BALLAST_BYTES) as made:
        append_all(made, raw_entries(SIZE_MAX), batch=7)
    with Store.open(url, read_only=True) as cold:
        yield cold


def test_every_root(store: Store) -> None:
    assert [store.root(size) for size in range(SIZE_MAX + 1)] == ROOTS


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 64, 65, 127, 200, 255, 256, 257, 300])
def test_every_inclusion_proof(store: Store, size: int) -> None:
    subtree = tree.subtree_of(LEAVES[:size])
    for index in range(size):
        path = store.prove(index, size)
        assert list(path) == tree.prove_inclusion(index, size, subtree)
        tree.check_inclusion(LEAVES[index], index, size, path, ROOTS[size])


@given(sizes=st.tuples(st.integers(1, SIZE_MAX), st.integers(1, SIZE_MAX)))
def test_consistency_of_any_two_sizes(store: Store, sizes: tuple[int, int]) -> None:
    old, new = min(sizes), max(sizes)
    proof = store.prove_consistency(old, new)
    assert list(proof) == tree.prove_consistency(old, new, tree.subtree_of(LEAVES[:new]))
    tree.check_consistency(old, new, proof, ROOTS[old], ROOTS[new])


@given(size=st.integers(1, SIZE_MAX), chosen=st.data())
def test_one_proof_for_any_set_of_entries(store: Store, size: int, chosen: st.DataObject) -> None:
    wanted = chosen.draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=40))
    proof = store.prove_many(wanted, size)
    assert list(proof) == tree.prove_many(wanted, size, tree.subtree_of(LEAVES[:size]))
    tree.check_many({index: LEAVES[index] for index in wanted}, size, proof, ROOTS[size])


@settings(max_examples=25)
@given(
    splits=st.lists(st.integers(0, 40), max_size=7),
    asked=st.integers(0, 10_000),
)
def test_warm_and_cold_stores_prove_the_same(
    tmp_path_factory: pytest.TempPathFactory, splits: list[int], asked: int
) -> None:
    folder: Path = tmp_path_factory.mktemp("warm")
    entries = raw_entries(sum(splits))
    with Store.open(
        f"sqlite:///{folder}/ledger.db", create=True, ballast_bytes=BALLAST_BYTES
    ) as warm:
        at = 0
        for count in splits:
            warm.append(entries[at : at + count])
            at += count
        assert warm.root() == ROOTS[at]
        with Store.open(f"sqlite:///{folder}/ledger.db", read_only=True) as cold:
            assert cold.root() == ROOTS[at]
            if at:
                index = asked % at
                assert cold.prove(index, at) == warm.prove(index, at)


@given(start=st.integers(0, 9), length=st.integers(1, SIZE_MAX))
def test_a_range_is_covered_by_complete_subtrees_only(start: int, length: int) -> None:
    """From any start that a split can yield: a multiple of a power of two not below the length."""
    first = start << (length - 1).bit_length()
    covered: list[int] = []
    for level, index in proofs.cover(first, first + length):
        covered += range(index << level, (index + 1) << level)
    assert covered == list(range(first, first + length))


def test_the_proof_maker_asks_once(store: Store) -> None:
    """A cold proof is one fetch, however many hashes it has."""
    fetched: list[int] = []

    class Counting:
        @property
        def at_hand(self) -> dict[proofs.Place, bytes]:
            return {}

        def fetch(self, places: object) -> object:
            wanted = list(places)  # type: ignore[call-overload]
            fetched.append(len(wanted))
            return store.nodes.fetch(wanted)

    made = proofs.make_proof(
        lambda subtree: tree.prove_inclusion(5, 300, subtree),
        Counting(),  # type: ignore[arg-type]
    )
    assert made == store.prove(5, 300)
    assert len(fetched) == 1
