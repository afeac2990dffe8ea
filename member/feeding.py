"""What a slot's prices are when they come from a feed: read from the policy a second time.

That no newer fact was told in time cannot be seen from one account's side; an audit sees it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from member.settling import Prices, require
from messages.feeding import FEED_IN, PRICE, PRICE_UNIT, PRICES, Feed, FeedRule


class Told(NamedTuple):
    """A fact, and the name of the feeder whose key signed it."""

    feed: Feed
    feeder: str


def fed_prices(
    rules: Iterable[FeedRule], scheduled: Prices, told: Iterable[Told], slot_ms: int
) -> Prices:
    """Return the prices that follow from a policy's rules, its schedule and the facts named.

    Raises:
        Refused: a fact that this policy does not take, or that does not count in this slot.
    """
    prices = {PRICE: scheduled.price, FEED_IN: scheduled.feed_in}
    taken = {rule.fact: rule for rule in rules if rule.fact in PRICES}
    for fact, rule in taken.items():
        prices[fact] = prices[fact] if rule.fallback is None else rule.fallback
    seen: set[str] = set()
    for feed, feeder in told:
        found = taken.get(feed.fact)
        is_asked = found is not None and found.feeder == feeder and feed.fact not in seen
        require(is_asked, f"the policy takes no {feed.fact} from {feeder}")
        seen.add(feed.fact)
        if found is not None:
            prices[feed.fact] = _bounded(feed, found, slot_ms)
    return Prices(prices[PRICE], prices[FEED_IN])


def _bounded(feed: Feed, rule: FeedRule, slot_ms: int) -> int:
    require(feed.unit == PRICE_UNIT, f"{feed.fact} is told in {feed.unit}")
    counts = feed.at_ms <= slot_ms < feed.valid_until_ms
    require(
        counts and slot_ms - feed.at_ms <= rule.age_max_ms,
        f"the {feed.fact} of {feed.at_ms} does not count in slot {slot_ms}",
    )
    return min(max(feed.value, rule.low), rule.high)
