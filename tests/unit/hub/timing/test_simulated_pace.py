"""The hub's work at an instant of simulated time, on its real parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.balancing.catalog import POLICIES
from hub.closing import COMPLETE, TIMEOUT, Closer, CloseRule
from hub.core.events import read_event
from hub.link.beacons import Beacons
from hub.link.hearing import Hearing
from hub.link.nodes import Newsroom
from hub.link.post import Post
from hub.spine import Spine
from hub.starting import Opened
from hub.switching.dispatch import Dispatcher
from hub.switching.leases import Leases
from hub.switching.switchboard import Switchboard
from hub.timing.pace import SimulatedPace
from messages.entries import Close
from tests.support.hub_bench import MICROGRID, SLOT_MS, START_MS, Bench


class Site:
    def __init__(self, bench: Bench, opened: Opened, spine: Spine) -> None:
        self.bench, self.opened, self.spine = bench, opened, spine
        news, leases = Newsroom(), Leases(5_000)
        hearing = Hearing(spine, news, Beacons(lambda: bytes(16)), bench.comparison(opened))
        dispatcher = Dispatcher(news, leases, POLICIES, 0)
        post = Post(bench.link, opened.pen, MICROGRID)
        switchboard = Switchboard(spine, dispatcher, leases, news, opened.pen, post)
        closer = Closer(spine, opened.pen, CloseRule(SLOT_MS, 30_000, 600_000))
        socket = bench.folder / "clock.sock"
        self.pace = SimulatedPace(socket, spine, closer, switchboard, hearing, lambda: None)

    def read(self, slot: int) -> None:
        at_ms = START_MS + slot * SLOT_MS
        self.spine.take_in(self.bench.readings(at_ms, slot * 100), 0, at_ms)

    def closes(self) -> list[Close]:
        entries = self.spine.recorder.store.of_kind("close")
        bodies = [read_event(entry.index, entry.raw).body for entry in entries]
        return [body for body in bodies if isinstance(body, Close)]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    bench = Bench(tmp_path)
    opened = bench.open()
    spine = bench.spine(opened)
    bench.enrol(spine)
    yield Site(bench, opened, spine)
    opened.close()


def test_a_slot_closes_when_it_is_asked_for(site: Site) -> None:
    site.read(0)
    assert site.pace.missing_for(START_MS) == ("heater", "load", "pv")
    site.read(1)
    assert site.pace.missing_for(START_MS) == ()
    assert site.pace.close_for(START_MS, START_MS + SLOT_MS) == ()
    assert site.closes() == [Close(START_MS, COMPLETE, (), START_MS + SLOT_MS)]


def test_slots_before_it_close_first_and_none_closes_twice(site: Site) -> None:
    site.read(0)
    site.read(1)
    site.pace.close_for(START_MS, START_MS + SLOT_MS)
    at_ms = START_MS + 3 * SLOT_MS
    assert site.pace.close_for(START_MS + 2 * SLOT_MS, at_ms) == ("heater", "load", "pv")
    again = [(close.slot_start_ms, close.reason) for close in site.closes()]
    assert again == [
        (START_MS, COMPLETE),
        (START_MS + SLOT_MS, TIMEOUT),
        (START_MS + 2 * SLOT_MS, TIMEOUT),
    ]
    assert site.pace.close_for(START_MS, at_ms) == ()
    assert len(site.closes()) == 3


def test_before_the_first_instant_time_is_the_machine_s(site: Site) -> None:
    assert site.pace.utc_ms() > START_MS
    assert not site.pace.is_awaited
    assert site.pace.wait_ms(0) > 0
    site.pace.drive(0)
    assert site.pace.take_moved() == 0
    assert site.pace.unsettled() == ()


def test_what_is_folded_is_reached(site: Site) -> None:
    site.read(0)
    kid = site.bench.meters["pv"].public.kid
    assert site.pace.reached(kid, "register") == 1
    assert site.pace.reached(kid, "live") == 0
