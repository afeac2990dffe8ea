"""Eastron SDM120 Modbus: one phase of mains, with import and export counters.

Values are IEEE 754 singles, high word first, in engineering units. Net energy comes from the two
counters and never from the total at 0x0156, whose meaning is programmable.

Source: Eastron SDM120-Modbus protocol V2.4. Seen on: simulated meter only; the vendor's frames
stand in tests/vectors/sdm120.json.
Known limits: a float register of 1000 kWh steps by 0.06 Wh, of 16 384 kWh by 1 Wh.
"""

from __future__ import annotations

from dataclasses import dataclass

from hardware import options, registers
from hardware.errors import DeviceRefused, TransientHardwareError, WrongDevice
from hardware.ports import ModbusPort, Sample
from hardware.registers import Register

_KWH_TO_UWH = 9
_COUNTER_MAX_UWH = 10_000_000 * 10**9

REGISTERS = (
    Register("voltage_mv", 0x0000, "f32", 3, 0, 500_000),
    Register("current_ma", 0x0006, "f32", 3, 0, 200_000),
    Register("power_mw", 0x000C, "f32", 3, -50_000_000, 50_000_000),
    Register("frequency_mhz", 0x0046, "f32", 3, 0, 700_000),
    Register("energy_import_uwh", 0x0048, "f32", _KWH_TO_UWH, 0, _COUNTER_MAX_UWH),
    Register("energy_export_uwh", 0x004A, "f32", _KWH_TO_UWH, 0, _COUNTER_MAX_UWH),
)
"""Input registers, function 4. The gaps between them read as zero, so a block may span them."""

_WHOLE_WORDS, _HOLE_WORDS = 76, 4
"""From the first to the last register, and the longest hole that two requests read along."""

_METER_CODE_ADDRESS, _METER_CODE = 0xFC02, 0x0020
_TENTHS_ABOVE_MHZ = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sdm120Options:
    """Which meter, and how much it answers at once."""

    address: int = options.number(1, 247, "the Modbus id")
    words_max: int = options.number(2, 80, "registers in one read", default=40)


class Sdm120:
    """One SDM120. It is asked once who it is, and again after each silence."""

    def __init__(self, bus: ModbusPort, given: Sdm120Options) -> None:
        """Plan the reads; the meter is not touched.

        Args:
            bus: the bus it sits on.
            given: its id; with `words_max` of 76 and more a sample is one read instead of two.
        """
        self._bus = bus
        self._device = given.address
        words_max = given.words_max - given.words_max % 2
        hole_words_max = words_max if words_max >= _WHOLE_WORDS else _HOLE_WORDS
        self._map = registers.plan(
            REGISTERS, function=4, words_max=words_max, hole_words_max=hole_words_max
        )
        self._is_identified = False

    def sample(self) -> Sample:
        """Return power, both counters, voltage, current and frequency.

        Raises:
            WrongDevice: the meter code is another model's.
            ImplausibleSample: a value that no SDM120 can measure.
            DeviceRefused: it does not answer this many registers; lower `words_max`.
            TransientHardwareError: the bus failed.
        """
        try:
            if not self._is_identified:
                self._identify()
            values = self._map.read(self._bus, self._device)
        except TransientHardwareError:
            self._is_identified = False
            raise
        frequency_mhz = values["frequency_mhz"]
        if frequency_mhz is not None and frequency_mhz > _TENTHS_ABOVE_MHZ:
            frequency_mhz //= 10  # some clones count in tenths
        return Sample(
            power_mw=values["power_mw"],
            energy_import_uwh=values["energy_import_uwh"],
            energy_export_uwh=values["energy_export_uwh"],
            voltage_mv=values["voltage_mv"],
            current_ma=values["current_ma"],
            frequency_mhz=frequency_mhz,
        )

    def close(self) -> None:
        """Nothing to let go of: the bus is shared."""

    def _identify(self) -> None:
        """Compare the meter code, where this firmware has one."""
        try:
            (code,) = self._bus.read_words(self._device, 3, _METER_CODE_ADDRESS, 1)
        except DeviceRefused:
            code = _METER_CODE  # older firmware has no such register: nothing to compare
        if code != _METER_CODE:
            raise WrongDevice(
                f"sdm120 at address {self._device}: meter code 0x{code:04X}, "
                f"want 0x{_METER_CODE:04X}"
            )
        self._is_identified = True
