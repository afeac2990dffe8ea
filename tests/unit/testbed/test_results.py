"""What a run came to: growth of registers, bars, the exact keys of the JSON line."""

import csv
import json
from collections import Counter
from pathlib import Path

from messages.reading import Reading
from testbed.accounts import Accounts
from testbed.figures import Hour, sparkline, write_csv
from testbed.report import KWH, WH, tokens, unit_for
from testbed.results import Results, Totals, Verdict, json_line


def reading(sequence: int, imported: int, exported: int, epoch: int = 0) -> Reading:
    return Reading("m", "a", sequence, sequence * 1000, imported, exported, epoch)


def test_a_meter_grew_from_its_first_register_to_its_last() -> None:
    totals = Totals()
    for each in (reading(1, 100, 7), reading(2, 150, 7), reading(3, 151, 9)):
        totals.take(each)
    assert (totals.import_uwh, totals.export_uwh) == (51, 2)


def test_nothing_grows_over_registers_that_began_anew() -> None:
    totals = Totals()
    for each in (reading(1, 100, 0), reading(2, 5, 0, epoch=1), reading(3, 8, 0, epoch=1)):
        totals.take(each)
    assert totals.import_uwh == 3


def test_the_json_line_is_one_line() -> None:
    accounts = Accounts(Counter(register=3), Counter(register=2), (), (), 0)
    text = json_line(Results(), accounts, Verdict(7, bytes(32), True, 1, 2.5))
    assert "\n" not in text
    told = json.loads(text)
    assert told["readings_signed"] == 3
    assert told["readings_on_ledger"] == 2
    assert told["unaccounted_uwh"] is None
    assert told["wall_s"] == 2.5
    assert told["meters"] == []


def test_bars_are_scaled_and_never_hide_what_is_there() -> None:
    assert sparkline([0, 1, 50, 100], 100) == " ▁▄█"
    assert sparkline([0, 5], 0) == "  "


def test_figures_are_written_with_both_balances(tmp_path: Path) -> None:
    hour = Hour(7, 0, 20, 60, 60, 20, 0, 0, 40, 0)
    (path,) = write_csv(tmp_path / "figures", {"dep2": [hour]})
    with path.open() as stream:
        (row,) = csv.DictReader(stream)
    assert (row["unbalanced_uwh"], row["balanced_uwh"], row["curtailed_uwh"]) == ("-40", "0", "40")


def test_units_follow_what_is_shown() -> None:
    assert unit_for([60_000_000, 1_400_000_000]) is WH
    assert unit_for([20_000_000_000]) is KWH
    assert unit_for([]) is WH
    assert (WH.text(60_000_000), KWH.text(1_500_000_000)) == ("60.00", "1.50")
    assert (tokens(2_200), tokens(-9_400, signed=True)) == ("0.002200", "-0.009400")
