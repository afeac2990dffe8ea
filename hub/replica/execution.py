"""Does every sum of the log again, entry by entry, and remembers durably how far it is.

What stands in `standing` is this replica's own earlier word, behind a hash: a kill loses some
seconds of work, which is done again. What is found wrong stays wrong: the fold stops before it, and
so does every later start.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hub.auditing.refold import LogWrong, Preimages, Refold, Stream, strictly
from hub.core.clearing import Contracts
from hub.core.effects import Effect, HeaderFollows
from hub.core.errors import SnapshotUnreadable
from hub.core.state import State
from hub.ledger.crew import Crew, Read
from hub.ledger.newest import sync_folder
from hub.replica.errors import MirrorDamaged, Sealed
from messages import cbor
from messages.cose import Envelope
from messages.entries import Genesis, KeyEntry
from messages.errors import MalformedMessage, MessageError
from messages.log.note import parse_vkey
from messages.log.tree import Frontier
from messages.membership import check_proof
from messages.schema import from_map, to_map
from messages.trust import Trust

KEEP_EVERY_S: Final = 30.0
KEEP_EVERY_ENTRIES: Final = 20_000
STANDING_BYTES_MAX: Final = 1 << 31
DIGEST_BYTES: Final = 32

log_to = logging.getLogger("hub.replica")
Told = Callable[[int, int], None]
Watch = Callable[[int, tuple[Effect, ...]], None]


@dataclass(frozen=True, slots=True)
class Place:
    """What is known after `size` entries. `joined`: keys whose streams began before a snapshot."""

    size: int
    hashes: tuple[bytes, ...]
    state: bytes
    heads: tuple[tuple[bytes, str, int], ...]
    log_roots: tuple[tuple[int, bytes], ...]
    joined: tuple[bytes, ...] = ()


class Execution:
    """Owns the fold and its file.

    Args:
        path: where it is kept how far this is.
        trust: which network; its genesis, hub and log keys.
        contracts: the market contracts that policies may name.
        preimages: gives a sealed reading's preimage by index, None if it may not be read.
        workers: processes that check signatures of a long log; None: one a processor.
    """

    def __init__(
        self,
        path: Path,
        trust: Trust,
        contracts: Contracts,
        preimages: Preimages,
        workers: int | None = None,
    ) -> None:
        """Go on where the file says, or begin with entry 0.

        Raises:
            MirrorDamaged: the file is not what was written.
        """
        self._path = path
        self._trust = trust
        self._preimages = preimages
        self._crew = Crew(workers)
        self._joined: frozenset[bytes] = frozenset()
        self._opened: bytes | None = None
        self._right = 0
        self._contracts = contracts
        self._fold = self._new_fold()
        self._crew.join(trust.network_id)
        self._kept_size, self._kept_s = 0, time.monotonic()
        self._load()

    @property
    def size(self) -> int:
        """How many entries came out right."""
        return self._right

    @property
    def root(self) -> bytes:
        """The root over them."""
        return self._fold.log.root()

    @property
    def state(self) -> State:
        """The state after them."""
        return self._fold.state

    def advance(
        self, entries: Iterator[tuple[int, bytes]], stop: int, told: Told, watch: Watch
    ) -> None:
        """Fold entries from `size` on up to `stop`.

        Raises:
            LogWrong: one is not what it has to be; those before it count.
            Sealed: one cannot be opened here; those before it count.
        """
        try:
            for read in self._crew.ahead(entries, lambda item: item[1]):
                self._take(read, watch)
                told(self.size, stop)
                if self._is_due():
                    self.keep()
        finally:
            self._crew.rest()

    def begin_behind(
        self,
        state: State,
        log: Frontier,
        log_roots: Mapping[int, bytes],
        entries: Iterator[tuple[int, bytes]],
    ) -> bool:
        """Begin behind a snapshot, if a header among the entries after it vouches for its state.

        Executes up to that header; without one, or where an entry is wrong, nothing was begun.

        Args:
            state: what somebody gave.
            log: the tree of the entries before it.
            log_roots: of every close that wants its header there, by its end index.
            entries: those after the snapshot, all of them in a final tree.

        Raises:
            Sealed: an entry cannot be opened here.
        """
        size, root = log.size, state.root()
        self._joined = frozenset(state.keys)
        self._fold.begin(state, log)
        self._fold.log_roots = dict(log_roots)
        self._right = size
        vouched: list[HeaderFollows] = []

        def watch(_index: int, effects: tuple[Effect, ...]) -> None:
            vouched.extend(
                effect
                for effect in effects
                if isinstance(effect, HeaderFollows)
                and (effect.end_index, effect.state_root) == (size, root)
            )

        try:
            for read in self._crew.ahead(entries, lambda item: item[1]):
                self._take(read, watch)
                if vouched:
                    self.keep()
                    return True
        except LogWrong as wrong:
            log_to.warning("the snapshot after %d entries does not fit the log: %s", size, wrong)
        finally:
            if not vouched:
                self._forget()
        return False

    def _forget(self) -> None:
        """Be where a new replica is."""
        self._joined, self._right = frozenset(), 0
        self._fold = self._new_fold()

    def _new_fold(self) -> Refold:
        return Refold(self._contracts, self._preimage, self._crew, self._head_before)

    def keep(self) -> None:
        """Write down how far this is, durably."""
        fold = self._fold
        place = Place(
            size=fold.log.size,
            hashes=tuple(fold.log.hashes),
            state=fold.state.dumps(),
            heads=tuple((kid, name, last) for (kid, name), last in fold.heads.items()),
            log_roots=tuple(fold.log_roots.items()),
            joined=tuple(sorted(self._joined)),
        )
        body = cbor.encode(to_map(place))
        partial = self._path.with_suffix(".new")
        with partial.open("wb") as file:
            file.write(hashlib.sha256(body).digest() + body)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, self._path)
        sync_folder(self._path.absolute().parent)
        self._kept_size, self._kept_s = fold.log.size, time.monotonic()

    def _take(self, read: Read[tuple[int, bytes]], watch: Watch) -> None:
        self._opened = None
        if read.envelope is not None and read.envelope.sealed:
            self._opened = self._open(read.item[0], read.envelope)
        folded = strictly(self._fold.take(read))
        body, index = folded.event.body, folded.event.index
        try:
            if isinstance(body, KeyEntry):
                check_proof(body, self._trust.network_id)
        except MessageError as error:
            raise LogWrong(f"entry {index}: {error}") from None
        if isinstance(body, Genesis):
            self._check_genesis(folded.event.leaf_hash, body)
        self._right = index + 1
        watch(index, folded.effects)

    def _open(self, index: int, envelope: Envelope) -> bytes:
        """Return what a sealed reading commits to; whoever gave another one has nothing to say."""
        preimage = self._preimages(index)
        if preimage is None or hashlib.sha256(preimage).digest() != envelope.payload:
            raise Sealed(f"entry {index} is sealed, and nobody gives what opens it")
        return preimage

    def _check_genesis(self, network_id: bytes, genesis: Genesis) -> None:
        trust = self._trust
        ours = (trust.network_id, trust.hub_key.cose_key)
        first_log = genesis.log == parse_vkey(trust.log_vkey).public.cose_key
        if (network_id, genesis.hub) != ours or not (first_log or trust.lineage):
            raise LogWrong("entry 0 is not the genesis of the network in trust.toml")

    def _preimage(self, _index: int) -> bytes | None:
        return self._opened

    def _head_before(self, stream: Stream) -> int | None:
        """Return what a stream had used up before a snapshot: not known of keys in it."""
        return None if stream[0] in self._joined else 0

    def _is_due(self) -> bool:
        behind = self.size - self._kept_size
        return behind >= KEEP_EVERY_ENTRIES or (
            behind > 0 and time.monotonic() - self._kept_s >= KEEP_EVERY_S
        )

    def _load(self) -> None:
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            return
        digest, body = raw[:DIGEST_BYTES], raw[DIGEST_BYTES:]
        if hashlib.sha256(body).digest() != digest:
            raise MirrorDamaged(f"{self._path} is damaged: remove it, and it is done again")
        try:
            place = from_map(Place, cbor.decode(body, limit=STANDING_BYTES_MAX))
            state = State.loads(place.state)
        except (MalformedMessage, SnapshotUnreadable) as error:
            raise MirrorDamaged(
                f"{self._path} is of another version: remove it, and it is done again ({error})"
            ) from error
        self._joined = frozenset(place.joined)
        self._fold.begin(state, Frontier(place.size, list(place.hashes)))
        self._fold.heads = {(kid, name): last for kid, name, last in place.heads}
        self._fold.log_roots = dict(place.log_roots)
        self._right = self._kept_size = place.size
