"""The replica's copy: whole, checked tile by tile, and never further than its head."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.replica.errors import Forked, MirrorDamaged, SourceAway, SourceWrong
from hub.replica.source import FolderSource, Sources
from hub.replica.tree import TileTree
from messages.errors import BadProof, MessageError
from messages.evidence import check_heads, parse_evidence
from messages.log.tiles import tile_path, tiles_of
from messages.log.tree import leaf_hash, prove_consistency, root, subtree_of
from tests.support.served_log import LOG_KEY, ServedLog, mirror_in, sources

SIZES = (1, 2, 3, 255, 256, 257, 300, 511, 512, 600)


def raws(count: int, word: str = "entry") -> list[bytes]:
    return [f"{word} {number}".encode() for number in range(count)]


def files(folder: Path) -> set[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in found}


def test_it_grows_from_head_to_head_and_holds_exactly_the_tiles_of_the_newest(
    tmp_path: Path,
) -> None:
    log = ServedLog(raws(SIZES[-1]))
    mirror = mirror_in(tmp_path)
    for size in SIZES:
        mirror.extend(log.note(size), sources(log))
        again = mirror_in(tmp_path)
        assert list(again.entries(0, size)) == list(enumerate(log.raws[:size]))
        wanted = {tile_path(tile) for tile in tiles_of(size)} | {"checkpoint"}
        assert files(tmp_path / "mirror") == wanted
        for earlier in range(0, size, 37):
            leaves = [leaf_hash(raw) for raw in log.raws[:earlier]]
            assert again.root_at(earlier) == root(leaves)


def test_a_copy_serves_the_next_replica(tmp_path: Path) -> None:
    log = ServedLog(raws(300))
    mirror_in(tmp_path).extend(log.note(), sources(log))
    other = mirror_in(tmp_path / "other")
    other.extend(log.note(), Sources([FolderSource(tmp_path / "mirror")]))
    assert list(other.entries(0, 300)) == list(enumerate(log.raws))


@pytest.mark.parametrize("path", ["tile/entries/000", "tile/0/000", "tile/1/000.p/2"])
def test_one_changed_byte_of_any_tile_is_refused_and_another_source_is_asked(
    tmp_path: Path, path: str
) -> None:
    log, liar = ServedLog(raws(520)), ServedLog(raws(520), "memory:liar")
    liar.spoil = lambda at, raw: raw[:-1] + bytes((raw[-1] ^ 1,)) if at == path else raw
    mirror = mirror_in(tmp_path)
    with pytest.raises(SourceWrong):
        mirror.extend(log.note(), sources(liar))
    assert mirror_in(tmp_path).size == 0
    mirror.extend(log.note(), sources(liar, log))
    assert list(mirror.entries(0, 520)) == list(enumerate(log.raws))


def test_killed_before_any_request_it_goes_on_with_what_it_has(tmp_path: Path) -> None:
    log = ServedLog(raws(700))
    for gets in range(20):
        log.gets_left = 1 + gets % 3
        mirror = mirror_in(tmp_path)
        try:
            mirror.extend(log.note(), sources(log))
        except SourceAway:
            assert mirror_in(tmp_path).size == 0
            continue
        break
    log.gets_left = None
    mirror = mirror_in(tmp_path)
    mirror.extend(log.note(), sources(log))
    assert list(mirror.entries(0, 700)) == list(enumerate(log.raws))
    bundles = [path for path in log.asked if path.startswith("tile/entries")]
    assert len(bundles) == len(set(bundles)) == 3


def test_a_changed_entry_of_its_own_copy_is_fetched_again_as_the_copy_grows(tmp_path: Path) -> None:
    log = ServedLog(raws(300))
    mirror = mirror_in(tmp_path)
    mirror.extend(log.note(290), sources(log))
    (tmp_path / "mirror/tile/entries/001.p/44").write_bytes(b"\0\1x")
    mirror.extend(log.note(300), sources(log))
    assert list(mirror_in(tmp_path).entries(256, 300)) == list(enumerate(log.raws))[256:]


@pytest.mark.parametrize(("old", "new"), [(300, 300), (290, 300), (300, 290), (3, 600), (513, 600)])
def test_a_fork_is_convicted_and_the_copy_stays_what_it_was(
    tmp_path: Path, old: int, new: int
) -> None:
    log = ServedLog(raws(600))
    fork = ServedLog([*log.raws[:2], *raws(598, "other")])
    mirror = mirror_in(tmp_path)
    mirror.extend(log.note(old), sources(log))
    with pytest.raises(Forked) as found:
        mirror.extend(fork.note(new), sources(fork))
    assert found.value.evidence is not None
    heads = parse_evidence(found.value.evidence.read_text())
    one, other = check_heads(heads, LOG_KEY)  # type: ignore[arg-type]
    assert {one.size, other.size} == {old, new}
    assert mirror_in(tmp_path).head == mirror.head
    assert list(mirror_in(tmp_path).entries(0, old)) == list(enumerate(log.raws[:old]))


def test_a_head_that_the_log_did_not_sign_is_not_looked_at(tmp_path: Path) -> None:
    log = ServedLog(raws(3))
    with pytest.raises(MessageError):
        mirror_in(tmp_path).extend(log.note().replace("3\n", "4\n", 1), sources(log))


def test_an_older_head_of_the_same_history_changes_nothing(tmp_path: Path) -> None:
    log = ServedLog(raws(300))
    mirror = mirror_in(tmp_path)
    mirror.extend(log.note(), sources(log))
    log.asked.clear()
    mirror.extend(log.note(7), sources(log))
    assert mirror.size == 300
    assert log.asked == []


def test_a_lost_tile_of_the_right_edge_is_said(tmp_path: Path) -> None:
    log = ServedLog(raws(300))
    mirror_in(tmp_path).extend(log.note(), sources(log))
    (tmp_path / "mirror/tile/0/001.p/44").unlink()
    with pytest.raises(MirrorDamaged, match=r"001\.p/44 is not here"):
        mirror_in(tmp_path)


def test_a_partial_tile_that_has_grown_at_the_source_is_taken_from_the_whole_one(
    tmp_path: Path,
) -> None:
    log = ServedLog(raws(256))
    honest = log.spoil

    def only_whole(path: str, raw: bytes) -> bytes:
        if ".p/" in path:
            raise SourceAway("gone")
        return honest(path, raw)

    log.spoil = only_whole
    mirror = mirror_in(tmp_path)
    mirror.extend(log.note(200), sources(log))
    assert list(mirror.entries(0, 200)) == list(enumerate(log.raws[:200]))


def test_it_begins_late_and_fills_in_the_rest(tmp_path: Path) -> None:
    log = ServedLog(raws(1_000))
    mirror = mirror_in(tmp_path)
    mirror.begin_at(700)
    mirror.extend(log.note(), sources(log))
    assert mirror.first == 512
    assert list(mirror.entries(700, 1_000)) == list(enumerate(log.raws))[700:]
    assert not {path for path in log.asked if path in ("tile/entries/000", "tile/entries/001")}
    assert not mirror.fill(sources(log), 1)
    again = mirror_in(tmp_path)
    assert again.first == 256
    assert again.fill(sources(log), 10)
    assert list(mirror_in(tmp_path).entries(0, 1_000)) == list(enumerate(log.raws))


def test_a_tile_tree_proves_as_the_whole_tree_does() -> None:
    log = ServedLog(raws(777))
    leaves = [leaf_hash(raw) for raw in log.raws]
    for size in (1, 5, 256, 700, 777):
        whole = subtree_of(leaves[:size])
        tree = TileTree(size, root(leaves[:size]), lambda tile, accept: log.get(tile_path(tile)))
        for old in range(1, size + 1, 61):
            proof = prove_consistency(old, size, tree.subtree)
            assert proof == prove_consistency(old, size, whole)
            assert tree.frontier_at(old).root() == root(leaves[:old])


def test_evidence_of_a_fork_convicts_nobody_once_it_is_changed(tmp_path: Path) -> None:
    log = ServedLog(raws(10))
    fork = ServedLog(raws(12, "other"))
    mirror = mirror_in(tmp_path)
    mirror.extend(log.note(), sources(log))
    with pytest.raises(Forked) as found:
        mirror.extend(fork.note(), sources(fork))
    assert found.value.evidence is not None
    text = found.value.evidence.read_text()
    heads = parse_evidence(text.replace(log.note().split("\n")[2], fork.note().split("\n")[2]))
    with pytest.raises((BadProof, MessageError)):
        check_heads(heads, LOG_KEY)  # type: ignore[arg-type]
