"""The registry as the ledger has it, read without a writer: who is enrolled, as what, since when.

It folds the key entries alone, which need nothing of all the others; so a command finds out in a
moment who is who, while the hub runs and while it does not.
"""

from __future__ import annotations

from collections.abc import Mapping

from hub.config import HubConfig
from hub.core.events import read_event
from hub.core.state import State
from hub.core.step import step
from hub.ledger.store import Store
from messages.entries import KeyEntry
from messages.publickey import PublicKey, parse_cose_key


def read_registry(config: HubConfig) -> State:
    """Return a state that holds the registry, and nothing else.

    Raises:
        LedgerError: there is no ledger, or it cannot be read.
    """
    state = State()
    with Store.open(config.database, read_only=True) as store:
        for entry in (store.entry(0), *store.of_kind(KeyEntry.KIND)):
            state.apply(step(state, read_event(entry.index, entry.raw)).changes)
    return state


def current_keys(state: State) -> Mapping[tuple[str, str], PublicKey]:
    """Return the key that counts now for each (holder, name) that has one."""
    return {
        (key.holder, key.name): parse_cose_key(key.cose_key)
        for key in state.keys.values()
        if key.is_current
    }


def ended_nodes(state: State) -> tuple[str, ...]:
    """Return the nodes that were enrolled and have no key any more, in order."""
    nodes = {key.name for key in state.keys.values() if key.holder == "node"}
    left = {name for holder, name in current_keys(state) if holder == "node"}
    return tuple(sorted(nodes - left))
