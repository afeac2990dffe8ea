"""What is believed of a sample, and the register after it. Pure: integers only.

Totals of a device that counts energy itself are watched. If they fell, or rose by more than the
line can carry, they are held back once: a torn read does not come twice. What stays is told, and
counted as what it is:

    wrapped   the counter passed its end and began again at zero: the register goes on
    reset     the counter began anew: the register does, too, in a new epoch
    swapped   the totals are another device's: a new epoch as well
    jump      more than the line can carry, but not so much that it must be another device

Of any device, `implausible` is a power far above what flows there, and `frozen` is one that says
power flows and counts nothing, or has said the very same for long. Nothing doubtful is dropped or
replaced: it goes out with its word of quality.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from edge.register import (
    MW_MS_PER_UWH,
    Meter,
    Observed,
    Register,
    Reset,
    Still,
    Totals,
    integrated,
    merged,
    oriented,
)
from hardware.ports import Counting, Sample

MS_PER_HOUR = 3_600_000
PLAUSIBLE_FACTOR = 2
SWAPPED_FACTOR = 10
JUMP_SLACK_UWH = 1_000_000
FROZEN_STEPS = 4
FROZEN_SLACK_UWH = 1_000_000
FROZEN_PART_OF_RATED = 100
SINGLE_STEP_BITS = 22


def observe(meter: Meter, register: Register, sample: Sample, at_ms: int) -> Observed:
    """Return the register after a sample of this instant; the same instant again costs no time."""
    sample = meter.coefficients.of(oriented(sample) if meter.reversed else sample)
    register, frozen = _watched(meter, register, sample, at_ms)
    words = _words(sample.quality, frozen, _implausible(meter, sample.power_mw))
    sample = replace(sample, quality=" ".join(words))
    if meter.has_counters:
        return _counted(meter, register, sample, at_ms)
    after = integrated(register, sample.power_mw, at_ms, meter.gap_ms)
    after = replace(after, doubts=merged(after.doubts, words))
    measured = sample.power_mw is not None
    shown = replace(
        sample,
        energy_import_uwh=after.import_uwh if measured else None,
        energy_export_uwh=after.export_uwh if measured else None,
    )
    return Observed(after, shown)


# A device that counts


def _counted(meter: Meter, register: Register, sample: Sample, at_ms: int) -> Observed:
    """Take in the totals of a device that counts; what cannot be is believed the second time."""
    most_uwh = _most(meter, register, sample.counting, sample.power_mw, at_ms)
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


def _most(
    meter: Meter, register: Register, counting: Counting, power_mw: int | None, at_ms: int
) -> int:
    """Return the most that a counter can have risen by since the newest believed sample. [uWh]

    A rated power that is set too low is one fault, told as `implausible`; energy that the device's
    own power explains is not a second one.
    """
    if register.at_ms is None or register.totals == (None, None):
        return 1 << 62
    elapsed_ms = max(0, at_ms - register.at_ms)
    most_mw = max(meter.rated_mw, abs(power_mw or 0), abs(register.power_mw or 0))
    flowed_uwh = PLAUSIBLE_FACTOR * most_mw * elapsed_ms // MW_MS_PER_UWH
    return JUMP_SLACK_UWH + _step(counting, register.totals) + flowed_uwh


def _unwrapped(register: Register, sample: Sample, most_uwh: int) -> tuple[Register, Totals, str]:
    """Return the device's totals with what it lost at the end of its counters."""
    counting = sample.counting
    into, import_lost = _past_the_end(
        sample.energy_import_uwh,
        register.import_uwh,
        register.import_wrapped_uwh,
        counting.import_wrap_uwh,
        most_uwh,
    )
    out, export_lost = _past_the_end(
        sample.energy_export_uwh,
        register.export_uwh,
        register.export_wrapped_uwh,
        counting.export_wrap_uwh,
        most_uwh,
    )
    after = replace(register, import_wrapped_uwh=import_lost, export_wrapped_uwh=export_lost)
    return after, (into, out), "" if after == register else "wrapped"


def _past_the_end(
    told: int | None, old: int | None, lost: int, wrap: int | None, most_uwh: int
) -> tuple[int | None, int]:
    """Return (total, lost): a counter wrapped if, counted on past its end, it rose as it may."""
    if told is None:
        return None, lost
    total = told + lost
    if wrap is None or old is None or total >= old:
        return total, lost
    has_wrapped = 0 <= total + wrap - old <= most_uwh
    return (total + wrap, lost + wrap) if has_wrapped else (total, lost)


def _believed(register: Register, sample: Sample, at_ms: int) -> Observed:
    import_uwh, export_uwh = sample.energy_import_uwh, sample.energy_export_uwh
    after = replace(
        register,
        import_uwh=register.import_uwh if import_uwh is None else import_uwh,
        export_uwh=register.export_uwh if export_uwh is None else export_uwh,
        at_ms=at_ms,
        power_mw=sample.power_mw,
        doubts=merged(register.doubts, sample.quality.split()),
        held=None,
    )
    return Observed(after, sample)


def _held(register: Register, sample: Sample, totals: Totals, word: str) -> Observed:
    """Show no totals this time, and remember them."""
    sample = _with(replace(sample, energy_import_uwh=None, energy_export_uwh=None), word)
    doubts = merged(register.doubts, sample.quality.split())
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
    power_mw = min(abs(sample.power_mw), abs(register.power_mw or 0))  # it may have come just now
    counts = power_mw * FROZEN_PART_OF_RATED >= meter.rated_mw
    more = power_mw * (at_ms - before.at_ms) if counts else 0
    still = replace(before, at_ms=at_ms, uncounted=before.uncounted + more)
    frozen = (
        _counts_nothing(sample.counting, still)
        if meter.has_counters
        else 0 < meter.frozen_ms <= at_ms - still.since_ms
    )
    return replace(register, still=still), "frozen" if frozen else ""


def _step(counting: Counting, totals: Iterable[int | None]) -> int:
    """Return the least that a counter rises by, and so the most it holds back. [uWh]

    Where it is not known the counter is a single, whose steps grow with it: one in 2**23 of it.
    """
    largest_uwh = max((each for each in totals if each is not None), default=0)
    return counting.step_uwh or largest_uwh >> SINGLE_STEP_BITS


def _counts_nothing(counting: Counting, still: Still) -> bool:
    """Whether more energy has flowed than the counter's own step can hide."""
    hidden_uwh = FROZEN_STEPS * _step(counting, still.values) + FROZEN_SLACK_UWH
    return still.uncounted > hidden_uwh * MW_MS_PER_UWH
