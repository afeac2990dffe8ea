"""Our hub asks a witness that nobody here wrote, and our witness serves a log that nobody here did.

Both are aics-witness, over aics-tlog: another reading of the C2SP documents, in other code.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.ledger.store import Store
from hub.starting import read_trust
from messages.evidence import check_heads, parse_evidence
from messages.log.note import parse_vkey
from tests.support.hub_bench import Bench
from tests.support.hub_process import Hub, command
from tests.support.needs import needs_module
from tests.support.witness_process import WitnessProcess, free_port, witness_process

NAME = "foreign.example/w1"
ORIGIN = "foreign.example/log"


class ForeignWitness:
    """aics-witness as a process."""

    def __init__(self, folder: Path, vkey: str) -> None:
        needs_module("aics_witness")
        folder.mkdir()
        self.folder = folder
        self.port = free_port()
        made = self.run("init", "--name", NAME, "--listen", f"127.0.0.1:{self.port}")
        self.vkey = made.stdout.strip().splitlines()[-1]
        self.run("add-log", "--origin", vkey.partition("+")[0], "--vkey", vkey)
        self.start()

    def line(self, verb: str, *words: str) -> list[str]:
        config = str(self.folder / "witness.json")
        return [sys.executable, "-m", "aics_witness", verb, "--config", config, *words]

    def run(self, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.line(verb, *words), capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
        return done

    def start(self) -> None:
        with (self.folder / "log").open("ab") as file:
            self.process = subprocess.Popen(self.line("serve"), stdout=file, stderr=file)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)

    @property
    def policy(self) -> str:
        return f"witness far {self.vkey} http://127.0.0.1:{self.port}\nquorum far\n"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "hub")


@pytest.fixture
def foreign(bench: Bench, tmp_path: Path) -> Iterator[ForeignWitness]:
    made = ForeignWitness(tmp_path / "far", read_trust(bench.folder / "trust.toml").log_vkey)
    policy = bench.folder / "far.policy"
    policy.write_text(made.policy)
    done = hub_command(bench, "quorum", str(policy))
    assert done.returncode == 0, done.stderr
    yield made
    made.stop()


def hub_command(bench: Bench, *words: str) -> subprocess.CompletedProcess[str]:
    return command(*words, "-c", str(bench.folder / "hub.toml"))


def is_final(health: dict[str, Any]) -> bool:
    return bool(health["final_size"] == health["tree_size"])


def test_our_hub_is_cosigned_by_a_witness_that_others_wrote(
    bench: Bench, foreign: ForeignWitness, tmp_path: Path
) -> None:
    hub = Hub(bench.folder)
    try:
        hub.wait_health(is_final)
        hub.stop()
        copied = hub_command(bench, "backup", str(tmp_path / "old.db"))
        assert copied.returncode == 0, copied.stderr
        opened = bench.open()
        assert set(bench.enrol(bench.spine(opened))) == {""}  # the tree grows: it asks for a proof
        opened.close()
        hub.restart()
        size = hub.wait_health(is_final)["tree_size"]
        foreign.stop()
        foreign.start()  # it remembers
    finally:
        hub.stop()
        hub.log.close()
    assert hub_command(bench, "export", "--tiles", str(tmp_path / "mirror")).returncode == 0
    _judged_by_aics(tmp_path / "mirror", read_trust(bench.folder / "trust.toml").log_vkey, foreign)
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.newest"):
        (bench.folder / name).unlink(missing_ok=True)
    assert hub_command(bench, "restore", str(tmp_path / "old.db")).returncode == 0
    refused = hub_command(bench, "run")
    assert refused.returncode == 65
    assert f"witness {NAME} shows a checkpoint over {size}: it is an old copy" in refused.stderr


def _judged_by_aics(mirror: Path, log_vkey: str, foreign: ForeignWitness) -> None:
    """Let aics-tlog read what we export: note, cosignature, tree."""
    aics = needs_module("aics_tlog")
    text = (mirror / "checkpoint").read_text()
    log, witness = aics.parse_vkey(log_vkey), aics.parse_vkey(foreign.vkey)
    note = aics.parse_note(text)
    head = aics.parse_checkpoint(note.text)
    assert aics.verify_note(note, [log])
    (line,) = [each for each in note.signatures if each.name == NAME]
    said = (NAME, witness.public_key, head.origin, head.size)
    assert aics.verify_cosignature(line.signature, *said, head.root)
    assert not aics.verify_cosignature(line.signature, *said, bytes(32))
    with Store.open(f"sqlite:///{mirror.parent / 'hub' / 'ledger.db'}", read_only=True) as store:
        raws = [entry.raw for entry in store.entries(0, head.size)]
        tree = aics.MerkleTree(raws)
        assert tree.root() == head.root == store.root(head.size)
        for index in range(head.size):
            assert tuple(tree.inclusion_proof(index)) == store.prove(index, head.size)
        for old in range(1, head.size):
            assert tuple(tree.consistency_proof(old)) == store.prove_consistency(old, head.size)
        assert not aics.verify_leaf_inclusion(
            raws[1] + b"x", 1, head.size, list(store.prove(1, head.size)), head.root
        )


# --- a log of others ------------------------------------------------------------------------------


class ForeignLog:
    """A log by aics-tlog: its tree, its notes, its client of witnesses."""

    def __init__(self) -> None:
        self.aics = needs_module("aics_tlog")
        self.key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
        self.vkey: str = self.aics.format_vkey(
            self.aics.vkey_from_ed25519(ORIGIN, self.key.public_key())
        )

    def tree(self, *leaves: bytes) -> Any:
        return self.aics.MerkleTree(leaves)

    def note(self, tree: Any) -> str:
        head = self.aics.Checkpoint(origin=ORIGIN, size=tree.size, root=tree.root())
        return str(self.aics.sign_checkpoint(head, self.key, ORIGIN).serialise())


@pytest.fixture
def log() -> ForeignLog:
    return ForeignLog()


@pytest.fixture
def witness(tmp_path: Path, log: ForeignLog) -> Iterator[WitnessProcess]:
    with witness_process(tmp_path / "w1", "witness.example/w1", (log.vkey,)) as made:
        yield made


def test_our_witness_serves_a_log_that_others_wrote(
    log: ForeignLog, witness: WitnessProcess, tmp_path: Path
) -> None:
    feeder = needs_module("aics_witness.feeder")
    leaves = [bytes((number,)) * 9 for number in range(20)]
    with feeder.WitnessClient(witness.url, witness.vkey, max_attempts=1) as client:
        for size in (1, 2, 2, 7, 8, 20):
            tree = log.tree(*leaves[:size])
            line = client.submit(log.note(tree), tree.consistency_proof)  # it verifies the line
            assert "witness.example/w1" in line
    tree = log.tree(*leaves[:9])
    with (
        feeder.WitnessClient(witness.url, witness.vkey, max_attempts=1) as behind,
        pytest.raises(feeder.WitnessAhead),
    ):
        behind.submit(log.note(tree), tree.consistency_proof)
    forged = log.tree(*leaves[:19], b"another")
    with (
        feeder.WitnessClient(witness.url, witness.vkey, max_attempts=1) as fork,
        pytest.raises(feeder.FeederError),
    ):
        fork.submit(log.note(forged), forged.consistency_proof)
    (file,) = (tmp_path / "w1" / "evidence").glob("heads-*.json")
    evidence = parse_evidence(file.read_text())
    first, second = check_heads(evidence, parse_vkey(log.vkey))  # type: ignore[arg-type]
    assert first.size == second.size == 20


def test_our_witness_refuses_another_key_and_another_log(
    log: ForeignLog, witness: WitnessProcess
) -> None:
    feeder = needs_module("aics_witness.feeder")
    tree = log.tree(b"a", b"b")
    log.key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    with (
        feeder.WitnessClient(witness.url, witness.vkey, max_attempts=1) as client,
        pytest.raises(feeder.WitnessRejected, match="403"),
    ):
        client.submit(log.note(tree), tree.consistency_proof)
