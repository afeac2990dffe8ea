"""Verifiers that others wrote in JavaScript take what we make, and refuse tampered copies."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.ledger.export import prove
from messages.entries import network_aad
from messages.log.note import parse_vkey
from messages.log.proof import parse_proof
from messages.log.tree import prove_consistency, prove_inclusion, root, subtree_of
from messages.ocmf import (
    EXPORT,
    IMPORT,
    SYNCHRONISED,
    Fiscal,
    Total,
    format_fiscal,
    sign_record,
    spki_of,
)
from messages.publickey import EDDSA, PublicKey
from tests.support.needs import needs, needs_file
from tests.support.signers import p256
from tests.support.small_ledger import SmallHub

ROOT = Path(__file__).parents[3]
HOUSE = ROOT / ".venv" / "node"
JUDGE = ROOT / "tests" / "node" / "judge.mjs"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallHub]:
    made = SmallHub(tmp_path_factory.mktemp("node"))
    made.fill()
    yield made
    made.store.close()


def judged(*asked: tuple[str, dict[str, Any]]) -> list[bool]:
    """Let them judge; what they refuse with an error is refused."""
    needs_file(HOUSE / "node_modules", "verifiers in JavaScript, which .ci/verifiers installs")
    command = [needs("node"), shutil.copy(JUDGE, HOUSE)]
    done = subprocess.run(
        command, input=json.dumps(asked), capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    return [verdict is True for verdict in json.loads(done.stdout)]


def flipped(text: str) -> str:
    """Return hex digits with the last bit turned."""
    raw = bytearray.fromhex(text)
    raw[-1] ^= 1
    return raw.hex()


def jwk_of(key: PublicKey) -> dict[str, str]:
    if key.alg != EDDSA:
        raise AssertionError("the ledger of this test is signed by Ed25519 keys")
    x = base64.urlsafe_b64encode(key.raw).decode().rstrip("=")
    return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": x}


def test_road_labs_takes_our_ocmf_records() -> None:
    totals = (Total(IMPORT, 1_234_560_001), Total(EXPORT, 7))
    fiscal = Fiscal("gridtally-edge", "n1", "0.1.0", 7, "sdm120", "m1", 0, SYNCHRONISED, totals)
    signer = p256("ocmf")
    record, spki = sign_record(signer, format_fiscal(fiscal)), spki_of(signer.public).hex()
    asked = [record, record.replace("1234.560001", "1234.560002"), record.replace("F7", "F8")]
    assert judged(*(("ocmf", {"record": each, "spki": spki}) for each in asked)) == [
        True,
        False,
        False,
    ]


def test_cose_kit_takes_our_entries_and_readings(hub: SmallHub) -> None:
    reading = next(entry for entry in hub.store.entries() if entry.kind == "reading")
    ack = next(entry for entry in hub.store.entries() if entry.kind == "ack")
    aad = network_aad(hub.trust.network_id).hex()
    asked = []
    for entry, key, bound in ((reading, hub.meter, ""), (ack, hub.node, aad)):
        message = {"message": entry.raw.hex(), "jwk": jwk_of(key.public), "aad": bound}
        asked += [message, message | {"message": flipped(entry.raw.hex())}]
    asked.append(asked[2] | {"aad": flipped(aad)})
    verdicts = judged(*(("sign1", each) for each in asked))
    assert verdicts == [True, False, True, False, False]


def test_transmute_takes_our_proofs(hub: SmallHub) -> None:
    leaves = [entry.leaf_hash for entry in hub.store.entries()]
    size, old, subtree = len(leaves), len(leaves) // 2, subtree_of(leaves)
    asked: list[tuple[str, dict[str, Any]]] = []
    for index in (0, 7, size - 1):
        path = [each.hex() for each in prove_inclusion(index, size, subtree)]
        said = {"root": root(leaves).hex(), "leaf": leaves[index].hex(), "path": path}
        said |= {"index": index, "size": size}
        asked += [("inclusion", said), ("inclusion", said | {"leaf": flipped(leaves[index].hex())})]
        asked.append(("inclusion", said | {"path": [flipped(path[0]), *path[1:]]}))
    path = [each.hex() for each in prove_consistency(old, size, subtree)]
    said = {"oldRoot": root(leaves[:old]).hex(), "root": root(leaves).hex(), "path": path}
    said |= {"old": old, "size": size}
    asked += [("consistency", said), ("consistency", said | {"root": flipped(said["root"])})]
    asked.append(("consistency", said | {"path": [*path[:-1], flipped(path[-1])]}))
    assert judged(*asked) == [True, False, False] * 4


def test_sigstore_takes_our_checkpoint_and_proof(hub: SmallHub) -> None:
    hub.checkpoint()
    entries, vkey = [entry.raw.hex() for entry in hub.store.entries()], hub.trust.log_vkey
    key = parse_vkey(vkey)
    asked: list[tuple[str, dict[str, Any]]] = []
    for index in (0, 7, len(entries) - 1):
        proof = parse_proof(prove(hub.store, index))
        said = {"checkpoint": proof.checkpoint, "origin": key.name, "keyId": key.key_id.hex()}
        said |= {"jwk": jwk_of(key.public), "path": [each.hex() for each in proof.path]}
        said |= {"entry": entries[index], "index": index}
        size = f"\n{len(entries)}\n"
        other = said["checkpoint"].replace(size, f"\n{len(entries) - 1}\n")
        asked += [("logged", said), ("logged", said | {"entry": flipped(entries[index])})]
        asked += [("logged", said | {"checkpoint": other}), ("logged", said | {"index": index ^ 1})]
    assert judged(*asked) == [True, False, False, False] * 3
