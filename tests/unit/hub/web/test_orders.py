"""Who lies in the book, as others see it: under the next slot's names, in the order of those."""

from __future__ import annotations

from typing import Any

import pytest

from hub.core.disclosing import NOBODY, Asker
from hub.core.pseudonyms import pseudonyms
from hub.core.state import Change, State
from hub.lens import lens_of
from hub.market.contracts.dep_balance import DepBalance
from hub.market.orderbook import Laid, Sealed
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


def waiting_in(contract: str, **rows: Any) -> State:
    state = village("open").state
    state.apply(
        [Change("memory", (contract, key.replace("_", ".")), row) for key, row in rows.items()]
    )
    for name in PEOPLE:
        state.apply([Change("memory", ("double_auction", f"sealed.{name}"), None)])
    return state


def test_listings_are_shown_under_their_own_pseudonyms_but_to_their_members() -> None:
    row = (("9c1f", "ann", "ask", 5, 3, 200_000, 7), ("77aa", "bob", "bid", 5, 0, 1, 8))
    state = waiting_in("listing", board_000000003600000=(row, ()))
    (shown,) = shown_book(state, lens_of(state, NOBODY))
    assert shown == {
        "member": "9c1f",
        "order_id": "9c1f",
        "side": "ask",
        "energy_uwh": 3,
        "price_utok_per_kwh": 200_000,
        "from_ms": HOUR,
        "until_ms": 2 * HOUR,
        "alias": "",
    }
    (own,) = shown_book(state, lens_of(state, Asker("member", "ann")))
    assert own["member"] == "ann"


def test_what_a_storage_has_on_sale_and_owes() -> None:
    bought = ("aa", "ann", "bob", 4, 210_000, 1, HOUR, 9 * HOUR)
    state = waiting_in(
        "storage_escrow", sale_07=("ann", 200_000, 5), bought_000000000000009=bought, credit_ann=3
    )
    shown = shown_book(state, lens_of(state, NOBODY))
    rows = [(row["member"], row["side"], row["energy_uwh"], row["until_ms"]) for row in shown]
    assert rows == [("ann", "ask", 5, None), ("bob", "bid", 4, 9 * HOUR)]


def test_a_row_that_is_none_of_the_market_s_is_passed_over() -> None:
    assert shown_book(waiting_in("listing", board_x=5), lens_of(State(), NOBODY)) == []


class Lottery(DepBalance):
    """A market of somebody's own."""

    def waiting(self, memory: Any, length_ms: int) -> Any:
        yield Laid("ann", "ticket", "bid", memory["tickets"], 1, 0, length_ms)


def test_a_market_of_one_s_own_says_what_waits() -> None:
    state = waiting_in("lottery", tickets=5)
    lens = lens_of(state, NOBODY)
    assert shown_book(state, lens) == []
    (shown,) = shown_book(state, lens, {"lottery": Lottery})
    assert (shown["order_id"], shown["energy_uwh"], shown["until_ms"]) == ("ticket", 5, HOUR)
