"""The ledger as this process sees it: read-only, folded and verified by itself, from entry 0 on.

It opens the file for reading in short transactions, checks every entry as a doubter would, and
folds what it checked. So the page says what the ledger says, and says when the two disagree.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from threading import Lock

from hub.balancing.catalog import installed
from hub.config import HubConfig
from hub.core.clearing import Contracts
from hub.core.effects import CallFailed, CallServed, SlotSettled
from hub.core.events import read_event
from hub.core.state import State
from hub.core.step import step
from hub.errors import LedgerError, NoSuchEntry
from hub.ledger.cosignatures import Standing
from hub.ledger.export import prove
from hub.ledger.records import Snapshot
from hub.ledger.store import Store
from hub.ledger.tiling import read_tile, require_tile
from hub.ledger.verify import Verifier
from hub.market.catalog import CONTRACTS
from hub.market.contract import Value
from hub.switching.explaining import Why, explain
from hub.watching.collecting import Lookout
from hub.watching.suspects import Suspect
from hub.web.view import FateView, LedgerView, MatchView, PositionView, SlotView, WitnessView
from hub.web.why import Decisions
from messages.errors import MessageError
from messages.log.note import NoteKey, parse_vkey
from messages.log.policy import LogPolicy, parse_policy
from messages.log.tiles import Tile
from messages.trust import Trust

SLOTS_KEPT = 1_000
CALLS_KEPT = 10_000
ENTRIES_A_REFRESH = 5_000


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """What became of a member's call: `reason` says why it failed, "" if it was served."""

    member: str
    reason: str
    index: int
    answer: Mapping[str, Value]


class LedgerReader:
    """Owns the read-only store, the fold and the verifier of the web process.

    `refresh` is for one thread; everything else may be asked from any.
    """

    def __init__(self, config: HubConfig, trust: Trust, contracts: Contracts = CONTRACTS) -> None:
        self.contracts = contracts
        self._url = config.database
        self._trust = trust
        self._policy = parse_policy(trust.policy)
        self._keys = _witness_keys(self._policy, config)
        self._store: Store | None = None
        self._verifier: Verifier | None = None
        self._lock = Lock()
        self._state = State()
        self._folded = 0
        self._slots: deque[SlotView] = deque(maxlen=SLOTS_KEPT)
        self._calls: OrderedDict[bytes, CallOutcome] = OrderedDict()
        self._decisions = Decisions()
        self._verified_s: float | None = None
        self._finding = ""
        self._size = 0
        self._root = b""
        self._final_size = 0
        self._witnesses: tuple[Standing, ...] = ()

    def refresh(self) -> bool:
        """Take in and verify what is new; True when nothing is left to do for now."""
        try:
            store, verifier = self._opened()
            size = store.size
            stop = min(size, self._folded + ENTRIES_A_REFRESH)
            if not self._finding:
                self._finding = "; ".join(verifier.advance(stop))
            if not self._finding:
                self._fold(store, stop)
            final = store.cosignatures.final(self._policy)
            witnesses = store.cosignatures.standings(self._keys)
            with self._lock:
                self._size, self._root = size, store.root(size)
                self._final_size = 0 if final is None else final.size
                self._witnesses = witnesses
                if not self._finding and self._folded == size:
                    self._verified_s = time.monotonic()
            return stop == size or bool(self._finding)
        except (LedgerError, MessageError) as error:
            self._finding = str(error)
            return True

    def _opened(self) -> tuple[Store, Verifier]:
        if self._store is None or self._verifier is None:
            self._store = Store.open(self._url, read_only=True)
            self._verifier = Verifier(self._store, self._trust)
        return self._store, self._verifier

    def _fold(self, store: Store, stop: int) -> None:
        for entry in store.entries(self._folded, stop):
            event = read_event(entry.index, entry.raw, entry.preimage)
            with self._lock:
                outcome = step(self._state, event, self.contracts)
                self._state.apply(outcome.changes)
                self._folded = entry.index + 1
                self._decisions.note(event.index, event.body)
                for effect in outcome.effects:
                    if isinstance(effect, SlotSettled):
                        self._slots.appendleft(slot_view(effect))
                    elif isinstance(effect, CallServed | CallFailed):
                        self._note_call(effect)

    def _note_call(self, effect: CallServed | CallFailed) -> None:
        reason = effect.reason if isinstance(effect, CallFailed) else ""
        answer = effect.answer if isinstance(effect, CallServed) else {}
        self._calls[effect.call_id] = CallOutcome(effect.member, reason, effect.index, answer)
        while len(self._calls) > CALLS_KEPT:
            self._calls.popitem(last=False)

    def call_outcome(self, call_id: bytes) -> CallOutcome | None:
        """Return what became of a member's call, if it is among the newest."""
        with self._lock:
            return self._calls.get(call_id)

    @property
    def lock(self) -> Lock:
        """Hold it while reading `state`."""
        return self._lock

    @property
    def state(self) -> State:
        """The fold so far; read it under `lock`."""
        return self._state

    @property
    def decisions(self) -> Decisions:
        """What was decided of each relay last; read it under `lock`."""
        return self._decisions

    def why(self, wanted: str, at_ms: int | None) -> Why:
        """Return why a relay stood as it did at a time, or stands now; or NoSuchEntry."""
        return explain(self._for_reading(), wanted, at_ms, installed())

    def suspects(self, lookout: Lookout) -> tuple[Suspect, ...]:
        """Return the meters that do not fit the others, as the hub's books have them."""
        try:
            return () if self._store is None else lookout.look(self._store)
        except (LedgerError, MessageError):
            return ()  # `refresh` finds and says what is wrong with the ledger

    def slots(self, limit: int) -> tuple[SlotView, ...]:
        """Return the newest closed slots, newest first."""
        with self._lock:
            return tuple(self._slots)[:limit]

    def fates(self, member: str, limit: int) -> tuple[FateView, ...]:
        """Return what became of a member's newest orders, newest slot first."""
        with self._lock:
            slots = tuple(self._slots)
        found = (fate for slot in slots for fate in slot.fates if fate.member == member)
        return tuple(islice(found, limit))

    def view(self) -> LedgerView:
        """Return the ledger head and what the verifier of this process found."""
        with self._lock:
            age = None if self._verified_s is None else time.monotonic() - self._verified_s
            return LedgerView(
                size=self._size,
                root=self._root.hex(),
                verified=not self._finding and age is not None,
                verified_size=self._folded,
                verified_age_ms=None if age is None else int(age * 1000),
                finding=self._finding,
                witnessed=self._policy.witnessed,
                final_size=self._final_size,
                witnesses=tuple(self._witness(each) for each in self._witnesses),
            )

    def _witness(self, standing: Standing) -> WitnessView:
        age_s = None if standing.time_s is None else max(0, int(time.time()) - standing.time_s)
        counts = standing.key in self._policy.witnesses.values()
        kind = self._policy.kind_of(standing.key)
        return WitnessView(standing.key.name, standing.size, age_s, counts, kind)

    @property
    def policy(self) -> str:
        """Whose cosignatures make a checkpoint final, as `trust.toml` has it."""
        return self._trust.policy

    def published(self) -> str:
        """Return the newest checkpoint that is final, with its cosignatures; or NoSuchEntry."""
        return self._for_reading().published(self._policy).note

    def tile(self, tile: Tile) -> bytes:
        """Return a tile of the newest signed tree; NoSuchEntry if it reaches beyond that."""
        store = self._for_reading()
        newest = store.newest_checkpoint()
        require_tile(tile, 0 if newest is None else newest.size)
        return read_tile(store, tile)

    def checkpoint(self) -> str:
        """Return the newest signed checkpoint; NoSuchEntry while there is none."""
        newest = self._for_reading().newest_checkpoint()
        if newest is None:
            raise NoSuchEntry("no checkpoint has been signed yet")
        return newest.note

    def entry(self, index: int) -> bytes:
        """Return the exact bytes of one entry."""
        return self._for_reading().entry(index).raw

    def entry_with(self, entry_id: bytes) -> bytes:
        """Return the exact bytes of the entry with an id; NoSuchEntry if there is none."""
        return self._for_reading().find(entry_id.hex()).raw

    def snapshots(self) -> list[Snapshot]:
        """Return the snapshots that the hub keeps, newest first."""
        return self._for_reading().snapshots()

    def preimages(self, first: int, stop: int) -> list[tuple[int, bytes]]:
        """Return (index, preimage) of the sealed readings among entries [first, stop)."""
        store = self._for_reading()
        entries = store.entries(first, min(stop, store.size))
        return [(each.index, each.preimage) for each in entries if each.preimage is not None]

    def proof(self, index: int) -> str:
        """Return the `.tlog-proof` text of one entry, under a final checkpoint if one covers it."""
        return prove(self._for_reading(), index, self._policy)

    def _for_reading(self) -> Store:
        if self._store is None:
            raise NoSuchEntry("the ledger has not been opened yet")
        return self._store


def _witness_keys(policy: LogPolicy, config: HubConfig) -> tuple[NoteKey, ...]:
    """Return the keys of the policy's witnesses, then those that are only asked."""
    keys = [*policy.witnesses.values(), *(parse_vkey(each.vkey) for each in config.witness)]
    return tuple(dict.fromkeys(keys))


def slot_view(slot: SlotSettled) -> SlotView:
    """Return a settled slot as the page shows it."""
    received: dict[str, int] = {}
    for line in slot.lines:
        received[line.account] = received.get(line.account, 0) + line.amount_utok
    curtailed = {row.member: row.curtailed_uwh for row in slot.curtailments}
    return SlotView(
        start_ms=slot.slot_ms,
        end_ms=slot.slot_ms + slot.length_ms,
        reason=slot.reason,
        contract=slot.contract,
        positions=tuple(
            PositionView(
                member=position.member,
                generation_uwh=position.generated_uwh,
                load_uwh=position.consumed_uwh,
                curtailed_uwh=curtailed.get(position.member, 0),
                amount_utok=received.get(position.member, 0),
                estimated=position.estimated,
                shifted_uwh=position.shifted_uwh,
            )
            for position in slot.positions
        ),
        matches=tuple(
            MatchView(
                seller=row.match.seller,
                buyer=row.match.buyer,
                energy_uwh=row.match.energy_uwh,
                price_utok_per_kwh=row.match.price_utok_per_kwh,
                amount_utok=row.amount_utok,
            )
            for row in slot.matches
        ),
        unaccounted_uwh=slot.unaccounted_uwh,
        fates=tuple(FateView(slot.slot_ms, *fate) for fate in slot.fates if fate.order_id),
        failure=slot.failure,
    )
