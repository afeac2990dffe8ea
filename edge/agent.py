"""What a meter key will sign: readings, live samples and packs. Pure: integers, no clock, no files.

What the values are, and what is believed of them, is `edge.register`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge.register import Meter, Observed
from hardware.ports import Sample
from messages import slots
from messages.live import Live
from messages.reading import Reading
from messages.telemetry import COLUMNS, Pack


@dataclass(frozen=True, slots=True)
class Point:
    """The values of one instant, in the order of `messages.telemetry.COLUMNS`. [ms UTC]"""

    at_ms: int
    values: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Packing:
    """How packs are cut: samples of one slot, `step_ms` apart, at most `samples_max`."""

    step_ms: int
    slot_ms: int
    samples_max: int


# Sequences are 0 until the outbox takes what is signed


def make_reading(meter: Meter, observed: Observed, at_ms: int) -> Reading | None:
    """Return the reading of a slot edge, or None if this instant measured no total."""
    totals = (observed.sample.energy_import_uwh, observed.sample.energy_export_uwh)
    if totals == (None, None):
        return None
    register = observed.register
    quality = " ".join(register.doubts)
    return Reading(meter.microgrid, meter.meter_id, 0, at_ms, *totals, register.epoch, quality)


def make_live(meter: Meter, sample: Sample, at_ms: int, beacon: bytes) -> Live:
    """Return the live sample of an observed sample."""
    return Live(
        meter.microgrid,
        meter.meter_id,
        0,
        at_ms,
        power_mw=sample.power_mw,
        voltage_mv=sample.voltage_mv,
        current_ma=sample.current_ma,
        frequency_mhz=sample.frequency_mhz,
        import_uwh=sample.energy_import_uwh,
        export_uwh=sample.energy_export_uwh,
        beacon=beacon,
        quality=sample.quality,
    )


def make_point(sample: Sample, at_ms: int) -> Point:
    """Return the telemetry of an observed sample."""
    return Point(
        at_ms,
        (
            sample.power_mw,
            sample.energy_import_uwh,
            sample.energy_export_uwh,
            sample.voltage_mv,
            sample.current_ma,
            sample.frequency_mhz,
        ),
    )


def cut(points: Sequence[Point], packing: Packing) -> Iterator[tuple[Point, ...]]:
    """Yield runs of points, in order of time, that each fit one pack."""
    run: list[Point] = []
    for point in points:
        if run and not _fits(run[0].at_ms, point.at_ms, packing):
            yield tuple(run)
            run = []
        run.append(point)
    if run:
        yield tuple(run)


def is_closed(run: Sequence[Point], at_ms: int, packing: Packing) -> bool:
    """Whether no sample after `at_ms` can join this run any more."""
    return not _fits(run[0].at_ms, at_ms + packing.step_ms, packing)


def _fits(first_ms: int, at_ms: int, packing: Packing) -> bool:
    place, odd_ms = divmod(at_ms - first_ms, packing.step_ms)
    return (
        odd_ms == 0
        and 0 < place < packing.samples_max
        and not slots.crosses_edge(first_ms, at_ms, packing.slot_ms)
    )


def make_pack(meter: Meter, run: Sequence[Point], step_ms: int) -> Pack | None:
    """Return the pack of a run, with None for instants without a sample; None if all are."""
    first_ms = run[0].at_ms
    length = (run[-1].at_ms - first_ms) // step_ms + 1
    nothing = (None,) * len(COLUMNS)
    rows = {(point.at_ms - first_ms) // step_ms: point.values for point in run}
    columns = zip(*(rows.get(place, nothing) for place in range(length)), strict=True)
    kept = {
        name: column
        for name, column in zip(COLUMNS, columns, strict=True)
        if any(value is not None for value in column)
    }
    if not kept:
        return None
    return Pack(
        meter.microgrid, meter.meter_id, 0, first_ms, step_ms, tuple(kept), tuple(kept.values())
    )
