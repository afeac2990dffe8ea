"""Every figure against numbers worked out by hand."""

import pytest

from hub.market.contract import Position, Tariff
from testbed.compare import metrics
from testbed.compare.battery import Battery
from testbed.compare.community import community
from testbed.compare.members import Member
from testbed.compare.optimum import least_cost, most_welfare, trades_of
from testbed.homes import Home, Homes

KWH = 1_000_000_000
HOUR = 3_600_000


def test_peak_to_average() -> None:
    assert metrics.peak_to_average([4, 0, 2, 2]) == 2.0
    assert metrics.peak_to_average([0, 0]) is None


def test_shares_of_what_was_generated_and_consumed() -> None:
    assert metrics.self_consumption(10, 4) == 0.6
    assert metrics.self_consumption(0, 0) is None
    assert metrics.self_sufficiency(8, 2) == 0.75
    assert metrics.self_sufficiency(0, 0) is None


def test_gini_by_its_definition() -> None:
    values = [3, 0, -1, 10, 2]
    pairs = sum(abs(a - b) for a in values for b in values)
    assert metrics.gini(values) == pytest.approx(pairs / (2 * len(values) * sum(values)))
    assert metrics.gini([1, -1]) is None
    assert metrics.gini([]) is None


def test_savings_losers_and_groups() -> None:
    saved = metrics.savings({"a": 10, "b": -5, "c": 7}, {"a": 7, "b": -4, "c": 7})
    assert saved == {"a": 3, "b": -1, "c": 0}
    assert metrics.losers(saved, {}) == ("b",)
    assert metrics.losers(saved, {"b": 2}) == ()
    assert metrics.by_group({"a": "y", "b": "x", "c": "y"}, saved) == {"x": -1, "y": 3}


def test_co2_counts_what_stands_in_the_table() -> None:
    energies = {"grid": 2 * KWH, "solar": 3 * KWH, "unheard of": KWH}
    assert metrics.co2_g(energies, {"grid": 300, "solar": 40}) == 720.0


def test_a_kwh_goes_so_far() -> None:
    assert metrics.mean_km(1500 * KWH, KWH) == 1.5
    assert metrics.mean_km(0, 0) is None


def homes(*rows: tuple[str, list[int], list[int]]) -> Homes:
    found = tuple(Home(name, consumed, made) for name, consumed, made in rows)
    return Homes(found, len(rows[0][1]), HOUR)


def test_highs_finds_the_welfare_of_the_best_pairs() -> None:
    members = (
        Member("cheap", ask_utok_per_kwh=100_000),
        Member("dear", ask_utok_per_kwh=240_000),
        Member("keen", bid_utok_per_kwh=300_000),
        Member("shy", bid_utok_per_kwh=150_000),
    )
    rows = community(homes(*((each.home, [0], [0]) for each in members)), members)
    positions = (
        Position("cheap", "", "", 2 * KWH, 0),
        Position("dear", "", "", 2 * KWH, 0),
        Position("keen", "", "", 0, 3 * KWH),
        Position("shy", "", "", 0, KWH),
    )
    trades = trades_of(0, positions, rows, Tariff(220_000, 80_000))
    # keen buys 2 kWh of cheap and 1 of dear; shy reaches nobody who is left.
    assert most_welfare(trades) == pytest.approx(2 * 0.2 + 1 * 0.06)
    assert most_welfare(trades[:2]) == 0.0
    assert most_welfare([]) == 0.0


def test_slots_of_one_program_do_not_touch_each_other() -> None:
    members = (Member("a"), Member("b"))
    rows = community(homes(("a", [0, 0], [0, 0]), ("b", [0, 0], [0, 0])), members)
    tariff = Tariff(300_000, 100_000)
    over = Position("a", "", "", KWH, 0)
    under = Position("b", "", "", 0, KWH)
    apart = trades_of(0, (over,), rows, tariff) + trades_of(1, (under,), rows, tariff)
    assert most_welfare(apart) == 0.0
    assert most_welfare(apart + trades_of(1, (over,), rows, tariff)) == pytest.approx(0.2)


TARIFFS = (Tariff(200_000, 50_000), Tariff(400_000, 50_000))


def test_the_least_cost_without_batteries_is_one_meter_for_all() -> None:
    pooled = homes(("a", [KWH, 3 * KWH], [0, KWH]), ("b", [0, 0], [3 * KWH, 0]))
    rows = community(pooled, (Member("a"), Member("b")))
    found = least_cost(rows, TARIFFS)
    assert found is not None
    assert found.cost_tokens == pytest.approx(-2 * 0.05 + 2 * 0.4)
    assert found.import_kwh == pytest.approx(2)


def test_the_least_cost_moves_energy_to_the_dear_slot() -> None:
    battery = Battery(KWH, 1_000_000, 80)
    rows = community(homes(("a", [KWH, KWH], [0, 0])), (Member("a", battery=battery),))
    # 1 kWh more at 0.2 leaves 0.8 in the battery, and 0.64 at its terminals at 0.4.
    found = least_cost(rows, TARIFFS)
    assert found is not None
    assert found.cost_tokens == pytest.approx(2 * 0.2 + 0.36 * 0.4)
