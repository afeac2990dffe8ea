"""Fault switches: known names only, and what a faulty sensor makes of true values."""

from __future__ import annotations

import pytest

from hardware.mock.faults import FAULTS, SENSOR_FAULTS, Distortion, FaultSwitches, UnknownFault
from hardware.mock.wires.pins import BenchFactory, Contact


def test_a_fault_that_a_device_does_not_have_is_an_error():
    switches = FaultSwitches("silent", "late")
    for name in ("brown_out", "sillent"):
        with pytest.raises(UnknownFault, match="want one of silent, late"):
            switches.switch(name, True)
        with pytest.raises(UnknownFault, match=name):
            _ = name in switches
    with pytest.raises(UnknownFault, match="sillent"):
        FaultSwitches("sillent")


def test_switches_turn_on_and_off_and_once():
    switches = FaultSwitches(*FAULTS)
    switches.switch("late", True)
    switches.switch("silent", True)
    assert switches.active == ("silent", "late")
    switches.switch("late", False)
    assert (switches.take("silent"), switches.take("silent"), switches.active) == (True, False, ())


def test_each_fault_says_what_a_person_sees():
    assert all(FAULTS[name] for name in FAULTS)


def distorted() -> tuple[FaultSwitches, Distortion]:
    switches = FaultSwitches(*SENSOR_FAULTS)
    return switches, Distortion(switches, seed=3)


def test_an_honest_sensor_reports_what_is():
    _switches, distortion = distorted()
    assert [distortion.seen("power_mw", value) for value in (-5, 0, 7)] == [-5, 0, 7]


def test_a_frozen_sensor_lets_go_again():
    switches, distortion = distorted()
    switches.switch("frozen", True)
    assert [distortion.seen("power_mw", value) for value in (5, 6)] == [5, 5]
    switches.switch("frozen", False)
    assert distortion.seen("power_mw", 7) == 7
    switches.switch("frozen", True)
    assert distortion.seen("power_mw", 8) == 8


def test_a_counter_begins_anew_and_is_then_what_it_would_have_been():
    switches = FaultSwitches(*SENSOR_FAULTS, "counter_reset")
    distortion = Distortion(switches)
    told = [distortion.seen("energy_import_uwh", 1_000)]
    switches.switch("counter_reset", True)
    told += [distortion.seen("energy_import_uwh", value) for value in (1_000, 1_100)]
    assert distortion.seen("power_mw", 7) == 7
    switches.switch("counter_reset", False)
    told += [distortion.seen("energy_import_uwh", 1_200)]
    switches.switch("counter_reset", True)
    told += [distortion.seen("energy_import_uwh", value) for value in (1_300, 1_301)]
    assert told == [1_000, 0, 100, 1_200, 0, 1]


def test_a_lying_counter_grows_by_half_and_never_falls_back():
    switches, distortion = distorted()
    told = [distortion.seen("energy_import_uwh", 1_000)]
    switches.switch("lie", True)
    told += [distortion.seen("energy_import_uwh", value) for value in (1_000, 1_100, 1_300)]
    switches.switch("lie", False)
    told += [distortion.seen("energy_import_uwh", value) for value in (1_300, 1_400)]
    assert told == [1_000, 1_000, 1_050, 1_150, 1_150, 1_250]


def test_noise_wanders_within_two_percent_and_spares_counters():
    switches, distortion = distorted()
    switches.switch("noise", True)
    powers = [distortion.seen("power_mw", -100_000) for _ in range(200)]
    assert len(set(powers)) > 20
    assert all(abs(power + 100_000) <= 2_001 for power in powers)
    assert distortion.seen("energy_import_uwh", 77) == 77


@pytest.mark.parametrize("deenergised", ["fed", "cut"])
@pytest.mark.parametrize("active_high", [True, False])
def test_a_contact_follows_its_coil(deenergised, active_high):
    contact = Contact(active_high=active_high, deenergised=deenergised)
    at_rest = deenergised == "fed"
    seen = [contact.is_fed]
    for energised in (False, True, True, False):
        contact.follow(energised == active_high)
        seen.append(contact.is_fed)
    assert seen == [at_rest, at_rest, not at_rest, not at_rest, at_rest]


def test_a_welded_contact_stays_where_it_is():
    contact = Contact(active_high=True, deenergised="cut")
    contact.follow(True)
    contact.faults.switch("welded", True)
    contact.follow(False)
    assert contact.is_fed
    contact.faults.switch("welded", False)
    contact.follow(False)
    assert not contact.is_fed


def test_a_dead_coil_leaves_the_contact_at_rest():
    contact = Contact(active_high=False, deenergised="fed")
    contact.faults.switch("coil_dead", True)
    contact.follow(False)
    assert contact.is_fed


def test_a_contact_without_a_safe_state_is_refused():
    with pytest.raises(ValueError, match='want "fed" or "cut"'):
        Contact(active_high=True, deenergised="")


def test_a_pin_can_be_told_what_it_reads_back():
    board = BenchFactory(lambda pin, high: False if pin == 17 else None)
    for pin, read_back in ((17, False), (18, True)):
        output = board.pin(pin)
        output.output_with_state(True)
        assert bool(output.state) is read_back
        assert board.history(pin) == [True]


def test_an_input_drives_nothing():
    board = BenchFactory()
    with pytest.raises(Exception, match="cannot set state"):
        board.pin(17).state = True
    assert board.history(17) == []
