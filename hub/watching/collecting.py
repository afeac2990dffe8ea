"""From the books to a window, and from a window to findings that keep until the next slot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hub.core.events import read_event
from hub.ledger.books import SlotEnergyRow, SlotRow
from hub.ledger.store import Store
from hub.watching.suspects import Rules, Suspect, find
from hub.watching.window import SLOTS_MAX, Facts, Shown, Window, window_of
from messages.entries import KeyEntry

RULES = Rules()


@dataclass(frozen=True, slots=True)
class Findings:
    """What does not fit in a window, and how much of it there was to go by."""

    window: Window
    suspects: tuple[Suspect, ...]

    @property
    def missing(self) -> str:
        """What could not be compared, and why; "" if everything could."""
        slots = len(self.window.slots)
        if slots < RULES.slots_min:
            return f"{slots} slots are known whole, {RULES.slots_min} are needed"
        if not self.window.boundary_wh:
            return "no boundary meter, so only generators were compared with each other"
        return ""


class Lookout:
    """Owns the findings of the newest closed slot."""

    def __init__(self) -> None:
        self._slot_ms: int | None = None
        self._suspects: tuple[Suspect, ...] = ()

    def look(self, store: Store) -> tuple[Suspect, ...]:
        """Return what does not fit now; looked for once a slot."""
        newest = store.books.latest(SlotRow, 1)
        slot_ms = newest[0].start_ms if newest else None
        if slot_ms != self._slot_ms:
            self._suspects = findings(store).suspects
            self._slot_ms = slot_ms
        return self._suspects


def findings(store: Store, rules: Rules = RULES) -> Findings:
    """Return what does not fit in the newest slots."""
    meters = dict(_meters(store))
    newest = store.books.latest(SlotRow, 1)
    slot_ms = newest[0].end_ms - newest[0].start_ms if newest else 0
    rows = store.books.latest(SlotEnergyRow, SLOTS_MAX * max(len(meters), 1))
    shown = (
        Shown(row.slot_ms, row.meter_id, row.import_uwh, row.export_uwh, row.quality)
        for row in rows
    )
    window = window_of(shown, meters, slot_ms)
    return Findings(window, find(window, rules))


def _meters(store: Store) -> Iterable[tuple[str, Facts]]:
    """Yield what enrolments say of meters, the newest last."""
    for entry in store.of_kind(KeyEntry.KIND):
        body = read_event(entry.index, entry.raw).body
        if isinstance(body, KeyEntry) and body.action == "enrol" and body.holder == "meter":
            is_settled = not body.parent and body.purpose not in ("appliance", "boundary")
            yield body.name, Facts(body.member, body.purpose, is_settled)
