"""What the contracts did since the last close, as one root: field 7 of the block header.

A leaf is the deterministic CBOR [name of the effect, its fields in order], results in the order in
which they came; the root is RFC 6962's. The state carries the frontier of that tree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from hub.core.draft import Draft
from hub.core.effects import CallFailed, CallServed, Corrected, Effect, SlotSettled
from hub.core.records import Progress
from messages import cbor
from messages.log.tree import Frontier, leaf_hash

RESULTS = (SlotSettled, Corrected, CallServed, CallFailed)


def result_leaf(effect: SlotSettled | Corrected | CallServed | CallFailed) -> bytes:
    """Return the leaf hash of one result."""
    body = [getattr(effect, field.name) for field in fields(effect)]
    return leaf_hash(cbor.encode([type(effect).__name__, body]))


def book_results(draft: Draft, effects: Iterable[Effect]) -> None:
    """Add results to the tree that the next block header covers."""
    leaves = [result_leaf(effect) for effect in effects if isinstance(effect, RESULTS)]
    if leaves:
        draft.put("progress", (), grown(draft.state.progress, leaves))


def grown(progress: Progress, leaves: Iterable[bytes]) -> Progress:
    """Return the progress with more results on it."""
    frontier = frontier_of(progress)
    for leaf in leaves:
        frontier.append(leaf)
    return progress._replace(results_size=frontier.size, results_hashes=tuple(frontier.hashes))


def frontier_of(progress: Progress) -> Frontier:
    """Return the tree of results so far."""
    return Frontier(progress.results_size, list(progress.results_hashes))
