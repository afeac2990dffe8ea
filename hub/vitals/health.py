"""The hub's health as one JSON file, replaced whole once a second.

For the page, the metrics and `gridtally-hub status`, which are other processes. It holds what the
ledger does not: alarms, the broker link, who was seen when, leases that run. Nothing here is proof.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hub.feeds.showing import FactSeen

PERIOD_MS = 1_000
FILE_NAME = "health.json"
FRESH_MS = 5_000
"""A hub whose health is older does not run. [ms]"""


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """How long ago a node was heard (None: never), and what it says of itself. [ms, rows]"""

    node: str
    age_ms: int | None
    backlog: int
    dead_letters: int
    software: str


@dataclass(frozen=True, slots=True)
class MeterSeen:
    """A meter's newest verified live sample. `beacon_age_ms` None: no beacon we know. [mW, ms]"""

    meter_id: str
    at_ms: int
    power_mw: int | None
    beacon_age_ms: int | None


@dataclass(frozen=True, slots=True)
class MeterCorrected:
    """A meter that its node corrects, since when, and the entry that says it. [ms UTC, ppm, mW]"""

    meter_id: str
    at_ms: int
    power_gain_ppm: int
    power_offset_mw: int
    entry_index: int


@dataclass(frozen=True, slots=True)
class RelayLease:
    """The lease that runs on a relay, and what the guard acknowledged last. [ms]

    `unusable`: why no policy counts on it, "" if it does what it is told.
    """

    node: str
    relay: str
    wanted_energised: bool
    energised: bool | None
    lease_left_ms: int
    reason: str
    unusable: str = ""


@dataclass(frozen=True, slots=True)
class WitnessSeen:
    """How one witness stands: what it cosigned last, how old [s, None: never], what is wrong.

    `kind`: witness, or replica, whose cosignature says that it executed everything again.
    """

    name: str
    url: str
    size: int
    age_s: int | None
    reason: str
    kind: str = "witness"


@dataclass(frozen=True, slots=True)
class Health:
    """All of it at one moment. Alarms are sentences that say what to do.

    `written_ms` is the machine's clock, `at_ms` the microgrid's, which a simulation sets. [ms UTC]
    `final_size` is how many entries are final by a quorum, None where nobody has to agree.
    `proposers`: who proposes the next block, in words. `facts`: what feeders told, as it counts in
    the next slot.
    """

    written_ms: int
    at_ms: int
    pid: int
    uptime_ms: int
    tree_size: int
    root: str
    checkpoint_size: int
    alarms: tuple[str, ...]
    accepting: bool
    broker_connected: bool
    broker_reason: str
    dropped: int
    next_slot_ms: int | None
    refused: dict[str, int] = field(default_factory=dict)
    nodes: tuple[NodeSeen, ...] = ()
    meters: tuple[MeterSeen, ...] = ()
    relays: tuple[RelayLease, ...] = ()
    witnesses: tuple[WitnessSeen, ...] = ()
    final_size: int | None = None
    calibrations: tuple[MeterCorrected, ...] = ()
    proposers: str = ""
    facts: tuple[FactSeen, ...] = ()


class HealthFile:
    """Writes `<state>/health.json`; a full disk costs only freshness, never the hub."""

    def __init__(self, state: Path) -> None:
        self.path = state / FILE_NAME

    def write(self, health: Health) -> bool:
        """Replace the file; False if the disk did not take it."""
        partial = self.path.with_suffix(".partial")
        try:
            partial.touch(mode=0o600)  # it says what everybody uses now
            partial.write_text(json.dumps(asdict(health), indent=1) + "\n", encoding="utf-8")
            os.replace(partial, self.path)
        except OSError:
            return False
        return True


def read_health(state: Path) -> dict[str, object] | None:
    """Return the newest health as plain JSON values; None if no hub ever ran here."""
    try:
        body = json.loads((state / FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return body if isinstance(body, dict) else None


def silence(health: dict[str, object] | None, now_ms: int) -> str:
    """Return "" while the hub is writing its health, else a sentence on since when it does not.

    >>> silence({"written_ms": 60_000}, 61_000)
    ''
    >>> silence({"written_ms": 60_000}, 90_000)
    'not running; last seen 30 s ago'
    """
    if health is None:
        return "never ran here"
    age_ms = max(now_ms - int(str(health["written_ms"])), 0)
    return "" if age_ms < FRESH_MS else f"not running; last seen {age_ms // 1000} s ago"
