"""A million mutated messages: no decoder breaks, and none is accepted (T6 of the test plan)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.supervisor import child_environment

SEED = 20_261_121
PROCESSES = 2
COUNTS = [
    pytest.param(1_000_000, id="1-million"),
    pytest.param(20_000_000, id="20-million", marks=[pytest.mark.torture]),
]


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("count", COUNTS)
def test_nothing_malformed_is_accepted(count: int) -> None:
    command = [sys.executable, "-m", "tests.faults.drivers.malformed", str(count // PROCESSES)]
    children = [
        subprocess.Popen(
            [*command, str(SEED + number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env=child_environment(),
        )
        for number in range(PROCESSES)
    ]
    told = [child.communicate() for child in children]
    for out, err in told:
        assert out, err
        counts = json.loads(out)
        print(counts)
        assert counts["tried"] == count // PROCESSES
        assert counts["accepted"] == 0
        assert counts["accepted_unchanged"] > 100
        assert counts["signatures_checked"] > counts["tried"] // 100
