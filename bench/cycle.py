"""One look at a microgrid: from the newest samples to orders and the bytes of a decision.

What the hub does between samples and leases, less the disk: the view of every meter and relay, the
policy, the view's root, the decision's body. Half of the generation is missing, so that every look
has much to decide, which is the worst there is. Processor time, since a look runs on one core.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.figure import Figure, Target
from hub.balancing.catalog import POLICIES
from hub.core.records import Contact, Meter, Policy, Relay
from hub.core.state import Change, State
from hub.link.nodes import Newsroom, Sample
from hub.switching.dispatch import START_GRACE_MS, Dispatcher
from hub.switching.leases import Leases
from messages.live import Live

SIZES = ((10, 30), (100, 300), (300, 1_000), (1_000, 3_000), (10_000, 30_000))  # relays, meters
TARGET_SIZE = (300, 1_000)
TARGET = Target("at most", 100)  # [ms]
LOOKS = 30
LOADS_A_MEMBER = 10
LOAD_MW = 20_000
NOW_MS = 1_000_000


def run(*, quick: bool) -> Iterator[Figure]:
    """Time the worst of several looks at each size, for the slowest policy there."""
    for relays, meters in SIZES[: 3 if quick else None]:
        looks = 5 if quick or relays > 1_000 else LOOKS
        worst = {name: _worst_ms(name, relays, meters, looks) for name in sorted(POLICIES)}
        slowest = max(worst, key=worst.__getitem__)
        yield Figure(
            f"a look, {meters:,} meters and {relays:,} relays",
            worst[slowest],
            "ms",
            TARGET if (relays, meters) == TARGET_SIZE else None,
            f"worst of {looks}, with {slowest}, the slowest policy; "
            + ", ".join(f"{name} {worst[name]:.1f}" for name in worst if name != slowest),
        )


def _worst_ms(dispatch: str, relays: int, meters: int, looks: int) -> float:
    state, news = _microgrid(dispatch, relays, meters)
    worst = 0.0
    for _ in range(looks):
        dispatcher = Dispatcher(news, Leases(5_000), POLICIES, NOW_MS - 2 * START_GRACE_MS)
        began = time.process_time()
        proposal = dispatcher.look(state, NOW_MS, NOW_MS)
        worst = max(worst, time.process_time() - began)
        if (proposal is None) != (dispatch == "none"):
            raise RuntimeError(f"{dispatch} decided nothing, or something without need")
    return worst * 1000


def _microgrid(dispatch: str, relays: int, meters: int) -> tuple[State, Newsroom]:
    """Members of ten loads with a meter each, one roof, one house meter; the rest boundary meters.

    Boundary meters are seen and settle nothing: they bring the number of meters to what was asked.
    """
    state, news = State(), Newsroom()
    policy = Policy("dep_balance", {}, ((0, 1),), ((0, 1),), dispatch, {}, "open", b"c" * 32, 0)
    state.apply([Change("policy", 0, policy)])
    for member in range(relays // LOADS_A_MEMBER):
        owner = f"m{member}"
        house_mw = LOADS_A_MEMBER * LOAD_MW
        _put(state, news, f"{owner}-pv", _meter(owner, "generation"), -house_mw // 2)
        _put(state, news, f"{owner}-load", _meter(owner, "consumption"), house_mw)
        for number in range(LOADS_A_MEMBER):
            power_mw = LOAD_MW // 2 + (member * 7 + number * 13) % LOADS_A_MEMBER * LOAD_MW // 10
            load = f"{owner}-{number}"
            appliance = _meter(owner, "appliance", f"{owner}-load")
            _put(state, news, load, appliance, power_mw)
            relay = Relay("fed", load, owner, LOAD_MW * 2, False, 0, 0, True, number % 5, number)
            state.apply(
                [
                    Change("relay", (owner, load), relay),
                    Change("contact", (owner, load), Contact(0, is_cut=False)),
                ]
            )
    for number in range(meters - len(state.meters)):
        _put(state, news, f"line-{number}", _meter("grid", "boundary"), 0)
    return state, news


def _put(state: State, news: Newsroom, meter_id: str, meter: Meter, power_mw: int) -> None:
    state.apply([Change("meter", meter_id, meter)])
    live = Live("bench", meter_id, 1, NOW_MS, power_mw=power_mw)
    news.take_live(Sample(live, NOW_MS - 100, NOW_MS - 100), meter.node)


def _meter(member: str, purpose: str, parent: str = "") -> Meter:
    return Meter(b"k" * 8, member, member, purpose, parent, "sdm120", 1_000_000, "")
