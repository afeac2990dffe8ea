"""Whatever is welded, dead or astray: limits hold with the rest, and nothing switches for ever."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.balancing.catalog import POLICIES
from hub.core.events import Event
from hub.core.loads import take_ack, take_decision
from hub.core.records import Faulty, Meter, Policy, Relay
from hub.core.state import Change, State
from hub.link.nodes import Newsroom, Sample
from hub.switching.dispatch import START_GRACE_MS, Dispatcher
from hub.switching.effects import Effects, Now
from hub.switching.leases import Leases
from messages.entries import Ack
from messages.live import Live
from messages.relayfault import WELDED
from messages.status import RelayStatus, Status

BASE_W, RATED_W = 10, 60
SECONDS, QUIET_S = 40, 12
"""How long each supply lasts, and for how long nothing may move in its end."""


class Load(NamedTuple):
    """A load behind a relay; `broken`: "" works, "welded" draws always, "astray" stays safe."""

    power_w: int
    wired: str
    broken: str


class World:
    """What is really so, and the hub's part from samples to orders, each second."""

    def __init__(self, loads: list[Load], policy: str) -> None:
        self.loads = {("pi", f"r{n}"): load for n, load in enumerate(loads)}
        self.energised = dict.fromkeys(self.loads, False)
        self.now_ms, self.supply_w, self.moves, self.index = 1_000_000, 0, 0, 1
        self.state, self.news, self.leases = State(), Newsroom(), Leases(5_000)
        self.effects = Effects()
        rule = Policy("dep_balance", {}, ((0, 1),), ((0, 1),), policy, {}, "open", b"", 0)
        rows = [Change("policy", 0, rule), self._meter("pv", "generation")]
        rows.append(self._meter("whole", "consumption"))
        for name, load in self.loads.items():
            meter = f"{name[1]}-m"
            relay = Relay(load.wired, meter, "ann", RATED_W * 1000, False, 0, 0)
            rows += [self._meter(meter, "appliance", "whole"), Change("relay", name, relay)]
        self.state.apply(rows)
        start_ms = self.now_ms - START_GRACE_MS
        self.dispatcher = Dispatcher(self.news, self.leases, POLICIES, start_ms)

    def _meter(self, name: str, purpose: str, parent: str = "") -> Change:
        return Change("meter", name, Meter(b"", "pi", "ann", purpose, parent, "x", 200_000, ""))

    def drawn_w(self, name: tuple[str, str]) -> int:
        load = self.loads[name]
        is_cut = self.energised[name] == (load.wired == "fed")
        return 0 if is_cut and load.broken != "welded" else load.power_w

    @property
    def total_w(self) -> int:
        return BASE_W + sum(self.drawn_w(name) for name in self.loads)

    def second(self) -> None:
        """Measure, judge, decide, obey."""
        self.now_ms += 1_000
        self.news.hear("pi", self.now_ms)
        shown = {f"{name[1]}-m": self.drawn_w(name) for name in self.loads}
        for meter, power_w in (shown | {"pv": -self.supply_w, "whole": self.total_w}).items():
            live = Live("bench", meter, self.now_ms, self.now_ms, power_mw=power_w * 1000)
            self.news.take_live(Sample(live, self.now_ms, self.now_ms), "pi")
        rows = tuple(RelayStatus(name[1], at, 0, "") for name, at in self.energised.items())
        status = Status("pi", b"", (), rows, 0, 0, self.now_ms)
        self.news.take_status(status, self.now_ms)
        self._judge()
        proposal = self.dispatcher.look(self.state, self.now_ms, self.now_ms)
        if proposal is not None:
            self.index += 1
            event = Event(self.index, b"", b"", proposal.decision)
            self.state.apply(take_decision(self.state, event, proposal.decision).changes)
            self.dispatcher.accept(proposal, self.index)
        self._obey()

    def _judge(self) -> None:
        now = Now(self.state, self.news, self.leases, self.now_ms, self.now_ms)
        for entry in self.effects.look(now):
            name = (entry.node, entry.relay)
            before = self.state.faults.get(name)
            welds = (before.welds if before else 0) + (entry.fault == WELDED)
            fault = Faulty(entry.fault, entry.reason, entry.at_ms, welds, 1)
            self.state.apply([Change("fault", name, fault)])

    def _obey(self) -> None:
        for standing in self.leases.standing:
            name = standing.name
            if self.energised[name] == standing.energised or self.loads[name].broken == "astray":
                continue
            self.energised[name] = standing.energised
            self.moves += 1
            self.news.take_contact(name, standing.energised, self.now_ms)
            ack = Ack(1, *name, 1, standing.energised, "applied", "", self.now_ms, b"", 1)
            event = Event(self.index, b"", b"", ack)
            self.state.apply(take_ack(self.state, event, ack).changes)


loads = st.lists(
    st.builds(
        Load,
        st.integers(3, RATED_W),
        st.sampled_from(["fed", "cut"]),
        st.sampled_from(["", "", "", "welded", "astray"]),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=40)
@given(
    loads,
    st.lists(st.integers(0, 250), min_size=1, max_size=3),
    st.sampled_from(["least_disruption", "priority", "dep"]),
)
def test_limits_hold_with_what_works_and_all_comes_to_rest(
    given_loads: list[Load], supplies_w: list[int], policy: str
) -> None:
    world = World(given_loads, policy)
    for supply_w in supplies_w:
        world.supply_w = supply_w
        for _ in range(SECONDS):
            world.second()
        moves = world.moves
        for _ in range(QUIET_S):
            world.second()
        assert world.moves == moves
        firm_w = BASE_W + sum(
            world.drawn_w(name) for name, load in world.loads.items() if load.broken
        )
        assert world.total_w <= max(supply_w * 1_02 // 100 + 1, firm_w)


@given(st.sampled_from(["welded", "astray"]), st.integers(5, RATED_W))
def test_the_next_load_gives_way_within_five_seconds(broken: str, power_w: int) -> None:
    first = Load(power_w, "fed", broken)
    world = World([first, Load(power_w + 1, "fed", "")], "least_disruption")
    world.supply_w = 250
    for _ in range(10):
        world.second()
    world.supply_w = BASE_W + power_w + 1  # the smaller load would be enough, and does not go
    for _ in range(6):
        world.second()
    assert world.drawn_w(("pi", "r1")) == 0
    assert world.state.faults["pi", "r0"].fault == broken
    moved = world.moves
    for _ in range(60):
        world.second()
    assert world.moves == moved
