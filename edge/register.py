"""One meter's cumulative register, and what is believed of its samples. Pure: integers only.

The direction of a meter built in backwards is flipped here and nowhere else. A device without
counters is integrated: power is taken as linear between two samples, and where it crosses zero the
interval is split, so that import and export both are counted. What is left below one
micro-watt-hour is carried.

    1 uWh = 3600 mW ms, and a trapezoid is (p0 + p1) dt / 2: so energy is summed in half mW ms,
    7200 of them to a uWh. Exact, but that the parts left and right of a zero crossing are each
    rounded down to a half mW ms; import less export stays exact.

A device that counts energy itself is watched. Totals that fell, or that rose by more than the line
can carry, are held back once: a torn read does not come twice. What stays is told and counted as
what it is:

    wrapped   the counter passed its end and began again at zero: the register goes on
    reset     the counter began anew: the register does, too, in a new epoch
    swapped   the totals are another device's: a new epoch as well
    jump      more than the line can carry, but not so much that it must be another device
    frozen    power flows and nothing is counted, or every value has stood still for long

Nothing doubtful is dropped or replaced: it goes out with its word of quality.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hardware.ports import Counting, Sample

HALF_MW_MS_PER_UWH = 7_200
MW_MS_PER_UWH = 3_600
MS_PER_HOUR = 3_600_000
PLAUSIBLE_FACTOR = 2
SWAPPED_FACTOR = 10
JUMP_SLACK_UWH = 1_000_000
FROZEN_STEPS = 4
FROZEN_SLACK_UWH = 1_000_000
FROZEN_PART_OF_RATED = 100
SINGLE_STEP_BITS = 22

Totals = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class Meter:
    """What must be known of one meter. [mW, ms]

    Attributes:
        microgrid: the name of its microgrid.
        meter_id: its own name.
        has_counters: whether the device counts energy itself.
        reversed: whether it is built in backwards.
        rated_mw: the most that flows where it sits.
        gap_ms: the longest time between two samples that power is integrated over.
        frozen_ms: how long a device without counters may say the same; 0: for ever.
    """

    microgrid: str
    meter_id: str
    has_counters: bool
    reversed: bool
    rated_mw: int
    gap_ms: int
    frozen_ms: int = 0


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
        import_wrapped_uwh: what the device's counter has lost by passing its end.
        export_wrapped_uwh: the same for export.
        held: totals that were not believed; a second time they are. Not stored.
        still: what has not moved, and since when. Not stored.
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
    import_wrapped_uwh: int = 0
    export_wrapped_uwh: int = 0
    held: Totals | None = None
    still: Still | None = None

    @property
    def totals(self) -> Totals:
        """Import and export. [uWh]"""
        return self.import_uwh, self.export_uwh


@dataclass(frozen=True, slots=True)
class Still:
    """What a device has said over and over.

    Attributes:
        values: the totals, or power, voltage and current where it has no counters.
        since_ms: instant of the first sample that said it.
        at_ms: instant of the newest.
        uncounted: energy by its own power since then. [mW ms]
    """

    values: tuple[int | None, ...]
    since_ms: int
    at_ms: int
    uncounted: int = 0


@dataclass(frozen=True, slots=True)
class Reset:
    """A register began anew; each side is (import, export). [uWh]"""

    epoch: int
    last: Totals
    first: Totals
    reason: str


@dataclass(frozen=True, slots=True)
class Observed:
    """A sample taken in: the register after it, the values to show, and a reset if it was one.

    Totals of `sample` are None where this instant measured none; then there is no reading either.
    """

    register: Register
    sample: Sample
    reset: Reset | None = None


def observe(meter: Meter, register: Register, sample: Sample, at_ms: int) -> Observed:
    """Return the register after a sample of this instant; the same instant again costs no time."""
    sample = oriented(sample) if meter.reversed else sample
    register, frozen = _watched(meter, register, sample, at_ms)
    words = _words(sample.quality, frozen, _implausible(meter, sample.power_mw))
    sample = replace(sample, quality=" ".join(words))
    if meter.has_counters:
        return _counted(meter, register, sample, at_ms)
    after = integrated(register, sample.power_mw, at_ms, meter.gap_ms)
    after = replace(after, doubts=_merged(after.doubts, words))
    measured = sample.power_mw is not None
    shown = replace(
        sample,
        energy_import_uwh=after.import_uwh if measured else None,
        energy_export_uwh=after.export_uwh if measured else None,
    )
    return Observed(after, shown)


def oriented(sample: Sample) -> Sample:
    """Return the sample of a meter that is built in backwards, as if it were not.

    Current has a sign on direct current only; on alternating current it is a magnitude.
    """
    current_ma = sample.current_ma
    if current_ma is not None and sample.frequency_mhz is None:
        current_ma = -current_ma
    counting = sample.counting
    return replace(
        sample,
        power_mw=None if sample.power_mw is None else -sample.power_mw,
        energy_import_uwh=sample.energy_export_uwh,
        energy_export_uwh=sample.energy_import_uwh,
        current_ma=current_ma,
        counting=replace(
            counting,
            import_wrap_uwh=counting.export_wrap_uwh,
            export_wrap_uwh=counting.import_wrap_uwh,
        ),
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


# A device that counts


def _counted(meter: Meter, register: Register, sample: Sample, at_ms: int) -> Observed:
    """Take in the totals of a device that counts; what cannot be is believed the second time."""
    most_uwh = _most(meter, register, at_ms)
    register, totals, wrapped = _unwrapped(register, sample, most_uwh)
    sample = replace(sample, energy_import_uwh=totals[0], energy_export_uwh=totals[1])
    sample = _with(sample, wrapped)
    rise_uwh = _rise(totals, register.totals)
    if not _is_below(totals, register.totals) and rise_uwh <= most_uwh:
        return _believed(register, sample, at_ms)
    word = "fell" if _is_below(totals, register.totals) else "jump"
    if register.held is None or not _follows(register.held, totals, most_uwh):
        return _held(register, sample, totals, word)
    if word == "jump" and not _is_another(meter, rise_uwh, most_uwh):
        return _believed(register, _with(sample, "jump"), at_ms)
    word, reason = (
        ("swapped", "the counters jumped: another device")
        if word == "jump"
        else ("reset", "the counters fell")
    )
    return _begun(register, _with(sample, word), at_ms, reason)


def _most(meter: Meter, register: Register, at_ms: int) -> int:
    """Return the most energy that can have flowed since the newest believed sample. [uWh]"""
    if register.at_ms is None or register.totals == (None, None):
        return 1 << 62
    elapsed_ms = max(0, at_ms - register.at_ms)
    return JUMP_SLACK_UWH + PLAUSIBLE_FACTOR * meter.rated_mw * elapsed_ms // MW_MS_PER_UWH


def _unwrapped(register: Register, sample: Sample, most_uwh: int) -> tuple[Register, Totals, str]:
    """Return the device's totals with what it lost at the end of its counters.

    A counter that is lower wrapped if, counted on past its end, it rose by no more than can be.
    """
    word = ""
    sums: list[int | None] = []
    lost_uwh: list[int] = []
    for told, old, lost, end in (
        (
            sample.energy_import_uwh,
            register.import_uwh,
            register.import_wrapped_uwh,
            sample.counting.import_wrap_uwh,
        ),
        (
            sample.energy_export_uwh,
            register.export_uwh,
            register.export_wrapped_uwh,
            sample.counting.export_wrap_uwh,
        ),
    ):
        total = None if told is None else told + lost
        if total is not None and old is not None and end and 0 <= total + end - old <= most_uwh:
            total, lost, word = total + end, lost + end, "wrapped"
        sums.append(total)
        lost_uwh.append(lost)
    after = replace(register, import_wrapped_uwh=lost_uwh[0], export_wrapped_uwh=lost_uwh[1])
    return after, (sums[0], sums[1]), word


def _believed(register: Register, sample: Sample, at_ms: int) -> Observed:
    import_uwh, export_uwh = sample.energy_import_uwh, sample.energy_export_uwh
    after = replace(
        register,
        import_uwh=register.import_uwh if import_uwh is None else import_uwh,
        export_uwh=register.export_uwh if export_uwh is None else export_uwh,
        at_ms=at_ms,
        power_mw=sample.power_mw,
        doubts=_merged(register.doubts, sample.quality.split()),
        held=None,
    )
    return Observed(after, sample)


def _held(register: Register, sample: Sample, totals: Totals, word: str) -> Observed:
    """Show no totals this time, and remember them."""
    sample = _with(replace(sample, energy_import_uwh=None, energy_export_uwh=None), word)
    doubts = _merged(register.doubts, sample.quality.split())
    return Observed(replace(register, held=totals, doubts=doubts), sample)


def _begun(register: Register, sample: Sample, at_ms: int, reason: str) -> Observed:
    """Begin a new epoch with what the device says now."""
    told = (
        _less(sample.energy_import_uwh, register.import_wrapped_uwh),
        _less(sample.energy_export_uwh, register.export_wrapped_uwh),
    )
    reset = Reset(register.epoch + 1, register.totals, told, reason)
    anew = replace(
        register,
        import_uwh=None,
        export_uwh=None,
        epoch=reset.epoch,
        import_wrapped_uwh=0,
        export_wrapped_uwh=0,
    )
    sample = replace(sample, energy_import_uwh=told[0], energy_export_uwh=told[1])
    return replace(_believed(anew, sample, at_ms), reset=reset)


def _follows(held: Totals, totals: Totals, most_uwh: int) -> bool:
    """Whether totals go on from those that were held back, as one device's would."""
    return not _is_below(totals, held) and _rise(totals, held) <= most_uwh


def _is_another(meter: Meter, rise_uwh: int, most_uwh: int) -> bool:
    """Whether a rise is so far beyond the line that these are another device's totals.

    A rated power that is set too low makes small jumps, over and over; they are no new device.
    """
    an_hour_uwh = meter.rated_mw * MS_PER_HOUR // MW_MS_PER_UWH
    return rise_uwh > SWAPPED_FACTOR * most_uwh + an_hour_uwh


def _is_below(totals: Totals, others: Totals) -> bool:
    pairs = zip(totals, others, strict=True)
    return any(new is not None and old is not None and new < old for new, old in pairs)


def _rise(totals: Totals, others: Totals) -> int:
    """Return by how much the faster side rose; 0 where one of the two is not known. [uWh]"""
    pairs = zip(totals, others, strict=True)
    return max(new - old if new is not None and old is not None else 0 for new, old in pairs)


def _less(total: int | None, uwh: int) -> int | None:
    return None if total is None else total - uwh


# Doubts


def _words(*parts: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for part in parts for word in part.split()))


def _merged(words: Iterable[str], more: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*words, *more)))


def _with(sample: Sample, word: str) -> Sample:
    """Return a sample with one more word of quality, perhaps an empty one."""
    return replace(sample, quality=" ".join(_words(sample.quality, word)))


def _implausible(meter: Meter, power_mw: int | None) -> str:
    too_much = power_mw is not None and abs(power_mw) > PLAUSIBLE_FACTOR * meter.rated_mw
    return "implausible" if too_much else ""


def _watched(meter: Meter, register: Register, sample: Sample, at_ms: int) -> tuple[Register, str]:
    """Return the register that knows what stands still, and "frozen" if it should not."""
    values = (
        (sample.energy_import_uwh, sample.energy_export_uwh)
        if meter.has_counters
        else (sample.power_mw, sample.voltage_mv, sample.current_ma)
    )
    before = register.still
    if not sample.power_mw or all(each is None for each in values):
        return replace(register, still=None), ""
    if before is None or before.values != values or at_ms < before.at_ms:
        return replace(register, still=Still(values, at_ms, at_ms)), ""
    power_mw = abs(sample.power_mw)
    counts = power_mw * FROZEN_PART_OF_RATED >= meter.rated_mw
    more = power_mw * (at_ms - before.at_ms) if counts else 0
    still = replace(before, at_ms=at_ms, uncounted=before.uncounted + more)
    frozen = (
        _counts_nothing(sample.counting, still)
        if meter.has_counters
        else 0 < meter.frozen_ms <= at_ms - still.since_ms
    )
    return replace(register, still=still), "frozen" if frozen else ""


def _counts_nothing(counting: Counting, still: Still) -> bool:
    """Whether more energy has flowed than the counter's own step can hide.

    A counter that is a single has steps that grow with it: one in 2**23 of its value.
    """
    largest_uwh = max((each for each in still.values if each is not None), default=0)
    step_uwh = max(counting.step_uwh, largest_uwh >> SINGLE_STEP_BITS)
    hidden_uwh = FROZEN_STEPS * step_uwh + FROZEN_SLACK_UWH
    return still.uncounted > hidden_uwh * MW_MS_PER_UWH
