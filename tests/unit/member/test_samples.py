"""gridtally-verify sample: one sample of a meter, and what is changed about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub.ledger.samples import prove_sample
from member.errors import Code
from messages.log.note import ED25519, NoteKey, format_vkey
from messages.sample import SampleProof, format_sample
from messages.trust import format_trust
from tests.support.demo_log import Told, ask
from tests.support.signers import ed25519
from tests.support.small_ledger import START_MS, SmallHub

AT_MS = START_MS + 4 * 10_000 + 1_000


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[SmallHub]:
    made = SmallHub(tmp_path)
    made.fill()
    (tmp_path / "trust.toml").write_text(format_trust(made.trust))
    yield made
    made.store.close()


def check(capsys: Any, hub: SmallHub, proof: SampleProof, *words: str) -> Told:
    path = hub.folder / "sample.json"
    path.write_text(format_sample(proof))
    believed = words or ("--trust", str(hub.folder / "trust.toml"))
    return ask(capsys, "sample", path, *believed)


def test_a_sample_is_told_with_what_it_hangs_under(hub: SmallHub, capsys: Any) -> None:
    told = check(capsys, hub, prove_sample(hub.store, "m1", AT_MS))
    assert told.code == 0
    assert told.facts["values"] == {"power_mw": 2_000}
    assert told.facts["member"] == "alice"
    assert told.verdict.startswith("meter m1 at 2026-01-01T00:00:41.000Z: power_mw 2000; sealed in")
    told = check(capsys, hub, prove_sample(hub.store, "m1", AT_MS + 1_000))
    assert "power_mw not measured" in told.verdict


def test_a_changed_sample_is_refused_by_what_is_wrong(hub: SmallHub, capsys: Any) -> None:
    proof = prove_sample(hub.store, "m1", AT_MS)
    assert check(capsys, hub, replace(proof, at_ms=AT_MS + 1)).code == Code.PROOF
    assert check(capsys, hub, replace(proof, hashes=())).code == Code.PROOF
    other = format_vkey(NoteKey("example.org/x", ED25519, ed25519("x").public))
    assert check(capsys, hub, proof, "--key", other).code == Code.FOREIGN
