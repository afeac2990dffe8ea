"""How many trades a second are settled for good: signed, on the ledger, in the books, synced.

In batches: a slot of homes, half of which have energy over, closes. The signed close is appended
and synced, the market clears, every trade is booked on both accounts, the block header with the
state's root is appended and synced, and a checkpoint is signed. One by one: a member buys a listed
kWh by a signed call, which is verified, appended, synced and booked with its fee before the next
one comes.
The disk's own pace stands beside them. Ganache and Anvil, the papers' stack, write nothing durably;
their figures come from another machine.

    python -m bench trades
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bench.calls import join
from bench.figure import Figure, Target, percentile
from bench.restart import MICROGRID, NODE, SLOT_MS, START_MS
from bench.witness import time_syncs
from hub.balancing.catalog import POLICIES
from hub.closing import COMPLETE, Closer, CloseRule
from hub.commands.enrolling import Nobody, found_installation, sign_as_administrator
from hub.commands.founding import Plan
from hub.config import load_config
from hub.desk import Desk
from hub.inbox import Inbox
from hub.ledger.books import MatchRow
from hub.ledger.crew import rarely_collecting
from hub.ledger.records import NewEntry
from hub.link.post import Post
from hub.market.catalog import CONTRACTS
from hub.policyfile import EXAMPLE, read_policy
from hub.spine import Spine
from hub.starting import Opened, open_hub
from keys.file import FileSigner, generate
from messages import cose
from messages.entries import Call, KeyEntry, sign_entry
from messages.log.tree import leaf_hash
from messages.reading import Reading, sign_reading

KWH: Final = 1_000_000_000
HOMES: Final = 1_000
SLOTS: Final = 12
BUYERS: Final = 100
FEE: Final = {"call_fee_utok": 100}
ANVIL_BATCH, ANVIL_SINGLE = 15_800, 750
"""Trades a second of an Anvil node that syncs nothing, measured elsewhere."""


def run(*, quick: bool) -> Iterator[Figure]:
    """Close slots of many homes, then let members buy one after the other."""
    homes, buyers = (100, 50) if quick else (HOMES, BUYERS)
    with tempfile.TemporaryDirectory() as name:
        with rarely_collecting():  # as a hub that runs
            rates, trades = in_batches(Path(name), homes)
        yield Figure(
            f"settled durably, slots of {homes:,} homes",
            max(rates),
            "trades/s",
            Target("at least", ANVIL_BATCH),
            f"best of {len(rates)}, median {percentile(rates, 50):,.0f}; {trades} trades a slot",
        )
    with tempfile.TemporaryDirectory() as name:
        times = one_by_one(Path(name), buyers)
        note = f"best hundredth of {buyers}; median {1 / percentile(times, 50):,.0f}/s"
        best = 1 / percentile(times, 1)
        target = Target("at least", ANVIL_SINGLE)
        yield Figure("settled durably, one by one", best, "trades/s", target, note)
        syncs = time_syncs(Path(name) / "synced", 200)
        yield Figure("synced writes of the same disk, one after the other", syncs, "/s")


def founded(folder: Path, contract: str, parameters: Mapping[str, Any]) -> tuple[Opened, Spine]:
    """Found a hub with a market."""
    policy = read_policy(EXAMPLE, "example", 0, CONTRACTS, POLICIES)
    policy = replace(policy, contract=contract, parameters=parameters)
    plan = Plan(MICROGRID, SLOT_MS, 30_000, "open", simulation=False, policy=policy)
    found_installation(folder, plan, START_MS)
    opened = open_hub(load_config(folder / "hub.toml"))
    post = Post(Nobody(), opened.pen, MICROGRID)
    return opened, Spine(opened.recorder, opened.pen, post, opened.rules)


def in_batches(folder: Path, homes: int) -> tuple[list[float], int]:
    """Return trades a second of each slot, and how many trades the last one had."""
    opened, spine = founded(folder, "double_auction", {"without_order": "tariff"})
    meters = enrol_homes(folder, opened, spine, homes)
    closer = Closer(spine, opened.pen, CloseRule(SLOT_MS, 0, 0))
    rates: list[float] = []
    trades = 0
    for slot in range(SLOTS + 1):
        at_ms = START_MS + slot * SLOT_MS
        spine.record([reading(signer, home, slot) for home, signer in enumerate(meters)])
        if slot:
            start_s = time.perf_counter()
            closer.close(at_ms - SLOT_MS, COMPLETE, at_ms)
            spine.sign_checkpoint()
            took_s = time.perf_counter() - start_s
            trades = len(opened.recorder.store.books.of_slot(MatchRow, at_ms - SLOT_MS))
            rates.append(trades / took_s)
    opened.close()
    return rates, trades


def enrol_homes(folder: Path, opened: Opened, spine: Spine, homes: int) -> list[FileSigner]:
    """Enrol a node, and a meter for each home."""
    node = generate(folder / "node.pem")
    meters = [generate(folder / "meters" / f"{home}.pem") for home in range(homes)]
    entries = [KeyEntry("enrol", "node", NODE, node.public.cose_key, member="h0")]
    entries += [
        KeyEntry(
            "enrol",
            "meter",
            f"m{home}",
            signer.public.cose_key,
            node=NODE,
            member=f"h{home}",
            purpose="net",
            model="sdm120",
            rated_mw=5_000_000,
        )
        for home, signer in enumerate(meters)
    ]
    raws = sign_as_administrator(opened.config, entries)
    spine.record([_new(raw, KeyEntry.KIND) for raw in raws])
    return meters


def reading(signer: FileSigner, home: int, slot: int) -> NewEntry:
    """Return what a home's meter signs: every second one has energy over, no two the same."""
    total_uwh = slot * (KWH + home * 1_237)
    totals = (0, total_uwh) if home % 2 else (total_uwh, 0)
    said = Reading(MICROGRID, f"m{home}", slot + 1, START_MS + slot * SLOT_MS, *totals)
    raw, kid = sign_reading(signer, said), signer.public.kid
    return NewEntry(raw, leaf_hash(raw), kid, "reading", "register", slot + 1)


def one_by_one(folder: Path, buyers: int) -> list[float]:
    """Return the seconds of each purchase, from its bytes to its booked fee."""
    opened, spine = founded(folder, "listing", FEE)
    meters = enrol_homes(folder, opened, spine, 2)
    for slot in range(2):
        spine.record([reading(signer, home, slot) for home, signer in enumerate(meters)])
    closer = Closer(spine, opened.pen, CloseRule(SLOT_MS, 0, 0))
    closer.close(START_MS, COMPLETE, START_MS + SLOT_MS)
    people = [generate(folder / "people" / f"{n}.pem") for n in range(2 * buyers)]
    join(opened, spine, people)
    desk = Desk(Inbox(folder), spine, CONTRACTS, POLICIES)
    for number in range(buyers):
        _append(desk, deal(opened, people[buyers + number], "list", buyers + number))
    calls = [deal(opened, people[number], "buy", number) for number in range(buyers)]
    times = []
    for raw in calls:
        start_s = time.perf_counter()
        _append(desk, raw)
        times.append(time.perf_counter() - start_s)
    opened.close()
    return times


def deal(opened: Opened, signer: FileSigner, method: str, number: int) -> bytes:
    """Return a signed call that lists or buys a kWh."""
    slot_ms = START_MS + 2 * SLOT_MS
    wish: dict[str, int | str | bytes | bool] = {
        "price_utok_per_kwh": 200_000,
        "energy_uwh": KWH,
        "slot_ms": slot_ms,
        "fee_utok": FEE["call_fee_utok"],
    }
    call = Call(number.to_bytes(16, "big"), slot_ms, "listing", method, wish)
    return sign_entry(signer, call, opened.trust.network_id)


def _append(desk: Desk, raw: bytes) -> None:
    reason = desk.append(raw)
    if reason:
        raise SystemExit(reason)


def _new(raw: bytes, kind: str) -> NewEntry:
    return NewEntry(raw, leaf_hash(raw), cose.parse(raw).kid, kind)
