"""Checks a ledger from its bytes alone, and names the first wrong place.

It trusts `trust.toml` and nothing that stands in the database: it hashes every entry again, builds
every node and root, checks every checkpoint under the log's key, every signature under the key that
counted at that place, every sequence, every seal with its packs, every cosignature and piece of
evidence. What it does not do is settle: `gridtally-hub audit` folds the entries again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from hub.errors import LedgerBehind, LedgerCorrupt
from hub.ledger import opening
from hub.ledger.beside import faults_beside
from hub.ledger.crew import Crew, Read, rarely_collecting
from hub.ledger.engine import damage
from hub.ledger.entrycheck import EntryCheck
from hub.ledger.log import Log
from hub.ledger.records import Entry
from hub.ledger.store import Store
from messages.errors import MessageError
from messages.keyring import KeyRing
from messages.log.checkpoint import open_checkpoint
from messages.log.note import format_vkey, parse_vkey
from messages.log.policy import parse_policy
from messages.log.tree import Frontier, leaf_hash
from messages.trust import Trust

ENTRIES_A_STEP: Final = 500

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found. `findings` is empty if all is well, else the first wrong place.

    `final_size` is how many entries a quorum of witnesses cosigned, where they have to agree.
    """

    size: int
    root: bytes
    checkpoint_size: int
    signatures: int
    findings: tuple[str, ...]
    witnessed: bool = False
    final_size: int = 0


class Verifier:
    """Verifies step by step: what it has seen is in memory, `advance` goes on from there.

    A page keeps one and says "verified n s ago"; entries already seen are not read again.
    """

    def __init__(self, log: Log, trust: Trust, crew: Crew | None = None) -> None:
        self._log = log
        self._log_key = parse_vkey(trust.log_vkey)
        self._frontier = Frontier()
        self._crew = crew or Crew(0)
        self._entries = EntryCheck(trust, log.packs.under, self._crew)
        self._checkpoint_size = 0
        self._finding = ""

    @property
    def ring(self) -> KeyRing:
        """The keys as the entries found right have them."""
        return self._entries.ring

    @property
    def size(self) -> int:
        """How many entries were found right."""
        return self._frontier.size

    def report(self) -> Report:
        """Return what was found so far."""
        return Report(
            self._frontier.size,
            self._frontier.root(),
            self._checkpoint_size,
            self._entries.signatures,
            (self._finding,) if self._finding else (),
        )

    def advance(
        self, stop: int | None = None, progress: Progress = lambda done, total: None
    ) -> tuple[str, ...]:
        """Verify up to `stop` entries (None: all there are); return the first wrong place, if any.

        Args:
            stop: a tree size.
            progress: called with (entries verified, entries to verify) now and then.
        """
        if self._finding:
            return (self._finding,)
        try:
            held = self._log.heads().held
            end = held if stop is None else min(stop, held)
            entries = self._crew.ahead(self._log.entries(self._frontier.size, end), _raw_of)
            while self._frontier.size < end:
                self._step(entries, min(self._frontier.size + ENTRIES_A_STEP, end))
                progress(self._frontier.size, end)
            if stop is None or stop >= held:
                self._check_head()
        except LedgerCorrupt as error:
            self._finding = str(error)
        except (TypeError, ValueError) as error:  # a column of another type than the schema's
            self._finding = f"near entry {self._frontier.size}: a stored value is broken: {error}"
        return (self._finding,) if self._finding else ()

    def _step(self, entries: Iterator[Read[Entry]], stop: int) -> None:
        start = self._frontier.size
        notes = {note.size: note.note for note in self._log.checkpoints(start, stop)}
        finished: list[tuple[int, int, bytes]] = []
        if start == 0 and 0 in notes:
            self._check_note(0, notes[0])
        for read in islice(entries, stop - start):
            entry = read.item
            if leaf_hash(entry.raw) != entry.leaf_hash:
                raise LedgerCorrupt(opening.changed_entry(entry.index))
            self._entries.check(read)
            finished += self._frontier.append(entry.leaf_hash)
            if entry.index + 1 in notes:
                self._check_note(entry.index + 1, notes[entry.index + 1])
        self._check_nodes(finished)
        self._entries.check_gaps(start, self._log.gaps(start, stop))

    def _check_nodes(self, finished: Iterable[tuple[int, int, bytes]]) -> None:
        inner = [node for node in finished if node[0]]
        stored = self._log.nodes.fetch_stored((level, index) for level, index, _ in inner)
        for level, index, digest in inner:
            if stored[level, index] != digest:
                raise LedgerCorrupt(opening.wrong_node(level, index))

    def _check_note(self, size: int, note: str) -> None:
        try:
            head = open_checkpoint(note, self.ring.log_key or self._log_key)
        except MessageError as error:
            raise LedgerCorrupt(f"the checkpoint over {size} entries: {error}") from error
        if head.size != size:
            raise LedgerCorrupt(f"the checkpoint stored for {size} entries says {head.size}")
        if head.root != self._frontier.root():
            raise LedgerCorrupt(
                f"the first {size} entries do not have the root that the log signed for them"
            )
        self._checkpoint_size = size

    def _check_head(self) -> None:
        heads = self._log.heads()
        if heads.newest > heads.held:
            raise LedgerCorrupt(opening.cut_tail(heads.held, heads.newest))
        if heads.size != heads.held:
            raise LedgerCorrupt(opening.wrong_size(heads.size, heads.held))


def verify(url: str, trust: Trust, progress: Progress = lambda done, total: None) -> Report:
    """Verify a whole ledger file on all processors, whether its hub runs or not.

    Raises:
        LedgerError: there is no ledger, or it cannot be opened at all.
    """
    policy = parse_policy(trust.policy)
    with rarely_collecting(), Store.open(url, read_only=True) as store, Crew() as crew:
        verifier = Verifier(store, trust, crew)
        verifier.advance(progress=progress)
        report = verifier.report()
        findings = list(report.findings)
        if not findings:
            findings += _another_log(verifier.ring, trust)
            findings += _beside_entries(store)
            findings += faults_beside(store, trust, verifier.ring)
            findings += _handed_out(store)
        final = None if findings else store.cosignatures.final(policy)
    return Report(
        report.size,
        report.root,
        report.checkpoint_size,
        report.signatures,
        tuple(findings),
        policy.witnessed,
        0 if final is None else final.size,
    )


def _raw_of(entry: Entry) -> bytes:
    return entry.raw


def _another_log(ring: KeyRing, trust: Trust) -> list[str]:
    """Say that the entries lead to another log key than the one that is believed."""
    if ring.log_key is None or format_vkey(ring.log_key) == trust.log_vkey:
        return []
    by = f"entry {ring.takeovers[-1].size}" if ring.takeovers else "genesis"
    return [
        f"by {by} the log's key is {format_vkey(ring.log_key)}, trust.toml names {trust.log_vkey}"
    ]


def _beside_entries(store: Store) -> list[str]:
    found = damage(store.engine)
    if found:
        return [f"the database file is damaged: {found}"]
    nodes, size = store.node_count()
    wanted = size - size.bit_count()
    if nodes != wanted:
        return [f"the ledger stores {nodes} hashes of subtrees, {size} entries have {wanted}"]
    return []


def _handed_out(store: Store) -> list[str]:
    try:
        store.check_handed_out()
    except (LedgerBehind, LedgerCorrupt) as error:
        return [str(error)]
    return []
