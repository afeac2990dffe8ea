"""The bank, under every market contract: it mints against deposits and pays out at intervals.

A built-in contract that every policy has, called by members like any other (`Call.contract` is
"bank"). A deposit is minted at once; a payout is asked for, and burned with the close of the next
slot that the policy names for payouts. Both move money between the bank and one member, so the
bank's account is below 0 by exactly what circulates.

    deposit   member, amount_utok   by a key with the office of the bank; answer {minted_utok}
    payout    amount_utok           the member; takes the place of what he asked for before;
                                    answer {asked_utok, slot_ms}
    withdraw                        the member takes that back; answer {asked_utok: 0}

Who has less by then than he asked for is paid what he has, and the rest waits for the next time.
Source: paper 002, section 4: the bank mints tokens, and pays them out at intervals.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from hub.balancing.supply import ENDED, SUPPLY
from hub.core.asking import Answer, Methods, Request, is_member, serve
from hub.core.draft import Draft
from hub.core.effects import Line
from hub.core.events import Event
from hub.core.money import transfer
from hub.core.pricing import policy_at
from hub.core.records import Policy
from hub.core.state import State
from hub.market.contract import BANK
from hub.market.errors import CallRefused
from messages.banking import DEPOSIT, PAYOUT, WITHDRAW, BankRules, usual_bank_rules
from messages.entries import Call


class Banked(NamedTuple):
    """What a call to the bank is answered, and the money it moved."""

    answer: Answer
    lines: tuple[Line, ...] = ()


def keep_bank(draft: Draft, event: Event, call: Call, next_slot_ms: int) -> Banked:
    """Serve one call, book what it moves, and return that.

    Raises:
        CallRefused: the text says why; the draft is to be thrown away.
    """
    banked = serve(draft, event, call, next_slot_ms, _METHODS)
    draft.book(banked.lines)
    return banked


def pay_out(draft: Draft, slot_ms: int) -> tuple[Line, ...]:
    """Burn, as a slot closes and is settled, what members asked to be paid; by their names."""
    state, rules = draft.state, bank_rules_at(draft.state, slot_ms)
    lines: list[Line] = []
    if rules.pays_after(slot_ms, state.slot_ms):
        for member, asked_utok in sorted(state.payouts.items()):
            amount = min(asked_utok, rules.payout_max_utok, max(draft.balance(member), 0))
            if amount:
                draft.put("payout", member, asked_utok - amount or None)
                lines += transfer(member, BANK, amount, PAYOUT)
    draft.book(lines)
    return tuple(lines)


def bank_rules_at(state: State, slot_ms: int) -> BankRules:
    """Return the bank's rules in a slot."""
    policy = policy_at(state, slot_ms)
    if policy is None or policy.bank is None:
        return usual_bank_rules(state.slot_ms)
    return BankRules(*policy.bank)


def supply_of(state: State, policy: Policy, member: str) -> str:
    """Return the market's word on a member's supply (`hub.balancing.supply`); "": all is well.

    A contract that ended it sees a deposit only when the next slot closes; until then it counts
    here, so that relays close at once.
    """
    row = state.memory.get((policy.contract, f"{SUPPLY}{member}"))
    if not isinstance(row, str) or (row == ENDED and state.accounts.get(member, 0) > 0):
        return ""
    return row


def circulating_utok(balances: Mapping[str, int]) -> int:
    """Return what the bank has minted and not burned. [utok]"""
    return -balances.get(BANK, 0)


def _deposit(asked: Request) -> Banked:
    member, amount, rules = asked.text("member"), asked.number("amount_utok"), _rules(asked)
    if not is_member(asked.draft, member):
        raise CallRefused(f"no member {member!r} has a key that counts")
    if not 1 <= amount <= rules.deposit_max_utok:
        raise CallRefused(f"a deposit is of 1 to {rules.deposit_max_utok} utok, not {amount}")
    room = rules.circulating_max_utok - circulating_utok(asked.draft.state.accounts)
    if amount > room:
        raise CallRefused(
            f"{rules.circulating_max_utok} utok circulate at most: there is room for {max(room, 0)}"
        )
    return Banked({"minted_utok": amount}, transfer(BANK, member, amount, DEPOSIT))


def _payout(asked: Request) -> Banked:
    amount, rules = asked.number("amount_utok"), _rules(asked)
    if not rules.payout_min_utok <= amount <= rules.payout_max_utok:
        raise CallRefused(
            f"a payout is of {rules.payout_min_utok} to {rules.payout_max_utok} utok, not {amount}"
        )
    balance = asked.draft.balance(asked.member)
    if amount > balance:
        raise CallRefused(f"your balance is {balance} utok, not {amount}")
    asked.draft.put("payout", asked.member, amount)
    length_ms = asked.draft.state.slot_ms
    slot_ms = rules.next_payout_ms(asked.next_slot_ms, length_ms)
    return Banked({"asked_utok": amount, "slot_ms": slot_ms})


def _withdraw(asked: Request) -> Banked:
    if asked.draft.row("payout", asked.member) is None:
        raise CallRefused(f"{asked.member} waits for no payout")
    asked.draft.put("payout", asked.member, None)
    return Banked({"asked_utok": 0})


_METHODS: Final[Methods[Banked]] = {
    DEPOSIT: (("member", "amount_utok"), _deposit),
    PAYOUT: (("amount_utok",), _payout),
    WITHDRAW: ((), _withdraw),
}


def _rules(asked: Request) -> BankRules:
    return bank_rules_at(asked.draft.state, asked.next_slot_ms)
