"""Who takes part, as people read it: members, nodes and meters with keys, roles and addresses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from hub.core.pseudonyms import pseudonyms
from hub.core.records import Key, Meter
from hub.core.registry import FOUNDER
from hub.core.state import State
from messages.identity import Address
from messages.publickey import PublicKey, parse_cose_key


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One key, with what became of it: counts, rotated or revoked."""

    holder: str
    name: str
    fingerprint: str
    roles: tuple[str, ...]
    since_entry: int
    standing: str


@dataclass(frozen=True, slots=True)
class MeterLine:
    """One meter as it is enrolled."""

    meter_id: str
    address: str
    member: str
    node: str
    purpose: str
    parent: str
    fuel: str
    location: str
    is_retired: bool


@dataclass(frozen=True, slots=True)
class Membership:
    """All of the registry; `pseudonyms` of everybody who has a meter or a key."""

    microgrid: str
    network_id: str
    keys: tuple[KeyLine, ...]
    meters: tuple[MeterLine, ...]
    pseudonyms: dict[str, str]


def membership(state: State) -> Membership:
    """Return the registry of a state that was founded."""
    network = state.network
    if network is None:
        raise AssertionError("a ledger begins with its genesis")
    founder = founding_key(state).fingerprint
    return Membership(
        microgrid=network.microgrid,
        network_id=network.network_id.hex(),
        keys=tuple(_key_line(key) for key in _in_order(state)),
        meters=tuple(
            _meter_line(name, meter, Address(name, network.microgrid, founder))
            for name, meter in sorted(state.meters.items())
        ),
        pseudonyms=pseudonyms(state),
    )


def founding_key(state: State) -> PublicKey:
    """Return the key that signed genesis: the id of the grid's administrator for good."""
    keys = (key for key in state.keys.values() if (key.holder, key.name) == ("member", FOUNDER))
    return parse_cose_key(min(keys, key=lambda key: key.from_index).cose_key)


def member_lines(found: Membership) -> Iterator[str]:
    """Yield the registry for people."""
    yield f"microgrid {found.microgrid}, network {found.network_id}"
    yield ""
    yield f"{'holder':<8}{'name':<24}{'key':<21}{'since':>7}  {'standing':<10}roles"
    for key in found.keys:
        roles = "every role" if "member" in key.roles else ", ".join(key.roles)
        line = f"{key.holder:<8}{key.name:<24}{key.fingerprint:<21}{key.since_entry:>7}"
        yield f"{line}  {key.standing:<10}{roles}".rstrip()
    if found.meters:
        yield ""
        yield f"{'member':<16}{'pseudonym':<13}{'purpose':<13}{'fuel':<12}{'location':<24}address"
    for meter in found.meters:
        hidden = found.pseudonyms.get(meter.member, "")
        line = f"{meter.member:<16}{hidden:<13}{meter.purpose:<13}{meter.fuel or '-':<12}"
        ended = "  (retired)" if meter.is_retired else ""
        yield f"{line}{meter.location or '-':<24}{meter.address}{ended}"


def as_json(found: Membership) -> dict[str, Any]:
    """Return the registry for programs."""
    return asdict(found)


def _in_order(state: State) -> list[Key]:
    order = ("hub", "log", "member", "replica", "feeder", "node", "meter")
    return sorted(
        state.keys.values(), key=lambda key: (order.index(key.holder), key.name, key.from_index)
    )


def _key_line(key: Key) -> KeyLine:
    standing = "counts"
    if key.until_index is not None:
        standing = "revoked"
    elif key.rotated_to:
        standing = "rotated"
    fingerprint = parse_cose_key(key.cose_key).fingerprint
    return KeyLine(key.holder, key.name, fingerprint, key.roles, key.from_index, standing)


def _meter_line(name: str, meter: Meter, address: Address) -> MeterLine:
    return MeterLine(
        meter_id=name,
        address=str(address),
        member=meter.member,
        node=meter.node,
        purpose=meter.purpose,
        parent=meter.parent,
        fuel=meter.fuel,
        location=meter.location,
        is_retired=meter.is_retired,
    )
