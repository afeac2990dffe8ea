"""A founded hub with one node, whose words a test signs itself: no broker, no clock, no edge."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from hub.balancing.catalog import POLICIES
from hub.commands.enrolling import found_installation, sign_as_administrator
from hub.commands.founding import Plan
from hub.config import HubConfig, load_config
from hub.cosigning.comparing import Comparison
from hub.cosigning.evidence import EvidenceFolder
from hub.desk import Desk
from hub.inbox import Inbox
from hub.link.arrivals import Arrival
from hub.link.broker import LinkState
from hub.link.post import Post
from hub.market.catalog import CONTRACTS
from hub.policyfile import EXAMPLE, read_policy
from hub.spine import Spine
from hub.starting import Opened, open_hub
from keys.file import FileSigner
from messages import cose, topics
from messages.entries import (
    Ack,
    Calibration,
    KeyEntry,
    NodeEvent,
    RelayEntry,
    content_type,
    network_aad,
    parse_as,
    sign_entry,
)
from messages.lease import Lease
from messages.live import Live, sign_live
from messages.log.note import parse_vkey
from messages.reading import Reading, sign_reading
from messages.receipt import Receipt, Refusal
from messages.status import Beacon, Hello, RelayStatus, Request, Status
from messages.tariff import Tariff
from messages.telemetry import Pack, sign_pack
from tests.support.signers import ed25519

MICROGRID = "bench"
NODE = "dep1"
SLOT_MS = 60_000
START_MS = 1_760_000_040_000
METERS = {"pv": "generation", "load": "consumption", "heater": "appliance"}
KINDS = (Receipt, Refusal, Lease, Beacon, Request, Tariff)
Kind = TypeVar("Kind")


@dataclass
class FakeLink:
    """Takes what the hub publishes; a test closes it to play a broker that is away."""

    is_open: bool = True
    sent: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def state(self) -> LinkState:
        return LinkState(connected=self.is_open)

    def start(self) -> None:
        """Nothing to connect to."""

    def stop(self) -> None:
        """Nothing to hang up on."""

    def publish(self, topic: str, raw: bytes, *, qos: int = 1) -> bool:
        if self.is_open:
            self.sent.append((topic, raw))
        return self.is_open


class Bench:
    """One installation in a folder, and the keys of everybody in it."""

    def __init__(
        self,
        folder: Path,
        *,
        simulated: bool = False,
        readings: str = "open",
        **policy_fields: Any,
    ) -> None:
        self.folder = folder
        self.simulated = simulated
        usual = read_policy(EXAMPLE, "example", 0, CONTRACTS, POLICIES)
        policy = replace(usual, **policy_fields)
        plan = Plan(MICROGRID, SLOT_MS, 30_000, readings, simulated, policy)
        found_installation(folder, plan, START_MS - 1)
        self.node = ed25519(NODE)
        self.meters = {meter: ed25519(meter) for meter in METERS}
        self.link = FakeLink()
        self.boots = 0
        self.sequences: dict[tuple[bytes, str], int] = {}

    @property
    def config(self) -> HubConfig:
        return load_config(self.folder / "hub.toml")

    def open(self) -> Opened:
        return open_hub(self.config)

    def spine(self, opened: Opened) -> Spine:
        post = Post(self.link, opened.pen, MICROGRID)
        return Spine(opened.recorder, opened.pen, post, opened.rules)

    def comparison(self, opened: Opened) -> Comparison:
        folder = EvidenceFolder(self.folder / "evidence")
        return Comparison(opened.recorder.store, parse_vkey(opened.trust.log_vkey), folder)

    def enrol(self, spine: Spine, entries: list[KeyEntry] | None = None) -> list[str]:
        desk = self.desk(spine)
        signed = sign_as_administrator(
            self.config, self.key_entries() if entries is None else entries
        )
        return [desk.append(raw) for raw in signed]

    def desk(self, spine: Spine) -> Desk:
        return Desk(Inbox(self.folder), spine, CONTRACTS, POLICIES)

    def key_entries(self) -> list[KeyEntry]:
        relay = RelayEntry("heat", "fed", "heater", "alice", 40_000, critical=False)
        node = KeyEntry(
            "enrol", "node", NODE, self.node.public.cose_key, member="alice", relays=(relay,)
        )
        return [node, *(self.meter_entry(meter) for meter in METERS)]

    def meter_entry(self, meter: str, **changes: Any) -> KeyEntry:
        entry = KeyEntry(
            "enrol",
            "meter",
            meter,
            self.meters[meter].public.cose_key,
            node=NODE,
            member="alice",
            purpose=METERS[meter],
            parent="load" if METERS[meter] == "appliance" else "",
            model="ina219",
            rated_mw=100_000,
        )
        return replace(entry, **changes)

    # --- what the node says ----------------------------------------------------------------

    def next(self, signer: FileSigner, stream: str) -> int:
        place = (signer.public.kid, stream)
        self.sequences[place] = self.sequences.get(place, 0) + 1
        return self.sequences[place]

    def reading(
        self, meter: str, at_ms: int, uwh: int, *, sequence: int | None = None, **changes: Any
    ) -> Arrival:
        signer = self.meters[meter]
        number = self.next(signer, "register") if sequence is None else sequence
        totals = (0, uwh) if METERS[meter] == "generation" else (uwh, 0)
        reading = replace(Reading(MICROGRID, meter, number, at_ms, *totals), **changes)
        return Arrival(NODE, "register", sign_reading(signer, reading))

    def readings(self, at_ms: int, uwh: int) -> list[Arrival]:
        return [self.reading(meter, at_ms, uwh) for meter in METERS]

    def pack(self, meter: str, t0_ms: int, powers_mw: tuple[int | None, ...]) -> Arrival:
        signer = self.meters[meter]
        sequence = self.next(signer, "telemetry")
        pack = Pack(MICROGRID, meter, sequence, t0_ms, 1_000, ("power_mw",), (powers_mw,))
        return Arrival(NODE, "telemetry", sign_pack(signer, pack))

    def live(self, meter: str, at_ms: int, power_mw: int, beacon: bytes = b"") -> Arrival:
        signer = self.meters[meter]
        sequence = (1 << 32) + self.next(signer, "live")
        live = Live(MICROGRID, meter, sequence, at_ms, power_mw=power_mw, beacon=beacon)
        return Arrival(NODE, "live", sign_live(signer, live))

    def event(self, opened: Opened, entry: NodeEvent) -> Arrival:
        raw = sign_entry(self.node, entry, opened.trust.network_id)
        return Arrival(NODE, "ack", raw)

    def ack(
        self, opened: Opened, lease: Lease, at_ms: int, outcome: str = "applied", reason: str = ""
    ) -> Arrival:
        number = self.next(self.node, "event")
        energised = lease.energised if outcome == "applied" else False
        ack = Ack(
            event=number,
            node=NODE,
            relay=lease.relay,
            lease_sequence=lease.sequence,
            energised=energised,
            outcome=outcome,
            reason=reason,
            at_ms=at_ms,
            boot_id=b"b" * 16,
            boottime_ms=1,
        )
        return self.event(opened, ack)

    def calibration(self, opened: Opened, meter: str, gain_ppm: int) -> Arrival:
        number = self.next(self.node, "event")
        coefficients = (gain_ppm, 0, 0, 0, 0)
        compared = (1_000_000, None, None, 988_142, None, None, 30)
        entry = Calibration(number, NODE, meter, *coefficients, *compared, "test", START_MS)
        return self.event(opened, entry)

    def hello(self, opened: Opened, checkpoint: str = "", **changes: Any) -> Arrival:
        hello = replace(Hello(NODE, b"b" * 16, checkpoint, (), 0, "test"), **changes)
        return Arrival(NODE, "hello", sign_entry(self.node, hello, opened.trust.network_id))

    def status(
        self,
        opened: Opened,
        nonce: bytes,
        *,
        energised: bool | None = False,
        at_ms: int = START_MS,
        unavailable: str = "",
        setpoint_mw: int | None = None,
        wish: str = "",
    ) -> Arrival:
        relays = (RelayStatus("heat", energised, 0, "", unavailable, setpoint_mw, wish),)
        status = Status(NODE, b"b" * 16, (nonce,), relays, 0, 0, at_ms)
        return Arrival(NODE, "status", sign_entry(self.node, status, opened.trust.network_id))

    # --- what the hub said -----------------------------------------------------------------

    def take_sent(self, opened: Opened, kind: type[Kind]) -> list[Kind]:
        """Return the messages of one kind that went out since the last call, verified; drop all."""
        sent, self.link.sent = self.link.sent, []
        found = []
        for topic, raw in sent:
            address = topics.parse(topic)
            assert not address.up
            assert address.microgrid == MICROGRID
            envelope = cose.parse(raw)
            cose.verify(envelope, opened.trust.hub_key, network_aad(opened.trust.network_id))
            if envelope.content_type == content_type(kind.KIND):  # type: ignore[attr-defined]
                found.append(parse_as(kind, envelope))
        return found
