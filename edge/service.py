"""The two programs that run for months: `python -m edge.service run|guard FILE [--verbose]`.

`gridtally-edge run` parses its command line and then becomes this, in the same process: without
what parsing and help need, each of the two holds 10 MB less, which counts on a Pi Zero.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from edge.config import EdgeConfig, load_config
from edge.errors import EdgeError
from hardware.errors import BadModelFile, HardwareError
from keys.errors import KeyFault, StoreUnavailable
from messages.errors import MessageError

FORESEEN: Final = (EdgeError, HardwareError, KeyFault, MessageError, OSError)
LOG_FORMAT: Final = "%(asctime)sZ %(levelname)s %(name)s: %(message)s"
SIMULATION: Final = "*** SIMULATION: no real meter or relay is behind this ***"
RUN: Final = "run"


def command(name: str, config: Path, *, verbose: bool) -> list[str]:
    """Return the command line of `run` or `guard`."""
    flags = ["--verbose"] if verbose else []
    return [sys.executable, "-m", "edge.service", name, str(config), *flags]


def exit_code(error: Exception) -> int:
    """Return how a program ends after a foreseen error. Source: sysexits.h."""
    if isinstance(error, EdgeError):
        return error.exit_code
    if isinstance(error, BadModelFile | KeyFault) and not isinstance(error, StoreUnavailable):
        return os.EX_CONFIG
    return os.EX_DATAERR if isinstance(error, MessageError) else os.EX_UNAVAILABLE


@contextmanager
def told() -> Iterator[None]:
    """Tell every foreseen failure in one sentence, and end with its exit code."""
    try:
        yield
    except FORESEEN as error:
        print(_sentence(error), file=sys.stderr)
        raise SystemExit(exit_code(error)) from None


def _sentence(error: Exception) -> str:
    """Return what a foreseen error says; of a file, without the number that Python prints."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def log_to_stderr(*, verbose: bool) -> None:
    """Log level, component and message, with UTC."""
    logging.Formatter.converter = time.gmtime
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(stream=sys.stderr, level=level, format=LOG_FORMAT, datefmt="%FT%T")


def loaded(path: Path, *, uses_keys: bool = True) -> EdgeConfig:
    """Return a configuration with the keys that count now; a simulated one is told loudly."""
    config = load_config(path)
    if uses_keys:
        from edge.successors import followed

        config = followed(config)
    if config.simulation is not None:
        print(SIMULATION, file=sys.stderr)
    return config


def main(arguments: list[str]) -> int:
    """Run one of the two until it is told to end; every foreseen failure is one sentence."""
    name, path = arguments[:2]
    log_to_stderr(verbose="--verbose" in arguments)
    try:
        from edge import app

        config = loaded(Path(path), uses_keys=name == RUN)
        trust = app.load_trust(config)
        if name == RUN:
            app.run(config, trust)
        else:
            from edge import guard

            guard.run(config, trust)
    except FORESEEN as error:
        print(_sentence(error), file=sys.stderr)
        return exit_code(error)
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
