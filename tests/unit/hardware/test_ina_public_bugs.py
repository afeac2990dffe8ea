"""Bugs that public INA drivers had or have: each is one test, on every chip it can befall."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from hardware.buses.i2c import I2cBus
from hardware.errors import BadOption, SensorReset, StaleConversion
from hardware.meters import ina219, ina226, ina3221
from hardware.mock.chips.ina219 import Ina219Chip
from hardware.mock.chips.ina226 import Ina226Chip
from hardware.mock.chips.ina3221 import Ina3221Chip
from hardware.mock.points import Line
from hardware.mock.wires.i2c_bus import I2cChip, SimulatedI2cBus
from hardware.ports import EnergyMeter
from tests.support.i2c_words import FakeClock


class Trace(SimulatedI2cBus):
    """Keeps every write that carried more than a pointer."""

    def __init__(self, chip: I2cChip) -> None:
        super().__init__({0x40: chip})
        self.written: list[tuple[int, str]] = []

    def i2c_write(self, addr: int, sent: bytes) -> None:
        if len(sent) > 1:
            self.written.append((sent[0], sent[1:].hex()))
        super().i2c_write(addr, sent)


@dataclass
class Bench:
    """A meter of one shunt on a chip that converts in fake time."""

    line: Line
    chip: Any
    clock: FakeClock
    wires: Trace
    meter: EnergyMeter

    def current_ma(self, current_ua: int) -> int | None:
        """Return what is measured when this flows, as soon as it can be."""
        self.line.current_ua = current_ua
        self.clock.pause(0.05)
        self.meter.sample()
        return self.meter.sample().current_ma


def _bench(make_chip: Callable[..., Any], make_meter: Callable[..., EnergyMeter]) -> Bench:
    line, clock = Line(current_ua=1_000_000, bus_mv=12_000), FakeClock()
    chip = make_chip(line, lambda: clock.now_ns)
    wires = Trace(chip)
    return Bench(line, chip, clock, wires, make_meter(I2cBus(lambda: wires, "i2c1"), clock.pause))


CHIPS: dict[str, Callable[[], Bench]] = {
    "ina219": lambda: _bench(
        lambda line, ns: Ina219Chip(line, shunt_mohm=100, clock_ns=ns),
        lambda bus, pause: ina219.Ina219(
            bus, ina219.Ina219Options(shunt_mohm=100, current_max_ma=3_200), pause=pause
        ),
    ),
    "ina226": lambda: _bench(
        lambda line, ns: Ina226Chip(line, shunt_mohm=20, clock_ns=ns),
        lambda bus, pause: ina226.Ina226(
            bus, ina226.Ina226Options(shunt_mohm=20, current_max_ma=3_200), pause=pause
        ),
    ),
    "ina3221": lambda: _bench(
        lambda line, ns: Ina3221Chip(
            (line, Line(), Line()), shunts_mohm=(20, 100, 100), clock_ns=ns
        ),
        lambda bus, pause: ina3221.Ina3221(
            bus, ina3221.Ina3221Options(channel=1, shunt_mohm=20), pause=pause
        ),
    ),
}
WITH_CALIBRATION = ("ina219", "ina226")


@pytest.fixture(params=CHIPS)
def bench(request: pytest.FixtureRequest) -> Bench:
    return CHIPS[request.param]()


@pytest.fixture(params=WITH_CALIBRATION)
def calibrated(request: pytest.FixtureRequest) -> Bench:
    return CHIPS[request.param]()


@pytest.mark.parametrize("current_ma", [-2, -100, -2_500])
def test_1_a_negative_current_is_not_read_as_a_large_one(bench, current_ma):
    assert bench.current_ma(current_ma * 1_000) == pytest.approx(current_ma, abs=1)
    assert bench.meter.sample().power_mw == pytest.approx(current_ma * 12, abs=12)


def test_2_a_calibration_lost_in_a_brown_out_is_no_zero_current(bench):
    bench.current_ma(1_000_000)
    bench.chip.power_cycle()
    bench.clock.pause(0.05)
    with pytest.raises(SensorReset):
        bench.meter.sample()
    assert bench.meter.sample().current_ma == 1_000


def test_2_a_calibration_that_is_zero_and_nothing_else_is_noticed(calibrated):
    calibrated.current_ma(1_000_000)
    calibrated.chip.write(b"\x05\0\0")
    with pytest.raises(SensorReset):
        calibrated.meter.sample()


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        (ina219.settings, ina219.Ina219Options(shunt_mohm=10, current_max_ma=20)),
        (ina226.settings, ina226.Ina226Options(shunt_mohm=10, current_max_ma=20)),
    ],
    ids=WITH_CALIBRATION,
)
def test_3_a_calibration_beyond_its_register_is_refused_and_not_cut(settings, options):
    with pytest.raises(BadOption, match="current_max_ma = 20: is too small"):
        settings(options)


def test_4_an_overflow_drops_current_and_power_and_keeps_the_voltage(calibrated):
    """The current register ends at 1.1 A, where the shunt's range does not yet."""
    bus, pause = I2cBus(lambda: calibrated.wires, "i2c1"), calibrated.clock.pause
    meter = {
        Ina219Chip: lambda: ina219.Ina219(
            bus, ina219.Ina219Options(shunt_mohm=100, current_max_ma=1_100), pause=pause
        ),
        Ina226Chip: lambda: ina226.Ina226(
            bus, ina226.Ina226Options(shunt_mohm=20, current_max_ma=1_100), pause=pause
        ),
    }[type(calibrated.chip)]()
    assert meter.sample().current_ma == 1_000
    calibrated.line.current_ua = 1_500_000
    sample = meter.sample()
    assert (sample.power_mw, sample.current_ma, sample.quality) == (None, None, "overflow")
    assert sample.voltage_mv == 12_000


@pytest.mark.parametrize("current_ma", [3_199, -3_199])
def test_4_no_overflow_is_told_up_to_the_largest_current(bench, current_ma):
    assert bench.current_ma(current_ma * 1_000) == pytest.approx(current_ma, abs=1)
    assert bench.meter.sample().quality == ""


def test_5_both_signs_have_the_same_range(bench):
    for current_ua in (3_100_000, -3_100_000):
        assert bench.current_ma(current_ua) == current_ua // 1_000


def test_6_reading_writes_nothing_but_pointers(bench):
    bench.current_ma(1_000_000)
    settings = len(bench.meter._chip._settings.words)
    for _ in range(20):
        bench.clock.pause(0.05)
        bench.meter.sample()
    assert len(bench.wires.written) == settings


@pytest.mark.parametrize("bus_mv", [12_000, 16_400, 26_000])
def test_7_the_bus_voltage_is_neither_signed_nor_eight_times_too_large(bench, bus_mv):
    bench.line.bus_mv = bus_mv
    bench.current_ma(1_000_000)
    assert bench.meter.sample().voltage_mv == bus_mv


def test_8_the_chip_computes_what_the_driver_computes(calibrated):
    """A calibration shifted by one bit would double or halve the chip's own current register."""
    current_ma = calibrated.current_ma(1_000_000)
    calibrated.chip.write(b"\x04")
    step_ua = 3_200_000 / 32_768
    assert int.from_bytes(calibrated.chip.read(2), "big") * step_ua / 1_000 == pytest.approx(
        current_ma, abs=1
    )


def test_9_power_has_the_sign_of_the_current(bench):
    bench.current_ma(-1_500_000)
    assert bench.meter.sample().power_mw == -18_000


def test_10_nothing_is_read_before_the_first_conversion_ended(bench):
    assert bench.meter.sample().current_ma == 1_000
    assert sum(bench.clock.pauses) >= bench.meter._chip._settings.conversion_s
    bench.chip.faults.switch("never_ready", True)
    with pytest.raises(StaleConversion):
        bench.meter.sample()


WORDS = {
    "ina219": {1: "399f", 2: "3ccf", 8: "3ddf", 128: "3fff"},
    "ina226": {1: "4127", 4: "4327", 64: "4727", 1024: "4f27"},
    "ina3221": {1: "7127", 4: "7327", 64: "7727", 1024: "7f27"},
}
"""Samples averaged -> configuration, by hand from the data sheets; ina219 with 32 V and 320 mV."""


@pytest.mark.parametrize(
    ("model", "averaged"), [(model, averaged) for model in WORDS for averaged in WORDS[model]]
)
def test_11_the_configuration_is_the_one_of_the_data_sheet(model, averaged):
    bench = CHIPS[model]()
    given = {"shunt_mohm": 100, "samples_averaged": averaged}
    bus, pause = I2cBus(lambda: bench.wires, "i2c1"), bench.clock.pause
    meter = {
        "ina219": lambda: ina219.Ina219(
            bus, ina219.Ina219Options(**given, current_max_ma=3_200), pause=pause
        ),
        "ina226": lambda: ina226.Ina226(
            bus, ina226.Ina226Options(**given, current_max_ma=800), pause=pause
        ),
        "ina3221": lambda: ina3221.Ina3221(
            bus, ina3221.Ina3221Options(**given, channel=1), pause=pause
        ),
    }[model]()
    meter.sample()
    bench.chip.write(b"\0")
    assert bench.chip.read(2).hex() == WORDS[model][averaged]
