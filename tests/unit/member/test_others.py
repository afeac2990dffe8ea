"""Programs that nobody here wrote read what the hub exports, and refuse tampered copies of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pymerkle
import pytest
import scitt_cose
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey
from tlog_scales.tiles import leaf_hash as their_leaf_hash
from tlog_scales.tlog import InclusionProofInvalid

from hub.ledger.export import export_tiles, prove
from messages.entries import network_aad
from messages.log.cosignature import cosign
from messages.log.note import COSIGNATURE, NoteKey, format_vkey, parse_note
from messages.log.proof import LogProof, format_proof, parse_proof
from tests.support.needs import needs_file
from tests.support.signers import ed25519
from tests.support.small_ledger import SmallHub

ROOT = Path(__file__).parents[3]
CWT = ROOT / ".venv" / "cwt"
OLD = 270


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallHub]:
    """A ledger of 300 entries and its export."""
    hub = SmallHub(tmp_path_factory.mktemp("others"))
    hub.fill(slots=2)
    while hub.store.size < 300:
        hub.store.append([hub.reading() for _ in range(min(50, 300 - hub.store.size))])
    hub.checkpoint()
    export_tiles(hub.store, hub.folder / "mirror", hub.trust)
    yield hub
    hub.store.close()


@pytest.fixture
def mirror(hub: SmallHub, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(hub.folder / "mirror", tmp_path / "mirror"))


def entries(hub: SmallHub) -> list[bytes]:
    return [entry.raw for entry in hub.store.entries()]


def pem(raw: bytes) -> bytes:
    key = Ed25519PublicKey.from_public_bytes(raw)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


# --- tlog-scales: checkpoints, tiles, proof files -------------------------------------------------


def test_tlog_scales_takes_our_checkpoint_and_our_tiles(hub: SmallHub, mirror: Path) -> None:
    reader = TilesReader(LocalBackend(mirror))
    head = reader.get_checkpoint()
    head.verify(Vkey.from_string(hub.trust.log_vkey))
    assert (head.size, reader.calculate_root_hash()) == (300, head.root_hash)
    assert [reader.get_entry(index) for index in (0, 255, 256, 299)] == [
        entries(hub)[index] for index in (0, 255, 256, 299)
    ]


def test_tlog_scales_refuses_another_checkpoint_and_other_tiles(
    hub: SmallHub, mirror: Path
) -> None:
    path = mirror / "checkpoint"
    note = path.read_text()
    path.write_text(note.replace("\n300\n", "\n299\n"))
    with pytest.raises(InvalidSignature):
        TilesReader(LocalBackend(mirror)).get_checkpoint().verify(
            Vkey.from_string(hub.trust.log_vkey)
        )
    path.write_text(note)
    tile = mirror / "tile/0/001.p/44"
    raw = bytearray(tile.read_bytes())
    raw[0] ^= 1
    tile.write_bytes(raw)
    reader = TilesReader(LocalBackend(mirror))
    assert reader.get_checkpoint().root_hash != reader.calculate_root_hash()


@pytest.mark.parametrize("index", [0, 1, 255, 256, 299])
def test_tlog_scales_makes_from_our_tiles_the_very_proof_file_that_we_make(
    hub: SmallHub, mirror: Path, index: int
) -> None:
    reader = TilesReader(LocalBackend(mirror))
    head = reader.get_checkpoint()
    proof = reader.get_inclusion_proof(index, head.size)
    theirs = format_proof(LogProof(index, tuple(proof.node_hashes), head.serialize()))
    assert theirs == prove(hub.store, index)
    proof.check(their_leaf_hash(entries(hub)[index]), head.root_hash)
    with pytest.raises(InclusionProofInvalid):
        proof.check(their_leaf_hash(entries(hub)[index] + b"x"), head.root_hash)


def test_tlog_scales_takes_a_consistency_proof_of_ours(hub: SmallHub, mirror: Path) -> None:
    reader = TilesReader(LocalBackend(mirror))
    reader.get_checkpoint()
    theirs = reader.get_consistency_proof(OLD, 300)
    assert tuple(theirs.node_hashes) == hub.store.prove_consistency(OLD, 300)
    theirs.check(hub.store.root(OLD), hub.store.root(300))


def test_tlog_scales_takes_a_cosignature_of_ours(hub: SmallHub, mirror: Path) -> None:
    witness = ed25519("w1")
    vkey = format_vkey(NoteKey("example.org/w1", COSIGNATURE, witness.public))
    path = mirror / "checkpoint"
    text = parse_note(path.read_text()).text
    path.write_text(path.read_text() + cosign(text, 1_767_225_600, "example.org/w1", witness))
    TilesReader(LocalBackend(mirror)).get_checkpoint().verify(Vkey.from_string(vkey))


# --- pymerkle: the tree ---------------------------------------------------------------------------


def test_pymerkle_grows_the_same_tree_and_the_same_paths(hub: SmallHub) -> None:
    tree = pymerkle.InmemoryTree.init_from_entries(entries(hub), algorithm="sha256")
    assert tree.get_root() == hub.store.root(300)
    assert tree.get_root(OLD) == hub.store.root(OLD)
    for index in (0, 127, 256, 299):
        theirs = tree.prove_inclusion(index + 1, 300)
        pymerkle.verify_inclusion(tree.get_leaf(index + 1), hub.store.root(300), theirs)
        assert sorted(theirs.path[1:]) == sorted(hub.store.prove(index, 300))
        with pytest.raises(pymerkle.InvalidProof):
            pymerkle.verify_inclusion(tree.get_leaf(index + 1), hub.store.root(OLD), theirs)


# --- scitt-cose: proofs and entries ---------------------------------------------------------------


@pytest.mark.parametrize("index", [0, 77, 299])
def test_scitt_cose_takes_our_inclusion_proofs(hub: SmallHub, index: int) -> None:
    proof = parse_proof(prove(hub.store, index))
    path, root = [value.hex() for value in proof.path], hub.store.root(300).hex()
    entry = entries(hub)[index]
    assert scitt_cose.verify_inclusion(entry.hex(), index, 300, path, root)
    assert not scitt_cose.verify_inclusion((entry + b"x").hex(), index, 300, path, root)
    assert not scitt_cose.verify_inclusion(entry.hex(), index ^ 1, 300, path, root)


def test_scitt_cose_takes_our_consistency_proofs(hub: SmallHub) -> None:
    proof = [value.hex() for value in hub.store.prove_consistency(OLD, 300)]
    old, new = hub.store.root(OLD).hex(), hub.store.root(300).hex()
    assert scitt_cose.merkle_root([raw.hex() for raw in entries(hub)]) == new
    assert scitt_cose.verify_consistency(old, new, OLD, 300, proof)
    assert not scitt_cose.verify_consistency(new, old, OLD, 300, proof)


def test_scitt_cose_takes_our_readings_and_no_tampered_ones(hub: SmallHub) -> None:
    reading = next(entry for entry in hub.store.entries() if entry.kind == "reading")
    key = pem(hub.meter.public.raw)
    assert scitt_cose.verify_sign1(reading.raw, public_key_pem=key).payload is not None
    for at in (len(reading.raw) - 1, len(reading.raw) - 70):  # in the signature, in the payload
        broken = bytearray(reading.raw)
        broken[at] ^= 1
        with pytest.raises(scitt_cose.CoseError):
            scitt_cose.verify_sign1(bytes(broken), public_key_pem=key)


# --- cwt: entries and readings --------------------------------------------------------------------


def judged_by_cwt(*asked: dict[str, str]) -> list[bool]:
    """Let cwt judge in its own environment; what it refuses with an error is refused."""
    python = CWT / "bin" / "python"
    needs_file(python, "cwt in an environment of its own, which .ci/verifiers makes")
    done = subprocess.run(
        [python, ROOT / "tests/cwt/judge.py"], input=json.dumps(asked), capture_output=True,
        text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [verdict is True for verdict in json.loads(done.stdout)]


def test_cwt_takes_our_entries_and_readings_and_no_tampered_ones(hub: SmallHub) -> None:
    aad = network_aad(hub.trust.network_id).hex()
    asked = []
    for kind, key, bound in (("reading", hub.meter, ""), ("ack", hub.node, aad)):
        raw = next(entry for entry in hub.store.entries() if entry.kind == kind).raw
        said = {"message": raw.hex(), "pem": pem(key.public.raw).decode(), "aad": bound}
        said |= {"kid": key.public.kid.hex()}
        asked.append(said)
        for at in (len(raw) - 1, len(raw) - 70):  # in the signature, in the payload
            broken = bytearray(raw)
            broken[at] ^= 1
            asked.append(said | {"message": broken.hex()})
    asked.append(asked[3] | {"aad": aad[:-2] + "ff"})
    assert judged_by_cwt(*asked) == [True, False, False, True, False, False, False]
