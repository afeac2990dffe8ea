"""`gridtally-edge ocmf`: records numbered without a gap, kept before anybody sees them."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.config import EXAMPLE, EdgeConfig, load_config
from edge.fiscal import make_record
from edge.keygen import make_keys
from edge.outbox import Outbox
from edge.outbox_records import Batch
from edge.register import Register
from keys.file import load
from messages.ocmf import SYNCHRONISED, parse_record, parse_spki, spki_of, verify_record

AT_MS = 1_767_225_600_000
TOTALS = Register(import_uwh=None, export_uwh=1_234_560_001, at_ms=AT_MS)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node whose first meter has a P-256 key and a register on disk."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "edge.toml").write_text(EXAMPLE + '\n[simulation]\nwire = "unix:wire.sock"\n')
    config = configured()
    make_keys(config, ["dep1-pv"])
    keep(config, TOTALS)
    return tmp_path


def configured() -> EdgeConfig:
    return load_config(Path("edge.toml"))


def keep(config: EdgeConfig, register: Register) -> None:
    outbox = Outbox(Path(config.state), rows_max=1_000)
    outbox.commit(Batch(registers={"dep1-pv": register}))
    outbox.close()


def call(*words: str) -> Any:
    root = logging.getLogger()
    before = root.handlers[:]
    try:
        return CliRunner().invoke(app, list(words))
    finally:
        root.handlers[:] = before


def kept(config: EdgeConfig) -> Path:
    return Path(config.state) / "ocmf" / "dep1-pv"


def test_a_record_holds_the_stored_totals_under_the_meters_own_key(folder: Path) -> None:
    record = parse_record(make_record(configured(), "dep1-pv", SYNCHRONISED).strip())
    verify_record(record, spki_of(load(folder / "keys/dep1-pv.pem").public))
    assert record.payload["PG"] == "F1"
    assert record.payload["GS"] == "dep1"
    assert record.payload["RD"] == [
        {
            "TM": "2026-01-01T00:00:00,000+0000 S",
            "RV": "1234.560001",
            "RI": "01-00:02.08.00*FF",
            "RU": "Wh",
            "EF": "",
            "ST": "G",
        }
    ]


@pytest.mark.usefixtures("folder")
def test_records_are_numbered_and_kept() -> None:
    made = [make_record(configured(), "dep1-pv", SYNCHRONISED) for _ in range(3)]
    assert [parse_record(each.strip()).payload["PG"] for each in made] == ["F1", "F2", "F3"]
    assert kept(configured()).read_text() == "".join(made)


@pytest.mark.usefixtures("folder")
def test_a_record_that_a_power_cut_cut_off_is_made_again() -> None:
    first = make_record(configured(), "dep1-pv", SYNCHRONISED)
    path = kept(configured())
    path.write_text(first + first[:100])
    again = make_record(configured(), "dep1-pv", SYNCHRONISED)
    assert parse_record(again.strip()).payload["PG"] == "F2"
    assert path.read_text() == first + again


@pytest.mark.usefixtures("folder")
def test_it_works_while_the_agent_has_its_outbox_open() -> None:
    outbox = Outbox(Path(configured().state), rows_max=1_000)
    try:
        assert make_record(configured(), "dep1-pv", SYNCHRONISED).startswith("OCMF|")
    finally:
        outbox.close()


@pytest.mark.usefixtures("folder")
def test_doubts_of_a_register_are_told() -> None:
    keep(configured(), Register(1, 2, at_ms=AT_MS, doubts=("frozen",)))
    record = parse_record(make_record(configured(), "dep1-pv", SYNCHRONISED).strip())
    assert [each["ST"] for each in record.payload["RD"]] == ["E", "E"]


def test_the_command_prints_the_record_and_nothing_else(folder: Path) -> None:
    ended = call("ocmf", "dep1-pv")
    assert ended.exit_code == 0
    record = parse_record(ended.stdout.strip())
    assert record.payload["RD"][0]["TM"].endswith(" U")  # simulated time is nobody's clock
    ended = call("ocmf", "dep1-pv", "--xml")
    assert ended.exit_code == 0
    assert ended.stdout.startswith("<?xml")
    key = ended.stdout.split('<publicKey encoding="hex">')[1].split("<")[0]
    assert parse_spki(key) == spki_of(load(folder / "keys/dep1-pv.pem").public)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("meter", "words"),
    [
        ("nobody", "no meter is named nobody; there are: dep1-pv"),
        ("dep1-load", "signs with Ed25519, which OCMF does not know"),
    ],
)
def test_a_meter_that_cannot_is_told_why(meter: str, words: str) -> None:
    ended = call("ocmf", meter)
    assert ended.exit_code == os.EX_UNAVAILABLE
    assert ended.stdout == ""
    assert words in ended.stderr


@pytest.mark.usefixtures("folder")
def test_a_meter_that_was_never_read_has_no_record() -> None:
    keep(configured(), Register())
    ended = call("ocmf", "dep1-pv")
    assert ended.exit_code == os.EX_UNAVAILABLE
    assert "has no totals yet" in ended.stderr
    assert not kept(configured()).exists() or kept(configured()).read_text() == ""


def test_keygen_makes_p256_keys_where_it_is_told_to(folder: Path) -> None:
    for path in folder.glob("keys/*.pem"):
        path.unlink()
    ended = call("keygen", "--p256", "dep1-heater", "--p256", "dep1-load")
    assert ended.exit_code == 0
    algs = {path.stem: load(path).public.alg for path in folder.glob("keys/*.pem")}
    assert {name for name, alg in algs.items() if alg == -7} == {"dep1-heater", "dep1-load"}
    ended = call("keygen", "--p256", "nobody")
    assert ended.exit_code == os.EX_UNAVAILABLE
    assert "no meter is named nobody" in ended.stderr
