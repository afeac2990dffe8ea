"""An old copy is put back: the hub refuses, the log's key is ended, and the microgrid goes on.

Hub, witness and broker are processes over loopback TCP; the node's part is the edge's own outbox.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.receipts import log_trust
from hub.ledger.store import Store
from hub.starting import read_trust
from member.verify import main as gridtally_verify
from messages import cose
from messages.entries import Gap, parse_entry
from tests.e2e.hub.test_witnessed_hub import EdgeNode, backup, restore
from tests.support.brokers import RunningBroker
from tests.support.hub_bench import Bench
from tests.support.hub_process import Hub, command
from tests.support.witness_process import WitnessProcess, witness_process


@pytest.fixture
def witness(tmp_path: Path, bench: Bench) -> Iterator[WitnessProcess]:
    vkey = read_trust(bench.folder / "trust.toml").log_vkey
    with witness_process(tmp_path / "w0", "witness.example/w0", (vkey,)) as running:
        policy = bench.folder / "quorum.policy"
        policy.write_text(f"{running.policy_line}\nquorum {running.policy_line.split()[1]}\n")
        done = hub_command(bench, "quorum", str(policy))
        assert done.returncode == 0, done.stderr
        yield running


def hub_command(bench: Bench, *words: str):  # type: ignore[no-untyped-def]
    return command(*words, "-c", str(bench.folder / "hub.toml"))


def test_a_restored_copy_is_refused_and_another_key_goes_on(
    bench: Bench,
    broker: RunningBroker,
    witness: WitnessProcess,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hub = Hub(bench.folder)
    hub.wait_health(lambda health: bool(health["broker_connected"]))
    node = EdgeNode(broker, bench, tmp_path / "edge")
    node.measure()
    assert node.turn_until(lambda: node.outbox.rows == 0), hub.log_text()
    assert hub.stop() == 0
    backup(bench.folder / "ledger.db", bench.folder / "old.db")

    hub.restart()
    node.measure()
    node.measure()
    assert node.turn_until(lambda: node.outbox.rows == 0), hub.log_text()  # both are final
    witness.kill()
    node.measure()
    assert node.turn_until(lambda: node.stored == 4), hub.log_text()  # stored, and not final
    hub.stop()
    final = node.posting.checkpoint
    old_trust = bench.folder / "trust.toml"
    shutil.copy(old_trust, tmp_path / "old-trust.toml")
    hub_command(bench, "export", "--tiles", str(tmp_path / "old-mirror"))
    with Store.open(bench.config.database, read_only=True) as store:
        newest = store.size
    restore(bench)
    witness.start()

    # It refuses, says why, and what to do.
    refused = hub_command(bench, "run")
    assert refused.returncode == 65
    assert "it is an old copy, and signing on would fork the log" in refused.stderr
    assert "gridtally-hub log retire" in refused.stderr

    # The administrator ends the key; nothing that is final is contradicted: the name is another.
    done = hub_command(bench, "log", "retire", "--reason", "the disk died", "--yes")
    assert done.returncode == 0, done.stderr
    assert "entries are given up: the log goes on as gridtally.local/bench/log2" in done.stderr
    assert hub_command(bench, "verify").returncode == 0
    again = hub_command(bench, "log", "retire", "--reason", "once more", "--yes")
    assert "nothing is missing: the log keeps its name" in again.stderr
    assert again.returncode == 0, again.stderr

    # The witness follows what it can check, and begins the new name from nothing.
    witness.kill()
    witness.start("--follow", str(old_trust))
    hub.restart()
    hub.wait_health(lambda health: bool(health["broker_connected"]))

    # The node gets the new trust.toml: it says what it holds, sends again, and the rest is a gap.
    node.restart(log_trust(read_trust(old_trust)))
    hello = node.hello()
    assert hello.checkpoint == final
    node.say_hello(hello)
    node.measure()
    assert node.turn_until(lambda: node.outbox.rows == 0), hub.log_text()
    assert node.posting.alarm == ""
    assert node.posting.checkpoint.startswith("gridtally.local/bench/log2\n")
    assert "of them were given up" in hub.log_text()
    hub.stop()
    hub.log.close()
    node.close()
    with Store.open(bench.config.database, read_only=True) as store:
        assert store.size < newest + 20
        (gap,) = (parse_entry(cose.parse(each.raw)) for each in store.of_kind("gap"))
    assert isinstance(gap, Gap)
    assert (gap.stream, gap.first, gap.last) == ("register", 2, 3)

    # Strangers follow, and what was final before still is, under the old name.
    mirror = tmp_path / "mirror"
    assert hub_command(bench, "export", "--tiles", str(mirror)).returncode == 0
    (tmp_path / "final").write_text(final)
    old = str(tmp_path / "old-trust.toml")
    new = str(old_trust)
    assert gridtally_verify(["entries", str(mirror), "--trust", new]) == 0
    assert gridtally_verify(["entries", str(mirror), "--trust", old]) == 16
    assert gridtally_verify(["checkpoint", str(tmp_path / "final"), "--trust", old]) == 0
    assert gridtally_verify(["entries", str(tmp_path / "old-mirror"), "--trust", old]) == 0
    capsys.readouterr()
    assert gridtally_verify(["checkpoint", str(tmp_path / "final"), "--trust", new]) == 16
    assert "whose key ended" in capsys.readouterr().out
    assert hub_command(bench, "audit").returncode == 0
