"""The two ways in which an EPEver controller can be told to charge no more.

Coil 0 switches charging, on models that have it. The others have charging voltages, in EEPROM:
lowered as far as their order allows, the controller gives a battery above them nothing but what
the load draws. Both know all or nothing: any limit below the rated power means nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Final, Protocol

from hardware.errors import BadOption, DeviceRefused, LimitRefused
from hardware.ports import ModbusPort
from hardware.registers import Value
from hardware.wear import WornMemory

CHARGING_COIL: Final = 0x0000
VOLTAGES_AT: Final = 0x9003
_KEPT: Final = slice(1, 7)
_RECONNECT: Final = 7
_SYSTEM_V: Final = 12
_RELAY: Final = "or put a relay with a DC-rated contact on the PV side"

Reads = Callable[[Iterable[str]], Mapping[str, Value]]


class ChargingSwitch(Protocol):
    """Something that lets the controller charge, or not."""

    def is_charging(self) -> bool:
        """Read from the device whether it may charge."""

    def switch(self, charging: bool) -> None:
        """Let it charge, or not."""


class ChargingCoil:
    """Coil 0: charging on or off."""

    def __init__(self, bus: ModbusPort, device: int) -> None:
        """Use this device; nothing is asked yet."""
        self._bus = bus
        self._device = device

    def exists(self) -> bool:
        """Ask whether this model has the coil."""
        try:
            self.is_charging()
        except DeviceRefused:
            return False
        return True

    def is_charging(self) -> bool:
        """Read the coil."""
        (charging,) = self._bus.read_bits(self._device, 1, CHARGING_COIL, 1)
        return charging

    def switch(self, charging: bool) -> None:
        """Write the coil unless it stands so, and read it back.

        Raises:
            LimitRefused: the controller did not keep it.
        """
        if self.is_charging() == charging:
            return
        self._bus.write_bit(self._device, CHARGING_COIL, charging)
        if self.is_charging() != charging:
            raise LimitRefused(
                f"epever_tracer at address {self._device}: coil 0 does not keep what is written; "
                f"give charge_voltages, {_RELAY}"
            )


class ChargingVoltages:
    """The six charging voltages: as its owner set them, or as low as they go."""

    def __init__(
        self, bus: ModbusPort, device: int, memory: WornMemory, reads: Reads, own: tuple[int, ...]
    ) -> None:
        """Use this device; nothing is asked yet.

        Args:
            bus: the bus it sits on.
            device: its Modbus id.
            memory: its settings, behind their budget.
            reads: how to read registers of its map.
            own: the words at 0x9004 to 0x9009 as the owner wants them; empty: not to be touched.
        """
        self._bus = bus
        self._device = device
        self._memory = memory
        self._reads = reads
        self._own = own

    def is_charging(self) -> bool:
        """Read whether the voltages are not the lowered ones."""
        standing = self._standing()
        return standing != _lowered(standing)

    def switch(self, charging: bool) -> None:
        """Write the voltages as a block, unless they stand so.

        A write is kept in reserve for ending what is begun.

        Raises:
            LimitRefused: they are not ours to touch, or it would not help, or not so soon again.
        """
        standing = self._standing()
        low = _lowered(standing)
        if charging and standing != low:
            return
        self._check_owner(standing)
        if not charging:
            self._check_effect(standing)
        words = (standing[0], *self._own, *standing[_RECONNECT:]) if charging else low
        self._memory.keep(VOLTAGES_AT, words, reserve=0 if charging else 1)

    def _standing(self) -> tuple[int, ...]:
        return self._bus.read_words(self._device, 3, VOLTAGES_AT, 12)

    def _check_owner(self, standing: tuple[int, ...]) -> None:
        if not self._own:
            raise self._refusal(
                "it has no coil 0 that switches charging; to let its charging voltages be lowered, "
                f'say what stands there now: charge_voltages = "{_text(standing[_KEPT])}", {_RELAY}'
            )
        is_lowered = standing == _lowered(standing)
        if not is_lowered and standing[_KEPT] != self._own:
            raise self._refusal(
                f"its charging voltages are {_text(standing[_KEPT])}, but charge_voltages says "
                f"{_text(self._own)}: correct the one that is wrong"
            )

    def _check_effect(self, standing: tuple[int, ...]) -> None:
        """Refuse what would wear the memory for nothing."""
        values = self._reads(("battery_voltage", "system_voltage"))
        if values["system_voltage"] != _SYSTEM_V:
            raise self._refusal(
                f"what its voltages mean on a battery of other than {_SYSTEM_V} V is not known; "
                "put a relay with a DC-rated contact on the PV side"
            )
        lowest = Fraction(_lowered(standing)[1], 100)
        battery = values["battery_voltage"]
        if not isinstance(battery, Fraction) or battery <= lowest:
            raise self._refusal(
                f"its battery is not above {float(lowest):.2f} V, the lowest that its charging "
                f"voltages go: it would charge on; wait, {_RELAY}"
            )

    def _refusal(self, why: str) -> LimitRefused:
        return LimitRefused(f"epever_tracer at address {self._device}: {why}")


def parse_voltages(text: str) -> tuple[int, ...]:
    """Return the option `charge_voltages` as words, empty for an empty text.

    >>> parse_voltages("15.00 15.00 14.60 14.40 13.80 13.20")
    (1500, 1500, 1460, 1440, 1380, 1320)

    Raises:
        BadOption: not six voltages, or not in the order that the controller wants.
    """
    try:
        words = tuple(int(Fraction(each) * 100) for each in text.split())
    except (ValueError, ZeroDivisionError):
        words = (0,)
    if not words:
        return ()
    if len(words) == 6:
        limit, _, equalize, boost, floating, reconnect = words
        if limit >= equalize >= boost >= floating > reconnect > 0:
            return words
    raise BadOption(
        "charge_voltages",
        text,
        "want the six voltages that stand at 0x9004 to 0x9009, in V: charging limit, over-voltage "
        "reconnect, equalize, boost, float and boost reconnect, as "
        '"15.00 15.00 14.60 14.40 13.80 13.20"',
    )


def _lowered(standing: tuple[int, ...]) -> tuple[int, ...]:
    """Return the twelve voltages with those of charging as low as the vendor's order allows."""
    lowest = standing[_RECONNECT] + 2
    cut, over = standing[0], standing[2]
    return (cut, lowest, over, lowest, lowest, lowest, lowest - 1, *standing[_RECONNECT:])


def _text(words: tuple[int, ...]) -> str:
    return " ".join(f"{word / 100:.2f}" for word in words)
