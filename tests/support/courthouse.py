"""A founded hub with a bill to contest: Alice owes the grid, and Ruth is the regulator."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from hub.cli import app
from hub.core.state import State
from hub.vault.desk import read_state
from keys.file import generate
from messages.entries import KeyEntry
from tests.support.vault_bench import Community

WH = 1_000_000
FIRST = "2025-10-09T08:55Z"
"""The first slot in which Alice draws anything."""


class Courthouse:
    """Alice has a bill with the grid; she, Rita the regulator and the administrator have keys."""

    def __init__(self, folder: Path) -> None:
        self.here = Community(folder / "hub")
        self.folder = folder
        opened = self.here.bench.open()
        enrolled = [
            KeyEntry("enrol", "member", name, generate(self.key(name)).public.cose_key, roles=roles)
            for name, roles in (("alice", ()), ("ruth", ("regulator",)), ("grid", ("manager",)))
        ]
        assert not any(self.here.bench.enrol(self.here.bench.spine(opened), enrolled))
        opened.close()
        self.here.close(2, load=WH)

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def run(self, *words: str, key: str = "", reason: str = "") -> Result:
        signed = ("--key", str(self.key(key))) if key else ()
        why = ("--reason", reason) if reason else ()
        config = ("--config", str(self.here.bench.folder / "hub.toml"))
        return CliRunner().invoke(app, [*words, *signed, *why, *config])

    @property
    def state(self) -> State:
        return read_state(self.here.config)

    def balance(self, account: str) -> int:
        return self.state.accounts.get(account, 0)
