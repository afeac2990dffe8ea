"""Loads held open: when a shed begins and ends, and what it kept back, to the micro-watt-hour."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.core.effects import Ignored, ShedClosed, ShedOpened
from hub.core.records import Contact, Shed
from hub.market.contract import Curtailment
from messages.entries import Output, RelayEntry
from messages.status import REST, WAIT
from tests.support.village import HOUR, Village, cut, fed, ignored, relay

MINUTE = 60_000


@pytest.fixture
def village() -> Village:
    village = Village()
    village.meter("dep2-pv", "dep2", "generation")
    village.meter("dep2-load", "dep2", "consumption")
    village.node(
        "pi", (relay("heater", "dep2"), relay("pump", "dep2"), relay("lamp", "ann", "cut"))
    )
    return village


def settle(village: Village, slot: int, uwh: int = 0) -> tuple[Curtailment, ...]:
    """Registers that move by `uwh` a slot on both meters, then the close."""
    village.read("dep2-pv", slot + 1, exported=(slot + 1) * uwh)
    village.read("dep2-load", slot + 1, imported=(slot + 1) * uwh)
    return village.settle(slot).curtailments


def begin(village: Village) -> None:
    village.read("dep2-pv", 0, exported=0)
    village.read("dep2-load", 0, imported=0)


def test_hour_seven(village: Village) -> None:
    """60 W wanted, 20 W there: the 40 W that were held open all hour are 40 Wh curtailed."""
    begin(village)
    village.decide(0, cut("heater", "dep2", 10_000), cut("pump", "dep2", 30_000))
    opened = village.ack("heater", 0, energised=True) + village.ack("pump", 0, energised=True)
    index = 6  # genesis, policy, two meters, a node, two registers, then the decision
    assert opened == (
        ShedOpened(index + 2, "pi", "heater", 0, Shed("dep2", 10_000, None, index + 1, "dep")),
        ShedOpened(index + 3, "pi", "pump", 0, Shed("dep2", 30_000, None, index + 1, "dep")),
    )
    assert settle(village, 0, 20_000_000) == (
        Curtailment("dep2", 60_000_000, 20_000_000, 40_000_000, 0),
    )


def test_only_the_time_it_was_held_counts(village: Village) -> None:
    begin(village)
    village.decide(10 * MINUTE, cut("heater", "dep2", 36_000))
    village.ack("heater", 10 * MINUTE + 500, energised=True)
    village.decide(25 * MINUTE, fed("heater", "dep2"))
    (closed,) = village.ack("heater", 25 * MINUTE + 500, energised=False)
    assert closed == ShedClosed(
        len(village.entries) - 1,
        "pi",
        "heater",
        10 * MINUTE + 500,
        Shed("dep2", 36_000, 25 * MINUTE + 500, len(village.entries) - 4, "dep"),
        9_000_000,
    )
    assert settle(village, 0) == (Curtailment("dep2", 9_000_000, 0, 9_000_000, 0),)
    assert village.state.sheds == {}


def test_fractions_are_carried_from_slot_to_slot(village: Village) -> None:
    """1 mW for an hour and a half slot: 1 000 uWh and 500 uWh; nothing is lost at the edges."""
    begin(village)
    village.decide(0, cut("heater", "dep2", 7))
    village.ack("heater", 1, energised=True)
    held = [settle(village, slot)[0].curtailed_uwh for slot in range(3)]
    (closed,) = village.ack("heater", 3 * HOUR + 1_000, energised=False)
    assert isinstance(closed, ShedClosed)
    held.append(settle(village, 3)[0].curtailed_uwh if village.state.sheds else 0)
    assert sum(held) == closed.held_uwh == 7 * (3 * HOUR + 999) // 3600
    assert held[:3] == [6999, 7000, 7000]


def test_a_shed_without_acknowledgement_did_not_happen(village: Village) -> None:
    begin(village)
    assert village.decide(0, cut("heater", "dep2", 10_000)) == ()
    assert settle(village, 0) == ()


@pytest.mark.parametrize("outcome", ["applied", "expired", "safe"])
def test_a_contact_that_went_safe_feeds_its_load_again(village: Village, outcome: str) -> None:
    begin(village)
    village.decide(0, cut("heater", "dep2", 36_000))
    village.ack("heater", 0, energised=True)
    village.ack("heater", 15 * MINUTE, energised=False, outcome=outcome)
    assert [row.curtailed_uwh for row in settle(village, 0)] == [9_000_000]
    assert settle(village, 1) == ()


def test_a_refused_lease_moved_nothing(village: Village) -> None:
    village.decide(0, cut("heater", "dep2", 36_000))
    assert village.ack("heater", 5, energised=True, outcome="refused") == ()
    assert village.state.sheds == {}


def test_nobody_wanted_what_a_silent_hub_cut(village: Village) -> None:
    """`lamp` is cut when de-energised: without a decision its darkness is no shed."""
    assert village.ack("lamp", 5, energised=True) == ()
    assert village.ack("lamp", 9, energised=False, outcome="expired") == ()
    assert village.state.contacts["pi", "lamp"] == Contact(9, True)


def test_a_load_that_is_cut_already_is_held_from_the_decision_on(village: Village) -> None:
    (opened,) = village.decide(7 * MINUTE, cut("lamp", "ann", 60_000, energised=False))
    assert isinstance(opened, ShedOpened)
    assert (opened.from_ms, opened.shed.member, opened.shed.power_mw) == (7 * MINUTE, "ann", 60_000)
    (closed,) = village.ack("lamp", 8 * MINUTE, energised=True)
    assert isinstance(closed, ShedClosed)
    assert closed.held_uwh == 1_000_000


def test_the_power_before_the_contact_opened_is_the_one_that_counts(village: Village) -> None:
    village.decide(0, cut("heater", "dep2", 36_000))
    village.ack("heater", 0, energised=True)
    village.decide(MINUTE, cut("heater", "dep2", 0))
    ((key, shed),) = village.state.sheds.items()
    assert key == ("pi", "heater", 0)
    assert shed.power_mw == 36_000
    assert village.state.contacts["pi", "heater"].power_mw == 36_000


def test_a_load_of_unknown_power_wanted_nothing_that_could_be_counted(village: Village) -> None:
    begin(village)
    village.decide(0, cut("heater", "dep2", None))
    village.ack("heater", 0, energised=True)
    assert village.state.contacts["pi", "heater"].power_mw is None
    assert settle(village, 0) == ()
    village.decide(0, cut("pump", "dep2", -5_000))
    assert village.state.contacts["pi", "pump"].power_mw == 0


def test_times_of_one_relay_never_run_backwards(village: Village) -> None:
    begin(village)
    village.decide(0, cut("heater", "dep2", 36_000))
    village.ack("heater", 30 * MINUTE, energised=True)
    (closed,) = village.ack("heater", 10 * MINUTE, energised=False)
    assert isinstance(closed, ShedClosed)
    assert (closed.shed.until_ms, closed.held_uwh) == (30 * MINUTE, 0)


def test_what_is_acknowledged_after_the_close_does_not_change_the_slot(village: Village) -> None:
    begin(village)
    village.decide(0, cut("heater", "dep2", 36_000))
    assert settle(village, 0) == ()
    village.ack("heater", 10 * MINUTE, energised=True)
    village.ack("heater", HOUR + 10 * MINUTE, energised=False)
    assert [row.curtailed_uwh for row in settle(village, 1)] == [6_000_000]


def test_whose_load_it_is(village: Village) -> None:
    village.meter("cyd-oven", "cyd", "appliance")
    relays = (
        RelayEntry("oven", "fed", "cyd-oven", "", 1, False),
        RelayEntry("stray", "fed", "", "", 1, False),
    )
    village.node("pi2", relays)
    begin(village)
    for number, name in enumerate(("oven", "stray")):
        output = cut(name, "", 36_000)
        village.decide(0, type(output)("pi2", name, "", "", True, True, 36_000))
        village.ack(name, number, energised=True, node="pi2")
    held = {row.member: row.curtailed_uwh for row in settle(village, 0)}
    assert held == {"cyd": 36_000_000}


def test_decisions_that_change_nothing(village: Village) -> None:
    assert ignored(village.decide(-1, cut("heater", "dep2", 1))) == "a decision before 1970"
    effects = village.decide(0, cut("oven", "dep2", 1))
    assert [effect.reason for effect in effects if isinstance(effect, Ignored)] == [
        "node pi has no relay oven"
    ]
    assert ignored(village.ack("heater", -1, energised=True)) == "an acknowledgement before 1970"
    assert village.state.contacts == {}


def rests(wish: str, power_mw: int = 36_000) -> Output:
    """An output by which a load rests, as its node asked."""
    return replace(cut("heater", "dep2", power_mw), shift=wish)


def shifted(village: Village, slot: int) -> tuple[int, int]:
    """Energy shifted and curtailed in a slot that is closed now."""
    village.read("dep2-pv", slot + 1, exported=0)
    village.read("dep2-load", slot + 1, imported=0)
    closed = village.settle(slot)
    return sum(p.shifted_uwh for p in closed.positions), closed.curtailed_uwh


def test_what_waits_by_its_own_wish_is_counted_apart(village: Village) -> None:
    begin(village)
    village.decide(0, rests(WAIT))
    (opened,) = village.ack("heater", 0, energised=True)
    assert isinstance(opened, ShedOpened)
    assert opened.shed.is_shift
    assert opened.shed.reason.startswith("shifted")
    assert shifted(village, 0) == (36_000_000, 0)


def test_what_rests_with_nothing_to_do_is_not_counted(village: Village) -> None:
    begin(village)
    village.decide(0, rests(WAIT))
    village.ack("heater", 0, energised=True)
    (closed,) = village.decide(15 * MINUTE, rests(REST))
    assert isinstance(closed, ShedClosed)
    assert closed.held_uwh == 9_000_000
    assert shifted(village, 0) == (9_000_000, 0)
    assert shifted(village, 1) == (0, 0)


def test_a_load_that_then_wants_to_run_and_may_not_is_curtailed_from_there_on(
    village: Village,
) -> None:
    begin(village)
    village.decide(0, rests(WAIT))
    village.ack("heater", 0, energised=True)
    closed, opened = village.decide(45 * MINUTE, cut("heater", "dep2", 36_000))
    assert isinstance(closed, ShedClosed)
    assert isinstance(opened, ShedOpened)
    assert not opened.shed.is_shift
    assert shifted(village, 0) == (27_000_000, 9_000_000)
    village.decide(HOUR, fed("heater", "dep2"))
    village.ack("heater", HOUR + 15 * MINUTE, energised=False)
    assert shifted(village, 1) == (0, 9_000_000)


def test_a_load_that_never_ran_waits_with_its_rated_power(village: Village) -> None:
    begin(village)
    village.decide(0, rests(WAIT, 0))
    (opened,) = village.ack("heater", 0, energised=True)
    assert isinstance(opened, ShedOpened)
    assert opened.shed.power_mw == village.state.relays["pi", "heater"].rated_mw > 0
