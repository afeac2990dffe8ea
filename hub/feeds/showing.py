"""Each fact from outside as people read it: value, source, age, and whether the fallback counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hub.core.feeding import rules_in_force, used_at
from hub.core.state import State
from messages.feeding import PRICES


@dataclass(frozen=True, slots=True)
class FactSeen:
    """What counts for a fact in the slot that closes next; `value` None: nothing does.

    `age_ms` is that of the newest told, at the slot's start, None where none was. `fallback` says
    why the newest does not count, empty where it does. `told`: what the feeder said.
    """

    fact: str
    feeder: str
    value: int | None
    unit: str
    told: int | None
    age_ms: int | None
    fallback: str
    entry_index: int | None


def facts_seen(state: State) -> tuple[FactSeen, ...]:
    """Return every fact that the policy takes, then those that feeders tell besides, by name."""
    now_ms = state.progress.next_slot_ms
    if now_ms is None:
        return ()
    taken = [_taken(state, place, now_ms) for place in range(len(rules_in_force(state, now_ms)))]
    named = {(each.feeder, each.fact) for each in taken}
    others = sorted({(feeder, fact) for feeder, fact, _ in state.facts} - named)
    return (*taken, *(seen for place in others for seen in _besides(state, place, now_ms)))


def _taken(state: State, place: int, now_ms: int) -> FactSeen:
    rule = rules_in_force(state, now_ms)[place]
    used = used_at(state, rule, now_ms)
    fact = used.fact
    return FactSeen(
        rule.fact,
        rule.feeder,
        used.value,
        fact.unit if fact else "",
        fact.value if fact else None,
        now_ms - used.at_ms if fact else None,
        used.why_not,
        fact.entry_index if fact else None,
    )


def _besides(state: State, place: tuple[str, str], now_ms: int) -> Iterator[FactSeen]:
    instants = [at for feeder, fact, at in state.facts if (feeder, fact) == place and at <= now_ms]
    if not instants:
        return
    at_ms = max(instants)
    row = state.facts[*place, at_ms]
    over = now_ms >= row.valid_until_ms
    yield FactSeen(
        place[1],
        place[0],
        None if over else row.value,
        row.unit,
        row.value,
        now_ms - at_ms,
        "the newest is no longer valid" if over else "",
        row.entry_index,
    )


def fact_text(seen: FactSeen) -> str:
    """Return a fact in one line.

    >>> fact_text(FactSeen("co2", "meteo", 300, "g_per_kwh", 300, 60_000, "", 7))
    'co2: 300 g_per_kwh from meteo, 60 s old'
    >>> fact_text(FactSeen("price", "meteo", None, "", None, None, "meteo told nothing", None))
    'price: fallback, the schedule (meteo told nothing)'
    """
    if not seen.fallback:
        age = f"{(seen.age_ms or 0) // 1000} s old"
        return f"{seen.fact}: {seen.value} {seen.unit} from {seen.feeder}, {age}"
    if seen.value is not None:
        counts = f"{seen.value} {seen.unit}".rstrip()
    else:
        counts = "the schedule" if seen.fact in PRICES else "not known"
    return f"{seen.fact}: fallback, {counts} ({seen.fallback})"
