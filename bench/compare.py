"""All contracts over a month of measured homes: the whole command, and the contracts' own share.

python -m bench compare --homes FILE
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure, Target
from testbed.supervisor import python

TARGET_S = 120.0


def run(*, homes: Path) -> Iterator[Figure]:
    """Yield the wall time of `compare` on a file, and where it went."""
    with tempfile.TemporaryDirectory(prefix="gridtally-") as folder:
        start_s = time.monotonic()
        subprocess.run(
            python("testbed.cli", "compare", "--homes", str(homes.resolve()), "--out", folder),
            check=True,
            stdout=subprocess.DEVNULL,
        )
        wall_s = time.monotonic() - start_s
        found = json.loads((Path(folder) / "compare.json").read_text())
        size = (Path(folder) / "report.html").stat().st_size
    runs = [each["figures"] for each in found["runs"]]
    homes_count = len(found["slots"][0]["members"])
    note = f"{homes_count} homes, {runs[0]['slots']} slots, {len(runs) - 1} runs"
    yield Figure("compare: wall time", wall_s, "s", Target("at most", TARGET_S), note)
    spent_s = sum(each["clearing_ms_a_slot"] * each["slots"] for each in runs) / 1000
    yield Figure("compare: contracts with the hub's checks", spent_s, "s")
    yield Figure("compare: report.html", size / 1e6, "MB")
