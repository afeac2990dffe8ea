"""Faults of whole programs, played on small ones of our own."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge.boots import SHORT_BOOTS_MAX, boots_file, read_short
from hub.errors import LedgerBehind
from hub.ledger.store import Store
from hub.ledger.verify import verify
from testbed.errors import Unplayable
from testbed.faults import clock as clock_module
from testbed.faults import disk as disk_module
from testbed.faults.disk import Mode
from testbed.supervisor import Program, Supervisor
from testbed.switchboard import programs as module
from testbed.switchboard.ledgers import LedgerEdited, LedgerRolledBack
from testbed.switchboard.programs import (
    BadDisk,
    ClockAhead,
    Hung,
    Killed,
    Looping,
    Programs,
)
from tests.support.edge_node import wait_until
from tests.support.small_ledger import SmallHub

SLEEPER = (sys.executable, "-c", "import time\nwhile True: time.sleep(0.05)")
"""Says nothing and never ends."""
COUNTER = "\n".join(
    (
        "import sys, time, pathlib",
        "from edge.boots import Boots",
        "with Boots(pathlib.Path(sys.argv[1]), 'guard'):",
        "    time.sleep(3600)",
    )
)
"""Counts its lives, as a guard does."""
ENDED = (sys.executable, "-c", "print('no more'); raise SystemExit(3)")


@dataclass
class Place:
    """Where an installation would lie."""

    folder: Path

    def edge_toml(self, node: str) -> Path:
        return self.folder / f"edge-{node}.toml"


@dataclass
class Barrier:
    """Who is connected to the clock."""

    joined: set[str] = field(default_factory=set)


@dataclass
class Bench:
    """What of a stage the faults of programs need."""

    supervisor: Supervisor
    installation: Place
    clock: Barrier = field(default_factory=Barrier)

    def start(self, name: str, *command: str) -> Programs:
        self.supervisor.start(Program(name, command or SLEEPER, self.installation.folder))
        return Programs(self, self.installation.folder)  # type: ignore[arg-type]

    def is_alive(self, name: str) -> bool:
        return self.supervisor.children[name].is_alive

    def pid(self, name: str) -> int:
        return self.supervisor.children[name].process.pid

    def state(self, name: str) -> str:
        """The one letter that the kernel has for a process: T is stopped."""
        stat = Path(f"/proc/{self.pid(name)}/stat").read_text()
        return stat.rpartition(")")[2].split()[0]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Supervisor(tmp_path / "logs") as supervisor:
        yield Bench(supervisor, Place(tmp_path))


def test_a_killed_program_stays_away_until_it_is_brought_back(bench: Bench) -> None:
    programs = bench.start("edge-dep1")
    killed = Killed(programs, "edge-dep1")
    killed.turn(True)
    assert killed.is_on
    assert not bench.is_alive("edge-dep1")
    assert programs.nodes_away == {"dep1"}
    assert programs.look() == []  # nobody brings it back, and it is no news
    assert not bench.is_alive("edge-dep1")
    killed.turn(False)
    assert bench.is_alive("edge-dep1")
    assert programs.nodes_away == frozenset()


def test_a_frozen_program_goes_on_where_it_was(bench: Bench) -> None:
    programs = bench.start("hub")
    pid, hung = bench.pid("hub"), Hung(programs, "hub")
    hung.turn(True)
    wait_until(lambda: bench.state("hub") == "T", 10, "a frozen program")
    assert hung.is_on
    hung.turn(False)
    wait_until(lambda: bench.state("hub") != "T", 10, "a program that goes on")
    assert bench.pid("hub") == pid


def test_a_frozen_program_that_is_killed_is_frozen_no_more(bench: Bench) -> None:
    programs = bench.start("hub")
    hung, killed = Hung(programs, "hub"), Killed(programs, "hub")
    hung.turn(True)
    killed.turn(True)
    assert (hung.is_on, killed.is_on) == (False, True)
    killed.turn(False)
    assert bench.is_alive("hub")


def test_a_program_that_ended_by_itself_is_told_once_and_started_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = bench.start("hub", *ENDED)
    wait_until(lambda: not bench.is_alive("hub"), 20, "an end")
    assert programs.look() == ["hub ended by itself: no more"]
    assert programs.look() == []
    monkeypatch.setattr(module, "AGAIN_AFTER_S", 0.0)
    assert programs.look() == []
    assert bench.supervisor.children["hub"].restarts == 1


def test_a_program_with_a_reason_to_end_stays_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_AFTER_S", 0.0)
    programs = bench.start("hub", *ENDED)
    programs.let_end("hub", True)
    wait_until(lambda: not bench.is_alive("hub"), 20, "an end")
    assert [programs.look() for _ in range(3)] == [["hub ended by itself: no more"], [], []]
    assert bench.supervisor.children["hub"].restarts == 0


def test_a_program_in_a_loop_is_killed_until_it_is_held(bench: Bench, tmp_path: Path) -> None:
    state, toml = tmp_path / "state-dep1", tmp_path / "edge-dep1.toml"
    toml.write_text('[guard]\nsocket = "guard.sock"\n')
    programs = bench.start("guard-dep1", sys.executable, "-c", COUNTER, str(state))
    file, looping = boots_file(state, "guard"), Looping(programs, "guard-dep1")
    wait_until(lambda: read_short(file) == 1, 20, "its first life")
    looping.turn(True)
    wait_until(
        lambda: programs.look() == [] and read_short(file) > SHORT_BOOTS_MAX, 40, "the last life"
    )
    assert looping.is_on
    assert toml.read_text() == '[guard]\nshort_boots_max = 5\nsocket = "guard.sock"\n'
    held = bench.pid("guard-dep1")
    assert programs.look() == []
    assert bench.pid("guard-dep1") == held
    looping.turn(False)
    assert not looping.is_on
    wait_until(
        lambda: programs.look() == [] and bench.pid("guard-dep1") != held, 20, "another life"
    )
    wait_until(lambda: read_short(file) == 1, 20, "a count that began anew")
    assert toml.read_text() == '[guard]\nsocket = "guard.sock"\n'


# --- what is put between a program and its machine


def test_a_disk_is_bad_in_one_way_at_a_time(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "none.so"
    monkeypatch.setattr(disk_module, "build", lambda _source, _folder: library)
    monkeypatch.setattr(module, "YOUNG_S", 0.0)
    programs = bench.start("hub")
    full, broken = BadDisk(programs, "hub", Mode.FULL), BadDisk(programs, "hub", Mode.NO_SYNC)
    before = bench.pid("hub")
    full.turn(True)
    on_it = bench.pid("hub")
    assert on_it != before
    disk = programs.disk("hub")
    assert disk.folder == tmp_path
    assert programs.look() == []
    assert disk.file.read_text() == "right"  # it could not even start on a full disk
    bench.clock.joined.add("hub")
    assert programs.look() == []
    assert (full.is_on, broken.is_on, disk.file.read_text()) == (True, False, "full")
    broken.turn(True)
    assert (full.is_on, broken.is_on, disk.file.read_text()) == (False, True, "nosync")
    broken.turn(False)
    assert (full.is_on, broken.is_on, disk.file.read_text()) == (False, False, "right")
    assert bench.pid("hub") == on_it  # it recovers without a restart
    assert bench.supervisor.children["hub"].program.environment == disk.environment()


def test_a_clock_is_wrong_and_right_again(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock_module, "build", lambda _source, _folder: Path("/none.so"))
    clock = ClockAhead(bench.start("hub"), "hub")
    clock.turn(True)
    assert clock.is_on
    file = bench.supervisor.children["hub"].program.environment["GRIDTALLY_CLOCK"]
    assert Path(file).read_text() == f"{module.JUMP_S}\n"
    clock.turn(False)
    assert not clock.is_on
    assert Path(file).read_text() == "0\n"


def test_a_wrong_clock_keeps_the_bad_disk(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_module, "build", lambda _source, _folder: Path("/disk.so"))
    monkeypatch.setattr(clock_module, "build", lambda _source, _folder: Path("/clock.so"))
    programs = bench.start("edge-dep1")
    disk, clock = programs.disk("edge-dep1"), programs.clock("edge-dep1")
    assert disk.folder == tmp_path / "state-dep1"
    environment = bench.supervisor.children["edge-dep1"].program.environment
    together = {**disk.environment(), **clock.environment()}
    assert environment == {**together, "LD_PRELOAD": "/clock.so /disk.so"}


# --- the ledger's file


@pytest.fixture
def ledger(bench: Bench) -> Iterator[SmallHub]:
    """A ledger with readings, and a hub and a page that do nothing about it."""
    hub = SmallHub(bench.installation.folder)
    hub.enrol()
    hub.store.append([hub.reading(), hub.reading()])
    hub.checkpoint()
    with hub.store:
        yield hub


def test_an_edited_reading_is_found_and_mended(bench: Bench, ledger: SmallHub) -> None:
    bench.start("web")
    edited = LedgerEdited(bench.start("hub"), ledger.path)
    edited.turn(True)
    assert edited.is_on
    (found, *_) = verify(ledger.url, ledger.trust).findings
    assert found.startswith("entry ")
    ledger.store.append([ledger.reading()])  # the hub goes on: it has not seen it
    edited.turn(False)
    assert not edited.is_on
    ledger.checkpoint()
    assert verify(ledger.url, ledger.trust).findings == ()
    with (
        closing(sqlite3.connect(ledger.path)) as connection,
        pytest.raises(sqlite3.IntegrityError),
    ):
        connection.execute("UPDATE entry SET raw = x'00'")  # the triggers are there again


def test_a_ledger_without_a_reading_has_nothing_to_edit(bench: Bench, tmp_path: Path) -> None:
    hub = SmallHub(tmp_path)
    edited = LedgerEdited(bench.start("hub"), hub.path)
    with hub.store, pytest.raises(Unplayable, match="no reading yet"):
        edited.turn(True)
    assert not edited.is_on


def test_the_ledger_is_an_old_copy_and_then_itself_again(bench: Bench, ledger: SmallHub) -> None:
    bench.start("web")
    programs = bench.start("hub")
    rolled_back = LedgerRolledBack(programs, ledger.path)
    size = ledger.store.size
    ledger.store.append([ledger.reading()])
    ledger.checkpoint()
    ledger.store.close()
    rolled_back.turn(True)
    with pytest.raises(LedgerBehind):
        Store.open(ledger.url).close()
    with Store.open(ledger.url, read_only=True) as old:
        assert old.size == size
    rolled_back.turn(False)
    with Store.open(ledger.url) as again:
        assert again.size == size + 1
    assert verify(ledger.url, ledger.trust).findings == ()
