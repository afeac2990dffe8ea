"""The units of systemd: right by systemd's own tools, closed as promised, fed from the loops."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.needs import needs

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "systemd").glob("*.service"))
SCORE_MAX = {
    "gridtally-guard": 0.6,
    "gridtally-edge": 1.4,
    "gridtally-hub": 1.0,
    "gridtally-web": 1.0,
    "gridtally-witness": 1.0,
    "gridtally-replica": 1.0,
}
READY_WITHIN_S = 40.0


def test_every_unit_has_a_promise() -> None:
    assert {path.stem for path in UNITS} == set(SCORE_MAX)


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_units_are_as_closed_as_promised(unit: Path) -> None:
    program = needs("systemd-analyze")
    told = subprocess.run(
        [program, "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"},
    )
    found = re.search(r"exposure level for \S+: ([\d.]+)", told.stdout)
    assert found, told.stdout + told.stderr
    assert float(found[1]) <= SCORE_MAX[unit.stem]


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_systemd_understands_every_line(unit: Path, tmp_path: Path) -> None:
    """The programs are named as they lie here: systemd looks whether they can be run."""
    program = needs("systemd-analyze")
    here = Path(sys.executable).parent
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/gridtally/bin", str(here)))
    told = subprocess.run(
        [program, "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    ours = [line for line in told.stderr.splitlines() if unit.stem in line]
    assert (told.returncode, ours) == (0, []), told.stderr


def test_users_and_folders_are_understood(tmp_path: Path) -> None:
    users = subprocess.run(
        [needs("systemd-sysusers"), "--dry-run", str(ROOT / "systemd/gridtally.sysusers")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert users.returncode == 0, users.stderr
    assert "gridtally-hub" in users.stdout + users.stderr
    lines = (ROOT / "systemd/gridtally.tmpfiles").read_text().splitlines()
    folders = {line.split()[1]: line.split()[3] for line in lines if line.startswith("d ")}
    users_named = re.findall(r"^u (\S+)", (ROOT / "systemd/gridtally.sysusers").read_text(), re.M)
    for unit in UNITS:
        text = unit.read_text()
        folder = re.search(r"^WorkingDirectory=(.*)$", text, re.M)
        user = re.search(r"^User=(.*)$", text, re.M)
        assert folder
        assert user
        assert folders[folder[1]] == user[1]
        assert user[1] in users_named


def test_the_guard_is_first_up_and_last_down() -> None:
    """Systemd stops in the reverse order of After."""
    guard = (ROOT / "systemd/gridtally-guard.service").read_text()
    assert "Before=basic.target shutdown.target" in guard
    for name in ("gridtally-edge", "gridtally-hub"):
        after = re.findall(r"^After=(.*)$", (ROOT / f"systemd/{name}.service").read_text(), re.M)
        assert "gridtally-guard.service" in " ".join(after).split()


def test_the_installer_writes_what_each_role_needs(tmp_path: Path) -> None:
    install = str(ROOT / "systemd/install")
    environment = {**os.environ, "DESTDIR": str(tmp_path)}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [install, *words], env=environment, capture_output=True, text=True, check=False
        )

    assert run("edge").returncode == 0
    units = tmp_path / "etc/systemd/system"
    assert {path.name for path in units.iterdir()} == {
        "gridtally-guard.service",
        "gridtally-edge.service",
    }
    assert "gridtally-edge join" in run("edge").stderr
    assert run("hub", "witness", "replica").returncode == 0
    assert {path.stem for path in units.glob("*.service")} == set(SCORE_MAX)
    assert (units / "mosquitto.service.d/gridtally.conf").exists()
    assert run("--remove").returncode == 0
    assert list(units.glob("*.service")) == []
    wrong = run("edge", "huub")
    assert wrong.returncode == 64
    assert "no role is named huub: edge, hub, witness, replica" in wrong.stderr
    assert run().returncode == 64


class NotifySocket:
    """What systemd would be told, in a socket of our own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))

    def next(self, within_s: float) -> str | None:
        """Return the next word, None if there is none in time."""
        self._socket.settimeout(within_s)
        try:
            return self._socket.recv(4096).decode()
        except TimeoutError:
            return None

    def wait_for(self, word: str, within_s: float) -> None:
        deadline_s = time.monotonic() + within_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            if self.next(left_s) == word:
                return
        pytest.fail(f"{word} was not told")

    def drain(self) -> None:
        while self.next(0.01) is not None:
            pass

    def close(self) -> None:
        self._socket.close()


@contextmanager
def service(tmp_path: Path, *line: str) -> Iterator[tuple[subprocess.Popen[bytes], NotifySocket]]:
    """Run a command of the hub as a service that is watched."""
    told = NotifySocket(tmp_path / "notify")
    with (tmp_path / "service.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "hub.cli", *line],
            env={**os.environ, "NOTIFY_SOCKET": str(told.path)},
            stdout=log,
            stderr=log,
        )
    try:
        yield process, told
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(timeout=20)
        told.close()


def _check_heartbeat(process: subprocess.Popen[bytes], told: NotifySocket) -> None:
    told.wait_for("READY=1", READY_WITHIN_S)
    told.wait_for("WATCHDOG=1", 10.0)
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.2)
    told.drain()
    assert told.next(2.5) is None, "a loop that stands still says so by silence"
    process.send_signal(signal.SIGCONT)
    told.wait_for("WATCHDOG=1", 10.0)
    process.terminate()
    told.wait_for("STOPPING=1", 20.0)


def _command(*line: str) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "hub.cli", *line], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr


def test_the_witness_is_watched(tmp_path: Path) -> None:
    _command("witness-init", "--dir", str(tmp_path / "w"), "--name", "example.org/w1")
    with service(tmp_path, "witness", "--dir", str(tmp_path / "w"), "--listen", "127.0.0.1:0") as (
        process,
        told,
    ):
        _check_heartbeat(process, told)


@pytest.mark.parametrize("program", ["run", "web"])
def test_hub_and_page_are_watched(tmp_path: Path, program: str) -> None:
    """Neither needs a broker to be up: they wait for it."""
    home = tmp_path / "hub"
    _command("init", "--microgrid", "bench", "--dir", str(home))
    config = home / "hub.toml"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = config.read_text()
    assert "port = 8088" in text
    config.write_text(text.replace("port = 8088", f"port = {port}"))
    with service(tmp_path, program, "--config", str(config)) as (process, told):
        _check_heartbeat(process, told)
