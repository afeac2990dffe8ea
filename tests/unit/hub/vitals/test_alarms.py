"""Effects are measured: a contact that does not follow, a load that draws although it was cut."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from hub.core.records import Contact, Relay
from hub.core.state import Change, State
from hub.link.nodes import Newsroom, Sample
from hub.switching.leases import Leases, Standing
from hub.vitals.alarms import FALL_WITHIN_MS, FOLLOW_WITHIN_MS, RelayWatch
from messages.live import Live

NAME = ("dep1", "heat")
AT_MS = 100_000


@dataclass
class Site:
    """One relay with one measured load."""

    state: State
    news: Newsroom
    leases: Leases
    watch: RelayWatch

    def alarms(self, now_ms: int) -> list[str]:
        return list(self.watch.alarms(self.state, self.news, self.leases, now_ms))

    def draws(self, power_mw: int, now_ms: int) -> None:
        live = Live("bench", "heater", now_ms, now_ms, power_mw=power_mw)
        self.news.take_live(Sample(live, now_ms, now_ms), "dep1")


@pytest.fixture
def site() -> Site:
    state = State()
    contact = Contact(0, is_cut=True, decision_index=9, wants_cut=True)
    relay = Relay("fed", "heater", "alice", 40_000, is_critical=False, min_on_ms=0, min_off_ms=0)
    state.apply(
        [
            Change("relay", NAME, relay),
            Change("contact", NAME, contact._replace(power_mw=30_000)),
        ]
    )
    leases = Leases(5_000)
    leases.order(Standing("dep1", "heat", energised=True, cut=True, decision=9, reason="x"))
    return Site(state, Newsroom(), leases, RelayWatch())


def cut(site: Site, now_ms: int) -> None:
    site.news.hear("dep1", now_ms)
    site.news.take_contact(NAME, energised=False, now_ms=now_ms - 1)
    site.news.take_contact(NAME, energised=True, now_ms=now_ms)


def test_a_contact_that_does_not_follow_is_said_after_five_seconds(site: Site) -> None:
    site.news.hear("dep1", AT_MS + FOLLOW_WITHIN_MS)
    assert site.alarms(AT_MS) == []
    assert site.alarms(AT_MS + FOLLOW_WITHIN_MS) == []
    (alarm,) = site.alarms(AT_MS + FOLLOW_WITHIN_MS + 1)
    assert "dep1/heat is to be energised and does not follow" in alarm
    cut(site, AT_MS + FOLLOW_WITHIN_MS + 2)
    assert site.alarms(AT_MS + FOLLOW_WITHIN_MS + 3) == []


def test_a_silent_node_is_named(site: Site) -> None:
    site.alarms(AT_MS)
    (alarm,) = site.alarms(AT_MS + FOLLOW_WITHIN_MS + 1)
    assert "node dep1 is silent" in alarm


def test_a_load_that_still_draws_is_a_welded_contact(site: Site) -> None:
    cut(site, AT_MS)
    late_ms = AT_MS + FALL_WITHIN_MS
    site.draws(29_000, late_ms)
    assert site.alarms(late_ms - 1) == []
    (alarm,) = site.alarms(late_ms)
    assert "heater draws 29000 mW although relay dep1/heat has cut it" in alarm


@pytest.mark.parametrize("power_mw", [0, 499, 3_000])
def test_a_rest_is_no_alarm(site: Site, power_mw: int) -> None:
    cut(site, AT_MS)
    site.draws(power_mw, AT_MS + FALL_WITHIN_MS)
    assert site.alarms(AT_MS + FALL_WITHIN_MS) == []


def test_a_sample_from_before_the_cut_proves_nothing(site: Site) -> None:
    site.draws(30_000, AT_MS - 1)
    cut(site, AT_MS)
    assert site.alarms(AT_MS + FALL_WITHIN_MS) == []
