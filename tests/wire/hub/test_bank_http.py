"""The bank by commands on the hub's machine and over HTTP from a member's own."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hub.cli import app
from hub.commands.inspecting import audit_ledger
from hub.vault.desk import read_state
from keys.file import generate
from member.program import main
from messages.banking import BankRules
from messages.entries import KeyEntry
from tests.support.site import Site
from tests.support.town import Town, at


class Branch:
    """A town with a bank's key, behind its web process once `serve` was called."""

    def __init__(self, folder: Path) -> None:
        self.town = Town(folder)
        self.town.keys["bank"] = folder / "bank.pem"
        key = generate(self.town.keys["bank"]).public.cose_key
        with self.town.open() as (_, spine):
            entry = KeyEntry("enrol", "member", "bank", key, roles=("bank",))
            assert not any(self.town.bench.enrol(spine, [entry]))
        self.town.play(range(1))

    def run(self, *words: str, key: str = "") -> Result:
        signed = ("--key", str(self.town.keys[key])) if key else ()
        config = ("--config", str(self.town.folder / "hub.toml"))
        return CliRunner().invoke(app, ["bank", *words, *signed, *config])

    def balance(self, account: str) -> int:
        return read_state(self.town.config).accounts.get(account, 0)


@pytest.fixture
def branch(tmp_path: Path) -> Branch:
    return Branch(tmp_path)


def test_by_commands(branch: Branch) -> None:
    before = branch.balance("ann")
    made = branch.run("deposit", "ann", "5000000", key="bank")
    assert (made.exit_code, made.stdout) == (0, f"ann: {before + 5_000_000} utok\n"), made.stderr
    assert branch.balance("@bank") == -5_000_000
    asked = branch.run("payout", "2000000", key="ann")
    lines = asked.stdout.splitlines()
    assert lines[0] == f"ann: {before + 5_000_000} utok, 2000000 utok wait to be paid out"
    assert lines[1].startswith("payouts every 96 slots, next with the close of slot 20")
    assert branch.run("balance").stdout.splitlines() == [
        f"{lines[1]}",
        lines[0],
    ]
    assert branch.run("withdraw", key="ann").stdout == f"ann: {before + 5_000_000} utok\n"
    assert branch.run("balance", "ann").stdout == f"ann: {before + 5_000_000} utok\n"
    for words, key, reason in (
        (("deposit", "ann", "5"), "ann", "is signed by bank, not by member ann"),
        (("payout", "5"), "bank", "your balance is 0 utok, not 5"),
        (("balance", "eve"), "", "there is no account 'eve'"),
    ):
        refused = branch.run(*words, key=key)
        assert refused.exit_code != 0
        assert reason in refused.stderr
    assert audit_ledger(branch.town.config, lambda done, total: None, workers=0).is_right


@pytest.fixture
def site(branch: Branch) -> Iterator[Site]:
    made = Site(branch.town)
    yield made
    made.stop()


def test_over_http(branch: Branch, site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    def type_in(who: str, *words: str) -> Any:
        options = ["--hub", site.url, "--key", str(branch.town.keys[who])]
        options += ["--trust", str(branch.town.folder / "trust.toml")]
        code = main([words[0], *options, *words[1:]])
        told = capsys.readouterr()
        return json.loads(told.out or "null") if code == 0 else told.err.strip()

    type_in("bank", "bank-deposit", "bob", "900000000")
    before = type_in("bob", "bank")
    assert (before["circulating_utok"], before["rules"]["payout_slots"]) == (900_000_000, 96)
    asked = type_in("bob", "bank-payout", "700")
    assert asked == {"asked_utok": 700, "slot_ms": before["next_payout_ms"]}
    assert type_in("bob", "bank")["account"]["asked_utok"] == 700
    with urllib.request.urlopen(f"{site.url}/api/v1/bank") as answer:
        assert json.load(answer)["account"] is None

    def every_slot(_: Any, spine: Any) -> None:
        branch.town.set_policy(spine, 1, "dep_balance", bank=BankRules(1))

    def close(opened: Any, spine: Any) -> None:
        branch.town.read(spine, 1)
        branch.town.read(spine, 2)
        assert branch.town.close(opened, spine, 1)

    site.do(every_slot)
    assert type_in("bob", "bank")["next_payout_ms"] == at(1)
    site.do(close)
    after = type_in("bob", "bank")
    assert (after["circulating_utok"], after["account"]["asked_utok"]) == (899_999_300, 0)
    assert "bob waits for no payout" in type_in("bob", "bank-withdraw")
