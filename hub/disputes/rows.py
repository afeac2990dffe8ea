"""Finds the lines of an account that can be disputed, with the proof that each call brings.

It follows a fold and keeps the rows of results since the last close, as the fold commits to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from hub.core.effects import Effect, Line, SlotSettled
from hub.core.results import result_rows, row_leaf
from messages import cbor
from messages.disputes import HELD
from messages.log import tree

DISPUTABLE: Final = ("bill", "correction")


@dataclass(frozen=True, slots=True)
class Disputable:
    """A line of an account in a closed slot, numbered from 1 in its row, and the row's proof."""

    slot_ms: int
    number: int
    line: Line
    row: bytes
    place: int
    proof: bytes


class Rows:
    """Owns the rows of results since the last close."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._rows: list[Any] = []

    def take(self, effects: Iterable[Effect], balance: Callable[[str], int]) -> list[Disputable]:
        """Note what a step did; return what it made disputable: after a close, else nothing.

        Args:
            effects: what the step did.
            balance: what an account holds once the step is taken. [utok]
        """
        found: list[Disputable] = []
        for effect in effects:
            self._rows += result_rows(effect, balance)
            if isinstance(effect, SlotSettled):
                found += self._disputable(effect.slot_ms)
                self._rows = []
        return found

    def _disputable(self, slot_ms: int) -> list[Disputable]:
        leaves = [row_leaf(row) for row in self._rows]
        found = []
        for place, row in enumerate(self._rows):
            own = [line for line in row[-1] if line.account == self._account] if _has(row) else []
            if not own:
                continue
            path = tree.prove_inclusion(place, len(leaves), tree.subtree_of(leaves))
            raw, proof = cbor.encode(row), b"".join(path)
            found += [
                Disputable(slot_ms, number, line, raw, place, proof)
                for number, line in enumerate(own, 1)
                if line.counterparty != HELD
            ]
        return found


def _has(row: Any) -> bool:
    return row[0] in DISPUTABLE
