"""Rules for every test: where it lies says what it is, and each has its own seed and time limit."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent
MARKED_FOLDERS = ("e2e", "faults", "browser", "stores")

# Two shared cores make example times jump; a deadline would report the machine, not the code.
settings.register_profile(
    "gridtally", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("gridtally")


# Several test processes on two cores: threads of numpy's that wait for each other only spin. It
# reads this when it is loaded, which is later than here.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# A shell starts what it puts in the background with Ctrl-C ignored, and children inherit that: the
# programs under test would never hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by the folder it lies in, so that `make test` can leave whole folders out."""
    for item in items:
        folder = item.path.relative_to(HERE).parts[0] if item.path.is_relative_to(HERE) else ""
        if folder in MARKED_FOLDERS:
            item.add_marker(getattr(pytest.mark, folder))
