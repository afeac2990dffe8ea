"""How devices join: what a node says of itself (`enrol-<node>.json`) as entries to sign.

The file comes from another machine: each finding is gathered, none raises past `read_enrolment`.
A person compares the fingerprints before an administrator's key signs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hub.errors import BadEnrolment
from hub.joining.acl import OURS
from messages.entries import DEENERGISED, PURPOSES, KeyEntry, RelayEntry
from messages.errors import MessageError
from messages.membership import fuel_complaint, location_complaint
from messages.publickey import SIGNATURE_BYTES, parse_cose_key
from messages.topics import check_name

FORMAT = "gridtally-enrol-1"
BYTES_MAX = 1_000_000

_WORDS = {str: "text", int: "a whole number", bool: "true or false", list: "a list"}
_FILE: dict[str, type] = {
    "format": str,
    "microgrid": str,
    "node": str,
    "member": str,
    "node_key": str,
    "meters": list,
    "relays": list,
}
_METER: dict[str, type] = {
    "meter_id": str,
    "model": str,
    "purpose": str,
    "parent": str,
    "member": str,
    "rated_mw": int,
    "key": str,
    "first_sequence": int,
}
_OPTIONAL: dict[str, type] = {"node_proof": str}
_METER_OPTIONAL: dict[str, type] = {"fuel": str, "location": str, "proof": str}
_RELAY: dict[str, type] = {
    "relay": str,
    "deenergised": str,
    "load": str,
    "member": str,
    "rated_mw": int,
    "critical": bool,
}
_RELAY_OPTIONAL: dict[str, type] = {
    "min_on_ms": int,
    "min_off_ms": int,
    "failsafe": bool,
    "importance": int,
    "shed_price_utok_per_kwh": int,
    "setpoint": str,
}


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One node and what hangs on it, as entries to sign, in the order in which they must stand."""

    node: KeyEntry
    meters: tuple[KeyEntry, ...]

    @property
    def entries(self) -> tuple[KeyEntry, ...]:
        """The node first, then meters; a parent before its children."""
        children = sorted(self.meters, key=lambda meter: bool(meter.parent))
        return (self.node, *children)


def read_enrolment(text: str, microgrid: str) -> Enrolment:
    """Read what `gridtally-edge keygen` wrote.

    Raises:
        BadEnrolment: every finding, each naming its place in the file.
    """
    if len(text) > BYTES_MAX:
        raise BadEnrolment((f"more than {BYTES_MAX} bytes",))
    try:
        body = json.loads(text, object_pairs_hook=_no_twins)
    except (ValueError, RecursionError) as error:
        raise BadEnrolment((f"not valid JSON: {error}",)) from None
    reader = _Reader()
    enrolment = reader.enrolment(body, microgrid)
    if reader.findings or enrolment is None:
        raise BadEnrolment(tuple(reader.findings))
    return enrolment


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError(f"a key stands twice among {', '.join(names)}")
    return dict(pairs)


class _Reader:
    """Walks one enrolment file and gathers all that is wrong with it."""

    def __init__(self) -> None:
        self.findings: list[str] = []

    def enrolment(self, body: Any, microgrid: str) -> Enrolment | None:
        fields = self._fields(body, "the file", _FILE, optional=_OPTIONAL)
        if fields is None:
            return None
        if fields["format"] != FORMAT:
            self._wrong("format", f"{fields['format']!r} is not {FORMAT!r}")
        if fields["microgrid"] != microgrid:
            self._wrong("microgrid", f"{fields['microgrid']!r} is not this one, {microgrid!r}")
        node, member = fields["node"], fields["member"]
        relays = [self._relay(raw, n) for n, raw in enumerate(fields["relays"], 1)]
        meters = [self._meter(raw, n, node) for n, raw in enumerate(fields["meters"], 1)]
        key = self._key(fields["node_key"], "node_key")
        proof = self._proof(fields.get("node_proof", ""), "node_proof")
        self._name(node, "node")
        if node in OURS:
            self._wrong("node", f"{node!r} is the hub's own name at the broker: choose another")
        self._repeats(fields["meters"], "meter_id", "meters")
        self._repeats(fields["relays"], "relay", "relays")
        entry = KeyEntry(
            action="enrol",
            holder="node",
            name=node,
            key=key,
            node=node,
            member=member,
            relays=tuple(relay for relay in relays if relay is not None),
            proof=proof,
        )
        return Enrolment(entry, tuple(meter for meter in meters if meter is not None))

    def _meter(self, raw: Any, number: int, node: str) -> KeyEntry | None:
        where = f"meters {number}"
        fields = self._fields(raw, where, _METER, optional=_METER_OPTIONAL)
        if fields is None:
            return None
        where = f"{where} ({fields['meter_id']})"
        self._name(fields["meter_id"], f"{where}: meter_id")
        if fields["purpose"] not in PURPOSES:
            self._wrong(where, f"purpose {fields['purpose']!r} is none of {', '.join(PURPOSES)}")
        for complaint in _provenance_complaints(fields):
            self._wrong(where, complaint)
        if (fields["purpose"] == "appliance") != bool(fields["parent"]):
            self._wrong(where, "an appliance names its parent meter, and only an appliance does")
        return KeyEntry(
            action="enrol",
            holder="meter",
            name=fields["meter_id"],
            key=self._key(fields["key"], f"{where}: key"),
            node=node,
            member=fields["member"],
            purpose=fields["purpose"],
            parent=fields["parent"],
            model=fields["model"],
            rated_mw=fields["rated_mw"],
            first_sequence=fields["first_sequence"],
            fuel=fields.get("fuel", ""),
            location=fields.get("location", ""),
            proof=self._proof(fields.get("proof", ""), f"{where}: proof"),
        )

    def _relay(self, raw: Any, number: int) -> RelayEntry | None:
        where = f"relays {number}"
        fields = self._fields(raw, where, _RELAY, optional=_RELAY_OPTIONAL)
        if fields is None:
            return None
        self._name(fields["relay"], f"{where}: relay")
        if fields["deenergised"] not in DEENERGISED:
            self._wrong(where, f"deenergised {fields['deenergised']!r} is neither 'fed' nor 'cut'")
        return RelayEntry(**fields)

    def _fields(
        self,
        raw: Any,
        where: str,
        wanted: dict[str, type],
        optional: dict[str, type] | None = None,
    ) -> dict[str, Any] | None:
        """Return the table if it has exactly the wanted keys, each of its type."""
        known = {**wanted, **(optional or {})}
        before = len(self.findings)
        if not isinstance(raw, dict):
            self._wrong(where, f"must be an object, got {type(raw).__name__}")
            return None
        for key in sorted(set(raw) - set(known)):
            self._wrong(where, f"unknown key {key!r}")
        for key, kind in known.items():
            if key not in raw:
                if key in wanted:
                    self._wrong(where, f"missing key {key!r}")
            elif type(raw[key]) is not kind:
                self._wrong(where, f"{key} must be {_WORDS[kind]}")
        return raw if len(self.findings) == before else None

    def _key(self, text: str, where: str) -> bytes:
        try:
            return parse_cose_key(bytes.fromhex(text)).cose_key
        except (ValueError, MessageError) as error:
            self._wrong(where, str(error))
            return b""

    def _proof(self, text: str, where: str) -> bytes:
        try:
            proof = bytes.fromhex(text)
        except ValueError:
            proof = b"?"
        if len(proof) not in (0, SIGNATURE_BYTES):
            self._wrong(where, f"{SIGNATURE_BYTES} bytes in hex, or nothing")
        return proof

    def _name(self, name: str, where: str) -> None:
        try:
            check_name(name, "name")
        except MessageError as error:
            self._wrong(where, str(error))

    def _repeats(self, raw: list[Any], key: str, where: str) -> None:
        names = [item.get(key) for item in raw if isinstance(item, dict)]
        for name in sorted({str(name) for name in names if names.count(name) > 1}):
            self._wrong(where, f"{name!r} stands there twice")

    def _wrong(self, where: str, what: str) -> None:
        self.findings.append(f"{where}: {what}")


def _provenance_complaints(fields: dict[str, Any]) -> Iterator[str]:
    if complaint := fuel_complaint(fields.get("fuel", ""), fields["purpose"]):
        yield complaint
    if complaint := location_complaint(fields.get("location", "")):
        yield f"location: {complaint}"
