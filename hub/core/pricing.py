"""Policies: which is in force at a slot, and which prices it sets."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING, Final

from hub.market.contract import PRICE_UTOK_PER_KWH_MAX, Tariff
from messages.regulating import UNBOUND, Mix, Premium, Regulation
from messages.slots import minute_of_day

if TYPE_CHECKING:
    from hub.core.records import Policy
    from hub.core.state import State
    from messages.entries import PolicyEntry

MINUTES_PER_DAY: Final = 1440

Schedule = tuple[tuple[int, int], ...]


def policy_at(state: State, slot_ms: int) -> Policy | None:
    """Return the policy in force at a slot: the one with the latest start not after it."""
    starts = [start for start in state.policies if start <= slot_ms]
    return state.policies[max(starts)] if starts else None


def tariff_at(policy: Policy | None, slot_ms: int) -> Tariff:
    """Return the prices at a slot's start; 0 where no policy is in force. [utok per kWh]"""
    if policy is None:
        return Tariff(0, 0)
    low, high, network_fee, *_ = policy.regulation
    prices = price_at(policy.prices, slot_ms), price_at(policy.feed_in, slot_ms)
    return Tariff(*prices, low, high, network_fee)


def regulation_of(policy: Policy | None) -> Regulation:
    """Return the regulator's rules as a policy's record holds them."""
    if policy is None:
        return UNBOUND
    low, high, network_fee, is_guaranteed, mix, premiums = policy.regulation
    return Regulation(
        low,
        high,
        network_fee,
        is_guaranteed,
        tuple(Mix(*row) for row in mix),
        tuple(Premium(*row) for row in premiums),
    )


def price_at(schedule: Schedule, slot_ms: int) -> int:
    """Return the price of a schedule at an instant's time of day (UTC).

    >>> price_at(((0, 200_000), (420, 300_000)), 7 * 3_600_000)
    300000
    """
    minute = minute_of_day(slot_ms)
    return [price for start, price in schedule if start <= minute][-1]


def schedule_fault(name: str, schedule: Schedule) -> str | None:
    """Say what is wrong with a schedule of prices by time of day; None: nothing."""
    minutes = [minute for minute, _ in schedule]
    if not minutes or minutes[0] != 0:
        return f"{name}: the first price is that of minute 0"
    if minutes != sorted(set(minutes)) or minutes[-1] >= MINUTES_PER_DAY:
        return f"{name}: minutes of the day ascend, below {MINUTES_PER_DAY}"
    for minute, price in schedule:
        if not 0 <= price <= PRICE_UTOK_PER_KWH_MAX:
            return f"{name}: the price at minute {minute} is not within 0 and the maximum"
    return None


def keeps_prices(state: State, entry: PolicyEntry) -> bool:
    """Whether an entry leaves the prices as the policy in force at its start has them.

    The regulator's other rules and the bank's count as such.
    """
    policy = policy_at(state, entry.from_slot_ms)
    if policy is None:
        return False
    feeds = tuple(astuple(rule) for rule in entry.feeds)
    bank = policy.bank if entry.bank is None else astuple(entry.bank)
    before = (policy.prices, policy.feed_in, policy.feeds, policy.bank, policy.regulation)
    return before == (entry.prices, entry.feed_in, feeds, bank, astuple(entry.regulation))
