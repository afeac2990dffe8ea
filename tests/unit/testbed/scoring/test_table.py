"""Scores for people and for programs."""

import json
from dataclasses import replace
from pathlib import Path

from typer.testing import CliRunner

from testbed.cli import app
from testbed.scenario import scored
from testbed.scoring.outcome import Outcome, json_line
from testbed.scoring.playing import Played
from testbed.scoring.table import lines, page, verdict
from testbed.scoring.tally import Score
from tests.support.small_scenario import small

DOCS = Path(__file__).parents[4] / "docs"
GOOD = Score(10_000, 1_234, 5, 400, 1, 400, 3, 0)


def outcome(folder: Path, **ours: Score) -> Outcome:
    scenario = small(folder)
    baselines = {"no control": replace(GOOD, time_to_safe_ms=9_000, collapses=2)}
    scores = baselines | {"threshold": replace(GOOD, not_served_mwh=2_000)} | ours
    runs = tuple(Played(scenario, name, score) for name, score in scores.items())
    return Outcome("small", scenario, runs)


def test_the_best_keeps_its_limits_first_and_serves_most_then(tmp_path: Path) -> None:
    made = outcome(
        tmp_path,
        rotation=replace(GOOD, not_served_mwh=1, time_to_safe_ms=1_200),
        price=replace(GOOD, not_served_mwh=900),
        priority=GOOD,
    )
    assert made.best is not None
    assert made.best.control == "price"
    assert verdict(made) == (
        "Best of ours: price, 1.10 Wh less not served than with threshold control, no limit "
        "exceeded for longer than a cycle. In the same order of importance, priority: 0.76 Wh less "
        "not served."
    )


def test_where_ours_is_worse_it_says_so(tmp_path: Path) -> None:
    worse = replace(GOOD, not_served_mwh=2_500, time_to_safe_ms=3_000)
    said = verdict(outcome(tmp_path, price=worse))
    assert "0.50 Wh MORE not served" in said
    assert "a limit EXCEEDED for longer" in said


def test_a_table_has_a_row_a_control(tmp_path: Path) -> None:
    rows = list(lines(outcome(tmp_path, priority=GOOD)))
    assert rows[0] == "small: one home (10.00 Wh wanted)"
    assert rows[4].split() == ["priority", "1.23", "0.00", "0.4", "0.00", "0.4", "3", "0"]
    assert len({len(row) for row in rows[1:5]}) == 1


def test_json_is_one_line_with_every_figure(tmp_path: Path) -> None:
    text = json_line([outcome(tmp_path, priority=GOOD)])
    (scenario,) = json.loads(text)["scenarios"]
    assert "\n" not in text
    assert (scenario["scenario"], scenario["seed"], scenario["best"]) == ("small", 1, "priority")
    assert scenario["controls"][2]["not_served_mwh"] == 1_234
    assert [each["control"] for each in scenario["controls"]] == [
        "no control",
        "threshold",
        "priority",
    ]


def test_the_page_of_the_documentation_has_every_scenario() -> None:
    text = (DOCS / "reliability-scenarios.md").read_text("utf-8")
    for name in scored():
        assert f"## {name}\n" in text


def test_the_page_marks_the_best(tmp_path: Path) -> None:
    text = page([outcome(tmp_path, priority=GOOD)])
    assert "| **priority** | 1.23 |" in text
    assert text.endswith("cycle.\n")


def test_the_command_prints_one_line_of_json_and_writes_the_page(tmp_path: Path) -> None:
    small(tmp_path)
    arguments = ["score", str(tmp_path / "small.toml"), "--policy", "priority", "--seed", "2"]
    out = tmp_path / "page.md"
    ended = CliRunner().invoke(app, [*arguments, "--json", "--out", str(out)])
    assert ended.exit_code == 0, ended.output
    (scenario,) = json.loads(ended.stdout)["scenarios"]
    assert (scenario["scenario"], scenario["seed"]) == ("small", 2)
    assert "## small\n" in out.read_text("utf-8")


def test_the_command_says_which_scenarios_there_are() -> None:
    ended = CliRunner().invoke(app, ["score", "outrage"])
    assert ended.exit_code == 78
    assert "no scenario 'outrage': it is one of" in ended.stderr
