"""Who keeps the log and who has to agree with it, as the entries have it: quorum and takeover."""

from __future__ import annotations

from hub.core.effects import RegistryChanged
from hub.core.events import Event
from hub.core.outcome import Outcome, ignore
from hub.core.records import Key, Succession
from hub.core.state import Change, State
from messages.log.note import ED25519, NoteKey, parse_vkey
from messages.logkeeping import Quorum, Takeover, quorum_fault, takeover_fault
from messages.publickey import parse_cose_key

LOG = "log"


def log_key_of(state: State) -> NoteKey:
    """Return the key that signs the log's checkpoints; only once the microgrid is founded."""
    (key,) = (key for key in state.keys.values() if key.holder == LOG and not key.rotated_to)
    return NoteKey(state.network_rows[()].origin, ED25519, parse_cose_key(key.cose_key))


def set_quorum(state: State, event: Event, entry: Quorum) -> Outcome:
    """From here on other cosignatures make a checkpoint final."""
    fault = quorum_fault(entry, log_key_of(state))
    if fault:
        return ignore(event, fault)
    network = state.network_rows[()]._replace(policy=entry.policy)
    return _changed(event, [Change("network", (), network)], "another quorum is asked for")


def take_over(state: State, event: Event, entry: Takeover) -> Outcome:
    """Another key goes on with the log; the old one counts for nothing that is signed later."""
    old = log_key_of(state)
    fault = takeover_fault(entry, event.index, old)
    if fault:
        return ignore(event, fault)
    new = parse_vkey(entry.new)
    if new.public.kid in state.keys:
        return ignore(event, "the new log's key is registered already")
    kid = old.public.kid
    return _changed(
        event,
        [
            Change("key", kid, state.keys[kid]._replace(rotated_to=new.public.kid)),
            Change("key", new.public.kid, _log_key(new, event.index)),
            Change(
                "network",
                (),
                state.network_rows[()]._replace(origin=new.name, policy=entry.policy),
            ),
            Change("succession", event.index, Succession(entry.old, entry.new, entry.given_up)),
        ],
        f"the log {new.name} goes on with another key",
    )


def _log_key(key: NoteKey, index: int) -> Key:
    return Key(key.public.cose_key, LOG, LOG, "", (), 1, index)


def _changed(event: Event, changes: list[Change], what: str) -> Outcome:
    return Outcome(tuple(changes), (RegistryChanged(event.index, what),))
