"""Which meters do not fit the others: findings with numbers, and what to check. Pure.

Three questions. Does what nobody shows follow what one meter shows (it shows a share of what goes
through it)? Is it what one meter usually shows and no longer does (bypassed, or another's readings
under its key)? And does a generator still go with its neighbours under the same sun?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import median
from typing import Final, NamedTuple

from hub.watching.fitting import Fit, Unexplained
from hub.watching.window import Track, Window

DAY_MS: Final = 86_400_000
SHARE: Final = "shows a share"
MISSING: Final = "no longer shows its usual"
UNSHOWN: Final = "nobody shows it"
SUN: Final = "not like its neighbours"
NEIGHBOURS_MIN: Final = 3
SUSPECTS_MAX: Final = 3
NOISE_WH_MIN: Final = 1e-6
USUAL_MIN: Final = -2.3
"""The logarithm of a tenth."""
MAD: Final = 1.4826
"""From the median of deviations to a standard deviation: the day it began does not widen it."""
CAUSES_MAX: Final = 100
"""The classes of so many meters count, of the largest: the others drown in the noise of a slot."""
KNOWN: Final = 10.0
"""So wide that a column counts as explained."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as far off. `class_share`: what a meter may be wrong by, one standard deviation.

    `loss_share` +- `loss_spread` is what wires lose; `noise_share` what a slot's sum is unsure by.
    `score_min` standard errors, `share_min` of the meter's own energy and `weight_min` of all that
    was shown have to come together; `sun_ratio` off its neighbours for a generator.
    """

    class_share: float = 0.01
    loss_share: float = 0.02
    loss_spread: float = 0.02
    noise_share: float = 0.01
    score_min: float = 5.0
    share_min: float = 0.04
    lead_min: float = 1.3
    missing_min: float = 0.4
    missing_max: float = 1.6
    slow_share_max: float = 0.25
    weight_min: float = 0.002
    unshown_min: float = 0.08
    sun_ratio: float = 1.3
    sun_score_min: float = 5.0
    slots_min: int = 48


class Suspect(NamedTuple):
    """One finding. `meter_id` "": nobody in particular. `share` of what it shows is not shown.

    `amount_wh` over `slots` slots from `since_ms` on; above 0 it shows too little. [Wh, ms UTC]
    """

    kind: str
    meter_id: str
    member: str
    since_ms: int
    slots: int
    amount_wh: float
    share: float
    score: float

    @property
    def text(self) -> str:
        """What does not agree, and what to check, as a sentence that accuses nobody."""
        return f"{_found(self)}; {CHECKS[self.kind]}"


CHECKS: Final = {
    SHARE: "check the ratio of its transformers or shunt, a phase that is not measured, its seal, "
    "and compare it with a reference (`gridtally-edge calibrate`)",
    MISSING: "check whether its load is still behind it, and who holds its key "
    "(`gridtally-hub key-status`, evidence folder)",
    UNSHOWN: "look for a load without a meter, or a line that lost its meter",
    SUN: "check for shade, a dead string or inverter, and its wiring",
}


def find(window: Window, rules: Rules = Rules()) -> tuple[Suspect, ...]:
    """Return what does not fit, the clearest first; nothing where there are too few slots."""
    if len(window.slots) < rules.slots_min:
        return ()
    newest = max(len(window.slots) // 4, rules.slots_min // 2)
    found = [*_unlike_neighbours(window, newest, rules)]
    if window.boundary_wh and window.tracks:
        found.extend(_unshown(window, newest, rules))
    return tuple(sorted(found, key=lambda each: (-abs(each.score), each.meter_id, each.kind)))


# --- what nobody shows -------------------------------------------------------------------------


class _Candidate(NamedTuple):
    kind: str
    track: Track
    column: list[float]


class _Fitted(NamedTuple):
    candidate: _Candidate
    fit: Fit


def _unshown(window: Window, newest: int, rules: Rules) -> Iterator[Suspect]:
    """Yield who explains what nobody shows: over the newest slots; a small share, over all.

    Where several meters would explain it as well, or none does, it is nobody's.
    """
    first = len(window.slots) - newest
    found, is_unclear = _explained(window, first, rules)
    if not found and not is_unclear:
        found, _ = _explained(window, 0, rules)
        found = [each for each in found if abs(each.share) <= rules.slow_share_max]
    yield from found or _nobody(window, first, rules)


def _explained(window: Window, first: int, rules: Rules) -> tuple[list[Suspect], bool]:
    """Take the column that explains most, then those that explain what it leaves.

    Return them, and whether something is far off and nobody can tell whose it is.
    """
    tracks = [track for track in window.tracks if any(track.net_wh[first:])]
    totals = _totals(window, first)
    left = [
        rest - rules.loss_share * total
        for rest, total in zip(window.residual_wh[first:], totals, strict=True)
    ]
    mean = max(sum(totals) / len(totals), NOISE_WH_MIN)
    noise = [max(rules.noise_share * (total + mean) / 2, NOISE_WH_MIN) for total in totals]
    largest = sorted(tracks, key=lambda each: -sum(map(abs, each.net_wh[first:])))[:CAUSES_MAX]
    causes = [[rules.class_share * each for each in track.net_wh[first:]] for track in largest]
    causes.append([rules.loss_spread * total for total in totals])
    candidates = list(_candidates(window, tracks, first))
    found: list[Suspect] = []
    ranked = _ranked(Unexplained(left, noise, causes), candidates)
    while len(found) < SUSPECTS_MAX:
        score_min = rules.score_min * (2 if found else 1)
        best = _first_far_off(ranked, score_min, rules, sum(totals))
        if best is None:
            break
        causes.append([KNOWN * each for each in best.candidate.column])
        candidates = [each for each in candidates if each.track is not best.candidate.track]
        after = _ranked(Unexplained(left, noise, causes), candidates)
        if _has_rival(best, ranked, after, rules):
            return found, True
        found.append(_suspect(best, window.slots[first]))
        ranked = after
    return found, False


def _totals(window: Window, first: int) -> list[float]:
    columns = (track.net_wh[first:] for track in window.tracks)
    return [sum(map(abs, each)) for each in zip(*columns, strict=True)]


def _candidates(window: Window, tracks: Sequence[Track], first: int) -> Iterator[_Candidate]:
    for track in tracks:
        yield _Candidate(SHARE, track, list(track.net_wh[first:]))
        if first and track.purpose != "generation":
            usual = _usual(window, track, first)
            missing = [was - now for was, now in zip(usual, track.net_wh[first:], strict=True)]
            yield _Candidate(MISSING, track, missing)


def _usual(window: Window, track: Track, first: int) -> list[float]:
    """Return what a meter showed before at the same time of day; its mean where it never did."""
    by_time: dict[int, list[float]] = {}
    for at_ms, net_wh in zip(window.slots[:first], track.net_wh[:first], strict=True):
        by_time.setdefault(at_ms % DAY_MS, []).append(net_wh)
    mean = sum(track.net_wh[:first]) / first
    known = {at_ms: sum(each) / len(each) for at_ms, each in by_time.items() if len(each) > 1}
    return [known.get(at_ms % DAY_MS, mean) for at_ms in window.slots[first:]]


def _ranked(left: Unexplained, candidates: Sequence[_Candidate]) -> list[_Fitted]:
    fits = (_Fitted(candidate, left.fit(candidate.column)) for candidate in candidates)
    return sorted(fits, key=lambda each: -abs(each.fit.score))


def _first_far_off(
    ranked: Sequence[_Fitted], score_min: float, rules: Rules, total_wh: float
) -> _Fitted | None:
    for each in ranked:
        if abs(each.fit.score) < score_min:
            return None
        if _is_far_off(each, rules, total_wh):
            return each
    return None


def _has_rival(
    best: _Fitted, before: Sequence[_Fitted], after: Sequence[_Fitted], rules: Rules
) -> bool:
    """Whether another meter explained it nearly as well, and nothing once this one does."""
    left = {id(each.candidate): abs(each.fit.score) for each in after}
    return any(
        abs(each.fit.score) * rules.lead_min > abs(best.fit.score)
        and left[id(each.candidate)] < rules.score_min
        for each in before
        if id(each.candidate) in left
    )


def _suspect(best: _Fitted, since_ms: int) -> Suspect:
    candidate, fit = best
    track, slots = candidate.track, len(candidate.column)
    amount_wh = fit.share * sum(candidate.column)
    kind, share = candidate.kind, fit.share
    return Suspect(kind, track.meter_id, track.member, since_ms, slots, amount_wh, share, fit.score)


def _is_far_off(fitted: _Fitted, rules: Rules, total_wh: float) -> bool:
    """Whether it is beyond what a meter of its class may be wrong by."""
    candidate, fit = fitted
    energy_wh = sum(candidate.column)
    amount_wh = abs(fit.share * energy_wh)
    if amount_wh < rules.weight_min * total_wh:
        return False
    if candidate.kind == MISSING:
        return energy_wh > 0 and rules.missing_min < fit.share < rules.missing_max
    return abs(fit.share) > rules.share_min


def _nobody(window: Window, first: int, rules: Rules) -> Iterator[Suspect]:
    """Yield that far more came in than anybody shows, where no meter explains it."""
    total_wh, left_wh = sum(_totals(window, first)), sum(window.residual_wh[first:])
    slots, since_ms = len(window.slots) - first, window.slots[first]
    share = left_wh / max(total_wh, NOISE_WH_MIN)
    if abs(share) > rules.unshown_min:
        score = (share - rules.loss_share) / rules.loss_spread
        yield Suspect(UNSHOWN, "", "", since_ms, slots, left_wh, share, score)


# --- the same sun ------------------------------------------------------------------------------


def _unlike_neighbours(window: Window, newest: int, rules: Rules) -> Iterator[Suspect]:
    """Yield generators whose part of their neighbours' generation is not what it was."""
    first = len(window.slots) - newest
    scaled: dict[str, list[float]] = {}
    made: dict[str, Track] = {}
    for track in window.tracks:
        before_wh = -sum(track.net_wh[:first])
        if track.purpose == "generation" and before_wh > 0:
            made[track.meter_id] = track
            scaled[track.meter_id] = [-each / before_wh for each in track.net_wh]
    if len(made) <= NEIGHBOURS_MIN:
        return
    for name, own in sorted(scaled.items()):
        others = [each for other, each in scaled.items() if other != name]
        middle = [median(each) for each in zip(*others, strict=True)]
        off = _off(window, own, middle, first)
        if off is not None and abs(off[0]) > log(rules.sun_ratio) and off[1] > rules.sun_score_min:
            expected_wh = -sum(made[name].net_wh[first:]) * exp(-off[0])
            yield Suspect(
                SUN,
                name,
                made[name].member,
                window.slots[first],
                newest,
                expected_wh * (1 - exp(off[0])),
                1 - exp(off[0]),
                off[1],
            )


def _off(
    window: Window, own: Sequence[float], middle: Sequence[float], first: int
) -> tuple[float, float] | None:
    """Return the logarithm of its ratio to its neighbours now, and by how many usual spreads."""
    ratios = [
        ratio
        for begin, end in _days(window, first)
        if (ratio := _ratio(own[begin:end], middle[begin:end])) is not None
    ]
    now = _ratio(own[first:], middle[first:])
    if now is None or len(ratios) < 2:
        return None
    usual = median(ratios)
    if usual < USUAL_MIN:
        return None  # on most days it made nothing: it has no usual part
    days = max((window.slots[-1] - window.slots[first]) / DAY_MS, 1.0)
    spread = max(MAD * median(abs(each - usual) for each in ratios) / sqrt(days), 0.04)
    return now - usual, abs(now - usual) / spread


def _days(window: Window, first: int) -> Iterator[tuple[int, int]]:
    begin = 0
    for place in range(1, first + 1):
        if place == first or window.slots[place] // DAY_MS != window.slots[begin] // DAY_MS:
            yield begin, place
            begin = place


def _ratio(own: Sequence[float], middle: Sequence[float]) -> float | None:
    """Return the logarithm of what it made by what they made; None in the dark."""
    made, expected = sum(own), sum(middle)
    if expected <= 1e-4:
        return None
    return log(max(made, expected / 1000) / expected)


# --- words -------------------------------------------------------------------------------------


def _found(suspect: Suspect) -> str:
    name, amount = suspect.meter_id, f"{abs(suspect.amount_wh) / 1000:.3f} kWh"
    over = f"in {suspect.slots} slots"
    if suspect.kind == UNSHOWN:
        more = "came in" if suspect.amount_wh > 0 else "went out"
        return f"{amount} {more} {over} that no meter shows, {abs(suspect.share):.0%} of all shown"
    if suspect.kind == SUN:
        side = "less" if suspect.amount_wh > 0 else "more"
        return (
            f"meter {name} made {amount} {side} {over} than its neighbours under the same sun, "
            f"{abs(suspect.share):.0%} off its usual part of theirs"
        )
    if suspect.kind == MISSING:
        return (
            f"{amount} that no meter shows {over} is what meter {name} usually shows at these "
            f"hours and does not now ({suspect.score:.0f} standard errors)"
        )
    side = "too little" if suspect.share > 0 else "too much"
    return (
        f"{amount} that no meter accounts for {over} follows meter {name}, as if it showed "
        f"{abs(suspect.share):.0%} {side} ({abs(suspect.score):.0f} standard errors)"
    )
