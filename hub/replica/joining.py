"""Begins late: behind a snapshot whose root a final block header vouches for.

The state comes from anybody. Its root has to be in a header that the fold itself accepts from
there, in a tree that the quorum of trust.toml made final; entries from the snapshot on are checked
and executed as always. What lies before is taken on the word of those who made the header final,
and its entries are fetched later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from hub.core.errors import SnapshotUnreadable
from hub.core.state import SNAPSHOT_BYTES_MAX, State
from hub.replica.errors import SourceAway, SourceWrong
from hub.replica.execution import Execution
from hub.replica.mirror import Mirror
from hub.replica.source import Source, Sources
from messages.log.cosignature import open_cosignatures
from messages.log.policy import parse_policy
from messages.trust import Trust

LIST_BYTES_MAX: Final = 65_536
NOTE_BYTES_MAX: Final = 65_536

log = logging.getLogger("hub.replica")
Told = Callable[[int, int], None]


def join(mirror: Mirror, execution: Execution, sources: Sources, trust: Trust, told: Told) -> str:
    """Begin an empty replica behind the newest snapshot that holds; return how, for people.

    Raises:
        SourceAway, SourceWrong, Sealed: it does not work now; nothing was begun.
        MessageError: the head is not the log's.
    """
    note = sources.get("checkpoint", NOTE_BYTES_MAX).decode("utf-8", "replace")
    policy = parse_policy(trust.policy)
    signers = open_cosignatures(note, tuple(policy.witnesses.values()))
    if not policy.is_met(frozenset(each.key for each in signers)):
        raise SourceAway("the newest checkpoint there is not final by the quorum of trust.toml")
    tree = mirror.see(note, sources)
    for size, root in _offered(sources):
        if not 0 < size < tree.size or (mirror.size and mirror.first > size):
            continue
        state = _state_of(sources, size, root)
        if not _is_of(state, trust):
            raise SourceWrong(f"the snapshot after {size} entries is of another network")
        if mirror.size == 0:
            mirror.begin_at(size)
        mirror.extend(note, sources, told)
        log_roots = {end: tree.root_at(end) for end in state.dues}
        entries = mirror.entries(size, tree.size)
        if execution.begin_behind(state, tree.frontier_at(size), log_roots, entries):
            return f"began after entry {size - 1}, with the state of a final block header"
        log.warning("no final header vouches for the snapshot after %d entries", size)
    return "no snapshot is there that a final block header vouches for: began with entry 0"


def _offered(sources: Sources) -> list[tuple[int, bytes]]:
    """Return (size, root) of the snapshots that a source has, newest first."""

    def read(source: Source) -> list[tuple[int, bytes]]:
        try:
            rows = [line.split() for line in source.get("snapshot", LIST_BYTES_MAX).split(b"\n")]
            return [(int(row[0]), bytes.fromhex(row[1].decode())) for row in rows if row]
        except (ValueError, IndexError) as error:
            raise SourceWrong(f"{source.place}: no list of snapshots: {error}") from error

    return sorted(sources.first(read), reverse=True)


def _state_of(sources: Sources, size: int, root: bytes) -> State:
    def read(source: Source) -> State:
        body = source.get(f"snapshot/{size}", SNAPSHOT_BYTES_MAX)
        try:
            state = State.loads(body)
        except SnapshotUnreadable as error:
            raise SourceWrong(f"{source.place}: {error}") from error
        if state.root() != root:
            raise SourceWrong(f"{source.place}: the snapshot after {size} entries is another one")
        return state

    return sources.first(read)


def _is_of(state: State, trust: Trust) -> bool:
    network = state.network
    hub = state.keys.get(trust.hub_key.kid)
    return (
        network is not None
        and (network.network_id, network.origin) == (trust.network_id, trust.origin)
        and hub is not None
        and (hub.holder, hub.cose_key) == ("hub", trust.hub_key.cose_key)
    )
