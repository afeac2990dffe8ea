"""How fast one hub process takes readings in: bytes, verified, ordered, durable, receipt signed.

Prints one line a figure, with `--json` one object. The ratio is to bare Ed25519 verification of the
same messages in the same run, so that it says the same on any machine.

    python bench/intake.py [--readings N] [--packs N] [--batch N] [--folder DIR] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

sys.path.insert(0, str(Path(__file__).parent.parent))

from hub import intake
from hub.intake import KnownKey, Rules, Verified
from hub.ledger.store import Store
from hub.receipts import Receipts
from hub.sequencer import Admitted, Sequencer, as_entry, as_pack
from keys.file import FileSigner, generate
from messages import cose
from messages.entries import sign_entry
from messages.log.checkpoint import Checkpoint, sign_checkpoint
from messages.reading import Reading, sign_reading
from messages.telemetry import Pack, sign_pack

MICROGRID = "bench"
SLOT_MS = 900_000
START_MS = 1_767_225_600_000
NODES, METERS_A_NODE = 10, 10
SAMPLES = 60
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


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured run. Rates in 1/s; `ratio` counts readings or samples, as `unit` says."""

    name: str
    unit: str
    messages: int
    batch: int
    rate: float
    bare_verify_rate: float
    ratio: float


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


def measure(
    name: str,
    offers: Sequence[Offer],
    meters: Sequence[Meter],
    asked: argparse.Namespace,
    samples: int,
) -> Figure:
    """Run one kind of message through a fresh hub, bare verification turn by turn with it."""
    now_ms = START_MS + 10_000 * SLOT_MS
    work = checks(offers, meters)
    whole_s = verify_s = 0.0
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        hub = Hub(Path(folder), meters)
        for at in range(0, len(offers), asked.batch):
            verify_s += bare_s(work[at : at + asked.batch])
            start = time.perf_counter()
            hub.take(offers[at : at + asked.batch], now_ms)
            whole_s += time.perf_counter() - start
        hub.close()
    rate, bare = len(offers) / whole_s * samples, len(offers) / verify_s
    unit = "samples" if samples > 1 else "readings"
    return Figure(name, unit, len(offers), asked.batch, rate, bare, rate / bare)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readings", type=int, default=20_000)
    parser.add_argument("--packs", type=int, default=4_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--folder", type=Path, help="where the ledger lies; default: temporary")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        meters = [
            Meter(f"meter-{n}", f"node-{n // METERS_A_NODE}", generate(Path(folder) / f"{n}.pem"))
            for n in range(NODES * METERS_A_NODE)
        ]
    single = list(readings(meters, asked.readings))
    columns = list(packs(meters, asked.packs))
    figures = [
        measure("intake, one reading a message", single, meters, asked, 1),
        measure("intake, packs of 60 samples", columns, meters, asked, SAMPLES),
    ]
    if asked.json:
        print(json.dumps([asdict(figure) for figure in figures]))
        return
    for figure in figures:
        print(
            f"{figure.name}: {figure.rate:,.0f} {figure.unit}/s, {figure.ratio:.2f} of bare "
            f"verification ({figure.bare_verify_rate:,.0f}/s), batches of {figure.batch}"
        )


if __name__ == "__main__":
    main()
