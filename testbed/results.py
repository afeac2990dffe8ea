"""What a run came to, folded from the ledger alone: settlements, meters, and the one JSON line."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from hub.core.effects import Corrected, Line, SlotSettled
from hub.core.events import read_event
from hub.core.state import State
from hub.core.step import step
from hub.ledger.store import Store
from hub.market.contract import Fate
from messages.reading import Reading
from testbed.accounts import REGISTER, TELEMETRY, Accounts


@dataclass(slots=True)
class Totals:
    """What a meter's registers grew by, from its first register to its last. [uWh]"""

    import_uwh: int = 0
    export_uwh: int = 0
    _last: Reading | None = None

    def take(self, reading: Reading) -> None:
        """Add the growth since the register before; none where the registers began anew."""
        last = self._last
        if last is not None and last.epoch == reading.epoch:
            self.import_uwh += (reading.import_uwh or 0) - (last.import_uwh or 0)
            self.export_uwh += (reading.export_uwh or 0) - (last.export_uwh or 0)
        self._last = reading


@dataclass(slots=True)
class Results:
    """Everything that the fold over a ledger says. `size` entries were folded."""

    size: int = 0
    state_root: bytes = b""
    settled: list[SlotSettled] = field(default_factory=list)
    corrected: list[Corrected] = field(default_factory=list)
    meters: dict[str, Totals] = field(default_factory=lambda: defaultdict(Totals))

    @property
    def lines(self) -> list[Line]:
        """Every line of every bill, corrections included."""
        rows = [line for slot in self.settled for line in slot.lines]
        return rows + [line for correction in self.corrected for line in correction.lines]

    @property
    def settlement_sum_utok(self) -> int:
        """Sum of all lines of all accounts; 0, or money was made. [utok]"""
        return sum(line.amount_utok for line in self.lines)

    @property
    def gross_utok(self) -> int:
        """Money that changed hands. [utok]"""
        return sum(line.amount_utok for line in self.lines if line.amount_utok > 0)

    @property
    def matched_uwh(self) -> int:
        """Energy sold from member to member. [uWh]"""
        return sum(slot.matched_uwh for slot in self.settled)

    @property
    def curtailed_uwh(self) -> int:
        """Energy that open relays kept back, estimated. [uWh]"""
        return sum(slot.curtailed_uwh for slot in self.settled)

    @property
    def unaccounted_uwh(self) -> int | None:
        """What the boundary meter brought in beyond the members' meters; None without one. [uWh]"""
        known = [slot.unaccounted_uwh for slot in self.settled if slot.unaccounted_uwh is not None]
        return sum(known) if known else None

    @property
    def fates(self) -> list[Fate]:
        """What became of members' orders, slot by slot."""
        return [fate for slot in self.settled for fate in slot.fates if fate.order_id]

    def sales(self) -> Mapping[tuple[str, str], tuple[int, int]]:
        """Return (seller, buyer) -> (energy, money) over the run. [uWh, utok]"""
        sums: dict[tuple[str, str], tuple[int, int]] = {}
        for slot in self.settled:
            for row in slot.matches:
                pair = (row.match.seller, row.match.buyer)
                energy, money = sums.get(pair, (0, 0))
                sums[pair] = (energy + row.match.energy_uwh, money + row.amount_utok)
        return dict(sorted(sums.items()))

    def balances(self) -> Mapping[str, int]:
        """Return what each account received (above 0) or has to pay (below 0). [utok]"""
        sums: dict[str, int] = defaultdict(int)
        for line in self.lines:
            sums[line.account] += line.amount_utok
        return dict(sorted(sums.items()))


def fold(store: Store) -> Results:
    """Replay a ledger from its first entry and return what it comes to."""
    results, state = Results(), State()
    for entry in store.entries():
        event = read_event(entry.index, entry.raw, entry.preimage)
        if isinstance(event.body, Reading):
            results.meters[event.body.meter_id].take(event.body)
        outcome = step(state, event)
        state.apply(outcome.changes)
        for effect in outcome.effects:
            if isinstance(effect, SlotSettled):
                results.settled.append(effect)
            elif isinstance(effect, Corrected):
                results.corrected.append(effect)
        results.size = entry.index + 1
    results.state_root = state.root()
    return results


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the verifiers said, and how long the whole run took in real time. [s]"""

    tree_size: int
    root: bytes
    verified: bool
    refused: int
    wall_s: float


def json_line(results: Results, accounts: Accounts, verdict: Verdict) -> str:
    """Return the run as one line of JSON. readings_* count registers; all else as it is named."""
    return json.dumps(
        {
            "slots": len(results.settled),
            "readings_signed": accounts.signed[REGISTER],
            "readings_on_ledger": accounts.stored[REGISTER],
            "lost": len(accounts.lost),
            "duplicated": accounts.duplicated,
            "refused": verdict.refused,
            "unaccounted_uwh": results.unaccounted_uwh,
            "settlement_sum_utok": results.settlement_sum_utok,
            "matched_uwh": results.matched_uwh,
            "curtailed_uwh": results.curtailed_uwh,
            "settled_gross_utok": results.gross_utok,
            "telemetry_packs": accounts.stored[TELEMETRY],
            "tree_size": verdict.tree_size,
            "root": verdict.root.hex(),
            "verified": verdict.verified,
            "wall_s": round(verdict.wall_s, 3),
            "meters": [
                {"meter": name, "import_uwh": meter.import_uwh, "export_uwh": meter.export_uwh}
                for name, meter in sorted(results.meters.items())
            ],
        }
    )
