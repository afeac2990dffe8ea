"""Feed entries: facts from outside, and what a slot uses of them.

A fact counts in a slot that begins at or after its instant, until it is no longer valid, or older
than the policy lets it be. Facts for later instants wait, such as tomorrow's prices; of those that
count now only the newest is kept. A slot that has closed keeps the prices it was closed with.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hub.core.effects import FactTold
from hub.core.events import Event
from hub.core.outcome import Outcome, ignore
from hub.core.pricing import policy_at, tariff_at
from hub.core.records import Fact, Key
from hub.core.state import Change, State
from hub.market.contract import Tariff
from messages.feeding import FEED_IN, PRICE, VALUE_MAX, Feed, FeedRule

FACTS_KEPT: Final = 200
"""Instants of one fact that may wait: two days of quarter hours."""


class Used(NamedTuple):
    """What counts for a fact in a slot; `value` None: nothing does.

    `fact` is the newest that was told, whether or not it counts; `at_ms` its instant. `why_not` is
    empty where it counts; else it says why the fallback does.
    """

    value: int | None
    fact: Fact | None
    at_ms: int
    why_not: str


class Priced(NamedTuple):
    """A slot's tariff, and the feed entries that it comes from."""

    tariff: Tariff
    facts: tuple[int, ...]


def take_feed(state: State, event: Event, feed: Feed) -> Outcome:
    """Take a fact in; those that it replaces are forgotten."""
    key = state.keys[event.kid]
    fault = _fault(state, key, feed)
    if fault:
        return ignore(event, fault)
    place = (key.name, feed.fact)
    fact = Fact(feed.value, feed.unit, feed.valid_until_ms, event.index)
    told = sorted({*_instants(state, place), feed.at_ms})
    newest_ms = max((at_ms for at_ms in told if at_ms <= _now_ms(state)), default=0)
    gone = [Change("fact", (*place, at_ms), None) for at_ms in told if at_ms < newest_ms]
    changes = (
        Change("fact", (*place, feed.at_ms), fact),
        Change("fed", place, feed.sequence),
        *gone,
    )
    effect = FactTold(event.index, key.name, feed.fact, feed.at_ms, feed.value, feed.unit)
    return Outcome(changes, (effect,))


def _fault(state: State, key: Key, feed: Feed) -> str:
    units, place = dict(key.facts), (key.name, feed.fact)
    if feed.fact not in units:
        return f"feeder {key.name} tells {', '.join(units)}, not {feed.fact!r}"
    if feed.unit != units[feed.fact]:
        return f"feeder {key.name} tells {feed.fact} in {units[feed.fact]}, not in {feed.unit!r}"
    last = state.fed.get(place, 0)
    if feed.sequence <= last:
        return f"sequence {feed.sequence} of {feed.fact}: {last} was taken, the next is higher"
    if feed.at_ms < 0 or feed.valid_until_ms <= feed.at_ms or abs(feed.value) > VALUE_MAX:
        return "a fact has an instant, a later end, and a value of at most 53 bits"
    return _late(state, place, feed)


def _late(state: State, place: tuple[str, str], feed: Feed) -> str:
    now_ms, instants = _now_ms(state), _instants(state, place)
    if feed.valid_until_ms <= now_ms:
        return f"too late: it was valid until {feed.valid_until_ms}, the next slot is {now_ms}"
    newest_ms = max((at_ms for at_ms in instants if at_ms <= now_ms), default=0)
    if feed.at_ms < newest_ms:
        return f"too late: {feed.fact} of {newest_ms} is known, this one is of {feed.at_ms}"
    waiting = [at_ms for at_ms in instants if at_ms >= newest_ms]
    if feed.at_ms not in waiting and len(waiting) >= FACTS_KEPT:
        return f"{len(waiting)} instants of {feed.fact} wait already, no more are kept"
    return ""


def used_at(state: State, rule: FeedRule, slot_ms: int) -> Used:
    """Return what a policy's rule gives at a slot's start."""
    place = (rule.feeder, rule.fact)
    at_ms = max((at for at in _instants(state, place) if at <= slot_ms), default=-1)
    if at_ms < 0:
        return Used(rule.fallback, None, 0, f"{rule.feeder} told nothing for this time")
    fact = state.facts[*place, at_ms]
    if slot_ms >= fact.valid_until_ms:
        return Used(rule.fallback, fact, at_ms, "the newest is no longer valid")
    if slot_ms - at_ms > rule.age_max_ms:
        return Used(rule.fallback, fact, at_ms, "the newest is too old")
    return Used(min(max(fact.value, rule.low), rule.high), fact, at_ms, "")


def rules_in_force(state: State, slot_ms: int) -> tuple[FeedRule, ...]:
    """Return what the policy at a slot takes from feeds."""
    policy = policy_at(state, slot_ms)
    return tuple(FeedRule(*row) for row in policy.feeds) if policy else ()


def priced_at(state: State, slot_ms: int) -> Priced:
    """Return a slot's prices: those it was closed with, or by what is known now."""
    tariff, closed = tariff_at(policy_at(state, slot_ms), slot_ms), state.closed.get(slot_ms)
    if closed is not None:
        return Priced(
            _with_prices(tariff, closed.price_utok_per_kwh, closed.feed_in_utok_per_kwh),
            closed.facts,
        )
    prices = {PRICE: tariff.price_utok_per_kwh, FEED_IN: tariff.feed_in_utok_per_kwh}
    facts: list[int] = []
    for rule in rules_in_force(state, slot_ms):
        used = used_at(state, rule, slot_ms)
        if rule.fact in prices and used.value is not None:
            prices[rule.fact] = used.value
            facts += [used.fact.entry_index] if used.fact and not used.why_not else []
    return Priced(_with_prices(tariff, prices[PRICE], prices[FEED_IN]), tuple(sorted(facts)))


def _with_prices(tariff: Tariff, price: int, feed_in: int) -> Tariff:
    return tariff._replace(price_utok_per_kwh=price, feed_in_utok_per_kwh=feed_in)


def _instants(state: State, place: tuple[str, str]) -> list[int]:
    return [at_ms for feeder, fact, at_ms in state.facts if (feeder, fact) == place]


def _now_ms(state: State) -> int:
    """The fold's only clock: the slot that closes next."""
    return state.progress.next_slot_ms or 0
