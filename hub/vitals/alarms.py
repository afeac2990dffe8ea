"""What a person should look at in relays, as sentences that say what to do. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from hub.core.state import State
from hub.link.nodes import Newsroom
from hub.switching.effects import sentences
from hub.switching.leases import Leases


def relay_alarms(state: State, news: Newsroom, leases: Leases, now_ms: int) -> Iterator[str]:
    """Yield what is wrong with relays now: silent nodes, local holds, faults that were measured."""
    ordered = {standing.node for standing in leases.standing}
    for node in sorted(ordered):
        if news.is_silent(node, now_ms):
            yield f"node {node} is silent, and relays of it are ordered: look there"
    yield from _held(state, news)
    yield from sentences(state)


def _held(state: State, news: Newsroom) -> Iterator[str]:
    """Yield whose guard lets no lease move which relays, and why: a sentence for each reason."""
    relays: dict[tuple[str, str], list[str]] = {}
    for name in sorted(state.relays):
        reason = news.unavailable(name)
        if reason:
            relays.setdefault((name[0], reason), []).append(name[1])
    for (node, reason), names in relays.items():
        yield f"node {node} lets no lease move {', '.join(names)}: {reason}"
