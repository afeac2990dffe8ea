"""Keys that change under a running agent, and under none: no reading is lost, and the hub hears."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from hub.joining.registry import current_keys, read_registry
from hub.ledger.store import Store
from keys import file as key_file
from messages import cose
from messages.entries import KeyEntry, parse_as
from messages.reading import parse_reading
from tests.support.paired import Paired, call, paired_microgrid, wait_until

METER = "dep1-consumption"


@pytest.fixture
def grid(tmp_path: Path) -> Iterator[Paired]:
    with paired_microgrid(tmp_path) as made:
        made.start_broker()
        yield made


def readings(grid: Paired) -> list[tuple[int, bytes, int, int]]:
    """Return (instant, key id, sequence, import) of each register, in the order of the slots."""
    with Store.open(grid.config.database, read_only=True) as store:
        raws = [entry.raw for entry in store.entries() if entry.stream == "register"]
    envelopes = [cose.parse(raw) for raw in raws]
    bodies = [(parse_reading(each), each.kid) for each in envelopes]
    return sorted((body.at_ms, kid, body.sequence, body.import_uwh or 0) for body, kid in bodies)


def last_words(grid: Paired) -> dict[bytes, int]:
    """Return the last register that each key which was followed says to have signed."""
    with Store.open(grid.config.database, read_only=True) as store:
        raws = [entry.raw for entry in store.of_kind(KeyEntry.KIND)]
    entries = [parse_as(KeyEntry, cose.parse(raw)) for raw in raws]
    return {
        each.replaces: each.last_sequences.get("register", 0)
        for each in entries
        if each.action == "rotate"
    }


def status(folder: Path) -> str:
    return call("edge", "status", "--config", folder / "edge.toml").stdout


def is_whole(grid: Paired) -> None:
    """Each key's registers are there from its first to its last, and energy only rises."""
    found, last = readings(grid), last_words(grid)
    for kid in {kid for _, kid, _, _ in found}:
        sequences = [sequence for _, each, sequence, _ in found if each == kid]
        assert sequences == list(range(1, last.get(kid, len(sequences)) + 1))
    for (before_ms, _, _, before_uwh), (after_ms, _, _, after_uwh) in pairwise(found):
        assert after_ms > before_ms
        assert after_uwh >= before_uwh


def test_keys_change_while_the_agent_runs(grid: Paired) -> None:
    hub = grid.start_hub()
    folder = grid.node("dep1", "alice", "consumption")
    grid.paired("dep1", folder)
    edge = grid.run_edge(folder)
    wait_until(lambda: len(readings(grid)) >= 2, "two registers")
    before = current_keys(read_registry(grid.config))

    turned = call("edge", "rotate", "--config", folder / "edge.toml")
    assert turned.returncode == 0, turned.stderr
    new = {
        ("node", "dep1"): key_file.load(folder / "keys" / "dep1.2.pem").public,
        ("meter", METER): key_file.load(folder / "keys" / "dep1.meter.2.pem").public,
    }
    assert [line.split("  ")[0] for line in turned.stdout.splitlines()] == [
        each.fingerprint for each in new.values()
    ]
    wait_until(
        lambda: new.items() <= current_keys(read_registry(grid.config)).items(), "the hub hears"
    )
    since = len(readings(grid))
    wait_until(lambda: len(readings(grid)) >= since + 2, "registers of the new key")
    kids = [kid for _, kid, _, _ in readings(grid)]
    assert kids[0] == before["meter", METER].kid
    assert kids[-1] == new["meter", METER].kid
    is_whole(grid)
    wait_until(lambda: status(folder).count("; the hub has its last word") == 2, "the last word")
    text = (folder / "edge.toml").read_text()
    assert 'key = "keys/dep1.2.pem"' in text
    assert 'key = "keys/dep1.meter.2.pem"' in text
    assert edge.process.poll() is None

    for old in ("dep1.pem", "dep1.meter.pem"):
        (folder / "keys" / old).unlink()
    edge.process.terminate()
    assert edge.end() == 0
    grid.run_edge(folder)
    since = len(readings(grid))
    wait_until(lambda: len(readings(grid)) > since, "a register after a restart")
    shown = json.loads(grid.hub("members", "--json").stdout)
    standing = {(each["holder"], each["name"], each["standing"]) for each in shown["keys"]}
    assert {("node", "dep1", "rotated"), ("meter", METER, "rotated")} <= standing
    assert hub.stop() == 0
    verified = grid.hub("verify")
    assert verified.returncode == 0, verified.stdout
    audited = grid.hub("audit")
    assert audited.returncode == 0, audited.stdout


@pytest.mark.timeout(120)  # a hub that missed a node's hello hears the next one after 30 s
def test_keys_change_while_nothing_runs_and_the_hub_hears_of_it_later(grid: Paired) -> None:
    """What the old key signed and nobody had yet comes first, then its last word."""
    folder = grid.node("dep1", "alice", "consumption")
    grid.paired("dep1", folder)
    edge = grid.run_edge(folder)
    outbox = ("edge", "status", "--json", "--config", folder / "edge.toml")
    wait_until(lambda: json.loads(call(*outbox).stdout or "{}").get("outbox_rows", 0) >= 2, "rows")
    edge.process.terminate()
    edge.end()
    for _ in range(2):  # two generations before the hub hears of the first
        turned = call("edge", "rotate", METER, "--config", folder / "edge.toml")
        assert turned.returncode == 0, turned.stderr
    assert "from its next start on" in turned.stderr
    grid.run_edge(folder)
    hub = grid.start_hub()
    newest = key_file.load(folder / "keys" / "dep1.meter.3.pem").public
    wait_until(
        lambda: any(kid == newest.kid for _, kid, _, _ in readings(grid)), "the newest key", 60
    )
    assert current_keys(read_registry(grid.config))["meter", METER] == newest
    wait_until(lambda: status(folder).count("; the hub has its last word") == 2, "both last words")
    is_whole(grid)
    assert hub.stop() == 0
    assert grid.hub("verify").returncode == 0
