"""Which demos run: a small file of each in the user's own runtime folder, gone when it ends.

Each file is named after a process and holds the path of its state folder; the folder's `hub.toml`
says where the switchboard listens.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from hub.config import load_config
from hub.errors import ConfigError
from testbed.errors import NoDemo

ENDING: Final = ".demo"


def runtime_folder() -> Path:
    """Return where demos of this user are noted: below XDG_RUNTIME_DIR, else the temporary one."""
    given = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(given) if given else Path(tempfile.gettempdir())
    return folder / (f"gridtally-{os.getuid()}")


@contextmanager
def noted(state: Path) -> Iterator[None]:
    """Note a demo while the block runs."""
    folder = runtime_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise NoDemo(f"{folder} belongs to another user: set XDG_RUNTIME_DIR to a folder of yours")
    note = folder / f"{os.getpid()}{ENDING}"
    note.write_text(f"{state}\n", "utf-8")
    try:
        yield
    finally:
        note.unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()  # unless another demo runs


def running() -> list[Path]:
    """Return the state folder of each demo of this user that runs; notes of dead ones go."""
    found = []
    notes = sorted(runtime_folder().glob(f"*{ENDING}"))
    for note in (each for each in notes if each.stem.isdecimal()):
        if _is_alive(int(note.stem)):
            found.append(Path(note.read_text("utf-8").strip()))
        else:
            note.unlink(missing_ok=True)
    return found


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def demo_of(state: Path | None) -> Path:
    """Return the folder of a demo: this one, or that of the only demo there is.

    Raises:
        NoDemo: none runs, or several do; the text says what to start or to name.
    """
    if state is not None:
        return state
    demos = running()
    if len(demos) > 1:
        named = "".join(f"\n  --state {each}" for each in demos)
        raise NoDemo(f"{len(demos)} demos run; say which one:{named}")
    if not demos:
        raise NoDemo("no demo runs: start one with `gridtally-testbed demo` and leave it on")
    return demos[0]


def switchboard_of(demo: Path) -> Path:
    """Return the socket of a demo's switchboard.

    Raises:
        NoDemo: the folder is no demo's, or its demo has no switchboard.
    """
    try:
        simulation = load_config(demo / "hub.toml").simulation
    except ConfigError as error:
        raise NoDemo(f"{demo} is no demo: {error}") from None
    if simulation is None or simulation.switchboard is None:
        raise NoDemo(f"{demo}: its demo has no switchboard, as one that was started with --exit")
    return Path(simulation.switchboard)
