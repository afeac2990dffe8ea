"""Whether relays do to their loads what they are told, as measurement has it. Pure.

Each move of a contact is judged `JUDGE_MS` later by the first sample that was measured after it:
a load that is cut draws no more than a rest, one that is fed again draws what it drew before. A
load without a meter of its own is judged by the fall of its member's only consumption meter, and
only where nothing else of his moved meanwhile. What nobody measured is not judged. What is found
becomes an entry, and until another entry takes it back no policy counts on the relay.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from hub.balancing.orders import power_text
from hub.core.faulting import needs_person
from hub.core.loads import owner_of
from hub.core.records import Faulty, Relay
from hub.core.state import State
from hub.link.nodes import ContactSeen, Newsroom
from hub.switching.leases import Leases, RelayName
from messages.relayfault import ASTRAY, DEAD, NO_FALL, WELDED, WORKS, RelayFault

JUDGE_MS: Final = 3_000
"""How long after a move its effect must show; with a look and a report each second: within 5 s."""
REST_PERMILLE: Final = 100
"""Of its power before the cut, below which a load counts as off."""
REST_MW_MIN: Final = 500
OUTAGE_MS_MAX: Final = 1_800_000
"""A load that was out for longer may want nothing when it is fed again."""
RETRY_MS: Final = 900_000
"""A load that showed no fall at the meter above may have drawn nothing: tried again after this."""


class Found(NamedTuple):
    """A fault and its reason in plain words; WORKS and why, where it works."""

    fault: str
    reason: str


class Now(NamedTuple):
    """What is known at one moment. `now_ms` is the hub's monotonic clock, `at_ms` UTC."""

    state: State
    news: Newsroom
    leases: Leases
    now_ms: int
    at_ms: int

    def power_mw(self, meter_id: str, after_ms: int) -> int | None:
        """Return what a meter showed that was surely measured after a moment of our clock."""
        sample = self.news.samples.get(meter_id)
        if sample is None or sample.beacon_ms is None or sample.live.power_mw is None:
            return None
        is_after = min(sample.beacon_ms, sample.heard_ms) > after_ms
        return abs(sample.live.power_mw) if is_after else None

    def is_confirmed(self, name: RelayName, meter_id: str) -> bool:
        """Whether the node said where the contact is since that meter's sample came.

        Until it has, the guard may have died or let go between a move and the sample.
        """
        node, sample = self.news.nodes.get(name[0]), self.news.samples.get(meter_id)
        return node is not None and sample is not None and node.status_ms >= sample.heard_ms


@dataclass(slots=True)
class _Move:
    """A move of a contact. `since_ms` None: it stood so when it was first heard, at `from_ms`.

    `out_ms`: since when the load that it feeds again was out (UTC), None where nobody saw that.
    `above_mw`: what the meter above showed before it. `is_done`: it was judged.
    """

    since_ms: int | None
    from_ms: int
    at_ms: int
    out_ms: int | None = None
    above_mw: int | None = None
    is_done: bool = False


class Effects:
    """Owns what is being judged of each relay. What was found stands on the ledger."""

    def __init__(self) -> None:
        self._astray: dict[RelayName, tuple[int, int]] = {}
        self._lost_ms: dict[RelayName, int] = {}  # when its node last did not know where it is
        self._moves: dict[RelayName, _Move] = {}
        self._above_mw: dict[RelayName, int | None] = {}

    def look(self, now: Now) -> tuple[RelayFault, ...]:
        """Return what is to be put on the ledger: faults that are new, and those that are over."""
        found = []
        for name in sorted(now.state.relays):
            fault = now.state.faults.get(name)
            told = self._judge(now, name) or _tried_again(fault, now.at_ms)
            if told is not None and _is_news(fault, told):
                found.append(RelayFault(*name, *told, now.at_ms))
        return tuple(found)

    def _judge(self, now: Now, name: RelayName) -> Found | None:
        if now.news.is_silent(name[0], now.now_ms) or now.news.unavailable(name):
            self._astray.pop(name, None)  # nobody expects it to follow
            return None
        if self._is_astray(now, name):
            return Found(ASTRAY, "it does not go where it is ordered: check guard, wiring, rules")
        seen, fault = now.news.contacts.get(name), now.state.faults.get(name)
        if now.news.is_lost(name):
            self._lost_ms[name], seen = now.now_ms, None
            self._moves.pop(name, None)
        if now.state.relays[name].setpoint:
            seen = None  # a set-point moves no contact; what it lets through, the policy looks at
        found = None if seen is None else self._measure(now, name, seen)
        if found is None and fault is not None and fault.fault == ASTRAY:
            return Found(WORKS, "it follows again")
        return found

    def _is_astray(self, now: Now, name: RelayName) -> bool:
        """Whether a contact is not where its order wants it, and for too long.

        Simulated time that stands still waits for contacts: it is no time to judge by.
        """
        standing = now.leases.order_of(name)
        if standing is None or (now.news.energised(name) or False) == standing.energised:
            self._astray.pop(name, None)
            return False
        since_ms, at_ms = self._astray.setdefault(name, (now.now_ms, now.at_ms))
        return now.now_ms - since_ms >= JUDGE_MS and now.at_ms != at_ms

    def _measure(self, now: Now, name: RelayName, seen: ContactSeen) -> Found | None:
        """Judge by what is measured since the contact moved."""
        relay = now.state.relays[name]
        is_cut = relay.is_cut(energised=seen.energised)
        move = self._move(now, name, seen, is_cut=is_cut)
        is_due = now.now_ms - move.from_ms >= JUDGE_MS
        if relay.load in now.state.meters:
            power_mw = now.power_mw(relay.load, move.from_ms) if is_due else None
            if power_mw is None or not now.is_confirmed(name, relay.load):
                return None
            return (
                _still_draws(now, name, power_mw) if is_cut else _draws(now, name, move, power_mw)
            )
        above = _meter_above(now.state, relay)
        self._above_mw[name] = None if above is None else now.power_mw(above, 0)
        if above is None or not (is_cut and is_due) or move.is_done:
            return None
        return self._fell(now, name, move, above)

    def _move(self, now: Now, name: RelayName, seen: ContactSeen, *, is_cut: bool) -> _Move:
        """Return the newest move of a contact, remembering what was before it."""
        move = self._moves.get(name)
        if move is None or move.since_ms != seen.since_ms:
            out_ms = None if move is None or is_cut else move.at_ms
            moved_ms = now.now_ms if seen.since_ms is None else seen.since_ms
            move = self._moves[name] = _Move(
                since_ms=seen.since_ms,
                from_ms=max(moved_ms, self._lost_ms.get(name, moved_ms)),
                at_ms=now.at_ms,
                out_ms=out_ms,
                above_mw=self._above_mw.get(name),
            )
        return move

    def _fell(self, now: Now, name: RelayName, move: _Move, above: str) -> Found | None:
        """Judge a cut by the meter above."""
        power_mw = now.power_mw(above, move.from_ms)
        if power_mw is None or not now.is_confirmed(name, above):
            return None
        move.is_done = True
        if move.above_mw is None or self._others_moved(now, name, above, move):
            return None
        fall_mw = move.above_mw - power_mw
        if fall_mw >= _rest_mw(now.state.relays[name].rated_mw):
            return Found(WORKS, f"{above} fell by {power_text(fall_mw)}")
        what = "a welded contact, or a load that drew nothing"
        return Found(NO_FALL, f"cut, and {above} shows no fall: {what}")

    def _others_moved(self, now: Now, name: RelayName, above: str, move: _Move) -> bool:
        """Whether another relay of the same member moved at about that time: who fell, who rose?"""
        member = now.state.meters[above].member
        return any(
            abs(other.from_ms - move.from_ms) < 2 * JUDGE_MS
            for key, other in self._moves.items()
            if key != name and key in now.state.relays
            if owner_of(now.state, now.state.relays[key]) == member
        )


def sentences(state: State) -> Iterator[str]:
    """Yield each fault that stands, for people."""
    for name, fault in sorted(state.faults.items()):
        if fault.fault != WORKS and name in state.relays:
            known = "/".join(name)
            mend = f"; mend it, then gridtally-hub trust-relay {known}"
            yield f"relay {known}: {fault.reason}{mend if needs_person(fault) else ''}"


def _tried_again(fault: Faulty | None, at_ms: int) -> Found | None:
    """Return that a load may be tried again of which nobody knows whether it drew anything."""
    if fault is None or fault.fault != NO_FALL or at_ms - fault.at_ms < RETRY_MS:
        return None
    return Found(WORKS, "nobody knows whether it drew anything then: it is tried again")


def _is_news(fault: Faulty | None, told: Found) -> bool:
    standing = WORKS if fault is None else fault.fault
    if standing in (WORKS, told.fault):
        return told.fault != standing
    return not needs_person(fault)


def _still_draws(now: Now, name: RelayName, power_mw: int) -> Found:
    """Judge a load that is cut, for as long as it is."""
    load = now.state.relays[name].load
    if power_mw <= _rest_mw(_base_mw(now.state, name)):
        return Found(WORKS, f"{load} draws nothing now that it is cut")
    what = f"cut, and {load} still shows {power_text(power_mw)}"
    return Found(WELDED, f"{what}: a welded contact, or a wrong wire")


def _draws(now: Now, name: RelayName, move: _Move, power_mw: int) -> Found | None:
    """Judge a load that is fed: once, when it was out for a while only, and drew power before."""
    state, load = now.state, now.state.relays[name].load
    base_mw, fault = _base_mw(state, name), state.faults.get(name)
    standing = WORKS if fault is None else fault.fault
    if power_mw > _rest_mw(base_mw):
        move.is_done = True
        return Found(WORKS, f"{load} draws {power_text(power_mw)}") if standing == DEAD else None
    is_late = move.out_ms is None or now.at_ms - move.out_ms >= OUTAGE_MS_MAX
    is_judged = move.is_done or is_late or standing == WELDED
    if is_judged or base_mw <= _rest_mw(base_mw) or state.meters[load].purpose == "generation":
        return None
    move.is_done = True
    what = f"fed again, and {load} draws nothing, where it drew {power_text(base_mw)}"
    return Found(DEAD, f"{what}: a dead coil, a fuse, or a load that wants nothing")


def _base_mw(state: State, name: RelayName) -> int:
    """What a load drew before it was cut; its rated power where nobody knows."""
    contact = state.contacts.get(name)
    known_mw = None if contact is None else contact.power_mw
    return state.relays[name].rated_mw if known_mw is None else known_mw


def _rest_mw(base_mw: int) -> int:
    return max(base_mw * REST_PERMILLE // 1000, REST_MW_MIN)


def _meter_above(state: State, relay: Relay) -> str | None:
    """Return the only meter that shows what a member draws; None where there are several."""
    member = owner_of(state, relay)
    above = [
        meter_id
        for meter_id, meter in state.meters_of(member)
        if meter.purpose == "consumption" and not meter.is_retired
    ]
    return above[0] if len(above) == 1 else None
