"""What a hub and an edge have promised by what they sent, checked on what a power cut left.

Both are fed states in the order of the record, so that what was sent before a cut is known.
Nothing here trusts the code that wrote the files: rows are read with plain SQL, leaf hashes are
computed from the bytes, and what was sent is read from the bytes that the kernel was handed.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.errors import EdgeError
from edge.outbox import Outbox
from hub.errors import HubError
from hub.ledger.store import Store
from hub.market.catalog import CONTRACTS
from hub.recorder import Recorder
from messages import cose
from messages.entries import Seal, content_type, parse_as, parse_entry
from messages.live import parse_live
from messages.log.checkpoint import Checkpoint, parse_checkpoint
from messages.log.note import parse_note
from messages.log.tree import Frontier, check_many, leaf_hash
from messages.reading import parse_reading
from messages.receipt import Receipt
from messages.telemetry import parse_pack
from tests.support.crash_states import Record
from tests.support.sent import Packet, published, received

Stream = tuple[bytes, str]
Place = tuple[bytes, str, int]
BALLAST_BYTES = 4_096
STREAM_OF_LEAF = {"register": "register", "telemetry": "telemetry", "ack": "event"}


class Broken(AssertionError):
    """A promise that was given before the power cut does not hold after it."""


def hold(condition: bool, text: str) -> None:
    if not condition:
        raise Broken(text)


@dataclass(frozen=True, slots=True)
class Told:
    """A receipt on its way, with the record number by which it had passed."""

    at: int
    receipt: Receipt
    head: Checkpoint


def receipts(packets: Iterable[Packet]) -> list[Told]:
    """Return the receipts among packets; refusals, on the same topic, are no promise to keep."""
    found = []
    for packet in packets:
        if packet.leaf != "receipt":
            continue
        envelope = cose.parse(packet.payload, limit=65_535)
        if envelope.content_type == content_type(Receipt.KIND):
            receipt = parse_as(Receipt, envelope)
            head = parse_checkpoint(parse_note(receipt.checkpoint).text)
            found.append(Told(packet.at, receipt, head))
    return found


# --- the hub -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Books:
    """What a ledger file holds."""

    leaves: tuple[bytes, ...]
    places: dict[Place, int]
    packs: dict[tuple[bytes, int], bytes]
    gaps: dict[Stream, int]
    damage: str

    @classmethod
    def read(cls, path: Path) -> Books:
        with closing(sqlite3.connect(path)) as connection:
            ask = connection.execute
            entries = ask(
                'SELECT "index", raw, kid, stream, sequence FROM entry ORDER BY "index"'
            ).fetchall()
            hold([row[0] for row in entries] == list(range(len(entries))), "an index is missing")
            return cls(
                tuple(leaf_hash(row[1]) for row in entries),
                {(row[2], row[3], row[4]): row[0] for row in entries if row[4] is not None},
                {(row[0], row[1]): row[2] for row in ask("SELECT kid, sequence, raw FROM pack")},
                {
                    (kid, stream): last
                    for kid, stream, last in ask(
                        "SELECT kid, stream, max(last_sequence) FROM gap GROUP BY kid, stream"
                    )
                },
                ", ".join(row[0] for row in ask("PRAGMA integrity_check") if row[0] != "ok"),
            )

    def head(self, stream: Stream) -> int:
        """Return the highest sequence of a stream that is used up."""
        entries = (place[2] for place in self.places if place[:2] == stream)
        packs = (number for kid, number in self.packs if stream == (kid, "telemetry"))
        return max([*entries, *packs, self.gaps.get(stream, 0)], default=0)


@dataclass
class LedgerPromises:
    """What the hub handed out. `whole` is the ledger as the undisturbed process left it."""

    records: list[Record]
    whole: Path
    sizes: set[int] = field(default_factory=set)
    checked: int = 0
    refused: int = 0
    _size: int = 0
    _stored: dict[Stream, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._all = Books.read(self.whole)
        edge = Frontier()
        self._roots = [edge.root()]
        for leaf in self._all.leaves:
            edge.append(leaf)
            self._roots.append(edge.root())
        self.receipts = receipts(published(self.records))
        for told in self.receipts:
            self._check_against_whole(told)
        self._ahead = deque(self.receipts)

    def _check_against_whole(self, told: Told) -> None:
        """Hold a receipt against the undisturbed ledger, of which each state is a prefix."""
        size = told.head.size
        hold(self._roots[size] == told.head.root, f"a receipt's root over {size} is not its root")
        for line in told.receipt.streams:
            for sequence, index in enumerate(line.indices, line.from_sequence):
                place = (line.kid, line.stream, sequence)
                hold(self._all.places.get(place) == index < size, f"{place} is not at {index}")
        for seal in told.receipt.seals:
            hold(seal.index < size, "a receipt proves a seal beyond its tree")
            hold(self._all.leaves[seal.index] == leaf_hash(seal.raw), "another seal stands there")
            for pack in seal.packs:
                hold((pack.kid, pack.sequence) in self._all.packs, "a sealed pack is not there")

    def check(self, played: int, ledger: Path) -> None:
        """Open the ledger as the hub would, and hold every receipt sent before against it."""
        while self._ahead and self._ahead[0].at <= played:
            told = self._ahead.popleft()
            self._size = max(self._size, told.head.size)
            for line in told.receipt.streams:
                stream = (line.kid, line.stream)
                self._stored[stream] = max(self._stored.get(stream, 0), line.stored_up_to)
        self.checked += 1
        try:
            with Store.open(f"sqlite:///{ledger}", ballast_bytes=BALLAST_BYTES) as store:
                size, root = store.size, store.root()
                Recorder(store, CONTRACTS).next_header()  # it replays, and can go on
        except HubError as error:
            hold(
                not self._size, f"{self._size} entries were promised, and the hub refuses: {error}"
            )
            self.refused += 1
            return
        self.sizes.add(size)
        found = Books.read(ledger)
        hold(not found.damage, f"damaged: {found.damage}")
        hold(len(found.leaves) == size >= self._size, f"{size} entries of {self._size} promised")
        hold(found.leaves == self._all.leaves[:size], "the entries are no prefix of those written")
        hold(root == self._roots[size], "the root is not that of the entries")
        hold(found.packs.items() <= self._all.packs.items(), "a pack has other bytes")
        for stream, stored in self._stored.items():
            hold(found.head(stream) >= stored, f"{stored} of {stream[1]} promised, not stored")


# --- the edge ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """What an outbox file holds."""

    rows: dict[Place, bytes]
    dead: dict[Place, bytes]
    next: dict[Stream, int]
    damage: str

    @classmethod
    def read(cls, path: Path) -> Held:
        with closing(sqlite3.connect(path)) as connection:
            ask = connection.execute
            listed = "SELECT kid, stream, sequence, raw FROM"
            return cls(
                {row[:3]: row[3] for row in ask(f"{listed} row")},
                {row[:3]: row[3] for row in ask(f"{listed} dead_letter")},
                {row[:2]: row[2] for row in ask("SELECT kid, stream, next_sequence FROM stream")},
                ", ".join(row[0] for row in ask("PRAGMA integrity_check") if row[0] != "ok"),
            )


@dataclass
class OutboxPromises:
    """What the edge sent, and what was proven to it. `counterless`: meters it integrates itself."""

    records: list[Record]
    counterless: frozenset[str]
    checked: int = 0
    refused: int = 0
    messages: int = 0
    _signed: dict[Place, bytes] = field(default_factory=dict)  # everything ever sent
    _owed: dict[Place, bytes] = field(default_factory=dict)  # of it, what is not final
    _next: dict[Stream, int] = field(default_factory=dict)
    _totals: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    _boot: int = 0

    def __post_init__(self) -> None:
        sent = [each for each in published(self.records) if "/up/" in each.topic]
        told = receipts(received(self.records))
        events: list[tuple[int, Packet | Told]] = [(each.at, each) for each in (*sent, *told)]
        self._ahead = deque(sorted(events, key=lambda pair: pair[0]))
        self.receipts = len(told)

    def check(self, played: int, folder: Path) -> None:
        """Open the outbox as the edge would, and hold everything sent before against it."""
        while self._ahead and self._ahead[0][0] <= played:
            _, event = self._ahead.popleft()
            if isinstance(event, Told):
                self._take(event.receipt, event.head)
            else:
                self._note(event)
        self.checked += 1
        try:
            outbox = Outbox(folder, rows_max=1_000_000)
        except EdgeError as error:
            hold(not self._signed, f"messages were sent, and the edge refuses: {error}")
            self.refused += 1
            return
        with closing(outbox):
            registers, boot = outbox.registers(), outbox.begin_boot()
        found = Held.read(folder / "outbox.db")
        hold(not found.damage, f"damaged: {found.damage}")
        there = found.rows | found.dead
        for place, raw in self._owed.items():
            hold(there.get(place) == raw, f"{place[1]} {place[2]} was sent, is not final, not here")
        for stream, last in self._next.items():
            hold(found.next.get(stream, 0) > last, f"{stream[1]} {last} would be used again")
        for place, raw in found.rows.items():
            hold(self._signed.get(place, raw) == raw, f"{place[1]} {place[2]} has other bytes")
        hold(boot > self._boot, f"boot {boot} was counted before: live sequences come again")
        for meter_id, totals in self._totals.items():
            register = registers.get(meter_id)
            kept = register and (register.epoch, register.import_uwh, register.export_uwh)
            hold(_is_reached(kept, totals), f"{meter_id} showed {totals}, its register is {kept}")

    def _note(self, packet: Packet) -> None:
        """Note a message that was sent: from here on somebody may have it."""
        if packet.leaf not in (*STREAM_OF_LEAF, "live"):
            return
        envelope = cose.parse(packet.payload)
        sequence, meter_id, totals = _content(packet.leaf, envelope)
        if meter_id in self.counterless and totals is not None:
            if not _is_reached(totals, self._totals.get(meter_id)):
                return  # a message from before, sent again
            self._totals[meter_id] = totals
        if packet.leaf == "live":
            self._boot = max(self._boot, sequence >> 32)
            return
        self.messages += 1
        place = (envelope.kid, STREAM_OF_LEAF[packet.leaf], sequence)
        hold(self._signed.get(place, packet.payload) == packet.payload, f"{place} signed twice")
        if place not in self._signed:
            self._signed[place] = self._owed[place] = packet.payload
        self._next[place[:2]] = max(self._next.get(place[:2], 0), sequence)

    def _take(self, receipt: Receipt, head: Checkpoint) -> None:
        """Take off what a receipt proves of the bytes that were sent; a claim is no proof."""
        proven: dict[int, Place] = {}
        for line in receipt.streams:
            for sequence, index in enumerate(line.indices, line.from_sequence):
                if sequence <= line.final_up_to:
                    proven[index] = (line.kid, line.stream, sequence)
        leaves = {index: leaf_hash(self._signed[place]) for index, place in proven.items()}
        leaves |= {seal.index: leaf_hash(seal.raw) for seal in receipt.seals}
        if leaves:
            check_many(leaves, head.size, receipt.hashes, head.root)
        for place in proven.values():
            self._owed.pop(place, None)
        for seal in receipt.seals:
            body = parse_as(Seal, cose.parse(seal.raw))
            packs = {pack.position: (pack.kid, "telemetry", pack.sequence) for pack in seal.packs}
            leaves = {position: leaf_hash(self._signed[place]) for position, place in packs.items()}
            check_many(leaves, body.count, seal.hashes, body.root)
            for place in packs.values():
                self._owed.pop(place, None)


def _content(leaf: str, envelope: Any) -> tuple[int, str, tuple[int, int, int] | None]:
    """Return a message's sequence, its meter ("" for none), and (epoch, import, export)."""
    if leaf == "ack":
        return parse_entry(envelope).event, "", None
    if leaf == "telemetry":
        pack = parse_pack(envelope)
        last = dict(zip(pack.names, (column[-1] for column in pack.columns), strict=True))
        return pack.sequence, pack.meter_id, _totals(last.get("import_uwh"), last.get("export_uwh"))
    if leaf == "live":
        live = parse_live(envelope)
        return live.sequence, live.meter_id, _totals(live.import_uwh, live.export_uwh)
    reading = parse_reading(envelope)
    totals = _totals(reading.import_uwh, reading.export_uwh, reading.epoch)
    return reading.sequence, reading.meter_id, totals


def _totals(
    import_uwh: int | None, export_uwh: int | None, epoch: int = 0
) -> tuple[int, int, int] | None:
    if import_uwh is None or export_uwh is None:
        return None
    return epoch, import_uwh, export_uwh


def _is_reached(kept: tuple[int, Any, Any] | None, shown: tuple[int, int, int] | None) -> bool:
    """Whether totals are not below those shown; a later epoch begins anew."""
    if shown is None:
        return True
    if kept is None or kept[1] is None or kept[2] is None:
        return False
    return kept[0] > shown[0] or (kept[1] >= shown[1] and kept[2] >= shown[2])
