"""Why a relay stands so, over HTTP: from a ledger on which it was decided, for who may see it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from hub.web.relays import build_relay_routes
from hub.web.visitors import Visitors
from hub.web.watch import Watch
from tests.support.hub_bench import SLOT_MS
from tests.support.switch_bench import Board, settle, switch_bench


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    """The sun went: the heater is cut, and its guard said so."""
    with switch_bench(tmp_path) as made:
        settle(made)
        made.now_ms += SLOT_MS
        made.samples(15_000, 40_000, 30_000)
        assert made.decide()
        for lease in made.renew():
            made.ack(lease)
        yield made


def ask(board: Board, path: str) -> tuple[int, Any]:
    """Ask a web process that has read the ledger and hears no broker."""
    watch = Watch(board.bench.config)
    assert watch.ledger.refresh()
    app = FastAPI()
    app.include_router(build_relay_routes(watch, Visitors(watch.ledger).who))

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
            return await client.get(path)

    answer = asyncio.run(get())
    return answer.status_code, answer.json()


@pytest.mark.parametrize("name", ["heat", "dep1/heat"])
def test_a_cut_load_has_its_limit_its_values_and_their_ages(board: Board, name: str) -> None:
    status, why = ask(board, f"/api/v1/relays/{name}/why")
    assert status == 200
    assert (why["relay"], why["load"], why["cut"], why["limit"]) == (
        "heat",
        "heater",
        True,
        "supply",
    )
    assert why["because"] == "alice wants 40.0 W, may use 15.0 W, keeps 10.0 W"
    assert {each["meter_id"]: each["age_ms"] for each in why["seen"]} == dict.fromkeys(
        ("pv", "load", "heater"), 0
    )
    assert [each["outcome"] for each in why["done"]] == ["applied"]
    assert why["hidden"] == 0


def test_the_list_names_the_decision_that_each_relay_rests_on(board: Board) -> None:
    status, (row,) = ask(board, "/api/v1/relays")
    decision = board.decisions()[-1]
    assert status == 200
    assert (row["relay"], row["limit"], row["wanted_cut"]) == ("heat", "supply", True)
    assert row["decided_ms"] == decision.at_ms
    assert row["since_ms"] is not None
    assert (row["fed"], row["age_ms"], row["lease_ttl_ms"]) == (None, None, None)


def test_then_it_was_another(board: Board) -> None:
    decision = board.decisions()[-1]
    _, why = ask(board, f"/api/v1/relays/heat/why?at={decision.at_ms - 1}")
    assert (why["cut"], why["limit"]) == (None, "")
    status, wrong = ask(board, "/api/v1/relays/heat/why?at=yesterday")
    assert (status, wrong["detail"]) == (422, "yesterday: no time like 2026-11-21T12:00Z")


def test_an_unknown_relay_is_told_with_those_there_are(board: Board) -> None:
    status, wrong = ask(board, "/api/v1/relays/oven/why")
    assert (status, wrong["detail"]) == (404, "no relay is called oven; there are dep1/heat")
