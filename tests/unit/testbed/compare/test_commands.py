"""`compare` and `clear` from their arguments to what they print and write."""

from __future__ import annotations

import csv
import gzip
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from testbed.cli import app
from testbed.compare import writing
from testbed.compare.writing import write_files

HOMES = "home,slot,minute,interval_min,consumption_kwh,generation_kwh\n"
KWH = 1_000_000_000
BOOK = """side,member,energy_uwh,price_utok_per_kwh,area,prefers
bid,bo,3000000000,300000,north,zoe
bid,cy,2000000000,150000,south,
ask,al,2000000000,100000,south,
ask,zoe,2000000000,240000,north,
"""


def ran(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def homes_file(folder: Path) -> Path:
    rows = []
    for home, consumed, made in (("a", 1, 4), ("b", 2, 0), ("c", 1, 3)):
        for slot in range(48):
            sun = made if 8 <= slot % 24 < 16 else 0
            rows.append(f"{home},{slot},{slot % 24 * 60},60,{consumed},{sun}\n")
    path = folder / "homes.csv.gz"
    path.write_bytes(gzip.compress((HOMES + "".join(rows)).encode()))
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_compare_writes_report_csv_and_json(tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--contracts", "double_auction,dep_balance", "--slot", "60,30", "--days", "1")
    result = ran("compare", "--homes", homes_file(tmp_path), *options, "--out", out)
    assert result.exit_code == 0, result.output
    names = ["report.html", "contracts.csv", "members.csv", "slots.csv", "sales.csv"]
    assert sorted(each.name for each in out.iterdir()) == sorted([*names, "compare.json"])
    runs = [(row["slot_min"], row["contract"]) for row in rows(out / "contracts.csv")]
    order = ["grid_only", "double_auction", "dep_balance"]
    assert runs == [(minutes, name) for minutes in ("60", "30") for name in order]
    assert len(rows(out / "slots.csv")) == 3 * (24 + 48)
    assert len(rows(out / "members.csv")) == 2 * 3 * 3
    everything = json.loads((out / "compare.json").read_text())
    assert [run["figures"]["contract"] for run in everything["runs"]] == order * 2
    # c is every third home: without its panels a alone has 3 kWh over, b and c lack 3.
    assert [run["figures"]["matched_uwh"] for run in everything["runs"][:3]] == [
        0,
        8 * 3 * KWH,
        8 * 3 * KWH,
    ]
    assert any("dropping the PV of 1 of 3 homes" in note for note in everything["notes"])
    assert "dropping the PV of 1 of 3 homes" in (out / "report.html").read_text()


def test_energy_in_the_csv_is_that_of_the_file(tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--contracts", "dep_balance", "--consumers", "none", "--out", out)
    assert ran("compare", "--homes", homes_file(tmp_path), *options).exit_code == 0
    found = [row for row in rows(out / "slots.csv") if row["contract"] == "dep_balance"]
    assert sum(int(row["consumed_uwh"]) for row in found) == 48 * 4 * KWH
    assert sum(int(row["generated_uwh"]) for row in found) == 16 * 7 * KWH
    # What is generated is used at home, sold, or fed in; here a, c use 1 and b buys 2 of 5 left.
    assert sum(int(row["matched_uwh"]) for row in found) == 16 * 2 * KWH
    assert sum(int(row["export_uwh"]) for row in found) == 16 * 3 * KWH


def test_a_battery_for_all_with_pv_is_told_and_used(tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--contracts", "dep_balance", "--battery-kwh", "5", "--out", out)
    assert ran("compare", "--homes", homes_file(tmp_path), *options).exit_code == 0
    everything = json.loads((out / "compare.json").read_text())
    assert any(
        "2 homes that keep their PV got a battery of 5 kWh" in n for n in everything["notes"]
    )
    assert everything["slots"][0]["members"][0]["battery"]["capacity_uwh"] == 5 * KWH
    # Without it a would use 1 kWh of its own in each of 16 slots, and sell 2 to b.
    assert everything["runs"][1]["figures"]["import_uwh"] < (48 * 4 - 16 * 3 - 9) * KWH


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 64, "--out DIR says where"),
        (("--contracts", "nothing", "--out", "x"), 64, "no contract nothing; there are choose"),
        (("--slot", "x", "--out", "x"), 64, "--slot x: wanted minutes"),
        (("--slot", "45", "--out", "x"), 64, "--slot 45: the file has slots of 60"),
        (("--consumers", "zed", "--out", "x"), 64, "--consumers zed: no such home"),
        (("--battery-kwh", "-1", "--out", "x"), 64, "--battery-kwh -1.0: wanted kWh from 0 up"),
        (("--example", "x"), 64, "there are homes, members and tariff"),
        (("--homes", "nowhere.csv", "--out", "x"), 65, "nowhere.csv: cannot be read"),
    ],
)
def test_what_cannot_be_is_told_before_anything_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = ran("compare", *arguments)
    assert result.exit_code == code
    assert says in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_tariff_is_checked_against_the_contracts(tmp_path: Path) -> None:
    tariff = tmp_path / "tariff.toml"
    text = ran("compare", "--example", "tariff").output
    tariff.write_text(text.replace('deficit = "supplier"', 'deficit = "magic"'))
    result = ran("compare", "--tariff", tariff, "--out", tmp_path / "out")
    assert result.exit_code == 64
    assert "[contract.dep_balance] of the tariff" in result.output
    tariff.write_text(text.replace("grid = 300", "grid = 1.5").replace("00:00", "24:00"))
    result = ran("compare", "--tariff", tariff, "--out", tmp_path / "out")
    assert result.exit_code == 65
    assert len(result.output.splitlines()) == 3


def test_the_examples_can_be_compared(tmp_path: Path) -> None:
    files = {}
    for name, ending in (("homes", "csv"), ("members", "csv"), ("tariff", "toml")):
        files[name] = tmp_path / f"{name}.{ending}"
        files[name].write_text(ran("compare", "--example", name).output)
    options = [part for name, path in files.items() for part in (f"--{name}", path)]
    result = ran("compare", *options, "--days", "1", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output


def test_files_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_files(tmp_path, {"a": "old", "b": "old"})

    class Stopped(dict):
        def items(self):
            yield "a", "new"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_files(tmp_path, Stopped(a="new", b="new"))
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"a": "old", "b": "old"}


def test_no_cell_is_a_formula() -> None:
    assert writing._cell("=1+1") == "'=1+1"
    assert writing._cell("h01") == "h01"
    assert writing._cell(-5) == -5


def test_clear_prints_one_object(tmp_path: Path) -> None:
    book = tmp_path / "book.csv"
    book.write_text(BOOK)
    result = ran("clear", "double_auction", "--book", book, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout.splitlines()[-1]) == {
        "matched_uwh": 3 * KWH,
        "price_utok_per_kwh": 270_000,
        "welfare_utok_uwh_per_kwh": 2 * KWH * 200_000 + 1 * KWH * 60_000,
        "matches": 2,
        "checks": {
            "energy_conserved": True,
            "money_conserved": True,
            "limits_kept": True,
            "welfare_optimal": True,
        },
    }


def test_clear_without_a_price_says_null(tmp_path: Path) -> None:
    book = tmp_path / "book.csv"
    book.write_text("side,member,energy_uwh,price_utok_per_kwh\nbid,a,5,1\nask,b,5,2\n")
    figures = json.loads(ran("clear", "double_auction", "--book", book, "--json").stdout)
    assert (figures["matched_uwh"], figures["matches"]) == (0, 0)
    assert figures["price_utok_per_kwh"] is None


def test_an_option_makes_area_or_preference_count(tmp_path: Path) -> None:
    book = tmp_path / "book.csv"
    book.write_text(BOOK)
    plain = ran("clear", "double_auction", "--book", book).stdout
    wished = ran("clear", "double_auction", "--book", book, "--option", "partners=preferred")
    assert plain.index("al ") < plain.index("zoe ")
    assert wished.stdout.index("zoe ") < wished.stdout.index("al ")


def test_without_an_option_areas_pair_nobody(tmp_path: Path) -> None:
    book = tmp_path / "book.csv"
    bids = "bid,bo,5,90,south\nbid,cy,5,80,north\n"
    asks = "ask,al,5,20,north\nask,zoe,5,30,south\n"
    book.write_text("side,member,energy_uwh,price_utok_per_kwh,area\n" + bids + asks)
    pairs = {}
    for option in ([], ["--option", "match_by=area"]):
        cells = ran("clear", "hybrid_p2p", "--book", book, *option).stdout.split()
        pairs[bool(option)] = cells[cells.index("al") + 2]
    assert pairs == {False: "bo", True: "cy"}


@pytest.mark.parametrize("name", ["dep_balance", "energy_token"])
def test_a_contract_without_orders_takes_the_book_as_what_meters_show(
    tmp_path: Path, name: str
) -> None:
    book = tmp_path / "book.csv"
    book.write_text(BOOK)
    figures = json.loads(ran("clear", name, "--book", book, "--json").stdout)
    assert figures["matched_uwh"] == 4 * KWH
    assert figures["checks"]["energy_conserved"]


def test_malformed_rows_are_named_by_line(tmp_path: Path) -> None:
    book = tmp_path / "book.csv"
    book.write_text(
        "side,member,energy_uwh,price_utok_per_kwh\nbid,a,1.5,3\nbod,,3,x\nask,@grid,-5,6,7\n"
    )
    result = ran("clear", "double_auction", "--book", book)
    assert result.exit_code == 65
    assert [line.removeprefix(f"{book}:") for line in result.output.splitlines()] == [
        "2: energy_uwh is '1.5', wanted a whole number from 0 up",
        "3: side is 'bod', wanted bid or ask",
        "3: member is '', wanted a name without @ before it",
        "3: price_utok_per_kwh is 'x', wanted a whole number up to 100000000",
        "4: member is '@grid', wanted a name without @ before it",
        "4: energy_uwh is '-5', wanted a whole number from 0 up",
        "4: more cells than columns",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("nothing",), 64, "no contract 'nothing'; there are choose_producer"),
        (("double_auction", "--option", "x"), 64, "--option x: wanted NAME=VALUE"),
        (("double_auction", "--option", "x=1"), 64, "double_auction has no parameter 'x'"),
    ],
)
def test_what_cannot_be_cleared_is_told(
    tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    book = tmp_path / "book.csv"
    book.write_text(BOOK)
    result = ran("clear", *arguments, "--book", book)
    assert (result.exit_code, says in result.output) == (code, True)


def test_an_empty_book_is_no_book(tmp_path: Path) -> None:
    book = tmp_path / "book.csv"
    book.write_text("side,member,energy_uwh,price_utok_per_kwh\n")
    result = ran("clear", "double_auction", "--book", book)
    assert result.exit_code == 65
    assert "no order in it" in result.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_leaves_no_file(tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "out"
    arguments = ("compare", "--homes", homes_file(tmp_path), "--slot", "1", "--out", out)
    with subprocess.Popen(
        [sys.executable, "-m", "testbed.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "grid only, 1 min\n"
        process.send_signal(number)
        told, _ = process.stderr.read(), process.wait()
    assert told.splitlines()[-1] == f"stopped: {out} is as it was"
    assert process.returncode == 130
    assert not out.exists()
