"""Sharing at one price: in proportion, to the last uWh, between feed-in price and tariff."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.market.contract import Tariff
from hub.market.errors import BadParameter
from hub.market.parameters import weighed, weights_complaint
from hub.market.sharing import PriceRules, dealt_out

amounts = st.lists(st.integers(0, 5) | st.integers(0, 10**15), max_size=8)


@pytest.mark.parametrize(
    ("percent", "tariff", "charge", "price"),
    [
        (0, Tariff(300, 100), 0, 100),
        (50, Tariff(301, 100), 0, 200),
        (100, Tariff(300, 100), 0, 300),
        (100, Tariff(300, 100), 20, 280),
        (100, Tariff(300, 100), 201, None),
        (50, Tariff(100, 300), 0, None),
        (100, Tariff(300, 100, 0, 120), 0, 120),
        (0, Tariff(300, 100, 150, 10**8), 0, 150),
        (50, Tariff(300, 100, 0, 99), 0, None),
    ],
)
def test_the_price_suits_both_sides_and_the_policy(
    percent: int, tariff: Tariff, charge: int, price: int | None
) -> None:
    assert PriceRules(percent).price_utok_per_kwh(tariff, charge) == price


@given(amounts, amounts)
def test_it_is_dealt_out_until_one_side_is_empty(wanted: list[int], offered: list[int]) -> None:
    got, gave = [0] * len(wanted), [0] * len(offered)
    for who, place, amount in dealt_out(wanted, offered):
        assert amount > 0
        got[who] += amount
        gave[place] += amount
    assert sum(got) == min(sum(wanted), sum(offered)) == sum(gave)
    assert all(have <= want for have, want in zip(got, wanted, strict=True))
    assert all(have <= want for have, want in zip(gave, offered, strict=True))


def test_shares_are_names_with_numbers() -> None:
    assert weighed("ann:60, bob:40,ann:1") == {"ann": 61, "bob": 40}
    assert weights_complaint("ann:60") == ""
    for wrong in ("ann", "ann:-1", ":3", "ann:²", "ann:1.5"):
        assert weights_complaint(wrong) == 'names with shares, "ann:60, bob:40"'
        with pytest.raises(BadParameter, match="shares are names with a whole number"):
            weighed(wrong)
