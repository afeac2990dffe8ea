"""Nodes that join by a text, on Mosquitto with TLS: all of docs/pairing.md, as processes."""

from __future__ import annotations

import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.joining.registry import current_keys, read_registry
from tests.support.paired import FINGERPRINT, Paired, faked, paired_microgrid, wait_until


@pytest.fixture
def grid(tmp_path: Path) -> Iterator[Paired]:
    with paired_microgrid(tmp_path) as made:
        yield made


def test_a_paired_node_s_readings_reach_the_ledger(grid: Paired) -> None:
    broker = grid.hub_folder / "mosquitto"
    names = {"gridtally.conf", "ca.crt", "server.crt", "server.key", "acl", "crl.pem"}
    assert {path.name for path in broker.iterdir()} == names
    grid.start_broker()
    hub = grid.start_hub()
    folder = grid.node("dep1", "alice", "consumption")
    grid.paired("dep1", folder)
    assert stat.S_IMODE((folder / "tls" / "dep1.key.pem").stat().st_mode) == 0o600
    edge = grid.run_edge(folder)
    wait_until(lambda: grid.stored("dep1-consumption") >= 2, "two registers on the ledger")
    shown = grid.hub("members").stdout
    assert "dep1-consumption@bench." in shown
    edge.process.terminate()
    assert edge.end() == 0, edge.said()
    assert hub.stop() == 0
    verified = grid.hub("verify")
    assert verified.returncode == 0, verified.stdout


def test_a_late_clock_hinders_neither_joining_nor_tls(grid: Paired) -> None:
    """A Pi without a battery begins at some date of the past, and is set by the network later."""
    long_ago = faked("2001-02-03 04:05:06")
    grid.start_broker()
    hub = grid.start_hub()
    folder = grid.node("dep1", "alice", "consumption")
    text = (folder / "edge.toml").read_text()
    (folder / "edge.toml").write_text(text.replace("trust_clock = true", "trust_clock = false"))
    grid.paired("dep1", folder, long_ago)
    edge = grid.run_edge(folder, long_ago)
    wait_until(lambda: "the broker is there" in edge.said(), "TLS with a late clock")
    assert "2001-02-03" in edge.said()
    hub.wait_health(lambda health: "dep1" in [each["node"] for each in health["nodes"]])


def test_a_text_that_was_miscopied_used_or_of_nobody_is_named(grid: Paired) -> None:
    folder = grid.node("dep1", "alice", "consumption")
    hub, text = grid.pair("dep1", "--member", "alice")
    slip = text[:-1] + ("A" if text[-1] != "A" else "B")
    miscopied = grid.join(slip, folder)
    assert (miscopied.end(), "a character is wrong or missing" in miscopied.said()) == (65, True)
    grid.join(text.lower(), folder)
    wait_until(lambda: FINGERPRINT.search(hub.said()), "a node that asks")
    other = grid.node("dep2", "alice", "consumption")
    (other / "edge.toml").write_text((folder / "edge.toml").read_text())
    again = grid.join(text, other)
    assert again.end() == 65
    assert "used: a pairing text is good for one node, once" in again.said()
    hub.process.communicate("y\n", timeout=30)
    assert hub.end() == 0, hub.said()


def test_a_text_ends_with_its_command(grid: Paired) -> None:
    folder = grid.node("dep1", "alice", "consumption")
    hub, text = grid.pair("dep1")
    hub.process.send_signal(signal.SIGINT)
    assert hub.end() != 0
    assert "Traceback" not in hub.said()
    late = grid.join(text, folder)
    assert late.end() == 69
    assert "Is `gridtally-hub pair` still waiting there" in late.said()
    assert not (folder / "trust.toml").exists()


def test_a_person_who_says_no_has_the_last_word(grid: Paired) -> None:
    folder = grid.node("dep1", "alice", "consumption")
    before = (folder / "edge.toml").read_text()
    hub, text = grid.pair("dep1", "--member", "alice")
    edge = grid.join(text, folder)
    wait_until(lambda: FINGERPRINT.search(hub.said()), "a node that asks")
    hub.process.communicate("n\n", timeout=30)
    assert (hub.end(), edge.end()) == (65, 65)
    for side in (hub, edge):
        assert "not-confirmed: the person at the hub saw other fingerprints" in side.said()
    assert not (folder / "trust.toml").exists()
    assert (folder / "edge.toml").read_text() == before
    assert ("node", "dep1") not in current_keys(read_registry(grid.config))
