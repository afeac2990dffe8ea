"""How soon a new node can vouch for a long ledger: behind a snapshot, slowed down, from genesis.

The ledger's page and the replica are processes on loopback, as operators run them. A replica begins
behind the newest snapshot that a block header vouches for: once with all of the machine, once with
a fifth of one processor (stopped and let go on by signals, fifty times a second). Then one begins
with entry 0 and executes everything again. It *vouches* when it has executed up to the newest
checkpoint; it is *whole* when it has every entry from before the snapshot, too, each checked
against the signed tree.

    python -m bench joining
    python -m bench.joining FOLDER          on what `python -m bench.longlog FOLDER` made
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.figure import Figure
from bench.longlog import Log, build, measured_there
from hub.config import load_config
from hub.ledger.store import Store
from testbed.supervisor import free_port

ROOT: Final = Path(__file__).parent.parent
TURN_S: Final = 0.02
SHARE: Final = 0.2
LOOK_S: Final = 0.1
START_WITHIN_S: Final = 60.0
END_WITHIN_S: Final = 60.0
KIB: Final = 1024
MIB: Final = 1 << 20


class Joined(NamedTuple):
    """What joining took: until it vouches, until it is whole, of processors, memory and disk."""

    vouches_s: float
    whole_s: float
    cpu_s: float
    memory_mb: float
    disk_mb: float
    began: str


def run(*, quick: bool) -> Iterator[Figure]:
    """Build the ledger, then let new nodes join it."""
    with tempfile.TemporaryDirectory() as name:
        build(Path(name), Log.of(20_000 if quick else 1_000_000))
        yield from use(Path(name))


def use(folder: Path) -> Iterator[Figure]:
    """Let new nodes join a ledger that is there."""
    config = load_config(folder / "hub.toml")
    with Store.open(config.database, read_only=True) as store:
        size = store.size
    port = free_port()
    toml = folder / "web.toml"
    text = (folder / "hub.toml").read_text().replace("port = 8088", f"port = {port}")
    toml.write_text(text)
    page = start("hub.cli", "web", "-c", str(toml))
    try:
        wait_up(port, page)
        for name, how, share in (
            ("behind a snapshot", "snapshot", 1.0),
            ("behind a snapshot, a fifth of a processor", "snapshot", SHARE),
            ("from genesis", "genesis", 1.0),
        ):
            found = join(folder, port, how, share, size)
            print(f"{name}: {found}", file=sys.stderr, flush=True)
            yield from figures(f"new node, {size:,} entries, {name}", found)
    finally:
        page.terminate()
        page.wait(END_WITHIN_S)


def figures(name: str, found: Joined) -> Iterator[Figure]:
    """Yield what is said of one."""
    note = f"CPU {found.cpu_s:.0f} s, {found.memory_mb:.0f} MB; {found.began}"
    yield Figure(f"{name}: vouches after", found.vouches_s, "s", None, note)
    note = f"{found.disk_mb:.0f} MB on its disk"
    yield Figure(f"{name}: whole after", found.whole_s, "s", None, note)


def join(folder: Path, web_port: int, how: str, share: float, size: int) -> Joined:
    """Make a replica, let it join, and end it."""
    with tempfile.TemporaryDirectory() as name:
        home, port = Path(name) / "replica", free_port()
        words = ["--dir", str(home), "--name", "bench.example/r1", "--trust"]
        words += [str(folder / "trust.toml"), "--source", f"http://127.0.0.1:{web_port}"]
        words += ["--listen", f"127.0.0.1:{port}"]
        made = start("hub.cli", "replica-init", *words)
        if made.wait(START_WITHIN_S):
            raise SystemExit("no replica could be made")
        settings = home / "replica.toml"
        settings.write_text(settings.read_text().replace('join = "genesis"', f'join = "{how}"'))
        start_s = time.monotonic()
        process = start("hub.cli", "replica", "--config", str(settings))
        with Slowed(process.pid, share):
            vouches_s = wait_status(port, process, lambda at: at["executed"] >= size) - start_s
            whole = wait_status(port, process, lambda at: at["left_out"] == 0) - start_s
            notes = status(port)["notes"]
        process.terminate()
        _, code, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
        disk = sum(file.stat().st_size for file in home.rglob("*") if file.is_file())
    cpu_s, memory_mb = used.ru_utime + used.ru_stime, used.ru_maxrss / KIB
    began = notes[0] if notes else "began with entry 0"
    return Joined(vouches_s, whole, cpu_s, memory_mb, disk / MIB, began)


class Slowed:
    """A process that has only a share of one processor; 1: all that there is."""

    def __init__(self, pid: int, share: float) -> None:
        self._pid = pid
        self._share = share
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._hold)

    def __enter__(self) -> None:
        if self._share < 1:
            os.sched_setaffinity(self._pid, {min(os.sched_getaffinity(0))})
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        if self._share < 1:
            self._ended.set()
            self._thread.join()
            os.kill(self._pid, signal.SIGCONT)

    def _hold(self) -> None:
        while not self._ended.wait(TURN_S * self._share):
            os.kill(self._pid, signal.SIGSTOP)
            time.sleep(TURN_S * (1 - self._share))
            os.kill(self._pid, signal.SIGCONT)


def start(module: str, *words: str) -> subprocess.Popen[bytes]:
    """Start a program of ours."""
    command = [sys.executable, "-m", module, *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)


def wait_up(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a program listens."""
    deadline_s = time.monotonic() + START_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline_s or process.poll() is not None:
                raise SystemExit(f"{process.args!r} did not start") from None
            time.sleep(LOOK_S)
        else:
            return


def wait_status(
    port: int, process: subprocess.Popen[bytes], what: Callable[[dict[str, Any]], bool]
) -> float:
    """Wait until a replica's status is so, however long that takes; return when that was. [s]"""
    wait_up(port, process)
    while not what(found := status(port)):
        if found["finding"] or process.poll() is not None:
            raise SystemExit(f"the replica did not come through: {found}")
        time.sleep(LOOK_S)
    return time.monotonic()


def status(port: int) -> dict[str, Any]:
    """Return what a replica says of itself."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_WITHIN_S)
    try:
        connection.request("GET", "/status")
        found: dict[str, Any] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return found


if __name__ == "__main__":
    sys.exit(measured_there("joining", __doc__ or "", use, sys.argv[1:]))
