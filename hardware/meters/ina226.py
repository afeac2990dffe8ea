"""Texas Instruments INA226: shunt and bus voltage of one DC line over I2C. No counters.

Read as the INA219 is: settings back first, current computed here from the shunt voltage, the
chip's own current register only to notice a reset in the middle of a sample. Reading the mask
register clears the ready flag, so each sample waits for a conversion that ended after the last.
Who it is, is asked first: maker and die stand in two registers that an INA219 does not have.

Source: TI SBOS547 (INA226), sections 7.5 and 7.6. Seen on: simulated chip only.
Known limits: OVF or a shunt at its range end drops power and current, never clips them. The alert
pin is not used.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from hardware import options, words
from hardware.errors import BadOption
from hardware.meters.settled_chip import Settings, SettledChip
from hardware.ports import I2cPort, Sample

CONFIGURATION, SHUNT, BUS, POWER, CURRENT, CALIBRATION, MASK = range(7)
MANUFACTURER, DIE = 0xFE, 0xFF
"""Register pointers."""

_IDS = {MANUFACTURER: 0x5449, DIE: 0x2260}
_FIXED_BITS, _MODE_BOTH_CONTINUOUS = 1 << 14, 7
_SAMPLE_CODE, _SAMPLE_US = 4, 1_100
"""Conversion time of one sample of one input."""
AVERAGES = (1, 4, 16, 64, 128, 256, 512, 1024)
"""Samples averaged, by code."""
_READY, _OVERFLOW = 1 << 3, 1 << 2
_DROP_MAX_UV = 81_920
_SHUNT_ENDS = (0x7FFF, -0x8000)
_CALIBRATION_MAX = 0x7FFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Ina226Options:
    """How one INA226 board is built and wired."""

    address: int = options.number(0x40, 0x4F, "the I2C address", default=0x40)
    shunt_mohm: int = options.number(1, 10_000, "the shunt resistor in milliohm")
    current_max_ma: int = options.number(1, 200_000, "the largest current to measure in mA")
    samples_averaged: int = options.choice(
        AVERAGES, "samples averaged in one conversion", default=4
    )


def settings(given: Ina226Options) -> Settings:
    """Return the words for a board: the smallest current step that fits.

    Raises:
        BadOption: the shunt drops more than 81.92 mV, or the calibration exceeds its register.
    """
    drop_uv = given.shunt_mohm * given.current_max_ma
    if drop_uv > _DROP_MAX_UV:
        raise BadOption(
            "current_max_ma",
            given.current_max_ma,
            f"drops {drop_uv // 1000} mV on a shunt of {given.shunt_mohm} mohm, want 81 at most",
        )
    step_na = -(-given.current_max_ma * 1_000_000 // 32_768)
    calibration = calibrate(step_na, given.shunt_mohm)
    if calibration > _CALIBRATION_MAX:
        raise BadOption(
            "current_max_ma",
            given.current_max_ma,
            f"is too small for a shunt of {given.shunt_mohm} mohm, "
            "the calibration would exceed 15 bits",
        )
    return Settings(
        {CONFIGURATION: _FIXED_BITS | timing(given.samples_averaged), CALIBRATION: calibration},
        2 * given.samples_averaged * _SAMPLE_US / 1e6,
        _IDS,
    )


def timing(samples_averaged: int) -> int:
    """Return the bits of averaging, of both conversion times and of the continuous mode."""
    code = AVERAGES.index(samples_averaged)
    return code << 9 | _SAMPLE_CODE << 6 | _SAMPLE_CODE << 3 | _MODE_BOTH_CONTINUOUS


def calibrate(step_na: int, shunt_mohm: int) -> int:
    """Return the calibration word for a current step. [nA]

    Exact: 0.00512 / (step * shunt), truncated. Source: SBOS547, equation 1.

    >>> calibrate(1_000_000, 2)
    2560
    """
    return 5_120_000_000 // (step_na * shunt_mohm)


class Ina226:
    """One INA226. Positive current flows from IN+ to IN-."""

    def __init__(
        self,
        bus: I2cPort,
        given: Ina226Options,
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
        self._chip = SettledChip(bus, "ina226", given.address, wanted, pause)
        self._shunt_mohm = given.shunt_mohm
        self._calibration = wanted.words[CALIBRATION]

    def sample(self) -> Sample:
        """Return voltage, current and power of the newest conversion.

        Raises:
            SensorReset: the chip had lost its settings.
            StaleConversion: no conversion ended within its deadline.
            WrongDevice: it is another chip, or the settings cannot be written.
            TransientHardwareError: the bus failed.
        """
        self._chip.settle()
        mask = self._chip.await_conversion(MASK, _READY)
        shunt = words.s16(self._chip.read(SHUNT))
        bus = self._chip.read(BUS)
        current = self._chip.read(CURRENT)
        if mask & _OVERFLOW or shunt in _SHUNT_ENDS:
            voltage_mv = words.divide_half_even(bus * 125, 100)
            return Sample(None, None, None, voltage_mv, None, None, quality="overflow")
        if current == 0 and abs(shunt * self._calibration // 2048) > 1:
            self._chip.check("lost its settings in the middle of a sample")
        return self._measured(shunt * 25, bus * 125)

    def close(self) -> None:
        """Nothing to let go of: the chip goes on converting."""

    def _measured(self, drop: int, bus: int) -> Sample:
        """Return a sample from the shunt's drop [0.1 uV] and the bus voltage [0.01 mV]."""
        return Sample(
            words.divide_half_even(drop * bus, self._shunt_mohm * 1_000_000),
            None,
            None,
            words.divide_half_even(bus, 100),
            words.divide_half_even(drop, self._shunt_mohm * 10),
            None,
        )
