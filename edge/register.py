"""One meter's cumulative register, and its integration where a device does not count. Pure.

The direction of a meter built in backwards is flipped here and nowhere else. A device without
counters is integrated: power is taken as linear between two samples, and where it crosses zero the
interval is split, so that import and export both are counted. What is left below one
micro-watt-hour is carried.

    1 uWh = 3600 mW ms, and a trapezoid is (p0 + p1) dt / 2: so energy is summed in half mW ms,
    7200 of them to a uWh. Exact, but that the parts left and right of a zero crossing are each
    rounded down to a half mW ms; import less export stays exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from edge.calibration.coefficients import AS_THE_DEVICE_SAYS, Coefficients
from hardware.ports import Sample

HALF_MW_MS_PER_UWH = 7_200
MW_MS_PER_UWH = 3_600

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
        coefficients: how what its device says is corrected.
    """

    microgrid: str
    meter_id: str
    has_counters: bool
    reversed: bool
    rated_mw: int
    gap_ms: int
    frozen_ms: int = 0
    coefficients: Coefficients = AS_THE_DEVICE_SAYS


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
        doubts = merged(before.doubts, (doubt,))
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


def merged(words: Iterable[str], more: Iterable[str]) -> tuple[str, ...]:
    """Return words of quality with more of them, each once."""
    return tuple(dict.fromkeys((*words, *more)))
