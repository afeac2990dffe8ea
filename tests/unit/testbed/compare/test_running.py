"""One contract over a few slots, to the micro-token, and all figures of it."""

import pytest

from hub.market.contract import Clearing
from testbed.compare.ledgersize import slots_bytes
from testbed.compare.playing import Settings
from testbed.compare.running import GRID_ONLY, run_contract
from tests.support.compared import KWH, PRICES, small_comparison

(SECTION,) = small_comparison().sections
DEP, AUCTION = SECTION.results


def test_the_grid_alone_is_everybody_at_the_tariff() -> None:
    assert SECTION.grid_only.cost_utok == {
        "ann": 300_000 - 4 * 100_000 + 300_000,
        "bob": 6 * 300_000,
        "cia": 7 * 300_000,
    }
    figures = SECTION.grid_only.figures
    assert (figures.contract, figures.matched_uwh, figures.losers) == (GRID_ONLY, 0, 0)
    assert figures.import_uwh == 15 * KWH
    assert figures.export_uwh == 4 * KWH
    assert figures.peak_to_average == pytest.approx(6 * 4 / 15)


def test_dep_balance_sells_at_the_tariff_against_bobs_limit() -> None:
    assert DEP.saved_utok == {"ann": 3 * 200_000, "bob": 0, "cia": 0}
    figures = DEP.figures
    assert (figures.unfair_members, figures.unfair_uwh) == (1, KWH)
    assert figures.matched_uwh == 3 * KWH
    assert figures.peak_to_average == pytest.approx(6 * 4 / 12)


def test_the_auction_finds_the_one_price() -> None:
    # bob bids 0.2, cia 0.3, ann asks 0.1: the margin is bob, the price their mean.
    assert AUCTION.run.tally.series.price_utok_per_kwh == [None, 150_000, None, None]
    assert AUCTION.saved_utok == {"ann": 3 * 50_000, "bob": 150_000, "cia": 2 * 150_000}
    figures = AUCTION.figures
    assert figures.welfare_tokens == pytest.approx(1 * 0.1 + 2 * 0.2)
    assert figures.welfare_share == pytest.approx(1.0)
    assert (figures.unfair_members, figures.losers) == (0, 0)
    assert figures.cost_utok == SECTION.grid_only.figures.cost_utok - 600_000
    assert figures.possible_share == pytest.approx(1.0)


def test_places_and_sources_are_counted() -> None:
    figures = AUCTION.figures
    assert figures.kwh_km == pytest.approx(1 * 0.5 + 2 * 1.0)
    assert figures.mean_km == pytest.approx(2.5 / 3)
    assert figures.same_area_share == pytest.approx(1 / 3)
    # ann and bob have panels in the file; bob's were dropped.
    assert figures.co2_kg == pytest.approx((12 * 300 + 6 * 40) / 1000)
    assert figures.self_consumption == pytest.approx(5 / 6)
    assert figures.self_sufficiency == pytest.approx(1 - 12 / 17)


def test_energy_and_money_stay_in_the_house() -> None:
    for result in (SECTION.grid_only, DEP, AUCTION):
        assert result.figures.energy_conserved
        assert result.figures.money_conserved
        assert sum(result.run.tally.cost_utok.values()) == 0


def test_orders_are_entries_of_the_ledger() -> None:
    assert DEP.figures.calls == 0
    assert DEP.figures.ledger_bytes == slots_bytes(SECTION.community)
    # Two standing orders a member, since no price of the tariff changes.
    assert AUCTION.figures.calls == 6
    weight = (AUCTION.figures.ledger_bytes - DEP.figures.ledger_bytes) / 6
    assert 150 < weight < 400


class Leaky:
    """Gives energy away that nobody has."""

    name = "leaky"

    def check(self, parameters: object) -> None:
        """Take anything."""

    def clear(self, book: object, budget: object) -> Clearing:
        return Clearing()

    def call(self, request: object, budget: object) -> object:
        raise NotImplementedError


def test_a_contract_that_fails_is_settled_with_the_grid_and_counted() -> None:
    seen: list[int] = []
    rows = SECTION.community
    run = run_contract(rows, PRICES, Settings("leaky"), {"leaky": Leaky}, seen.append)
    assert seen == [1, 2, 3, 4]
    assert sum(run.tally.failures.values()) == 4
    assert run.tally.cost_utok == SECTION.grid_only.run.tally.cost_utok
