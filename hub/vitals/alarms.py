"""What a person should look at, as sentences that say what to do. Pure.

Effects are verified by measurement: a contact that does not follow its lease, and a load that draws
power although it was cut, are said within seconds.
"""

from __future__ import annotations

from collections.abc import Iterator

from hub.core.state import State
from hub.link.nodes import Newsroom
from hub.switching.leases import Leases, RelayName

FOLLOW_WITHIN_MS = 5_000
FALL_WITHIN_MS = 5_000
REST_PERMILLE = 100  # of its power before the cut, below which a load counts as off
REST_MW_MIN = 500


class RelayWatch:
    """Owns since when each relay is not where its order wants it."""

    def __init__(self) -> None:
        self._astray_ms: dict[RelayName, int] = {}

    def alarms(self, state: State, news: Newsroom, leases: Leases, now_ms: int) -> Iterator[str]:
        """Yield what is wrong with relays now, in the order of their names."""
        yield from _held(state, news)
        for standing in leases.standing:
            name = standing.name
            energised = news.energised(name)
            if (energised or False) == standing.energised:
                self._astray_ms.pop(name, None)
            else:
                since_ms = self._astray_ms.setdefault(name, now_ms)
                if now_ms - since_ms > FOLLOW_WITHIN_MS:
                    yield _astray(name, standing.energised, news, now_ms)
        for name in sorted(news.contacts):
            yield from _still_drawing(state, news, name, now_ms)


def _held(state: State, news: Newsroom) -> Iterator[str]:
    """Yield whose guard lets no lease move which relays, and why: a sentence for each reason."""
    relays: dict[tuple[str, str], list[str]] = {}
    for name in sorted(state.relays):
        reason = news.unavailable(name)
        if reason:
            relays.setdefault((name[0], reason), []).append(name[1])
    for (node, reason), names in relays.items():
        yield f"node {node} lets no lease move {', '.join(names)}: {reason}"


def _astray(name: RelayName, energised: bool, news: Newsroom, now_ms: int) -> str:
    node, relay = name
    wanted = "energised" if energised else "released"
    if news.is_silent(node, now_ms):
        return f"relay {node}/{relay} is to be {wanted}, but node {node} is silent: look there"
    return f"relay {node}/{relay} is to be {wanted} and does not follow: check guard and wiring"


def _still_drawing(state: State, news: Newsroom, name: RelayName, now_ms: int) -> Iterator[str]:
    relay, contact, seen = state.relays.get(name), state.contacts.get(name), news.contacts[name]
    if relay is None or contact is None or not contact.power_mw or not contact.wants_cut:
        return
    if seen.since_ms is None or now_ms - seen.since_ms < FALL_WITHIN_MS:
        return
    if not relay.is_cut(energised=seen.energised):
        return
    sample = news.samples.get(relay.load)
    if sample is None or sample.live.power_mw is None or sample.heard_ms < seen.since_ms:
        return
    rest_mw = max(contact.power_mw * REST_PERMILLE // 1000, REST_MW_MIN)
    if sample.live.power_mw > rest_mw:
        yield (
            f"load {relay.load} draws {sample.live.power_mw} mW although relay "
            f"{name[0]}/{name[1]} has cut it: a welded contact, or a wrong wire"
        )
