"""How fast one hub process takes readings in: bytes, verified, ordered, durable, receipt signed.

The ratio is to bare Ed25519 verification of the same messages in the same run, batch by batch in
turns, so that it says the same on any machine. `Hub` is the path that the ratio is about: broker
and fold are left out. `whole_spine` is the hub's own path, fold and books included: slower, and
told beside it so that nobody takes the first for the second.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bench.figure import Figure, Target
from hub import intake
from hub.balancing.catalog import POLICIES
from hub.commands.enrolling import found_installation, sign_as_administrator
from hub.commands.founding import Plan
from hub.config import load_config
from hub.desk import Desk
from hub.inbox import Inbox
from hub.intake import KnownKey, Rules, Verified
from hub.ledger.store import Store
from hub.link.arrivals import Arrival
from hub.link.post import Post
from hub.link.receipts import Receipts
from hub.market.catalog import CONTRACTS
from hub.policyfile import EXAMPLE, read_policy
from hub.sequencer import Admitted, Sequencer, as_entry, as_pack
from hub.spine import Spine
from hub.starting import Opened, open_hub
from keys.file import FileSigner, generate
from messages import cose
from messages.entries import KeyEntry, sign_entry
from messages.log.checkpoint import Checkpoint, sign_checkpoint
from messages.reading import Reading, sign_reading
from messages.telemetry import Pack, sign_pack

MICROGRID = "bench"
SLOT_MS = 900_000
START_MS = 1_767_225_600_000
NOW_MS = START_MS + 10_000 * SLOT_MS
NODES, METERS_A_NODE = 10, 10
SAMPLES = 60
BATCH = 500  # what the hub's loop takes at most in one turn
NETWORK_ID = bytes(32)
RULES = Rules(NETWORK_ID, MICROGRID, SLOT_MS)


@dataclass(frozen=True, slots=True)
class Meter:
    """One meter of the bench and the node that carries it."""

    meter_id: str
    node: str
    signer: FileSigner


@dataclass(frozen=True, slots=True)
class Offer:
    """One message as the broker delivers it."""

    node: str
    channel: str
    raw: bytes


Take = Callable[[Sequence[Offer]], object]


class Hub:
    """The intake path of the hub, without broker and fold."""

    def __init__(self, folder: Path, meters: Sequence[Meter]) -> None:
        self._store = Store.open(f"sqlite:///{folder}/ledger.db", create=True)
        self._log, self._hub = generate(folder / "log.pem"), generate(folder / "hub.pem")
        self._registry = {
            meter.signer.public.kid: KnownKey(
                meter.signer.public, "meter", meter.meter_id, meter.node
            )
            for meter in meters
        }
        self._sequencer = Sequencer(self._store.head, self._stored)
        self._receipts = Receipts(self._store)

    def close(self) -> None:
        """Close the ledger."""
        self._store.close()

    def _stored(self, kid: bytes, stream: str, sequence: int) -> bytes | None:
        found = self._store.stored(kid, stream, sequence)
        return found.raw if found else None

    def _sign(self, size: int, root: bytes) -> str:
        return sign_checkpoint(Checkpoint("bench.example/hub", size, root), self._log)

    def take(self, batch: Sequence[Offer], now_ms: int) -> list[bytes]:
        """Take one batch in and return the signed receipts."""
        admitted: list[Verified] = []
        for offer in batch:
            message = intake.verify(
                offer.raw, offer.node, offer.channel, self._registry, RULES, now_ms
            )
            verdict = self._sequencer.admit(message)
            if not isinstance(verdict, Admitted):
                raise SystemExit(f"not admitted: {verdict}")
            admitted += verdict.messages
        logged = [message for message in admitted if message.stream == "register"]
        packs = [message for message in admitted if message.stream == "telemetry"]
        indices = self._store.append([as_entry(m) for m in logged], [as_pack(m) for m in packs])
        self._sequencer.committed()
        for message, index in zip(logged, indices, strict=True):
            self._receipts.note_stored(message, index)
        for message in packs:
            self._receipts.note_stored(message, None)
        checkpoint = self._store.checkpoint(self._sign)
        return [
            sign_entry(self._hub, receipt, NETWORK_ID)
            for node in self._receipts.due
            for receipt in self._receipts.build(node, checkpoint)
        ]


def readings(meters: Sequence[Meter], count: int) -> Iterator[Offer]:
    """Yield register readings, slot after slot, each meter once a slot."""
    for n in range(count):
        slot, meter = n // len(meters), meters[n % len(meters)]
        at_ms = START_MS + slot * SLOT_MS
        body = Reading(MICROGRID, meter.meter_id, slot + 1, at_ms, 1_000_000 + n * 997, n * 31)
        yield Offer(meter.node, "register", sign_reading(meter.signer, body))


def packs(meters: Sequence[Meter], count: int) -> Iterator[Offer]:
    """Yield telemetry packs of one minute at 1 Hz: power, import, export, voltage."""
    for n in range(count):
        minute, meter = n // len(meters), meters[n % len(meters)]
        columns = (
            tuple(1_500_000 + (n * 7919 + i * 104_729) % 900_000 for i in range(SAMPLES)),
            tuple(10_000_000 + n * 25_000 + i * 417 for i in range(SAMPLES)),
            tuple(2_000_000 for _ in range(SAMPLES)),
            tuple(229_000 + (i * 37) % 2_000 for i in range(SAMPLES)),
        )
        names = ("power_mw", "import_uwh", "export_uwh", "voltage_mv")
        t0_ms = START_MS + minute * 60_000
        body = Pack(MICROGRID, meter.meter_id, minute + 1, t0_ms, 1_000, names, columns)
        yield Offer(meter.node, "telemetry", sign_pack(meter.signer, body))


Check = tuple[Ed25519PublicKey, bytes, bytes]


def checks(offers: Sequence[Offer], meters: Sequence[Meter]) -> list[Check]:
    """Return (key, signature, signed bytes) of each message, ready to verify."""
    keys = {
        meter.signer.public.kid: Ed25519PublicKey.from_public_bytes(meter.signer.public.raw)
        for meter in meters
    }
    found = []
    for offer in offers:
        envelope = cose.parse(offer.raw)
        signed = cose.signed_bytes(envelope.protected, envelope.payload, b"")
        found.append((keys[envelope.kid], envelope.signature, signed))
    return found


def bare_s(work: Sequence[Check]) -> float:
    """Return how long `cryptography` needs for these signatures, and nothing else. [s]"""
    start = time.perf_counter()
    for key, signature, signed in work:
        key.verify(signature, signed)
    return time.perf_counter() - start


def rates(offers: Sequence[Offer], meters: Sequence[Meter], take: Take) -> tuple[float, float]:
    """Return messages a second through `take`, and through bare verification between batches."""
    work = checks(offers, meters)
    whole_s = verify_s = 0.0
    for at in range(0, len(offers), BATCH):
        verify_s += bare_s(work[at : at + BATCH])
        start = time.perf_counter()
        take(offers[at : at + BATCH])
        whole_s += time.perf_counter() - start
    return len(offers) / whole_s, len(offers) / verify_s


def intake_alone(offers: Sequence[Offer], meters: Sequence[Meter]) -> tuple[float, float]:
    """Return the rates of verify, admit, append, checkpoint and receipts on a fresh ledger."""
    with tempfile.TemporaryDirectory() as folder:
        hub = Hub(Path(folder), meters)
        try:
            return rates(offers, meters, lambda batch: hub.take(batch, NOW_MS))
        finally:
            hub.close()


# --- the hub's own path


class Listener:
    """A link that takes every message and counts them."""

    is_open = True

    def __init__(self) -> None:
        self.taken = 0

    def publish(self, topic: str, raw: bytes, *, qos: int = 1) -> bool:
        """Take one."""
        self.taken += 1
        return True


def whole_spine(offers: Sequence[Offer], meters: Sequence[Meter]) -> tuple[float, float]:
    """Return the rates of the same and the fold and its books, as the running hub does it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        policy = read_policy(EXAMPLE, "example", 0, CONTRACTS, POLICIES)
        plan = Plan(MICROGRID, SLOT_MS, 30_000, "open", simulation=False, policy=policy)
        found_installation(folder, plan, START_MS)
        opened, link = open_hub(load_config(folder / "hub.toml")), Listener()
        try:
            post = Post(link, opened.pen, MICROGRID)
            spine = Spine(opened.recorder, opened.pen, post, opened.rules)
            enrol(folder, opened, spine, meters)
            return rates(offers, meters, lambda batch: take(spine, batch))
        finally:
            opened.close()


def take(spine: Spine, batch: Sequence[Offer]) -> None:
    """Give the spine one batch as its loop would."""
    arrivals = [Arrival(offer.node, offer.channel, offer.raw) for offer in batch]
    spine.take_in(arrivals, 0, NOW_MS)
    if spine.refused:
        raise SystemExit(f"refused: {spine.refused}")


def enrol(folder: Path, opened: Opened, spine: Spine, meters: Sequence[Meter]) -> None:
    """Put every node and meter on the ledger."""
    nodes = sorted({meter.node for meter in meters})
    entries = [
        KeyEntry("enrol", "node", node, generate(folder / f"{node}.pem").public.cose_key)
        for node in nodes
    ]
    entries += [
        KeyEntry(
            "enrol",
            "meter",
            meter.meter_id,
            meter.signer.public.cose_key,
            node=meter.node,
            member=meter.node,
            purpose="consumption",
            model="sdm120",
            rated_mw=5_000_000,
        )
        for meter in meters
    ]
    desk = Desk(Inbox(folder), spine, CONTRACTS, POLICIES)
    for raw in sign_as_administrator(opened.config, entries):
        reason = desk.append(raw)
        if reason:
            raise SystemExit(reason)


# --- what is told


def run(*, quick: bool) -> Iterator[Figure]:
    """Yield rates and ratios for single readings and for packs of 60 samples."""
    with tempfile.TemporaryDirectory() as folder:
        meters = [
            Meter(f"meter-{n}", f"node-{n // METERS_A_NODE}", generate(Path(folder) / f"{n}.pem"))
            for n in range(NODES * METERS_A_NODE)
        ]
    single = list(readings(meters, 5_000 if quick else 20_000))
    columns = list(packs(meters, 1_000 if quick else 4_000))
    note = f"batches of {BATCH}, {NODES} nodes"
    rate, bare = intake_alone(single, meters)
    name = "intake, one reading a message"
    yield Figure(f"{name}: rate", rate, "readings/s", note=f"{note}; bare {bare:,.0f}/s")
    yield Figure(f"{name}: ratio", rate / bare, "of bare", Target("at least", 0.6))
    rate, bare = intake_alone(columns, meters)
    name = f"intake, packs of {SAMPLES}"
    yield Figure(f"{name}: rate", rate * SAMPLES, "samples/s", note=f"{note}; bare {bare:,.0f}/s")
    yield Figure(f"{name}: ratio", rate * SAMPLES / bare, "of bare", Target("at least", 10.0))
    rate, bare = whole_spine(single, meters)
    name = "intake with fold and books, one reading a message"
    yield Figure(f"{name}: rate", rate, "readings/s", note=f"{note}; bare {bare:,.0f}/s")
    yield Figure(f"{name}: ratio", rate / bare, "of bare")
