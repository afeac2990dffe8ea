"""Who sees what of others: one table of disclosure policy, thing and who asks. Pure.

The policy in force says it, for page, REST, metrics and statements alike. Everybody sees all of his
own. A regulator sees who the subject of a case of his is, while it is open. Bills are shown to
nobody else under any policy: who has to read one reads the record, and leaves an entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from hub.core.investigating import REGULATOR
from hub.core.pricing import policy_at
from hub.core.records import Policy
from hub.core.state import State

OPEN: Final = "open"
PSEUDONYMOUS: Final = "pseudonymous_offers"
TOTALS: Final = "totals"
DISCLOSURES: Final = (OPEN, PSEUDONYMOUS, TOTALS)
"""From what shows most to what shows least."""
STABLE: Final = "stable"
FRESH: Final = "fresh"
PSEUDONYMS: Final = (STABLE, FRESH)
"""One for good, or one for each slot."""
TOTAL_MEMBERS_MIN: Final = 4
"""A total is over so many members at least, besides who asks: he knows his own part of it."""

NOBODY_KIND: Final = "nobody"
MEMBER_KIND: Final = "member"
ASKERS: Final = (NOBODY_KIND, MEMBER_KIND, REGULATOR)

SEEN: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "name": {OPEN: ASKERS, PSEUDONYMOUS: (), TOTALS: ()},
    "source": {OPEN: ASKERS, PSEUDONYMOUS: ASKERS, TOTALS: (REGULATOR,)},
    "trade": {OPEN: ASKERS, PSEUDONYMOUS: ASKERS, TOTALS: (REGULATOR,)},
    "energy": {OPEN: ASKERS, PSEUDONYMOUS: (), TOTALS: ()},
    "live": {OPEN: ASKERS, PSEUDONYMOUS: (), TOTALS: ()},
    "bill": {OPEN: (), PSEUDONYMOUS: (), TOTALS: ()},
}
"""Thing of another member's -> policy -> who sees it.

"name": else a pseudonym. "source": fuel and location of what generates or stores. "trade": energy
and price of what was sold to whom in a slot. "energy": what was generated, used and curtailed in
a slot. "live": newest samples, meters, relays. "bill": amounts and balances.
"""


class Asker(NamedTuple):
    """Who asks. `subjects`: members on whom a case of his is open."""

    kind: str = NOBODY_KIND
    name: str = ""
    subjects: frozenset[str] = frozenset()


NOBODY: Final = Asker()


def asker_with(state: State, kid: bytes) -> Asker:
    """Return who asks with a key; NOBODY if it is no member's that counts."""
    key = state.keys.get(kid)
    if key is None or key.holder != "member" or not key.is_current:
        return NOBODY
    if REGULATOR not in key.roles:
        return Asker(MEMBER_KIND, key.name)
    slot_ms = state.progress.next_slot_ms or 0
    subjects = (
        case.owner for case in state.cases.values() if case.by == key.name and case.is_open(slot_ms)
    )
    return Asker(REGULATOR, key.name, frozenset(subjects))


def sees(asker: Asker, what: str, owner: str, disclosure: str) -> bool:
    """Whether somebody sees a thing of a member's under a policy."""
    if asker.name == owner and asker.kind != NOBODY_KIND:
        return True
    if what == "name" and owner in asker.subjects:
        return True
    return asker.kind in SEEN[what][disclosure]


def sees_total(asker: Asker, members: frozenset[str], disclosure: str) -> bool:
    """Whether somebody sees a total over some members: all there are, never some of them.

    Where members are shown one by one a total hides nothing. Else what is left of it, less what the
    asker knows as his own, is of at least `TOTAL_MEMBERS_MIN` members.
    """
    if disclosure == OPEN:
        return True
    own = {asker.name} if asker.kind != NOBODY_KIND else set()
    return len(members - own) >= TOTAL_MEMBERS_MIN


def disclosure_at(state: State, slot_ms: int | None = None) -> str:
    """Return what binds views of a slot: the stricter of its own policy and today's.

    None: of now. So what was hidden once stays hidden, and what a community hides today is hidden
    for the past, too. Where no policy is in force, everything is open.
    """
    now_ms = state.progress.next_slot_ms
    policies = [policy_in_force(state)]
    if slot_ms is not None and slot_ms != now_ms:
        policies.append(policy_at(state, slot_ms))
    found = [policy.disclosure for policy in policies if policy is not None]
    return max(found, key=DISCLOSURES.index, default=OPEN)


def policy_in_force(state: State) -> Policy | None:
    """Return the policy of the slot that closes next; before the first, the earliest there is."""
    next_ms = state.progress.next_slot_ms
    return policy_at(state, min(state.policies, default=0) if next_ms is None else next_ms)


def round_at(state: State, slot_ms: int | None = None) -> int | None:
    """Return the slot that pseudonyms are of, in views of a slot; None: those that stay."""
    policy = policy_in_force(state)
    if policy is None or policy.pseudonyms != FRESH:
        return None
    return state.progress.next_slot_ms if slot_ms is None else slot_ms
