"""What one asker sees members by: the disclosure in force, and names or pseudonyms. Pure.

Page, REST, metrics and printed statements all look through it; `hub.core.disclosing` has the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from hub.balancing.supply import ENDED, LOW
from hub.core.banking import supply_of
from hub.core.disclosing import (
    NOBODY,
    OPEN,
    Asker,
    disclosure_at,
    policy_in_force,
    round_at,
    sees,
)
from hub.core.investigating import REGULATOR
from hub.core.pseudonyms import pseudonyms
from hub.core.state import State

Names = Mapping[str, str]
NamesAt = Callable[[int | None], Names]
NAMES_KEPT: Final = 256
SOMEBODY: Final = "somebody"
CREDIT: Final[Mapping[object, str]] = {
    LOW: "notice: your credit is low, load more before it is used up and your relays open",
    ENDED: "no credit is left: your relays are open until more is loaded",
}


class Roll:
    """Keeps pseudonyms between looks: they follow from the registry alone."""

    def __init__(self) -> None:
        self._registry = (-1, -1)
        self._names: dict[int | None, Names] = {}

    def of(self, state: State, round_ms: int | None) -> Names:
        """Return name -> pseudonym, of a slot or for good."""
        registry = (len(state.keys), len(state.meters) + len(state.relays))
        if registry != self._registry or len(self._names) >= NAMES_KEPT:
            self._registry, self._names = registry, {}
        if round_ms not in self._names:
            self._names[round_ms] = pseudonyms(state, round_ms)
        return self._names[round_ms]


@dataclass(frozen=True, slots=True)
class Lens:
    """What one asker sees by. `now` and `at`: the disclosure now, and at a slot's start."""

    asker: Asker
    now: str
    at: Callable[[int], str]
    names: NamesAt
    notices: tuple[str, ...] = ()

    def sees(self, what: str, owner: str, disclosure: str) -> bool:
        """Whether the asker sees a thing of a member's."""
        return sees(self.asker, what, owner, disclosure)

    def called(self, owner: str, slot_ms: int) -> str:
        """Return a member's name in a view of a slot."""
        return self.name(owner, self.at(slot_ms), slot_ms)

    def name(self, owner: str, disclosure: str, slot_ms: int | None = None) -> str:
        """Return a member's name as the asker sees it; accounts of the grid have no other."""
        hidden = owner if owner.startswith("@") else self.names(slot_ms).get(owner, SOMEBODY)
        if not self.sees("name", owner, disclosure):
            return hidden
        reveals = self.asker.kind == REGULATOR and disclosure != OPEN and hidden != owner
        return f"{owner} ({hidden})" if reveals and owner != self.asker.name else owner


def lens_of(state: State, asker: Asker = NOBODY, roll: Roll | None = None) -> Lens:
    """Return what somebody sees by; use it while the state stays as it is."""
    known = roll or Roll()
    return Lens(
        asker,
        disclosure_at(state),
        lambda slot_ms: disclosure_at(state, slot_ms),
        # What is shown of now has places of sources beside it, so it never has a slot's own name.
        lambda slot_ms: known.of(state, None if slot_ms is None else round_at(state, slot_ms)),
        tuple(_notices(state, asker.name)) if asker != NOBODY else (),
    )


def _notices(state: State, owner: str) -> Iterable[str]:
    policy = policy_in_force(state)
    supply = "" if policy is None else supply_of(state, policy, owner)
    if supply in CREDIT:
        yield CREDIT[supply]
    for name, case in sorted(state.cases.items()):
        if case.owner == owner and case.told_index is not None:
            used = ", ".join(map(str, case.accesses)) or "none"
            yield (
                f"{case.by} opened case {name} on you: {case.reason}; used by entries: {used}; "
                f"you were told by entry {case.told_index}"
            )
