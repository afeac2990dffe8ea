"""The INA3221 driver against words from the data sheet, and three meters on one simulated chip."""

from __future__ import annotations

import pytest

from hardware import errors
from hardware.buses.i2c import I2cBus
from hardware.meters.ina3221 import Ina3221, Ina3221Options
from hardware.mock.chips.ina3221 import Ina3221Chip
from hardware.mock.points import Line
from hardware.mock.wires.i2c_bus import SimulatedI2cBus
from hardware.words import s16
from tests.support.i2c_words import FakeClock, Words
from tests.support.vectors import vectors

VECTORS = vectors("ina3221")
IDS = {"FE": "5449", "FF": "3220"}
SETTINGS = 0x7327
"""All channels, 4 samples averaged, 1.1 ms each, continuous."""


def named(rows):
    return [pytest.param(row, id=row["name"]) for row in rows]


class RecordingBus(SimulatedI2cBus):
    """Keeps the registers that were written."""

    def __init__(self, chips) -> None:
        super().__init__(chips)
        self.written: list[tuple[int, int]] = []

    def i2c_write(self, addr: int, sent: bytes) -> None:
        if len(sent) > 1:
            self.written.append((sent[0], int.from_bytes(sent[1:3], "big")))
        super().i2c_write(addr, sent)


class Rig:
    """Three meters on one simulated chip that converts in fake time."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.lines = [Line(current_ua=current_ua) for current_ua in (500_000, -250_000, 0)]
        self.chip = Ina3221Chip(self.lines, clock_ns=lambda: self.clock.now_ns)
        self.wires = RecordingBus({0x40: self.chip})
        bus = I2cBus(lambda: self.wires, "i2c1")
        self.meters = [
            Ina3221(bus, Ina3221Options(channel=n, shunt_mohm=100), pause=self.clock.pause)
            for n in (1, 2, 3)
        ]

    def currents_ma(self):
        return [meter.sample().current_ma for meter in self.meters]


@pytest.mark.parametrize("row", named(VECTORS["samples"]))
def test_samples(row):
    port = Words(IDS | row["registers"])
    sample = Ina3221(port, Ina3221Options(**row["options"]), pause=lambda _s: None).sample()
    for quantity in ("power_mw", "voltage_mv", "current_ma", "quality"):
        assert getattr(sample, quantity) == row[quantity], quantity


@pytest.mark.parametrize("row", VECTORS["shunt_words"], ids=lambda row: row["word"])
def test_shunt_words_keep_their_sign(row):
    """With a shunt of 1 mohm a microvolt is a milliampere."""
    port = Words(IDS | {"01": row["word"], "02": "2EE0", "0F": "0001"})
    meter = Ina3221(port, Ina3221Options(channel=1, shunt_mohm=1), pause=lambda _s: None)
    assert meter.sample().current_ma == row["microvolt"]


@pytest.mark.parametrize("row", named(VECTORS["negative"]))
def test_what_must_be_refused_is_refused_by_name(row):
    registers = IDS | row["registers"]
    lost = registers.pop("00", None)
    port = Words(registers)
    meter = Ina3221(port, Ina3221Options(**row["options"]), pause=lambda _s: None)
    if row["refused"] == "overflow":
        sample = meter.sample()
        assert (sample.power_mw, sample.current_ma, sample.quality) == (None, None, "overflow")
        assert sample.voltage_mv == 12_000
        return
    if lost is not None:
        meter.sample()
        port.held[0] = int(lost, 16)
    with pytest.raises(getattr(errors, row["refused"]), match="ina3221 at address 0x40"):
        meter.sample()


def test_three_meters_share_a_chip_and_write_its_settings_once():
    rig = Rig()
    assert rig.currents_ma() == [500, -250, 0]
    rig.lines[2].current_ua = 1_000_000
    assert rig.currents_ma() == [500, -250, 1_000]
    assert rig.wires.written == [(0, SETTINGS)]


def test_each_meter_waits_for_a_conversion_that_ended_after_it_was_asked_last():
    rig = Rig()
    rig.currents_ma()
    for line in rig.lines:
        line.current_ua = 700_000
    assert rig.currents_ma() == [700, 700, 700]


def test_after_a_brown_out_one_sample_is_dropped_and_the_others_wait_for_a_conversion():
    rig = Rig()
    rig.currents_ma()
    rig.chip.faults.switch("brown_out", True)
    with pytest.raises(errors.SensorReset, match="lost its settings"):
        rig.meters[0].sample()
    assert [meter.sample().current_ma for meter in rig.meters[1:]] == [-250, 0]
    assert rig.meters[0].sample().current_ma == 500
    assert rig.wires.written == [(0, SETTINGS)] * 2


def test_a_brown_out_in_the_middle_of_a_sample_is_noticed():
    class Fading(Words):
        def read_word(self, address: int, register: int) -> int:
            if register == 1 and len(self.written) == 1:
                self.held[0] = 0x7127
            return super().read_word(address, register)

    port = Fading(IDS | {"0F": "0001"})
    with pytest.raises(errors.SensorReset, match="in the middle of a sample"):
        Ina3221(port, Ina3221Options(channel=1, shunt_mohm=100), pause=lambda _s: None).sample()


def test_a_line_without_voltage_is_no_reset():
    port = Words(IDS | {"01": "0000", "02": "0000", "0F": "0001"})
    meter = Ina3221(port, Ina3221Options(channel=1, shunt_mohm=100), pause=lambda _s: None)
    assert (meter.sample().power_mw, meter.sample().voltage_mv) == (0, 0)


def test_a_chip_that_stops_converting_is_stale_after_its_deadline():
    rig = Rig()
    rig.chip.faults.switch("never_ready", True)
    with pytest.raises(errors.StaleConversion, match=r"no new conversion within 39\.6 ms"):
        rig.meters[0].sample()


def test_a_chip_that_was_away_is_settled_anew():
    rig = Rig()
    before = rig.currents_ma()
    rig.chip.faults.switch("unplugged", True)
    for meter in rig.meters:
        with pytest.raises(errors.DeviceAbsent):
            meter.sample()
    rig.chip.power_cycle()
    rig.chip.faults.switch("unplugged", False)
    assert rig.currents_ma() == before


@pytest.mark.parametrize("current_ua", [1_638_000, -1_639_000])
def test_a_current_beyond_the_range_is_dropped_and_not_clipped(current_ua):
    rig = Rig()
    rig.lines[0].current_ua = current_ua
    sample = rig.meters[0].sample()
    assert (sample.power_mw, sample.current_ma, sample.quality) == (None, None, "overflow")
    assert sample.voltage_mv == 12_000
    assert rig.meters[1].sample().current_ma == -250


# the simulated chip


def read(chip: Ina3221Chip, register: int) -> str:
    chip.write(bytes([register]))
    return chip.read(2).hex().upper()


def write(chip: Ina3221Chip, register: int, word: int) -> None:
    chip.write(bytes([register]) + word.to_bytes(2, "big"))


def chip_with(*currents_ua: int, bus_mv: int = 12_000, **clock) -> Ina3221Chip:
    return Ina3221Chip([Line(current_ua, bus_mv) for current_ua in currents_ua], **clock)


@pytest.mark.parametrize("row", named(VECTORS["chip"]))
def test_the_simulated_chip_holds_the_words_of_the_data_sheet(row):
    chip = chip_with(*[row["current_ua"]] * 3, bus_mv=row["bus_mv"])
    for register, word in row["write"].items():
        write(chip, int(register, 16), int(word, 16))
    assert {key: read(chip, int(key, 16)) for key in row["read"]} == row["read"]


@pytest.mark.parametrize(
    ("config", "period_us"),
    [(0x7127, 6_600), (0x4127, 2_200), (0x5327, 17_600), (0x7125, 3_300), (0x7007, 840)],
)
def test_the_simulated_chip_converts_every_enabled_channel(config, period_us):
    clock = FakeClock()
    chip = chip_with(1, 2, 3, clock_ns=lambda: clock.now_ns)
    write(chip, 0, config)
    clock.now_ns += period_us * 1_000 - 1
    assert read(chip, 0x0F) == "0002"
    clock.now_ns += 1
    assert int(read(chip, 0x0F), 16) & 1 == 1
    assert int(read(chip, 0x0F), 16) & 1 == 0, "reading the mask clears the flag"


def test_the_simulated_chip_measures_no_disabled_channel():
    chip = chip_with(100_000, 200_000, 300_000)
    write(chip, 0, 0x5127)
    assert [s16(int(read(chip, register), 16)) * 5 for register in (1, 3, 5)] == [10_000, 0, 30_000]
    write(chip, 0, 0x0127)
    chip.lines = (Line(), Line(), Line())
    assert s16(int(read(chip, 1), 16)) * 5 == 10_000, "with none enabled nothing is converted"


def test_the_simulated_chip_resets_and_keeps_what_it_has_of_each_register():
    chip = chip_with(0, 0, 0)
    for register in (7, 0x0E, 0x0F, 0x10):
        write(chip, register, 0xFFFF)
    assert [read(chip, register) for register in (7, 0x0E, 0x10)] == ["FFF8", "FFFE", "FFF8"]
    assert int(read(chip, 0x0F), 16) & 0x7C00 == 0x7C00
    write(chip, 1, 0x7FF8)
    write(chip, 0xFE, 0x1234)
    assert (read(chip, 1), read(chip, 0xFE)) == ("0000", "5449")
    write(chip, 0, 0x8000)
    assert [read(chip, register) for register in (0, 7, 0x0E, 0x10)] == [
        "7127",
        "7FF8",
        "7FFE",
        "2710",
    ]


def test_the_simulated_chip_adds_up_the_channels_it_is_told_to():
    chip = chip_with(100_000, -40_000, 400_000)
    write(chip, 0x0F, 0x6000)
    read(chip, 1)
    assert int(read(chip, 0x0D), 16) >> 1 == (10_000 - 4_000) // 40
    write(chip, 0x0E, 100 << 1)
    read(chip, 1)
    assert int(read(chip, 0x0F), 16) & 0x40


@pytest.mark.parametrize(("limit", "flag"), [(7, 0x200), (8, 0x20), (9, 0x100), (0x0C, 0x08)])
def test_a_simulated_limit_sets_its_own_flag_and_only_that(limit, flag):
    chip = chip_with(500_000, 500_000, 500_000)
    write(chip, limit, 1_000 << 3)
    read(chip, 1)
    assert int(read(chip, 0x0F), 16) & 0x3F8 == flag


@pytest.mark.parametrize(("latch", "flag"), [(0x0400, 0x200), (0x0800, 0x20)])
def test_a_latched_flag_stays_until_the_mask_is_read(latch, flag):
    for mask, stays in ((latch, True), (latch ^ 0x0C00, False)):
        chip = chip_with(500_000, 0, 0)
        write(chip, 7, 1_000 << 3)
        write(chip, 8, 1_000 << 3)
        write(chip, 0x0F, mask)
        read(chip, 1)
        chip.lines[0].current_ua = 0
        read(chip, 1)
        assert bool(int(read(chip, 0x0F), 16) & flag) is stays
        assert not int(read(chip, 0x0F), 16) & flag


def test_the_simulated_power_valid_flag_has_a_gap_between_up_and_down():
    seen = []
    chip = chip_with(0, 0, 0, bus_mv=9_500)
    for bus_mv in (9_500, 10_100, 9_500, 8_900, 9_500):
        chip.lines[1].bus_mv = chip.lines[0].bus_mv = chip.lines[2].bus_mv = bus_mv
        read(chip, 1)
        seen.append(bool(int(read(chip, 0x0F), 16) & 4))
    assert seen == [False, True, True, False, False]


def test_the_simulated_chip_has_three_channels():
    with pytest.raises(ValueError, match="2 lines, 3 shunts: want 3 of each"):
        Ina3221Chip([Line(), Line()])


def test_noise_and_lies_befall_currents_of_every_channel_and_spare_voltages():
    chip = chip_with(100_000, 200_000, 300_000)
    chip.faults.switch("lie", True)
    assert [s16(int(read(chip, register), 16)) * 5 for register in (1, 3, 5)] == [
        5_000,
        10_000,
        15_000,
    ]
    assert int(read(chip, 2), 16) == 12_000
