"""Real processes of a simulated installation: started, watched, restarted, always stopped.

Each child has a process group of its own, writes its standard error to a log file in the state
folder, and dies with this process even if this is killed. A child that ends by itself is one clear
error with the tail of its log.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from testbed.errors import ChildDied, NotReady, PortTaken

STOP_S = 6.0
LOG_TAIL_LINES = 12
PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: a name for people, the command, and how to see that it is ready.

    `environment` is set beside what every child gets.
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    ready: Callable[[], bool] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Child:
    """A program that runs; `restarts` counts how often it was brought back."""

    program: Program
    process: subprocess.Popen[bytes]
    log: Path
    restarts: int = 0

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None


def python(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that runs one of our modules in this very interpreter."""
    return (sys.executable, "-m", module, *arguments)


@dataclass(slots=True)
class Supervisor:
    """Owns every child. Use as a context manager: leaving it stops them all."""

    logs: Path
    children: dict[str, Child] = field(default_factory=dict)

    def __enter__(self) -> "Supervisor":
        """Make the folder for logs."""
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_reason: object) -> None:
        """Stop every child, whatever happened."""
        self.stop_all()

    def start(self, program: Program) -> Child:
        """Start a program; its standard output and error go to its log."""
        log = self.logs / f"{program.name}.log"
        with log.open("ab") as stream:
            process = self._spawn(program, stream)
        known = self.children.get(program.name)
        child = Child(program, process, log, known.restarts + 1 if known else 0)
        self.children[program.name] = child
        return child

    def wait_ready(self, names: Iterable[str], timeout_s: float) -> None:
        """Wait until these are ready.

        Raises ChildDied with the log's tail if one ends, NotReady after the timeout.
        """
        waiting = {name: self.children[name] for name in names}
        deadline = time.monotonic() + timeout_s
        while waiting:
            self.check()
            for name, child in list(waiting.items()):
                if child.program.ready is None or child.program.ready():
                    del waiting[name]
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise NotReady(self._late(waiting.values(), timeout_s))
            time.sleep(0.02)

    def check(self) -> None:
        """Raise ChildDied if a child ended although nobody stopped it."""
        for child in self.children.values():
            if not child.is_alive:
                raise ChildDied(self._obituary(child))

    def kill(self, name: str) -> None:
        """Kill a child's whole group at once, as a power cut would."""
        child = self.children[name]
        _signal_group(child.process, signal.SIGKILL)
        child.process.wait()

    def restart(self, name: str) -> Child:
        """Start a killed child again."""
        return self.start(self.children[name].program)

    def stop(self, names: Iterable[str]) -> None:
        """Ask these to end, wait, and kill what did not; they are forgotten afterwards."""
        named = [self.children.pop(name) for name in names if name in self.children]
        # Whoever ended before has no number any more: the system may have given it to another.
        leaving = [child for child in named if child.is_alive]
        for child in leaving:
            _signal_group(child.process, signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        for child in leaving:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, deadline - time.monotonic()))
            # A group may outlive its leader: whatever is left of it goes too.
            _signal_group(child.process, signal.SIGKILL)
            child.process.wait()

    def stop_all(self) -> None:
        """Stop everything, latest started first, the broker therefore last."""
        names = list(reversed(self.children))
        broker = [name for name in names if name == "broker"]
        self.stop([name for name in names if name != "broker"])
        self.stop(broker)

    def _spawn(self, program: Program, stream: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            program.command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            cwd=program.folder,
            env={**child_environment(), **program.environment},
            process_group=0,
            preexec_fn=_die_with_parent() if sys.platform == "linux" else None,  # noqa: PLW1509
        )

    def _obituary(self, child: Child) -> str:
        code = child.process.returncode
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return f"{child.program.name} {how}; the end of {child.log}:\n{log_tail(child.log)}"

    def _late(self, children: Iterable[Child], timeout_s: float) -> str:
        child = next(iter(children))
        return (
            f"{child.program.name} was not ready after {timeout_s:.0f} s; "
            f"the end of {child.log}:\n{log_tail(child.log)}"
        )


def log_tail(log: Path) -> str:
    """Return the last lines of a log, indented, or a word that there are none."""
    lines = log.read_text("utf-8", "replace").splitlines()[-LOG_TAIL_LINES:]
    return "\n".join(f"    {line}" for line in lines) or "    (nothing was written)"


def child_environment() -> dict[str, str]:
    """Return our environment, and what lets a child import us from a checkout, wherever it runs."""
    root = str(Path(__file__).resolve().parent.parent)
    known = os.environ.get("PYTHONPATH")
    paths = os.pathsep.join([root, known] if known else [root])
    return {**os.environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"}


def _die_with_parent() -> Callable[[], None]:
    """Return what a child runs before exec: on Linux it then gets SIGKILL when its parent ends."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent ended before the tie was made
            os._exit(1)

    return tie


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


# -- ports


def free_port() -> int:
    """Return a TCP port on loopback that nobody uses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def require_port(port: int, option: str) -> int:
    """Return the port if nobody listens on it.

    Raises PortTaken with what to do about it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortTaken(
                f"port {port} is taken by another program: end it, or give {option} another number"
            ) from error
    return port


def is_listening(port: int) -> bool:
    """Return whether somebody accepts connections on a loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


# -- signals


class Stopped(KeyboardInterrupt):
    """SIGTERM or SIGHUP asked this process to end; treated like Ctrl-C."""


def stop_on_signals() -> None:
    """Turn SIGTERM and SIGHUP into an exception, so that context managers stop the children.

    SIGINT raises, too, even where a shell started us in the background and had it ignored.
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Stopped

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    signal.signal(signal.SIGINT, signal.default_int_handler)
