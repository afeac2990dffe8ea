"""Limit of a SunSpec inverter, as a set-point that leases keep: the most that it may feed in.

Beside the meter `sunspec` of the same address. A limit is written with the life of its lease as the
inverter's own revert time (model 123, WMaxLimPct_RvrtTms), so it ends by itself when node, wire or
hub fail: this set-point is fail-safe. Energised without a power it lets nothing through.
Source: SunSpec models 120 and 123. Seen on: simulated devices only.
Known limits: an inverter that knows no revert time refuses. One that keeps limits in memory that
wears out would be written every second or two: put a relay on it instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hardware import options
from hardware.errors import LimitRefused, SwitchFailed
from hardware.meters.sunspec import SunSpec, SunSpecOptions
from hardware.ports import ModbusPort
from hardware.sunspec import chain as sunspec_chain

GROUP: Final = -2
"""Beside the groups of relay boards and the outputs of controllers."""
SWITCHED_MS: Final = 10_000
"""For how long it lets nothing through when it is switched like a relay, and not repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SunSpecLimitOptions:
    """Which inverter, as its meter says it."""

    address: int = options.number(1, 247, "the Modbus id")
    device_index: int = options.number(
        0,
        sunspec_chain.BLOCKS_MAX,
        "which inverter behind the id, from 1; 0 where there is only one",
        default=0,
    )
    serial: str = options.text("the device's serial number, to tell it from another", default="")


class SunSpecLimit:
    """The limit of one inverter; energised while one stands."""

    def __init__(self, bus: ModbusPort, given: SunSpecLimitOptions) -> None:
        """Know the inverter; it is not touched."""
        which = SunSpecOptions(
            address=given.address, device_index=given.device_index, serial=given.serial
        )
        self._inverter = SunSpec(bus, which)
        self.group = (given.address, GROUP - given.device_index)
        self.place = 0

    @property
    def is_energised(self) -> bool:
        """Whether a limit stands, as the inverter tells it now."""
        return self._inverter.read_limit() is not None

    def read_group(self) -> tuple[bool, ...]:
        """Return whether a limit stands."""
        return (self.is_energised,)

    def hold(self, power_mw: int, for_ms: int) -> None:
        """Let at most so much through; the inverter ends it after that time by itself.

        Raises:
            SwitchFailed: it cannot, or did not keep what was written.
            HardwareError: the bus failed; what stands is not known.
        """
        try:
            self._inverter.limit(power_mw, for_ms)
        except LimitRefused as refusal:
            raise SwitchFailed(str(refusal)) from refusal

    def switch(self, energised: bool) -> None:
        """Let nothing through for a while, or everything again; raises as `hold`."""
        if energised:
            self.hold(0, SWITCHED_MS)
            return
        try:
            self._inverter.limit(None)
        except LimitRefused as refusal:
            raise SwitchFailed(str(refusal)) from refusal

    def close(self) -> None:
        """Let everything through; the bus stays open: others use it."""
        self.switch(False)
