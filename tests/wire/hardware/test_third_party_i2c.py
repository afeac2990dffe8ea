"""The simulated I2C chips serve programs that nobody here wrote, by way of smbus2's interface."""

from __future__ import annotations

import pytest
from INA3221_linux import INA3221
from smbus2 import i2c_msg

from hardware.mock.chips.ina219 import Ina219Chip
from hardware.mock.chips.ina226 import Ina226Chip
from hardware.mock.chips.ina3221 import Ina3221Chip
from hardware.mock.points import Line
from hardware.mock.wires.i2c_bus import SimulatedI2cBus


@pytest.fixture
def sensor() -> INA3221:
    lines = [Line(500_000, 12_000), Line(250_000, 5_000), Line(100_000, 3_304)]
    made = INA3221()
    made._smbus = SimulatedI2cBus({0x40: Ina3221Chip(lines)})
    return made


def test_ina3221_linux_reads_three_channels(sensor):
    assert sensor.is_connected()
    assert [sensor.get_bus_voltage_mv(n) for n in range(3)] == pytest.approx([12_000, 5_000, 3_304])
    assert [sensor.get_current_ma(n) for n in range(3)] == pytest.approx([500, 250, 100], abs=0.3)
    assert (sensor.get_manufacturer_id(), sensor.get_die_id()) == (0x5449, 0x3220)


def test_ina3221_linux_sets_channels_times_and_modes(sensor):
    sensor.disable_channel(1)
    sensor.set_average(INA3221.AVERAGE_64)
    sensor.set_shunt_voltage_conversion_time(INA3221.TIME_140_US)
    assert not sensor.get_enable_channel(1)
    assert sensor.get_configuration() == 0x5707
    sensor.shutdown()
    assert sensor.get_mode() == 0
    sensor.reset()
    assert sensor.get_configuration() == 0x7127


def test_ina3221_linux_sets_limits_and_sees_its_flags(sensor):
    sensor.set_critical_alert(0, 40_000)
    assert sensor.get_critical_alert(0) == 40_000
    sensor.get_current_ma(0)
    assert sensor.get_mask_enable() & INA3221.MASK_CF_2, "it numbers the flags backwards"
    sensor.set_mask_enable(INA3221.MASK_SCC_2 | INA3221.MASK_SCC_1)
    sensor.get_current_ma(0)
    assert sensor.get_shunt_voltage_sum() == 75_000


@pytest.mark.parametrize(
    ("chip", "written"),
    [
        (Ina219Chip(Line()), {0: 0x019F, 5: 0x1000}),
        (Ina226Chip(Line()), {0: 0x4527, 5: 0x0A00}),
        (Ina3221Chip([Line(), Line(), Line()]), {0: 0x7327, 7: 0x3E80}),
    ],
    ids=["ina219", "ina226", "ina3221"],
)
def test_every_way_of_smbus2_to_write_and_read_a_register_works(chip, written):
    bus = SimulatedI2cBus({0x40: chip})
    for register, word in written.items():
        high, low = word >> 8, word & 0xFF
        bus.write_i2c_block_data(0x40, register, [high, low])
        assert bus.read_i2c_block_data(0x40, register, 2) == [high, low]
        bus.write_word_data(0x40, register, 0)
        bus.write_word_data(0x40, register, low << 8 | high)
        assert bus.read_word_data(0x40, register) == low << 8 | high
        bus.i2c_rdwr(i2c_msg.write(0x40, [register, high, low]))
        got = i2c_msg.read(0x40, 2)
        bus.i2c_rdwr(i2c_msg.write(0x40, [register]), got)
        assert bytes(got) == bytes([high, low])
        bus.write_byte(0x40, register)  # the pointer stays for a read of its own
        again = i2c_msg.read(0x40, 2)
        bus.i2c_rdwr(again)
        assert bytes(again) == bytes([high, low])
