"""A village whose bills can be disputed: it keeps each account's lines with their proofs."""

from __future__ import annotations

from typing import Any

from hub.core.effects import CallFailed, DisputeMoved, Effect
from hub.core.step import Outcome
from hub.disputes.rows import Disputable, Rows
from keys.file import FileSigner
from messages.disputes import HELD
from tests.support.village import KWH, Village


class Court(Village):
    """Ann sells to Bob, the rest goes to the grid; Rita is the regulator."""

    def __init__(self, **policy: Any) -> None:
        self.rows = {name: Rows(name) for name in ("ann", "bob", "judge")}
        self.lines: list[Disputable] = []
        self.calls = 0
        super().__init__(**policy)
        self.ann, self.bob = self.person("ann"), self.person("bob")
        self.rita = self.person("rita", "regulator")
        self.meter("ann-pv", "ann", "generation")
        self.meter("bob-load", "bob", "consumption")
        self.read("ann-pv", 0, exported=0)
        self.read("bob-load", 0, imported=0)

    def add(self, signer: FileSigner, body: Any) -> Outcome:
        outcome = super().add(signer, body)
        for rows in self.rows.values():
            self.lines += rows.take(outcome.effects, self.balance)
        return outcome

    def balance(self, account: str) -> int:
        """What an account holds. [utok]"""
        return self.state.accounts.get(account, 0)

    @property
    def held_utok(self) -> int:
        """What the account of held amounts has."""
        return self.balance(HELD)

    def trade(self, slot: int, sold: int = 3 * KWH, bought: int = 2 * KWH) -> None:
        """One more slot in which Ann feeds in and Bob draws. [uWh]"""
        before = self.state.cursors
        self.read("ann-pv", slot + 1, exported=(before["ann-pv"].export_uwh or 0) + sold)
        self.read("bob-load", slot + 1, imported=(before["bob-load"].import_uwh or 0) + bought)
        self.close(slot)

    def line(self, member: str, slot: int, kind: str) -> Disputable:
        """The line of a member's bill of that kind."""
        wanted = (member, slot * self.slot_ms, kind)
        found = [x for x in self.lines if (x.line.account, x.slot_ms, x.line.kind) == wanted]
        return found[-1]

    def ask(self, signer: FileSigner, method: str, **arguments: Any) -> tuple[Effect, ...]:
        """Call the disputes."""
        self.calls += 1
        next_ms = self.state.progress.next_slot_ms or 0
        return self.call(
            signer,
            self.calls.to_bytes(16, "big"),
            contract="disputes",
            method=method,
            arguments={"reason": "the meter was off"} | arguments,
            not_after_slot_ms=next_ms,
        )

    def dispute(
        self, signer: FileSigner, found: Disputable, amount_utok: int, **changes: Any
    ) -> tuple[Effect, ...]:
        """Dispute a line."""
        arguments = {
            "slot_ms": found.slot_ms,
            "row": found.row,
            "place": found.place,
            "proof": found.proof,
            "line": found.number,
            "amount_utok": amount_utok,
        }
        return self.ask(signer, "open", **(arguments | changes))

    def rule(
        self, signer: FileSigner, dispute: int, ruling: str, part: int = 0
    ) -> tuple[Effect, ...]:
        """Rule on a dispute."""
        return self.ask(signer, "rule", dispute=dispute, ruling=ruling, to_claimant_utok=part)


def moved(effects: tuple[Effect, ...]) -> DisputeMoved:
    """Return how a dispute moved; a call was served."""
    (found,) = [effect for effect in effects if isinstance(effect, DisputeMoved)]
    return found


def refused(effects: tuple[Effect, ...]) -> str:
    """Return why a call was not served; it is the only effect."""
    (found,) = effects
    assert isinstance(found, CallFailed), found
    return found.reason
