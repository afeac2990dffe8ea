"""A live sample: the newest values of a meter, for dispatch and the screen; signed, never stored.

Its counter is boot counter x 2^32 + n, and it echoes the newest beacon it saw: the hub knows the
age of the sample from when it sent that beacon, whatever the clock of the node says.
"""

from __future__ import annotations

from dataclasses import dataclass

from messages import cbor, cose, senml
from messages.cose import Envelope
from messages.errors import MalformedMessage
from messages.publickey import Signer

STREAM = "live"
BEACON_BYTES = 16
KINDS = dict.fromkeys(senml.QUANTITIES, "quantity") | {"beacon": "bytes", "quality": "text"}
FIELDS = {
    "import": "import_uwh",
    "export": "export_uwh",
    "power": "power_mw",
    "voltage": "voltage_mv",
    "current": "current_ma",
    "frequency": "frequency_mhz",
}


@dataclass(frozen=True, slots=True)
class Live:
    """The newest sample of one meter; None is not measured. [ms UTC, mW, mV, mA, mHz, uWh]"""

    microgrid: str
    meter_id: str
    sequence: int
    at_ms: int
    power_mw: int | None = None
    voltage_mv: int | None = None
    current_ma: int | None = None
    frequency_mhz: int | None = None
    import_uwh: int | None = None
    export_uwh: int | None = None
    beacon: bytes = b""
    quality: str = ""


def live_sequence(boot: int, n: int) -> int:
    """Return the counter of the n-th live sample of a boot; only the boot counter is durable."""
    return (boot << 32) + n


def sign_live(signer: Signer, live: Live) -> bytes:
    """Return the sample as a COSE_Sign1 message of the meter's key; no external_aad.

    [{-2: "<microgrid>/<meter_id>/", -3: 4([-3, at_ms]), 0: "live", 1: "count", 2: sequence},
     import, export as Wh with -6; power W, voltage V, current A, frequency Hz with -3, where
     measured;
     {0: "beacon", 8: 16 bytes}, {0: "quality", 3: text}, where there is one]
    """
    records = [senml.head(live.microgrid, live.meter_id, live.at_ms, STREAM, live.sequence)]
    for name, field in FIELDS.items():
        value = getattr(live, field)
        if value is not None:
            records.append(senml.quantity(name, value))
    if live.beacon:
        records.append({senml.NAME: "beacon", senml.BYTES: live.beacon})
    if live.quality:
        records.append({senml.NAME: "quality", senml.TEXT: live.quality})
    return cose.sign1(signer, senml.CONTENT_TYPE, cbor.encode(records))


def parse_live(envelope: Envelope) -> Live:
    """Return the sample in a message.

    Raises:
        MalformedMessage: another content type, or a payload of another form.
    """
    if envelope.content_type != senml.CONTENT_TYPE or envelope.sealed:
        raise MalformedMessage(f"content type {envelope.content_type} is not SenML")
    records = cbor.decode(envelope.payload)
    if not isinstance(records, list) or not records:
        raise MalformedMessage("a live sample is a list of records")
    microgrid, meter_id, at_ms, sequence = senml.parse_head(records[0], STREAM)
    values = senml.parse_records(records[1:], KINDS)
    beacon = values.get("beacon", b"")
    if beacon and len(beacon) != BEACON_BYTES:
        raise MalformedMessage(f"a beacon has {BEACON_BYTES} bytes")
    quantities = {field: values.get(name) for name, field in FIELDS.items()}
    return Live(
        microgrid,
        meter_id,
        sequence,
        at_ms,
        **quantities,
        beacon=beacon,
        quality=values.get("quality", ""),
    )
