"""Effects are measured: welded contacts, dead coils, contacts that go elsewhere, and what mends."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from hub.core.records import Contact, Faulty, Meter, Relay
from hub.core.state import Change, State
from hub.link.nodes import Newsroom, Sample
from hub.switching.effects import JUDGE_MS, OUTAGE_MS_MAX, RETRY_MS, Effects, Now
from hub.switching.leases import Leases, Standing
from messages.live import Live
from messages.relayfault import ASTRAY, DEAD, NO_FALL, WELDED, WORKS, RelayFault
from messages.status import RelayStatus, Status

NAME = ("dep1", "heat")


def meter(purpose: str) -> Meter:
    return Meter(b"", "dep1", "alice", purpose, "", "sdm120", 100_000, "")


@dataclass
class Site:
    """Relays with the loads of one member; what is found goes into the state, as entries do."""

    state: State = field(default_factory=State)
    news: Newsroom = field(default_factory=Newsroom)
    leases: Leases = field(default_factory=lambda: Leases(5_000))
    effects: Effects = field(default_factory=Effects)
    now_ms: int = 100_000

    def relay(self, name: tuple[str, str] = NAME, load: str = "heater") -> None:
        relay = Relay("fed", load, "alice", 40_000, is_critical=False, min_on_ms=0, min_off_ms=0)
        contact = Contact(0, is_cut=True, decision_index=9, wants_cut=True, power_mw=30_000)
        self.state.apply([Change("relay", name, relay), Change("contact", name, contact)])
        self.news.hear(name[0], self.now_ms)
        self.news.take_contact(name, energised=False, now_ms=self.now_ms)

    def meter(self, meter_id: str, purpose: str) -> None:
        self.state.apply([Change("meter", meter_id, meter(purpose))])

    def draws(
        self, power_mw: int | None, meter_id: str = "heater", late_ms: int = 0, *, then: bool = True
    ) -> None:
        """Let a sample come that was measured `late_ms` ago, and `then` the node's word."""
        live = Live("bench", meter_id, self.now_ms, self.now_ms, power_mw=power_mw)
        self.news.take_live(Sample(live, self.now_ms - late_ms, self.now_ms), "dep1")
        if then:
            self.reports()

    def reports(self, *, knows: bool = True) -> None:
        """Let the node say where its contacts are, or that its guard is away."""
        rows = tuple(
            RelayStatus(name[1], seen.energised if knows else None, 0, "")
            for name, seen in self.news.contacts.items()
        )
        self.news.take_status(Status("dep1", b"", (), rows, 0, 0, self.now_ms), self.now_ms)

    def moves(self, *, cut: bool, name: tuple[str, str] = NAME) -> None:
        self.news.hear(name[0], self.now_ms)
        assert self.news.take_contact(name, energised=cut, now_ms=self.now_ms)
        self.leases.order(Standing(*name, energised=cut, cut=cut, decision=9, reason="x"))

    def passes(self, ms: int) -> None:
        self.now_ms += ms
        self.news.hear("dep1", self.now_ms)

    def look(self) -> list[tuple[str, str]]:
        """Look, and let what is found stand."""
        now = Now(self.state, self.news, self.leases, self.now_ms, self.now_ms)
        found = self.effects.look(now)
        for entry in found:
            before = self.state.faults.get((entry.node, entry.relay))
            welds = (before.welds if before else 0) + (entry.fault == WELDED)
            fault = Faulty(entry.fault, entry.reason, entry.at_ms, welds, 1)
            self.state.apply([Change("fault", (entry.node, entry.relay), fault)])
        assert all(isinstance(entry, RelayFault) for entry in found)
        return [(entry.relay, entry.fault) for entry in found]

    @property
    def reason(self) -> str:
        return self.state.faults[NAME].reason


@pytest.fixture
def site() -> Site:
    made = Site()
    made.meter("heater", "appliance")
    made.relay()
    made.draws(30_000)
    assert made.look() == []
    made.passes(1_000)
    return made


def weld(site: Site) -> None:
    """The contact is cut, and its load draws on."""
    site.moves(cut=True)
    assert site.look() == []
    site.passes(JUDGE_MS)
    site.draws(29_000)
    assert site.look() == [("heat", WELDED)]


def test_a_load_that_draws_on_is_a_welded_contact(site: Site) -> None:
    site.moves(cut=True)
    site.look()
    site.passes(JUDGE_MS - 1)
    site.draws(29_000)
    assert site.look() == []
    site.passes(1)
    assert site.look() == [("heat", WELDED)]
    assert site.reason == ("cut, and heater still shows 29.0 W: a welded contact, or a wrong wire")
    site.passes(1_000)
    assert site.look() == []


@pytest.mark.parametrize("power_mw", [0, 499, 3_000])
def test_a_rest_is_no_fault(site: Site, power_mw: int) -> None:
    site.moves(cut=True)
    site.passes(JUDGE_MS)
    site.draws(power_mw)
    assert site.look() == []


@pytest.mark.parametrize("late_ms", [JUDGE_MS, JUDGE_MS + 1])
def test_what_was_measured_before_the_move_proves_nothing(site: Site, late_ms: int) -> None:
    site.moves(cut=True)
    site.passes(JUDGE_MS)
    site.draws(30_000, late_ms=late_ms)
    assert site.look() == []


def test_a_sample_of_unknown_age_proves_nothing(site: Site) -> None:
    site.moves(cut=True)
    site.passes(JUDGE_MS)
    live = Live("bench", "heater", site.now_ms, site.now_ms, power_mw=30_000)
    site.news.take_live(Sample(live, None, site.now_ms), "dep1")
    assert site.look() == []


def test_a_weld_that_breaks_is_seen_and_the_second_one_needs_a_person(site: Site) -> None:
    weld(site)
    site.passes(1_000)
    site.draws(0)
    assert site.look() == [("heat", WORKS)]
    site.moves(cut=False)
    site.draws(30_000)
    site.passes(1_000)
    weld(site)
    for power_mw in (0, 30_000, 0):
        site.passes(1_000)
        site.draws(power_mw)
        assert site.look() == []
    assert site.state.faults[NAME].fault == WELDED


def test_what_is_fed_again_tells_nothing_of_a_weld(site: Site) -> None:
    weld(site)
    site.moves(cut=False)
    for power_mw in (30_000, 0):
        site.passes(JUDGE_MS)
        site.draws(power_mw)
        assert site.look() == []


def test_a_load_that_stays_dead_is_said_until_it_draws(site: Site) -> None:
    site.moves(cut=True)
    site.look()
    site.passes(JUDGE_MS)
    site.draws(0)
    assert site.look() == []
    site.moves(cut=False)
    assert site.look() == []
    site.passes(JUDGE_MS)
    site.draws(100)
    assert site.look() == [("heat", DEAD)]
    assert "fed again, and heater draws nothing, where it drew 30.0 W: a dead coil" in site.reason
    site.passes(60_000)
    site.draws(28_000)
    assert site.look() == [("heat", WORKS)]
    site.passes(1_000)
    site.draws(0)
    assert site.look() == []  # it may go off by itself as long as it likes


def test_a_load_that_was_out_for_long_may_want_nothing(site: Site) -> None:
    site.moves(cut=True)
    site.look()
    site.passes(OUTAGE_MS_MAX)
    site.draws(0)
    site.look()
    site.moves(cut=False)
    site.look()
    site.passes(JUDGE_MS)
    site.draws(0)
    assert site.look() == []


def test_a_contact_that_does_not_go_where_it_is_ordered(site: Site) -> None:
    site.leases.order(Standing(*NAME, energised=True, cut=True, decision=9, reason="x"))
    assert site.look() == []
    site.passes(JUDGE_MS - 1)
    assert site.look() == []
    site.passes(1)
    assert site.look() == [("heat", ASTRAY)]
    site.passes(1_000)
    assert site.look() == []
    site.news.take_contact(NAME, energised=True, now_ms=site.now_ms)
    assert site.look() == [("heat", WORKS)]


def test_time_that_stands_still_judges_no_contact(site: Site) -> None:
    site.leases.order(Standing(*NAME, energised=True, cut=True, decision=9, reason="x"))
    for _ in range(5):
        now = Now(site.state, site.news, site.leases, site.now_ms, 7)
        assert site.effects.look(now) == ()
        site.passes(JUDGE_MS)


def test_nobody_is_accused_before_the_node_says_where_the_contact_still_is(site: Site) -> None:
    site.draws(30_000)
    assert site.look() == []
    site.moves(cut=True)
    assert site.look() == []
    site.passes(JUDGE_MS)
    site.draws(30_000, then=False)  # perhaps the guard died, and the load is fed again
    assert site.look() == []
    site.passes(1_000)
    site.reports()
    assert site.look() == [("heat", WELDED)]


def test_while_a_guard_is_away_nothing_is_judged_and_afterwards_anew(site: Site) -> None:
    site.draws(30_000)
    assert site.look() == []
    site.moves(cut=True)
    site.passes(1_000)
    site.reports(knows=False)
    assert site.look() == []
    for _ in range(3):
        site.passes(1_000)
        site.draws(30_000, then=False)
        site.reports(knows=False)
        assert site.look() == []
    site.passes(1_000)
    site.draws(30_000)  # it is back, and has cut the load just now
    assert site.look() == []
    site.passes(JUDGE_MS)
    site.draws(0)
    assert site.look() == []


def test_of_a_relay_that_somebody_holds_nothing_is_expected(site: Site) -> None:
    site.leases.order(Standing(*NAME, energised=True, cut=True, decision=9, reason="x"))
    rows = (RelayStatus("heat", False, 0, "", "overridden locally"),)
    site.news.take_status(Status("dep1", b"", (), rows, 0, 0, site.now_ms), site.now_ms)
    for _ in range(5):
        site.passes(JUDGE_MS)
        assert site.look() == []


# a load without a meter of its own


@pytest.fixture
def house() -> Site:
    made = Site()
    made.meter("whole", "consumption")
    made.relay(load="")
    made.draws(50_000, "whole")
    made.look()
    made.passes(1_000)
    return made


def test_the_meter_above_has_to_fall(house: Site) -> None:
    house.moves(cut=True)
    house.look()
    house.passes(JUDGE_MS)
    house.draws(47_000, "whole")
    assert house.look() == [("heat", NO_FALL)]
    assert "cut, and whole shows no fall: a welded contact, or a load that drew" in house.reason
    house.passes(RETRY_MS - 1)
    assert house.look() == []
    house.passes(1)
    assert house.look() == [("heat", WORKS)]


def test_a_fall_of_a_tenth_of_its_rating_is_enough(house: Site) -> None:
    house.moves(cut=True)
    house.look()
    house.passes(JUDGE_MS)
    house.draws(46_000, "whole")
    assert house.look() == []


def test_where_two_moved_nobody_is_judged(house: Site) -> None:
    house.relay(("dep1", "pump"), load="")
    house.look()
    house.passes(10_000)
    house.draws(50_000, "whole")
    house.look()
    house.moves(cut=True)
    house.moves(cut=True, name=("dep1", "pump"))
    house.look()
    house.passes(JUDGE_MS)
    house.draws(50_000, "whole")
    assert house.look() == []


def test_with_two_meters_above_nobody_is_judged(house: Site) -> None:
    house.meter("second", "consumption")
    house.moves(cut=True)
    house.look()
    house.passes(JUDGE_MS)
    house.draws(50_000, "whole")
    assert house.look() == []


def test_in_time_that_runs_fast_an_hour_later_a_load_may_want_nothing(site: Site) -> None:
    site.moves(cut=True)
    site.look()
    site.moves(cut=False)
    site.look()
    site.passes(JUDGE_MS)
    site.draws(0)
    now = Now(site.state, site.news, site.leases, site.now_ms, site.now_ms + OUTAGE_MS_MAX)
    assert site.effects.look(now) == ()
