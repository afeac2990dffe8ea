"""Table 2 of paper 003, measured: an auction in every slot against a schedule for the day.

Salian et al. compare them in words: Low, High, Easy, Complex. Here the auction is `pooled_auction`
with a forecast, through the hub's own checks and settlement. The schedule is the one that HiGHS
finds for all homes as one house: what ADMM converges to, and no rounds of it.

    python -m bench paper003 [--homes FILE]
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from importlib.resources import as_file, files
from pathlib import Path

from bench.figure import Figure, Target
from hub.market.catalog import CONTRACTS
from hub.market.contract import Position, Tariff
from testbed.compare import optimum
from testbed.compare.battery import Battery
from testbed.compare.community import Community, community
from testbed.compare.forecasting import PERSISTENCE
from testbed.compare.ledgersize import enrolment_bytes
from testbed.compare.members import every_third, plain_members, with_battery
from testbed.compare.playing import Settings
from testbed.compare.running import GRID_ONLY, Run, run_contract
from testbed.compare.shaping import first_days
from testbed.compare.tariff import Prices, load_prices
from testbed.homes import Home, Homes, read_homes
from testbed.killed_round import killings

AUCTION, UNIFORM = "pooled_auction", "double_auction"
BATTERY = Battery(5_000_000_000, 2_500_000)
KWH = 1e9
TOKEN = 1e6
NOON_MIN = 720


def run(*, quick: bool, homes: Path | None) -> Iterator[Figure]:
    """Yield the rows of the table, in its order."""
    found = _read(homes)
    names = [home.name for home in found.homes]
    members = with_battery(plain_members(names, every_third(names)), BATTERY)
    prices = load_prices(None)
    rows = community(found, members)
    yield from _computing(rows, community(first_days(found, 1), members), prices)
    yield from _power_failure(each=1 if quick else 5)
    yield from _new_member(found, prices)
    yield from _interaction(rows, prices)
    yield from _error(rows)


def _read(path: Path | None) -> Homes:
    if path is not None:
        return read_homes(path)
    with as_file(files("testbed.compare") / "example_homes.csv") as shipped:
        return read_homes(shipped)


def _auction(rows: Community, prices: Prices, forecast: str = PERSISTENCE) -> Run:
    return run_contract(rows, prices, Settings(AUCTION, forecast=forecast), CONTRACTS, _silent)


def _silent(done: int) -> None:
    del done


# --- throughput ----------------------------------------------------------------------------------


def _computing(rows: Community, day: Community, prices: Prices) -> Iterator[Figure]:
    """Time to the final trade: each slot of an auction, and all slots of a day's schedule."""
    note = f"{len(rows.households)} homes"
    spent_s = _auction(rows, prices).clearing_s
    yield Figure("auction: computing time of a slot", spent_s * 1000 / rows.slots, "ms", None, note)
    a_day = spent_s * 1000 / rows.slots * rows.slots_a_day
    yield Figure("auction: computing time of a day", a_day, "ms", None, note)
    optimum.least_cost(day, _tariffs(day, prices))  # loads the solver
    start_s = time.perf_counter()
    optimum.least_cost(day, _tariffs(day, prices))
    took_ms = (time.perf_counter() - start_s) * 1000
    yield Figure("schedule: computing time of a day", took_ms, "ms", None, f"{note}, by HiGHS")


def _tariffs(rows: Community, prices: Prices) -> Sequence[Tariff]:
    return [prices.at(rows.at_ms(slot)) for slot in range(rows.slots)]


# --- impact of power failure ---------------------------------------------------------------------


def _power_failure(*, each: int) -> Iterator[Figure]:
    """What a hub loses that is killed while it takes bids, opens them, and settles."""
    none = Target("at most", 0)
    found = list(killings(each))
    note = f"{len(found)} kills"
    lost = sum(one.bids_lost for one in found)
    yield Figure("auction: bids lost that the hub had acknowledged", lost, "", none, note)
    worst = max(one.unsettled_uwh for one in found) / KWH
    yield Figure("auction: energy unsettled while the hub is dead, at worst", worst, "kWh")
    after = sum(one.unsettled_after_uwh for one in found) / KWH
    yield Figure("auction: energy unsettled once it is back", after, "kWh", none, note)
    other = sum(not one.same_state for one in found)
    yield Figure("auction: kills after which the state is another", other, "", none, note)
    slowest = max(one.back_s for one in found)
    yield Figure("auction: hub back, ledger and state open, at worst", slowest, "s")


# --- addition of nodes ---------------------------------------------------------------------------


def _new_member(found: Homes, prices: Prices) -> Iterator[Figure]:
    """What it costs to join at noon: the rest of each day in the auction, or at the tariff.

    Before noon the newcomer has no meter. Who joins a schedule of the day buys at the tariff until
    the next one is made. The auction is the one with one price for all: where winners pay their
    own bids, and bid the tariff, nobody gains by buying.
    """
    newcomer = found.homes[-1].name
    late = Homes(
        tuple(_from_noon(home, found) if home.name == newcomer else home for home in found.homes),
        found.slots,
        found.slot_ms,
        found.start_minute,
    )
    names = [home.name for home in found.homes]
    rows = community(late, with_battery(plain_members(names, (newcomer,)), BATTERY))
    days = rows.slots / rows.slots_a_day
    alone = run_contract(rows, prices, Settings(GRID_ONLY), {}, _silent).tally.cost_utok[newcomer]
    uniform = run_contract(rows, prices, Settings(UNIFORM), CONTRACTS, _silent)
    dealt = uniform.tally.cost_utok[newcomer]
    for name, utok in (("auction", dealt), ("schedule", alone)):
        title = f"{name}: what a member pays who joins at noon"
        yield Figure(title, utok / TOKEN / days, "tokens a day", None, "mean of all days")
    yield Figure("both: entries that a new member with a meter is", enrolment_bytes(), "bytes")


def _from_noon(home: Home, found: Homes) -> Home:
    def kept(energies: list[int]) -> list[int]:
        return [
            energy if _minute(found, slot) >= NOON_MIN else 0
            for slot, energy in enumerate(energies)
        ]

    return Home(home.name, kept(home.consumption_uwh), kept(home.generation_uwh))


def _minute(found: Homes, slot: int) -> int:
    return (found.start_minute + slot * found.slot_ms // 60_000) % 1440


# --- interaction of nodes ------------------------------------------------------------------------


def _interaction(rows: Community, prices: Prices) -> Iterator[Figure]:
    """Energy traded by competition against cooperation, and what all pay."""
    best = optimum.least_cost(rows, _tariffs(rows, prices))
    for forecast in ("perfect foresight", PERSISTENCE):
        tally = _auction(rows, prices, forecast).tally
        traded = sum(tally.series.matched_uwh) / KWH
        yield Figure(f"competition, {forecast}: energy traded", traded, "kWh")
        paid = sum(tally.cost_utok.get(name, 0) for name in rows.members) / TOKEN
        yield Figure(f"competition, {forecast}: all pay", paid, "tokens")
    if best is not None:
        yield Figure("cooperation: energy traded", best.traded_kwh, "kWh", None, "one optimum")
        yield Figure("cooperation: all pay", best.cost_tokens, "tokens")


# --- margin of error -----------------------------------------------------------------------------


def _error(rows: Community) -> Iterator[Figure]:
    """How far what was ordered or scheduled lies from the meters, and how far what is billed.

    An auction whose gate closes a slot ahead may expect the last slot again; a schedule of the day
    ahead expects the same slot of the day before.
    """
    yield Figure("auction: ordered a slot ahead, off the meters by", _off(rows, 1), "%")
    yield Figure("schedule: a day ahead, off the meters by", _off(rows, rows.slots_a_day), "%")
    prices = load_prices(None)
    tally = _auction(rows, prices).tally
    lacked = sum(each.deficit_uwh for slot in range(rows.slots) for each in rows.positions(slot))
    billed = sum(tally.series.matched_uwh) + sum(tally.series.import_uwh)
    error = Target("at most", 0)
    yield Figure("both: energy billed less energy metered", abs(billed - lacked), "uWh", error)


def _off(rows: Community, slots: int) -> float:
    """Return the sum of all differences from what was so many slots before, over all energy."""
    first = rows.slots_a_day
    off = whole = 0
    for slot in range(first, rows.slots):
        for here, before in zip(rows.positions(slot), rows.positions(slot - slots), strict=True):
            off += abs(_net(here) - _net(before))
            whole += abs(_net(here))
    return 100 * off / whole if whole else 0.0


def _net(position: Position) -> int:
    return position.consumed_uwh - position.generated_uwh
