"""A slot from registers to bills: metered, missing, late, reset, at the edge of the microgrid."""

from __future__ import annotations

from typing import Any

import pytest

from hub.core.closing import missing_registers
from hub.core.effects import (
    Corrected,
    Line,
    RegisterReset,
    SlotEnergy,
    SlotSettled,
)
from hub.core.energy import REGISTER_UWH_MAX
from hub.market.contract import GRID, SUPPLIER, Position
from tests.support.village import FEED_IN, HOUR, KWH, PRICE, Village, ignored, settled


@pytest.fixture
def village() -> Village:
    """Ann has a roof, Bob has a house; both were read at the start of slot 0."""
    village = Village(parameters={"deficit": "supplier"})
    village.meter("ann-pv", "ann", "generation")
    village.meter("bob-load", "bob", "consumption")
    village.read("ann-pv", 0, exported=1000 * KWH)
    village.read("bob-load", 0, imported=500 * KWH)
    return village


def read(village: Village, slot: int, made: int | None, used: int | None) -> None:
    """Registers in kWh since the first."""
    if made is not None:
        village.read("ann-pv", slot, exported=(1000 + made) * KWH)
    if used is not None:
        village.read("bob-load", slot, imported=(500 + used) * KWH)


def energies(slot: SlotSettled) -> dict[str, tuple[int, int, str]]:
    return {
        row.meter_id: (row.import_uwh // KWH, row.export_uwh // KWH, row.quality)
        for row in slot.energies
    }


def corrections(effects: tuple[Any, ...]) -> list[tuple[int, str, int, int]]:
    return [
        (
            effect.slot_ms // HOUR,
            effect.energy.meter_id,
            effect.energy.import_uwh // KWH,
            effect.energy.export_uwh // KWH,
        )
        for effect in effects
        if isinstance(effect, Corrected)
    ]


def total(village: Village) -> int:
    return sum(village.state.accounts.values())


def test_a_slot_of_two_neighbours(village: Village) -> None:
    read(village, 1, 4, 6)
    slot = village.settle(0)
    assert (slot.slot_ms, slot.length_ms, slot.reason) == (0, HOUR, "complete")
    assert (slot.contract, slot.failure) == ("dep_balance", "")
    assert slot.energies == (
        SlotEnergy("ann-pv", "ann", "generation", 0, 4 * KWH, "metered", True),
        SlotEnergy("bob-load", "bob", "consumption", 6 * KWH, 0, "metered", True),
    )
    assert slot.positions == (
        Position("ann", "ann-pv", "ann-pv", 4 * KWH, 0, 0, False),
        Position("bob", "bob-load", "bob-load", 0, 6 * KWH, 0, False),
    )
    assert slot.lines == (
        Line("ann", "sale", "bob", 4 * KWH, PRICE, 4 * PRICE, "metered"),
        Line("bob", "purchase", "ann", 4 * KWH, PRICE, -4 * PRICE, "metered"),
        Line(SUPPLIER, "sale", "bob", 2 * KWH, PRICE, 2 * PRICE, "metered"),
        Line("bob", "purchase", SUPPLIER, 2 * KWH, PRICE, -2 * PRICE, "metered"),
    )
    assert village.state.accounts == {
        "ann": 4 * PRICE,
        "bob": -6 * PRICE,
        SUPPLIER: 2 * PRICE,
    }
    assert (slot.matched_uwh, slot.curtailed_uwh, slot.gross_utok) == (4 * KWH, 0, 6 * PRICE)
    assert slot.settlement_sum_utok == 0
    assert slot.unaccounted_uwh is None
    assert slot.checks.passed == {
        "energy_conserved": True,
        "money_conserved": True,
        "limits_kept": True,
        "welfare_optimal": True,
    }


def test_the_first_register_only_sets_the_base(village: Village) -> None:
    village.meter("late-pv", "cyd", "generation")
    read(village, 1, 1, 1)
    village.read("late-pv", 1, exported=777 * KWH)
    assert "late-pv" not in energies(village.settle(0))
    read(village, 2, 2, 2)
    village.read("late-pv", 2, exported=779 * KWH)
    assert energies(village.settle(1))["late-pv"] == (0, 2, "metered")


def test_registers_before_the_first_slot_are_skipped(village: Village) -> None:
    read(village, 1, 3, 3)
    read(village, 2, 5, 4)
    read(village, 3, 9, 5)
    assert energies(village.settle(2)) == {
        "ann-pv": (0, 4, "metered"),
        "bob-load": (1, 0, "metered"),
    }
    assert village.state.edges == {}


def test_members_net_their_own_meters_and_children_are_not_counted(village: Village) -> None:
    village.meter("ann-house", "ann", "consumption")
    village.meter("ann-fridge", "ann", "appliance", "ann-house")
    village.meter("ann-shed", "ann", "consumption", "ann-house")
    village.meter("ann-battery", "ann", "storage")
    village.meter("ann-net", "ann", "net")
    for slot, (house, fridge, shed, into, out, net_in, net_out) in enumerate(
        [(0, 0, 0, 0, 0, 0, 0), (9, 3, 2, 1, 2, 4, 8)]
    ):
        village.read("ann-house", slot, imported=house * KWH)
        village.read("ann-fridge", slot, imported=fridge * KWH)
        village.read("ann-shed", slot, imported=shed * KWH)
        village.read("ann-battery", slot, into * KWH, out * KWH)
        village.read("ann-net", slot, net_in * KWH, net_out * KWH)
    read(village, 1, 5, 0)
    slot = village.settle(0)
    assert slot.positions[0] == Position("ann", "ann-net", "ann-house", 15 * KWH, 14 * KWH)
    assert {row.meter_id for row in slot.energies if not row.is_settled} == {
        "ann-fridge",
        "ann-shed",
    }


def test_prices_follow_the_time_of_day(village: Village) -> None:
    village.policy(1, prices=((0, 5), (120, 7)), feed_in=((0, 1), (119, 2)))
    prices = []
    for slot in range(3):
        read(village, slot + 1, 0, slot + 1)
        found = village.settle(slot)
        prices.append((found.price_utok_per_kwh, found.feed_in_utok_per_kwh))
    assert prices == [(PRICE, FEED_IN), (5, 1), (7, 2)]


# --- what is missing -----------------------------------------------------------------------


def test_a_missing_register_is_estimated_by_the_last_metered_slot(village: Village) -> None:
    read(village, 1, 4, 6)
    village.close(0)
    read(village, 2, 5, None)
    slot = village.settle(1)
    assert energies(slot) == {"ann-pv": (0, 1, "metered"), "bob-load": (6, 0, "estimated")}
    assert [p.estimated for p in slot.positions] == [False, True]
    assert {line.quality for line in slot.lines if "bob" in (line.account, line.counterparty)} == {
        "estimated"
    }


def test_a_meter_that_was_never_metered_is_estimated_as_nothing(village: Village) -> None:
    village.meter("cyd-load", "cyd", "consumption")
    read(village, 1, None, 6)
    slot = village.settle(0)
    assert energies(slot) == {
        "ann-pv": (0, 0, "estimated"),
        "bob-load": (6, 0, "metered"),
        "cyd-load": (0, 0, "estimated"),
    }
    assert village.state.nets == {(0, "ann"): 0}


def test_a_late_register_is_settled_with_the_grid_at_that_slots_price(village: Village) -> None:
    village.policy(3, prices=((0, 1),))
    read(village, 1, 4, 6)
    village.close(0)
    for slot in (1, 2, 3):
        read(village, slot + 1, 4, None)
        village.close(slot)
    before = dict(village.state.accounts)
    (effect,) = village.read("bob-load", 2, imported=509 * KWH)
    assert effect == Corrected(
        len(village.entries) - 1,
        HOUR,
        SlotEnergy("bob-load", "bob", "consumption", 3 * KWH, 0, "corrected", True),
        (
            Line("bob", "correction", GRID, 3 * KWH, PRICE, 3 * PRICE, "corrected"),
            Line(GRID, "correction", "bob", -3 * KWH, PRICE, -3 * PRICE, "corrected"),
        ),
    )
    assert village.state.accounts == before | {
        "bob": before["bob"] + 3 * PRICE,
        GRID: before.get(GRID, 0) - 3 * PRICE,
    }
    village.read("bob-load", 3, imported=519 * KWH)
    (effect,) = village.read("bob-load", 4, imported=526 * KWH)
    assert isinstance(effect, Corrected)
    assert [line.amount_utok for line in effect.lines] == [-1, 1]  # slot 3 has its own price
    assert total(village) == 0
    assert village.state.nets == {}


def test_late_and_in_time_come_to_the_same_with_the_grid_alone() -> None:
    """One member, no neighbours: estimates and corrections end at the true bill."""
    bills = []
    for is_late in (False, True):
        village = Village()
        village.meter("m", "ann", "net")
        village.read("m", 0, 0, 0)
        totals = [(3 * KWH + 1, 0), (4 * KWH, 9 * KWH), (4 * KWH, 9 * KWH + 7)]
        if not is_late:
            for slot, (imported, exported) in enumerate(totals, 1):
                village.read("m", slot, imported, exported)
                village.close(slot - 1)
        else:
            for slot in range(3):
                village.close(slot, "timeout")
            for slot, (imported, exported) in enumerate(totals, 1):
                village.read("m", slot, imported, exported)
        bills.append(village.state.accounts["ann"])
    assert bills[0] == bills[1] == -(3 * PRICE) + 8 * FEED_IN


def test_a_prosumer_whose_generator_was_silent_is_made_whole(village: Village) -> None:
    """Own use is not sold at one price and bought back at another, whichever meter comes late."""
    village.meter("ann-house", "ann", "consumption")
    village.read("ann-house", 0, imported=0)
    village.read("ann-house", 1, imported=5 * KWH)
    read(village, 1, None, 0)
    village.close(0)
    assert village.state.accounts["ann"] == -5 * PRICE
    village.read("ann-pv", 1, exported=1005 * KWH)
    assert village.state.accounts["ann"] == 0
    assert village.state.nets == {}


def test_the_net_is_kept_until_the_last_missing_meter_has_come(village: Village) -> None:
    village.meter("ann-house", "ann", "consumption")
    village.read("ann-house", 0, imported=0)
    read(village, 1, None, 0)
    village.close(0)
    assert village.state.nets == {(0, "ann"): 0}
    village.read("ann-pv", 1, exported=1005 * KWH)
    assert village.state.nets == {(0, "ann"): 5 * KWH}
    village.read("ann-house", 1, imported=2 * KWH)
    assert village.state.nets == {}
    assert village.state.accounts["ann"] == 3 * FEED_IN


def test_a_register_over_several_slots_is_shared_out(village: Village) -> None:
    """Registers in between are lost, their energy is not; the later slots get the remainder."""
    for slot in range(3):
        read(village, slot + 1, 0, None)
    village.close(0)
    village.close(1)
    village.read("bob-load", 3, imported=500 * KWH + 11)
    effects = village.close(2)
    shares = [(e.slot_ms // HOUR, e.energy.import_uwh) for e in effects if isinstance(e, Corrected)]
    assert shares == [(0, 3), (1, 4)]
    row = next(row for row in settled(effects).energies if row.meter_id == "bob-load")
    assert (row.import_uwh, row.quality) == (4, "shared")
    assert [p.estimated for p in settled(effects).positions] == [False, True]
    assert total(village) == 0


def test_the_estimate_stays_the_same_while_registers_are_missing(village: Village) -> None:
    read(village, 1, 2, 0)
    village.close(0)
    read(village, 4, None, 0)
    for slot in (1, 2, 3):
        assert energies(village.settle(slot))["ann-pv"] == (0, 2, "estimated")
    assert corrections(village.read("ann-pv", 2, exported=1009 * KWH)) == [(1, "ann-pv", 0, 7)]
    read(village, 5, None, 0)
    assert energies(village.settle(4))["ann-pv"] == (0, 2, "estimated")
    assert corrections(village.read("ann-pv", 6, exported=1013 * KWH)) == []
    assert corrections(village.close(5)) == [
        (2, "ann-pv", 0, 1),
        (3, "ann-pv", 0, 1),
        (4, "ann-pv", 0, 1),
    ]
    assert village.state.accounts["ann"] == -village.state.accounts[GRID] > 0


def test_missing_registers_are_named(village: Village) -> None:
    village.meter("cyd-load", "cyd", "consumption")
    assert missing_registers(village.state, 0) == ("ann-pv", "bob-load", "cyd-load")
    read(village, 1, 1, None)
    assert missing_registers(village.state, 0) == ("bob-load", "cyd-load")
    village.read("cyd-load", 1, imported=0)
    read(village, 1, None, 1)
    assert missing_registers(village.state, 0) == ()


def test_nets_are_kept_for_a_while_and_then_each_meter_counts_by_itself(
    village: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.core.closing.NETS_KEPT", 2)
    village.meter("ann-house", "ann", "consumption")
    village.read("ann-house", 0, imported=0)
    for slot in range(4):
        village.read("ann-house", slot + 1, imported=(slot + 1) * 5 * KWH)
        read(village, slot + 1, None, 0)
        village.close(slot)
    assert village.state.nets == {(2 * HOUR, "ann"): -5 * KWH, (3 * HOUR, "ann"): -5 * KWH}
    assert village.state.accounts["ann"] == -20 * PRICE
    village.read("ann-pv", 1, exported=1005 * KWH)  # too late: earns the feed-in price
    assert village.state.accounts["ann"] == -20 * PRICE + 5 * FEED_IN
    village.read("ann-pv", 3, exported=1015 * KWH)  # one slot too late, one in time
    assert village.state.accounts["ann"] == -15 * PRICE + 10 * FEED_IN
    assert total(village) == 0


def test_late_registers_of_unsettled_meters_cost_nothing(village: Village) -> None:
    village.meter("feeder", "ann", "boundary")
    village.read("feeder", 0, 0, 0)
    read(village, 1, 0, 0)
    village.close(0)
    before = dict(village.state.accounts)
    (effect,) = village.read("feeder", 1, 7, 0)
    assert isinstance(effect, Corrected)
    assert (effect.energy.import_uwh, effect.lines) == (7, ())
    assert village.state.accounts == before


def test_an_estimate_becomes_final_only_with_the_last_missing_meter(village: Village) -> None:
    village.meter("ann-house", "ann", "consumption")
    village.read("ann-house", 0, imported=0)
    village.close(0, "timeout")
    village.read("ann-pv", 1, exported=5 * KWH)  # fell: nothing will ever correct it
    assert village.state.nets == {(0, "ann"): 0, (0, "bob"): 0}
    village.read("ann-house", 1, imported=3 * KWH)
    assert village.state.nets == {(0, "bob"): 0}


# --- registers that cannot be ---------------------------------------------------------------


def test_a_register_that_falls_is_a_new_base_and_the_slot_an_estimate(village: Village) -> None:
    read(village, 1, 4, 0)
    village.close(0)
    village.read("ann-pv", 2, exported=1 * KWH)
    read(village, 2, None, 0)
    effects = village.close(1)
    assert (
        RegisterReset(
            len(village.entries) - 1, "ann-pv", 2 * HOUR, 0, "its totals fell without a new epoch"
        )
        in effects
    )
    assert energies(settled(effects))["ann-pv"] == (0, 4, "estimated")
    village.read("ann-pv", 3, exported=3 * KWH)
    read(village, 3, None, 0)
    assert energies(village.settle(2))["ann-pv"] == (0, 2, "metered")
    assert village.state.nets == {}


def test_a_new_epoch_without_a_bridge_is_an_estimate(village: Village) -> None:
    read(village, 1, 4, 0)
    village.close(0)
    village.close(1, "timeout")
    effects = village.read("ann-pv", 2, exported=9 * KWH, epoch=1)
    assert effects == (
        RegisterReset(
            len(village.entries) - 1, "ann-pv", 2 * HOUR, 0, "its totals began anew: epoch 1"
        ),
    )
    assert village.state.nets == {(HOUR, "bob"): 0}
    village.read("ann-pv", 3, exported=10 * KWH, epoch=1)
    read(village, 3, None, 0)
    assert energies(village.settle(2))["ann-pv"] == (0, 1, "metered")


def test_an_epoch_entry_leads_over_a_new_register(village: Village) -> None:
    village.node()
    read(village, 1, 4, 0)
    village.close(0)
    reset = village.epoch("ann-pv", 1, last_export_uwh=1007 * KWH, first_export_uwh=2 * KWH)
    assert reset == (RegisterReset(len(village.entries) - 1, "ann-pv", 0, 1, "reset"),)
    village.epoch("ann-pv", 2, last_export_uwh=5 * KWH, first_export_uwh=0)
    village.read("ann-pv", 2, exported=6 * KWH, epoch=2)
    read(village, 2, None, 0)
    # 3 before the first reset, 3 between the two, 6 since the second
    assert energies(village.settle(1))["ann-pv"] == (0, 12, "metered")
    assert village.state.cursors["ann-pv"].bridges == ()


def test_a_register_between_two_new_epochs(village: Village) -> None:
    village.node()
    village.epoch("ann-pv", 1, last_export_uwh=1007 * KWH, first_export_uwh=2 * KWH)
    village.read("ann-pv", 1, exported=3 * KWH, epoch=1)
    village.epoch("ann-pv", 2, last_export_uwh=5 * KWH, first_export_uwh=0)
    village.read("ann-pv", 2, exported=6 * KWH, epoch=2)
    read(village, 1, None, 0)
    read(village, 2, None, 0)
    assert energies(village.settle(0))["ann-pv"] == (0, 8, "metered")
    assert energies(village.settle(1))["ann-pv"] == (0, 8, "metered")


def test_a_bridge_that_nobody_measured(village: Village) -> None:
    village.node()
    village.epoch("ann-pv", 1, last_export_uwh=None, first_export_uwh=0)
    village.read("ann-pv", 1, exported=3 * KWH, epoch=1)
    read(village, 1, None, 0)
    effects = village.close(0)
    assert [e.reason for e in effects if isinstance(e, RegisterReset)] == [
        "nobody knows where its totals stopped"
    ]


def test_epochs_that_cannot_be(village: Village) -> None:
    village.node()
    assert ignored(village.epoch("ann-pv", 0)) == "meter ann-pv: epoch 0 cannot follow 0"
    assert ignored(village.epoch("ann-pv", 1, last_import_uwh=-1)) == (
        "meter ann-pv: a total below 0 or above 1 TWh"
    )
    for number in range(16):
        village.epoch("ann-pv", 1 + number)
    assert ignored(village.epoch("ann-pv", 17)) == "meter ann-pv: epoch 17 cannot follow 16"
    village.meter("new", "cyd", "net")
    assert village.epoch("new", 1) == (
        RegisterReset(len(village.entries) - 1, "new", 0, 1, "reset"),
    )
    assert "new" not in village.state.cursors


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        ({"slot": -1, "imported": 1}, "meter bob-load: -3600000 is no edge of a slot"),
        ({"slot": 1, "exported": 1}, "meter bob-load shows no import total"),
        ({"slot": 1, "imported": REGISTER_UWH_MAX + 1}, "meter bob-load: a total above 1 TWh"),
        ({"slot": 0, "imported": 1}, "meter bob-load: a register of 0 after one of 0"),
    ],
)
def test_registers_that_change_nothing(
    village: Village, reading: dict[str, int], reason: str
) -> None:
    before = village.state.copy()
    assert ignored(village.read("bob-load", **reading)) == reason
    assert village.state == before


@pytest.mark.parametrize("purpose", ["net", "storage", "boundary"])
def test_meters_of_both_directions_show_both(village: Village, purpose: str) -> None:
    village.meter("x", "cyd", purpose)
    assert ignored(village.read("x", 1, imported=1)) == "meter x shows no export total"
    assert ignored(village.read("x", 1, exported=1)) == "meter x shows no import total"


def test_a_retired_meter_stops_no_slot(village: Village) -> None:
    from messages.entries import KeyEntry

    read(village, 1, 4, 6)
    village.put(village.administrator, KeyEntry("revoke", "meter", "bob-load", b""))
    assert missing_registers(village.state, HOUR) == ("ann-pv",)
    assert energies(village.settle(0))["bob-load"] == (6, 0, "metered")
    read(village, 2, 4, None)
    assert "bob-load" not in energies(village.settle(1))


# --- the boundary ---------------------------------------------------------------------------


def test_what_the_boundary_brought_in_and_nobody_used(village: Village) -> None:
    village.meter("feeder", "ann", "boundary")
    village.read("feeder", 0, 0, 0)
    village.read("feeder", 1, 3 * KWH, 1 * KWH)
    village.read("ann-pv", 1, exported=1004 * KWH)
    village.read("bob-load", 1, imported=506 * KWH - 5)
    slot = village.settle(0)
    assert slot.unaccounted_uwh == 5  # 3 - 1 in, 4 made, 6 - 5e-9 used
    assert all(p.member != "feeder" for p in slot.positions)


def test_a_silent_boundary_meter_tells_nothing(village: Village) -> None:
    village.meter("feeder", "ann", "boundary")
    village.read("feeder", 0, 0, 0)
    read(village, 1, 1, 1)
    assert village.settle(0).unaccounted_uwh is None


# --- order ----------------------------------------------------------------------------------


def test_slots_close_once_and_in_order(village: Village) -> None:
    village.close(0)
    assert ignored(village.close(0)) == f"slot 0 cannot close: the next one is {HOUR}"
    assert ignored(village.close(2)) == f"slot {2 * HOUR} cannot close: the next one is {HOUR}"
    assert village.state.progress.next_slot_ms == HOUR


@pytest.mark.parametrize("slot_ms", [-HOUR, 1])
def test_a_close_of_no_slot(village: Village, slot_ms: int) -> None:
    from messages.entries import Close

    effects = village.put(village.hub, Close(slot_ms, "complete", (), 0))
    assert ignored(effects) == f"{slot_ms} is no slot's start"


def test_without_a_policy_nothing_costs_anything() -> None:
    village = Village(from_slot=5)
    village.meter("m", "ann", "net")
    village.read("m", 0, 0, 0)
    village.read("m", 1, 5 * KWH, 0)
    slot = village.settle(0)
    assert (slot.contract, slot.failure) == ("", "no policy is in force")
    assert [line.amount_utok for line in slot.lines] == [0, 0]
