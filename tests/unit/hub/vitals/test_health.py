"""A hub that no longer writes its health does not run, and whoever reads the file is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub.vitals.health import FRESH_MS, Health, HealthFile, read_health, silence


@pytest.mark.parametrize(
    ("age_ms", "said"),
    [
        (-60_000, ""),  # this machine's clock was set back since
        (0, ""),
        (FRESH_MS - 1, ""),
        (FRESH_MS, "not running; last seen 5 s ago"),
        (3_600_000, "not running; last seen 3600 s ago"),
    ],
)
def test_silence_says_since_when(age_ms: int, said: str) -> None:
    assert silence({"written_ms": 1_000_000}, 1_000_000 + age_ms) == said


def test_nobody_else_on_the_machine_reads_what_everybody_uses_now(tmp_path: Path) -> None:
    said = Health(1, 1, 1, 1, 0, "", 0, (), True, True, "", 0, None)
    assert HealthFile(tmp_path).write(said)
    assert (tmp_path / "health.json").stat().st_mode & 0o077 == 0


def test_no_file_and_half_a_file_are_no_hub(tmp_path: Path) -> None:
    assert silence(read_health(tmp_path), 0) == "never ran here"
    (tmp_path / "health.json").write_text('{"written_ms": 1')
    assert silence(read_health(tmp_path), 0) == "never ran here"
    (tmp_path / "health.json").write_text(json.dumps({"written_ms": 1}))
    assert silence(read_health(tmp_path), 2) == ""
