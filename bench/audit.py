"""How fast a ledger is audited from genesis on all processors, beside bare verification on them.

A ledger of real entries: METERS meters, a register each a slot, closes, block headers. `audit`
reads it, checks every signature, folds every entry, hashes every root and compares every row of the
books. Bare is the same signatures in as many processes and nothing else, in turns with the audit.

    python -m bench audit
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from bench.figure import Figure, Target, percentile
from bench.restart import MICROGRID, SLOT_MS, START_MS, enrol, entry_of
from hub.balancing.catalog import POLICIES
from hub.closing import COMPLETE, Closer, CloseRule
from hub.commands.enrolling import Nobody, found_installation
from hub.commands.founding import Plan
from hub.commands.inspecting import audit_ledger, verify_ledger
from hub.config import HubConfig, load_config
from hub.core.state import State
from hub.ledger.crew import Job, check_all, processors
from hub.ledger.store import Store
from hub.market.catalog import CONTRACTS
from hub.policyfile import EXAMPLE, read_policy
from hub.post import Post
from hub.spine import Spine
from hub.starting import open_hub, read_trust
from messages import cose
from messages.entries import network_aad
from messages.senml import CONTENT_TYPE

METERS = 200
RUNS = 3
JOB = 256


def run(*, quick: bool) -> Iterator[Figure]:
    """Build a ledger, then audit and verify it in turns with bare verification."""
    slots = 40 if quick else 120
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = build(folder, slots)
        jobs = bare_jobs(config)
        entries = sum(len(job[1]) for job in jobs)
        rows = [measure(config, jobs, entries) for _ in range(1 if quick else RUNS)]
    note = f"{entries:,} entries, {METERS} meters, {processors()} processors"
    for place, what in enumerate(("audit", "verify")):
        rates = [row[place] for row in rows]
        bare = percentile([row[2] for row in rows], 50)
        yield Figure(f"{what}: rate", percentile(rates, 50), "entries/s", note=note)
        ratio = percentile([row[place] / row[2] for row in rows], 50)
        target = Target("at least", 0.7) if what == "audit" else None
        said = f"median of {len(rows)}; bare {bare:,.0f}/s on {processors()} processors"
        yield Figure(f"{what}: ratio", ratio, "of bare", target, said)


def build(folder: Path, slots: int) -> HubConfig:
    """Make the ledger as a hub would; say on standard error how far it is."""
    policy = read_policy(EXAMPLE, "example", 0, CONTRACTS, POLICIES)
    plan = Plan(MICROGRID, SLOT_MS, 30_000, "open", simulation=False, policy=policy)
    found_installation(folder, plan, START_MS)
    config = load_config(folder / "hub.toml")
    opened = open_hub(config)
    spine = Spine(opened.recorder, opened.pen, Post(Nobody(), opened.pen, MICROGRID), opened.rules)
    signers = enrol(folder, opened, spine, METERS)
    closer = Closer(spine, opened.pen, CloseRule(SLOT_MS, 30_000, 600_000))
    for slot in range(slots + 1):
        at_ms = START_MS + slot * SLOT_MS
        spine.record([entry_of(signer, meter, slot, at_ms) for meter, signer in signers.items()])
        if slot:
            closer.close(at_ms - SLOT_MS, COMPLETE, at_ms)
        print(f"\r{slot} slots", end="", file=sys.stderr)
    spine.sign_checkpoint()
    print(file=sys.stderr)
    opened.close()
    return config


def bare_jobs(config: HubConfig) -> list[Job]:
    """Return every signature of the ledger, ready to check."""
    trust = read_trust(Path(config.trust))
    aad = network_aad(trust.network_id)
    jobs = []
    opened = open_hub(config)
    state: State = opened.recorder.state
    keys = {kid: key.cose_key for kid, key in state.keys.items()}
    opened.close()
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


def measure(config: HubConfig, jobs: list[Job], entries: int) -> tuple[float, float, float]:
    """Return entries a second: audited, verified, and by bare verification before and after."""
    before_s = bare_s(jobs)
    start_s = time.perf_counter()
    report = audit_ledger(config, lambda done, total: None)
    audit_s = time.perf_counter() - start_s
    if not report.is_right:
        raise SystemExit(report.difference)
    after_s = bare_s(jobs)
    start_s = time.perf_counter()
    if verify_ledger(config, lambda done, total: None).findings:
        raise SystemExit("the ledger does not verify")
    verify_s = time.perf_counter() - start_s
    return entries / audit_s, entries / verify_s, 2 * entries / (before_s + after_s)


def bare_s(jobs: list[Job]) -> float:
    """Return how long so many processes need for these signatures, and nothing else. [s]"""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processors(), mp_context=spawn) as pool:
        for _ in pool.map(check_all, jobs[: processors()]):  # processes and keys are ready
            pass
        start_s = time.perf_counter()
        if not all(all(flags) for flags in pool.map(check_all, jobs, chunksize=4)):
            raise SystemExit("a signature of the ledger does not verify")
        return time.perf_counter() - start_s
