"""What the reading commands find out: proofs, audits, status. Opens the ledger for reading only.

Nothing here believes what the database says of itself: `trust.toml` and the entries decide.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from hub.auditing.audit import Inputs, Report, audit, views_fault
from hub.auditing.place import KEEP_EVERY_S, Keeper, Standing, check_still_there
from hub.balancing.catalog import installed as installed_policies
from hub.code_id import code_id
from hub.config import HubConfig
from hub.errors import LedgerError
from hub.ledger import export, samples
from hub.ledger.books import BookRow
from hub.ledger.crew import Crew, rarely_collecting
from hub.ledger.preimages import Preimages
from hub.ledger.records import Entry
from hub.ledger.store import Store
from hub.ledger.verify import Report as VerifyReport
from hub.ledger.verify import verify
from hub.market.catalog import installed as installed_contracts
from hub.starting import read_trust
from hub.vitals.health import read_health, silence
from hub.watching.collecting import findings
from messages.log.note import parse_vkey
from messages.log.policy import parse_policy
from messages.log.proof import check_proof, parse_proof
from messages.sample import ProvenSample, check_sample, format_sample

AUDIT_FILE = "audit.progress"
TELL_EVERY = 1_000
TRIES_MAX = 100
SETTLE_S = 0.05

Progress = Callable[[int, int], None]


def prove(config: HubConfig, wanted: str) -> tuple[Entry, str]:
    """Return an entry, by index or by its id's first digits, and its `.tlog-proof`, checked.

    Raises:
        NoSuchEntry: there is none, or no checkpoint covers it yet.
        BadProof: the ledger cannot prove it.
    """
    trust = read_trust(Path(config.trust))
    with Store.open(config.database, read_only=True) as store:
        entry = store.named(wanted)
        text = export.prove(store, entry.index, parse_policy(trust.policy))
    check_proof(parse_proof(text), entry.leaf_hash, parse_vkey(trust.log_vkey))
    return entry, text


def prove_sample(config: HubConfig, meter_id: str, at_ms: int) -> tuple[ProvenSample, str]:
    """Return what a meter measured at an instant, and the file that proves it, checked.

    Raises:
        NoSuchEntry: it is not stored, not sealed yet, or gone by the retention rule.
        BadProof: the ledger cannot prove it.
    """
    trust = read_trust(Path(config.trust))
    with Store.open(config.database, read_only=True) as store:
        proof = samples.prove_sample(store, meter_id, at_ms)
    log_key = parse_vkey(trust.log_vkey)
    proven = check_sample(proof, log_key, (trust.network_id, trust.hub_key))
    return proven, format_sample(proof)


def verify_ledger(config: HubConfig, progress: Progress) -> VerifyReport:
    """Check the whole ledger from its bytes and `trust.toml`."""
    return verify(config.database, read_trust(Path(config.trust)), progress)


def export_tiles(config: HubConfig, folder: Path, progress: Progress) -> str:
    """Write static tiles; return what was written, for people."""
    trust = read_trust(Path(config.trust))
    with Store.open(config.database, read_only=True) as store:
        written = export.export_tiles(store, folder, trust, progress)
    return f"{folder}: checkpoint over {written.size} entries, with its tiles"


def export_csv(config: HubConfig, folder: Path, *, unsealed: bool = False) -> str:
    """Write the books as tables; return what was written, for people."""
    with Store.open(config.database, read_only=True) as store:
        counts = export.export_csv(store, folder, unsealed=unsealed)
    return f"{folder}: " + ", ".join(f"{name} {rows}" for name, rows in counts.items())


def audit_ledger(
    config: HubConfig,
    progress: Progress,
    *,
    resume: bool = False,
    workers: int | None = None,
    every_s: float = KEEP_EVERY_S,
) -> Report:
    """Fold every entry again, and compare with block headers and books.

    Args:
        config: whose ledger.
        progress: called with (entries done, entries to do) now and then.
        resume: go on where an audit that was ended stood; begin anew if there is none.
        workers: processes that check signatures; None: one a processor.
        every_s: how often it is kept how far the audit is.

    Raises:
        LedgerError: there is no ledger, or entries are missing.
    """
    trust = read_trust(Path(config.trust))
    contracts, policies = installed_contracts(), installed_policies()
    rules = code_id(contracts, policies)
    with rarely_collecting(), Store.open(config.database, read_only=True) as store:
        inputs = Inputs(
            contracts=contracts,
            policies=policies,
            preimages=Preimages(store.engine).of,
            views=store.views.body,
            snapshots={kept.size: kept for kept in store.snapshots()},
            code_id=rules,
        )
        keeper = Keeper(Path(config.state) / AUDIT_FILE, trust.network_id + rules, every_s)
        standing = _standing(store, keeper) if resume else None
        size, rows = _settled_rows(store)
        entries = _told(store, standing.place.size if standing else 0, size, progress)
        crew = Crew(workers)
        found = audit(entries, inputs, rows, crew=crew, keeper=keeper, standing=standing)
        keeper.forget()
        return found if found.difference else replace(found, difference=_beside(store, size))


def _beside(store: Store, size: int) -> str:
    """Say what is wrong with what an audit reads beside the entries; "": nothing."""
    beyond = [kept.size for kept in store.snapshots() if kept.size > store.size]
    if beyond:
        return f"a snapshot is of {beyond[0]} entries, the ledger has {size}"
    return views_fault(store.views.all())


def _standing(store: Store, keeper: Keeper) -> Standing | None:
    """Return where the last audit stood, the entries before it hashed again."""
    standing = keeper.resume()
    if standing is not None:
        size = standing.place.size
        if size > store.size:
            raise LedgerError(f"{keeper.path} is of {size} entries, the ledger has {store.size}")
        check_still_there(standing.place, (raw for _, raw in store.raws(0, size)))
    return standing


def _told(store: Store, start: int, size: int, progress: Progress) -> Iterator[tuple[int, bytes]]:
    for entry in store.raws(start, size):
        if entry[0] % TELL_EVERY == 0:
            progress(entry[0], size)
        yield entry
    progress(size, size)


def _settled_rows(store: Store) -> tuple[int, Iterator[BookRow]]:
    """Return a size and the books as they were at it, though a hub may be writing on."""
    for _ in range(TRIES_MAX):
        size = store.size
        time.sleep(SETTLE_S)  # books follow their entries within this
        rows = store.books.history()
        first = list(islice(rows, 1))  # from here on they are one snapshot
        if store.size == size:
            return size, chain(first, rows)
    raise LedgerError(
        "the hub writes faster than its books can be read: stop it, or ask when it is quieter"
    )


def status(config: HubConfig) -> dict[str, Any]:
    """Return what is known of the hub without asking it: its health file and its ledger's head."""
    hub = read_health(Path(config.state))
    silent = silence(hub, time.time_ns() // 1_000_000)
    found: dict[str, Any] = {"hub": hub, "running": silent or "running"}
    try:
        with Store.open(config.database, read_only=True) as store:
            newest = store.newest_checkpoint()
            found["ledger"] = {
                "entries": store.size,
                "checkpoint": None if newest is None else newest.size,
                "evidence": len(store.strangers.evidence()),
            }
            found["suspects"] = [each.text for each in findings(store).suspects]
            gone, last_ms = store.packs.forgotten()
            found["telemetry"] = {"packs": store.packs.count(), "gone": gone, "last_ms": last_ms}
    except LedgerError as error:
        found["ledger"] = {"fault": str(error)}
    return found
