"""Pairing moves all that can be moved, and the order of the claims is of no account."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hub.matching import Claim, pair

amounts = st.lists(st.integers(0, 20) | st.integers(0, 10**15), max_size=12)


def claims(prefix: str, values: list[int]) -> list[Claim]:
    return [Claim(f"{prefix}{n}", f"who-{prefix}{n}", value) for n, value in enumerate(values)]


@given(amounts, amounts)
def test_all_that_can_be_traded_is(over: list[int], under: list[int]) -> None:
    surpluses, deficits = claims("s", over), claims("d", under)
    deals = pair(surpluses, deficits)
    assert sum(deal.amount for deal in deals) == min(sum(over), sum(under))
    assert len(deals) < max(len(over) + len(under), 1)
    given_out: Counter[str] = Counter()
    taken: Counter[str] = Counter()
    for deal in deals:
        assert deal.amount > 0
        given_out[deal.surplus.meter_id] += deal.amount
        taken[deal.deficit.meter_id] += deal.amount
    assert all(given_out[claim.meter_id] <= claim.amount for claim in surpluses)
    assert all(taken[claim.meter_id] <= claim.amount for claim in deficits)


@given(amounts, amounts, st.randoms(use_true_random=False))
def test_the_order_of_claims_does_not_matter(
    over: list[int], under: list[int], random: Any
) -> None:
    surpluses, deficits = claims("s", over), claims("d", under)
    deals = pair(surpluses, deficits)
    random.shuffle(surpluses)
    random.shuffle(deficits)
    assert pair(surpluses, deficits) == deals


@given(amounts, amounts)
def test_it_is_the_rule_of_the_paper_played_slowly(over: list[int], under: list[int]) -> None:
    left_over = {claim: claim.amount for claim in claims("s", over) if claim.amount}
    left_under = {claim: claim.amount for claim in claims("d", under) if claim.amount}
    expected = []
    while left_over and left_under:
        giver = min(left_over, key=lambda c: (-left_over[c], c.meter_id, c.member))
        taker = min(left_under, key=lambda c: (-left_under[c], c.meter_id, c.member))
        amount = min(left_over[giver], left_under[taker])
        expected.append((giver, taker, amount))
        for left, claim in ((left_over, giver), (left_under, taker)):
            left[claim] -= amount
            if not left[claim]:
                del left[claim]
    assert list(pair(claims("s", over), claims("d", under))) == expected
