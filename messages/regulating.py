"""What a regulator lays down for every market: the words and what a policy says of them. No state.

Bounds of the price among members, a network fee, what the grid pays at least, shares that energy
has to have by its fuel, and premiums on a fuel. `hub.market.regulated` does what they say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from messages.fuels import FUELS

PRICE_UTOK_PER_KWH_MAX: Final = 100_000_000
RENEWABLE: Final = "renewable"
"""Any fuel that comes again."""
GRID_FUEL: Final = "grid"
"""What comes from the grid or the base-load supplier, whose sources nobody here knows."""
KINDS: Final = (*FUELS, RENEWABLE, GRID_FUEL)
PAYEES: Final = ("@community", "@operator", "@grid", "@supplier", "@storage")
"""Accounts that premiums and charges go to."""
RULES_MAX: Final = 16
ENERGY_UWH_MAX: Final = 10**15


@dataclass(frozen=True, slots=True)
class Mix:
    """At least `share_percent` of what a member buys in a slot is of a fuel.

    Where that cannot be met he is told, and pays `unmet_utok_per_kwh` for what lacks.
    """

    fuel: str
    share_percent: int
    unmet_utok_per_kwh: int = 0
    account: str = "@community"


@dataclass(frozen=True, slots=True)
class Premium:
    """What a buyer pays on top for energy of a fuel beyond `above_uwh` in a slot."""

    fuel: str
    utok_per_kwh: int
    above_uwh: int = 0
    account: str = "@community"


@dataclass(frozen=True, slots=True)
class Regulation:
    """What binds every market. [utok per kWh]

    Members pay each other between floor and cap, and the network fee `fee_utok_per_kwh` on top.
    `feed_in_guaranteed`: what goes into the grid earns the feed-in price at least.
    """

    floor_utok_per_kwh: int = 0
    cap_utok_per_kwh: int = PRICE_UTOK_PER_KWH_MAX
    fee_utok_per_kwh: int = 0
    feed_in_guaranteed: bool = False
    mix: tuple[Mix, ...] = ()
    premiums: tuple[Premium, ...] = ()


UNBOUND: Final = Regulation()
"""Where the regulator laid down nothing."""


def regulation_fault(rules: Regulation) -> str:
    """Say why no market could follow these rules; "" if each can.

    >>> regulation_fault(Regulation(floor_utok_per_kwh=9, cap_utok_per_kwh=8))
    'regulation: floor and cap ascend within 0 and 100000000'
    """
    low, high = rules.floor_utok_per_kwh, rules.cap_utok_per_kwh
    if not 0 <= low <= high <= PRICE_UTOK_PER_KWH_MAX:
        return f"regulation: floor and cap ascend within 0 and {PRICE_UTOK_PER_KWH_MAX}"
    if not 0 <= rules.fee_utok_per_kwh <= PRICE_UTOK_PER_KWH_MAX:
        return f"regulation: a network fee is from 0 to {PRICE_UTOK_PER_KWH_MAX}"
    for name, each_of in (("mix", rules.mix), ("premium", rules.premiums)):
        if len(each_of) > RULES_MAX or len({each.fuel for each in each_of}) < len(each_of):
            return f"regulation: at most {RULES_MAX} rules of {name}, one a fuel"
    faults = [*map(_mix_fault, rules.mix), *map(_premium_fault, rules.premiums)]
    return next((fault for fault in faults if fault), "")


def _mix_fault(rule: Mix) -> str:
    if not 0 < rule.share_percent <= 100:
        return f"mix of {rule.fuel}: a share is from 1 to 100 percent"
    if not 0 <= rule.unmet_utok_per_kwh <= PRICE_UTOK_PER_KWH_MAX:
        return f"mix of {rule.fuel}: what lacks costs from 0 to {PRICE_UTOK_PER_KWH_MAX}"
    return _names_fault("mix", rule)


def _premium_fault(rule: Premium) -> str:
    if not 0 < rule.utok_per_kwh <= PRICE_UTOK_PER_KWH_MAX:
        return f"premium on {rule.fuel}: it is from 1 to {PRICE_UTOK_PER_KWH_MAX}"
    if not 0 <= rule.above_uwh <= ENERGY_UWH_MAX:
        return f"premium on {rule.fuel}: it begins above 0 to {ENERGY_UWH_MAX} uWh"
    return _names_fault("premium", rule)


def _names_fault(what: str, rule: Mix | Premium) -> str:
    if rule.fuel not in KINDS:
        return f"{what}: no fuel {rule.fuel!r}: {', '.join(KINDS)}"
    if rule.account not in PAYEES:
        return f"{what} of {rule.fuel}: no account {rule.account!r}: {', '.join(PAYEES)}"
    return ""
