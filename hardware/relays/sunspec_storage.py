"""Battery of a SunSpec hybrid inverter, as a set-point that leases keep: what it takes or gives.

Beside the meter `sunspec` of the same address, of purpose "storage". What it is told is written
with the life of its lease as the inverter's own revert time (model 124, InOutWRte_RvrtTms), so it
ends by itself when node, wire or hub fail: this set-point is fail-safe. Energised without a power
it neither takes nor gives.
Source: SunSpec model 124. Seen on: simulated devices only.
Known limits: percent of WChaMax, discharging too, as makers have it where the model leaves it open.
Charging from the grid must be allowed at the inverter (ChaGriSet). Empty or full, it gives or takes
nothing, and its meter shows that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hardware import options
from hardware.errors import LimitRefused, SwitchFailed, TransientHardwareError, WrongDevice
from hardware.ports import ModbusPort
from hardware.sunspec import chain as sunspec_chain
from hardware.sunspec.models import STORAGE
from hardware.sunspec.storage import StoragePower

GROUP: Final = -100
"""Beside what else sits at an address: relays, a load output, limits."""
SWITCHED_MS: Final = 10_000
"""For how long it does nothing when it is switched like a relay, and not repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SunSpecStorageOptions:
    """Which inverter."""

    address: int = options.number(1, 247, "the Modbus id")


class SunSpecStorage:
    """The battery of one inverter; energised while it is told what to do."""

    def __init__(self, bus: ModbusPort, given: SunSpecStorageOptions) -> None:
        """Know the inverter; it is not touched."""
        self._bus = bus
        self._device = given.address
        self._found: StoragePower | None = None
        self.group = (given.address, GROUP)
        self.place = 0

    @property
    def is_energised(self) -> bool:
        """Whether it is told what to do, as it says now."""
        try:
            return self._power().read() is not None
        except TransientHardwareError:
            self._found = None
            raise

    def read_group(self) -> tuple[bool, ...]:
        """Return whether it is told what to do."""
        return (self.is_energised,)

    def hold(self, power_mw: int, for_ms: int) -> None:
        """Let it take so much, or give where it is below 0; it ends after that time by itself.

        Raises:
            SwitchFailed: it cannot, or did not keep what was written.
            HardwareError: the bus failed; what stands is not known.
        """
        try:
            self._power().begin(power_mw, for_ms // 1_000)
        except LimitRefused as refusal:
            raise SwitchFailed(str(refusal)) from refusal
        except TransientHardwareError:
            self._found = None
            raise

    def switch(self, energised: bool) -> None:
        """Let it do nothing for a while, or leave it to itself; raises as `hold`."""
        if energised:
            self.hold(0, SWITCHED_MS)
            return
        try:
            self._power().end()
        except LimitRefused as refusal:
            raise SwitchFailed(str(refusal)) from refusal
        except TransientHardwareError:
            self._found = None
            raise

    def close(self) -> None:
        """Leave it to itself; the bus stays open: others use it."""
        self.switch(False)

    def _power(self) -> StoragePower:
        """Return the way to its model 124: the list is walked once, and again after a silence."""
        if self._found is None:
            chain = sunspec_chain.walk(
                lambda address, count: self._bus.read_words(self._device, 3, address, count)
            )
            blocks = [block for block in chain.blocks if block.model == STORAGE]
            if len(blocks) != 1:
                raise WrongDevice(
                    f"sunspec at address {self._device}: it lists {len(blocks)} models 124, want 1"
                )
            self._found = StoragePower(self._bus, self._device, blocks[0])
        return self._found
