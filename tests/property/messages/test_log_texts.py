"""Notes, checkpoints, proofs and bundles: texts that come back, and any other text refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.errors import MessageError
from messages.log import tiles
from messages.log.checkpoint import (
    Checkpoint,
    format_checkpoint,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
)
from messages.log.cosignature import Cosignature, cosign, open_cosignatures
from messages.log.note import (
    COSIGNATURE,
    ED25519,
    NoteKey,
    format_vkey,
    open_note,
    parse_note,
    parse_vkey,
    sign_note,
)
from messages.log.policy import parse_policy
from messages.log.proof import LogProof, format_proof, parse_proof
from messages.log.submission import parse_size, parse_submission
from tests.support.signers import ed25519

LOG = ed25519("log")
KEY_NAMES = st.from_regex(r"[a-z0-9.é-]{1,12}(/[a-z0-9]{1,8})?", fullmatch=True)
HASHES = st.binary(min_size=32, max_size=32)
SIZES = st.integers(0, 2**63 - 1)
LINES = st.lists(
    st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30), min_size=1
)
CHECKPOINTS = st.builds(Checkpoint, KEY_NAMES, SIZES, HASHES)


@given(LINES, KEY_NAMES, st.integers(0, 2**63 - 1))
def test_notes_and_cosignatures_come_back(lines: list[str], name: str, time_s: int) -> None:
    text = "".join(f"{line}\n" for line in lines)
    key, witness = NoteKey(name, ED25519, LOG.public), NoteKey(name, COSIGNATURE, LOG.public)
    line = cosign(text, time_s, name, LOG)
    note = sign_note(text, name, LOG) + line

    assert open_note(note, [key]) == (text, (key,))
    assert open_cosignatures(note, (witness,)) == (Cosignature(witness, time_s, line),)
    assert parse_vkey(format_vkey(witness)) == witness


@given(CHECKPOINTS, st.data())
def test_a_checkpoint_comes_back_and_no_damaged_one_does(
    checkpoint: Checkpoint, data: st.DataObject
) -> None:
    key = NoteKey(checkpoint.origin, ED25519, LOG.public)
    note = sign_checkpoint(checkpoint, LOG)
    assert open_checkpoint(note, key) == checkpoint
    assert parse_checkpoint(format_checkpoint(checkpoint)) == checkpoint

    place = data.draw(st.integers(0, len(note) - 1))
    bad = note[:place] + data.draw(st.text(max_size=2)) + note[place + 1 :]
    if bad != note:
        with pytest.raises(MessageError):
            open_checkpoint(bad, key)


@given(SIZES, st.lists(HASHES, max_size=64), CHECKPOINTS)
def test_proofs_come_back(index: int, path: list[bytes], checkpoint: Checkpoint) -> None:
    proof = LogProof(index, tuple(path), sign_checkpoint(checkpoint, LOG))
    assert parse_proof(format_proof(proof)) == proof


@given(st.lists(st.binary(max_size=40), max_size=256))
def test_bundles_come_back(entries: list[bytes]) -> None:
    assert tiles.parse_bundle(tiles.format_bundle(entries)) == entries


@given(st.integers(0, 200_000))
def test_tiles_cover_a_tree_once(size: int) -> None:
    listed = list(tiles.tiles_of(size))
    assert len({tiles.tile_path(tile) for tile in listed}) == len(listed)
    for level in range(-1, max((tile.level for tile in listed), default=-1) + 1):
        row = [tile for tile in listed if tile.level == level]
        assert sum(tile.width for tile in row) == size >> (8 * max(level, 0))
        assert [tile.number for tile in row] == list(range(len(row)))
        assert all(tile.width == tiles.WIDTH for tile in row[:-1])


@given(st.text(max_size=200) | LINES.map("\n".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    readers = (parse_note, parse_checkpoint, parse_proof, parse_vkey, parse_policy)
    for read in (*readers, parse_submission, parse_size, tiles.parse_tile_path):
        try:
            read(text)
        except MessageError:
            continue
