"""Disputes over lines of a bill: the words, what a community agrees on, how each ends. No state.

A member disputes a line; the amount goes from the other side of that line to `HELD`, an account of
its own, until it is ruled on. It goes to the claimant, back to the respondent, or is split.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CONTRACT: Final = "disputes"
"""What a call names to reach them; every policy has them."""
HELD: Final = "@held"
"""Account of what is in dispute; it holds exactly the sum of all open disputes."""

OPEN: Final = "held"
ANSWERED: Final = "answered"
UPHELD: Final = "upheld"
DISMISSED: Final = "dismissed"
SPLIT: Final = "split"
EVENTS: Final = (OPEN, ANSWERED, UPHELD, DISMISSED, SPLIT)

UPHOLD: Final = "uphold"
DISMISS: Final = "dismiss"
HALVE: Final = "halve"
ENDINGS: Final = (UPHOLD, DISMISS, HALVE)
"""What a policy lets happen to a dispute that nobody ruled on in time."""

SLOTS_MAX: Final = 100_000
REASON_CHARS_MAX: Final = 280
DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class DisputeRules:
    """How many slots after its own a line can be disputed, and a dispute ruled on after it began.

    `unruled`: what becomes of one without a ruling: "uphold", "dismiss" or "halve".
    """

    within_slots: int
    rule_slots: int
    unruled: str = DISMISS


def usual_rules(slot_ms: int) -> DisputeRules:
    """Return those of a microgrid that agreed on no others: 31 days for each, within bounds.

    >>> usual_rules(900_000)
    DisputeRules(within_slots=2976, rule_slots=2976, unruled='dismiss')
    """
    slots = max(1, min(31 * DAY_MS // slot_ms, 2_976))
    return DisputeRules(slots, slots)


def dispute_rules_fault(rules: DisputeRules) -> str:
    """Say why nobody could follow these rules; "" if everybody can."""
    for name in ("within_slots", "rule_slots"):
        if not 1 <= getattr(rules, name) <= SLOTS_MAX:
            return f"disputes: {name} is from 1 to {SLOTS_MAX}"
    if rules.unruled not in ENDINGS:
        return f"disputes: unruled is one of {', '.join(ENDINGS)}"
    return ""


def half(amount_utok: int) -> int:
    """Return the claimant's part of a halved amount; the odd micro-token stays with the other."""
    return amount_utok // 2
