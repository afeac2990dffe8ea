"""Who lies in the book, as others see it: under the next slot's names, in the order of those."""

from __future__ import annotations

import pytest

from hub.core.disclosing import NOBODY, Asker
from hub.core.pseudonyms import pseudonyms
from hub.core.state import Change
from hub.lens import lens_of
from hub.market.orderbook import Sealed
from hub.web.orders import shown_book
from tests.support.village import HOUR, Village

PEOPLE = ("ann", "bob", "col", "dan")


def village(disclosure: str) -> Village:
    """Four members, each with a sealed order; slot 0 is closed."""
    found = Village(disclosure=disclosure, pseudonyms="fresh")
    for name in PEOPLE:
        found.person(name)
        row = (tuple(Sealed("4f72646572", HOUR, b"c" * 32, 1)),)
        found.state.apply([Change("memory", ("double_auction", f"sealed.{name}"), row)])
    found.meter("m", "ann", "consumption")
    found.read("m", 0, imported=0)
    found.read("m", 1, imported=1)
    found.close(0)
    return found


def test_names_are_those_of_the_slot_and_their_order_tells_nothing() -> None:
    state = village("pseudonymous_offers").state
    shown = [row["member"] for row in shown_book(state, lens_of(state, NOBODY))]
    fresh = pseudonyms(state, HOUR)
    assert shown == sorted(fresh[name] for name in PEOPLE)
    assert not set(shown) & set(pseudonyms(state).values())


@pytest.mark.parametrize(
    ("disclosure", "asker", "names"),
    [
        ("open", NOBODY, list(PEOPLE)),
        ("totals", NOBODY, []),
        ("totals", Asker("member", "col"), ["col"]),
    ],
)
def test_who_may_see_no_trade_sees_his_own_orders(
    disclosure: str, asker: Asker, names: list[str]
) -> None:
    state = village(disclosure).state
    assert [row["member"] for row in shown_book(state, lens_of(state, asker))] == names
