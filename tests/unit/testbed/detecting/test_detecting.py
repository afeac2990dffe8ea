"""The trial of the detector: repeatable, and its figures add up."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from hub.watching.suspects import Rules
from testbed.cli import app
from testbed.detecting.cli import rows_of, table_of
from testbed.detecting.street import HOUR_MS, drawn_street
from testbed.detecting.trials import BYPASSED, HONEST, LYING, Case, Outcome, play


def test_a_street_follows_from_its_seed() -> None:
    assert drawn_street(7) == drawn_street(7)
    assert drawn_street(7) != drawn_street(8)
    assert {len(house.used_wh) for house in drawn_street(7)} == {28 * 24}


def test_a_trial_finds_half_a_meter_and_counts_whom_it_named_wrongly() -> None:
    street = drawn_street(1)[:6]
    lying = play(street, HOUR_MS, Case(LYING, 0.5), 11, Rules())
    assert lying == play(street, HOUR_MS, Case(LYING, 0.5), 11, Rules())
    assert lying.after_ms is not None
    assert 0 < lying.after_ms <= 14 * 24 * HOUR_MS
    deaf = play(street, HOUR_MS, Case(LYING, 0.5), 11, Rules(score_min=1e6))
    assert (deaf.after_ms, deaf.wrongly) == (None, 0)


def test_the_table_has_rates_times_and_false_alarms() -> None:
    lying = Case(LYING, 0.5)
    outcomes = [
        Outcome(Case(HONEST), None, 1, unowned=False, meter_ms=365 * 24 * HOUR_MS),
        Outcome(lying, 48 * HOUR_MS, 0, unowned=False, meter_ms=HOUR_MS),
        Outcome(lying, None, 0, unowned=True, meter_ms=HOUR_MS),
        Outcome(Case(BYPASSED, 1.0), None, 0, unowned=False, meter_ms=HOUR_MS),
    ]
    rows = list(rows_of(outcomes))
    assert [(row["found"], row["trials"]) for row in rows] == [(0, 1), (1, 2), (0, 1)]
    assert (rows[0]["false_per_meter_year"], rows[1]["median_h"]) == (1.0, 48)
    lines = list(table_of(rows))
    assert "| honest | nothing to find | - | 1 | 1.00 in 1.0 |" in lines
    assert "| lying_meter, 50% | 1 of 2 | 48 h, 48 h | 0 | 0.00 in 0.0 |" in lines


def test_the_command_refuses_homes_that_are_too_short(tmp_path: Path) -> None:
    rows = [f"h1,{slot},60,0.5,0" for slot in range(48)]
    text = "home,slot,interval_min,consumption_kwh,generation_kwh\n" + "\n".join(rows)
    (tmp_path / "homes.csv").write_text(text)
    done = CliRunner().invoke(app, ["detect", "--homes", str(tmp_path / "homes.csv"), "--json"])
    assert done.exit_code == 65
    assert "2 days of slots" in done.stderr
    assert done.stdout == "" or json.loads(done.stdout) is None
