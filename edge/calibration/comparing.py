"""Compares a meter with a reference, and keeps and signs what follows from it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from edge import clock
from edge.app import Bench, load_keys, load_trust
from edge.calibration.coefficients import AS_THE_DEVICE_SAYS, Calibrated, Coefficients
from edge.calibration.errors import CalibrationRefused
from edge.calibration.fitting import (
    NOT_COMPARED,
    Averages,
    Values,
    averaged,
    doubts_of_gain,
    doubts_of_zero,
    fitted,
    nothing,
    zeroed,
)
from edge.config import EdgeConfig, MeterTable
from edge.errors import Unavailable
from edge.outbox import Outbox
from edge.register import oriented
from edge.relaying import NodeKey
from hardware.errors import TransientHardwareError
from hardware.ports import EnergyMeter, Sample
from messages.entries import Calibration

PAUSE_MS_MAX: Final = 1_000
FAILURES_MAX: Final = 5

Tell = Callable[[int, int], None]
"""(samples taken, samples wanted)"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asked for.

    Attributes:
        how: "gain": so that it says what is true; "zero": nothing flows; "clear": show it as its
            device says from now on, and take no sample.
        true: the reference of "gain".
        samples: how many are averaged.
        reason: goes onto the ledger.
        force: store doubtful coefficients, too.
    """

    how: Literal["gain", "zero", "clear"]
    true: Values = NOT_COMPARED
    samples: int = 30
    reason: str = ""
    force: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was compared and what follows from it. `said` is None where nothing was read."""

    said: Averages | None
    true: Values
    old: Coefficients
    new: Coefficients
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """A comparison on disk; `event` is its place in the node's stream. [ms UTC]"""

    comparison: Comparison
    event: int
    at_ms: int


def calibrate(
    config: EdgeConfig,
    meter_id: str,
    wanted: Wanted,
    tell: Tell,
    pause: Callable[[float], None] = time.sleep,
) -> Stored:
    """Average samples, work out coefficients, and store and sign them.

    Raises:
        Unavailable: no such meter, or a clock that nobody can sign by.
        OutboxLocked: the agent runs: it reads the meter and writes the outbox.
        CalibrationRefused: nothing was stored.
        HardwareError: the meter does not answer.
    """
    table = meter_table(config, meter_id)
    signer, _ = load_keys(config)
    key = NodeKey(config.node, signer, load_trust(config).network_id)
    _check_clock(config)
    outbox = Outbox(Path(config.state), config.outbox.rows_max, config.outbox.ballast_kb * 1024)
    try:
        kept = outbox.calibrations().get(meter_id)
        old = AS_THE_DEVICE_SAYS if kept is None else kept.coefficients
        found = _compared(config, table, wanted, old, tell, pause)
        if found.doubts and not wanted.force:
            raise CalibrationRefused("\n".join((*found.doubts, _FORCE)))
        at_ms = _now_ms(config, outbox)
        entry = _entry(key.node, meter_id, found, wanted.reason, at_ms)
        row = outbox.calibrate(meter_id, Calibrated(found.new, at_ms), key.event(entry))
    finally:
        outbox.close()
    return Stored(found, row.sequence, at_ms)


_FORCE: Final = "nothing was stored; if it is right all the same, give --force and --reason"


def read_samples(
    meter: EnergyMeter, table: MeterTable, count: int, tell: Tell, pause: Callable[[], None]
) -> list[Sample]:
    """Return samples in the meter's own sign; what may pass is tried again a few times.

    Raises:
        HardwareError: it does not answer.
    """
    samples: list[Sample] = []
    failures = 0
    while len(samples) < count:
        try:
            sample = meter.sample()
        except TransientHardwareError:
            failures += 1
            if failures > FAILURES_MAX:
                raise
        else:
            samples.append(oriented(sample) if table.reversed else sample)
            tell(len(samples), count)
        if len(samples) < count:
            pause()
    return samples


def meter_table(config: EdgeConfig, meter_id: str) -> MeterTable:
    """Return a meter of the configuration.

    Raises:
        Unavailable: it has no such meter.
    """
    for table in config.meter:
        if table.meter_id == meter_id:
            return table
    known = ", ".join(each.meter_id for each in config.meter)
    raise Unavailable(f"no meter is named {meter_id}; there are: {known or 'none'}")


def _compared(
    config: EdgeConfig,
    table: MeterTable,
    wanted: Wanted,
    old: Coefficients,
    tell: Tell,
    pause: Callable[[float], None],
) -> Comparison:
    if wanted.how == "clear":
        return Comparison(None, NOT_COMPARED, old, AS_THE_DEVICE_SAYS)
    pause_s = min(config.sampling.sample_ms, PAUSE_MS_MAX) / 1000
    bench = Bench(config)
    try:
        meter = bench.meter(table)
        samples = read_samples(meter, table, wanted.samples, tell, lambda: pause(pause_s))
    finally:
        bench.close()
    said, rated_mw = averaged(samples), table.rated_w * 1000
    if wanted.how == "zero":
        new = zeroed(old, said)
        doubts = tuple(doubts_of_zero(new, said, rated_mw))
        return Comparison(said, nothing(said), old, new, doubts)
    new = fitted(old, said, wanted.true)
    doubts = tuple(doubts_of_gain(new, said, wanted.true, rated_mw))
    return Comparison(said, wanted.true, old, new, doubts)


def _is_paced(config: EdgeConfig) -> bool:
    """Whether instants come from a simulated clock."""
    return config.simulation is not None and config.simulation.clock is not None


def _check_clock(config: EdgeConfig) -> None:
    if not (_is_paced(config) or config.sampling.trust_clock or clock.is_synchronised()):
        raise Unavailable(
            "the clock is not synchronised, and what is signed bears its time: wait for NTP, or "
            "set trust_clock in [sampling]"
        )


def _now_ms(config: EdgeConfig, outbox: Outbox) -> int:
    """Return the time that no sample of before has passed, and every later one will. [ms UTC]"""
    newest_ms = max((each.at_ms or 0 for each in outbox.registers().values()), default=0)
    return newest_ms if _is_paced(config) else clock.utc_ms()


def _entry(node: str, meter_id: str, found: Comparison, reason: str, at_ms: int) -> Calibration:
    new, true = found.new, found.true
    raw = NOT_COMPARED if found.said is None else found.said.mean
    return Calibration(
        event=0,
        node=node,
        meter_id=meter_id,
        power_gain_ppm=new.power.gain_ppm,
        power_offset_mw=new.power.offset,
        voltage_gain_ppm=new.voltage.gain_ppm,
        current_gain_ppm=new.current.gain_ppm,
        current_offset_ma=new.current.offset,
        reference_power_mw=true.power,
        reference_voltage_mv=true.voltage,
        reference_current_ma=true.current,
        raw_power_mw=raw.power,
        raw_voltage_mv=raw.voltage,
        raw_current_ma=raw.current,
        samples=0 if found.said is None else found.said.samples,
        reason=reason,
        at_ms=at_ms,
    )
