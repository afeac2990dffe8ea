"""Which entries end or replace keys, and what follows for certificates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hub.config import HubConfig
from hub.core.state import State
from hub.joining.enrolment import Enrolment
from hub.joining.errors import JoiningRefused
from hub.joining.pairing import authority_of, mosquitto_of
from hub.joining.registry import current_keys, ended_nodes, read_registry
from hub.ledger.store import Store
from messages.entries import KeyEntry
from messages.membership import fuel_complaint, location_complaint
from messages.publickey import parse_cose_key

STREAMS: Final = {"meter": ("register", "telemetry"), "node": ("event",), "member": ()}


def entries_to_revoke(state: State, holder: str, name: str) -> list[KeyEntry]:
    """Return what ends somebody; a node ends with its meters, which lie on the same machine.

    Raises:
        JoiningRefused: nobody of that name has a key that counts.
    """
    known = {(key.holder, key.name) for key in state.keys.values() if key.until_index is None}
    if (holder, name) not in known:
        raise JoiningRefused(f"no {holder} {name} has a key that counts: see gridtally-hub members")
    entries = [KeyEntry("revoke", holder, name, b"")]
    if holder == "node":
        meters = sorted(meter for meter, row in state.meters.items() if row.node == name)
        entries += [
            KeyEntry("revoke", "meter", meter, b"") for meter in meters if ("meter", meter) in known
        ]
    return entries


def entry_to_describe(
    state: State, meter_id: str, fuel: str | None, location: str | None
) -> KeyEntry:
    """Return what says anew what a meter's energy comes from, and where; None: as it is.

    Raises:
        JoiningRefused: there is no such meter, or nothing to say of it.
    """
    meter = state.meters.get(meter_id)
    if meter is None:
        known = ", ".join(sorted(state.meters)) or "none"
        raise JoiningRefused(f"there is no meter {meter_id}; enrolled are: {known}")
    said = (
        meter.fuel if fuel is None else fuel,
        meter.location if location is None else location,
    )
    if said == (meter.fuel, meter.location):
        raise JoiningRefused(f"meter {meter_id} says that already: give --fuel or --location")
    complaint = fuel_complaint(said[0], meter.purpose) or location_complaint(said[1])
    if complaint:
        raise JoiningRefused(f"meter {meter_id}: {complaint}")
    return KeyEntry("describe", "meter", meter_id, b"", fuel=said[0], location=said[1])


def end_certificates(config: HubConfig, node: str) -> bool:
    """Revoke what lets a node connect to the broker; return whether Mosquitto must read again."""
    if config.broker.mosquitto is None:
        return False
    authority = authority_of(config)
    authority.revoke(node)
    return mosquitto_of(config).refresh(authority, ended_nodes(read_registry(config)))


def entries_to_rotate(config: HubConfig, enrolment: Enrolment) -> list[KeyEntry]:
    """Return one rotation for each key of a node that is another now.

    Raises:
        JoiningRefused: a key does not agree, is of nobody known, or all are the same.
    """
    registered = current_keys(read_registry(config))
    entries = []
    with Store.open(config.database, read_only=True) as store:
        for entry in enrolment.entries:
            old = registered.get((entry.holder, entry.name))
            if old is None:
                raise JoiningRefused(f"{entry.holder} {entry.name} has no key: enrol it instead")
            if old.cose_key == entry.key:
                continue
            if not entry.proof:
                raise JoiningRefused(
                    f"the new key of {entry.holder} {entry.name} does not say that it agrees: run "
                    "`gridtally-edge keygen` again where trust.toml lies beside edge.toml"
                )
            last = {stream: store.head(old.kid, stream) for stream in STREAMS[entry.holder]}
            entries.append(
                KeyEntry(
                    "rotate",
                    entry.holder,
                    entry.name,
                    entry.key,
                    replaces=old.kid,
                    last_sequences=last,
                    proof=entry.proof,
                )
            )
    if not entries:
        raise JoiningRefused("every key in the file counts already: nothing to do")
    return entries


def rotation_lines(entries: list[KeyEntry]) -> Iterator[str]:
    """Yield the new keys, each with the fingerprint to compare."""
    for entry in entries:
        yield f"{parse_cose_key(entry.key).fingerprint}  {entry.holder} {entry.name}"
