"""What goes in and out of the outbox, and the statements that write it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from edge.agent import Point
from edge.calibration.coefficients import Calibrated, Coefficients
from edge.errors import KeyAway
from edge.register import Register
from keys.errors import StoreUnavailable
from messages.correction import Correction
from messages.log.tree import leaf_hash
from messages.sealed import signed_part

Key = tuple[bytes, str]
"""(kid, stream)"""


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that lacks its sequence; `sign` makes it, once, when the sequence is taken.

    `meter_id`: of a pack, whose points it takes along.
    """

    kid: bytes
    stream: str
    sign: Callable[[int], bytes]
    meter_id: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one instant leaves behind; all of it is stored, or nothing.

    Attributes:
        drafts: messages to sign, in order.
        registers: meter id -> its register after this instant.
        points: samples that wait for their telemetry pack.
        packed: (meter id, instant): points up to there are in a pack now.
    """

    drafts: tuple[Draft, ...] = ()
    registers: Mapping[str, Register] = field(default_factory=dict)
    points: tuple[tuple[str, Point], ...] = ()
    packed: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A signed message on its way, a sealed one with its preimage; the lowest `id` is oldest."""

    id: int
    kid: bytes
    stream: str
    sequence: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """Where one stream stands."""

    next_sequence: int = 1
    stored_up_to: int = 0
    final_up_to: int = 0


@dataclass(frozen=True, slots=True)
class Settled:
    """What a receipt did: rows deleted, and streams where the hub has more than ever was here."""

    deleted: int
    ahead: tuple[Key, ...]


def store(connection: sqlite3.Connection, heads: dict[Key, Head], draft: Draft) -> Row:
    """Take the next sequence of a draft's stream, sign it, and write its row.

    Raises:
        KeyAway: what holds the key is not there now.
    """
    key = (draft.kid, draft.stream)
    head = heads.get(key, Head())
    heads[key] = replace(head, next_sequence=head.next_sequence + 1)
    try:
        raw = draft.sign(head.next_sequence)
    except StoreUnavailable as error:
        raise KeyAway(draft.kid, str(error)) from None
    cursor = connection.execute(
        "INSERT INTO row (kid, stream, sequence, leaf_hash, raw) VALUES (?, ?, ?, ?, ?)",
        (*key, head.next_sequence, leaf_hash(signed_part(raw)), raw),
    )
    return Row(cursor.lastrowid or 0, *key, head.next_sequence, raw)


def keep_fact(connection: sqlite3.Connection, name: str, value: str | int) -> None:
    """Write one named fact; an empty one is forgotten."""
    connection.execute("DELETE FROM fact WHERE name = ?", (name,))
    if value != "":
        connection.execute("INSERT INTO fact VALUES (?, ?)", (name, value))


def keep_head(connection: sqlite3.Connection, key: Key, head: Head) -> None:
    """Write where a stream stands."""
    connection.execute(
        "INSERT OR REPLACE INTO stream VALUES (?, ?, ?, ?, ?)",
        (*key, head.next_sequence, head.stored_up_to, head.final_up_to),
    )


def keep_registers(connection: sqlite3.Connection, registers: Mapping[str, Register]) -> None:
    """Write the registers of these meters."""
    connection.executemany(
        "INSERT OR REPLACE INTO register (meter_id, import_uwh, export_uwh, import_rest,"
        " export_rest, epoch, at_ms, power_mw, kept_ms, import_wrapped_uwh, export_wrapped_uwh,"
        " doubts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                meter_id,
                register.import_uwh,
                register.export_uwh,
                register.import_rest,
                register.export_rest,
                register.epoch,
                register.at_ms,
                register.power_mw,
                register.kept_ms,
                register.import_wrapped_uwh,
                register.export_wrapped_uwh,
                " ".join(register.doubts),
            )
            for meter_id, register in registers.items()
        ],
    )


def keep_calibration(connection: sqlite3.Connection, meter_id: str, calibrated: Calibrated) -> None:
    """Write how a meter is corrected."""
    power, voltage, current = (
        calibrated.coefficients.power,
        calibrated.coefficients.voltage,
        calibrated.coefficients.current,
    )
    connection.execute(
        "INSERT OR REPLACE INTO calibration VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            meter_id,
            calibrated.at_ms,
            power.gain_ppm,
            power.offset,
            voltage.gain_ppm,
            current.gain_ppm,
            current.offset,
        ),
    )


def read_calibrations(connection: sqlite3.Connection) -> dict[str, Calibrated]:
    """Return how each meter that was calibrated is corrected."""
    query = (
        "SELECT meter_id, at_ms, power_gain_ppm, power_offset_mw, voltage_gain_ppm,"
        " current_gain_ppm, current_offset_ma FROM calibration"
    )
    return {
        meter_id: Calibrated(
            Coefficients(
                Correction(power_ppm, power_mw),
                Correction(voltage_ppm),
                Correction(current_ppm, current_ma),
            ),
            at_ms,
        )
        for meter_id, at_ms, power_ppm, power_mw, voltage_ppm, current_ppm, current_ma in (
            connection.execute(query)
        )
    }


def keep_points(connection: sqlite3.Connection, batch: Batch) -> None:
    """Write the samples that wait, and delete those that are in a pack."""
    connection.executemany(
        "INSERT OR IGNORE INTO point VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [(point.at_ms, meter_id, *point.values) for meter_id, point in batch.points],
    )
    connection.executemany("DELETE FROM point WHERE meter_id = ? AND at_ms <= ?", batch.packed)
