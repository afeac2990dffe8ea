"""What the commands show to people, line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from hub.auditing.audit import Report as AuditReport
from hub.feeds.showing import FactSeen, fact_text
from hub.joining.enrolment import Enrolment
from hub.ledger.records import Entry
from hub.ledger.verify import Report as VerifyReport
from hub.web.view import calibration_text
from messages.publickey import parse_cose_key
from messages.sample import ProvenSample

TOKEN_UTOK = 1_000_000
CALIBRATION_FIELDS = ("at_ms", "power_gain_ppm", "power_offset_mw")


def enrolment_lines(enrolment: Enrolment) -> Iterator[str]:
    """Yield what a node wants to enrol, each key with the fingerprint to compare."""
    node = enrolment.node
    yield f"{parse_cose_key(node.key).fingerprint}  node {node.name} of {node.member}"
    for meter in enrolment.entries[1:]:
        of = f" under {meter.parent}" if meter.parent else ""
        yield (
            f"{parse_cose_key(meter.key).fingerprint}  meter {meter.name}: {meter.purpose}{of} "
            f"of {meter.member}, {meter.model}, {meter.rated_mw / 1000:g} W"
        )
    for relay in node.relays:
        kind = "critical" if relay.critical else "switchable"
        unsafe = "" if relay.failsafe else ", not fail-safe"
        yield (
            f"{'':19}  relay {relay.relay}: {kind} load {relay.load or '(unmetered)'}, "
            f"{relay.deenergised} when de-energised{unsafe}"
        )


def verify_lines(report: VerifyReport) -> Iterator[str]:
    """Yield what a verification found; the first line says it all."""
    if report.findings:
        yield f"NOT verified: {report.findings[0]}"
        yield from report.findings[1:]
        yield "keep this file as evidence, and let no hub sign on with it: put a good copy back"
    else:
        yield f"ledger verified, {report.size} entries, root {report.root.hex()}"
    yield f"signatures checked: {report.signatures}"
    covered = report.checkpoint_size
    if report.witnessed:
        final = f"a quorum of witnesses cosigned {report.final_size}"
    else:
        final = "unwitnessed: nobody but this hub signed it"
    yield f"newest checkpoint covers {covered} entries; {final}"


def audit_lines(report: AuditReport) -> Iterator[str]:
    """Yield what an audit found: the verdict, the counts, what each account holds."""
    if report.is_right:
        yield f"every bill is right: {report.slots} slots from {report.entries} entries"
    else:
        yield f"WRONG: {report.difference}"
    yield (
        f"lines {report.lines}, corrections {report.corrections}, block headers {report.headers}, "
        f"decisions made again {report.decisions_repeated}"
    )
    if report.failed_slots:
        yield f"slots settled by the fallback rule: {report.failed_slots}"
    yield f"settlement sums to {report.settlement_sum_utok} utok"
    yield f"log root {report.root.hex()}"
    yield f"state root {report.state_root.hex()}"
    for account, amount_utok in report.bills_utok.items():
        verb = "receives" if amount_utok >= 0 else "pays"
        yield f"{account:<34}{verb:<9}{money_text(abs(amount_utok)):>20}"
    for note in report.notes:
        yield f"note: {note}"


def restored_lines(*, witnessed: bool) -> Iterator[str]:
    """Yield what to know after a ledger was put back, and what to do next."""
    yield "What was signed after this copy is not in it: a hub that signs on would fork the log."
    if witnessed:
        yield (
            "Next: gridtally-hub run. It signs nothing before enough witnesses have said what they "
            "cosigned last, and stops if one has more than is here. Then: gridtally-hub log retire."
        )
    else:
        yield (
            "No witness can tell whether there was more: only the nodes know, by their receipts. "
            "If the hub ran after this copy was made, end the log's key before it runs again: "
            "gridtally-hub log retire --restored."
        )
        yield (
            "If it did not: gridtally-hub run. The first node that shows a newer receipt stops it "
            "with an alarm (gridtally-hub status)."
        )


def entry_line(entry: Entry) -> str:
    """Return one entry in a line."""
    place = f" {entry.stream} {entry.sequence}" if entry.sequence is not None else ""
    return f"entry {entry.index} ({entry.kind}{place}), id {entry.leaf_hash.hex()}"


def status_lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield how the hub stands, from its own file and the ledger's head."""
    ledger, hub = found["ledger"], found["hub"]
    if "fault" in ledger:
        yield f"ledger: {ledger['fault']}"
    else:
        covered = (
            "no checkpoint yet"
            if ledger["checkpoint"] is None
            else (f"checkpoint over {ledger['checkpoint']}")
        )
        yield f"ledger: {ledger['entries']} entries, {covered}"
        yield from _telemetry_lines(found.get("telemetry", {}))
        if ledger["evidence"]:
            yield f"EVIDENCE: {ledger['evidence']} places with two contents under one key"
        for text in found.get("suspects", ()):
            yield f"CHECK: {text}"
    if hub is None:
        yield "hub: never ran here"
        return
    yield f"hub: {found['running']}" + ("" if found["running"] == "running" else "; it said then:")
    for alarm in hub["alarms"]:
        yield f"ALARM: {alarm}"
    broker = "connected" if hub["broker_connected"] else f"away ({hub['broker_reason']})"
    yield f"broker: {broker}"
    if hub.get("proposers"):
        yield f"blocks: {hub['proposers']}"
    for reason, count in sorted(hub["refused"].items()):
        yield f"refused: {reason} {count}"
    yield from _witness_lines(hub)
    for node in hub["nodes"]:
        heard = "never heard" if node["age_ms"] is None else f"heard {node['age_ms']} ms ago"
        yield f"node {node['node']}: {heard}, backlog {node['backlog']}"
    yield from _device_lines(hub)


def _device_lines(hub: dict[str, Any]) -> Iterator[str]:
    """Yield the meters that are corrected, the facts from outside, and the relays."""
    for meter in hub.get("calibrations", ()):
        said = calibration_text(*(meter[name] for name in CALIBRATION_FIELDS))
        yield f"meter {meter['meter_id']}: {said} (entry {meter['entry_index']})"
    for fact in hub.get("facts", ()):
        yield f"fact {fact_text(FactSeen(**fact))}"
    for relay in hub["relays"]:
        state = {True: "energised", False: "released", None: "unknown"}[relay["energised"]]
        yield f"relay {relay['node']}/{relay['relay']}: {state}, lease {relay['lease_left_ms']} ms"
        if relay.get("unusable"):
            yield f"  not to be counted on: {relay['unusable']}"


def sample_line(proven: ProvenSample) -> str:
    """Return one proven sample in a line."""
    values = (f"{name} {'-' if value is None else value}" for name, value in proven.values.items())
    at = datetime.fromtimestamp(proven.at_ms / 1000, UTC).isoformat()
    return f"{proven.meter_id} at {at}: {', '.join(values)}; under {proven.head.size} entries"


def _telemetry_lines(telemetry: dict[str, Any]) -> Iterator[str]:
    if telemetry.get("gone"):
        until = datetime.fromtimestamp(telemetry["last_ms"] / 1000, UTC).isoformat()
        yield (
            f"telemetry: {telemetry['packs'] - telemetry['gone']} packs held; of "
            f"{telemetry['gone']} up to {until} only the hash is left ([telemetry] keep_days)"
        )


def _witness_lines(hub: dict[str, Any]) -> Iterator[str]:
    """Yield what is final by a quorum, and how each witness stands."""
    final_size = hub.get("final_size")
    if final_size is None:
        yield "unwitnessed: nobody but this hub signs its checkpoints"
    else:
        yield f"final by quorum: {final_size} of {hub['tree_size']} entries"
    for witness in hub.get("witnesses", ()):
        said = "never cosigned"
        if witness["age_s"] is not None:
            said = f"cosigned {witness['size']} entries {witness['age_s']} s ago"
        reason = f"; {witness['reason']}" if witness["reason"] else ""
        yield f"{witness['kind']} {witness['name']}: {said}{reason}"


def money_text(amount_utok: int) -> str:
    """Return an amount in tokens with all six decimals.

    >>> money_text(1_234_560)
    '1.234560'
    """
    return f"{amount_utok // TOKEN_UTOK}.{amount_utok % TOKEN_UTOK:06d}"


def as_json(found: Any) -> str:
    """Return one line of JSON; bytes in hex."""
    return json.dumps(found, default=lambda value: value.hex())
