"""Facts from outside the microgrid: what a feeder signs, and what a policy makes of it.

A feeder is a key that an administrator enrolled with the facts it may tell and their units, such as
{"price": "utok_per_kwh", "co2": "g_per_kwh"}. Each fact is an entry of its own, a whole number from
an instant on. What a slot uses is the newest that counts then, or what the policy falls back to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

PRICE: Final = "price"
FEED_IN: Final = "feed_in"
PRICES: Final = (PRICE, FEED_IN)
"""Facts that make a slot's tariff; all others are shown."""
PRICE_UNIT: Final = "utok_per_kwh"
AGE_MS_MAX: Final = 366 * 86_400_000
FACTS_MAX: Final = 16
"""Facts that one feeder may tell, and that one policy may use."""
VALUE_MAX: Final = 2**53
"""So that a page in a browser shows the same number."""

FACT_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,22}")
UNIT_NAME: Final = re.compile(r"[A-Za-z%][A-Za-z0-9%_/]{0,22}")


@dataclass(frozen=True, slots=True)
class Feed:
    """A feeder tells a fact: `value` from `at_ms` on, worth nothing from `valid_until_ms` on. [ms]

    `sequence` counts up for each fact of a feeder; a fact told again for one instant replaces it.
    """

    KIND: ClassVar[str] = "feed"
    fact: str
    sequence: int
    at_ms: int
    value: int
    unit: str
    valid_until_ms: int


@dataclass(frozen=True, slots=True)
class FeedRule:
    """What a policy takes from a feeder, within which bounds, and what counts without it.

    A value below `low` counts as `low`, above `high` as `high`: the regulator's floor and cap. Of
    an age above `age_max_ms` at a slot's start it does not count; then `fallback` does, or, where
    that is None, the policy's own schedule for a price, and nothing for any other fact. [ms]
    """

    fact: str
    feeder: str
    age_max_ms: int
    low: int
    high: int
    fallback: int | None = None


def facts_fault(facts: Mapping[str, str]) -> str | None:
    """Say why no feeder can tell these facts (name -> unit); None: one can.

    >>> facts_fault({"price": "EUR"})
    'the fact price is told in utok_per_kwh'
    """
    if not 1 <= len(facts) <= FACTS_MAX:
        return f"a feeder tells 1 to {FACTS_MAX} facts"
    for fact, unit in sorted(facts.items()):
        if FACT_NAME.fullmatch(fact) is None:
            return f"{fact!r} is no name of a fact: like co2 or feed_in, at most 23 letters"
        if UNIT_NAME.fullmatch(unit) is None:
            return f"{unit!r} is no unit: like g_per_kwh or W/m2, at most 23 letters"
        if fact in PRICES and unit != PRICE_UNIT:
            return f"the fact {fact} is told in {PRICE_UNIT}"
    return None


def feed_rules_fault(rules: tuple[FeedRule, ...], price_max: int) -> str:
    """Say why nobody could follow a policy's rules on feeds; "" if everybody can."""
    if len(rules) > FACTS_MAX or len({rule.fact for rule in rules}) < len(rules):
        return f"feed: at most {FACTS_MAX} facts, each from one feeder"
    for rule in rules:
        fault = _rule_fault(rule, price_max)
        if fault:
            return f"feed {rule.fact}: {fault}"
    return ""


def _rule_fault(rule: FeedRule, price_max: int) -> str:
    if FACT_NAME.fullmatch(rule.fact) is None:
        return "no name of a fact"
    if not 1 <= rule.age_max_ms <= AGE_MS_MAX:
        return f"the greatest age is from 1 ms to {AGE_MS_MAX} ms"
    low, high = (0, price_max) if rule.fact in PRICES else (-VALUE_MAX, VALUE_MAX)
    if not low <= rule.low <= rule.high <= high:
        return f"floor and cap ascend within {low} and {high}"
    if rule.fallback is not None and not rule.low <= rule.fallback <= rule.high:
        return "the fallback lies between floor and cap"
    return ""
