"""A device that joins while the microgrid runs trades in its first whole slot; nothing restarts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.ledger.books import MatchRow
from hub.ledger.store import Store
from messages import cose
from messages.reading import Reading, parse_reading
from tests.support.paired import Paired, paired_microgrid, wait_until

SLOT_MS = 4_000


@pytest.fixture
def grid(tmp_path: Path) -> Iterator[Paired]:
    with paired_microgrid(tmp_path, SLOT_MS) as made:
        yield made


def matches(grid: Paired) -> list[MatchRow]:
    with Store.open(grid.config.database, read_only=True) as store:
        return sorted(store.books.all(MatchRow), key=lambda row: row.slot_ms)


def readings(grid: Paired, meter_id: str) -> list[Reading]:
    with Store.open(grid.config.database, read_only=True) as store:
        raws = [entry.raw for entry in store.entries() if entry.stream == "register"]
    found = (parse_reading(cose.parse(raw)) for raw in raws)
    return [reading for reading in found if reading.meter_id == meter_id]


def test_a_plant_that_joins_sells_in_its_first_whole_slot(grid: Paired) -> None:
    grid.start_broker()
    hub = grid.start_hub()
    house = grid.node("dep1", "bob", "consumption")
    grid.paired("dep1", house)
    running = grid.run_edge(house)
    wait_until(lambda: grid.stored("dep1-consumption") >= 2, "a slot of the house alone")
    assert matches(grid) == []

    plant = grid.node("dep2", "alice", "generation")
    grid.paired("dep2", plant)
    grid.run_edge(plant)
    wait_until(lambda: matches(grid), "a sale")

    first, *_ = readings(grid, "dep2-generation")
    sale, *_ = matches(grid)
    assert (sale.seller, sale.buyer) == ("alice", "bob")
    assert sale.slot_ms == first.at_ms, "it sold in the slot that its first register began"
    assert sale.energy_uwh > 0
    assert hub.process.poll() is None
    assert running.process.poll() is None
    told = grid.hub("members").stdout
    assert "dep2-generation@bench." in told
    (line,) = [each for each in told.splitlines() if "dep2-generation@bench." in each]
    assert line.split()[2:6] == ["generation", "solar", "Upper", "Mill"]
    hub.stop()
    audited = grid.hub("audit")
    assert audited.returncode == 0, audited.stdout + audited.stderr
