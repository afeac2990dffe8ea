"""A register reading: the meter's cumulative totals at a slot edge, signed by the meter's key.

It is a ledger entry. Registers count upward only; a lost reading loses no energy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from messages import cbor, cose, sealed, senml
from messages.cose import Envelope
from messages.errors import MalformedMessage
from messages.publickey import Signer

STREAM = "register"
KINDS = {"import": "quantity", "export": "quantity", "epoch": "count", "quality": "text"}


@dataclass(frozen=True, slots=True)
class Reading:
    """Totals of one meter. [ms UTC, uWh]

    `import_uwh` is OBIS 1.8.0, `export_uwh` 2.8.0; None is not measured. `epoch` counts resets and
    swaps of the register: totals of different epochs cannot be subtracted. `quality` is empty when
    nothing is doubtful.
    """

    microgrid: str
    meter_id: str
    sequence: int
    at_ms: int
    import_uwh: int | None
    export_uwh: int | None
    epoch: int = 0
    quality: str = ""


def encode_reading(reading: Reading) -> bytes:
    """Return the SenML payload.

    [{-2: "<microgrid>/<meter_id>/", -3: 4([-3, at_ms]), 0: "register", 1: "count", 2: sequence},
     {0: "import", 1: "Wh", 2: 4([-6, import_uwh])},     left out where not measured
     {0: "export", 1: "Wh", 2: 4([-6, export_uwh])},     left out where not measured
     {0: "epoch", 1: "count", 2: epoch},                 left out when 0
     {0: "quality", 3: quality}]                         left out when empty
    """
    records = [
        senml.head(reading.microgrid, reading.meter_id, reading.at_ms, STREAM, reading.sequence)
    ]
    for name, value in (("import", reading.import_uwh), ("export", reading.export_uwh)):
        if value is not None:
            records.append(senml.quantity(name, value))
    if reading.epoch:
        records.append(senml.count("epoch", reading.epoch))
    if reading.quality:
        records.append({senml.NAME: "quality", senml.TEXT: reading.quality})
    return cbor.encode(records)


def sign_reading(signer: Signer, reading: Reading) -> bytes:
    """Return the reading as a COSE_Sign1 message of the meter's key; no external_aad."""
    return cose.sign1(signer, senml.CONTENT_TYPE, encode_reading(reading))


def sign_sealed_reading(signer: Signer, reading: Reading, salt: bytes) -> bytes:
    """Return the sealed message and its preimage as one piece (`messages.sealed.join`)."""
    preimage = sealed.make_preimage(encode_reading(reading), salt)
    return sealed.join(sealed.sign_sealed(signer, senml.CONTENT_TYPE, preimage), preimage)


def parse_reading(envelope: Envelope) -> Reading:
    """Return the reading in a message.

    Raises:
        MalformedMessage: another content type, or a payload of another form.
    """
    if envelope.content_type != senml.CONTENT_TYPE or envelope.sealed:
        raise MalformedMessage(f"content type {envelope.content_type} is not SenML in the open")
    return decode_reading(envelope.payload)


def decode_reading(payload: bytes) -> Reading:
    """Return the reading in a SenML payload, e.g. the preimage of a sealed one.

    Raises:
        MalformedMessage: the payload has another form, or a negative total.
    """
    usual = USUAL.fullmatch(payload)
    if usual is not None:
        sequence, name, at_ms, imported, exported = usual.groups()
        microgrid, _, meter_id = name.decode().partition("/")
        number = _unsigned(sequence)
        if number and len(microgrid) <= 32 and len(meter_id) <= 32:
            return Reading(
                microgrid,
                meter_id,
                number,
                _unsigned(at_ms),
                _unsigned(imported),
                _unsigned(exported),
            )
    return _decode_any(payload)


def _decode_any(payload: bytes) -> Reading:
    records = cbor.decode(payload)
    if not isinstance(records, list) or not 2 <= len(records) <= 1 + len(KINDS):
        raise MalformedMessage("a reading has a head and one to four records")
    microgrid, meter_id, at_ms, sequence = senml.parse_head(records[0], STREAM)
    values = senml.parse_records(records[1:], KINDS)
    totals = values.get("import"), values.get("export")
    if totals == (None, None):
        raise MalformedMessage("a reading holds at least one total")
    if any(total is not None and total < 0 for total in totals):
        raise MalformedMessage("a total is never negative")
    epoch, quality = values.get("epoch", 0), values.get("quality", "")
    return Reading(microgrid, meter_id, sequence, at_ms, *totals, epoch, quality)


# The usual reading (both totals, first epoch, nothing doubtful) as one grammar over its bytes: an
# unsigned integer of 63 bits in the shortest form, a text by its length. It takes exactly what the
# strict reader takes of that shape, ten times faster; what does not match goes to the strict one.
_UNSIGNED = (
    rb"([\x00-\x17]|\x18[\x18-\xff]|\x19(?!\x00)[\x00-\xff]{2}"
    rb"|\x1a(?!\x00\x00)[\x00-\xff]{4}|\x1b(?!\x00{4})[\x00-\x7f][\x00-\xff]{7})"
)
_TEXTS = rb"(?:%s)" % rb"|".join(
    (b"\\x%02x" % (0x60 + n) if n < 24 else b"\\x78\\x%02x" % n) + rb"(?=[a-z0-9/-]{%d}\x22)" % n
    for n in range(4, 67)
)
_NAME = rb"([a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9-]*)/"
USUAL = re.compile(
    rb"\x83\xa5\x00\x68register\x01\x65count\x02" + _UNSIGNED + rb"\x21" + _TEXTS + _NAME
    + rb"\x22\xc4\x82\x22" + _UNSIGNED
    + rb"\xa3\x00\x66import\x01\x62Wh\x02\xc4\x82\x25" + _UNSIGNED
    + rb"\xa3\x00\x66export\x01\x62Wh\x02\xc4\x82\x25" + _UNSIGNED
)  # fmt: skip


def _unsigned(encoded: bytes) -> int:
    return encoded[0] if len(encoded) == 1 else int.from_bytes(encoded[1:], "big")
