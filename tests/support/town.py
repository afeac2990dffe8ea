"""A founded hub whose members ann and bob have a meter and a key each: ann sells, bob buys.

Slots are numbered from 0. What a hub does here it does as in a running one, without a broker.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hub.balancing.catalog import POLICIES
from hub.closing import Closer, CloseRule
from hub.commands.enrolling import sign_as_administrator
from hub.config import HubConfig
from hub.desk import Desk
from hub.inbox import Inbox
from hub.link.arrivals import Arrival
from hub.link.nodes import Newsroom
from hub.market.catalog import CONTRACTS
from hub.policyfile import EXAMPLE, read_policy
from hub.spine import Spine
from hub.starting import Opened, read_trust
from keys.file import FileSigner, generate
from messages.banking import BankRules
from messages.entries import KeyEntry, PolicyEntry
from tests.support.hub_bench import NODE, SLOT_MS, START_MS, Bench
from tests.support.signers import ed25519
from tests.support.village import KWH

PEOPLE = {"ann": ("pv", "generation", 5 * KWH), "bob": ("load", "consumption", 3 * KWH)}
"""Member -> meter, its purpose, and what it counts in a slot. [uWh]"""


def at(slot: int) -> int:
    """Return when a slot begins. [ms UTC]"""
    return START_MS + slot * SLOT_MS


class Town:
    """A hub's folder, and what its members hold."""

    def __init__(self, folder: Path, contract: str = "double_auction", **parameters: Any) -> None:
        self.bench = Bench(folder)
        self.folder = folder
        self.keys = {name: folder / f"{name}.pem" for name in PEOPLE}
        self.people: dict[str, FileSigner] = {n: generate(path) for n, path in self.keys.items()}
        with self.open() as (_, spine):
            assert not any(self.bench.enrol(spine, [self.node(), *self.members()]))
            self.set_policy(spine, 0, contract, **parameters)
        self.readings: dict[int, list[Arrival]] = {}

    @property
    def config(self) -> HubConfig:
        return self.bench.config

    @property
    def network_id(self) -> bytes:
        """What everything that is signed here is bound to."""
        return read_trust(self.folder / "trust.toml").network_id

    def moved(self, folder: Path) -> Town:
        """Return the town of a copy of its folder, which goes its own way."""
        made = copy.copy(self)
        made.folder, made.readings = folder, dict(self.readings)
        made.bench = copy.copy(self.bench)
        made.bench.folder, made.bench.sequences = folder, dict(self.bench.sequences)
        return made

    def node(self) -> KeyEntry:
        return KeyEntry("enrol", "node", NODE, ed25519(NODE).public.cose_key, member="ann")

    def members(self) -> Iterator[KeyEntry]:
        for name, (meter, purpose, _) in PEOPLE.items():
            yield KeyEntry("enrol", "member", name, self.people[name].public.cose_key)
            entry = replace(self.bench.meter_entry(meter), member=name, purpose=purpose, parent="")
            yield entry

    @contextmanager
    def open(self) -> Iterator[tuple[Opened, Spine]]:
        opened = self.bench.open()
        try:
            yield opened, self.bench.spine(opened)
        finally:
            opened.close()

    def set_policy(
        self,
        spine: Spine,
        slot: int,
        contract: str,
        *,
        bank: BankRules | None = None,
        **parameters: Any,
    ) -> None:
        usual = read_policy(EXAMPLE, "example", 0, CONTRACTS, POLICIES)
        from_ms = at(slot) if slot else 0
        entry: PolicyEntry = replace(
            usual,
            from_slot_ms=from_ms,
            contract=contract,
            parameters=parameters,
            bank=bank or usual.bank,
        )
        (raw,) = sign_as_administrator(self.bench.config, [entry])
        assert self.desk(spine).append(raw) == ""

    def desk(self, spine: Spine) -> Desk:
        return Desk(Inbox(self.folder), spine, CONTRACTS, POLICIES)

    def read(self, spine: Spine, slot: int) -> None:
        """Take in what both meters say at the start of a slot; the same words each time."""
        if slot not in self.readings:
            self.readings[slot] = [
                self.bench.reading(meter, at(slot), slot * energy)
                for meter, _, energy in PEOPLE.values()
            ]
        spine.take_in(self.readings[slot], 0, at(slot))

    def close(self, opened: Opened, spine: Spine, slot: int) -> bool:
        """Close a slot if it is the next one, with its header."""
        closer = Closer(spine, opened.pen, CloseRule(SLOT_MS, 0, 0))
        closer.add_headers()
        if opened.recorder.state.progress.next_slot_ms not in (None, at(slot)):
            return False
        return closer.close_due(Newsroom(), at(slot + 1), 0, 0)

    def play(self, slots: range) -> None:
        """Let these slots go by."""
        with self.open() as (opened, spine):
            for slot in slots:
                self.read(spine, slot)
                self.read(spine, slot + 1)
                assert self.close(opened, spine, slot)
            spine.sign_checkpoint()
