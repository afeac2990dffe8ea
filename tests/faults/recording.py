"""Run a process under the recorder, on a file system whose syncs cost nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.crash_states import Record, read_records
from tests.support.needs import needs

SHIM = Path(__file__).parent / "shim" / "record_io.c"
ROOT = Path(__file__).parents[2]
MEMORY = Path("/dev/shm")  # the record says what was synced; nothing else is needed of the disk


def build_shim(folder: Path) -> Path:
    """Compile the recorder."""
    built = folder / "record_io.so"
    command = [needs("gcc"), "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*command, "-o", str(built), str(SHIM), "-ldl"], check=True, timeout=60)
    return built


def recorded_environment(shim: Path, disk: Path, log: Path) -> dict[str, str]:
    """Return what a process needs to be recorded, and its children with it."""
    return {
        "LD_PRELOAD": str(shim),
        "GRIDTALLY_RECORD_DIR": str(disk),
        "GRIDTALLY_RECORD_LOG": str(log),
    }


def run_recorded(
    shim: Path, folder: Path, module: str, *arguments: str, timeout_s: float = 50
) -> Path:
    """Run one of our modules under the recorder; return the folder that it wrote below."""
    disk = folder / "disk"
    disk.mkdir()
    environment = os.environ | recorded_environment(shim, disk, folder / "log")
    ended = subprocess.run(
        [sys.executable, "-m", module, *(each.replace("DISK", str(disk)) for each in arguments)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-4_000:]
    return disk


def records_of(folder: Path) -> list[list[Record]]:
    """Return what each process did, in the order of their starts."""
    logs = sorted(folder.glob("log.*"), key=lambda log: int(log.suffix[1:]))
    return [read_records(log) for log in logs]


@contextmanager
def fast_folder() -> Iterator[Path]:
    """Yield a folder in memory where there is one, since a thousand states are opened in it."""
    parent = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="gridtally-", dir=parent) as folder:
        yield Path(folder)
