"""The test of a relay: what is asked, switched and measured, and that it ends released."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest

from edge.relaytest.errors import NotReleased, RelayTestEnded
from edge.relaytest.halting import SIGNALS, Halt
from edge.relaytest.trial import FAILURES_MAX, RELEASES_MAX, Pace, Trial
from edge.relaytest.verdict import Level, Wiring
from hardware.errors import BusTimeout, DeviceAbsent
from hardware.mock.wires.pins import Contact
from hardware.ports import Sample
from tests.support.coil import Coil

LOAD_MW = 36_000
WIRING = Wiring("heater", "fed", "heater-meter", 40_000)


class Wired(Coil):
    """A coil and the contact that it moves."""

    def __init__(self, contact):
        super().__init__()
        self.contact = contact
        self.closed = 0

    def switch(self, energised):
        super().switch(energised)
        self.contact.follow(energised)

    def close(self):
        super().close()
        self.contact.follow(False)
        self.closed += 1


class Bench:
    """A relay, its load, the meter of the load, that of the house, and a person who agrees."""

    def __init__(self, wired="fed", configured="fed", load="heater-meter"):
        self.contact = Contact(active_high=True, deenergised=wired)
        self.coil = Wired(self.contact)
        self.wiring = replace(WIRING, deenergised=configured, load=load)
        self.reads = {"heater-meter": self.load, "house": self.house}
        self.asked = []
        self.told = []
        self.pauses = []
        self.refuse_at = None
        self.made = 0

    def load(self):
        return Sample(LOAD_MW if self.contact.is_fed else 0, None, None, 12_000, None, None)

    def house(self):
        return replace(self.load(), power_mw=self.load().power_mw + 50_000)

    def agree(self, question):
        self.asked.append(question)
        if len(self.asked) == self.refuse_at:
            raise RelayTestEnded("ended: not agreed")

    def tell(self, text):
        self.told.append(text)

    def pause(self, seconds):
        self.pauses.append(seconds)

    def make(self):
        self.made += 1
        return self.coil

    def run(self):
        trial = Trial(self.wiring, self.reads, Pace(3.0, 5.0), self, self.pause)
        return trial.run(self.make)

    def is_left_released(self):
        return self.coil.closed == self.made and not self.coil._energised


def test_it_asks_switches_and_measures_in_three_positions():
    bench = Bench()
    outcome = bench.run()
    assert outcome.verdict.works
    assert bench.asked == [
        "Release heater? Its load is to be fed then.",
        "Energise heater? Its load is to be cut then.",
        "Release heater? Its load is to be fed then.",
    ]
    assert bench.coil.history == [False, True, False, False]
    assert bench.pauses == [3.0, 0.5, 0.5, 5.0, 0.5, 0.5, 3.0, 0.5, 0.5]
    assert [each.read_back for each in outcome.positions] == [False, True, False]
    assert [dict(each.levels) for each in outcome.positions] == [
        {"heater-meter": Level(36_000), "house": Level(86_000)},
        {"heater-meter": Level(0), "house": Level(50_000)},
        {"heater-meter": Level(36_000), "house": Level(86_000)},
    ]
    assert bench.is_left_released()


@pytest.mark.parametrize(
    ("wired", "configured", "fault", "kind"),
    [
        ("fed", "fed", None, "works"),
        ("cut", "cut", None, "works"),
        ("cut", "fed", None, "reversed"),
        ("fed", "cut", None, "reversed"),
        ("fed", "fed", "coil_dead", "not_following"),
        ("cut", "cut", "coil_dead", "not_following"),
        ("fed", "fed", "welded", "not_following"),  # on NC: as if the coil were dead
    ],
)
def test_each_fault_of_a_contact_is_told(wired, configured, fault, kind):
    bench = Bench(wired, configured)
    if fault:
        bench.contact.faults.switch(fault, True)
    assert bench.run().verdict.kind == kind
    assert bench.is_left_released()


@pytest.mark.parametrize(("wired", "at"), [("cut", 0), ("cut", 2), ("fed", 2)])
def test_a_contact_that_welds_while_it_is_pulled_is_told(wired, at):
    bench = Bench(wired, wired)
    if at == 0:
        bench.contact.follow(True)
        bench.contact.faults.switch("welded", True)
    ask = bench.agree

    def agree(question):
        ask(question)
        if len(bench.asked) == at + 1:
            bench.contact.faults.switch("welded", True)

    bench.agree = agree
    assert bench.run().verdict.kind == "welded"


def test_a_wrong_load_meter_is_told_by_the_one_that_sees_the_load():
    bench = Bench()
    bench.reads["heater-meter"] = lambda: Sample(5_000, None, None, 12_000, None, None)
    verdict = bench.run().verdict
    assert verdict.kind == "unseen"
    assert "house follows the relay" in verdict.words


def test_without_a_load_meter_it_switches_and_says_so():
    bench = Bench(load="")
    outcome = bench.run()
    assert outcome.verdict.kind == "unmetered"
    assert bench.coil.history == [False, True, False, False]


def test_a_coil_that_does_not_hold_what_is_written_does_not_follow():
    bench = Bench()
    switch = bench.coil.switch

    def stuck(energised):
        bench.coil.stuck = energised
        switch(energised)

    bench.coil.switch = stuck
    verdict = bench.run().verdict
    assert verdict.kind == "not_following"
    assert "GPIO17: wrote high, reads low" in verdict.words
    assert bench.is_left_released()


def test_a_coil_that_lets_go_by_itself_does_not_follow():
    bench = Bench()
    pause = bench.pause

    def let_go(seconds):
        pause(seconds)
        if seconds == 5.0:
            bench.coil._energised = False

    bench.pause = let_go
    verdict = bench.run().verdict
    assert verdict.kind == "not_following"
    assert "it reads released again after a while" in verdict.words


@pytest.mark.parametrize(("refuse_at", "history"), [(1, []), (2, [False]), (3, [False, True])])
def test_who_says_no_ends_it_released(refuse_at, history):
    bench = Bench()
    bench.refuse_at = refuse_at
    with pytest.raises(RelayTestEnded, match="not agreed"):
        bench.run()
    assert bench.coil.history == [*history, *([False] if history else [])]
    assert bench.made == (1 if history else 0)
    assert bench.is_left_released()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("terminal gone"), ValueError()])
@pytest.mark.parametrize("seconds", [3.0, 5.0, 0.5])
def test_whatever_breaks_it_off_leaves_it_released(error, seconds):
    bench = Bench()

    def broken(waited):
        if waited == seconds:
            raise error

    bench.pause = broken
    with pytest.raises(type(error)):
        bench.run()
    assert bench.coil.history[-1] is False
    assert bench.is_left_released()


def test_a_load_meter_that_does_not_answer_ends_it_before_anything_is_energised():
    bench = Bench()

    def absent():
        raise DeviceAbsent("nobody at 0x44")

    bench.reads["heater-meter"] = absent
    with pytest.raises(RelayTestEnded, match=r"heater-meter of its load does not answer.*0x44"):
        bench.run()
    assert bench.coil.history == [False, False]
    assert len(bench.pauses) == 1 + FAILURES_MAX


def test_what_may_pass_is_read_again_and_a_helper_that_fails_is_left_out():
    bench = Bench()
    answers = [BusTimeout("late"), replace(bench.load(), power_mw=None, quality="absent")]

    def load():
        answer = answers.pop(0) if answers else bench.load()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def house():
        raise BusTimeout("silent")

    bench.reads = {"heater-meter": load, "house": house}
    outcome = bench.run()
    assert outcome.verdict.works
    assert set(outcome.positions[0].levels) == {"heater-meter"}


def test_what_cannot_be_released_is_said_loudly():
    bench = Bench()
    switch = bench.coil.switch

    def die(energised):
        if bench.coil._energised:
            bench.coil.history.append(energised)
            raise BusTimeout("the board is silent")
        switch(energised)

    bench.coil.switch = die
    with pytest.raises(NotReleased, match="RELAY heater MAY STILL BE ENERGISED: the board"):
        bench.run()
    assert bench.coil.history == [False, True, *[False] * (1 + RELEASES_MAX)]
    assert bench.coil.closed == 1


def test_a_bus_that_fails_for_a_moment_is_tried_again_to_release():
    bench = Bench()
    bench.refuse_at = 3
    switch, failures = bench.coil.switch, [BusTimeout("late"), BusTimeout("late")]

    def slow(energised):
        if bench.coil._energised and failures:
            raise failures.pop()
        switch(energised)

    bench.coil.switch = slow
    with pytest.raises(RelayTestEnded):
        bench.run()
    assert failures == []
    assert bench.is_left_released()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_what_waits(number):
    def wait(halt):
        with halt.heeded():
            os.kill(os.getpid(), number)
            signal.pause()

    name = signal.Signals(number).name
    with Halt() as halt, pytest.raises(RelayTestEnded, match=f"ended by {name}"):
        wait(halt)


def test_a_signal_while_something_is_switched_is_heeded_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with Halt() as halt:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(RelayTestEnded, match="ended by SIGTERM"):
            halt.pause(60.0)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_in_the_middle_leaves_the_relay_released():
    bench = Bench()
    with Halt() as halt:

        def pause(seconds):
            if seconds == 5.0:
                os.kill(os.getpid(), signal.SIGTERM)
            with halt.heeded():
                bench.pauses.append(seconds)

        trial = Trial(bench.wiring, bench.reads, Pace(3.0, 5.0), bench, pause)
        with pytest.raises(RelayTestEnded, match="ended by SIGTERM"):
            trial.run(bench.make)
    assert bench.coil.history == [False, True, False]
    assert bench.is_left_released()
