"""`gridtally-hub double-signed`: what the hub met convinces somebody who has no ledger."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.cli import app
from member.verify import main as verify
from tests.support.hub_bench import START_MS, Bench


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def test_two_readings_with_one_sequence_convict_the_meter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench(tmp_path)
    opened = bench.open()
    spine = bench.spine(opened)
    bench.enrol(spine)
    first = bench.reading("pv", START_MS, 5)
    twin = bench.reading("pv", START_MS, 6, sequence=1)
    spine.take_in([first], 1_000_000, START_MS)
    spine.take_in([twin], 1_000_000, START_MS)
    opened.close()
    command = ["double-signed", "--out", str(tmp_path / "evidence"), "--config"]
    ended = CliRunner().invoke(app, [*command, str(tmp_path / "hub.toml")])
    assert ended.exit_code == 0, ended.stderr
    (path,) = ended.stdout.split()
    kid = bench.meters["pv"].public.kid.hex()
    assert Path(path).name == f"contents-{kid}-register-1.json"
    assert verify(["evidence", path, "--trust", str(tmp_path / "trust.toml"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["place"] == "register 1"
    assert facts["fingerprint"] == bench.meters["pv"].public.fingerprint


def test_without_anything_met_nothing_is_written(tmp_path: Path) -> None:
    Bench(tmp_path).open().close()
    command = ["double-signed", "--out", str(tmp_path / "evidence"), "--config"]
    ended = CliRunner().invoke(app, [*command, str(tmp_path / "hub.toml")])
    assert (ended.exit_code, ended.stdout) == (0, "")
    assert not (tmp_path / "evidence").exists()
