"""Load outputs and limits of devices that measure, too, behind the interface of a relay."""

from __future__ import annotations

import pytest

from hardware import catalog
from hardware.errors import BusTimeout, SwitchFailed, WrongDevice
from hardware.mock.chargers.epever import EpeverController
from hardware.mock.chargers.renogy import RenogyController
from hardware.mock.points import Plant
from hardware.mock.sunspec.device import InverterMake, SunSpecHybrid, SunSpecInverter
from tests.support.hardware_bench import ModbusDirect
from tests.support.vectors import vectors

LOADS = {"epever_load": EpeverController, "renogy_load": RenogyController}
PLAIN = InverterMake()
ROWS = [(model, row) for model in LOADS for row in vectors(model)["commands"]]


@pytest.mark.parametrize(
    ("model", "row"), [pytest.param(model, row, id=row["name"]) for model, row in ROWS]
)
def test_a_load_output_is_switched_by_the_documented_command(model, row):
    controller = LOADS[model](Plant())
    port = ModbusDirect(controller)
    relay = catalog.make_relay(model, port, {"address": 1})
    relay.switch(not row["energised"])
    port.requests.clear()
    relay.switch(row["energised"])
    assert bytes.fromhex(row["request"]) in port.requests
    assert controller.load_is_on is relay.is_energised is row["energised"]


def test_a_load_mode_that_was_set_too_often_is_a_relay_that_does_not_follow():
    controller = EpeverController(Plant())
    relay = catalog.make_relay("epever_load", ModbusDirect(controller), {"address": 1})

    def quarrel():
        for _ in range(9):
            controller.write_word(0x903D, 1)  # somebody else wants it by light
            relay.switch(True)

    with pytest.raises(SwitchFailed, match="its memory bears 24 writes in 24 h"):
        quarrel()


def test_a_silent_controller_is_no_answer():
    relay = catalog.make_relay(
        "renogy_load", ModbusDirect(RenogyController(Plant()), 9), {"address": 1}
    )
    with pytest.raises(BusTimeout):
        relay.switch(True)


class Inverter:
    """A simulated inverter of 3 kW in full sun, on a clock that is moved by hand. [s]"""

    def __init__(self, make: InverterMake = PLAIN) -> None:
        self.now_s = 100.0
        self.device = SunSpecInverter(
            Plant(pv_power_mw=2_400_000), make, clock_s=lambda: self.now_s
        )
        self.port = ModbusDirect(self.device)
        self.limit = catalog.make_relay("sunspec_limit", self.port, {"address": 1})


@pytest.mark.parametrize("row", vectors("sunspec_limit")["commands"], ids=lambda row: row["name"])
def test_a_limit_is_written_with_its_life_as_revert_time(row):
    inverter = Inverter()
    inverter.limit.hold(row["power_mw"], row["for_ms"])
    written = b"".join(word.to_bytes(2, "big") for word in row["words"])
    assert any(request[0] == 16 and request.endswith(written) for request in inverter.port.requests)
    assert inverter.limit.is_energised
    inverter.now_s += row["for_ms"] // 1_000
    assert inverter.device.limit_mw is None
    assert not inverter.limit.is_energised


def test_a_limit_that_is_told_again_lives_on():
    inverter = Inverter()
    for _ in range(5):
        inverter.limit.hold(1_500_000, 5_000)
        inverter.now_s += 4.0
        assert inverter.device.limit_mw == 1_500_000
    inverter.limit.switch(False)
    assert inverter.device.limit_mw is None


def test_switched_like_a_relay_it_lets_nothing_through():
    inverter = Inverter()
    inverter.limit.switch(True)
    assert inverter.device.limit_mw == 0
    inverter.limit.close()
    assert inverter.device.limit_mw is None


def test_an_inverter_without_a_revert_time_is_told_nothing():
    inverter = Inverter(InverterMake(has_revert=False))
    with pytest.raises(SwitchFailed, match="knows no revert time"):
        inverter.limit.hold(1_000_000, 5_000)
    assert inverter.device.limit_mw is None


def test_what_a_device_shares_an_address_with_is_not_read_together():
    groups = {
        catalog.make_relay(model, ModbusDirect(EpeverController(Plant())), given).group
        for model, given in (
            ("waveshare_relay", {"address": 1, "channel": 1}),
            ("epever_load", {"address": 1}),
            ("sunspec_limit", {"address": 1}),
            ("sunspec_limit", {"address": 1, "device_index": 2}),
        )
    }
    assert len(groups) == 4


class Hybrid:
    """A simulated inverter of 3 kW with a battery, on a clock that is moved by hand. [s]"""

    def __init__(self, **make: bool) -> None:
        self.now_s = 100.0
        self.device = SunSpecHybrid(Plant(), clock_s=lambda: self.now_s, **make)
        self.port = ModbusDirect(self.device)
        self.battery = catalog.make_relay("sunspec_storage", self.port, {"address": 1})
        self.meter = catalog.make_meter("sunspec", self.port, {"address": 1})


@pytest.mark.parametrize("row", vectors("sunspec_storage")["commands"], ids=lambda row: row["name"])
def test_a_battery_is_told_both_rates_with_the_life_as_revert_time(row):
    hybrid = Hybrid()
    hybrid.device.battery.idle_mw = 700_000
    hybrid.battery.hold(row["power_mw"], row["for_ms"])
    written = b"".join(word.to_bytes(2, "big") for word in row["words"])
    assert any(request[0] == 16 and request.endswith(written) for request in hybrid.port.requests)
    assert hybrid.battery.is_energised
    assert hybrid.device.battery.power_mw == row["power_mw"] - row["power_mw"] % 300 * (
        row["power_mw"] > 0
    )
    hybrid.now_s += row["for_ms"] // 1_000
    assert hybrid.device.battery.power_mw == 700_000
    assert not hybrid.battery.is_energised


def test_a_battery_goes_on_while_it_is_told_again_and_is_left_alone_in_the_end():
    hybrid = Hybrid()
    for _ in range(5):
        hybrid.battery.hold(-1_500_000, 5_000)
        hybrid.now_s += 4.0
        assert hybrid.device.battery.power_mw == -1_500_000
        assert hybrid.meter.sample().power_mw == -1_500_000
    hybrid.battery.close()
    assert not hybrid.device.battery.is_told


def test_a_battery_that_charges_draws_power():
    hybrid = Hybrid()
    hybrid.battery.hold(600_000, 5_000)
    assert hybrid.meter.sample().power_mw == 600_000


def test_an_empty_battery_gives_nothing_whatever_it_is_told():
    hybrid = Hybrid()
    hybrid.device.battery.charge_percent = 0
    hybrid.battery.hold(-1_500_000, 5_000)
    assert hybrid.meter.sample().power_mw == 0


@pytest.mark.parametrize(
    ("make", "power_mw", "reason"),
    [
        ({"has_revert": False}, -1_000, "knows no revert time"),
        ({}, -3_100_000, "its WChaMax is 3000000 mW"),
    ],
)
def test_what_a_battery_cannot_be_told_is_refused(make, power_mw, reason):
    hybrid = Hybrid(**make)
    with pytest.raises(SwitchFailed, match=reason):
        hybrid.battery.hold(power_mw, 5_000)
    assert not hybrid.device.battery.is_told


def test_a_device_without_a_battery_is_named():
    relay = catalog.make_relay(
        "sunspec_storage", ModbusDirect(SunSpecInverter(Plant())), {"address": 1}
    )
    with pytest.raises(WrongDevice, match="lists 0 models 124, want 1"):
        relay.hold(-1_000, 5_000)
