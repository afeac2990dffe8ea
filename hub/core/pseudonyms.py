"""Under which name each member appears to others, from the registry alone. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from hub.core.records import Key
from hub.core.state import State
from messages.identity import pseudonym


def pseudonyms(state: State, round_ms: int | None = None) -> dict[str, str]:
    """Return each member's pseudonym: of its first key, or of its meters' first one if it has none.

    Whatever became of that key. Without any it is of the name, which who knows names can try.

    Args:
        state: whose registry.
        round_ms: the slot they are for, where each slot has its own; None: those that stay.
    """
    network = state.network
    if network is None:
        return {}
    first: dict[str, Key] = {}
    for key in state.keys.values():
        known = first.get(key.name)
        if key.holder == "member" and (known is None or key.from_index < known.from_index):
            first[key.name] = key
    for owner, key in _of_meters(state):
        known = first.get(owner)
        if known is None or (known.holder == "meter" and key.from_index < known.from_index):
            first[owner] = key
    names = {*first, *(meter.member for meter in state.meters.values())}
    names |= {relay.member for relay in state.relays.values()}
    return {
        name: pseudonym(
            network.network_id, name, first[name].cose_key if name in first else b"", round_ms
        )
        for name in sorted(names - {""})
    }


def _of_meters(state: State) -> Iterator[tuple[str, Key]]:
    """Yield the keys of members' meters that count since a meter is its member's."""
    for key in state.keys.values():
        meter = state.meters.get(key.name) if key.holder == "meter" else None
        if meter is not None and key.from_index >= meter.member_index:
            yield meter.member, key


def member_under(state: State, hidden: str, round_ms: int | None = None) -> str:
    """Return who appears under a pseudonym; "" if nobody does, or two do."""
    found = [name for name, shown in pseudonyms(state, round_ms).items() if shown == hidden]
    return found[0] if len(found) == 1 else ""
