"""What the rest of the house sees of a device: five small Protocols and one `Sample`.

Sign: positive power and current mean import, from the grid into the site of that meter. Drivers
report what their device says in this convention; a meter built in backwards is flipped by the
edge configuration and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Sample:
    """What one device measured at one moment; None means not measured and is never 0.

    Attributes:
        power_mw: active power, positive = import. [mW]
        energy_import_uwh: cumulative counter of the device. [uWh]
        energy_export_uwh: cumulative counter of the device. [uWh]
        voltage_mv: [mV]
        current_ma: signed as power where the device knows the direction, else a magnitude. [mA]
        frequency_mhz: [mHz]
        quality: empty, or one word that says why a value is missing or doubtful.
    """

    power_mw: int | None
    energy_import_uwh: int | None
    energy_export_uwh: int | None
    voltage_mv: int | None
    current_ma: int | None
    frequency_mhz: int | None
    quality: str = ""


@dataclass(frozen=True, slots=True)
class Battery:
    """A battery as its charge controller sees it.

    Attributes:
        voltage_mv: [mV]
        current_ma: net current, positive = charging. [mA]
        charge_percent: state of charge. [%]
        temperature_mc: [milli degrees Celsius]
        stage: "off", "float", "boost" or "equalize".
    """

    voltage_mv: int | None
    current_ma: int | None
    charge_percent: int | None
    temperature_mc: int | None
    stage: str


@runtime_checkable
class EnergyMeter(Protocol):
    """One measuring point. Constructing it touches no wire, so that an edge starts without it."""

    def sample(self) -> Sample:
        """Read the device once.

        Raises:
            TransientHardwareError: no sample now; the next instant may have one.
            HardwareError: no sample before somebody acts.
        """

    def close(self) -> None:
        """Let go of the device. The bus stays open: others use it."""


@runtime_checkable
class ChargeController(EnergyMeter, Protocol):
    """A PV charge controller: its generation is a meter's export."""

    def battery(self) -> Battery:
        """Read the battery once; raises as `sample` does."""


@runtime_checkable
class Relay(Protocol):
    """One relay coil. It is made de-energised and left de-energised."""

    def switch(self, energised: bool) -> None:
        """Drive the coil and read the level back.

        Raises:
            SwitchFailed: the pin does not hold what was written.
        """

    @property
    def is_energised(self) -> bool:
        """The coil's state as read back from the pin, not as remembered."""

    def close(self) -> None:
        """De-energise and let go of the pin."""


class I2cPort(Protocol):
    """Sixteen-bit registers behind an I2C address, most significant byte first."""

    def read_word(self, address: int, register: int) -> int:
        """Return one register. [0..65535]"""

    def write_word(self, address: int, register: int, word: int) -> None:
        """Write one register."""


class ModbusPort(Protocol):
    """The Modbus functions that drivers use; addresses are 0-based as on the wire."""

    def read_words(self, device: int, function: int, address: int, count: int) -> tuple[int, ...]:
        """Read `count` holding (function 3) or input (function 4) registers."""

    def read_bits(self, device: int, function: int, address: int, count: int) -> tuple[bool, ...]:
        """Read `count` coils (function 1) or discrete inputs (function 2)."""

    def write_bit(self, device: int, address: int, energised: bool) -> None:
        """Write one coil (function 5)."""

    def write_words(self, device: int, address: int, words: tuple[int, ...]) -> None:
        """Write consecutive holding registers (function 16)."""

    def identify(self, device: int) -> Mapping[int, str]:
        """Read the device identification objects (function 43 / 14)."""
