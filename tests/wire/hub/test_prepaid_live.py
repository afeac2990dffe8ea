"""Prepaid, end to end: a notice, a relay that opens by a decision, a load that closes it.

A hub as it runs, but for broker and clock: registers and samples come in as signed bytes, leases go
out as signed bytes, and the node acknowledges them as its own entries. Loads go in by a call from
the bank's key or by the command line, while the hub has its ledger open.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hub.balancing.catalog import POLICIES
from hub.cli import app
from hub.closing import Closer, CloseRule
from hub.commands.enrolling import sign_as_administrator
from hub.commands.inspecting import audit_ledger
from hub.core.disclosing import Asker
from hub.desk import Desk
from hub.inbox import Inbox
from hub.lens import lens_of
from hub.market.catalog import CONTRACTS
from hub.policyfile import EXAMPLE, read_policy
from hub.switching.dispatch import FOLLOW_MS
from keys.file import generate
from messages.entries import KeyEntry
from messages.statement import parse_statement
from tests.support.hub_bench import SLOT_MS, START_MS
from tests.support.switch_bench import Board, settle, switch_bench

TOKEN = 1_000_000
KWH = 1_000_000_000
PRICE = 220_000


class Home:
    """Alice's house: a load with a heater behind a relay, and a credit of one token."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.folder = board.bench.folder
        self.keys = {name: self.folder / f"{name}.pem" for name in ("alice", "bank")}
        entries = [
            KeyEntry("enrol", "member", name, generate(path).public.cose_key, roles=roles)
            for (name, path), roles in zip(self.keys.items(), ((), ("bank",)), strict=True)
        ]
        assert not any(board.bench.enrol(board.spine, entries))
        usual = read_policy(EXAMPLE, "example", 0, CONTRACTS, POLICIES)
        policy = replace(
            usual,
            contract="prepaid",
            parameters={"notice_utok": TOKEN // 2},
            dispatch="none",
            dispatch_parameters={},
        )
        (raw,) = sign_as_administrator(board.bench.config, [policy])
        self.desk = Desk(Inbox(self.folder), board.spine, CONTRACTS, POLICIES)
        assert self.desk.append(raw) == ""
        self.slot = self.used_uwh = 0
        self.take_in(0)
        self.close()

    @property
    def state(self) -> Any:
        return self.board.spine.recorder.state

    def take_in(self, slot: int) -> None:
        at_ms = START_MS + slot * SLOT_MS
        uwh = {"pv": 0, "load": self.used_uwh, "heater": 0}
        arrivals = [self.board.bench.reading(meter, at_ms, total) for meter, total in uwh.items()]
        self.board.spine.take_in(arrivals, 0, at_ms)

    def close(self, used_uwh: int = 0) -> None:
        """Let a slot go by."""
        self.used_uwh += used_uwh
        self.slot += 1
        self.take_in(self.slot)
        closer = Closer(self.board.spine, self.board.opened.pen, CloseRule(SLOT_MS, 0, 0))
        closer.add_headers()
        assert closer.close_due(self.board.news, START_MS + self.slot * SLOT_MS, 0, 0)
        self.board.spine.sign_checkpoint()

    def told(self) -> list[str]:
        """Return what Alice's statement says of her newest slot."""
        file = self.folder / f"alice-{self.slot}.json"
        made = self.run("statement", "alice", "--out", str(file))
        assert made.exit_code == 0, made.stderr
        bill = parse_statement(file.read_text()).blocks[-1].bill
        assert bill is not None
        return [fate.reason for fate in bill.fates]

    def look(self) -> None:
        """Some seconds later the meters are heard, and the hub looks."""
        self.board.now_ms += FOLLOW_MS + 1_000
        heater_mw = 0 if self.is_open() else 30_000
        self.board.samples(0, 10_000 + heater_mw, heater_mw)
        self.board.status(energised=self.is_open())
        self.board.decide()
        for lease in self.board.renew():
            if self.wants_open() != self.is_open():
                self.board.ack(lease)

    def is_open(self) -> bool:
        """Whether the heater's contact has cut its load, as the node's own entries say."""
        contact = self.state.contacts.get(("dep1", "heat"))
        return contact is not None and contact.is_cut

    def wants_open(self) -> bool:
        return bool(self.state.contacts["dep1", "heat"].wants_cut)

    def notices(self) -> tuple[str, ...]:
        """What Alice's page tells her."""
        return lens_of(self.state, Asker("member", "alice")).notices

    def credit(self) -> int:
        return int(self.state.accounts.get("alice", 0))

    def run(self, *words: str) -> Result:
        """Type a command while the hub runs, which takes what it finds in its inbox."""
        found: list[Result] = []
        config = ("--config", str(self.folder / "hub.toml"))

        def type_in() -> None:
            found.append(CliRunner().invoke(app, [*words, *config]))

        typing = threading.Thread(target=type_in)
        typing.start()
        while typing.is_alive():
            if self.desk.take():
                self.board.spine.sign_checkpoint()
            typing.join(0.02)
        return found[0]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with switch_bench(tmp_path) as board:
        settle(board)
        yield Home(board)


def loaded_by(*words: str) -> Callable[[Home], None]:
    def load(home: Home) -> None:
        made = home.run(*words, "--key", str(home.keys["bank"]))
        assert made.exit_code == 0, made.stderr

    return load


TOP_UP = loaded_by("order", "call", "top_up", "member=alice", f"amount_utok={TOKEN}")
DEPOSIT = loaded_by("bank", "deposit", "alice", str(TOKEN))


@pytest.mark.parametrize("load", [TOP_UP, DEPOSIT], ids=["top_up", "deposit"])
def test_from_credit_to_a_dark_heater_and_back(home: Home, load: Callable[[Home], None]) -> None:
    load(home)
    assert home.credit() == TOKEN
    home.close(2 * KWH)
    assert home.told() == []
    home.close(KWH)
    assert home.told() == ["notice: 340000 utok of credit are left, please load more"]
    assert "load more" in home.notices()[0]
    home.look()
    assert not home.is_open()
    before = len(home.board.decisions())
    home.close(2 * KWH)
    assert home.told() == ["no credit is left (-100000 utok): supply ends"]
    home.look()
    assert home.is_open()
    assert "relays are open" in home.notices()[0]
    decision = home.board.decisions()[before]
    assert decision.reason.endswith("no credit is left")
    (output,) = decision.outputs
    assert (output.relay, output.member, output.cut) == ("heat", "alice", True)
    load(home)
    assert home.credit() == TOKEN - 100_000  # what was owed is paid first
    assert home.notices() == ()
    home.look()
    assert not home.is_open()
    assert not home.wants_open()
    home.close(KWH)
    assert home.told() == []
    home.look()
    assert not home.is_open()
    home.board.opened.close()
    assert audit_ledger(home.board.bench.config, lambda done, total: None, workers=0).is_right
