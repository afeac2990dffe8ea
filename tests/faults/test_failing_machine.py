"""The disk that fails and the clock that jumps, tried on a small process before on large ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testbed.faults.clock import WrongClock
from testbed.faults.disk import FailingDisk, Mode
from testbed.supervisor import child_environment
from tests.support.needs import needs

# Does each line of its input and says what came of it.
WRITER = """
import os, shutil, sqlite3, sys, threading, time
open("disk/ballast", "wb").write(bytes(20000))
base = sqlite3.connect("disk/some.db", isolation_level=None)
base.execute("PRAGMA journal_mode=WAL")
base.execute("PRAGMA synchronous=FULL")
base.execute("CREATE TABLE t(x)")
for line in sys.stdin:
    try:
        if line == "write\\n":
            base.execute("INSERT INTO t VALUES (randomblob(9000))")
            print(base.execute("SELECT count(*) FROM t").fetchone()[0], flush=True)
        elif line == "free\\n":
            print(shutil.disk_usage("disk").free, flush=True)
        elif line == "beside\\n":
            open("beside", "w").write("x")
            print("written", flush=True)
        elif line == "large\\n":
            with open("disk/new", "wb", buffering=0) as file:
                file.write(bytes(9000))
            print("written", flush=True)
        elif line == "make\\n":
            open("disk/new", "w").close()
            print("made", flush=True)
        elif line == "give\\n":
            os.unlink("disk/ballast")
            print("given", flush=True)
        elif line == "clocks\\n":
            boot = time.clock_gettime(time.CLOCK_BOOTTIME)
            time.sleep(0.01)
            lock = threading.Lock()
            lock.acquire()
            lock.acquire(timeout=0.01)
            print(time.time(), time.monotonic(), boot, flush=True)
    except sqlite3.OperationalError as error:
        print(error.sqlite_errorname, flush=True)
    except OSError as error:
        print(error.strerror, flush=True)
"""


class Writer:
    """The process, asked line by line."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        (folder / "disk").mkdir(exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-c", WRITER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=child_environment() | environment,
        )

    def ask(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        self._process.communicate(timeout=20)


@contextmanager
def writer(folder: Path, environment: dict[str, str]) -> Iterator[Writer]:
    made = Writer(folder, environment)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def disk(tmp_path: Path) -> FailingDisk:
    needs("gcc")
    (tmp_path / "disk").mkdir()
    return FailingDisk.right(tmp_path / "disk", tmp_path, "mode")


def test_a_disk_fails_as_told_and_recovers(disk: FailingDisk, tmp_path: Path) -> None:
    with writer(tmp_path, disk.environment()) as process:
        assert process.ask("write") == "1"
        assert int(process.ask("free")) > 0
        disk.be(Mode.FULL)
        assert process.ask("write") == "SQLITE_FULL"
        assert process.ask("free") == "0"
        assert process.ask("large") == "No space left on device"
        assert process.ask("beside") == "written"
        assert process.ask("give") == "given"
        assert process.ask("large") == "written"
        disk.be(Mode.READ_ONLY)
        assert process.ask("write") in ("SQLITE_READONLY", "SQLITE_IOERR_WRITE")
        assert process.ask("make") == "Read-only file system"
        disk.be(Mode.NO_SYNC)
        assert process.ask("write") == "SQLITE_IOERR_FSYNC"
        disk.be(Mode.SHORT)
        assert process.ask("write") == "2"
        disk.be(Mode.RIGHT)
        assert process.ask("write") == "3"
        assert process.ask("make") == "made"


def test_the_wall_clock_jumps_and_no_other(tmp_path: Path) -> None:
    needs("gcc")
    clock = WrongClock.right(tmp_path)
    with writer(tmp_path, clock.environment()) as process:
        before = [float(each) for each in process.ask("clocks").split()]
        clock.jump(-20 * 365 * 86_400)
        after = [float(each) for each in process.ask("clocks").split()]
    assert before[0] - after[0] == pytest.approx(20 * 365 * 86_400, abs=60)
    assert 0 <= after[1] - before[1] < 60
    assert 0 <= after[2] - before[2] < 60
