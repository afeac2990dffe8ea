"""`gridtally-hub order` and `market`, from the words a person types to the fate on the ledger."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hub.cli import app
from hub.commands.inspecting import audit_ledger
from messages.timetext import format_time
from tests.support.town import Town, at
from tests.support.village import KWH

RUNNER = CliRunner()


def run(town: Town, *words: str, who: str = "") -> Result:
    options = ["--config", str(town.folder / "hub.toml")]
    if who:
        options += ["--key", str(town.keys[who])]
    return RUNNER.invoke(app, [*words, *options])


def done(town: Town, *words: str, who: str = "") -> str:
    result = run(town, *words, who=who)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def fates(town: Town) -> dict[str, str]:
    """Order id -> the line that tells its member."""
    lines = [
        line for name in town.keys for line in done(town, "order", "list", who=name).split("\n")
    ]
    return {line.split()[1]: line for line in lines if " matched" in line or " sealed: " in line}


def check_audit(town: Town) -> None:
    report = audit_ledger(town.bench.config, lambda *_: None)
    assert report.is_right, report


def test_standing_and_single_orders_to_their_fates(tmp_path: Path) -> None:
    town = Town(tmp_path)
    assert "none has closed yet" in run(town, "order", "ask", "1", who="ann").stderr
    town.play(range(1))
    asked = done(town, "order", "ask", "150000", who="ann")
    dear = done(town, "order", "bid", "250000", "--slot", "next", "--energy-uwh", "1000", who="bob")
    cheap = done(town, "order", "bid", "100000", "--slot", "next", who="bob")
    waiting = done(town, "order", "list", who="bob").split("\n")
    assert [line.split()[:3] for line in waiting] == [[dear, "bid", "1000"], [cheap, "bid", "all"]]
    town.play(range(1, 3))
    told = fates(town)
    assert "1000 of 1000 uWh matched" in told[dear]
    assert told[dear].endswith("matched")
    assert "0 of 2999999000 uWh matched: the last bid that was served" in told[cheap]
    assert f"1000 of {5 * KWH} uWh matched" in told[asked]
    assert done(town, "order", "withdraw", asked, who="ann") == ""
    town.play(range(3, 5))
    assert done(town, "order", "list", "--limit", "1", who="ann").startswith("2025-")
    again = run(town, "order", "withdraw", asked, who="ann")
    assert (again.exit_code, again.stderr.strip()) == (77, f"refused: you have no order {asked}")
    check_audit(town)


def test_a_sealed_order_is_revealed_by_itself_later(tmp_path: Path) -> None:
    town = Town(tmp_path, book="sealed")
    town.play(range(1))
    bid = done(town, "order", "bid", "250000", "--slot", "next", "--leave", who="bob")
    ask = done(town, "order", "ask", "150000", "--slot", "next", "--leave", who="ann")
    lost = done(town, "order", "ask", "100000", "--slot", "next", "--leave", who="ann")
    lines = done(town, "order", "list", who="bob").split("\n")
    assert lines[0] == f"{bid} sealed, for slot {format_time(at(2))}"
    assert lines[1].startswith(f"{bid} sealed here: bid all its meter shows at 250000")
    assert done(town, "order", "reveal", who="bob") == ""  # nothing is due
    town.play(range(1, 2))
    early = run(town, "order", "reveal", who="bob")
    assert early.stderr.strip() == f"order {bid} for slot {at(2)}: revealed"
    (tmp_path / "sealed-orders" / f"{lost}.sealed").unlink()
    run(town, "order", "reveal", who="ann")
    town.play(range(2, 3))
    told = fates(town)
    assert "3000000000 of 3000000000 uWh matched" in told[bid]
    assert "3000000000 of 5000000000 uWh matched" in told[ask]
    assert told[lost].endswith("sealed: committed and not revealed in time")
    assert not list((tmp_path / "sealed-orders").iterdir())
    check_audit(town)


def test_the_market_is_shown_with_what_is_to_come(tmp_path: Path) -> None:
    town = Town(tmp_path, "pooled_auction")
    town.play(range(1))
    with town.open() as (_, spine):
        town.set_policy(spine, 5, "dep_balance", deficit="supplier")
    lines = done(town, "market").split("\n")
    assert lines[0].startswith("pooled_auction, in force since slot 1970-01-01T00:00Z, entry ")
    assert lines[1] == "  sealed book; the gate of a slot closes with the slot before it"
    assert lines[2].startswith(f"dep_balance, from slot {format_time(at(5))}, entry ")
    assert lines[3] == "  deficit = 'supplier'"


def test_any_other_call_and_its_answer(tmp_path: Path) -> None:
    town = Town(tmp_path, "energy_token")
    town.play(range(1))
    refused = run(town, "order", "call", "deposit", "member=bob", "amount_utok=5", who="bob")
    assert refused.exit_code == 77
    assert refused.stderr.startswith("refused: ")
    assert "bank" in refused.stderr
    wrong = run(town, "order", "call", "deposit", "member", who="bob")
    assert (wrong.exit_code, wrong.stderr.strip()) == (
        64,
        "'member': want NAME=VALUE, each name once",
    )


@pytest.mark.parametrize("words", [("order", "--help"), ("order", "bid", "--help")])
def test_help_teaches(words: tuple[str, ...]) -> None:
    assert "gridtally-hub order" in RUNNER.invoke(app, list(words)).stdout


def test_a_key_of_no_member_is_named(tmp_path: Path) -> None:
    town = Town(tmp_path)
    town.play(range(1))
    result = run(town, "order", "ask", "1", "--key", str(tmp_path / "keys" / "hub.pem"))
    assert result.exit_code == 77
    assert "no member that counts has the key" in result.stderr
