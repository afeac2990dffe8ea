"""The Renogy Rover driver on its simulated controller, without a wire between them."""

from __future__ import annotations

import pytest

from hardware import catalog
from hardware.chargers.renogy_rover import RenogyRover, RenogyRoverOptions
from hardware.errors import LimitRefused, SwitchFailed, WrongDevice
from hardware.mock.chargers.renogy import RenogyController
from hardware.mock.points import Plant
from hardware.modelfile import shipped_model
from hardware.ports import ChargeController, Curtailable
from tests.support.hardware_bench import ModbusDirect


class Bench:
    """A driver on a controller, and the requests that it made."""

    def __init__(self, plant: Plant | None = None, *, is_elite: bool = False, **given) -> None:
        self.now_s = 0.0
        self.plant = plant or Plant(pv_power_mw=50_000)
        self.controller = RenogyController(
            self.plant, is_elite=is_elite, clock_s=lambda: self.now_s
        )
        self.port = ModbusDirect(self.controller)
        self.meter = RenogyRover(
            self.port, RenogyRoverOptions(address=1, **given), clock_s=lambda: self.now_s
        )

    def writes(self) -> list[str]:
        return [each.hex() for each in self.port.requests if each[0] in (5, 6, 15, 16)]


def test_generation_is_export():
    bench = Bench(Plant(pv_power_mw=55_000, generated_uwh=100_000 * 10**6))
    sample = bench.meter.sample()
    assert (sample.power_mw, sample.voltage_mv, sample.current_ma) == (-55_000, 36_000, -1_520)
    assert (sample.energy_import_uwh, sample.energy_export_uwh) == (None, 100_000 * 10**6)
    assert sample.counting.export_wrap_uwh == 2**32 * 10**6


def test_its_manners_are_told_to_the_bus():
    heard = {}

    class Line(ModbusDirect):
        def heed(self, device, manners):
            heard[device] = manners.pause_ms

    RenogyRover(Line(RenogyController(Plant())), RenogyRoverOptions(address=17))
    assert heard[17] > 10


def test_it_may_be_asked_by_the_id_of_any():
    controller = RenogyController(Plant(pv_power_mw=50_000))
    meter = catalog.make_meter("renogy_rover", ModbusDirect(controller, 255), {"address": 255})
    assert meter.sample().power_mw == -50_000


@pytest.mark.parametrize("is_elite", [False, True])
def test_its_whole_map_can_be_read(is_elite):
    values = Bench(is_elite=is_elite).meter.values()
    assert set(values) == {row.name for row in shipped_model("renogy_rover").registers}
    assert None not in values.values()


def test_the_battery_is_charged_less_what_the_load_draws():
    bench = Bench(Plant(pv_power_mw=63_000, battery_mv=12_600, load_power_mw=25_200))
    bench.controller.battery_c = -10
    assert isinstance(bench.meter, ChargeController)
    battery = bench.meter.battery()
    assert (battery.voltage_mv, battery.current_ma) == (12_600, 3_000)
    assert (battery.charge_percent, battery.temperature_mc) == (60, -10_000)
    assert battery.stage == "bulk"


def test_another_makers_device_is_refused_by_name():
    bench = Bench()
    bench.controller.faults.switch("wrong_model", True)
    for act in (bench.meter.sample, lambda: bench.meter.switch_load(False)):
        with pytest.raises(WrongDevice, match="EM24DINAV93"):
            act()
    assert bench.writes() == []


def test_a_unit_is_told_by_its_serial_number():
    assert Bench(serial=str(0x0009_1A2B)).meter.sample().power_mw == -50_000
    with pytest.raises(WrongDevice, match=str(0x0009_1A2B)):
        Bench(serial="1").meter.sample()


def test_a_limit_is_refused_and_the_way_out_is_named():
    bench = Bench()
    assert isinstance(bench.meter, Curtailable)
    with pytest.raises(LimitRefused, match="relay with a DC-rated contact on the PV side"):
        bench.meter.limit(10_000)
    bench.meter.limit(None)
    assert (bench.meter.limited_mw, bench.meter.revert_ms) == (None, 0)
    assert bench.port.requests == []


def test_the_load_output_is_switched_and_read_back():
    bench = Bench()
    assert bench.meter.load_is_on
    bench.meter.switch_load(False)
    assert not bench.controller.load_is_on
    assert not bench.meter.load_is_on
    bench.meter.switch_load(False)
    bench.meter.switch_load(True)
    assert bench.writes() == ["06010a0000", "06010a0001"]


def test_a_load_output_that_does_not_listen_is_told_again():
    bench = Bench()
    bench.controller.faults.switch("load_sticks", True)
    bench.meter.switch_load(False)
    assert not bench.controller.load_is_on
    assert bench.writes() == ["06010a0000"] * 3


def test_a_load_output_that_never_follows_is_an_error():
    class Deaf(RenogyController):
        def write_word(self, address, word):
            """Echo it and do nothing."""

    port = ModbusDirect(Deaf(Plant()))
    meter = RenogyRover(port, RenogyRoverOptions(address=1))
    with pytest.raises(SwitchFailed, match="load output is not off after 4 commands"):
        meter.switch_load(False)
    assert len([each for each in port.requests if each[0] == 6]) == 4


def test_another_load_mode_is_set_to_by_hand_first_and_not_too_often():
    bench = Bench()
    for turn in range(4):
        bench.controller.write_word(0xE01D, turn)
        bench.meter.switch_load(bool(turn % 2))
        assert bench.controller.load_is_on == bool(turn % 2)
    assert bench.writes()[:2] == ["06e01d000f", "06010a0000"]
    bench.controller.write_word(0xE01D, 1)
    with pytest.raises(LimitRefused, match="24 writes in 24 h"):
        bench.meter.switch_load(True)
