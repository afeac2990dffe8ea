"""Makes a long ledger that is real to the last byte: signatures, deals, closes, headers, books.

METERS meters, two a member: one draws, one feeds in, by a day's curve that is another one for each
member, so that in most slots somebody sells to somebody. Readings are signed by processes of their
own; the hub's own path appends them, closes the slots and writes the books, as it would over years.

    python -m bench.longlog FOLDER --entries 1000000      takes some minutes; keeps the ledger there
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Final, NamedTuple

from bench.figure import Figure
from bench.restart import MICROGRID, SLOT_MS, START_MS, enrol
from hub.balancing.catalog import POLICIES
from hub.closing import COMPLETE, Closer, CloseRule
from hub.commands.enrolling import Nobody, found_installation
from hub.commands.founding import Plan
from hub.config import HubConfig, load_config
from hub.ledger.crew import processors
from hub.ledger.records import NewEntry
from hub.link.post import Post
from hub.market.catalog import CONTRACTS
from hub.policyfile import EXAMPLE, read_policy
from hub.spine import Spine
from hub.starting import open_hub
from keys.file import FileSigner, load
from messages import sealed
from messages.log.tree import leaf_hash
from messages.reading import Reading, sign_reading, sign_sealed_reading

METERS: Final = 200
SLOTS_A_JOB: Final = 8
JOBS_AHEAD: Final = 4
SLOTS_A_DAY: Final = 86_400_000 // SLOT_MS
UWH_A_STEP: Final = 12_345_678
_DRAWN: Final = [2 + (slot * 7) % 5 + (8 if 70 <= slot < 90 else 0) for slot in range(SLOTS_A_DAY)]
_FED: Final = [max(0, 24 - abs(slot - 48)) for slot in range(SLOTS_A_DAY)]
DRAWN, FED = ((0, *accumulate(curve)) for curve in (_DRAWN, _FED))
"""What a day's curve comes to before each of its slots, and in all."""


class Log(NamedTuple):
    """How long a ledger is to be. `is_sealed`: readings are commitments, and nobody reads them."""

    slots: int
    meters: int = METERS
    is_sealed: bool = False

    @classmethod
    def of(cls, entries: int, meters: int = METERS) -> Log:
        """Return a log of at least so many entries: readings, a close and a header each slot."""
        return cls(-(-max(entries - 2 * meters - 3, 1) // (meters + 2)), meters)


def build(folder: Path, log: Log) -> HubConfig:
    """Make the ledger as a hub would; say on standard error how far it is."""
    policy = read_policy(EXAMPLE, "example", 0, CONTRACTS, POLICIES)
    readings = "sealed" if log.is_sealed else "open"
    plan = Plan(MICROGRID, SLOT_MS, 30_000, readings, simulation=False, policy=policy)
    found_installation(folder, plan, START_MS)
    config = load_config(folder / "hub.toml")
    opened = open_hub(config)
    spine = Spine(opened.recorder, opened.pen, Post(Nobody(), opened.pen, MICROGRID), opened.rules)
    enrol(folder, opened, spine, log.meters)
    closer = Closer(spine, opened.pen, CloseRule(SLOT_MS, 30_000, 600_000))
    for slot, entries in enumerate(signed_slots(folder, log)):
        at_ms = START_MS + slot * SLOT_MS
        spine.record(entries)
        if slot:
            closer.close(at_ms - SLOT_MS, COMPLETE, at_ms)
        spine.sign_checkpoint()
        if slot % 20 == 0 or slot == log.slots:
            print(f"\r{spine.recorder.store.size:,} entries", end="", file=sys.stderr)
    print(file=sys.stderr)
    opened.close()
    return config


def signed_slots(folder: Path, log: Log) -> Iterator[list[NewEntry]]:
    """Yield the readings of each slot's beginning, signed ahead by other processes."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processors(), mp_context=spawn) as pool:
        waiting: deque[Future[list[list[NewEntry]]]] = deque()
        for start in range(0, log.slots + 1, SLOTS_A_JOB):
            slots = range(start, min(start + SLOTS_A_JOB, log.slots + 1))
            waiting.append(pool.submit(sign_slots, str(folder), log, slots))
            if len(waiting) > JOBS_AHEAD * processors():
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def sign_slots(folder: str, log: Log, slots: range) -> list[list[NewEntry]]:
    """Return the readings of some slots. What a process does."""
    signers = _signers(folder, log.meters)
    return [
        [reading(signers[meter], meter, slot, log) for meter in range(log.meters)] for slot in slots
    ]


@lru_cache(maxsize=4)
def _signers(folder: str, meters: int) -> list[FileSigner]:
    return [load(Path(folder) / "meters" / f"{meter}.pem") for meter in range(meters)]


def reading(signer: FileSigner, meter: int, slot: int, log: Log) -> NewEntry:
    """Return what a meter signs at a slot's beginning."""
    total_uwh = UWH_A_STEP * steps_until(meter, slot)
    imported, exported = (0, total_uwh) if meter % 2 else (total_uwh, 0)
    at_ms = START_MS + slot * SLOT_MS
    said = Reading(MICROGRID, f"m{meter}", slot + 1, at_ms, imported, exported)
    preimage = None
    if log.is_sealed:
        salt = leaf_hash(b"%d/%d" % (meter, slot))
        raw, preimage = sealed.split(sign_sealed_reading(signer, said, salt))
    else:
        raw = sign_reading(signer, said)
    leaf, kid = leaf_hash(raw), signer.public.kid
    return NewEntry(raw, leaf, kid, "reading", "register", slot + 1, preimage)


def steps_until(meter: int, slot: int) -> int:
    """Return how far a meter has counted when a slot begins, in steps of UWH_A_STEP."""
    sums, shift = FED if meter % 2 else DRAWN, meter * 5
    days, rest = divmod(slot + shift, SLOTS_A_DAY)
    begun_days, begun_rest = divmod(shift, SLOTS_A_DAY)
    return (days - begun_days) * sums[-1] + sums[rest] - sums[begun_rest]


def measured_there(
    name: str, about: str, use: Callable[[Path], Iterator[Figure]], arguments: list[str]
) -> int:
    """Be the command line of a benchmark that measures a ledger which this file made before."""
    parser = argparse.ArgumentParser(
        prog=f"python -m bench.{name}",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="what `python -m bench.longlog` made")
    for figure in use(parser.parse_args(arguments).folder):
        print(figure.line, flush=True)
    return 0


def main(arguments: list[str]) -> int:
    """Make one and keep it."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.longlog",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="where the microgrid's files go; made if needed")
    parser.add_argument("--entries", type=int, default=1_000_000, help="default: a million")
    parser.add_argument("--meters", type=int, default=METERS, help=f"default: {METERS}")
    asked = parser.parse_args(arguments)
    asked.folder.mkdir(parents=True, exist_ok=True)
    build(asked.folder, Log.of(asked.entries, asked.meters))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
