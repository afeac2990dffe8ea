"""What a ledger of a million entries costs whoever works with it: time, memory, disk.

Built by `bench.longlog`, then each command as a process of its own, as an operator runs it: audit,
verify, one proof, static tiles, the same tiles checked by `gridtally-verify` that knows only the
log's key, a verified copy, and a hub that was killed and starts again. Memory is the most that any
one process of the command held.

    python -m bench million
    python -m bench.million FOLDER          one that `python -m bench.longlog FOLDER` made
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bench.figure import Figure
from bench.longlog import Log, build, measured_there
from bench.restart import time_process
from hub.config import HubConfig, load_config
from hub.ledger.store import Store

ROOT: Final = Path(__file__).parent.parent
STARTS: Final = 3
KIB: Final = 1024
MIB: Final = 1 << 20


class Ran(NamedTuple):
    """What a command took: by the clock, in all its processes, and the largest of them."""

    wall_s: float
    cpu_s: float
    memory_mb: float


def run(*, quick: bool) -> Iterator[Figure]:
    """Build the ledger, then run every command on it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start_s = time.monotonic()
        build(folder, Log.of(20_000 if quick else 1_000_000))
        yield Figure("ledger: built, on two processors", time.monotonic() - start_s, "s")
        yield from use(folder)


def use(folder: Path) -> Iterator[Figure]:
    """Run every command on a ledger that is there."""
    config = load_config(folder / "hub.toml")
    with Store.open(config.database, read_only=True) as store:
        size, path = store.size, Path(store.engine.url.database.removeprefix("file:"))
    name = f"ledger of {size:,} entries"
    yield Figure(f"{name}: file", path.stat().st_size / MIB, "MB", None, _each(path, size))
    for what, command in _commands(config, folder, size).items():
        ran = run_command(command)
        rate = f"{size / ran.wall_s:,.0f} entries/s; " if ran.wall_s > 5 else ""
        note = f"{rate}CPU {ran.cpu_s:.0f} s, at most {ran.memory_mb:.0f} MB in a process"
        print(f"{what}: {ran}", file=sys.stderr)
        yield Figure(f"{name}: {what}", ran.wall_s, "s", None, note)
    tiles = sum(file.stat().st_size for file in (folder / "tiles").rglob("*") if file.is_file())
    yield Figure(f"{name}: tiles", tiles / MIB, "MB", None, f"{tiles / size:.0f} bytes an entry")
    starts = [time_process(folder) for _ in range(STARTS)]
    yield Figure(f"{name}: start after a kill", max(starts), "s", None, f"worst of {STARTS}")


def _each(path: Path, size: int) -> str:
    return f"{path.stat().st_size / size:.0f} bytes an entry, with its books and snapshots"


def _commands(config: HubConfig, folder: Path, size: int) -> dict[str, list[str]]:
    here = ["-c", str(folder / "hub.toml")]
    hub = [sys.executable, "-m", "hub.cli"]
    verify = [sys.executable, "-m", "member.verify"]
    tiles = folder / "tiles"
    return {
        "audit": [*hub, "audit", *here],
        "verify": [*hub, "verify", *here],
        "prove one entry": [*hub, "prove", *here, str(size // 3)],
        "export of tiles": [*hub, "export", *here, "--tiles", str(tiles)],
        "tiles checked by gridtally-verify": [
            *(*verify, "entries", str(tiles)),
            *("--trust", str(folder / config.trust)),
        ],
        "backup, verified": [*hub, "backup", *here, str(folder / "copy.db")],
    }


def run_command(command: list[str]) -> Ran:
    """Run a command to its end; it must end well."""
    start_s = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.monotonic() - start_s
        if process.returncode:
            said.seek(0)
            raise SystemExit(said.read()[-2_000:].decode(errors="replace"))
    return Ran(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / KIB)


if __name__ == "__main__":
    sys.exit(measured_there("million", __doc__ or "", use, sys.argv[1:]))
