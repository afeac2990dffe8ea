"""The tariff of the coming slots, told to every node: when it is new, and after each hello."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from hub.core.feeding import priced_at
from hub.core.memory import Memory
from hub.core.pricing import policy_at
from hub.core.state import State
from hub.link.nodes import Newsroom
from hub.link.post import Post
from hub.market.contract import Contract, Forecasting
from messages.slots import slot_start
from messages.tariff import SLOTS_MAX, Tariff

AHEAD_MS: Final = 36 * 3_600_000
"""So far ahead prices are told: tonight, and tomorrow's day."""
LOOK_EVERY_MS: Final = 10_000

Contracts = Mapping[str, Callable[[], Contract]]


def coming(state: State, contracts: Contracts, at_ms: int) -> Tariff | None:
    """Return the prices from the slot of now on; None before genesis or a policy."""
    if state.network is None or policy_at(state, at_ms) is None:
        return None
    slot_ms = state.slot_ms
    first_ms = slot_start(at_ms, slot_ms)
    count = min(max(AHEAD_MS // slot_ms, 1), SLOTS_MAX)
    slots = [first_ms + place * slot_ms for place in range(count)]
    priced = [priced_at(state, each).tariff for each in slots]
    return Tariff(
        made_ms=at_ms,
        slot_ms=slot_ms,
        first_slot_ms=first_ms,
        prices=tuple(each.price_utok_per_kwh for each in priced),
        feed_in=tuple(each.feed_in_utok_per_kwh for each in priced),
        expected=tuple(
            _expected(state, contracts, slot, each.price_utok_per_kwh)
            for slot, each in zip(slots, priced, strict=True)
        ),
    )


def _expected(state: State, contracts: Contracts, slot_ms: int, price: int) -> int:
    """Return what the contract of a slot has published as its price; else the grid's price."""
    policy = policy_at(state, slot_ms)
    make = None if policy is None else contracts.get(policy.contract)
    contract: object = None if make is None else make()
    if policy is None or not isinstance(contract, Forecasting):
        return price
    memory = Memory(state.memory, policy.contract)
    told = contract.expected_utok_per_kwh(policy.parameters, memory, slot_ms, state.slot_ms)
    return price if told is None else told


class Tariffs:
    """Owns what was told to whom."""

    def __init__(self, contracts: Contracts, news: Newsroom, post: Post) -> None:
        self._contracts = contracts
        self._news = news
        self._post = post
        self._newest: Tariff | None = None
        self._looked_ms: int | None = None
        self._told: dict[str, tuple[int, int]] = {}  # node -> made_ms, its hello then

    def tell(self, state: State, at_ms: int, nodes: tuple[str, ...]) -> None:
        """Tell the tariff to each node that lacks it, or may have lost it with its connection."""
        newest = self._look(state, at_ms)
        if newest is None:
            return
        for node in nodes:
            news = self._news.nodes.get(node)
            place = (newest.made_ms, 0 if news is None else news.hello_ms)
            if self._told.get(node) != place:
                self._told[node] = place
                self._post.tariff(newest, node)

    def _look(self, state: State, at_ms: int) -> Tariff | None:
        """Return what is to be told: looked up with each slot, and now and then within it."""
        newest, looked_ms = self._newest, self._looked_ms
        is_soon = looked_ms is not None and 0 <= at_ms - looked_ms < LOOK_EVERY_MS
        if newest is not None and is_soon and at_ms < newest.first_slot_ms + newest.slot_ms:
            return newest
        tariff, self._looked_ms = coming(state, self._contracts, at_ms), at_ms
        if newest is None or tariff is None or _prices(newest) != _prices(tariff):
            self._newest = tariff
        return self._newest


def _prices(tariff: Tariff) -> tuple[object, ...]:
    return tariff.first_slot_ms, tariff.prices, tariff.feed_in, tariff.expected
