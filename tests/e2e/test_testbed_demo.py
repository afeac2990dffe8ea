"""The demo as a person starts it: one command, real processes, figures that can be checked."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from testbed.supervisor import free_port

ROOT = Path(__file__).parents[2]
KEYS = [
    "slots",
    "readings_signed",
    "readings_on_ledger",
    "lost",
    "duplicated",
    "refused",
    "unaccounted_uwh",
    "settlement_sum_utok",
    "matched_uwh",
    "curtailed_uwh",
    "settled_gross_utok",
    "telemetry_packs",
    "tree_size",
    "root",
    "verified",
    "wall_s",
    "meters",
]
WH = 1_000_000
HOMES = "home,slot,day,minute,interval_min,consumption_kwh,generation_kwh,pv_kw\n"


def command(module: str, *arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", module, *map(str, arguments)]


def run(module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(module, *arguments),
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
    )


@dataclass
class Finished:
    """A demo that ran to its end in a folder that stays."""

    state: Path
    stdout: str
    stderr: str
    result: dict[str, Any]

    def meter(self, name: str) -> dict[str, int]:
        found: dict[str, int] = next(m for m in self.result["meters"] if m["meter"] == name)
        return found

    def figure(self, member: str) -> list[dict[str, int]]:
        with (self.state / "figures" / f"{member}.csv").open() as stream:
            return [{k: int(v) for k, v in row.items()} for row in csv.DictReader(stream)]


def play(state: Path, *arguments: str | Path) -> Finished:
    port = str(free_port())  # other demos may run beside this one
    options = ("--exit", "--json", "--port", port, "--state", state)
    ended = run("testbed.cli", "demo", *options, *arguments)
    assert ended.returncode == 0, ended.stderr
    return Finished(state, ended.stdout, ended.stderr, json.loads(ended.stdout))


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return play(tmp_path_factory.mktemp("paper") / "demo", "--speed", "max")


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("homes")
    rows = [
        f"h{home},{slot},1,{slot * 15},15,0.{home}{slot}25,{0.3 if home == 1 else 0.0},4.0\n"
        for home in (1, 2, 3)
        for slot in range(8)
    ]
    path = folder / "homes.csv"
    path.write_text(HOMES + "".join(rows))
    options = ("--homes", path, "--speed", "max", "--homes-per-edge", "2")
    return play(folder / "demo", *options)


@pytest.mark.timeout(180)
def test_standard_output_is_one_line_with_every_key(paper: Finished) -> None:
    assert paper.stdout.count("\n") == 1
    assert list(paper.result) == KEYS
    assert "SIMULATION" in paper.stderr
    assert "http://127.0.0.1:" in paper.stderr


@pytest.mark.timeout(180)
def test_nothing_is_lost_and_money_is_conserved(paper: Finished) -> None:
    result = paper.result
    assert result["slots"] == 24
    # 19 meters, a register at each of 25 slot edges, a pack for each of 24 slots.
    assert result["readings_signed"] == result["readings_on_ledger"] == 19 * 25
    assert result["telemetry_packs"] == 19 * 24
    assert (result["lost"], result["duplicated"], result["refused"]) == (0, 0, 0)
    assert result["settlement_sum_utok"] == 0
    assert result["settled_gross_utok"] > 0
    assert result["verified"] is True
    assert len(bytes.fromhex(result["root"])) == 32


@pytest.mark.timeout(180)
def test_at_seven_sixty_are_wanted_twenty_are_had_and_the_load_is_cut_to_twenty(
    paper: Finished,
) -> None:
    """Paper 000, section 5. Paper kilowatts are bench watts, a slot is an hour: so watt-hours."""
    hour = paper.figure("dep2")[7]
    assert hour["slot"] == 7
    assert hour["generated_uwh"] == 20 * WH
    assert hour["wanted_uwh"] == hour["estimated_wanted_uwh"] == 60 * WH
    assert hour["consumed_uwh"] == 20 * WH
    assert hour["curtailed_uwh"] == 40 * WH
    assert (hour["bought_uwh"], hour["sold_uwh"]) == (0, 0)
    assert (hour["unbalanced_uwh"], hour["balanced_uwh"]) == (-40 * WH, 0)
    for other in ("dep1", "dep3"):
        assert paper.figure(other)[7]["curtailed_uwh"] == 0
        assert paper.figure(other)[7]["unbalanced_uwh"] == 0


@pytest.mark.timeout(180)
def test_figures_meters_and_sums_agree(paper: Finished) -> None:
    members = ("dep1", "dep2", "dep3")
    hours = [row for member in members for row in paper.figure(member)]
    assert len(hours) == 3 * 24
    assert sum(row["sold_uwh"] for row in hours) == paper.result["matched_uwh"]
    assert sum(row["bought_uwh"] for row in hours) == paper.result["matched_uwh"]
    assert sum(row["curtailed_uwh"] for row in hours) == paper.result["curtailed_uwh"]
    for member in members:
        rows = paper.figure(member)
        generated = sum(row["generated_uwh"] for row in rows)
        consumed = sum(row["consumed_uwh"] for row in rows)
        assert paper.meter(f"{member}-generation")["export_uwh"] == generated
        assert paper.meter(f"{member}-consumption")["import_uwh"] == consumed
        loads = ("lamp", "fan", "pump", "heater")
        parts = [paper.meter(f"{member}-{load}")["import_uwh"] for load in loads]
        assert sum(parts) == consumed
        # Nobody buys from or sells to himself beyond what he has, and no one is left in deficit.
        assert all(row["balanced_uwh"] >= 0 for row in rows)


@pytest.mark.timeout(180)
def test_what_is_unaccounted_are_the_wires(paper: Finished) -> None:
    """Losses of three 20 mOhm wires in a day, within the steps of a 5 mOhm shunt at 12.5 V."""
    assert 0 < paper.result["unaccounted_uwh"] < 12 * WH


@pytest.mark.timeout(180)
@pytest.mark.timeout(180)
def test_fourteen_models_of_meters_carry_energy_to_the_ledger_alike(tmp_path: Path) -> None:
    """Each home has other meters; what they say differs by the steps of their counters only."""
    rows = [
        f"h{home},{slot},60,{slot * 60},60,1.7,{2.3 if slot > 1 else 0.0},2.3\n"
        for home in range(14)
        for slot in range(4)
    ]
    path = tmp_path / "homes.csv"
    path.write_text(HOMES + "".join(rows))
    demo = ("--scenario", "mixed_meters", "--homes", path, "--speed", "max")
    street = play(tmp_path / "demo", *demo)
    assert (
        len(set(re.findall(r'model = "(\w+)"', (street.state / "edge-street1.toml").read_text())))
        == 14
    )
    assert street.result["readings_on_ledger"] == street.result["readings_signed"] == 28 * 5
    assert (street.result["lost"], street.result["duplicated"]) == (0, 0)
    assert (street.result["refused"], street.result["verified"]) == (0, True)
    coarsest_uwh = 100 * WH  # the EM24 and EM112 count in 0.1 kWh
    for home in range(14):
        consumption = street.meter(f"h{home}-consumption")["import_uwh"]
        generation = street.meter(f"h{home}-generation")["export_uwh"]
        assert abs(consumption - 6800 * WH) <= coarsest_uwh, home
        assert abs(generation - 4600 * WH) <= coarsest_uwh, home


@pytest.mark.parametrize("verb", ["verify", "audit", "status"])
def test_every_command_can_be_tried_on_what_stays(paper: Finished, verb: str) -> None:
    ended = run("hub.cli", verb, "--json", "--config", paper.state / "hub.toml")
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    if verb == "verify":
        assert (told["size"], told["root"]) == (paper.result["tree_size"], paper.result["root"])


@pytest.mark.timeout(180)
def test_an_edge_command_can_be_tried_on_what_stays(paper: Finished) -> None:
    ended = run("edge.cli", "status", "--json", "--config", paper.state / "edge-dep1.toml")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["node"] == "dep1"


@pytest.mark.timeout(180)
def test_a_folder_with_a_finished_run_is_not_played_over(paper: Finished) -> None:
    ended = run("testbed.cli", "demo", "--exit", "--state", paper.state)
    assert ended.returncode == os.EX_USAGE
    assert "holds a finished run" in ended.stderr
    assert ended.stdout == ""


@pytest.mark.timeout(180)
def test_homes_are_metered_as_the_file_says(homes: Finished) -> None:
    """Within the steps of the SDM120's float registers: 0.06 uWh a kWh below 1 kWh, so < 1 mWh."""
    for home in (1, 2, 3):
        wanted = sum(round(float(f"0.{home}{slot}25") * 1000 * WH) for slot in range(8))
        made = 8 * 300 * WH if home == 1 else 0
        consumption, generation = (
            homes.meter(f"h{home}-{purpose}") for purpose in ("consumption", "generation")
        )
        assert abs(consumption["import_uwh"] - wanted) < 1000
        assert abs(generation["export_uwh"] - made) < 1000
        assert (consumption["export_uwh"], generation["import_uwh"]) == (0, 0)


@pytest.mark.timeout(180)
def test_homes_have_no_boundary_and_shed_nothing(homes: Finished) -> None:
    result = homes.result
    assert result["slots"] == 8
    assert result["readings_on_ledger"] == result["readings_signed"] == 6 * 9
    assert result["unaccounted_uwh"] is None
    assert (result["curtailed_uwh"], result["settlement_sum_utok"]) == (0, 0)
    assert result["matched_uwh"] > 0
    assert len(list(homes.state.glob("edge-*.toml"))) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (
            ("--scenario", "nowhere"),
            78,
            "no scenario 'nowhere': it is one of broker_down, cloud, evening_peak",
        ),
        (("--scenario", "homes"), 78, "give them with --homes FILE"),
        (("--homes", "nowhere.csv"), 65, "nowhere.csv: cannot be read"),
        (("--speed", "fast"), 78, "--speed fast: wanted a number from 0.01 up, or max"),
        (("--broker", "hivemq"), 78, "--broker hivemq: it is embedded or mosquitto"),
    ],
)
def test_what_cannot_be_played_is_one_sentence(
    arguments: tuple[str, ...], code: int, says: str
) -> None:
    ended = run("testbed.cli", "demo", "--exit", *arguments)
    assert ended.returncode == code
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_a_bad_homes_file_ends_with_65(tmp_path: Path) -> None:
    path = tmp_path / "homes.csv"
    path.write_text(HOMES + "h01,0,1,0,60,-1,0,4\n")
    ended = run("testbed.cli", "demo", "--homes", path)
    assert ended.returncode == 65
    assert f"{path}:2: consumption_kwh is -1" in ended.stderr


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    options = ("--speed", "max", "--port", str(free_port()), "--state", tmp_path / "demo")
    arguments = command("testbed.cli", "demo", *options)
    child = subprocess.Popen(
        arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    yield child
    if child.poll() is None:
        child.kill()
        child.wait()
    for stream in (child.stdout, child.stderr):
        if stream is not None:
            stream.close()


@pytest.mark.timeout(180)
def test_without_exit_it_serves_until_ctrl_c_and_leaves_nothing_behind(
    serving: subprocess.Popen[str],
) -> None:
    assert serving.stderr is not None
    url = ""
    for line in serving.stderr:
        if "Still serving" in line:
            url = line.split()[2]
            break
    assert url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(f"{url}/healthz", timeout=10) as answer:
        assert answer.status == 200
    children = psutil.Process(serving.pid).children(recursive=True)
    # Broker, hub, page, three guards, four edges.
    assert len(children) == 10
    serving.send_signal(signal.SIGINT)
    assert serving.wait(30) == 0
    deadline = time.monotonic() + 5
    while any(c.is_running() and c.status() != psutil.STATUS_ZOMBIE for c in children):
        assert time.monotonic() < deadline, "a child was left behind"
        time.sleep(0.05)
    assert serving.stdout is not None
    shown = serving.stdout.read()
    assert "ledger verified" in shown
    assert "Who sold to whom" in shown
