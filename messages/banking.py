"""The bank: the words of its calls, and what a policy says of deposits and payouts. No state.

The bank mints tokens against a deposit, and burns them when it pays out, both outside of this
ledger; so its account is below 0 by exactly what circulates.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

CONTRACT: Final = "bank"
"""What a call names to reach it; every policy has it, whatever its market is."""
DEPOSIT: Final = "deposit"
PAYOUT: Final = "payout"
WITHDRAW: Final = "withdraw"

DAY_MS: Final = 86_400_000
SLOTS_MAX: Final = 100_000
AMOUNT_UTOK_MAX: Final = 10**15


@dataclass(frozen=True, slots=True)
class BankRules:
    """When the bank pays out, and how much it moves at most. [slots, utok]

    Payouts go out with the close of each `payout_slots`-th slot, counted from 1970. Least and most
    are for one member and one such day; `circulating_max_utok` is for all that circulates.
    """

    payout_slots: int
    payout_min_utok: int = 1
    payout_max_utok: int = AMOUNT_UTOK_MAX
    deposit_max_utok: int = AMOUNT_UTOK_MAX
    circulating_max_utok: int = AMOUNT_UTOK_MAX

    def pays_after(self, slot_ms: int, length_ms: int) -> bool:
        """Whether payouts go out with the close of a slot.

        >>> [BankRules(4).pays_after(slot * 900_000, 900_000) for slot in range(5)]
        [False, False, False, True, False]
        """
        return (slot_ms // length_ms + 1) % self.payout_slots == 0

    def next_payout_ms(self, slot_ms: int, length_ms: int) -> int:
        """Return the first slot from one on with which payouts go out. [ms UTC]

        >>> BankRules(4).next_payout_ms(900_000, 900_000)
        2700000
        """
        return slot_ms + -(slot_ms // length_ms + 1) % self.payout_slots * length_ms


def usual_bank_rules(slot_ms: int) -> BankRules:
    """Return those of a microgrid that agreed on no others: once a day at most, no limits.

    >>> usual_bank_rules(900_000).payout_slots
    96
    """
    return BankRules(max(DAY_MS // slot_ms, 1))


def bank_rules_fault(rules: BankRules) -> str:
    """Say why nobody could follow these rules; "" if everybody can."""
    if not 1 <= rules.payout_slots <= SLOTS_MAX:
        return f"bank: payout_slots is from 1 to {SLOTS_MAX}"
    for each in fields(rules)[1:]:
        if not 1 <= getattr(rules, each.name) <= AMOUNT_UTOK_MAX:
            return f"bank: {each.name} is from 1 to {AMOUNT_UTOK_MAX}"
    if rules.payout_min_utok > rules.payout_max_utok:
        return "bank: payout_min_utok is at most payout_max_utok"
    return ""
