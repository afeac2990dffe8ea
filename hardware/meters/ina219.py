"""Texas Instruments INA219: shunt and bus voltage of one DC line over I2C. No counters.

Each sample reads the settings back first: a brown-out resets the chip to power-on values, and
current and power then read 0 while voltages look right. Current is computed here from the shunt
voltage, which needs no calibration; the chip's own current register only serves to notice a reset
in the middle of a sample. Reading the power register last clears the chip's ready flag, so the
next sample waits for a conversion that ended after this one.

Source: TI SBOS448 (INA219), sections 8.5 and 8.6. Seen on: simulated chip only.
Known limits: OVF or a shunt at its range end drops power and current, never clips them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from hardware import options, words
from hardware.errors import BadOption, DeviceAbsent, SensorReset, StaleConversion, WrongDevice
from hardware.ports import I2cPort, Sample

CONFIGURATION, SHUNT, BUS, POWER, CURRENT, CALIBRATION = range(6)
"""Register pointers."""

_RANGE_32_V = 1 << 13
_MODE_BOTH_CONTINUOUS = 7
_SHUNT_LIMITS = (4_000, 8_000, 16_000, 32_000)
"""Shunt full scale by gain code 0 to 3: 40, 80, 160, 320 mV. [10 uV]"""
_ADC_CODES = {1: 0x3, 2: 0x9, 4: 0xA, 8: 0xB, 16: 0xC, 32: 0xD, 64: 0xE, 128: 0xF}
_SAMPLE_US = 532
_POLLS_MAX = 12
_OVERFLOW, _READY = 1, 2
_CALIBRATION_MAX = 0xFFFE


@dataclass(frozen=True, slots=True, kw_only=True)
class Ina219Options:
    """How one INA219 board is built and wired."""

    address: int = options.number(0x40, 0x4F, "the I2C address", default=0x40)
    shunt_mohm: int = options.number(1, 10_000, "the shunt resistor in milliohm")
    current_max_ma: int = options.number(1, 200_000, "the largest current to measure in mA")
    samples_averaged: int = options.choice(
        tuple(_ADC_CODES), "samples averaged in one conversion", default=8
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """The two words that the chip must hold, and what follows from them.

    Attributes:
        configuration: register 0.
        calibration: register 5.
        shunt_limit: shunt counts at which the range ends. [10 uV]
        conversion_s: time of one conversion of both channels. [s]
    """

    configuration: int
    calibration: int
    shunt_limit: int
    conversion_s: float


def settings(given: Ina219Options) -> Settings:
    """Return the words for a board: the smallest range and current step that fit.

    Raises:
        BadOption: the shunt drops more than 320 mV, or the calibration exceeds its register.
    """
    drop_uv = given.shunt_mohm * given.current_max_ma
    if drop_uv > _SHUNT_LIMITS[-1] * 10:
        raise BadOption(
            "current_max_ma",
            given.current_max_ma,
            f"drops {drop_uv // 1000} mV on a shunt of {given.shunt_mohm} mohm, want 320 at most",
        )
    gain = next(code for code, limit in enumerate(_SHUNT_LIMITS) if drop_uv <= limit * 10)
    code = _ADC_CODES[given.samples_averaged]
    step_na = -(-given.current_max_ma * 1_000_000 // 32_768)
    calibration = calibrate(step_na, given.shunt_mohm)
    if calibration > _CALIBRATION_MAX:
        raise BadOption(
            "current_max_ma",
            given.current_max_ma,
            f"is too small for a shunt of {given.shunt_mohm} mohm, "
            "the calibration would exceed 16 bits",
        )
    return Settings(
        _RANGE_32_V | gain << 11 | code << 7 | code << 3 | _MODE_BOTH_CONTINUOUS,
        calibration,
        _SHUNT_LIMITS[gain],
        2 * given.samples_averaged * _SAMPLE_US / 1e6,
    )


def calibrate(step_na: int, shunt_mohm: int) -> int:
    """Return the calibration word for a current step. [nA]

    Exact: 0.04096 / (step * shunt), truncated, bit 0 cleared. Source: SBOS448, equation 1.

    >>> calibrate(100_000, 100), calibrate(1_000_000, 2)
    (4096, 20480)
    """
    return 40_960_000_000 // (step_na * shunt_mohm) & ~1


class Ina219:
    """One INA219. Positive current flows from VIN+ to VIN-."""

    def __init__(
        self,
        bus: I2cPort,
        given: Ina219Options,
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Compute the settings; the chip is not touched.

        Args:
            bus: the bus it sits on.
            given: address, shunt and range.
            pause: how to wait for a conversion. [s]
        """
        self._bus = bus
        self._address = given.address
        self._shunt_mohm = given.shunt_mohm
        self._settings = settings(given)
        self._pause = pause
        self._is_configured = False

    def sample(self) -> Sample:
        """Return voltage, current and power of the newest conversion.

        Raises:
            SensorReset: the chip had lost its settings.
            StaleConversion: no conversion ended within its deadline.
            WrongDevice: the settings cannot be written.
            TransientHardwareError: the bus failed.
        """
        try:
            return self._sample()
        except DeviceAbsent:
            self._is_configured = False
            raise

    def close(self) -> None:
        """Nothing to let go of: the chip goes on converting."""

    def _sample(self) -> Sample:
        if not self._is_configured:
            self._configure()
            self._is_configured = True
        elif not self._holds_settings():
            raise self._reset("lost its settings")
        bus_word = self._await_conversion()
        shunt = words.s16(self._read(SHUNT))
        current = self._read(CURRENT)
        self._read(POWER)
        voltage_mv = (bus_word >> 3) * 4
        if bus_word & _OVERFLOW or abs(shunt) >= self._settings.shunt_limit:
            return Sample(None, None, None, voltage_mv, None, None, quality="overflow")
        expected = shunt * self._settings.calibration // 4096
        if current == 0 and abs(expected) > 1 and not self._holds_settings():
            raise self._reset("lost its settings in the middle of a sample")
        return self._measured(shunt, voltage_mv)

    def _measured(self, shunt: int, voltage_mv: int) -> Sample:
        drop_uv = shunt * 10
        current_ma = words.divide_half_even(drop_uv, self._shunt_mohm)
        power_mw = words.divide_half_even(drop_uv * voltage_mv, self._shunt_mohm * 1000)
        return Sample(power_mw, None, None, voltage_mv, current_ma, None)

    def _configure(self) -> None:
        """Write the settings, prove that they stand, and wait for a first conversion."""
        self._bus.write_word(self._address, CONFIGURATION, self._settings.configuration)
        self._bus.write_word(self._address, CALIBRATION, self._settings.calibration)
        if not self._holds_settings():
            raise WrongDevice(
                f"ina219 at address 0x{self._address:02X}: does not keep what is written to it; "
                "is it another chip?"
            )
        self._pause(self._settings.conversion_s)

    def _holds_settings(self) -> bool:
        return (
            self._read(CONFIGURATION) == self._settings.configuration
            and self._read(CALIBRATION) == self._settings.calibration
        )

    def _reset(self, what: str) -> SensorReset:
        self._is_configured = False
        self._configure()
        self._is_configured = True
        return SensorReset(
            f"ina219 at address 0x{self._address:02X}: {what}; check its 3.3 V supply"
        )

    def _await_conversion(self) -> int:
        """Return the bus register as soon as it says ready."""
        for _ in range(_POLLS_MAX):
            word = self._read(BUS)
            if word & _READY:
                return word
            self._pause(self._settings.conversion_s / 8)
        raise StaleConversion(
            f"ina219 at address 0x{self._address:02X}: no new conversion within "
            f"{self._settings.conversion_s * _POLLS_MAX / 8 * 1000:.1f} ms"
        )

    def _read(self, register: int) -> int:
        return self._bus.read_word(self._address, register)
