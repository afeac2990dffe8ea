"""How each contract is played in a comparison, where the tariff file says nothing.

One place, so that nobody has to look for hidden choices. A contract that is not named here runs
once with its defaults, and members keep standing orders at their limits.

- `hybrid_p2p` runs with our reading of paper 004's price and with its lowest ask.
- Where the book is sealed, as in `hybrid_p2p` and `pooled_auction`, and where a listing is for one
  slot, as in `listing`, an order names an amount ahead, so it rests on a forecast: each runs with
  perfect foresight and with persistence.
- `energy_token`: the paper's token is worth 150 Wh of energy and nothing in money. Here a token is
  money like any other, so it is given the energy that costs one at the mean of the cheapest tariff
  and the dearest feed-in price. The bank mints for everybody, each midnight, what his next day
  would cost at the dearest tariff; that is his own money, and no cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from hub.market.contract import ASK, BID, Value
from testbed.compare.community import Community
from testbed.compare.forecasting import FORECASTS
from testbed.compare.tariff import Prices

UTOK_UWH_PER_KWH: Final = 10**15
UWH_PER_KWH: Final = 10**9
AHEAD: Final = ("hybrid_p2p", "listing", "pooled_auction")
"""Contracts whose orders name an amount before the slot is over."""
OPEN_CALLS: Final[Mapping[str, Mapping[str, str]]] = {"listing": {ASK: "list", BID: "buy"}}
"""What an order for one slot is called, by its side, where it is not sealed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What one run is set to. `variant` and `forecast` are empty where there is but one."""

    contract: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    variant: str = ""
    forecast: str = ""

    @property
    def label(self) -> str:
        """The run's name in tables."""
        return ", ".join(filter(None, (self.contract, self.variant, self.forecast)))


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that somebody makes before a slot is cleared."""

    caller: str
    method: str
    arguments: Mapping[str, Value]
    roles: tuple[str, ...] = ()


Play = Callable[[Community, Prices, int], Iterator[Asked]]
"""What members do before a slot, by its number."""


def settings_of(name: str, prices: Prices) -> tuple[Settings, ...]:
    """Return the runs of a contract; what the tariff file says of it counts in all of them."""
    asked = prices.parameters.get(name, {})
    runs: Mapping[str, Mapping[str, Value]] = {"": {}}
    if name == "hybrid_p2p":
        runs = {"": {}, "lowest ask": {"price_rule": "lowest_ask", "sell": "market"}}
    elif name == "energy_token":
        runs = {"": {"token_uwh": token_uwh(prices)}}
    forecasts = FORECASTS if name in AHEAD else ("",)
    return tuple(
        Settings(name, {**parameters, **asked}, variant, forecast)
        for variant, parameters in runs.items()
        for forecast in forecasts
    )


def token_uwh(prices: Prices) -> int:
    """Return how much energy a token buys halfway between tariff and feed-in price. [uWh]"""
    cheapest = min(price for _, price in prices.price)
    dearest = max(price for _, price in prices.feed_in)
    return UTOK_UWH_PER_KWH // max((cheapest + dearest) // 2, 1)


def mint_each_day(community: Community, prices: Prices, slot: int) -> Iterator[Asked]:
    """At midnight the bank mints for each member what his day would cost at the dearest tariff."""
    if slot % community.slots_a_day:
        return
    dearest = max(price for _, price in prices.price)
    for household in community.households:
        used_uwh = sum(household.consumption_uwh[slot : slot + community.slots_a_day])
        amount = used_uwh * dearest // UWH_PER_KWH
        if amount:
            arguments: dict[str, Value] = {"member": household.member.home, "amount_utok": amount}
            yield Asked("bank", "deposit", arguments, ("bank",))


PLAYS: Final[Mapping[str, Play]] = {"energy_token": mint_each_day}
