"""The outbox or the ledger alone, as a process that goes on when its disk fails and recovers.

`python -m tests.faults.drivers.patient outbox|ledger FOLDER` stores one numbered message after the
other, tries again what could not be stored, as edge and hub do, and says each number once it is
durable.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from edge.errors import EdgeError
from edge.outbox import Outbox
from edge.outbox_records import Batch, Draft
from edge.register import Register
from hub.errors import HubError, StorageFull
from hub.ledger.records import NewEntry
from hub.ledger.store import Store
from messages.log.tree import leaf_hash

KID = b"k" * 8
ROWS_MAX = 1_000_000
BALLAST_BYTES = 65_536
AGAIN_S = 0.01


def text(number: int) -> bytes:
    """Return the message with this number."""
    return b"message %d " % number + bytes(200)


def into_outbox(folder: Path) -> Iterator[int]:
    """Store messages in an edge's outbox; yield how many it holds."""
    with closing(Outbox(folder, ROWS_MAX, BALLAST_BYTES)) as outbox:
        count = outbox.head(KID, "register").next_sequence - 1
        while True:
            outbox.keep_ballast()
            register = {"pv": Register(count + 1, 0)}
            if tried(lambda: outbox.commit(Batch((Draft(KID, "register", text),), register))):  # noqa: B023
                count += 1
                yield count


def into_ledger(folder: Path) -> Iterator[int]:
    """Store messages in a hub's ledger; yield how many it holds."""
    database = f"sqlite:///{folder / 'ledger.db'}"
    with Store.open(database, create=True, ballast_bytes=BALLAST_BYTES) as store:
        while True:
            number = store.size + 1
            raw = text(number)
            entry = NewEntry(raw, leaf_hash(raw), KID, "reading", "register", number)

            def append() -> None:
                try:
                    store.append([entry], [])  # noqa: B023
                except StorageFull:
                    store.make_room()
                    raise

            if tried(append):
                yield number


def tried(work: Callable[[], object]) -> bool:
    """Whether it could be stored; after a failure a moment has passed."""
    try:
        work()
    except (EdgeError, HubError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        time.sleep(AGAIN_S)
        return False
    return True


if __name__ == "__main__":
    for number in {"outbox": into_outbox, "ledger": into_ledger}[sys.argv[1]](Path(sys.argv[2])):
        print(number, flush=True)
