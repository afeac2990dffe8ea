"""Children of the testbed: watched, restarted, and never left behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from testbed.errors import ChildDied, NotReady, PortTaken
from testbed.supervisor import Program, Supervisor, free_port, is_listening, require_port
from tests.support.edge_node import wait_until

SLEEPER = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "print('up', flush=True); time.sleep(600)",
)


def program(folder: Path, name: str, command: tuple[str, ...]) -> Program:
    log = folder / "logs" / f"{name}.log"
    return Program(name, command, folder, ready=lambda: "up" in log.read_text())


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_leaving_stops_every_child_and_what_it_started(tmp_path: Path) -> None:
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.start(program(tmp_path, "stubborn", STUBBORN))
        supervisor.wait_ready(["stubborn"], 20)
        parent = psutil.Process(supervisor.children["stubborn"].process.pid)
        family = [parent, *parent.children(recursive=True)]
        assert len(family) == 2
    # A killed process is listed until the kernel is done with it, and as a zombie until init waits.
    wait_until(lambda: not any(map(lives, family)), 20, "the whole family ended")


def test_a_child_that_dies_is_one_error_with_the_end_of_its_log(tmp_path: Path) -> None:
    dying = (sys.executable, "-c", "import sys; print('the reason', file=sys.stderr); sys.exit(3)")
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.start(Program("edge-a", dying, tmp_path, ready=lambda: False))
        with pytest.raises(ChildDied, match=r"(?s)edge-a ended with exit code 3.*the reason"):
            supervisor.wait_ready(["edge-a"], 20)


def test_a_child_that_is_never_ready_is_an_error(tmp_path: Path) -> None:
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.start(Program("slow", SLEEPER, tmp_path, ready=lambda: False))
        with pytest.raises(NotReady, match="slow was not ready after 0 s"):
            supervisor.wait_ready(["slow"], 0.2)


def test_a_killed_child_comes_back(tmp_path: Path) -> None:
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.start(program(tmp_path, "a", SLEEPER))
        supervisor.wait_ready(["a"], 20)
        first = supervisor.children["a"].process.pid
        supervisor.kill("a")
        with pytest.raises(ChildDied, match="a was killed by signal 9"):
            supervisor.check()
        child = supervisor.restart("a")
        supervisor.check()
        assert child.restarts == 1
        assert child.process.pid != first


@pytest.mark.skipif(sys.platform != "linux", reason="the tie to the parent is Linux' prctl")
def test_children_die_with_a_killed_parent(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path;"
        "from testbed.supervisor import Program, Supervisor;"
        f"folder = Path({str(tmp_path)!r});"
        "supervisor = Supervisor(folder / 'logs').__enter__();"
        f"child = supervisor.start(Program('a', {SLEEPER!r}, folder));"
        "print(child.process.pid, flush=True); time.sleep(600)"
    )
    root = str(Path(__file__).parents[2])
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=root, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.02)


def test_a_taken_port_is_a_sentence() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert is_listening(port)
        with pytest.raises(PortTaken, match=f"port {port} is taken .* give --port another number"):
            require_port(port, "--port")
    free = free_port()
    assert require_port(free, "--port") == free
    assert not is_listening(free)


def test_sigterm_stops_children_like_ctrl_c(tmp_path: Path) -> None:
    script = (
        "import time; from pathlib import Path;"
        "from testbed.supervisor import Program, Supervisor, stop_on_signals;"
        f"folder = Path({str(tmp_path)!r}); stop_on_signals()\n"
        "with Supervisor(folder / 'logs') as supervisor:\n"
        f"    child = supervisor.start(Program('a', {SLEEPER!r}, folder))\n"
        "    print(child.process.pid, flush=True); time.sleep(600)\n"
    )
    root = str(Path(__file__).parents[2])
    parent = subprocess.Popen(
        [sys.executable, "-c", script], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGTERM)
    parent.wait(20)
    parent.stdout.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
