"""A member trades over HTTP with his own key: sealed, revealed by itself, and told what became."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from member.program import main
from tests.support.site import Site
from tests.support.town import Town, at


class Bourse:
    """A town behind its web process, and what its members type."""

    def __init__(self, folder: Path, **parameters: Any) -> None:
        self.town = Town(folder, **parameters)
        self.town.play(range(1))
        self.site = Site(self.town)

    def type(self, who: str, *words: str) -> int:
        folder = self.town.folder
        options = ["--hub", self.site.url, "--key", str(self.town.keys[who])]
        options += ["--trust", str(folder / "trust.toml")]
        if words[0] in ("bid", "ask", "reveal"):
            options += ["--salts", str(folder / "salts")]
        return main([words[0], *options, *words[1:]])

    def close(self, slot: int) -> None:
        def work(opened: Any, spine: Any) -> None:
            self.town.read(spine, slot)
            self.town.read(spine, slot + 1)
            assert self.town.close(opened, spine, slot)

        self.site.do(work)


@pytest.fixture
def sealed(tmp_path: Path) -> Iterator[Bourse]:
    made = Bourse(tmp_path, book="sealed")
    yield made
    made.site.stop()


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.strip()


def test_from_a_sealed_bid_to_its_fate(sealed: Bourse, capsys: pytest.CaptureFixture[str]) -> None:
    assert sealed.type("bob", "bid", "250000", "--slot", "next", "--leave") == 0
    bid = printed(capsys)
    assert sealed.type("ann", "ask", "150000", "--slot", "next", "--leave") == 0
    ask = printed(capsys)
    assert sealed.type("bob", "bid", "100000", "--energy-uwh", "7") == 0  # stands, for all to see
    open_bid = printed(capsys)
    with urllib.request.urlopen(f"{sealed.site.url}/api/v1/book") as answer:
        seen = {row["order_id"]: row for row in json.load(answer)}
    assert set(seen) == {bid, ask, open_bid}
    assert (seen[bid]["side"], seen[bid]["price_utok_per_kwh"]) == ("sealed", None)
    assert (seen[open_bid]["member"], seen[open_bid]["energy_uwh"]) == ("bob", 7)
    sealed.close(1)
    for who in ("ann", "bob"):
        assert sealed.type(who, "reveal", "--stay") == 0
        assert "revealed" in capsys.readouterr().err
    sealed.close(2)
    assert sealed.type("bob", "orders") == 0
    found = json.loads(printed(capsys))
    assert found["member"] == "bob"
    assert [row["order_id"] for row in found["waiting"]] == [open_bid]
    fates = {row["order_id"]: row for row in found["over"]}
    assert fates[bid]["matched_uwh"] == 3_000_000_000
    assert fates[open_bid]["reason"] != ""
    assert sealed.type("bob", "view", "slots") == 0
    newest = json.loads(printed(capsys))[0]
    assert {row["member"] for row in newest["fates"]} == {"bob"}


def test_what_is_refused_says_why(sealed: Bourse, capsys: pytest.CaptureFixture[str]) -> None:
    assert sealed.type("ann", "withdraw", "00") == 77
    assert capsys.readouterr().err.endswith("gridtally-member: refused: you have no order 00\n")
    assert sealed.type("ann", "call", "dance", "steps=3") == 77
    assert "double_auction has no call 'dance'" in capsys.readouterr().err
    assert sealed.type("ann", "call", "dance", "steps") == 2
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"{sealed.site.url}/api/v1/orders")
    error.value.close()
    assert error.value.code == 401


def test_the_market_in_force_and_to_come(
    sealed: Bourse, capsys: pytest.CaptureFixture[str]
) -> None:
    sealed.site.do(lambda _, spine: sealed.town.set_policy(spine, 5, "dep_balance"))
    assert sealed.type("ann", "market") == 0
    found = json.loads(printed(capsys))
    rows = [(row["contract"], row["from_slot_ms"], row["book"]) for row in found["markets"]]
    assert rows == [("double_auction", 0, "sealed"), ("dep_balance", at(5), "")]
    assert found["next_slot_ms"] == at(1)
    assert sealed.type("ann", "ask", "1", "--slot", str(at(6))) == 77  # dep_balance takes none
    assert "takes no calls" in capsys.readouterr().err
