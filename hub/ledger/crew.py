"""Signatures checked ahead, on every processor, of whoever folds entries in order.

A fold knows which key counts at its place; worker processes do nothing but the arithmetic. What
they checked comes back with the key it was checked under, and the fold takes it only where that is
the key that counts; everything else (a key just enrolled, a bad signature) the fold checks itself,
so that it alone says what is wrong. Workers are started only for a log that is worth it.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain, islice
from types import TracebackType
from typing import Final, Generic, NamedTuple, TypeVar

from hub.errors import HubError
from messages import cose
from messages.cose import Envelope
from messages.entries import network_aad
from messages.errors import BadSignature, MessageError
from messages.publickey import PublicKey, parse_cose_key
from messages.senml import CONTENT_TYPE

Item = TypeVar("Item")
Check = tuple[int, bytes, bytes]  # place of the key in the job's list, signature, signed bytes
Job = tuple[tuple[bytes, ...], list[Check]]  # COSE_Keys, checks

WORTH_IT: Final = 2_000  # entries; fewer are checked before a process has started
BATCH: Final = 256
AHEAD: Final = 3  # batches in the queue of each worker
KEYS_CACHED: Final = 65_536
OBJECTS_A_COLLECTION: Final = 100_000


class Read(NamedTuple, Generic[Item]):
    """One entry as it was read ahead.

    `envelope` is None where its form is wrong. `key`: the signature is good under it; None: not
    checked yet, or not good.
    """

    item: Item
    envelope: Envelope | None
    key: PublicKey | None


@contextmanager
def rarely_collecting() -> Iterator[None]:
    """Look for garbage in cycles rarely: a fold makes none, and looking takes a fifth of it."""
    usual = gc.get_threshold()
    gc.set_threshold(OBJECTS_A_COLLECTION, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


class Crew:
    """Owns the worker processes. Give it keys by `learn` as the fold comes to know them.

    Args:
        workers: how many processes; 0: none, everything is left to the fold.
        worth_it: entries that are left to the fold before a process is started.
    """

    def __init__(self, workers: int | None = None, worth_it: int = WORTH_IT) -> None:
        self._workers = processors() if workers is None else workers
        self._worth_it = worth_it if self._workers > 1 else None
        self._pool: ProcessPoolExecutor | None = None
        self._keys: dict[bytes, PublicKey] = {}
        self._aad: bytes | None = None

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.rest()

    def rest(self) -> None:
        """End the processes; they are started again for the next log that is worth it."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def learn(self, key: PublicKey) -> None:
        """Check under this key, too, from now on."""
        self._keys[key.kid] = key

    def join(self, network_id: bytes) -> None:
        """Check entries of this network."""
        self._aad = network_aad(network_id)

    def ahead(self, items: Iterable[Item], raw_of: Callable[[Item], bytes]) -> Iterator[Read[Item]]:
        """Yield every item in order, read and mostly checked while those before were folded."""
        rest = iter(items)
        first = rest if self._worth_it is None else islice(rest, self._worth_it)
        for item in first:
            yield Read(item, _parsed(raw_of(item)), None)
        waiting: deque[tuple[list[Read[Item]], Future[bytes]]] = deque()
        for batch in _batches(rest):
            waiting.append(self._hand_out([Read(i, _parsed(raw_of(i)), None) for i in batch]))
            if len(waiting) > AHEAD * self._workers:
                yield from _answered(*waiting.popleft())
        while waiting:
            yield from _answered(*waiting.popleft())

    def good(self, signed: Sequence[tuple[PublicKey, bytes, bytes]]) -> list[bool]:
        """Say of each (key, signature, signed bytes) whether it verifies; all workers at once."""
        if self._pool is None or len(signed) < BATCH:
            return [_verifies(*each) for each in signed]
        size = -(-len(signed) // self._workers)
        parts = [signed[at : at + size] for at in range(0, len(signed), size)]
        jobs = [self._pool.submit(check_all, _job_of(part)) for part in parts]
        return [bool(flag) for flag in chain.from_iterable(_flags(job) for job in jobs)]

    def _hand_out(self, batch: list[Read[Item]]) -> tuple[list[Read[Item]], Future[bytes]]:
        """Give a worker what can be checked; mark those with the key it will be checked under."""
        signed: list[tuple[PublicKey, bytes, bytes]] = []
        for at, read in enumerate(batch):
            envelope = read.envelope
            key = self._keys.get(envelope.kid) if envelope else None
            if envelope is None or key is None or envelope.alg != key.alg or self._aad is None:
                continue
            aad = b"" if envelope.content_type == CONTENT_TYPE else self._aad
            message = cose.signed_bytes(envelope.protected, envelope.payload, aad)
            signed.append((key, envelope.signature, message))
            batch[at] = Read(read.item, envelope, key)
        if self._pool is None:
            spawn = multiprocessing.get_context("spawn")  # a fork would share the database's handle
            self._pool = ProcessPoolExecutor(self._workers, mp_context=spawn)
        return batch, self._pool.submit(check_all, _job_of(signed))


def check_all(job: Job) -> bytes:
    """Return a byte a check: 1 where the signature verifies. What a worker does."""
    cose_keys, checks = job
    keys = [_key(cose_key) for cose_key in cose_keys]
    return bytes(_verifies(keys[at], signature, signed) for at, signature, signed in checks)


@lru_cache(maxsize=KEYS_CACHED)
def _key(cose_key: bytes) -> PublicKey:
    return parse_cose_key(cose_key)


def _verifies(key: PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed)
    except BadSignature:
        return False
    return True


def _job_of(signed: Sequence[tuple[PublicKey, bytes, bytes]]) -> Job:
    places: dict[bytes, int] = {}
    checks = [
        (places.setdefault(key.cose_key, len(places)), signature, message)
        for key, signature, message in signed
    ]
    return tuple(places), checks


def _answered(batch: list[Read[Item]], future: Future[bytes]) -> Iterator[Read[Item]]:
    flags = iter(_flags(future))
    for read in batch:
        if read.key is not None and not next(flags):
            yield Read(read.item, read.envelope, None)
        else:
            yield read


def _flags(future: Future[bytes]) -> bytes:
    try:
        return future.result()
    except BrokenProcessPool:
        raise HubError(
            "a process that checked signatures died, perhaps for want of memory: do it again with "
            "--resume"
        ) from None


def _batches(items: Iterator[Item]) -> Iterator[list[Item]]:
    while batch := list(islice(items, BATCH)):
        yield batch


def _parsed(raw: bytes) -> Envelope | None:
    try:
        return cose.parse(raw)
    except MessageError:
        return None
