"""A telemetry pack: up to 60 samples of one meter as columns, signed once by the meter's key.

Packs are stored off the ledger; a seal entry at each close commits to them, so every single sample
is provable. A pack never crosses a slot edge.
"""

from __future__ import annotations

from dataclasses import dataclass

from messages import cbor, cose
from messages.cose import Envelope
from messages.errors import MalformedMessage
from messages.publickey import Signer
from messages.topics import check_name

STREAM = "telemetry"
CONTENT_TYPE = "application/x.gridtally.telemetry+cbor"
SAMPLES_MAX = 60
COLUMNS = (
    "power_mw",
    "import_uwh",
    "export_uwh",
    "voltage_mv",
    "current_ma",
    "frequency_mhz",
)
KEYS = frozenset(("microgrid", "meter_id", "telemetry", "t0_ms", "step_ms", "names", "columns"))


@dataclass(frozen=True, slots=True)
class Pack:
    """Samples at t0_ms, t0_ms + step_ms, ...: a column a name, None where nothing was measured."""

    microgrid: str
    meter_id: str
    sequence: int
    t0_ms: int
    step_ms: int
    names: tuple[str, ...]
    columns: tuple[tuple[int | None, ...], ...]

    @property
    def last_ms(self) -> int:
        """The instant of the last sample."""
        return self.t0_ms + (len(self.columns[0]) - 1) * self.step_ms


def sign_pack(signer: Signer, pack: Pack) -> bytes:
    """Return the pack as a COSE_Sign1 message of the meter's key; no external_aad.

    {"microgrid": text, "meter_id": text, "telemetry": sequence, "t0_ms": int, "step_ms": int,
     "names": [text], "columns": [[int or null]]}   one column a name, all of one length, 1 to 60
    """
    payload = {
        "microgrid": pack.microgrid,
        "meter_id": pack.meter_id,
        "telemetry": pack.sequence,
        "t0_ms": pack.t0_ms,
        "step_ms": pack.step_ms,
        "names": list(pack.names),
        "columns": [list(column) for column in pack.columns],
    }
    return cose.sign1(signer, CONTENT_TYPE, cbor.encode(payload))


def parse_pack(envelope: Envelope) -> Pack:
    """Return the pack in a message.

    Raises:
        MalformedMessage: another content type, or a payload of another form.
    """
    if envelope.content_type != CONTENT_TYPE or envelope.sealed:
        raise MalformedMessage(f"content type {envelope.content_type} is no telemetry pack")
    value = cbor.decode(envelope.payload)
    if not isinstance(value, dict) or value.keys() != KEYS:
        raise MalformedMessage("a telemetry pack has exactly the keys " + ", ".join(sorted(KEYS)))
    for key in ("telemetry", "t0_ms", "step_ms"):
        if type(value[key]) is not int:
            raise MalformedMessage(f"{key} is not an integer")
        cbor.int64(value[key], key)
    if value["telemetry"] < 1 or value["step_ms"] < 1:
        raise MalformedMessage("telemetry and step_ms start at 1")
    names, columns = _check_columns(value["names"], value["columns"])
    return Pack(
        check_name(value["microgrid"], "microgrid"),
        check_name(value["meter_id"], "meter"),
        value["telemetry"],
        value["t0_ms"],
        value["step_ms"],
        names,
        columns,
    )


def _check_columns(
    names: object, columns: object
) -> tuple[tuple[str, ...], tuple[tuple[int | None, ...], ...]]:
    if not isinstance(names, list) or not isinstance(columns, list) or not names:
        raise MalformedMessage("names and columns are lists, and there is at least one")
    if [name for name in COLUMNS if name in names] != names:
        raise MalformedMessage("names are unknown, repeated or not in the order of the format")
    lengths = {len(column) if isinstance(column, list) else 0 for column in columns}
    if len(columns) != len(names) or len(lengths) != 1 or not 1 <= lengths.pop() <= SAMPLES_MAX:
        raise MalformedMessage(f"one column a name, all of one length, 1 to {SAMPLES_MAX}")
    for column in columns:
        if not set(map(type, column)) <= {int, type(None)}:
            raise MalformedMessage("a column holds integers and nulls only")
        measured = [number for number in column if number is not None]
        if measured:
            cbor.int64(min(measured), "a column"), cbor.int64(max(measured), "a column")
    return tuple(names), tuple(tuple(column) for column in columns)
