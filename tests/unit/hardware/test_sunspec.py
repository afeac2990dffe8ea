"""The SunSpec driver on simulated devices, without a wire between them."""

from __future__ import annotations

import pytest

from hardware.errors import (
    BusTimeout,
    DeviceRefused,
    UnexpectedReply,
    WrongDevice,
)
from hardware.meters.sunspec import SunSpec, SunSpecOptions
from hardware.mock.points import Feeder, Plant, split
from hardware.mock.sunspec.blocks import Common, Meter
from hardware.mock.sunspec.device import (
    InverterMake,
    MeterMake,
    SolarEdgeSite,
    SunSpecDevice,
    SunSpecInverter,
    SunSpecMeter,
)
from hardware.ports import Counting
from tests.support.hardware_bench import ModbusDirect

WRAP_UWH = 2**32 * 10**6


def driver(device: SunSpecDevice, **given) -> tuple[SunSpec, ModbusDirect]:
    port = ModbusDirect(device)
    return SunSpec(port, SunSpecOptions(address=1, **given)), port


# What is measured


@pytest.mark.parametrize("floats", [False, True])
@pytest.mark.parametrize("phases", [1, 2, 3])
def test_an_inverters_power_is_export(floats, phases):
    plant = Plant(pv_power_mw=1_234_500, generated_uwh=5_000 * 10**9)
    meter, _ = driver(SunSpecInverter(plant, InverterMake(floats=floats, phases=phases)))
    sample = meter.sample()
    assert (sample.power_mw, sample.energy_export_uwh) == (-1_234_500, 5_000 * 10**9)
    assert (sample.energy_import_uwh, sample.quality) == (None, "")
    assert (sample.voltage_mv, sample.frequency_mhz) == (230_000, 50_000)
    assert sample.current_ma == pytest.approx(5_367, abs=10)
    wrap = Counting() if floats else Counting(None, WRAP_UWH, 10**6)
    assert sample.counting == wrap


def test_a_sample_is_one_read_after_the_first():
    meter, port = driver(SunSpecInverter(Plant(pv_power_mw=100_000)))
    meter.sample()
    port.requests.clear()
    meter.sample()
    assert [request.hex() for request in port.requests] == ["039c86001b"]


@pytest.mark.parametrize("floats", [False, True])
@pytest.mark.parametrize(("wiring", "part"), [(1, 1), (2, 2), (3, 3), (4, 3)])
def test_a_meter_has_both_counters_and_a_sign(floats, wiring, part):
    feeder = split(Feeder(power_mw=-900_000, energy_import_uwh=3 * 10**12, energy_export_uwh=6**15))
    meter, _ = driver(SunSpecMeter(feeder, MeterMake(wiring=wiring, floats=floats)))
    sample = meter.sample()
    assert sample.power_mw == -300_000 * part
    assert sample.energy_import_uwh == part * 10**12
    assert sample.energy_export_uwh == pytest.approx(part * 6**15 // 3, abs=10**6)
    assert sample.voltage_mv == pytest.approx(398_330 if wiring == 4 else 230_000, abs=50)
    assert sample.current_ma == pytest.approx(1_304 * part, abs=10)
    assert sample.quality == ""


def test_a_makers_other_sign_is_a_setting():
    feeder = split(Feeder(power_mw=-900_000))
    wrong, _ = driver(SunSpecMeter(feeder, MeterMake(sign=-1)))
    right, _ = driver(SunSpecMeter(feeder, MeterMake(sign=-1)), meter_sign=-1)
    assert (wrong.sample().power_mw, right.sample().power_mw) == (900_000, -900_000)


@pytest.mark.parametrize(("sign", "quality"), [(1, ""), (-1, "sign")])
def test_counters_that_contradict_the_power_are_told(sign, quality):
    plain = Feeder(power_mw=-900_000, energy_export_uwh=10**9)
    meter, _ = driver(SunSpecMeter(split(plain), MeterMake(sign=sign)))
    said = []
    for _ in range(4):
        plain.energy_export_uwh += 10**8
        said.append(meter.sample().quality)
    assert said == ["", "", "", quality]
    plain.power_mw = 900_000
    plain.energy_import_uwh += 10**9
    meter.sample()
    plain.energy_import_uwh += 10**9
    plain.power_mw = 900_000 * sign
    assert meter.sample().quality == ""


def test_a_counter_wraps_and_the_sample_says_where():
    plant = Plant(pv_power_mw=1_000, generated_uwh=WRAP_UWH - 10**6)
    meter, _ = driver(SunSpecInverter(plant))
    before = meter.sample()
    plant.generated_uwh += 3 * 10**6
    after = meter.sample()
    assert before.energy_export_uwh == WRAP_UWH - 10**6
    assert after.energy_export_uwh == 2 * 10**6
    assert after.counting.export_wrap_uwh == WRAP_UWH


def test_scale_factors_may_change_between_reads():
    device = SunSpecInverter(Plant(pv_power_mw=1_234_000, generated_uwh=5 * 10**12))
    meter, _ = driver(device)
    device.faults.switch("rescaled", True)
    said = {(each.power_mw, each.energy_export_uwh) for each in (meter.sample() for _ in range(9))}
    assert said == {(-1_234_000, 5 * 10**12)}
    assert {meter.sample().counting.step_uwh for _ in range(4)} == {10**6, 10**7}


@pytest.mark.parametrize("floats", [False, True])
def test_what_is_not_implemented_is_not_measured(floats):
    device = SunSpecInverter(Plant(pv_power_mw=5_000), InverterMake(floats=floats))
    meter, _ = driver(device)
    device.faults.switch("not_available", True)
    sample = meter.sample()
    assert (sample.power_mw, sample.energy_export_uwh, sample.voltage_mv) == (None, None, None)
    assert (sample.current_ma, sample.frequency_mhz, sample.quality) == (None, None, "unavailable")


class BadFactor(SunSpecInverter):
    """An inverter whose scale factor of power is nonsense."""

    def read_words(self, function, address, count):
        words = list(super().read_words(function, address, count))
        if address == 40_070 and count > 15:
            words[15] = 0x1234
        return words


def test_a_value_with_an_impossible_factor_is_in_doubt_and_the_others_are_not():
    sample = driver(BadFactor(Plant(pv_power_mw=5_000, generated_uwh=10**9)))[0].sample()
    assert (sample.power_mw, sample.quality) == (None, "range")
    assert (sample.energy_export_uwh, sample.voltage_mv) == (10**9, 230_000)


def test_a_counter_with_an_impossible_factor_has_no_step():
    class BadCounter(SunSpecInverter):
        def read_words(self, function, address, count):
            words = list(super().read_words(function, address, count))
            if address == 40_070 and count > 26:
                words[26] = 0x1234
            return words

    sample = driver(BadCounter(Plant(pv_power_mw=5_000, generated_uwh=10**9)))[0].sample()
    assert (sample.energy_export_uwh, sample.power_mw, sample.quality) == (None, -5_000, "range")
    assert sample.counting == Counting()


# Finding it


@pytest.mark.parametrize("base", [40_000, 0, 50_000])
@pytest.mark.parametrize("has_pad", [True, False])
@pytest.mark.parametrize("lone_end", [True, False])
def test_no_address_is_assumed(base, has_pad, lone_end):
    device = SunSpecInverter(
        Plant(pv_power_mw=7_000), InverterMake(base=base, has_pad=has_pad, phases=3)
    )
    device.faults.switch("lone_end", lone_end)
    meter, _ = driver(device)
    assert meter.sample().power_mw == -7_000
    assert meter.facts["register"] == base + 69 + has_pad
    assert meter.facts["serial"] == "10000001"


def site() -> SolarEdgeSite:
    feeder = Feeder(power_mw=-400_000, energy_export_uwh=2 * 10**12)
    return SolarEdgeSite(Plant(pv_power_mw=1_000_000, generated_uwh=10**12), split(feeder))


def test_several_devices_behind_one_id_are_chosen_by_number():
    inverter, _ = driver(site(), device_index=1)
    meter, _ = driver(site(), device_index=2, meter_sign=-1)
    assert (inverter.sample().power_mw, inverter.facts["register"]) == (-1_000_000, 40_069)
    assert (meter.sample().power_mw, meter.facts["register"]) == (-400_000, 40_188)
    assert (inverter.facts["serial"], meter.facts["serial"]) == ("7E000001", "30000001")


@pytest.mark.parametrize(
    ("index", "says"),
    [
        (0, r"want device_index: 1: 101, inverter, single phase, at 40069; 2: 203, meter, wye, at"),
        (3, r"device_index = 3, but it lists 1: 101"),
    ],
)
def test_a_number_that_chooses_nothing_is_refused_with_the_list(index, says):
    with pytest.raises(WrongDevice, match=f"sunspec at address 1: .*{says}"):
        driver(site(), device_index=index)[0].sample()


def test_another_serial_number_is_refused():
    device = SunSpecMeter(split(Feeder()), serial="4711")
    driver(device, serial="4711")[0].sample()
    with pytest.raises(WrongDevice, match="'4711', want '4712'"):
        driver(device, serial="4712")[0].sample()


def test_a_list_without_inverter_and_meter_is_refused():
    with pytest.raises(WrongDevice, match="only 1"):
        driver(SunSpecDevice([Common("Maker", "Tracker", "1")]))[0].sample()


class Shortened(Meter):
    """A meter whose model ends before its counters."""

    def fill(self, body):
        super().fill(body)
        del body.words[30:]


def test_a_model_that_ends_before_what_is_read_of_it_is_refused():
    device = SunSpecMeter(split(Feeder()))
    meter = device.blocks[1]
    device.blocks[1] = Shortened(meter.feeder, meter.distortion)
    with pytest.raises(WrongDevice, match="30 registers, want 53"):
        driver(device)[0].sample()


def test_after_silence_the_list_is_walked_again():
    device = SunSpecMeter(split(Feeder(power_mw=6_000)), serial="4711")
    meter, _ = driver(device, serial="4711")
    meter.sample()
    device.faults.switch("silent", True)
    with pytest.raises(BusTimeout):
        meter.sample()
    device.faults.switch("silent", False)
    device.blocks[0] = Common("Simulated", "Meter", "4712")
    with pytest.raises(WrongDevice, match="4712"):
        meter.sample()


def test_a_list_that_moved_is_walked_again_within_the_sample():
    device = SunSpecMeter(split(Feeder(power_mw=6_000)))
    meter, _ = driver(device)
    meter.sample()
    device.blocks.insert(1, Common("Simulated", "Radio", "1"))
    assert meter.sample().power_mw == 6_000
    assert meter.facts["register"] == 40_138
    del device.blocks[1]  # now nothing stands where the counters were
    assert meter.sample().power_mw == 6_000


def test_a_list_that_moves_again_and_again_gives_no_sample():
    class Restless(SunSpecMeter):
        def read_words(self, function, address, count):
            words = super().read_words(function, address, count)
            return [204, *words[1:]] if count > 50 and address > 40_050 else words

    with pytest.raises(UnexpectedReply, match="model 204 with 105 registers at 40070"):
        driver(Restless(split(Feeder())))[0].sample()


def test_a_device_that_bears_less_at_once_is_asked_for_less():
    device = SunSpecMeter(split(Feeder(power_mw=6_000)), MeterMake(words_max=30))
    meter, port = driver(device)
    assert meter.sample().power_mw == 6_000
    port.requests.clear()
    meter.sample()
    assert [int.from_bytes(each[3:5], "big") for each in port.requests] == [23, 17]


def test_a_device_that_bears_too_little_is_told_of():
    device = SunSpecMeter(split(Feeder()), MeterMake(words_max=10))
    with pytest.raises(DeviceRefused):
        driver(device)[0].sample()


def test_a_device_that_is_silent_at_other_bases_is_found_in_the_end():
    class Picky(ModbusDirect):
        def read_words(self, device, function, address, count):
            if address >= 40_000:
                raise BusTimeout("no reply")
            return super().read_words(device, function, address, count)

    port = Picky(SunSpecMeter(split(Feeder(power_mw=6_000)), MeterMake(base=0)))
    meter = SunSpec(port, SunSpecOptions(address=1))
    with pytest.raises(BusTimeout):
        meter.sample()
    assert meter.sample().power_mw == 6_000


def test_silence_during_the_walk_is_silence():
    class Cut(ModbusDirect):
        def read_words(self, device, function, address, count):
            if address == 40_122 and count > 2 and not self.is_back:
                raise BusTimeout("no reply")
            return super().read_words(device, function, address, count)

        is_back = False

    port = Cut(SunSpecInverter(Plant(pv_power_mw=5_000)))
    meter = SunSpec(port, SunSpecOptions(address=1))
    with pytest.raises(BusTimeout):
        meter.sample()
    port.is_back = True
    assert meter.sample().power_mw == -5_000


def test_a_device_that_fails_while_it_is_read_says_so():
    device = SunSpecInverter(Plant())
    meter, _ = driver(device)
    meter.sample()
    device.faults.switch("device_failure", True)
    with pytest.raises(DeviceRefused, match="exception 4"):
        meter.sample()
