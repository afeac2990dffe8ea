"""Texas Instruments INA219: shunt and bus voltage of one DC line over I2C. No counters.

Each sample reads the settings back first: a brown-out resets the chip to power-on values, and
current and power then read 0 while voltages look right. Current is computed here from the shunt
voltage, which needs no calibration; the chip's own current register only serves to notice a reset
in the middle of a sample. Reading the power register last clears the chip's ready flag, so the
next sample waits for a conversion that ended after this one.

Source: TI SBOS448 (INA219), sections 8.5 and 8.6. Seen on: simulated chip only.
Known limits: OVF or a shunt at its range end drops power and current, never clips them. Energy is
integrated by the edge. On a 100 mohm shunt at 1 Hz that costs less than 0.1 % of a steady or slowly
moving power above 10 W, 0.5 % of one that switches every 20 s, 1 % of 60 mW; to it add the board's
own error, mostly its shunt's (1 % on common boards), which `gridtally-edge calibrate` takes out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from hardware import options, words
from hardware.errors import BadOption
from hardware.meters.settled_chip import Settings, SettledChip
from hardware.ports import I2cPort, Sample

CONFIGURATION, SHUNT, BUS, POWER, CURRENT, CALIBRATION = range(6)
"""Register pointers."""

_RANGE_32_V = 1 << 13
_MODE_BOTH_CONTINUOUS = 7
_SHUNT_LIMITS = (4_000, 8_000, 16_000, 32_000)
"""Shunt full scale by gain code 0 to 3: 40, 80, 160, 320 mV. [10 uV]"""
_ADC_CODES = {1: 0x3, 2: 0x9, 4: 0xA, 8: 0xB, 16: 0xC, 32: 0xD, 64: 0xE, 128: 0xF}
_SAMPLE_US = 532
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


def settings(given: Ina219Options) -> Settings:
    """Return the words for a board: the smallest range and current step that fit.

    A conversion is one of both channels, one after the other.

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
    configuration = _RANGE_32_V | gain(given) << 11 | code << 7 | code << 3 | _MODE_BOTH_CONTINUOUS
    return Settings(
        {CONFIGURATION: configuration, CALIBRATION: calibration},
        2 * given.samples_averaged * _SAMPLE_US / 1e6,
    )


def gain(given: Ina219Options) -> int:
    """Return the code of the smallest shunt range that holds the largest current."""
    drop_uv = given.shunt_mohm * given.current_max_ma
    return next(code for code, limit in enumerate(_SHUNT_LIMITS) if drop_uv <= limit * 10)


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
        wanted = settings(given)
        self._chip = SettledChip(bus, "ina219", given.address, wanted, pause)
        self._shunt_mohm = given.shunt_mohm
        self._shunt_limit = _SHUNT_LIMITS[gain(given)]
        self._calibration = wanted.words[CALIBRATION]

    def sample(self) -> Sample:
        """Return voltage, current and power of the newest conversion.

        Raises:
            SensorReset: the chip had lost its settings.
            StaleConversion: no conversion ended within its deadline.
            WrongDevice: the settings cannot be written.
            TransientHardwareError: the bus failed.
        """
        self._chip.settle()
        bus_word = self._chip.await_conversion(BUS, _READY)
        shunt = words.s16(self._chip.read(SHUNT))
        current = self._chip.read(CURRENT)
        self._chip.read(POWER)
        voltage_mv = (bus_word >> 3) * 4
        if bus_word & _OVERFLOW or abs(shunt) >= self._shunt_limit:
            return Sample(None, None, None, voltage_mv, None, None, quality="overflow")
        if current == 0 and abs(shunt * self._calibration // 4096) > 1:
            self._chip.check("lost its settings in the middle of a sample")
        return self._measured(shunt, voltage_mv)

    def close(self) -> None:
        """Nothing to let go of: the chip goes on converting."""

    def _measured(self, shunt: int, voltage_mv: int) -> Sample:
        drop_uv = shunt * 10
        current_ma = words.divide_half_even(drop_uv, self._shunt_mohm)
        power_mw = words.divide_half_even(drop_uv * voltage_mv, self._shunt_mohm * 1000)
        return Sample(power_mw, None, None, voltage_mv, current_ma, None)
