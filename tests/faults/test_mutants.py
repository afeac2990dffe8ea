"""Each promise has a test that can fail: a fault is put in, and the suite must notice it.

The packages and tests are copied, one piece of text is replaced, and a named part of the suite runs
there. It must fail, and by an assertion: a crash on the way would prove nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.mutants import MUTANTS, Mutant
from tests.faults.recording import ROOT, fast_folder

COPIED = (
    "messages",
    "keys",
    "hardware",
    "edge",
    "hub",
    "testbed",
    "tests",
    "setup.cfg",
    "pyproject.toml",
)
# Whole sentences; and no byte code, which could outlive the fault it was made from.
ENVIRONMENT = {"COLUMNS": "1000", "PYTHONDONTWRITEBYTECODE": "1"}
FAILED = re.compile(r"^FAILED .*", re.MULTILINE)
BY_ASSERTION = re.compile(r" - (AssertionError|assert |Failed: DID NOT RAISE|\S+\.Broken:)")


@pytest.fixture(scope="module")
def copied() -> Iterator[Path]:
    """A copy of the house, unchanged."""
    with fast_folder() as folder:
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name)
            else:
                shutil.copy2(source, folder / name)
        yield folder


def put_in(mutant: Mutant, folder: Path) -> dict[Path, bytes]:
    """Change the files; return what they held before."""
    before: dict[Path, bytes] = {}
    for name, old, new in mutant.edits:
        path = folder / name
        before.setdefault(path, path.read_bytes())
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"stale mutant: {name} has {text.count(old)} times: {old!r}"
        path.write_text(text.replace(old, new), encoding="utf-8")
    return before


def run_suite(folder: Path, selection: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run a part of the suite in a copy, up to its first failure."""
    options = ("-x", "-q", "-rf", "--tb=short", "-p", "no:cacheprovider", "-p", "no:randomly")
    command = [sys.executable, "-m", "pytest", *options, "-m", "not torture", *selection]
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | ENVIRONMENT | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.breaks.replace(" ", "-"))
def test_the_suite_notices(mutant: Mutant, copied: Path) -> None:
    before = put_in(mutant, copied)
    try:
        ran = run_suite(copied, mutant.caught_by)
    finally:
        for path, content in before.items():
            path.write_bytes(content)
    found = FAILED.findall(ran.stdout)
    assert (ran.returncode, len(found)) == (1, 1), f"not noticed:\n{ran.stdout[-3_000:]}"
    assert BY_ASSERTION.search(found[0]), f"it failed, but by no assertion: {found[0]}"
    print(found[0])
