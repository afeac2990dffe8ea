"""A measuring chip on I2C that must hold the settings it was given: what INA drivers share.

A brown-out resets such a chip to power-on values, and it goes on measuring: another range, no
calibration. So each sample begins by reading the settings back, and what was measured without them
is dropped. Settings that already stand are not written again: the meters of a chip with several
channels share them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hardware.errors import DeviceAbsent, SensorReset, StaleConversion, WrongDevice
from hardware.ports import I2cPort

_POLLS_A_CONVERSION = 8
_POLLS_MAX = 12


@dataclass(frozen=True, slots=True)
class Settings:
    """What a chip must hold.

    Attributes:
        words: register -> word, in the order of writing.
        conversion_s: time of one conversion of everything that is enabled. [s]
        ids: register -> word that tells this model from others; empty where it has none.
    """

    words: Mapping[int, int]
    conversion_s: float
    ids: Mapping[int, int] = field(default_factory=dict)


class SettledChip:
    """One chip behind an address, as one driver knows it."""

    def __init__(
        self,
        bus: I2cPort,
        model: str,
        address: int,
        settings: Settings,
        pause: Callable[[float], None],
    ) -> None:
        """Know what it must hold; it is not touched."""
        self._bus = bus
        self._address = address
        self._settings = settings
        self._pause = pause
        self._name = f"{model} at address 0x{address:02X}"
        self._is_settled = False

    def settle(self) -> None:
        """Have the chip hold its settings before it is read.

        Raises:
            SensorReset: it had lost them; they stand again, and this sample is dropped.
            WrongDevice: it is another model, or does not keep what is written.
        """
        if self._is_settled:
            self.check("lost its settings")
            return
        self._identify()
        if not self._holds_settings():
            self._write_settings()
        self._is_settled = True

    def check(self, what: str) -> None:
        """Read the settings back; `what` says when they were lost.

        Raises:
            SensorReset: they were lost; they stand again, and this sample is dropped.
        """
        if self._holds_settings():
            return
        self._is_settled = False
        self._write_settings()
        self._is_settled = True
        raise SensorReset(f"{self._name}: {what}; check its 3.3 V supply")

    def await_conversion(self, register: int, flag: int) -> int:
        """Return the register that holds the ready flag, as soon as the flag is set.

        Raises:
            StaleConversion: no conversion ended within one and a half of its time.
        """
        step_s = self._settings.conversion_s / _POLLS_A_CONVERSION
        for _ in range(_POLLS_MAX):
            word = self.read(register)
            if word & flag:
                return word
            self._pause(step_s)
        raise StaleConversion(
            f"{self._name}: no new conversion within {step_s * _POLLS_MAX * 1000:.1f} ms"
        )

    def read(self, register: int) -> int:
        """Return one register; a chip that is gone is settled anew when it is back."""
        try:
            return self._bus.read_word(self._address, register)
        except DeviceAbsent:
            self._is_settled = False
            raise

    def _identify(self) -> None:
        found = {register: self.read(register) for register in self._settings.ids}
        if found != self._settings.ids:
            got, want = _listed(found), _listed(self._settings.ids)
            raise WrongDevice(f"{self._name}: its ids are {got}, want {want}; is it another chip?")

    def _write_settings(self) -> None:
        """Write the settings, prove that they stand, and wait for a first conversion."""
        for register, word in self._settings.words.items():
            self._bus.write_word(self._address, register, word)
        if not self._holds_settings():
            raise WrongDevice(
                f"{self._name}: does not keep what is written to it; is it another chip?"
            )
        self._pause(self._settings.conversion_s)

    def _holds_settings(self) -> bool:
        return all(self.read(register) == word for register, word in self._settings.words.items())


def _listed(words: Mapping[int, int]) -> str:
    return ", ".join(f"0x{word:04X}" for word in words.values())
