"""Does each step of a dispute move just what it says, and does it end once?

Who may dispute, answer and rule was judged by the fold; here it is a proven result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from member.settling import require
from messages.disputes import ANSWERED, DISMISSED, EVENTS, HELD, OPEN, SPLIT, UPHELD
from messages.statement import TRANSFER, DisputeRow, Line, own_lines


class Disputes:
    """The disputes of one account, as its statement tells them.

    `open` are those that began within the statement and have not ended; `told` counts all.
    """

    def __init__(self, account: str) -> None:
        self.open: dict[int, DisputeRow] = {}
        self._account = account
        self._seen: set[int] = set()
        self._ended: set[int] = set()

    @property
    def told(self) -> int:
        """How many there are."""
        return len(self._seen)

    def take(self, row: DisputeRow) -> None:
        """Check one step.

        Raises:
            Refused: it moves other money than it says, or comes after the end.
        """
        name = f"dispute {row.dispute}"
        parties = (row.claimant, row.respondent, HELD)
        require(row.account == self._account and row.account in parties, f"{name} is of others")
        require(row.dispute not in self._ended, f"{name} goes on after its end")
        require(row.event in EVENTS and row.amount_utok > 0, f"{name}: no step {row.event!r}")
        part = f"{row.to_claimant_utok} of {row.amount_utok} utok for the claimant"
        require(_is_sound(row), f"{name} was {row.event}, with {part}")
        due = own_lines(_lines(row), self._account)
        require(row.lines == due, f"{name} was {row.event}: its lines do not follow")
        began = self.open.get(row.dispute)
        if began is not None:
            same = replace(row, **{key: getattr(began, key) for key in _STEP})
            require(same == began, f"{name} is told in two ways")
        if row.event == OPEN:
            is_first = row.index == row.dispute and row.dispute not in self._seen
            require(is_first, f"{name} begins twice")
            self.open[row.dispute] = row
        elif row.event != ANSWERED:
            self.open.pop(row.dispute, None)
            self._ended.add(row.dispute)
        self._seen.add(row.dispute)


_STEP = ("index", "event", "to_claimant_utok", "lines")
"""What differs from step to step."""


def _is_sound(row: DisputeRow) -> bool:
    part, amount = row.to_claimant_utok, row.amount_utok
    due = {OPEN: 0, ANSWERED: 0, DISMISSED: 0, UPHELD: amount}
    return 0 < part < amount if row.event == SPLIT else part == due.get(row.event)


def _lines(row: DisputeRow) -> Iterator[Line]:
    """Yield the lines that a step has, both sides of each."""
    if row.event == OPEN:
        yield from _moved(row.respondent, HELD, row.amount_utok, row.event)
    elif row.event != ANSWERED:
        yield from _moved(HELD, row.claimant, row.to_claimant_utok, row.event)
        yield from _moved(HELD, row.respondent, row.amount_utok - row.to_claimant_utok, row.event)


def _moved(payer: str, payee: str, amount_utok: int, event: str) -> Iterator[Line]:
    if amount_utok:
        yield Line(payee, TRANSFER, payer, 0, 0, amount_utok, event)
        yield Line(payer, TRANSFER, payee, 0, 0, -amount_utok, event)
