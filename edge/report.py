"""What `status`, `meter` and `check-config` find out; the command line shows it."""

from __future__ import annotations

import socket
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from edge.app import Bench
from edge.boots import short_lives
from edge.calibration.coefficients import AS_THE_DEVICE_SAYS, Coefficients
from edge.config import EdgeConfig, MeterTable, RelayTable
from edge.errors import NoGuard, OutboxError, Unavailable
from edge.guardlink import look
from edge.outbox_records import read_calibrations
from edge.outbox_schema import open_for_reading
from edge.posting import AWAY
from edge.register import oriented
from edge.relaydoor import SOCKET as RELAY_SOCKET
from hardware.errors import HardwareError
from hardware.ports import Sample

BROKER_S: Final = 3.0
READS: Final = 3
QUANTITIES: Final = (
    ("power", "power_mw", "W", 1_000),
    ("import", "energy_import_uwh", "Wh", 1_000_000),
    ("export", "energy_export_uwh", "Wh", 1_000_000),
    ("voltage", "voltage_mv", "V", 1_000),
    ("current", "current_ma", "A", 1_000),
    ("frequency", "frequency_mhz", "Hz", 1_000),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one meter answered, or why not; `corrected` is what the agent makes of it.

    None where the meter is not calibrated.
    """

    table: MeterTable
    sample: Sample | None
    fault: str = ""
    corrected: Sample | None = None


@dataclass(frozen=True, slots=True)
class RelayAnswer:
    """How one relay on a bus stands, or why nobody knows."""

    table: RelayTable
    is_energised: bool | None
    fault: str = ""


def read_meter(config: EdgeConfig, meter_id: str) -> Answer:
    """Read one meter now, as the agent would: a reversed one is flipped, and then corrected.

    Raises:
        Unavailable: the configuration has no such meter.
    """
    table = next((each for each in config.meter if each.meter_id == meter_id), None)
    if table is None:
        known = ", ".join(each.meter_id for each in config.meter)
        raise Unavailable(f"no meter is named {meter_id}; there are: {known}")
    bench = Bench(config)
    try:
        answer = _read(bench, table)
    finally:
        bench.close()
    coefficients = _coefficients(config).get(meter_id, AS_THE_DEVICE_SAYS)
    if answer.sample is None or coefficients == AS_THE_DEVICE_SAYS:
        return answer
    return replace(answer, corrected=coefficients.of(answer.sample))


def read_all(config: EdgeConfig) -> list[Answer]:
    """Read every meter once."""
    bench = Bench(config)
    try:
        return [_read(bench, table) for table in config.meter]
    finally:
        bench.close()


def look_at_relays(config: EdgeConfig) -> list[RelayAnswer]:
    """Read every relay on a bus once, and switch none."""
    bench = Bench(config)
    try:
        return [_look(bench, table) for table in config.relay if table.bus]
    finally:
        bench.close()


def broker_fault(config: EdgeConfig) -> str:
    """Return why the broker cannot be reached, or an empty text."""
    broker = config.broker
    if broker.password_file is not None and not Path(broker.password_file).is_file():
        return f"{broker.password_file}: no such file"
    try:
        with socket.create_connection((broker.host, broker.port), timeout=BROKER_S):
            return ""
    except OSError as error:
        return f"broker {broker.host}:{broker.port}: {error}"


def status(config: EdgeConfig) -> dict[str, Any]:
    """Return how the outbox and the relays of a node stand; works beside a running agent.

    Raises:
        OutboxError: there is no outbox yet, or it cannot be read.
    """
    connection = open_for_reading(Path(config.state) / "outbox.db")
    try:
        facts = dict(connection.execute("SELECT name, value FROM fact"))
        (rows,) = connection.execute("SELECT count(*) FROM row").fetchone()
        streams = connection.execute(
            "SELECT hex(kid), stream, next_sequence, stored_up_to, final_up_to FROM stream"
            " ORDER BY kid, stream"
        ).fetchall()
        dead = connection.execute(
            "SELECT hex(kid), stream, sequence, reason, gap_index FROM dead_letter"
            " ORDER BY kid, stream, sequence"
        ).fetchall()
        calibrations = read_calibrations(connection)
    finally:
        connection.close()
    return {
        "node": config.node,
        "simulation": config.simulation is not None,
        "outbox_rows": rows,
        "outbox_rows_max": config.outbox.rows_max,
        "alarm": facts.get("alarm", ""),
        "keys_away": str(facts.get(AWAY, "")).splitlines(),
        "evidence": facts.get("evidence", ""),
        "evidence_file": facts.get("evidence_file", ""),
        "checkpoint": facts.get("checkpoint", ""),
        "streams": [_stream(*values) for values in streams],
        "dead_letters": [_dead_letter(*values) for values in dead],
        "calibrations": [
            {"meter_id": meter_id, "at_ms": each.at_ms, **asdict(each.coefficients)}
            for meter_id, each in sorted(calibrations.items())
            if each.coefficients != AS_THE_DEVICE_SAYS
        ],
        "short_starts": short_lives(Path(config.state)),
        **_relays(config),
    }


def _coefficients(config: EdgeConfig) -> dict[str, Coefficients]:
    """Return what the agent corrects meters by; without an outbox it corrects none."""
    try:
        connection = open_for_reading(Path(config.state) / "outbox.db")
    except OutboxError:
        return {}
    try:
        found = read_calibrations(connection)
    finally:
        connection.close()
    return {meter_id: each.coefficients for meter_id, each in found.items()}


def _stream(
    kid: str, stream: str, next_sequence: int, stored_up_to: int, final_up_to: int
) -> dict[str, Any]:
    return {
        "key": kid.lower(),
        "stream": stream,
        "signed": next_sequence - 1,
        "stored": stored_up_to,
        "final": final_up_to,
    }


def _dead_letter(
    kid: str, stream: str, sequence: int, reason: str, gap_index: int | None
) -> dict[str, Any]:
    return {
        "key": kid.lower(),
        "stream": stream,
        "sequence": sequence,
        "reason": reason,
        "gap_index": gap_index,
    }


def _relays(config: EdgeConfig) -> dict[str, Any]:
    """Return how every relay stands: its guard says it, or for one on a bus the agent."""
    on_pins = any(not each.bus for each in config.relay)
    on_buses = any(each.bus for each in config.relay)
    guard = "is here" if on_pins else "not needed"
    relays = []
    try:
        if on_pins:
            relays += look(Path(config.guard.socket))
    except NoGuard as error:
        guard = str(error)
    try:
        if on_buses:
            relays += look(Path(config.state) / RELAY_SOCKET, "agent")
    except NoGuard as error:
        relays += [_unknown(each.relay, str(error)) for each in config.relay if each.bus]
    unsafe = {each.relay for each in config.relay if each.not_failsafe}
    return {
        "relays": [{**each, "not_failsafe": each["relay"] in unsafe} for each in relays],
        "guard": guard,
    }


def _unknown(relay: str, reason: str) -> dict[str, Any]:
    return {
        "relay": relay,
        "energised": None,
        "lease_left_ms": 0,
        "reason": reason,
        "unavailable": "",
    }


def _read(bench: Bench, table: MeterTable) -> Answer:
    meter = bench.meter(table)
    fault = ""
    for _ in range(READS):
        try:
            sample = meter.sample()
        except HardwareError as error:
            fault = str(error)
            continue
        return Answer(table, oriented(sample) if table.reversed else sample)
    return Answer(table, None, fault)


def _look(bench: Bench, table: RelayTable) -> RelayAnswer:
    try:
        return RelayAnswer(table, bench.relay(table).is_energised)
    except HardwareError as error:
        return RelayAnswer(table, None, str(error))
