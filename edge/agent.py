"""From samples to what a meter key will sign. Pure: integers, no clock, no files.

The direction of a meter built in backwards is flipped here and nowhere else. A device that counts
energy itself is watched: its totals must not fall. A device without counters is integrated: power
is taken as linear between two samples, and where it crosses zero the interval is split, so that
import and export both are counted. What is left below one micro-watt-hour is carried.

    1 uWh = 3600 mW ms, and a trapezoid is (p0 + p1) dt / 2: so energy is summed in half mW ms,
    7200 of them to a uWh. Exact, but that the parts left and right of a zero crossing are each
    rounded down to a half mW ms; import less export stays exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from hardware.ports import Sample
from messages import slots
from messages.live import Live
from messages.reading import Reading
from messages.telemetry import COLUMNS, Pack

HALF_MW_MS_PER_UWH = 7_200
MW_MS_PER_UWH = 3_600
PLAUSIBLE_FACTOR = 2
JUMP_SLACK_UWH = 1_000_000


@dataclass(frozen=True, slots=True)
class Meter:
    """What the agent must know of one meter. [mW, ms]"""

    microgrid: str
    meter_id: str
    has_counters: bool
    reversed: bool
    rated_mw: int
    gap_ms: int


@dataclass(frozen=True, slots=True)
class Register:
    """The durable state of one meter. None is not measured yet. [uWh, ms UTC, mW]

    Attributes:
        import_uwh: total in, never falling within an epoch.
        export_uwh: total out.
        import_rest: below one uWh, of an integrated register. [half mW ms]
        export_rest: the same for export.
        epoch: counts how often the totals began anew.
        at_ms: instant of the newest sample with a value.
        power_mw: at that instant; integration goes on from there.
        kept_ms: newest instant that left a reading or a point of telemetry.
        doubts: words of quality since the last signed register.
        fallen: totals that were below the register once; a second time they are believed.
    """

    import_uwh: int | None = None
    export_uwh: int | None = None
    import_rest: int = 0
    export_rest: int = 0
    epoch: int = 0
    at_ms: int | None = None
    power_mw: int | None = None
    kept_ms: int | None = None
    doubts: tuple[str, ...] = ()
    fallen: tuple[int | None, int | None] | None = None


@dataclass(frozen=True, slots=True)
class Reset:
    """A register began anew; each side is (import, export). [uWh]"""

    epoch: int
    last: tuple[int | None, int | None]
    first: tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class Observed:
    """A sample taken in: the register after it, the values to show, and a reset if it was one.

    Totals of `sample` are None where this instant measured none; then there is no reading either.
    """

    register: Register
    sample: Sample
    reset: Reset | None = None


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


# A sample comes in


def observe(meter: Meter, register: Register, sample: Sample, at_ms: int) -> Observed:
    """Return the register after a sample of this instant; the same instant again costs no time."""
    sample = oriented(sample) if meter.reversed else sample
    if meter.has_counters:
        return _counted(meter, register, sample, at_ms)
    after = integrated(register, sample.power_mw, at_ms, meter.gap_ms)
    words = _words(sample.quality, _implausible(meter, sample.power_mw))
    after = replace(after, doubts=_merged(after.doubts, words))
    measured = sample.power_mw is not None
    shown = replace(
        sample,
        energy_import_uwh=after.import_uwh if measured else None,
        energy_export_uwh=after.export_uwh if measured else None,
        quality=" ".join(words),
    )
    return Observed(after, shown)


def oriented(sample: Sample) -> Sample:
    """Return the sample of a meter that is built in backwards, as if it were not.

    Current has a sign on direct current only; on alternating current it is a magnitude.
    """
    current_ma = sample.current_ma
    if current_ma is not None and sample.frequency_mhz is None:
        current_ma = -current_ma
    return replace(
        sample,
        power_mw=None if sample.power_mw is None else -sample.power_mw,
        energy_import_uwh=sample.energy_export_uwh,
        energy_export_uwh=sample.energy_import_uwh,
        current_ma=current_ma,
    )


def integrated(register: Register, power_mw: int | None, at_ms: int, gap_ms: int) -> Register:
    """Return the register after the time since its newest sample.

    Time longer than `gap_ms`, or a clock that went back, is not integrated but becomes a doubt.
    Without a power the time stays open and is bridged by the next sample.
    """
    if power_mw is None:
        return register
    before = replace(
        register, import_uwh=register.import_uwh or 0, export_uwh=register.export_uwh or 0
    )
    if before.at_ms is None or before.power_mw is None:
        return replace(before, at_ms=at_ms, power_mw=power_mw)
    elapsed_ms = at_ms - before.at_ms
    if not 0 <= elapsed_ms <= gap_ms:
        doubt = "clock" if elapsed_ms < 0 else "gap"
        doubts = _merged(before.doubts, (doubt,))
        return replace(before, at_ms=at_ms, power_mw=power_mw, doubts=doubts)
    into, out = _split(before.power_mw, power_mw, elapsed_ms)
    more_in, import_rest = divmod(before.import_rest + into, HALF_MW_MS_PER_UWH)
    more_out, export_rest = divmod(before.export_rest + out, HALF_MW_MS_PER_UWH)
    return replace(
        before,
        import_uwh=(before.import_uwh or 0) + more_in,
        export_uwh=(before.export_uwh or 0) + more_out,
        import_rest=import_rest,
        export_rest=export_rest,
        at_ms=at_ms,
        power_mw=power_mw,
    )


def shifted(register: Register, by_ms: int) -> Register:
    """Return the register after the clock was set: its newest sample keeps its age."""
    if register.at_ms is None:
        return register
    return replace(register, at_ms=register.at_ms + by_ms)


def is_new(register: Register, at_ms: int, slot_ms: int) -> bool:
    """Whether an instant may leave a reading or telemetry: none before it did, or is later.

    A clock that was set back by more than a slot was wrong before, and is believed now.
    """
    kept_ms = register.kept_ms
    return kept_ms is None or not kept_ms - slot_ms <= at_ms <= kept_ms


def _split(first_mw: int, last_mw: int, elapsed_ms: int) -> tuple[int, int]:
    """Return (import, export) of power that runs straight from first to last. [half mW ms]"""
    net = (first_mw + last_mw) * elapsed_ms
    if first_mw >= 0 and last_mw >= 0:
        return net, 0
    if first_mw <= 0 and last_mw <= 0:
        return 0, -net
    peak, span = max(first_mw, last_mw), abs(first_mw) + abs(last_mw)
    into = peak * peak * elapsed_ms // span
    return into, into - net


def _counted(meter: Meter, register: Register, sample: Sample, at_ms: int) -> Observed:
    """Take in the totals of a device that counts; a fall is believed the second time."""
    before = (register.import_uwh, register.export_uwh)
    totals = (sample.energy_import_uwh, sample.energy_export_uwh)
    if not _is_below(totals, before):
        words = _words(sample.quality, _jump(meter, register, totals, at_ms))
        words = _merged(words, _words(_implausible(meter, sample.power_mw)))
        after = _advanced(register, totals, sample.power_mw, at_ms, words)
        return Observed(after, replace(sample, quality=" ".join(words)))
    if register.fallen is None or _is_below(totals, register.fallen):
        words = _words(sample.quality, "fell")
        held = replace(register, fallen=totals, doubts=_merged(register.doubts, words))
        shown = replace(
            sample, energy_import_uwh=None, energy_export_uwh=None, quality=" ".join(words)
        )
        return Observed(held, shown)
    reset = Reset(register.epoch + 1, before, totals)
    words = _words(sample.quality, "reset")
    anew = replace(register, import_uwh=None, export_uwh=None, epoch=reset.epoch)
    after = _advanced(anew, totals, sample.power_mw, at_ms, words)
    return Observed(after, replace(sample, quality=" ".join(words)), reset)


def _advanced(
    register: Register,
    totals: tuple[int | None, int | None],
    power_mw: int | None,
    at_ms: int,
    words: tuple[str, ...],
) -> Register:
    import_uwh, export_uwh = totals
    return replace(
        register,
        import_uwh=register.import_uwh if import_uwh is None else import_uwh,
        export_uwh=register.export_uwh if export_uwh is None else export_uwh,
        at_ms=at_ms,
        power_mw=power_mw,
        doubts=_merged(register.doubts, words),
        fallen=None,
    )


def _is_below(totals: Iterable[int | None], others: Iterable[int | None]) -> bool:
    pairs = zip(totals, others, strict=True)
    return any(new is not None and old is not None and new < old for new, old in pairs)


# Doubts


def _words(*parts: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for part in parts for word in part.split()))


def _merged(words: Iterable[str], more: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*words, *more)))


def _implausible(meter: Meter, power_mw: int | None) -> str:
    too_much = power_mw is not None and abs(power_mw) > PLAUSIBLE_FACTOR * meter.rated_mw
    return "implausible" if too_much else ""


def _jump(
    meter: Meter, register: Register, totals: tuple[int | None, int | None], at_ms: int
) -> str:
    """Return a doubt if a counter rose faster than twice the rated power can explain."""
    if register.at_ms is None:
        return ""
    elapsed_ms = max(0, at_ms - register.at_ms)
    most_uwh = JUMP_SLACK_UWH + PLAUSIBLE_FACTOR * meter.rated_mw * elapsed_ms // MW_MS_PER_UWH
    for new, old in zip(totals, (register.import_uwh, register.export_uwh), strict=True):
        if new is not None and old is not None and new - old > most_uwh:
            return "jump"
    return ""


# What goes out; sequences are 0 until the outbox takes them


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
