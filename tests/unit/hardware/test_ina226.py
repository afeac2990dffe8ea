"""The INA226 driver against words from the data sheet, and against the simulated chip."""

from __future__ import annotations

import pytest

from hardware import errors
from hardware.buses.i2c import I2cBus
from hardware.meters.ina226 import Ina226, Ina226Options, calibrate, settings
from hardware.mock.chips.ina226 import Ina226Chip
from hardware.mock.points import Line
from hardware.mock.wires.i2c_bus import SimulatedI2cBus
from hardware.words import s16
from tests.support.i2c_words import FakeClock, Words
from tests.support.vectors import vectors

VECTORS = vectors("ina226")
BENCH = Ina226Options(shunt_mohm=20, current_max_ma=3_200)
IDS = {"FE": "5449", "FF": "2260"}


def named(rows):
    return [pytest.param(row, id=row["name"]) for row in rows]


class Rig:
    """A driver on a simulated chip that converts in fake time."""

    def __init__(self, given: Ina226Options = BENCH) -> None:
        self.clock = FakeClock()
        self.line = Line(current_ua=1_500_000, bus_mv=12_000)
        self.chip = Ina226Chip(
            self.line, shunt_mohm=given.shunt_mohm, clock_ns=lambda: self.clock.now_ns
        )
        wires = SimulatedI2cBus({given.address: self.chip})
        self.meter = Ina226(I2cBus(lambda: wires, "i2c1"), given, pause=self.clock.pause)


@pytest.mark.parametrize("row", VECTORS["calibrations"], ids=lambda row: row["word"])
def test_calibration_words(row):
    assert f"{calibrate(row['step_na'], row['shunt_mohm']):04X}" == row["word"]


@pytest.mark.parametrize("row", named(VECTORS["samples"]))
def test_samples(row):
    port = Words(IDS | row["registers"])
    sample = Ina226(port, Ina226Options(**row["options"]), pause=lambda _s: None).sample()
    for quantity in ("power_mw", "voltage_mv", "current_ma", "quality"):
        assert getattr(sample, quantity) == row[quantity], quantity
    assert (sample.energy_import_uwh, sample.energy_export_uwh) == (None, None)


@pytest.mark.parametrize("row", named(VECTORS["negative"]))
def test_what_must_be_refused_is_refused_by_name(row):
    registers = IDS | row["registers"]
    lost = {int(key): int(registers.pop(key), 16) for key in ("00", "05") if key in registers}
    port = Words(registers)
    meter = Ina226(port, Ina226Options(**row["options"]), pause=lambda _s: None)
    if row["refused"] == "overflow":
        sample = meter.sample()
        assert (sample.power_mw, sample.current_ma, sample.quality) == (None, None, "overflow")
        assert sample.voltage_mv == 12_000
        return
    if lost:
        meter.sample()
        port.held.update(lost)
    with pytest.raises(getattr(errors, row["refused"]), match="ina226 at address 0x40"):
        meter.sample()


def test_another_chip_is_named_by_its_ids_and_nothing_is_written_to_it():
    port = Words({"FE": "5449", "FF": "3220"})
    with pytest.raises(
        errors.WrongDevice, match=r"its ids are 0x5449, 0x3220, want 0x5449, 0x2260"
    ):
        Ina226(port, BENCH, pause=lambda _s: None).sample()
    assert port.written == []


def test_a_brown_out_drops_one_sample_and_writes_the_settings_again():
    rig = Rig()
    before = rig.meter.sample()
    rig.chip.faults.switch("brown_out", True)
    with pytest.raises(errors.SensorReset, match=r"lost its settings; check its 3\.3 V supply"):
        rig.meter.sample()
    assert rig.meter.sample() == before


def test_a_brown_out_in_the_middle_of_a_sample_is_noticed():
    class Fading(Words):
        def read_word(self, address: int, register: int) -> int:
            if register == 1 and len(self.written) == 2:
                self.held.update({0: 0x4127, 5: 0})
            return super().read_word(address, register)

    port = Fading(IDS | {"01": "5DC0", "02": "2580", "04": "0000", "06": "0008"})
    with pytest.raises(errors.SensorReset, match="in the middle of a sample"):
        Ina226(port, BENCH, pause=lambda _s: None).sample()
    assert [register for register, _word in port.written] == [0, 5, 0, 5]


def test_each_sample_waits_for_a_conversion_that_ended_after_the_last_one():
    rig = Rig()
    rig.meter.sample()
    rig.line.current_ua = -700_000
    sample = rig.meter.sample()  # no time has passed: the driver has to wait for it
    assert (sample.current_ma, sample.power_mw) == (-700, -8_400)
    assert sum(rig.clock.pauses) >= 2 * 0.0088


def test_a_chip_that_stops_converting_is_stale_after_its_deadline():
    rig = Rig()
    rig.meter.sample()
    rig.chip.faults.switch("never_ready", True)
    with pytest.raises(errors.StaleConversion, match=r"no new conversion within 13\.2 ms"):
        rig.meter.sample()
    rig.chip.faults.switch("never_ready", False)
    rig.clock.pause(0.1)
    assert rig.meter.sample().current_ma == 1_500


def test_after_an_absence_the_chip_is_asked_who_it_is_and_configured_anew():
    rig = Rig()
    before = rig.meter.sample()
    rig.chip.faults.switch("unplugged", True)
    with pytest.raises(errors.DeviceAbsent):
        rig.meter.sample()
    rig.chip.power_cycle()
    rig.chip.faults.switch("unplugged", False)
    assert rig.meter.sample() == before
    rig.chip.faults.switch("unplugged", True)
    with pytest.raises(errors.DeviceAbsent):
        rig.meter.sample()
    rig.chip.faults.switch("unplugged", False)
    rig.chip.faults.switch("wrong_model", True)
    with pytest.raises(errors.WrongDevice):
        rig.meter.sample()


@pytest.mark.parametrize("averaged", [1, 4, 16, 64, 128, 256, 512, 1024])
@pytest.mark.parametrize(("shunt_mohm", "current_max_ma"), [(100, 800), (20, 4_000), (2, 40_000)])
def test_what_is_measured_is_what_flows(averaged, shunt_mohm, current_max_ma):
    rig = Rig(
        Ina226Options(
            shunt_mohm=shunt_mohm, current_max_ma=current_max_ma, samples_averaged=averaged
        )
    )
    for share in (-99, -50, -1, 0, 1, 50, 99):
        rig.line.current_ua = current_max_ma * share * 10
        sample = rig.meter.sample()
        assert sample.quality == ""
        assert sample.current_ma == pytest.approx(
            current_max_ma * share / 100, abs=0.5 + 1.25 / shunt_mohm
        )
        assert sample.power_mw == pytest.approx(sample.current_ma * 12, abs=7 + 15 / shunt_mohm)


def test_a_current_beyond_the_range_is_dropped_and_not_clipped():
    rig = Rig()
    for current_ua in (4_200_000, -4_200_000):
        rig.line.current_ua = current_ua
        sample = rig.meter.sample()
        assert (sample.power_mw, sample.current_ma, sample.quality) == (None, None, "overflow")
        assert sample.voltage_mv == 12_000


@pytest.mark.parametrize(
    ("shunt_mohm", "current_max_ma", "rule"),
    [(100, 820, "drops 82 mV on a shunt of 100 mohm"), (1, 1, "would exceed 15 bits")],
)
def test_a_board_that_cannot_be_measured_is_refused(shunt_mohm, current_max_ma, rule):
    given = Ina226Options(shunt_mohm=shunt_mohm, current_max_ma=current_max_ma)
    with pytest.raises(errors.BadOption, match=rule):
        settings(given)


# the simulated chip


def read(chip: Ina226Chip, register: int) -> str:
    chip.write(bytes([register]))
    return chip.read(2).hex().upper()


def write(chip: Ina226Chip, register: int, word: int) -> None:
    chip.write(bytes([register]) + word.to_bytes(2, "big"))


@pytest.mark.parametrize("row", named(VECTORS["chip"]))
def test_the_simulated_chip_holds_the_words_of_the_data_sheet(row):
    chip = Ina226Chip(Line(row["current_ua"], row["bus_mv"]), shunt_mohm=row["shunt_mohm"])
    for register, word in row["write"].items():
        write(chip, int(register, 16), int(word, 16))
    assert {key: read(chip, int(key, 16)) for key in row["read"]} == row["read"]


@pytest.mark.parametrize(
    ("config", "period_us"),
    [(0x4127, 2_200), (0x4007, 280), (0x4FFF, 16_883_712), (0x4125, 1_100), (0x4126, 1_100)],
)
def test_the_simulated_chip_converts_in_the_time_of_the_data_sheet(config, period_us):
    clock = FakeClock()
    chip = Ina226Chip(Line(), clock_ns=lambda: clock.now_ns)
    write(chip, 0, config)
    clock.now_ns += period_us * 1_000 - 1
    assert int(read(chip, 6), 16) & 8 == 0
    clock.now_ns += 1
    assert int(read(chip, 6), 16) & 8 == 8
    assert int(read(chip, 6), 16) & 8 == 0, "reading the mask clears the flag"


def test_the_simulated_chip_resets_triggers_and_powers_down():
    clock = FakeClock()
    chip = Ina226Chip(Line(current_ua=500_000), clock_ns=lambda: clock.now_ns)
    write(chip, 5, 0x0200)
    write(chip, 6, 0x8001)
    write(chip, 0, 0x8000)
    assert (read(chip, 0), read(chip, 5), read(chip, 6)) == ("4127", "0000", "0000")
    for mode, seen_mv in ((0x4123, 50), (0x4120, 50)):
        write(chip, 0, mode)
        clock.now_ns += 5_000_000
        assert int(read(chip, 1), 16) * 2.5 == seen_mv * 1_000
        chip.line = Line(current_ua=250_000)
        clock.now_ns += 5_000_000
        assert int(read(chip, 1), 16) * 2.5 == seen_mv * 1_000, "triggered once, then off"


@pytest.mark.parametrize(
    ("mask", "limit", "fires"),
    [
        (0x8000, 0x4000, False),
        (0x8000, 0x3E7F, True),
        (0x4000, 0x3E81, True),
        (0x4000, 0x3E80, False),
        (0x2000, 0x257F, True),
        (0x1000, 0x2580, False),
        (0x1000, 0x2581, True),
        (0x0800, 0x0001, True),
        (0x0400, 0x0000, True),
        (0x0000, 0x0000, False),
        (0xA000, 0x3E80, False),
    ],
)
def test_the_simulated_alert_fires_on_the_highest_function_that_is_enabled(mask, limit, fires):
    """40 mV on the shunt is 0x3E80, 12 V on the bus 0x2580; the shunt's limit is signed."""
    chip = Ina226Chip(Line(current_ua=400_000, bus_mv=12_000))
    write(chip, 5, 0x0200)
    write(chip, 7, limit)
    write(chip, 6, mask)
    read(chip, 1)
    assert chip.is_alerted is fires
    assert bool(int(read(chip, 6), 16) & 0x10) is (fires and mask != 0x0400)


def test_the_simulated_alert_latches_until_the_mask_is_read():
    chip = Ina226Chip(Line(current_ua=400_000))
    write(chip, 7, 0x3000)
    write(chip, 6, 0x8001)
    read(chip, 1)
    chip.line = Line()
    read(chip, 1)
    assert chip.is_alerted
    assert int(read(chip, 6), 16) & 0x10
    assert not int(read(chip, 6), 16) & 0x10
    write(chip, 6, 0x8000)
    chip.line = Line(current_ua=400_000)
    read(chip, 1)
    chip.line = Line()
    read(chip, 1)
    assert not chip.is_alerted, "without the latch it follows"


def test_the_simulated_chip_overflows_when_its_current_register_would():
    chip = Ina226Chip(Line(current_ua=500_000))
    write(chip, 5, 0x7FFF)
    assert int(read(chip, 6), 16) & 4 == 4
    chip.line = Line(current_ua=10_000)
    assert int(read(chip, 6), 16) & 4 == 0


def test_the_simulated_chip_clamps_at_its_ranges():
    chip = Ina226Chip(Line(current_ua=-5_000_000, bus_mv=50_000))
    assert s16(int(read(chip, 1), 16)) == -0x8000
    assert read(chip, 2) == "7FFF"
    assert read(chip, 0x30) == "0000"
