"""What a test needs from the machine: if absent, it skips with a reason; with CI=true it fails."""

from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path
from types import ModuleType

import pytest

# Programs that Debian puts outside an ordinary user's PATH.
_ALSO = ("/usr/sbin", "/usr/local/sbin", "/sbin")

_APT_PACKAGE = {
    "chromedriver": "chromium-driver",
    "chromium": "chromium",
    "faketime": "faketime",
    "gcc": "gcc libc6-dev",
    "mbpoll": "mbpoll",
    "mosquitto": "mosquitto",
    "mosquitto_passwd": "mosquitto",
    "mosquitto_pub": "mosquitto-clients",
    "openssl": "openssl",
    "socat": "socat",
    "softhsm2-util": "softhsm2",
    "swtpm": "swtpm",
    "systemd-analyze": "systemd",
    "tpm2": "tpm2-tools",  # the first word of all its programs
}


def in_ci() -> bool:
    """Whether a missing need is a failure: CI=true promises a machine that has everything."""
    return os.environ.get("CI", "").lower() == "true"


def absent(reason: str) -> None:
    """Skip the calling test on a laptop, fail it in CI."""
    __tracebackhide__ = True
    if in_ci():
        pytest.fail(f"{reason} (CI=true: this is a failure, not a skip)", pytrace=False)
    pytest.skip(reason)


def needs(program: str) -> str:
    """Return the path of a program, or skip (fail in CI) with the line that installs it."""
    __tracebackhide__ = True
    path = os.pathsep.join([os.environ.get("PATH", ""), *_ALSO])
    found = shutil.which(program, path=path)
    if found is None:
        first = program.partition("_")[0]
        package = _APT_PACKAGE.get(program) or _APT_PACKAGE.get(first, program)
        absent(f"{program} is not installed: apt install {package}")
        raise AssertionError("absent() returned")
    return found


def needs_module(name: str) -> ModuleType:
    """Return a library that others wrote to be tested with, or skip (fail in CI)."""
    __tracebackhide__ = True
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        absent(f"{name} is not installed: run .ci/venv dev")
        raise


def needs_file(path: Path, what: str) -> Path:
    """Return the path of an optional input outside the repository, or skip with what it is.

    Such inputs (recorded households) are nobody's to ship, so their absence is no failure in CI.
    """
    __tracebackhide__ = True
    if not path.exists():
        pytest.skip(f"{what}: {path} is not here")
    return path


def needs_root(why: str) -> None:
    """Skip (fail in CI) unless the test runs as root."""
    __tracebackhide__ = True
    if os.geteuid() != 0:
        absent(f"needs root: {why}")
