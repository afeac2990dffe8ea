"""The disk fails at random moments, in each way that one can (T16 of the test plan).

Outbox and ledger, each in a process of its own that is never restarted: what was said to be durable
is there, once and in order, and within ten seconds of the disk's recovery it goes on.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from edge.outbox import Outbox
from hub.ledger.store import Store
from testbed.faults.disk import FailingDisk, Mode
from testbed.supervisor import child_environment
from tests.faults.drivers.patient import ROWS_MAX, text
from tests.faults.recording import fast_folder
from tests.support.edge_node import wait_until
from tests.support.needs import needs

SEED = 20_261_121
RECOVERY_S = 10.0
BAD = (Mode.FULL, Mode.READ_ONLY, Mode.NO_SYNC, Mode.SHORT)
POINTS = [
    pytest.param(16, id="16-points"),
    pytest.param(150, id="150-points", marks=[pytest.mark.torture, pytest.mark.timeout(3_600)]),
]


class Writer:
    """The process, and the newest number that it said."""

    def __init__(self, what: str, folder: Path, disk: FailingDisk, log: Path) -> None:
        self.said = 0
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.drivers.patient", what, str(folder)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=Path(__file__).parents[2],
                env=child_environment() | disk.environment(),
            )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        self._process.kill()
        self._reader.join()
        self._process.communicate()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self.said = int(line)


def stored(what: str, folder: Path) -> list[bytes]:
    """Return every message that is there, in order."""
    if what == "outbox":
        with closing(Outbox(folder, ROWS_MAX)) as outbox:
            return [row.raw for row in outbox.all_rows()]
    with Store.open(f"sqlite:///{folder / 'ledger.db'}", read_only=True) as store:
        return [entry.raw for entry in store.entries()]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("points", POINTS)
@pytest.mark.parametrize("what", ["outbox", "ledger"])
def test_a_failing_disk_loses_nothing(tmp_path: Path, what: str, points: int) -> None:
    needs("gcc")
    random, modes, worst_s = Random(f"{SEED}/{what}"), Counter[str](), 0.0
    log = tmp_path / "errors"
    with fast_folder() as scratch:
        folder = scratch / "disk"
        folder.mkdir()
        disk = FailingDisk.right(folder, tmp_path)
        writer = Writer(what, folder, disk, log)
        try:
            wait_until(lambda: writer.said > 0, 20, "it stores something")
            for _ in range(points):
                mode = random.choice(BAD)
                modes[mode] += 1
                disk.be(mode)
                time.sleep(random.uniform(0, 0.3))
                before, since_s = writer.said, time.monotonic()
                disk.be(Mode.RIGHT)
                wait_until(lambda: writer.said > before + 1, RECOVERY_S, "it goes on")  # noqa: B023
                worst_s = max(worst_s, time.monotonic() - since_s)
                assert writer.is_alive
                time.sleep(random.uniform(0, 0.05))
        finally:
            writer.end()
        found = stored(what, folder)
    failures = log.read_text().count("\n")
    print(
        f"{what}, seed {SEED}: {dict(modes)}, {failures} writes refused, {writer.said} messages "
        f"said to be durable, {len(found)} there, 0 lost, worst recovery {worst_s:.2f} s"
    )
    assert found == [text(number) for number in range(1, len(found) + 1)]
    assert len(found) >= writer.said
    assert failures > points // 2
