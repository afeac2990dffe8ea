"""Foreseen failures of the testbed's commands: one sentence, and an exit code of sysexits.h."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from hub.errors import HubError
from testbed.errors import (
    BadBook,
    BadComparison,
    BadDevice,
    BadFault,
    BadHomesFile,
    BadScenario,
    BrokerRefused,
    ChildDied,
    LedgerDisagrees,
    NoDemo,
    NotDrained,
    NotReady,
    PortTaken,
    PromiseBroken,
    TestbedError,
    Unplayable,
)

EXIT_CODES: tuple[tuple[type[TestbedError], int], ...] = (
    (BadScenario, os.EX_CONFIG),
    (BrokerRefused, os.EX_CONFIG),
    (BadHomesFile, os.EX_DATAERR),
    (BadBook, os.EX_DATAERR),
    (BadComparison, os.EX_USAGE),
    (BadDevice, os.EX_USAGE),
    (BadFault, os.EX_USAGE),
    (PortTaken, os.EX_UNAVAILABLE),
    (Unplayable, os.EX_UNAVAILABLE),
    (ChildDied, os.EX_SOFTWARE),
    (NoDemo, os.EX_UNAVAILABLE),
    (NotReady, os.EX_SOFTWARE),
    (NotDrained, os.EX_SOFTWARE),
    (LedgerDisagrees, os.EX_SOFTWARE),
    (PromiseBroken, os.EX_SOFTWARE),
)


@contextmanager
def told() -> Iterator[None]:
    """Tell every foreseen failure in one sentence, and end with its exit code (sysexits.h)."""
    try:
        yield
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        raise typer.Exit(0) from None
    except TestbedError as error:
        print(error, file=sys.stderr)
        code = next((code for kind, code in EXIT_CODES if isinstance(error, kind)), os.EX_USAGE)
        raise typer.Exit(code) from None
    except (HubError, OSError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(os.EX_SOFTWARE) from None
