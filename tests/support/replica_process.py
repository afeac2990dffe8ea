"""Replicas and the hub's page as processes on loopback, to be asked, killed and started again."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from hub.cli import app
from messages.log.note import NoteKey, parse_vkey
from tests.support.witness_process import ROOT, free_port

START_WITHIN_S = 30.0
WITHIN_S = 40.0


def in_process(*words: str) -> str:
    """Run a command of gridtally-hub here, not as a process, which would be slow to start."""
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return done.stdout


class Process:
    """A program that listens on a port, with its log beside its files."""

    def __init__(self, folder: Path, port: int, line: list[str], log_name: str) -> None:
        self.folder = folder
        self.port = port
        self.line = line
        self.log_path = folder / log_name
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.launch()
        self.wait_up()

    def launch(self) -> None:
        with self.log_path.open("ab") as file:
            self.process = subprocess.Popen(self.line, cwd=ROOT, stderr=file, stdout=file)

    def wait_up(self) -> None:
        deadline_s = time.monotonic() + START_WITHIN_S
        while True:
            try:
                if self.ask("GET", "/")[0] == 200:
                    return
            except OSError:
                pass
            assert self.process is not None
            assert self.process.poll() is None, self.log_text()
            assert time.monotonic() < deadline_s, self.log_text()
            time.sleep(0.05)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def end(self) -> int:
        """End it as a service manager does; return its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(START_WITHIN_S)

    def log_text(self) -> str:
        return self.log_path.read_text() if self.log_path.exists() else ""

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Return status and body of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


class ReplicaProcess(Process):
    """`gridtally-hub replica` in a folder of its own."""

    def __init__(
        self, folder: Path, member: str, trust: Path, source: str, *options: str, module: str = ""
    ) -> None:
        port = free_port()
        config = folder / "replica.toml"
        line = [sys.executable, "-m", module or "hub.cli", "replica", "--config", str(config)]
        super().__init__(folder, port, line, "log")
        self.member = member
        words = ["--dir", str(folder), "--name", f"replica.example/{folder.name}"]
        words += ["--member", member, "--trust", str(trust), "--source", source]
        words += ["--listen", f"127.0.0.1:{port}", "--url", self.url, *options]
        self.enrolment = Path(in_process("replica-init", *words).strip())
        self.vkey = json.loads(self.enrolment.read_text())["vkey"]

    @property
    def key(self) -> NoteKey:
        return parse_vkey(self.vkey)

    def set(self, **settings: Any) -> None:
        """Put settings into its replica.toml."""
        path = self.folder / "replica.toml"
        lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
        kept = [
            line for line in path.read_text().splitlines() if line.split(" = ")[0] not in settings
        ]
        path.write_text("\n".join([*lines, *kept, ""]))

    def enrol(self, hub_toml: Path) -> None:
        in_process("replica-enrol", str(self.enrolment), "-c", str(hub_toml), "--yes")

    def status(self) -> dict[str, Any]:
        status, body = self.ask("GET", "/status")
        assert status == 200
        found = json.loads(body)
        assert isinstance(found, dict)
        return found

    def wait(self, what: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline_s = time.monotonic() + WITHIN_S
        while not what(found := self.status()):
            assert time.monotonic() < deadline_s, (found, self.log_text())
            time.sleep(0.1)
        return found


def web_process(folder: Path) -> Process:
    """Return the hub's page of an installation whose hub.toml names a free port for it."""
    port = free_port()
    toml = folder / "hub.toml"
    toml.write_text(toml.read_text().replace("port = 8088", f"port = {port}"))
    line = [sys.executable, "-m", "hub.cli", "web", "-c", str(toml)]
    return Process(folder, port, line, "web.log")
