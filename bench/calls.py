"""A thousand members call at once: how long until each has been told that his call counts.

Each call is a signed order that waits as a file in the inbox of a hub, as commands put them there.
The clock runs from the moment they all wait until the last is answered; what is measured is the
hub's own path: signature, form, the fold's word, a durable commit for as many as are taken at once.

    python -m bench calls
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench.figure import Figure
from bench.restart import MICROGRID, SLOT_MS, START_MS, enrol, entry_of
from hub.balancing.catalog import POLICIES
from hub.closing import COMPLETE, Closer, CloseRule
from hub.commands.enrolling import Nobody, found_installation, sign_as_administrator
from hub.commands.founding import Plan
from hub.config import load_config
from hub.desk import Desk
from hub.inbox import TAKEN_AT_ONCE, Inbox
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

CONTRACT = "double_auction"


def run(*, quick: bool) -> Iterator[Figure]:
    """Found a hub, let its members call, and say how long that took."""
    members = 100 if quick else 1_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        policy = read_policy(EXAMPLE, "example", 0, CONTRACTS, POLICIES)
        policy = replace(policy, contract=CONTRACT, parameters={})
        plan = Plan(MICROGRID, SLOT_MS, 30_000, "open", simulation=False, policy=policy)
        found_installation(folder, plan, START_MS)
        opened = open_hub(load_config(folder / "hub.toml"))
        took_s, refused = time_calls(folder, opened, members)
        opened.close()
    yield Figure(
        f"{members:,} members call at once, until all are answered",
        took_s,
        "s",
        note=f"{members / took_s:,.0f} calls/s, {TAKEN_AT_ONCE} a commit, {refused} refused",
    )


def time_calls(folder: Path, opened: Opened, members: int) -> tuple[float, int]:
    """Return the seconds until the inbox is empty, and how many calls were refused."""
    spine = Spine(opened.recorder, opened.pen, Post(Nobody(), opened.pen, MICROGRID), opened.rules)
    begin(folder, opened, spine)
    people = [generate(folder / "people" / f"{number}.pem") for number in range(members)]
    join(opened, spine, people)
    inbox = Inbox(folder)
    inbox.open()
    paths = [inbox.put(call_of(opened, signer, number)) for number, signer in enumerate(people)]
    desk = Desk(inbox, spine, CONTRACTS, POLICIES)
    start_s = time.perf_counter()
    while desk.take():
        pass
    took_s = time.perf_counter() - start_s
    return took_s, sum(inbox.outcome(path) != "" for path in paths)


def begin(folder: Path, opened: Opened, spine: Spine) -> None:
    """Enrol one meter and close a slot: calls are timed by slots."""
    signers = enrol(folder, opened, spine, 1)
    for slot in range(2):
        at_ms = START_MS + slot * SLOT_MS
        spine.record([entry_of(signer, meter, slot, at_ms) for meter, signer in signers.items()])
    Closer(spine, opened.pen, CloseRule(SLOT_MS, 0, 0)).close(START_MS, COMPLETE, at_ms)


def join(opened: Opened, spine: Spine, people: list[FileSigner]) -> None:
    """Enrol members, all by one commit."""
    entries = [
        KeyEntry("enrol", "member", f"p{number}", signer.public.cose_key)
        for number, signer in enumerate(people)
    ]
    signed = sign_as_administrator(opened.config, entries)
    kids = [cose.parse(raw).kid for raw in signed]
    spine.record(
        [
            NewEntry(raw, leaf_hash(raw), kid, KeyEntry.KIND)
            for raw, kid in zip(signed, kids, strict=True)
        ]
    )


def call_of(opened: Opened, signer: FileSigner, number: int) -> bytes:
    """Return a signed order, at a price of its own."""
    wish: dict[str, int | str | bytes | bool] = {
        "side": "bid",
        "price_utok_per_kwh": 250_000 + number,
    }
    call_id = number.to_bytes(16, "big")
    call = Call(call_id, START_MS + 2 * SLOT_MS, CONTRACT, "order", wish)
    return sign_entry(signer, call, opened.trust.network_id)
