"""Which market is in force when, and what lies in its book: read from the fold's state. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from hub.core.clearing import Contracts
from hub.core.pricing import policy_at, regulation_of
from hub.core.records import Policy
from hub.core.state import State
from hub.errors import OrderRefused
from hub.market.catalog import CONTRACTS
from hub.market.errors import MarketError
from hub.market.orderbook import Laid, OrderRules, laid, rules_of
from messages.orders import Market
from messages.regulating import UNBOUND, Regulation


@dataclass(frozen=True, slots=True)
class MarketView:
    """A market and from which slot on it is in force. [ms UTC]

    `parameters` as the policy sets them; `book` as in `messages.orders.Market`. `entry_index`: of
    the policy.
    """

    from_slot_ms: int
    contract: str
    parameters: dict[str, Any]
    book: str
    gate_slots: int
    entry_index: int
    regulation: Regulation = UNBOUND


def market_at(state: State, contracts: Contracts, slot_ms: int | None = None) -> Market:
    """Return what an order for a slot meets; None: the slot that closes next.

    Raises:
        OrderRefused: no slot has closed yet, or no policy is in force then.
    """
    next_ms = state.progress.next_slot_ms
    if next_ms is None:
        raise OrderRefused("orders are timed by slots, and none has closed yet")
    at_ms = next_ms if slot_ms is None else max(slot_ms, next_ms)
    policy = policy_at(state, at_ms)
    if policy is None:
        raise OrderRefused(f"no policy is in force in slot {at_ms}")
    rules = _rules(policy, contracts)
    book, gate_slots = ("", 0) if rules is None else (rules.book, rules.gate_slots)
    return Market(policy.contract, book, gate_slots, next_ms, state.slot_ms)


def unnamed(market: MarketView) -> MarketView:
    """Return a market without its parameters: their texts may name members."""
    return replace(market, parameters={})


def markets(state: State, contracts: Contracts) -> Iterator[MarketView]:
    """Yield the market in force, then those that are to come, by their first slots."""
    next_ms = state.progress.next_slot_ms or 0
    starts = sorted(state.policies)
    begun = [start for start in starts if start <= next_ms]
    for start in (*begun[-1:], *starts[len(begun) :]):
        policy = state.policies[start]
        rules = _rules(policy, contracts)
        yield MarketView(
            from_slot_ms=start,
            contract=policy.contract,
            parameters=dict(policy.parameters),
            book="" if rules is None else rules.book,
            gate_slots=0 if rules is None else rules.gate_slots,
            entry_index=policy.entry_index,
            regulation=regulation_of(policy),
        )


def book_of(state: State, contracts: Contracts = CONTRACTS) -> list[Laid]:
    """Return all that waits, in all markets: orders, commitments, listings, offers of storages.

    By member and place, or in the order that a market without an order book gives it: one that
    keeps something else has a method `waiting`, from its memory and the length of a slot.
    """
    names = sorted({contract for contract, _ in state.memory})
    return [each for name in names for each in _laid(state, name, contracts)]


def _laid(state: State, name: str, contracts: Contracts) -> list[Laid]:
    rows = {key: value for (contract, key), value in state.memory.items() if contract == name}
    make = contracts.get(name)
    waiting = None if make is None else getattr(make(), "waiting", None)
    try:
        return list(laid(rows) if waiting is None else waiting(rows, state.slot_ms))
    except (TypeError, ValueError):
        return []  # a contract of somebody's own, whose rows are no orders


def _rules(policy: Policy, contracts: Contracts) -> OrderRules | None:
    make = contracts.get(policy.contract)
    try:
        return None if make is None else rules_of(make(), policy.parameters)
    except MarketError:
        return None  # a policy whose contract fails: its slots settle by the fallback
