"""One step's own view: the state with this step's changes on top. Keeps a step pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hub.core.effects import Line
from hub.core.records import Cursor
from hub.core.state import Change, State


class Draft:
    """Reads fall through to the state; writes stay here until the caller applies them."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._rows: dict[tuple[str, Any], Any] = {}

    def put(self, table: str, key: Any, record: Any) -> None:
        """Set a row; None takes it away."""
        self._rows[table, key] = record

    def changes(self) -> tuple[Change, ...]:
        """Return what was put, each row once, in the order of the first writes."""
        return tuple(Change(table, key, record) for (table, key), record in self._rows.items())

    def row(self, table: str, key: Any) -> Any:
        """Return a row as it is now; None where there is none."""
        if (table, key) in self._rows:
            return self._rows[table, key]
        return self.state.row(table, key)

    def cursor(self, meter_id: str) -> Cursor | None:
        """Return a meter's cursor as it is now; None where it was never read."""
        found: Cursor | None = self.row("cursor", meter_id)
        return found

    def known_cursor(self, meter_id: str) -> Cursor:
        """Return the cursor of a meter that was read before."""
        found = self.cursor(meter_id)
        if found is None:
            raise AssertionError(f"meter {meter_id} was never read")
        return found

    def net_uwh(self, slot_ms: int, member: str) -> int | None:
        """Return a member's net energy in a slot that still waits for registers; else None."""
        found: int | None = self.row("net", (slot_ms, member))
        return found

    def balance(self, account: str) -> int:
        """Return what an account holds now; 0 where nothing was ever booked. [utok]"""
        return self.row("account", account) or 0

    def book(self, lines: Iterable[Line]) -> None:
        """Move the money of some lines."""
        for line in lines:
            self.put("account", line.account, self.balance(line.account) + line.amount_utok)
