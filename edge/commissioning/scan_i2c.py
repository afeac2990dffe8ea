"""Who is on an I2C bus: every address is asked, and power monitors are told by their registers.

Nothing is written but register pointers, and those only from 0x40 to 0x4F, where power monitors
live: elsewhere an address is only asked whether it answers.

Source: TI SBOS448 (INA219), SBOS547 (INA226), SBOS576 (INA3221), registers FE and FF.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from edge.commissioning.findings import Belief, Finding, Place, Sure
from hardware.buses.i2c import I2cBus
from hardware.errors import DeviceAbsent, DeviceRefused, HardwareError
from hardware.words import s16

ADDRESSES: Final = range(0x08, 0x78)
"""Every address that is not reserved. Source: NXP UM10204, 3.1.12."""

MONITORS: Final = range(0x40, 0x50)
_CONFIGURATION, _SHUNT, _BUS, _CALIBRATION = 0, 1, 2, 5
_MAKER, _DIE = 0xFE, 0xFF
_TEXAS: Final = 0x5449
_DIES: Final = MappingProxyType({0x2260: "ina226", 0x3220: "ina3221"})
_POWER_ON_219: Final = 0x399F
_UNUSED_219: Final = 1 << 14
_SHUNT_LIMITS_219: Final = (4_000, 8_000, 16_000, 32_000)
_BUS_LIMITS_219: Final = (4_000, 8_000)
_STRANGERS: Final[Mapping[range, str]] = MappingProxyType(
    {
        range(0x20, 0x28): "a port expander (PCF8574, MCP23017), as on relay boards",
        range(0x3C, 0x3E): "a small display (SSD1306)",
        range(0x40, 0x41): "a hygrometer (SHT21, HTU21D) or a PWM driver (PCA9685)",
        range(0x44, 0x46): "a hygrometer (SHT3x)",
        range(0x48, 0x4C): "an ADC (ADS1115, PCF8591) or a thermometer (TMP102, LM75)",
        range(0x50, 0x58): "an EEPROM",
        range(0x68, 0x6A): "a clock (DS3231) or a motion sensor (MPU6050)",
        range(0x70, 0x76): "a bus switch (TCA9548A)",
        range(0x76, 0x78): "a barometer (BME280, BMP280)",
    }
)
"""Address -> what hobbyists most often have there."""


def scan_i2c(
    bus: I2cBus, where: Place, progress: Callable[[str, int, int], object]
) -> Iterator[Finding]:
    """Yield who answers on a bus.

    Raises:
        BusStuck, BusUnavailable: the bus cannot be used.
    """
    for place, address in enumerate(ADDRESSES):
        progress(where.short, place, len(ADDRESSES))
        if bus.is_answered(address):
            yield Finding(where, address, _beliefs(bus, address))


def _beliefs(bus: I2cBus, address: int) -> tuple[Belief, ...]:
    stranger = _stranger(address)
    if address not in MONITORS:
        return (stranger,)
    try:
        monitor = _monitor(bus, address)
    except DeviceRefused:
        return (Belief("", Sure.UNKNOWN, "a driver of the kernel owns it: i2cdetect shows UU"),)
    except DeviceAbsent:
        monitor = None
    return (stranger,) if monitor is None else (monitor, stranger)


def _stranger(address: int) -> Belief:
    known = next((text for places, text in _STRANGERS.items() if address in places), "")
    why = f"{known} is usual at this address" if known else "it answers; no device we know is here"
    return Belief("", Sure.UNKNOWN, why)


def _monitor(bus: I2cBus, address: int) -> Belief | None:
    """Return which power monitor this is, if it is one."""
    maker, die = _read(bus, address, _MAKER), _read(bus, address, _DIE)
    if maker == _TEXAS and die is not None and die in _DIES:
        return Belief(
            _DIES[die], Sure.CERTAIN, f"its maker register says {maker:04X} (TI), its die {die:04X}"
        )
    if maker == _TEXAS:
        return Belief("", Sure.POSSIBLE, f"a chip of Texas Instruments with die {die or 0:04X}")
    return _ina219(bus, address)


def _ina219(bus: I2cBus, address: int) -> Belief | None:
    """Judge by the words that an INA219 cannot have: it has no register that names it."""
    words = {
        register: _read(bus, address, register)
        for register in (_CONFIGURATION, _SHUNT, _BUS, _CALIBRATION)
    }
    config, shunt, bus_word, calibration = (word or 0 for word in words.values())
    if None in words.values() or not _may_be_219(config, shunt, bus_word, calibration):
        return None
    volts = (bus_word >> 3) * 4 / 1000
    if config == _POWER_ON_219:
        return Belief("ina219", Sure.LIKELY, f"configuration 399F as after power-on, {volts:g} V")
    if calibration:
        why = f"configuration {config:04X}, calibration {calibration:04X}, {volts:g} V fit"
        return Belief("ina219", Sure.LIKELY, why)
    why = f"nothing contradicts: configuration {config:04X}, {volts:g} V"
    return Belief("ina219", Sure.POSSIBLE, why)


def _may_be_219(config: int, shunt: int, bus_word: int, calibration: int) -> bool:
    """Whether unused bits are 0 and both voltages are inside what the configuration allows."""
    return (
        config not in (0x0000, 0xFFFF)
        and not config & _UNUSED_219
        and not calibration & 1
        and not bus_word & 0b100
        and abs(s16(shunt)) <= _SHUNT_LIMITS_219[config >> 11 & 3]
        and bus_word >> 3 <= _BUS_LIMITS_219[config >> 13 & 1]
    )


def _read(bus: I2cBus, address: int, register: int) -> int | None:
    """Return a word; None if this register is not answered."""
    try:
        return bus.read_word(address, register)
    except DeviceAbsent:
        return None
    except DeviceRefused:
        raise
    except HardwareError:
        return None
