"""`gridtally-hub key feeder` and `feed`: facts signed by commands, and shown with their age."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hub.cli import app
from hub.feeds.showing import FactSeen, facts_seen
from hub.vault.desk import read_state
from keys.file import generate
from tests.support.hub_bench import SLOT_MS, START_MS
from tests.support.vault_bench import Community

NEXT_MS = START_MS + SLOT_MS
NEXT = "2025-10-09T08:55Z"
FACTS = ("--fact", "price=utok_per_kwh", "--fact", "co2=g_per_kwh")


class Station:
    """A community and the key of a feeder, `meteo`, that is enrolled."""

    def __init__(self, folder: Path) -> None:
        self.here = Community(folder / "hub")
        self.folder = folder
        self.key = folder / "meteo.pem"
        assert self.run("key", "feeder", "meteo", *FACTS).stdout == "feeder meteo: enrolled\n"

    def run(self, *words: str, key: Path | None = None) -> Result:
        config = ("--config", str(self.here.bench.folder / "hub.toml"))
        return CliRunner().invoke(app, [*words, "--key", str(key or self.key), *config])

    @property
    def seen(self) -> tuple[FactSeen, ...]:
        return facts_seen(read_state(self.here.config))


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return Station(tmp_path)


def test_a_fact_is_told_and_seen_with_its_age(station: Station) -> None:
    told = station.run("feed", "co2", "300", "--at", NEXT, "--valid-s", "90")
    assert (told.exit_code, told.stdout) == (0, ""), told.stderr
    index = station.seen[0].entry_index
    assert station.seen == (FactSeen("co2", "meteo", 300, "g_per_kwh", 300, 0, "", index),)
    station.here.close()
    assert station.seen[0].age_ms == SLOT_MS
    station.here.close()
    over = station.seen[0]
    assert (over.value, over.told, over.fallback) == (None, 300, "the newest is no longer valid")


def test_a_table_of_tomorrow_s_prices(station: Station) -> None:
    table = station.folder / "tomorrow.csv"
    table.write_text(
        "fact,at,value,valid_s\n"
        f"price,{NEXT},231000,60\n"
        "price,2025-10-09T08:56Z,240000,60\n"
        "co2,2025-10-09T08:55Z,300,3600\n"
    )
    told = station.run("feed", "--csv", str(table))
    assert (told.exit_code, told.stdout) == (0, ""), told.stderr
    assert [(seen.fact, seen.value) for seen in station.seen] == [("co2", 300), ("price", 231_000)]
    station.here.close()
    assert [seen.value for seen in station.seen] == [300, 240_000]


def test_each_fact_that_is_refused_is_named(station: Station) -> None:
    table = station.folder / "mixed.csv"
    table.write_text(
        f"fact,at,value,valid_s\nsun,{NEXT},5,60\nco2,{NEXT},300,60\nco2,{NEXT},1,1\n"
        "co2,2025-10-09T08:00Z,7,60\n"
    )
    told = station.run("feed", "--csv", str(table))
    assert told.exit_code == os.EX_DATAERR
    first, last = told.stdout.splitlines()
    assert first == f"sun at {NEXT}: feeder meteo tells co2, price, not 'sun'"
    assert last.startswith("co2 at 2025-10-09T08:00Z: too late: it was valid until ")
    assert [seen.value for seen in station.seen] == [1]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("fact,at,value\n", "its first line is to be fact,at,value,valid_s"),
        (f"fact,at,value,valid_s\nco2,{NEXT},3.5,60\n", "line 2: value and valid_s are whole"),
        (f"fact,at,value,valid_s\nco2,{NEXT},3\n", "line 2: 3 columns, want 4"),
        ("fact,at,value,valid_s\nco2,noon,3,60\n", "line 2: noon: no time like"),
        (f"fact,at,value,valid_s\nco2,{NEXT},3,60,9\n", "line 2: 5 columns, want 4"),
    ],
)
def test_a_table_that_is_none(station: Station, text: str, fault: str) -> None:
    table = station.folder / "wrong.csv"
    table.write_text(text)
    refused = station.run("feed", "--csv", str(table))
    assert refused.exit_code == os.EX_DATAERR
    assert fault in refused.stderr
    assert station.seen == ()


def test_who_and_what_cannot_be(station: Station) -> None:
    other = station.folder / "ann.pem"
    generate(other)
    for words, key, code, fault in (
        (("feed", "co2", "300"), other, os.EX_DATAERR, "this is the key of nobody"),
        (("feed", "co2"), None, os.EX_USAGE, "want a fact and its value, or --csv FILE"),
        (("key", "feeder", "sun", "--fact", "price=EUR"), other, os.EX_USAGE, "in utok_per_kwh"),
        (("key", "feeder", "sun", "--fact", "co2"), other, os.EX_USAGE, "is no unit"),
    ):
        refused = station.run(*words, key=key)
        assert (refused.exit_code, refused.stdout) == (code, ""), words
        assert fault in refused.stderr
