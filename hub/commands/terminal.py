"""How commands speak: sentences and exit codes, progress and logs, all on standard error."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import typer

from hub import errors
from hub.joining.errors import JoiningRefused
from hub.replica.errors import MirrorDamaged, ReplicaRefused
from keys.errors import KeyFault, StoreUnavailable
from messages.errors import MessageError
from messages.timetext import parse_time

if TYPE_CHECKING:
    from hub.config import HubConfig

LOG_FORMAT: Final = "%(asctime)sZ %(levelname)s %(name)s: %(message)s"
BUSY: Final = os.EX_TEMPFAIL  # the same command may work in a moment

EXIT_CODES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (errors.KeysUnavailable, os.EX_UNAVAILABLE),
    (errors.ConfigError, os.EX_CONFIG),
    (errors.BadEnrolment, os.EX_DATAERR),
    (JoiningRefused, os.EX_DATAERR),
    (errors.FoundingRefused, os.EX_CANTCREAT),
    (errors.ExportRefused, os.EX_CANTCREAT),
    (errors.StorageFull, os.EX_IOERR),
    (errors.LedgerLocked, os.EX_UNAVAILABLE),
    (errors.ListenRefused, os.EX_UNAVAILABLE),
    (errors.BackupRefused, os.EX_DATAERR),
    (errors.RetiringRefused, os.EX_DATAERR),
    (errors.QuorumRefused, os.EX_DATAERR),
    (errors.WitnessRefused, os.EX_CONFIG),
    (ReplicaRefused, os.EX_CONFIG),
    (MirrorDamaged, os.EX_DATAERR),
    (errors.NoAnswer, BUSY),
    (errors.RecordRefused, os.EX_NOPERM),
    (errors.FeedRefused, os.EX_DATAERR),
    (errors.OrderRefused, os.EX_NOPERM),
    (errors.RecordUnavailable, os.EX_UNAVAILABLE),
    (errors.NoSuchEntry, os.EX_DATAERR),
    (errors.LedgerCorrupt, os.EX_DATAERR),
    (errors.LedgerBehind, os.EX_DATAERR),
    (errors.SchemaMismatch, os.EX_DATAERR),
    (errors.LedgerError, os.EX_IOERR),
    (StoreUnavailable, os.EX_UNAVAILABLE),
    (KeyFault, os.EX_CONFIG),
    (MessageError, os.EX_DATAERR),
)


@contextmanager
def told() -> Iterator[None]:
    """Tell every foreseen failure in one sentence, and end with its exit code (sysexits.h)."""
    try:
        yield
    except (errors.HubError, KeyFault, MessageError, OSError) as error:
        print(error, file=sys.stderr)
        code = next((code for kind, code in EXIT_CODES if isinstance(error, kind)), os.EX_OSERR)
        raise typer.Exit(code) from None


def fail(sentence: str, code: int = os.EX_DATAERR) -> NoReturn:
    """Say why, and end."""
    print(sentence, file=sys.stderr)
    raise typer.Exit(code)


def loaded(path: Path) -> HubConfig:
    """Return the configuration in a file; say loudly where all of it is simulated."""
    from hub.config import load_config  # noqa: PLC0415

    config = load_config(path)
    if config.simulation is not None:
        print("*** SIMULATION: no real meter or relay is behind this ***", file=sys.stderr)
    return config


def instant(text: str) -> int:
    """Return an instant that a person wrote: a time with its zone, or milliseconds. [ms UTC]"""
    try:
        return parse_time(text)
    except ValueError as error:
        fail(str(error), os.EX_USAGE)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on standard error while something long runs, if a person looks at it."""
    from rich.console import Console  # noqa: PLC0415 - only long commands show a bar
    from rich.progress import Progress  # noqa: PLC0415

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def log_to_stderr(*, verbose: bool) -> None:
    """Send logs to standard error, times in UTC."""
    logging.Formatter.converter = time.gmtime
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(stream=sys.stderr, level=level, format=LOG_FORMAT, datefmt="%FT%T")
