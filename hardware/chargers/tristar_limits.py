"""The two ways in which a TriStar MPPT can be told to charge less.

As a slave it charges with at most the current that was written last, for 60 s: whoever dies, it
charges on. Coil 2 disconnects altogether, and stays so. Both are RAM and wear nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Final, Protocol

from hardware.errors import LimitRefused, TransientHardwareError
from hardware.ports import ModbusPort
from hardware.registers import Value

SLAVE_REVERT_MS: Final = 60_000
_STATE_AT, _CURRENT_AT, _VOLTAGE_AT = 0x0032, 0x0058, 0x0059
_CHARGING, _SLAVE = (5, 6, 7, 8), 9
_DISCONNECT_COIL = 0x0002
_WORD_MOST = 0x7FFF
_RATED_A: Final = (45, 60)

Reads = Callable[[Iterable[str]], Mapping[str, Value]]


class Throttle(Protocol):
    """One way to charge less."""

    revert_ms: int

    def read(self) -> int | None:
        """Return the limit that stands, None if there is none. [mW]"""

    def begin(self, power_mw: int) -> None:
        """Let at most so much through."""

    def end(self) -> None:
        """Let everything through."""


class SlaveCurrent:
    """Charging current by reference, to be repeated within a minute."""

    revert_ms = SLAVE_REVERT_MS

    def __init__(self, bus: ModbusPort, device: int, reads: Reads) -> None:
        """Use this device; nothing is asked yet. `reads` yields registers of its map."""
        self._bus = bus
        self._device = device
        self._reads = reads

    def read(self) -> int | None:
        """Return the limit at the battery's present voltage; None unless it is a slave. [mW]"""
        state, _target = self._bus.read_words(self._device, 3, _STATE_AT, 2)
        (word,) = self._bus.read_words(self._device, 3, _CURRENT_AT, 1)
        if state != _SLAVE or not 0 < word <= _WORD_MOST:
            return None
        return int(word * self._step_mw())

    def begin(self, power_mw: int) -> None:
        """Write the current, rounded down, and the voltage that it aimed at before.

        Raises:
            LimitRefused: its firmware has no such reference.
        """
        state, target = self._bus.read_words(self._device, 3, _STATE_AT, 2)
        (held,) = self._bus.read_words(self._device, 3, _VOLTAGE_AT, 1)
        word = min(max(1, int(power_mw / self._step_mw())), _WORD_MOST)
        self._bus.write_word(self._device, _CURRENT_AT, word)
        self._bus.write_word(self._device, _VOLTAGE_AT, target if state in _CHARGING else held)
        (kept,) = self._bus.read_words(self._device, 3, _CURRENT_AT, 1)
        if kept != word:
            raise LimitRefused(
                f"tristar_mppt at address {self._device}: its firmware keeps no slave current "
                f'(wrote {word}, read {kept}); use limit_by = "charge_disconnect", '
                "or a relay with a DC-rated contact on the PV side"
            )

    def end(self) -> None:
        """Take both references back, if there are any."""
        for address in (_VOLTAGE_AT, _CURRENT_AT):
            if self._bus.read_words(self._device, 3, address, 1) != (0,):
                self._bus.write_word(self._device, address, 0)

    def _step_mw(self) -> Fraction:
        """Return the power of one step of current into the battery as it is now. [mW]"""
        values = self._reads(("current_full_scale", "battery_voltage"))
        scale, voltage = values["current_full_scale"], values["battery_voltage"]
        if not isinstance(scale, Fraction) or not isinstance(voltage, Fraction) or voltage <= 0:
            raise TransientHardwareError(
                f"tristar_mppt at address {self._device}: no battery voltage to reckon a limit with"
            )
        return scale * voltage * 1_000 / 32_768


class ChargeDisconnect:
    """Coil 2: charging at all, or not."""

    revert_ms = 0

    def __init__(self, bus: ModbusPort, device: int, reads: Reads) -> None:
        """Use this device; nothing is asked yet. `reads` yields registers of its map."""
        self._bus = bus
        self._device = device
        self._reads = reads

    def read(self) -> int | None:
        """Return 0 while it is disconnected, else None. [mW]"""
        (disconnected,) = self._bus.read_bits(self._device, 1, _DISCONNECT_COIL, 1)
        return 0 if disconnected else None

    def begin(self, power_mw: int) -> None:
        """Disconnect, unless it could not charge with so much anyway."""
        values = self._reads(("model", "battery_voltage"))
        model, voltage = values["model"], values["battery_voltage"]
        if isinstance(model, Fraction) and isinstance(voltage, Fraction):
            rated_a = _RATED_A[min(int(model), 1)]
            if power_mw >= rated_a * voltage * 1_000:
                self.end()
                return
        self._switch(True)

    def end(self) -> None:
        """Connect again."""
        self._switch(False)

    def _switch(self, disconnected: bool) -> None:
        if (self.read() == 0) == disconnected:
            return
        self._bus.write_bit(self._device, _DISCONNECT_COIL, disconnected)
        if (self.read() == 0) != disconnected:
            raise LimitRefused(
                f"tristar_mppt at address {self._device}: coil 2 does not keep what is written; "
                "put a relay with a DC-rated contact on the PV side"
            )
