"""A witness as a process on loopback, to be asked, killed and started again."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from messages.log.note import NoteKey, parse_vkey

ROOT = Path(__file__).parents[2]
START_WITHIN_S = 20.0


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class WitnessProcess:
    """`gridtally-hub witness` in a folder of its own."""

    def __init__(self, folder: Path, name: str, vkeys: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.name = name
        self.port = free_port()
        logs = [word for vkey in vkeys for word in ("--log", vkey)]
        made = command("witness-init", "--dir", str(folder), "--name", name, *logs)
        assert made.returncode == 0, made.stderr
        self.vkey = made.stdout.split()[2]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def key(self) -> NoteKey:
        return parse_vkey(self.vkey)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def policy_line(self) -> str:
        return f"witness {self.name.replace('/', '-')} {self.vkey} {self.url}"

    def start(self, *options: str) -> None:
        line = [sys.executable, "-m", "hub.cli", "witness", "--dir", str(self.folder)]
        line += ["--listen", f"127.0.0.1:{self.port}", *options]
        with (self.folder / "log").open("ab") as file:
            self.process = subprocess.Popen(line, cwd=ROOT, stderr=file, stdout=file)
        deadline_s = time.monotonic() + START_WITHIN_S
        while True:
            try:
                if self.ask("GET", "/")[0] == 200:
                    return
            except OSError:
                pass
            assert self.process.poll() is None, self.log_text()
            assert time.monotonic() < deadline_s, self.log_text()
            time.sleep(0.05)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def log_text(self) -> str:
        return (self.folder / "log").read_text()

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str, bytes]:
        """Return status, media type and body of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.headers.get("content-type", ""), response.read()
        finally:
            connection.close()


@contextmanager
def witness_process(
    folder: Path, name: str, vkeys: tuple[str, ...] = ()
) -> Iterator[WitnessProcess]:
    """Yield a started witness; it is killed in the end."""
    made = WitnessProcess(folder, name, vkeys)
    made.start()
    try:
        yield made
    finally:
        made.kill()


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one verb of the hub's program."""
    line = [sys.executable, "-m", "hub.cli", *arguments]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
