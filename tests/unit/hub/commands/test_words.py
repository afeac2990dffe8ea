"""What people read: the verdict first, then the numbers, and nothing that is not so."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hub.auditing.audit import Report as AuditReport
from hub.commands.words import audit_lines, money_text, status_lines, verify_lines
from hub.feeds.showing import FactSeen
from hub.ledger.verify import Report as VerifyReport

HUB: dict[str, Any] = {
    "alarms": ["the disk is full"],
    "broker_connected": False,
    "broker_reason": "Connection refused",
    "refused": {"bad-signature": 2},
    "nodes": [
        {"node": "dep1", "age_ms": 120, "backlog": 3},
        {"node": "dep2", "age_ms": None, "backlog": 0},
    ],
    "relays": [{"node": "dep1", "relay": "heat", "energised": None, "lease_left_ms": 4_000}],
}


def report(difference: str = "") -> AuditReport:
    return AuditReport(
        entries=9,
        slots=2,
        failed_slots=1,
        corrections=0,
        headers=2,
        decisions_repeated=1,
        lines=4,
        settlement_sum_utok=0,
        root=b"r" * 32,
        state_root=b"s" * 32,
        bills_utok={"alice": 1_500_000, "bob": -1_500_001},
        difference=difference,
        notes=("entry 3 (reading) had no effect",),
    )


def test_status_of_a_hub_in_trouble() -> None:
    ledger = {"entries": 9, "checkpoint": None, "evidence": 1}
    found = {"ledger": ledger, "hub": HUB, "running": "running"}
    assert list(status_lines(found)) == [
        "ledger: 9 entries, no checkpoint yet",
        "EVIDENCE: 1 places with two contents under one key",
        "hub: running",
        "ALARM: the disk is full",
        "broker: away (Connection refused)",
        "refused: bad-signature 2",
        "unwitnessed: nobody but this hub signs its checkpoints",
        "node dep1: heard 120 ms ago, backlog 3",
        "node dep2: never heard, backlog 0",
        "relay dep1/heat: unknown, lease 4000 ms",
    ]


def test_status_names_the_meters_that_are_corrected() -> None:
    corrected = {
        "meter_id": "dep1-load",
        "at_ms": 1_795_262_400_000,
        "power_gain_ppm": 12_000,
        "power_offset_mw": -40,
        "entry_index": 17,
    }
    ledger = {"entries": 9, "checkpoint": None, "evidence": 0}
    hub = {**HUB, "calibrations": [corrected]}
    lines = list(status_lines({"ledger": ledger, "hub": hub, "running": "running"}))
    assert lines[-2] == (
        "meter dep1-load: calibrated since 2026-11-21 12:00 UTC, +1.2 % and +0.040 W (entry 17)"
    )


def test_status_names_the_facts_from_outside() -> None:
    facts = (
        FactSeen("price", "meteo", 220_000, "utok_per_kwh", 231_000, 7_200_000, "too old", 9),
        FactSeen("co2", "meteo", 300, "g_per_kwh", 300, 60_000, "", 12),
    )
    ledger = {"entries": 9, "checkpoint": None, "evidence": 0}
    hub = {**HUB, "facts": [asdict(fact) for fact in facts], "relays": []}
    lines = list(status_lines({"ledger": ledger, "hub": hub, "running": "running"}))
    assert lines[-2:] == [
        "fact price: fallback, 220000 utok_per_kwh (too old)",
        "fact co2: 300 g_per_kwh from meteo, 60 s old",
    ]


def test_status_of_a_broken_ledger() -> None:
    found = {"ledger": {"fault": "it is damaged"}, "hub": None, "running": ""}
    assert list(status_lines(found)) == ["ledger: it is damaged", "hub: never ran here"]


def test_an_audit_tells_the_verdict_first_and_every_account() -> None:
    lines = list(audit_lines(report()))
    assert lines[0] == "every bill is right: 2 slots from 9 entries"
    assert "slots settled by the fallback rule: 1" in lines
    assert [line.split() for line in lines if line.startswith(("alice", "bob"))] == [
        ["alice", "receives", "1.500000"],
        ["bob", "pays", "1.500001"],
    ]
    assert lines[-1] == "note: entry 3 (reading) had no effect"
    assert next(audit_lines(report("entry 5: wrong"))) == "WRONG: entry 5: wrong"


def test_a_verification_that_failed_never_says_verified() -> None:
    good = VerifyReport(3, b"r" * 32, 2, 3, ())
    witnessed = VerifyReport(3, b"r" * 32, 2, 3, (), witnessed=True, final_size=1)
    assert "unwitnessed" in list(verify_lines(good))[-1]
    assert list(verify_lines(witnessed))[-1].endswith("a quorum of witnesses cosigned 1")
    bad = VerifyReport(3, b"r" * 32, 2, 3, ("entry 1: wrong",))
    assert next(verify_lines(good)) == f"ledger verified, 3 entries, root {(b'r' * 32).hex()}"
    assert next(iter(verify_lines(bad))) == "NOT verified: entry 1: wrong"


def test_money_has_all_its_decimals() -> None:
    assert money_text(5) == "0.000005"


def test_status_names_each_witness_and_what_is_final() -> None:
    hub: dict[str, object] = {
        "alarms": [],
        "broker_connected": True,
        "broker_reason": "",
        "refused": {},
        "nodes": [],
        "relays": [],
        "corrected": [],
        "tree_size": 9,
    }
    ledger = {"entries": 9, "checkpoint": 9, "evidence": 0}
    found = {"ledger": ledger, "hub": hub, "running": "running"}
    assert "unwitnessed: nobody but this hub signs its checkpoints" in list(status_lines(found))
    hub["final_size"] = 7
    hub["witnesses"] = [
        {"name": "w1", "size": 7, "age_s": 3, "reason": "", "kind": "replica"},
        {"name": "w2", "size": 0, "age_s": None, "reason": "gone", "kind": "witness"},
    ]
    lines = list(status_lines(found))
    assert "final by quorum: 7 of 9 entries" in lines
    assert "replica w1: cosigned 7 entries 3 s ago" in lines
    assert "witness w2: never cosigned; gone" in lines
