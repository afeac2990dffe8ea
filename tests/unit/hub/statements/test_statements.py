"""`gridtally-hub statement`: from a hub's own ledger to files that a member checks alone."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pypdf
import pytest
from typer.testing import CliRunner, Result

from hub.cli import app
from hub.closing import Closer, CloseRule
from hub.core import effects
from hub.link.arrivals import Arrival
from hub.market import contract
from hub.statements.files import write_statement
from hub.statements.pages import runs_text
from hub.statements.sums import sums
from member.verify import main as verify
from messages import statement as told
from messages.jsontext import format_json
from messages.reading import Reading, encode_reading, sign_sealed_reading
from messages.statement import parse_statement
from messages.statementlines import items
from messages.timetext import format_time
from tests.support.hub_bench import METERS, MICROGRID, NODE, SLOT_MS, START_MS, Bench

MARK_UWH = 123_456_789


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def sealed(bench: Bench, meter: str, at_ms: int, uwh: int) -> Arrival:
    sequence = bench.next(bench.meters[meter], "register")
    totals = (0, uwh) if METERS[meter] == "generation" else (uwh, 0)
    said = Reading(MICROGRID, meter, sequence, at_ms, *totals)
    salt = hashlib.sha256(encode_reading(said)).digest()
    return Arrival(NODE, "register", sign_sealed_reading(bench.meters[meter], said, salt))


def in_the_open(bench: Bench, meter: str, at_ms: int, uwh: int) -> Arrival:
    return bench.reading(meter, at_ms, uwh)


READINGS: dict[str, Callable[[Bench, str, int, int], Arrival]] = {
    "open": in_the_open,
    "sealed": sealed,
}


def played(folder: Path, readings: str) -> Path:
    """Three slots of one member: pv and load differ, so that there is something to pay."""
    bench = Bench(folder, readings=readings)
    say = READINGS[readings]
    opened = bench.open()
    spine = bench.spine(opened)
    bench.enrol(spine)
    closer = Closer(spine, opened.pen, CloseRule(SLOT_MS, 30_000, 0))
    for edge in range(4):
        at_ms = START_MS + edge * SLOT_MS
        batch = [
            say(bench, meter, at_ms, MARK_UWH * edge * (2 if meter == "load" else 1))
            for meter in METERS
        ]
        assert len(spine.take_in(batch, 1_000_000, at_ms)) == len(METERS)
        if edge:
            closer.close(at_ms - SLOT_MS, "complete", at_ms)
    spine.sign_checkpoint()
    opened.close()
    return folder


@pytest.fixture(scope="module", params=READINGS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return played(tmp_path_factory.mktemp(request.param), request.param)


def statement(folder: Path, *words: str) -> Result:
    config = str(folder / "hub.toml")
    return CliRunner().invoke(app, ["statement", *words, "--config", config])


def test_a_member_checks_what_the_hub_wrote_without_the_hub(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "alice.json"
    ended = statement(folder, "alice", "--out", str(path))
    assert ended.exit_code == 0, ended.stderr
    assert ended.stdout == f"{path}\n"
    assert verify(["bill", str(path), "--trust", str(folder / "trust.toml"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["slots"], facts["lines"], facts["registers"]) == (3, 3, 12)
    made = parse_statement(path.read_text())
    assert made.from_ms == START_MS
    assert made.until_ms == START_MS + 3 * SLOT_MS
    assert made.totals.bought_uwh == 3 * MARK_UWH


def test_a_changed_copy_is_refused(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "alice.json"
    statement(folder, "alice", "--out", str(path))
    body = json.loads(path.read_text())
    body["blocks"][1]["bill"]["lines"][0]["amount_utok"] += 1
    path.write_text(format_json(body))
    assert verify(["bill", str(path), "--trust", str(folder / "trust.toml")]) == 11


def test_a_span_is_taken_by_the_beginnings_of_slots(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "alice.json"
    second = START_MS + SLOT_MS
    ended = statement(
        folder, "alice", "--from", str(second), "--to", str(second + 1), "--out", str(path)
    )
    assert ended.exit_code == 0, ended.stderr
    made = parse_statement(path.read_text())
    assert (made.from_ms, made.until_ms) == (second, second + SLOT_MS)
    assert made.opening is not None
    assert verify(["bill", str(path), "--trust", str(folder / "trust.toml")]) == 0


def test_a_bill_of_a_month(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "alice.json"
    month = format_time(START_MS)[:7]
    ended = statement(folder, "alice", "--month", month, "--out", str(path))
    assert ended.exit_code == 0, ended.stderr
    made = parse_statement(path.read_text())
    assert made.from_ms == START_MS
    parts = sums(item.line for item in items(made))
    assert sum(each.amount_utok for each in parts) == made.closing_utok - made.opening_utok
    assert sum(each.energy_uwh for each in parts) == made.totals.bought_uwh + made.totals.sold_uwh


def test_the_table_has_a_row_a_line_and_names_the_entries(folder: Path, tmp_path: Path) -> None:
    json_path, csv_path = tmp_path / "alice.json", tmp_path / "alice.csv"
    statement(folder, "alice", "--out", str(json_path), "--out", str(csv_path))
    made = parse_statement(json_path.read_text())
    rows = list(csv.DictReader(io.StringIO(csv_path.read_text(), newline="")))
    lines = [item.line for item in items(made)]
    assert [int(row["amount_utok"]) for row in rows] == [line.amount_utok for line in lines]
    assert all(row["counterparty"].startswith("'@") for row in rows)  # no formula in a sheet
    for row, block in zip(rows, made.blocks, strict=True):
        assert int(row["header_entry"]) == block.header
        assert len(row["header_id"]) == 16
        wanted = [block.policy, *block.facts]
        assert [int(index) for index in row["price_entries"].split()] == wanted
        wanted = sorted({index for each in block.sources for index in each.entries})
        assert [int(index) for index in row["register_entries"].split()] == wanted
        assert len(row["register_ids"].split()) == len(wanted)


def test_the_pages_name_every_entry_of_every_line(folder: Path, tmp_path: Path) -> None:
    csv_path, pdf_path = tmp_path / "alice.csv", tmp_path / "alice.pdf"
    statement(folder, "alice", "--out", str(csv_path), "--out", str(pdf_path))
    text = "".join(page.extract_text() for page in pypdf.PdfReader(pdf_path).pages)
    rows = list(csv.DictReader(io.StringIO(csv_path.read_text(), newline="")))
    assert len(rows) == 3
    for row in rows:
        registers = runs_text([int(index) for index in row["register_entries"].split()])
        proof = (row["price_entries"], registers, row["header_entry"])
        assert " ".join(proof) in text
    assert "Statement of alice" in text


def test_paper_calls_others_as_it_is_told_and_the_proofs_by_name(
    folder: Path, tmp_path: Path
) -> None:
    paths = [tmp_path / f"alice{suffix}" for suffix in (".json", ".csv", ".pdf")]
    statement(folder, "alice", "--out", str(paths[0]))
    made, before = parse_statement(paths[0].read_text()), paths[0].read_bytes()
    for path in paths:
        write_statement(made, path, lambda name, slot_ms: f"m-{slot_ms % 97}{name[1:3]}")
    assert paths[0].read_bytes() == before
    rows = list(csv.DictReader(io.StringIO(paths[1].read_text(), newline="")))
    text = "".join(page.extract_text() for page in pypdf.PdfReader(paths[2]).pages)
    for row, item in zip(rows, items(made), strict=True):
        called = f"m-{item.slot_ms % 97}{item.line.counterparty[1:3]}"
        assert row["counterparty"] == called
        assert called in text
        assert item.line.counterparty not in text


def test_the_same_statement_gives_the_same_pages(folder: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a.pdf", tmp_path / "b.pdf"
    statement(folder, "alice", "--out", str(first), "--out", str(second))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nobody", "--out", "x.json"), os.EX_DATAERR, "nothing was booked on an account nobody"),
        (("alice", "--from", "9999999999999", "--out", "x.json"), os.EX_DATAERR, "no slot of that"),
        (("alice", "--out", "x.txt"), os.EX_USAGE, "x.txt: a statement is a .json, .csv or .pdf"),
        (("alice", "--from", "soon", "--out", "x.json"), os.EX_USAGE, "no time like"),
        (("alice", "--month", "May", "--out", "x.json"), os.EX_USAGE, "May: no month like 2026-11"),
        (
            ("alice", "--month", "2026-11", "--from", "5", "--out", "x.json"),
            os.EX_USAGE,
            "--month is a span of its own",
        ),
        (("alice", "--out", "/none/x.json"), os.EX_CANTCREAT, "/none/x.json"),
    ],
)
def test_what_cannot_be_told_is_said_why(
    folder: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    ended = statement(folder, *words)
    assert ended.exit_code == code
    assert ended.stdout == ""
    assert said in ended.stderr


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (told.Energy, effects.SlotEnergy),
        (told.Position, contract.Position),
        (told.Match, contract.Match),
        (told.PricedMatch, effects.PricedMatch),
        (told.Remainder, contract.Remainder),
        (told.Curtailment, contract.Curtailment),
        (told.Line, effects.Line),
    ],
)
def test_rows_are_told_as_the_fold_has_them(ours: type, theirs: type) -> None:
    names = tuple(field.name for field in dataclasses.fields(ours))
    assert names == theirs._fields  # type: ignore[attr-defined]
