"""The bank as pages and commands show it: when it pays out, what circulates, what is one's own."""

from __future__ import annotations

from dataclasses import dataclass

from hub.core.banking import bank_rules_at, circulating_utok
from hub.core.state import State
from messages.banking import BankRules
from messages.timetext import format_time


@dataclass(frozen=True, slots=True)
class BankView:
    """Its rules, and the slot with whose close payouts go out next. [ms UTC, utok]

    `circulating_utok` None: not to be shown.
    """

    rules: BankRules
    next_payout_ms: int
    circulating_utok: int | None


@dataclass(frozen=True, slots=True)
class AccountView:
    """What a member has, and what he asked to be paid. [utok]"""

    member: str
    balance_utok: int
    asked_utok: int


def bank_seen(state: State) -> BankView | None:
    """Return the bank, None before the first slot has closed: payouts are timed by slots."""
    next_ms = state.progress.next_slot_ms
    if next_ms is None:
        return None
    rules = bank_rules_at(state, next_ms)
    payout_ms = rules.next_payout_ms(next_ms, state.slot_ms)
    return BankView(rules, payout_ms, circulating_utok(state.accounts))


def account_of(state: State, member: str) -> AccountView:
    """Return a member's account."""
    return AccountView(member, state.accounts.get(member, 0), state.payouts.get(member, 0))


def bank_line(bank: BankView) -> str:
    """Say when the bank pays out next, and what circulates if that may be said."""
    circulating = bank.circulating_utok
    said = "" if circulating is None else f", {circulating} utok circulate"
    every = (
        "every slot" if bank.rules.payout_slots == 1 else f"every {bank.rules.payout_slots} slots"
    )
    return f"payouts {every}, next with the close of slot {format_time(bank.next_payout_ms)}{said}"


def account_line(account: AccountView) -> str:
    """Say what a member has, and what of it waits to be paid out."""
    waits = f", {account.asked_utok} utok wait to be paid out" if account.asked_utok else ""
    return f"{account.member}: {account.balance_utok} utok{waits}"
