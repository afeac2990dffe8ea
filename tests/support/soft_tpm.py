"""A TPM 2.0 in software (swtpm), which a test stops, restarts and clears."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tests.support.needs import absent, needs

START_S: Final = 10.0


class SoftTpm:
    """One TPM on two neighbouring ports of loopback."""

    def __init__(self, folder: Path) -> None:
        if find_spec("tpm2_pytss") is None:
            absent("tpm2-pytss is not installed: apt install libtss2-dev pkg-config; .ci/venv tpm")
        self._program = needs("swtpm")
        self._state = folder / "tpm"
        self._state.mkdir()
        self._port = _two_free_ports()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def tcti(self) -> str:
        return f"swtpm:host=127.0.0.1,port={self._port}"

    def place(self, where: object, pin: object = "") -> str:
        """Return the text for a key: a handle such as 0x81000101, or a path."""
        pin_source = f"&pin-source=file:{pin}" if pin else ""
        return f"tpm:{where}?tcti={self.tcti}{pin_source}"

    def start(self) -> None:
        """Power it on, and start it as firmware would."""
        words = [self._program, "socket", "--tpm2", "--tpmstate", f"dir={self._state}"]
        for name, port in (("--server", self._port), ("--ctrl", self._port + 1)):
            words += [name, f"type=tcp,port={port},bindaddr=127.0.0.1"]
        words += ["--flags", "not-need-init,startup-clear"]
        self._process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        deadline_s = time.monotonic() + START_S
        while not _answers(self._port + 1):
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                raise AssertionError("swtpm does not start")
            time.sleep(0.02)

    def stop(self) -> None:
        """Power it off; what is persistent stays."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def tool(self, *words: object) -> str:
        """Run one of tpm2-tools, which know nothing of our code; return what it says."""
        program = needs(str(words[0]))
        done = subprocess.run(
            [program, *map(str, words[1:]), "-T", self.tcti],
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        )
        return done.stdout

    def clear(self) -> None:
        """Do what a new owner does: every key of the former one is gone."""
        self.tool("tpm2_clear")


@contextmanager
def running_tpm(folder: Path) -> Iterator[SoftTpm]:
    """Yield a TPM that is on."""
    tpm = SoftTpm(folder)
    tpm.start()
    try:
        yield tpm
    finally:
        tpm.stop()


def _answers(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _two_free_ports() -> int:
    """Return the lower of two neighbouring ports that nobody has now."""
    while True:
        with closing(socket.socket()) as first, closing(socket.socket()) as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port
