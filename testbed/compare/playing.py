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
  would cost at the dearest tariff; that is his own money, and no cost. So it is with `prepaid`.
- `storage_escrow` and `storage_transfer` get a storage of 2 kWh a home, half of it an hour, which
  takes what all have over and gives what all lack. In the first, before each slot, members offer
  all they have stored, at their limit, and buy what it will give, the cheapest first, as perfect
  foresight has it. In the second each draws against his own tokens and passes none on.
- `day_ahead`: each midnight everybody plans his battery with the others (`planning`), by either
  forecast, and it does as planned. The gate closes with the day's first slot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from hub.market.contract import ASK, BID, Value
from messages.scheduling import Devices, pack
from testbed.compare.battery import Battery
from testbed.compare.community import Community, limits, with_storage
from testbed.compare.forecasting import FORECASTS
from testbed.compare.tariff import Prices

UTOK_UWH_PER_KWH: Final = 10**15
UWH_PER_KWH: Final = 10**9
STORED: Final = ("storage_escrow", "storage_transfer")
"""Contracts about a storage for all."""
STORAGE: Final = "storage"
STORAGE_UWH_A_HOME: Final = 2_000_000_000
EFFICIENCY_PPM: Final = 902_500
"""95 % in and 95 % out, as `Battery` has it."""
PURSE_UTOK: Final = 10**15
PLANNED: Final = "day_ahead"
AHEAD: Final = (PLANNED, "hybrid_p2p", "listing", "pooled_auction")
"""Contracts whose members say an amount before the slot is over."""
OPEN_CALLS: Final[Mapping[str, Mapping[str, str]]] = {"listing": {ASK: "list", BID: "buy"}}
"""What an order for one slot is called, by its side, where it is not sealed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What one run is set to. `variant` and `forecast` are empty where there is but one.

    `purse_utok`: what everybody has on his account at the start, for a contract that asks.
    """

    contract: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    variant: str = ""
    forecast: str = ""
    purse_utok: int = 0

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


Memory = Mapping[str, Value]
Play = Callable[[Community, Prices, int, Memory], Iterator[Asked]]
"""What members do before a slot, by its number; the memory changes with every call."""


def settings_of(name: str, prices: Prices) -> tuple[Settings, ...]:
    """Return the runs of a contract; what the tariff file says of it counts in all of them."""
    asked = prices.parameters.get(name, {})
    runs: Mapping[str, Mapping[str, Value]] = {"": {}}
    if name == "hybrid_p2p":
        runs = {"": {}, "lowest ask": {"price_rule": "lowest_ask", "sell": "market"}}
    elif name == "energy_token":
        runs = {"": {"token_uwh": token_uwh(prices)}}
    elif name in STORED:
        runs = {"with a storage": {"storage": STORAGE, "efficiency_ppm": EFFICIENCY_PPM}}
    elif name == PLANNED:
        runs = {"": {"gate_slots": 0}}
    forecasts = FORECASTS if name in AHEAD else ("",)
    purse_utok = PURSE_UTOK if name in STORED else 0
    return tuple(
        Settings(name, {**parameters, **asked}, variant, forecast, purse_utok)
        for variant, parameters in runs.items()
        for forecast in forecasts
    )


def staged(homes: Community, settings: Settings, prices: Prices) -> Community:
    """Return the homes, with the storage that the contract is about, or as they plan their days."""
    if settings.contract == PLANNED:
        from testbed.compare.planning import planned  # noqa: PLC0415 - loads numpy

        return planned(homes, prices, settings.forecast)
    if settings.contract not in STORED or STORAGE in homes.members:
        return homes
    capacity_uwh = STORAGE_UWH_A_HOME * len(homes.households)
    return with_storage(homes, STORAGE, Battery(capacity_uwh, capacity_uwh // 2000))


def token_uwh(prices: Prices) -> int:
    """Return how much energy a token buys halfway between tariff and feed-in price. [uWh]"""
    cheapest = min(price for _, price in prices.price)
    dearest = max(price for _, price in prices.feed_in)
    return UTOK_UWH_PER_KWH // max((cheapest + dearest) // 2, 1)


def mint_each_day(
    community: Community, prices: Prices, slot: int, memory: Memory
) -> Iterator[Asked]:
    """At midnight the bank mints for each member what his day would cost at the dearest tariff."""
    del memory
    return _minted(community, prices, slot, "deposit")


def top_up_each_day(
    community: Community, prices: Prices, slot: int, memory: Memory
) -> Iterator[Asked]:
    """At midnight everybody tops up what his day would cost at the dearest tariff."""
    del memory
    return _minted(community, prices, slot, "top_up")


def _minted(community: Community, prices: Prices, slot: int, method: str) -> Iterator[Asked]:
    if slot % community.slots_a_day:
        return
    dearest = max(price for _, price in prices.price)
    for household in community.households:
        used_uwh = sum(household.consumption_uwh[slot : slot + community.slots_a_day])
        amount = used_uwh * dearest // UWH_PER_KWH
        if amount:
            arguments: dict[str, Value] = {"member": household.member.home, "amount_utok": amount}
            yield Asked("bank", method, arguments, ("bank",))


def sell_what_is_stored(
    community: Community, prices: Prices, slot: int, memory: Memory
) -> Iterator[Asked]:
    """Everybody offers what he has stored; who will lack energy buys what the storage will give."""
    tariff = prices.at(community.at_ms(slot))
    for member in community.members.values():
        credit = memory.get(f"credit.{member.home}", 0)
        if isinstance(credit, int) and credit:
            price = limits(member, tariff)[1]
            told: dict[str, Value] = {"price_utok_per_kwh": price, "energy_uwh": credit}
            yield Asked(member.home, "sell", told)
    positions = community.positions(slot)
    left = sum(each.surplus_uwh for each in positions if each.member == STORAGE)
    for position in positions:
        wanted = min(position.deficit_uwh, left) if position.member != STORAGE else 0
        bid = limits(community.members[position.member], tariff)[0]
        for sale, seller, price, offered in sales_of(memory):
            energy = min(wanted, offered)
            if energy and seller != position.member and price <= bid:
                yield Asked(position.member, "buy", {"sale": sale, "energy_uwh": energy})
                wanted, left = wanted - energy, left - energy


def sales_of(memory: Memory) -> list[tuple[str, str, int, int]]:
    """Return what is on sale in a storage, the cheapest first: sale, seller, price, energy."""
    found: list[tuple[str, str, int, int]] = []
    for key, row in memory.items():
        match row:
            case (str(seller), int(price), int(energy)) if key.startswith("sale."):
                found.append((key.removeprefix("sale."), seller, price, energy))
    return sorted(found, key=lambda each: (each[2], each[0]))


def plan_the_day(
    community: Community, prices: Prices, slot: int, memory: Memory
) -> Iterator[Asked]:
    """At midnight everybody signs his plan, and the aggregator what it makes of all of them."""
    del prices
    found = community.plans.get(slot)
    if found is None:
        return
    for each in community.households:
        name, devices = each.member.home, each.member.devices
        if devices != Devices() and f"devices.{name}" not in memory:
            yield Asked(name, "devices", pack(devices))
        yield Asked(name, "plan", pack(found.plans[name]))
    yield Asked("aggregator", "propose", pack(found.proposal), ("service",))


PLAYS: Final[Mapping[str, Play]] = {
    PLANNED: plan_the_day,
    "energy_token": mint_each_day,
    "prepaid": top_up_each_day,
    "storage_escrow": sell_what_is_stored,
}
