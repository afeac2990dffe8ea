"""A hub's storage alone, as a process to be killed: append, checkpoint, say so on standard output.

    python tests/support/ledger_writer.py DATABASE

Each line `size root` is printed after that checkpoint was handed out by the store, as a hub sends
a receipt: whoever read the line holds the hub to it.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from hub.ledger.records import NewEntry, NewPack
from hub.ledger.store import Store
from messages.log.checkpoint import Checkpoint, sign_checkpoint
from messages.log.tree import leaf_hash
from tests.support.signers import ed25519

ORIGIN = "simulation.example/kill"


def main() -> None:
    """Append batches for ever."""
    path = Path(sys.argv[1])
    log = ed25519("log")
    store = Store.open(f"sqlite:///{path}", create=not path.exists(), ballast_bytes=4096)
    chooser = random.Random(store.size)
    while True:
        start = store.size
        entries = [_entry(number) for number in range(start, start + chooser.randrange(1, 9))]
        head = store.head(b"p" * 8, "telemetry")
        packs = [_pack(head + 1 + n) for n in range(chooser.randrange(3))]
        store.append(entries, packs)

        def sign(size: int, root: bytes) -> str:
            return sign_checkpoint(Checkpoint(ORIGIN, size, root), log)

        given = store.checkpoint(sign)
        packed = store.head(b"p" * 8, "telemetry")
        print(given.size, store.root().hex(), packed, flush=True)


def _entry(number: int) -> NewEntry:
    raw = b"entry %d" % number
    return NewEntry(raw, leaf_hash(raw), b"k" * 8, "reading", "register", number + 1)


def _pack(sequence: int) -> NewPack:
    raw = b"pack %d" % sequence
    return NewPack(raw, leaf_hash(raw), b"p" * 8, sequence, sequence)


if __name__ == "__main__":
    main()
