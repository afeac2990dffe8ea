"""How fast a ledger is audited from genesis on all processors, beside bare verification on them.

A real ledger (`bench.longlog`): 200 meters, a register each a slot, deals, closes, block headers.
`audit` reads it, checks every signature, folds every entry, hashes every root and compares every
row of the books. Bare is the same signatures in as many processes and nothing else, in turns with
the audit. The ratio is told twice: by the clock, which is what a user waits and what other work on
the machine spoils, and by CPU time of all processes, which bears that.

    python -m bench audit
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from bench.figure import Figure, Target, percentile
from bench.longlog import METERS, Log, build
from hub.commands.inspecting import audit_ledger, verify_ledger
from hub.config import HubConfig
from hub.core.state import State
from hub.ledger.crew import Job, check_all, processors
from hub.ledger.store import Store
from hub.starting import open_hub, read_trust
from messages import cose
from messages.entries import network_aad
from messages.senml import CONTENT_TYPE

RUNS: Final = 3
JOB: Final = 256


class Spent(NamedTuple):
    """What some work took: by the clock, and in all processes together. [s]"""

    wall_s: float
    cpu_s: float


def run(*, quick: bool) -> Iterator[Figure]:
    """Build a ledger, then audit and verify it in turns with bare verification."""
    with tempfile.TemporaryDirectory() as name:
        config = build(Path(name), Log.of(10_000 if quick else 100_000))
        yield from compare(config, runs=1 if quick else RUNS)


def compare(config: HubConfig, *, runs: int) -> Iterator[Figure]:
    """Yield rates and ratios of a ledger that is there."""
    jobs = bare_jobs(config)
    entries = sum(len(job[1]) for job in jobs)
    rows = [measure(config, jobs) for _ in range(runs)]
    bare = percentile([entries / row[2].wall_s for row in rows], 50)
    said = f"median of {runs}; {entries:,} entries, {METERS} meters, {processors()} processors"
    for place, what in enumerate(("audit", "verify")):
        target = Target("at least", 0.7) if what == "audit" else None
        rate = percentile([entries / row[place].wall_s for row in rows], 50)
        yield Figure(f"{what}: rate", rate, "entries/s", None, f"bare {bare:,.0f}/s; {said}")
        by_cpu = percentile([row[2].cpu_s / row[place].cpu_s for row in rows], 50)
        yield Figure(f"{what}: ratio by CPU time", by_cpu, "of bare", target, said)
        by_wall = percentile([row[2].wall_s / row[place].wall_s for row in rows], 50)
        yield Figure(f"{what}: ratio by the clock", by_wall, "of bare", target, said)


def bare_jobs(config: HubConfig) -> list[Job]:
    """Return every signature of the ledger but that of genesis, ready to check."""
    aad = network_aad(read_trust(Path(config.trust)).network_id)
    opened = open_hub(config)
    state: State = opened.recorder.state
    keys = {kid: key.cose_key for kid, key in state.keys.items()}
    opened.close()
    jobs = []
    with Store.open(config.database, read_only=True) as store:
        size = store.size
        for at in range(1, size, JOB):
            places: dict[bytes, int] = {}
            checks = []
            for _, raw in store.raws(at, min(at + JOB, size)):
                envelope = cose.parse(raw)
                bound = b"" if envelope.content_type == CONTENT_TYPE else aad
                signed = cose.signed_bytes(envelope.protected, envelope.payload, bound)
                place = places.setdefault(keys[envelope.kid], len(places))
                checks.append((place, envelope.signature, signed))
            jobs.append((tuple(places), checks))
    return jobs


def measure(config: HubConfig, jobs: list[Job]) -> tuple[Spent, Spent, Spent]:
    """Return what an audit, a verification, and bare verification before each of them took."""

    def audit() -> None:
        report = audit_ledger(config, lambda done, total: None)
        if not report.is_right:
            raise SystemExit(report.difference)

    def verify() -> None:
        if verify_ledger(config, lambda done, total: None).findings:
            raise SystemExit("the ledger does not verify")

    before, audited = spent(lambda: bare(jobs)), spent(audit)
    between, verified = spent(lambda: bare(jobs)), spent(verify)
    mean = Spent((before.wall_s + between.wall_s) / 2, (before.cpu_s + between.cpu_s) / 2)
    return audited, verified, mean


def spent(work: Callable[[], None]) -> Spent:
    """Return what some work takes, its processes' start and end included."""
    cpu_s, wall_s = _cpu_s(), time.perf_counter()
    work()
    return Spent(time.perf_counter() - wall_s, _cpu_s() - cpu_s)


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(row.ru_utime + row.ru_stime for row in used)


def bare(jobs: list[Job]) -> None:
    """Check these signatures in so many processes, and do nothing else."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processors(), mp_context=spawn) as pool:
        if not all(all(flags) for flags in pool.map(check_all, jobs, chunksize=4)):
            raise SystemExit("a signature of the ledger does not verify")
