"""How fast readings become durable, and how many bytes a meter leaves on the ledger in a year.

Durable: readings that were verified before, appended 100 at a time, each batch one transaction with
its hashes and one synced commit, as the hub does it. Bytes: two real ledgers of some days, quarter
hours, readings in the open and sealed; what the file grows by after the first day, a year of it.
With it grow entries, hashes, checkpoints, block headers and the books, and the state's snapshots
stay as many as they are. Telemetry packs are kept beside the log, as long as retention says.

    python -m bench storage
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.figure import Figure, Target
from bench.longlog import SLOTS_A_DAY, Log, build, reading
from hub.ledger.records import NewEntry
from hub.ledger.store import Store
from keys.file import generate

BATCH: Final = 100
METERS: Final = 20
DAYS: Final = 4
YEAR_DAYS: Final = 365
MIB: Final = 1 << 20


def run(*, quick: bool) -> Iterator[Figure]:
    """Append, then weigh."""
    with tempfile.TemporaryDirectory() as name:
        yield durable(Path(name), 5_000 if quick else 50_000)
    for is_sealed in (False, True):
        yield from weigh(2 if quick else DAYS, is_sealed=is_sealed)


def durable(folder: Path, count: int) -> Figure:
    """Append readings that are at hand."""
    signers = [generate(folder / f"{n}.pem") for n in range(METERS)]
    log = Log(count // METERS, METERS)
    entries = [
        reading(signer, meter, slot, log)
        for slot in range(log.slots)
        for meter, signer in enumerate(signers)
    ]
    batches = [entries[at : at + BATCH] for at in range(0, len(entries), BATCH)]
    with Store.open(f"sqlite:///{folder}/ledger.db", create=True) as store:
        took_s = _append(store, batches)
    note = f"{len(entries):,} readings, each batch synced; {len(batches) / took_s:.0f} batches/s"
    rate, target = len(entries) / took_s, Target("at least", 8_000)
    return Figure(f"ledger: durable, {BATCH} a batch", rate, "readings/s", target, note)


def _append(store: Store, batches: list[list[NewEntry]]) -> float:
    start_s = time.perf_counter()
    for batch in batches:
        store.append(batch)
    return time.perf_counter() - start_s


def weigh(days: int, *, is_sealed: bool) -> Iterator[Figure]:
    """Build a ledger of one day and one of more, and tell what the days between weigh."""
    files, entries = [], []
    for length in (1, days):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            config = build(folder, Log(length * SLOTS_A_DAY, METERS, is_sealed=is_sealed))
            files.append((folder / "ledger.db").stat().st_size)
            with Store.open(config.database, read_only=True) as store:
                entries.append(sum(len(raw) for _, raw in store.raws(0, store.size)))
    how = "sealed" if is_sealed else "in the open"
    each = (days - 1) * METERS
    note = f"{METERS} meters, quarter hours, {days - 1} days"
    for what, sizes in (("file", files), ("entries alone", entries)):
        grown = (sizes[1] - sizes[0]) / each * YEAR_DAYS
        name = f"ledger: {what}, readings {how}"
        yield Figure(name, grown / MIB, "MB a meter and year", None, note)
