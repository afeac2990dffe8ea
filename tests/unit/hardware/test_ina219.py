"""The INA219 driver against register words from the data sheet, and against the simulated chip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hardware import errors, words
from hardware.buses.i2c import I2cBus
from hardware.meters import ina219
from hardware.meters.ina219 import Ina219, Ina219Options, calibrate
from hardware.mock.chips.ina219 import Ina219Chip
from hardware.mock.points import Line
from hardware.mock.wires.i2c_bus import SimulatedI2cBus
from tests.support.i2c_words import FakeClock, Words

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "ina219.json").read_text())
BENCH = Ina219Options(shunt_mohm=100, current_max_ma=3_200)


def named(rows):
    return [pytest.param(row, id=row["name"]) for row in rows]


class Rig:
    """A driver on a simulated chip that converts in fake time."""

    def __init__(self, given: Ina219Options = BENCH) -> None:
        self.clock = FakeClock()
        self.line = Line(current_ua=1_500_000, bus_mv=12_000)
        self.chip = Ina219Chip(
            self.line, shunt_mohm=given.shunt_mohm, clock_ns=lambda: self.clock.now_ns
        )
        wires = SimulatedI2cBus({given.address: self.chip})
        self.meter = Ina219(I2cBus(lambda: wires, "i2c1"), given, pause=self.clock.pause)


@pytest.mark.parametrize("row", VECTORS["calibrations"], ids=lambda row: row["word"])
def test_calibration_words(row):
    assert f"{calibrate(row['step_na'], row['shunt_mohm']):04X}" == row["word"]


@pytest.mark.parametrize("row", VECTORS["shunt_words"], ids=lambda row: row["word"])
def test_shunt_words(row):
    assert words.s16(int(row["word"], 16)) * 10 == row["microvolt"]


@pytest.mark.parametrize("row", named(VECTORS["samples"]))
def test_samples(row):
    meter = Ina219(Words(row["registers"]), Ina219Options(**row["options"]), pause=lambda _s: None)
    sample = meter.sample()
    for quantity in ("power_mw", "voltage_mv", "current_ma", "quality"):
        assert getattr(sample, quantity) == row[quantity], quantity
    assert (sample.energy_import_uwh, sample.energy_export_uwh) == (None, None)


def brown_out(port: Words, registers: dict[str, str]) -> None:
    """Let the chip fall back to its power-on words, until it is written again."""
    for key in ("0", "5"):
        port.held[int(key)] = int(registers[key], 16)


@pytest.mark.parametrize("row", named(VECTORS["negative"]))
def test_what_must_be_refused_is_refused_by_name(row):
    free = {key: word for key, word in row["registers"].items() if key not in ("0", "5")}
    port = Words(free)
    meter = Ina219(port, Ina219Options(**row["options"]), pause=lambda _s: None)
    if row["refused"] == "overflow":
        sample = meter.sample()
        assert (sample.power_mw, sample.current_ma, sample.quality) == (None, None, "overflow")
        assert sample.voltage_mv == 12_000
        return
    if row["refused"] == "SensorReset":
        meter.sample()
        brown_out(port, row["registers"])
    with pytest.raises(getattr(errors, row["refused"]), match="ina219 at address 0x40"):
        meter.sample()


def test_a_brown_out_drops_one_sample_and_writes_the_settings_again():
    rig = Rig()
    before = rig.meter.sample()
    rig.chip.power_cycle()
    with pytest.raises(errors.SensorReset, match="lost its settings"):
        rig.meter.sample()
    assert rig.meter.sample() == before


@pytest.mark.parametrize("lost", [{0: 0x399F}, {5: 0}, {0: 0x399F, 5: 0}])
def test_lost_settings_are_noticed_when_no_current_flows(lost):
    port = Words({"1": "0000", "2": "5DC2", "3": "0000", "4": "0000"})
    meter = Ina219(port, BENCH, pause=lambda _s: None)
    assert meter.sample().power_mw == 0
    port.held.update(lost)
    with pytest.raises(errors.SensorReset):
        meter.sample()
    assert meter.sample().power_mw == 0


def test_a_brown_out_in_the_middle_of_a_sample_is_noticed():
    """Between the read-back and the current register: current would read 0 with voltages right."""

    class Fading(Words):
        def read_word(self, address: int, register: int) -> int:
            if register == ina219.SHUNT and len(self.written) == 2:
                self.held.update({0: 0x399F, 5: 0})
            return super().read_word(address, register)

    port = Fading({"1": "3A98", "2": "5DC2", "3": "0000", "4": "0000"})
    meter = Ina219(port, BENCH, pause=lambda _s: None)
    with pytest.raises(errors.SensorReset, match="in the middle of a sample"):
        meter.sample()
    assert [register for register, _word in port.written] == [0, 5, 0, 5]


def test_each_sample_waits_for_a_conversion_that_ended_after_the_last_one():
    rig = Rig()
    rig.meter.sample()
    rig.line.current_ua = -700_000
    sample = rig.meter.sample()  # no time has passed: the driver has to wait for it
    assert (sample.current_ma, sample.power_mw) == (-700, -8_400)
    assert sum(rig.clock.pauses) >= 2 * 0.008512


def test_a_chip_that_stops_converting_is_stale_after_its_deadline():
    rig = Rig()
    rig.meter.sample()
    rig.chip.faults.switch("never_ready", True)
    rig.clock.pauses.clear()
    with pytest.raises(errors.StaleConversion, match=r"no new conversion within 12\.8 ms"):
        rig.meter.sample()
    assert sum(rig.clock.pauses) == pytest.approx(0.0128, rel=0.01)
    rig.chip.faults.switch("never_ready", False)
    rig.clock.pause(0.1)
    assert rig.meter.sample().current_ma == 1_500


def test_a_chip_that_does_not_keep_its_settings_is_another_chip():
    class Ina226(Words):
        def write_word(self, address: int, register: int, word: int) -> None:
            super().write_word(address, register, word | (0x4000 if register == 0 else 0))

    with pytest.raises(errors.WrongDevice, match="is it another chip"):
        Ina219(Ina226({}), BENCH, pause=lambda _s: None).sample()


def test_after_an_absence_the_chip_is_configured_anew_without_a_reset_being_told():
    rig = Rig()
    before = rig.meter.sample()
    rig.chip.faults.switch("unplugged", True)
    with pytest.raises(errors.DeviceAbsent):
        rig.meter.sample()
    rig.chip.power_cycle()
    rig.chip.faults.switch("unplugged", False)
    assert rig.meter.sample() == before


@pytest.mark.parametrize("averaged", [1, 2, 4, 8, 16, 32, 64, 128])
@pytest.mark.parametrize(
    ("shunt_mohm", "current_max_ma", "gain"),
    [
        (100, 400, 0),
        (100, 401, 1),
        (100, 1_600, 2),
        (100, 1_601, 3),
        (100, 3_200, 3),
        (1, 40_000, 0),
    ],
)
def test_the_smallest_range_that_fits_is_chosen_and_measures(
    averaged, shunt_mohm, current_max_ma, gain
):
    given = Ina219Options(
        shunt_mohm=shunt_mohm, current_max_ma=current_max_ma, samples_averaged=averaged
    )
    assert ina219.settings(given).words[ina219.CONFIGURATION] >> 11 & 3 == gain
    rig = Rig(given)
    for share in (-99, -50, -1, 0, 1, 50, 99):
        rig.line.current_ua = current_max_ma * share * 10
        sample = rig.meter.sample()
        assert sample.quality == ""
        assert sample.current_ma == pytest.approx(
            current_max_ma * share / 100, abs=0.5 + 5 / shunt_mohm
        )
        watts = sample.current_ma * 12
        assert sample.power_mw == pytest.approx(watts, abs=7 + 61 / shunt_mohm)


def test_a_current_beyond_the_range_is_dropped_and_not_clipped():
    rig = Rig()
    rig.line.current_ua = 3_300_000
    sample = rig.meter.sample()
    assert (sample.power_mw, sample.current_ma, sample.quality) == (None, None, "overflow")
    assert sample.voltage_mv == 12_000


def read(chip: Ina219Chip, register: int) -> str:
    chip.write(bytes([register]))
    return chip.read(2).hex().upper()


@pytest.mark.parametrize("row", named(VECTORS["chip"]))
def test_the_simulated_chip_holds_the_words_of_the_data_sheet(row):
    clock = FakeClock()
    line = Line(row["current_ua"], row["bus_mv"])
    chip = Ina219Chip(line, shunt_mohm=row["shunt_mohm"], clock_ns=lambda: clock.now_ns)
    for register, word in row["write"].items():
        chip.write(bytes([int(register)]) + bytes.fromhex(word))
    if "1" in row["read"]:
        clock.now_ns += 1_064_000
    got: dict[str, Any] = {register: read(chip, int(register)) for register in row["read"]}
    if "2" in got:
        assert int(got["2"], 16) & 2 == 2, "the conversion has ended"
        got["2"] = f"{int(got['2'], 16) & ~2:04X}"
    assert got == row["read"]


def test_the_simulated_chip_is_ready_after_a_conversion_and_until_power_is_read():
    clock = FakeClock()
    chip = Ina219Chip(Line(), clock_ns=lambda: clock.now_ns)
    ready = []
    for step_ns in (1_000_000, 64_000, 0):
        clock.now_ns += step_ns
        ready.append(int(read(chip, 2), 16) & 2)
    read(chip, 3)
    ready.append(int(read(chip, 2), 16) & 2)
    clock.now_ns += 1_064_000
    ready.append(int(read(chip, 2), 16) & 2)
    assert ready == [0, 2, 2, 0, 2]


def test_the_simulated_chip_resets_triggers_and_powers_down():
    clock = FakeClock()
    chip = Ina219Chip(Line(current_ua=1_000_000), clock_ns=lambda: clock.now_ns)
    chip.write(b"\x05\x10\x00")
    chip.write(b"\x00\x80\x00")
    assert (read(chip, 0), read(chip, 5)) == ("399F", "0000")
    chip.write(b"\x00\x39\x9b")  # triggered, both channels
    clock.now_ns += 2_000_000
    assert read(chip, 1) == "2710"
    chip.line = Line(current_ua=500_000)
    clock.now_ns += 2_000_000
    assert read(chip, 1) == "2710"
    chip.write(b"\x00\x39\x9b")
    clock.now_ns += 2_000_000
    assert read(chip, 1) == "1388"
    chip.write(b"\x00\x39\x98")  # powered down
    chip.line = Line()
    clock.now_ns += 2_000_000
    assert read(chip, 1) == "1388"


def test_the_simulated_chip_overflows_when_its_current_register_would():
    chip = Ina219Chip(Line(current_ua=3_000_000))
    chip.write(b"\x05\xff\xfe")
    assert int(read(chip, 2), 16) & 1 == 1
    chip.line = Line(current_ua=100_000)
    assert int(read(chip, 2), 16) & 1 == 0


def test_the_simulated_chip_clamps_at_its_gain_and_range():
    chip = Ina219Chip(Line(current_ua=-900_000, bus_mv=20_000))
    chip.write(b"\x00\x01\x9f")  # 16 V, 40 mV
    assert words.s16(int(read(chip, 1), 16)) == -4_000
    assert int(read(chip, 2), 16) >> 3 == 4_000
    assert read(chip, 9) == "0000"
