"""Texas Instruments INA3221: three shunts and bus voltages over I2C, each a meter. No counters.

The three meters of a chip share its settings: whoever is read first writes them, the others find
them. The shunt word is two's complement with three unused bits below: it is shifted as a signed
number, or a small negative current would read as one near the end of the range. The chip computes
neither current nor power. Reading the mask register clears the ready flag, so each meter waits for
a conversion of its own.

Source: TI SBOS576 (INA3221), sections 8.3 to 8.6. Seen on: simulated chip only.
Known limits: a shunt at its range end (163.8 mV) drops power and current, never clips them. Limits
and alert pins are not used.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from hardware import options, words
from hardware.meters.ina226 import AVERAGES, timing
from hardware.meters.settled_chip import Settings, SettledChip
from hardware.ports import I2cPort, Sample

CONFIGURATION, MASK, MANUFACTURER, DIE = 0x00, 0x0F, 0xFE, 0xFF
"""Register pointers; the shunt of channel n is at 2 n - 1, its bus voltage at 2 n."""

CHANNELS = 3
_IDS = {MANUFACTURER: 0x5449, DIE: 0x3220}
_ALL_ENABLED = 0b111 << 12
_SAMPLE_US = 1_100
_READY = 1
_UNUSED_BITS = 3
_SHUNT_STEP_UV, _BUS_STEP_MV = 40, 8
_COUNTS_ENDS = (4_095, -4_096)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ina3221Options:
    """How one channel of an INA3221 board is built and wired."""

    address: int = options.number(0x40, 0x43, "the I2C address", default=0x40)
    channel: int = options.number(1, CHANNELS, "the channel of the chip")
    shunt_mohm: int = options.number(1, 10_000, "the shunt resistor in milliohm")
    samples_averaged: int = options.choice(
        AVERAGES, "samples averaged in one conversion", default=4
    )


class Ina3221:
    """One channel of an INA3221. Positive current flows from IN+ to IN-."""

    def __init__(
        self,
        bus: I2cPort,
        given: Ina3221Options,
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Compute the settings; the chip is not touched.

        Args:
            bus: the bus it sits on.
            given: address, channel and shunt.
            pause: how to wait for a conversion. [s]
        """
        wanted = Settings(
            {CONFIGURATION: _ALL_ENABLED | timing(given.samples_averaged)},
            2 * CHANNELS * given.samples_averaged * _SAMPLE_US / 1e6,
            _IDS,
        )
        self._chip = SettledChip(bus, "ina3221", given.address, wanted, pause)
        self._shunt_mohm = given.shunt_mohm
        self._shunt, self._bus = 2 * given.channel - 1, 2 * given.channel

    def sample(self) -> Sample:
        """Return voltage, current and power of the newest conversion.

        Raises:
            SensorReset: the chip had lost its settings.
            StaleConversion: no conversion ended within its deadline.
            WrongDevice: it is another chip, or the settings cannot be written.
            TransientHardwareError: the bus failed.
        """
        self._chip.settle()
        self._chip.await_conversion(MASK, _READY)
        counts = words.s16(self._chip.read(self._shunt)) >> _UNUSED_BITS
        bus = words.s16(self._chip.read(self._bus)) >> _UNUSED_BITS
        if counts == 0 and bus == 0:
            self._chip.check("lost its settings in the middle of a sample")
        voltage_mv, drop_uv = bus * _BUS_STEP_MV, counts * _SHUNT_STEP_UV
        if counts in _COUNTS_ENDS:
            return Sample(None, None, None, voltage_mv, None, None, quality="overflow")
        current_ma = words.divide_half_even(drop_uv, self._shunt_mohm)
        power_mw = words.divide_half_even(drop_uv * voltage_mv, self._shunt_mohm * 1000)
        return Sample(power_mw, None, None, voltage_mv, current_ma, None)

    def close(self) -> None:
        """Nothing to let go of: the chip goes on converting for its other meters."""
