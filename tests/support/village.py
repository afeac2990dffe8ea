"""A small microgrid for tests of the fold: says what happened, keeps the entries and the state.

    village = Village(slot_ms=3_600_000)
    village.meter("ann-pv", "ann", "generation")
    village.read("ann-pv", 0, exported=0)
    village.read("ann-pv", 1, exported=5 * KWH)
    village.close(0)

Times are slot numbers. With `signed=True` every entry is a real message, for audits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.core.effects import Effect, Ignored, SlotSettled
from hub.core.events import Event, read_event
from hub.core.headers import draft_header
from hub.core.state import State
from hub.core.step import Outcome, step
from hub.market.catalog import CONTRACTS
from hub.market.contract import Contract
from keys.file import FileSigner
from keys.vrf import VrfKey
from messages.entries import (
    Ack,
    BlockHeader,
    Calibration,
    Call,
    Close,
    Decision,
    Epoch,
    Genesis,
    KeyEntry,
    Output,
    PolicyEntry,
    RelayEntry,
    sign_entry,
)
from messages.log.tree import Frontier
from messages.proposing import vrf_input
from messages.publickey import EDDSA, PublicKey
from messages.reading import Reading, sign_reading
from tests.support.signers import ed25519

HOUR = 3_600_000
KWH = 1_000_000_000
PRICE, FEED_IN = 300_000, 100_000


@dataclass(frozen=True, slots=True)
class Entry:
    """What was put on the ledger: the event, and its bytes if the village signs."""

    event: Event
    raw: bytes


class Village:
    """Owns a state and the entries that made it."""

    def __init__(
        self,
        *,
        slot_ms: int = HOUR,
        signed: bool = False,
        contracts: Mapping[str, Callable[[], Contract]] = CONTRACTS,
        **policy: Any,
    ) -> None:
        self.slot_ms = slot_ms
        self.signed = signed
        self.contracts = contracts
        self.state = State()
        self.entries: list[Entry] = []
        self.log = Frontier()
        self.log_roots: dict[int, bytes] = {}  # by end index of a close
        self.network_id = b""
        self.sequences: dict[str, int] = {}
        self.administrator = ed25519("administrator")
        self.hub = ed25519("hub")
        self.found()
        self.policy(**policy)

    # --- entries ---------------------------------------------------------------------------

    def put(self, signer: FileSigner, body: Any) -> tuple[Effect, ...]:
        """Append one entry, fold it, return its effects."""
        return self.add(signer, body).effects

    def add(self, signer: FileSigner, body: Any) -> Outcome:
        """Append one entry, fold it, return the outcome."""
        index = len(self.entries)
        raw = b""
        if self.signed:
            is_reading = isinstance(body, Reading)
            raw = (
                sign_reading(signer, body)
                if is_reading
                else sign_entry(signer, body, self.network_id)
            )
            event = read_event(index, raw)
        else:
            event = Event(
                index, hashlib.sha256(index.to_bytes(8, "big")).digest(), signer.public.kid, body
            )
        outcome = step(self.state, event, self.contracts)
        self.state.apply(outcome.changes)
        self.entries.append(Entry(event, raw))
        self.log.append(event.leaf_hash)
        if isinstance(body, Close):
            self.log_roots[index + 1] = self.log.root()
        if isinstance(body, Genesis):
            self.network_id = event.leaf_hash
        return outcome

    def found(self) -> None:
        """Entry 0."""
        genesis = Genesis(
            microgrid="village",
            origin="gridtally.test/village",
            slot_ms=self.slot_ms,
            close_after_ms=1_000,
            readings="open",
            simulation=True,
            administrator=self.administrator.public.cose_key,
            hub=self.hub.public.cose_key,
            log=ed25519("log").public.cose_key,
            policy="none",
            at_ms=0,
        )
        self.put(self.administrator, genesis)

    def policy(self, from_slot: int = 0, **changes: Any) -> tuple[Effect, ...]:
        """Set what is in force from a slot on."""
        fields: dict[str, Any] = {
            "contract": "dep_balance",
            "parameters": {},
            "prices": ((0, PRICE),),
            "feed_in": ((0, FEED_IN),),
            "dispatch": "none",
            "dispatch_parameters": {},
            "disclosure": "open",
            "code_id": b"",
        }
        fields |= changes
        return self.put(
            self.administrator, PolicyEntry(from_slot_ms=from_slot * self.slot_ms, **fields)
        )

    def meter(
        self,
        meter_id: str,
        member: str,
        purpose: str,
        parent: str = "",
        node: str = "pi",
        **fields: Any,
    ) -> None:
        """Enrol a meter."""
        key = ed25519(meter_id).public.cose_key
        entry = KeyEntry(
            "enrol",
            "meter",
            meter_id,
            key,
            node=node,
            member=member,
            purpose=purpose,
            parent=parent,
            model="test",
            **fields,
            rated_mw=10_000,
        )
        expect_effect(self.put(self.administrator, entry))

    def node(self, name: str = "pi", relays: tuple[RelayEntry, ...] = ()) -> None:
        """Enrol a node with its relays."""
        key = ed25519(name).public.cose_key
        expect_effect(
            self.put(self.administrator, KeyEntry("enrol", "node", name, key, relays=relays))
        )

    def person(self, name: str, *roles: str) -> FileSigner:
        """Enrol a member's own key and return it."""
        signer = ed25519(name)
        entry = KeyEntry("enrol", "member", name, signer.public.cose_key, roles=roles)
        expect_effect(self.put(self.administrator, entry))
        return signer

    def feeder(self, name: str, **facts: str) -> FileSigner:
        """Enrol a feeder that tells these facts (name=unit) and return its key."""
        signer = ed25519(name)
        entry = KeyEntry("enrol", "feeder", name, signer.public.cose_key, facts=facts)
        expect_effect(self.put(self.administrator, entry))
        return signer

    def read(
        self,
        meter_id: str,
        slot: int,
        imported: int | None = None,
        exported: int | None = None,
        epoch: int = 0,
    ) -> tuple[Effect, ...]:
        """A register at the start of a slot. [uWh]"""
        sequence = self.sequences[meter_id] = self.sequences.get(meter_id, 0) + 1
        reading = Reading(
            "village", meter_id, sequence, slot * self.slot_ms, imported, exported, epoch
        )
        return self.put(ed25519(meter_id), reading)

    def close(self, slot: int, reason: str = "complete") -> tuple[Effect, ...]:
        """Close a slot."""
        at_ms = (slot + 1) * self.slot_ms
        return self.put(self.hub, Close(slot * self.slot_ms, reason, (), at_ms))

    def settle(self, slot: int) -> SlotSettled:
        """Close a slot and return its settlement."""
        return settled(self.close(slot))

    def decide(self, at_ms: int, *outputs: Output) -> tuple[Effect, ...]:
        """A decision of the hub."""
        decision = Decision(at_ms, "dep", b"", b"\0" * 32, "supply", "dep", "test", outputs)
        return self.put(self.hub, decision)

    def ack(
        self, relay: str, at_ms: int, *, energised: bool, outcome: str = "applied", node: str = "pi"
    ) -> tuple[Effect, ...]:
        """A node says that a contact moved."""
        event = self.sequences[node] = self.sequences.get(node, 0) + 1
        ack = Ack(event, node, relay, event, energised, outcome, "", at_ms, b"\0" * 16, at_ms)
        return self.put(ed25519(node), ack)

    def epoch(
        self, meter_id: str, epoch: int, node: str = "pi", **totals: Any
    ) -> tuple[Effect, ...]:
        """A node says that a register began anew: last_import_uwh=..., first_export_uwh=... ."""
        event = self.sequences[node] = self.sequences.get(node, 0) + 1
        names = ("last_import_uwh", "last_export_uwh", "first_import_uwh", "first_export_uwh")
        fields = {name: totals.get(name) for name in names}
        entry = Epoch(event, node, meter_id, epoch, **fields, reason="reset", at_ms=0)
        return self.put(ed25519(node), entry)

    def calibrate(self, meter_id: str, power_gain_ppm: int, node: str = "pi") -> tuple[Effect, ...]:
        """A node says how it corrects a meter."""
        event = self.sequences[node] = self.sequences.get(node, 0) + 1
        coefficients = (power_gain_ppm, 0, 0, 0, 0)
        compared = (1_000_000, None, None, 988_142, None, None, 30)
        entry = Calibration(event, node, meter_id, *coefficients, *compared, "test", 0)
        return self.put(ed25519(node), entry)

    def call(
        self, signer: FileSigner, call_id: bytes = b"\1" * 16, **fields: Any
    ) -> tuple[Effect, ...]:
        """A member calls the contract."""
        values: dict[str, Any] = {
            "not_after_slot_ms": 10 * self.slot_ms,
            "contract": "dep_balance",
            "method": "offer",
            "arguments": {},
        }
        return self.put(signer, Call(call_id, **(values | fields)))

    def replica(self, member: str) -> None:
        """Enrol a member's replica."""
        entry = KeyEntry(
            "enrol",
            "replica",
            member,
            replica_of(member).public.cose_key,
            vrf=vrf_of(member).public.cose_key,
        )
        expect_effect(self.put(self.administrator, entry))

    def header(self, **changes: Any) -> tuple[Effect, ...]:
        """The hub's block header of the oldest close without one."""
        return self.put(self.hub, replace(self.draft(), **changes))

    def draft(self) -> BlockHeader:
        """What a header of the oldest close without one says."""
        return draft_header(self.state, self.log_roots[min(self.state.dues)])

    def propose(self, member: str, **changes: Any) -> tuple[Effect, ...]:
        """A replica's block header of the oldest close without one, in the round that is its."""
        draft = self.draft()
        alpha = vrf_input(self.network_id, draft.height, draft.seed)
        order = self.state.draw.order
        number = order.index(member) if member in order else 0
        mine = replace(draft, vrf_proof=vrf_of(member).prove(alpha), round=number)
        return self.put(replica_of(member), replace(mine, **changes))

    # --- replay ----------------------------------------------------------------------------

    def replay(self, start: int = 0, state: State | None = None) -> State:
        """Fold the entries from one on again."""
        again = State() if state is None else state
        for entry in self.entries[start:]:
            again.apply(step(again, entry.event, self.contracts).changes)
        return again


def replica_of(member: str) -> FileSigner:
    """Return the key with which a member's replica signs headers."""
    return ed25519(f"{member}'s replica")


def vrf_of(member: str) -> VrfKey:
    """Return the key with which a member's replica draws."""
    secret = hashlib.sha256(f"{member}'s lots".encode()).digest()
    private = Ed25519PrivateKey.from_private_bytes(secret)
    return VrfKey(PublicKey(EDDSA, private.public_key().public_bytes_raw()), secret)


def expect_effect(effects: tuple[Effect, ...]) -> None:
    """Fail the test if an entry was ignored."""
    assert not [effect for effect in effects if isinstance(effect, Ignored)], effects


def settled(effects: tuple[Effect, ...]) -> SlotSettled:
    """Return the settlement among the effects; there is exactly one."""
    (found,) = [effect for effect in effects if isinstance(effect, SlotSettled)]
    return found


def ignored(effects: tuple[Effect, ...]) -> str:
    """Return why an entry was ignored; it is its only effect."""
    (found,) = effects
    assert isinstance(found, Ignored), found
    return found.reason


def cut(relay: str, member: str, power_mw: int | None, *, energised: bool = True) -> Output:
    """An output that wants a load cut."""
    return Output("pi", relay, member, "", energised, True, power_mw)


def fed(relay: str, member: str, power_mw: int | None = 0, *, energised: bool = False) -> Output:
    """An output that wants a load fed."""
    return Output("pi", relay, member, "", energised, False, power_mw)


def relay(name: str, member: str, deenergised: str = "fed") -> RelayEntry:
    """A relay of a node."""
    return RelayEntry(name, deenergised, "", member, 40_000, False)
