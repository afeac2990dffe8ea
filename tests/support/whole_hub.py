"""A hub of 200 entries in which everything happens that a ledger can tell: every kind, every table.

Two members, one of whom sells to the other and whose heater is cut for a while; a regulator's case
and its notice, a feeder, a register that begins anew, a calibration, gaps, a new quorum, and a log
whose key ends, so that another goes on. All keys are made of words, so that it is always the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from hub.balancing.dep import Dep
from hub.balancing.policy import view_root
from hub.bookkeeping import rows_of
from hub.core.events import read_event
from hub.core.headers import draft_header
from hub.core.investigating import due_notices
from hub.core.pseudonyms import pseudonyms
from hub.core.state import State
from hub.core.step import step
from hub.ledger.books import BookRow
from hub.ledger.records import Cosigned, Evidence, NewEntry, Snapshot
from hub.market.catalog import CONTRACTS
from messages.entries import (
    Ack,
    Calibration,
    Call,
    Decision,
    Epoch,
    KeyEntry,
    Output,
    PolicyEntry,
    RelayEntry,
)
from messages.feeding import Feed
from messages.log.cosignature import cosign, open_cosignatures
from messages.log.note import COSIGNATURE, ED25519, NoteKey, format_vkey, parse_note
from messages.log.tree import leaf_hash
from messages.logkeeping import Quorum, Takeover, policy_for
from messages.publickey import Signer
from messages.reading import Reading, sign_sealed_reading
from messages.relayfault import DEAD, RelayFault
from messages.sealed import split
from messages.trust import Trust
from tests.support.bench import house, view
from tests.support.signers import ed25519
from tests.support.small_ledger import MICROGRID, ORIGIN, SLOT_MS, START_MS, SmallHub

SIZE: Final = 200
SLOTS: Final = 26
WITNESS: Final = NoteKey("witness.example/w1", COSIGNATURE, ed25519("w1").public)
VIEW: Final = view(house("bob", 20, {"heater": 60}))
PI: Final = "pi"
PV: Final = "bob-pv"


class WholeHub(SmallHub):
    """Owns the ledger, the fold's state after each entry, and the books."""

    def fill_whole(self) -> Trust:
        """Write all entries and what stands beside them; return what its verifier believes."""
        self.state, self._folded = State(), 0
        self._rows: list[BookRow] = []
        self._register = Reading(MICROGRID, PV, 0, START_MS, 0, 0)
        self.enrol()
        self._enrol_more()
        self._cut_the_heater()
        for slot in range(SLOTS):
            self._slot(slot)
            for happening in HAPPENINGS.get(slot, ()):
                happening(self)
        self.gap("register", self.sequences["register"] + 1, self.sequences["register"] + 2)
        self.gap("telemetry", self.sequences["telemetry"] + 1, self.sequences["telemetry"] + 3)
        self.store.append([self.reading()], [self.pack()])
        self.seal()
        while self.store.size < SIZE:
            self.store.append([self.ack()])
        self.checkpoint()
        self._beside()
        return replace(self.trust, log_vkey=self._vkey, policy=self._policy)

    @property
    def _vkey(self) -> str:
        return format_vkey(NoteKey(ORIGIN, ED25519, self.log.public))

    @property
    def _policy(self) -> str:
        lines = f"witness w1 {format_vkey(WITNESS)}\nquorum w1\n"
        return policy_for(self._vkey, lines)

    # --- slots -----------------------------------------------------------------------------

    def _slot(self, number: int) -> None:
        """Append two registers, a close, its header and a seal, and sign a checkpoint."""
        self.store.append([self.reading(), self._sell(), self.ack()], [self.pack(), self.pack()])
        self.close_slot(number)
        root = self.store.root()
        self._fold()
        self._put(self.hub, draft_header(self.state, root))
        self.seal()
        self.checkpoint()

    def _sell(self) -> NewEntry:
        """Return Bob's next register, sealed."""
        last = self._register
        self._register = replace(
            last,
            sequence=last.sequence + 1,
            at_ms=last.at_ms + SLOT_MS,
            export_uwh=(last.export_uwh or 0) + 500_000,
        )
        signer = ed25519(PV)
        salt = hashlib.sha256(b"%d" % last.sequence).digest()
        raw, preimage = split(sign_sealed_reading(signer, self._register, salt))
        return NewEntry(
            raw,
            leaf_hash(raw),
            signer.public.kid,
            "reading",
            "register",
            self._register.sequence,
            preimage=preimage,
        )

    def _put(self, signer: Signer, *bodies: Any, **columns: Any) -> None:
        self.store.append([self.say(signer, body, **columns) for body in bodies])

    def _event(self, make: Callable[[int], Any]) -> None:
        """Append what node pi says, by its next number."""
        number = self._events = getattr(self, "_events", 0) + 1
        self._put(ed25519(PI), make(number), stream="event", sequence=number)

    def _fold(self) -> None:
        """Fold what is new, as a hub does."""
        for entry in self.store.entries(self._folded):
            event = read_event(entry.index, entry.raw, entry.preimage)
            outcome = step(self.state, event, CONTRACTS)
            self.state.apply(outcome.changes)
            self._rows += rows_of(event, outcome.effects)
            self._folded = entry.index + 1

    # --- what happens ----------------------------------------------------------------------

    def _enrol_more(self) -> None:
        heater = RelayEntry("heater", "fed", "", "bob", 40_000, critical=False)
        keys = {
            name: ed25519(name).public.cose_key
            for name in (PI, PV, "alice", "bob", "rita", "meteo")
        }
        self._put(
            self.administrator,
            KeyEntry("enrol", "node", PI, keys[PI], member="bob", relays=(heater,)),
            KeyEntry(
                "enrol",
                "meter",
                PV,
                keys[PV],
                node=PI,
                member="bob",
                purpose="generation",
                model="sdm120",
            ),
            KeyEntry("enrol", "member", "alice", keys["alice"]),
            KeyEntry("enrol", "member", "bob", keys["bob"]),
            KeyEntry("enrol", "member", "rita", keys["rita"], roles=("regulator",)),
            KeyEntry("enrol", "feeder", "meteo", keys["meteo"], facts={"co2": "g_per_kwh"}),
        )

    def _cut_the_heater(self) -> None:
        proposal, root = Dep().decide(VIEW), view_root(VIEW)
        outputs = tuple(
            Output(o.node, o.relay, o.member, o.load, o.energised, o.cut, o.power_mw)
            for o in proposal.orders
        )
        rule, reason = proposal.rule, proposal.reason
        made = Decision(VIEW.at_ms, "dep", b"", root, "supply", rule, reason, outputs)
        self.store.views.keep(root, VIEW.at_ms, VIEW.dumps())
        self._put(self.hub, made)
        self._move_the_heater(energised=True)

    def _feed_the_heater(self) -> None:
        self._move_the_heater(energised=False)

    def _move_the_heater(self, *, energised: bool) -> None:
        at_ms = START_MS + self.store.size
        self._event(
            lambda n: Ack(n, PI, "heater", n, energised, "applied", "", at_ms, bytes(16), at_ms)
        )

    def _calibrate(self) -> None:
        compared = (1_000_000, None, None, 988_142, None, None, 30)
        self._event(lambda n: Calibration(n, PI, PV, 12_000, 0, 0, 0, 0, *compared, "test", 0))

    def _begin_anew(self) -> None:
        last = self._register
        self._event(
            lambda n: Epoch(
                n, PI, PV, 1, last.import_uwh, last.export_uwh, 0, 0, "reset", last.at_ms
            )
        )
        self._register = replace(last, import_uwh=0, export_uwh=0, epoch=1)

    def _tell_facts(self) -> None:
        at_ms = self._register.at_ms
        facts = [Feed("co2", n, at_ms, 300 + n, "g_per_kwh", at_ms + SLOT_MS) for n in (1, 2)]
        self._put(ed25519("meteo"), *facts)

    def _find_a_fault(self) -> None:
        fault = RelayFault(PI, "heater", DEAD, "draws nothing", self._register.at_ms)
        self._put(self.hub, fault)

    def _investigate(self) -> None:
        self._fold()
        now_ms = self._register.at_ms
        arguments: dict[str, int | str | bytes | bool] = {
            "case": "tap-1",
            "subject": pseudonyms(self.state)["alice"],
            "reason": "the seal of her meter is broken",
            "until_slot_ms": now_ms + 10 * SLOT_MS,
            "embargo_slot_ms": 0,
        }
        self._put(ed25519("rita"), Call(b"c" * 16, now_ms + SLOT_MS, "cases", "open", arguments))
        self._fold()
        self._put(self.hub, *due_notices(self.state))

    def _trade_by_orders(self) -> None:
        """Let another contract clear, and two members order what they want."""
        now_ms = self._register.at_ms
        prices, feed_in = ((0, 250_000),), ((0, 80_000),)
        auction = PolicyEntry(
            now_ms, "double_auction", {}, prices, feed_in, "none", {}, "open", bytes(32)
        )
        self._put(self.administrator, auction)
        for name, side, price in (("alice", "bid", 240_000), ("bob", "ask", 90_000)):
            wish: dict[str, int | str | bytes | bool] = {"side": side, "price_utok_per_kwh": price}
            call_id = name.encode() * 4
            call = Call(call_id, now_ms + SLOT_MS, "double_auction", "order", wish)
            self._put(ed25519(name), call)

    def _ask_for_witnesses(self) -> None:
        self._put(self.administrator, Quorum(self._policy, START_MS))

    def _replace_the_log(self) -> None:
        newest = self.store.newest_checkpoint()
        if newest is None:
            raise AssertionError("no checkpoint")
        old, self.log = self._vkey, ed25519("the next log")
        size, shown = newest.size, newest.note
        after = Takeover(
            self.store.size, old, self._vkey, size, shown, self._policy, "it was stolen", START_MS
        )
        self._put(self.administrator, after)

    # --- beside the entries ----------------------------------------------------------------

    def _beside(self) -> None:
        self._fold()
        self.store.books.replace(self._rows)
        note = self.store.newest_checkpoint()
        if note is None:
            raise AssertionError("no checkpoint")
        line = cosign(parse_note(note.note).text, START_MS // 1000, WITNESS.name, ed25519("w1"))
        (found,) = open_cosignatures(note.note + line, (WITNESS,))
        witnessed = Cosigned(note.size, WITNESS.name, WITNESS.key_id, found.time_s, line)
        self.store.cosignatures.keep(witnessed, 0)
        self._keep_clone()
        self.store.strangers.count({("bad-signature", "n1"): 3})
        self.store.save_snapshot(Snapshot(SIZE, self.state.root(), self.state.dumps()))

    def _keep_clone(self) -> None:
        """Keep evidence: two contents under one sequence of a meter."""
        first = self.store.stored(self.meter.public.kid, "register", 1)
        if first is None:
            raise AssertionError("no first reading")
        now, self.sequences["register"] = self.sequences["register"], 0
        clone = self.reading(import_uwh=7)
        self.sequences["register"] = now
        self.store.strangers.keep(
            Evidence(leaf_hash(clone.raw), clone.kid, "register", 1, first.raw, clone.raw)
        )


HAPPENINGS: Final[dict[int, tuple[Callable[[WholeHub], None], ...]]] = {
    2: (WholeHub._calibrate,),
    4: (WholeHub._begin_anew,),
    6: (WholeHub._feed_the_heater,),
    8: (WholeHub._tell_facts, WholeHub._find_a_fault),
    10: (WholeHub._investigate,),
    12: (WholeHub._trade_by_orders,),
    14: (WholeHub._ask_for_witnesses,),
    18: (WholeHub._replace_the_log,),
}
"""After which slot what happens."""
