"""Victron MPPT over VE.Direct HEX: measured, and limited, by asking.

Generation is export, as with `vedirect`, but power comes in 0.01 W. A limit is the charge current
limit 0x2015: the device holds it in RAM and forgets it after 50 to 60 s, so that it ends when this
program does; it is written again every 20 s by `sample`, for the battery voltage of that moment.
The maximum current 0xEDF0, which stands in an EEPROM, is never written.

With the option `hard_stop` a limit of 0 also switches the charger off (0x0200). That stays: a
program that dies leaves it off, so it is switched on again at the first contact of the next one.

Source: Victron BlueSolar HEX protocol; OpenDTU-OnBattery and esphome-victron-vedirect. Seen on:
simulated controller only; captured frames stand in tests/vectors/vedirect_hex.json.
Known limits: a limit holds for what goes into the battery, so the panels give the converter's
losses more; sampled less often than each 40 s, it lapses between; some firmware heeds 0x2015 only
with `network_mode` 9 or 5, which public sources do not agree on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from hardware import options
from hardware.errors import (
    DeviceRefused,
    HardwareError,
    LimitRefused,
    SwitchFailed,
    TransientHardwareError,
    WrongDevice,
)
from hardware.ports import Battery, BytePort, Sample
from hardware.vedirect import frames, registers
from hardware.vedirect.hexline import HexLine
from hardware.vedirect.quantity import (
    AMPERES,
    COUNTING,
    ENERGY_UWH,
    PV_VOLTS,
    STATES,
    VOLTS,
    WATTS,
    bounded,
    whole,
)
from hardware.wear import WriteBudget

REVERT_MS: Final = 60_000
"""After how long a device forgets a current limit. Source: vendor; 50 s was seen as well. [ms]"""

REPEAT_S: Final = 20.0
"""After how long a limit is written again. [s]"""

_NO_LIMIT = b"\xff\xff"
_LIMIT_MAX = 0xFFFE
_ON, _OFF = 1, 4
_OFFS = (0, 4)
_REMOTE = 0b10
_LOAD_AUTOMATIC, _LOAD_OFF, _LOAD_ON = 1, 4, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class VeDirectHexOptions:
    """Which device, and how it is limited."""

    serial: str = options.text("the unit's serial number, to tell it from another", default="")
    timeout_ms: int = options.number(50, 5_000, "the longest wait for an answer in ms", default=500)
    network_mode: int = options.choice(
        (0, 5, 9), "what is written to register 0x200E beside a limit, 0 for nothing", default=0
    )
    hard_stop: bool = options.flag("whether a limit of 0 switches the charger off", default=False)


@dataclass(frozen=True, slots=True)
class _Standing:
    """A limit that is repeated."""

    power_mw: int
    written_s: float


class VeDirectHex:
    """One MPPT charge controller behind one port."""

    def __init__(
        self,
        bus: BytePort,
        given: VeDirectHexOptions,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Be ready to ask; the port is not touched.

        Args:
            bus: its port.
            given: which unit it must be, and how it is limited.
            clock_s: a clock that never goes back. [s]
            pause: how to wait. [s]
        """
        self._given = given
        self._clock_s = clock_s
        self._line = HexLine(
            bus, "vedirect_hex", given.timeout_ms / 1000, clock_s=clock_s, pause=pause
        )
        self._is_met = False
        self._missing: set[int] = set()
        self._standing: _Standing | None = None
        self._budget = WriteBudget()

    def sample(self) -> Sample:
        """Return the panels' power and yield as export, and repeat a limit that is due.

        Raises:
            WrongDevice: it knows no panel power, or is another unit.
            DeviceRefused: it refuses a register that every MPPT has.
            TransientHardwareError: no answer, or the port failed.
        """
        self._meet()
        self._repeat()
        doubts: list[str] = []
        power_mw = bounded(self._milli(registers.PV_POWER), 0, WATTS[1], doubts)
        voltage_mv = bounded(self._milli(registers.PV_VOLTAGE), *PV_VOLTS, doubts)
        total_uwh = bounded(whole(self._number(registers.USER_YIELD), 10**9), *ENERGY_UWH, doubts)
        current_ma = self._milli_if_known(registers.PV_CURRENT)
        return Sample(
            power_mw=None if power_mw is None else -power_mw,
            energy_import_uwh=None,
            energy_export_uwh=total_uwh,
            voltage_mv=voltage_mv,
            current_ma=None if current_ma is None else -current_ma,
            frequency_mhz=None,
            quality=" ".join(dict.fromkeys(doubts)),
            counting=COUNTING,
        )

    def battery(self) -> Battery:
        """Return the battery as the charger sees it; raises as `sample` does."""
        self._meet()
        doubts: list[str] = []  # a battery has no word for them: a value is there or it is not
        charged_ma = bounded(self._milli(registers.CHARGER_CURRENT), *AMPERES, doubts)
        drawn_ma = self._milli_if_known(registers.LOAD_CURRENT) or 0
        return Battery(
            voltage_mv=bounded(self._milli(registers.CHARGER_VOLTAGE), *VOLTS, doubts),
            current_ma=None if charged_ma is None else charged_ma - drawn_ma,
            charge_percent=None,
            temperature_mc=self._milli_if_known(registers.BATTERY_TEMPERATURE),
            stage=STATES.get(whole(self._number(registers.STATE), 1) or 0, "unknown"),
        )

    @property
    def revert_ms(self) -> int:
        """After how long the device forgets a limit; 0 with `hard_stop`, which stays."""
        return 0 if self._given.hard_stop else REVERT_MS

    @property
    def limited_mw(self) -> int | None:
        """The limit read back from the device; None if there is none. Raises as `sample`."""
        self._meet()
        if self._given.hard_stop and not self._is_on():
            return 0
        amperes = self._number(registers.CHARGE_LIMIT)
        return None if amperes is None else round(amperes * self._battery_mv())

    def limit(self, power_mw: int | None) -> None:
        """Let at most so much into the battery; None ends it.

        Raises:
            LimitRefused: the device does not keep it, tells no battery voltage, or, with
                `hard_stop`, was switched too often.
            HardwareError: as `sample`; an earlier limit then goes on.
        """
        self._meet()
        if power_mw is None:
            self._release()
            return
        self._write_limit(power_mw)
        if self._given.hard_stop:
            self._switch_charger(power_mw > 0)

    @property
    def load_is_on(self) -> bool:
        """The load output's state as the device tells it; raises as `sample`."""
        self._meet()
        return bool(self._number(registers.LOAD_STATE))

    def switch_load(self, energised: bool | None) -> None:
        """Switch the load output always on or always off; None gives it back to the device.

        Raises:
            SwitchFailed: the output is not as it was told.
            DeviceRefused: this device has no load output.
            TransientHardwareError: as `sample`.
        """
        self._meet()
        wanted = _LOAD_AUTOMATIC
        if energised is not None:
            wanted = _LOAD_ON if energised else _LOAD_OFF
        if self._number(registers.LOAD_CONTROL) != wanted:
            self._line.put(registers.LOAD_CONTROL, bytes([wanted]))
        if energised is not None and self.load_is_on is not energised:
            raise SwitchFailed(
                f"vedirect_hex: load control is {wanted}, "
                f"but the output is {'off' if energised else 'on'}"
            )

    def close(self) -> None:
        """End a hard stop, which would stay; a limit ends by itself, the bus closes its port."""
        if self._given.hard_stop and self._standing is not None:
            with suppress(HardwareError):
                self._release()

    # Who it is

    def _meet(self) -> None:
        """At the first contact, and again after a silence: see who is there."""
        try:
            if self._is_met:
                return
            self._identify()
            if self._given.hard_stop and self._standing is None:
                self._switch_charger(True)
            self._is_met = True
        except TransientHardwareError:
            self._is_met = False
            raise

    def _identify(self) -> None:
        try:
            self._line.get(registers.PV_POWER)
        except DeviceRefused as error:
            raise WrongDevice(
                "vedirect_hex: it knows no panel power, want an MPPT; "
                "the model vedirect reads a battery monitor"
            ) from error
        if self._given.serial:
            found = registers.text_of(self._line.get(registers.SERIAL))
            if found != self._given.serial:
                raise WrongDevice(f"vedirect_hex: serial number {found}, want {self._given.serial}")

    # Numbers

    def _number(self, register: int) -> Fraction | None:
        try:
            return registers.value_of(register, self._line.get(register))
        except TransientHardwareError:
            self._is_met = False
            raise

    def _milli(self, register: int) -> int | None:
        return whole(self._number(register), 1_000)

    def _milli_if_known(self, register: int) -> int | None:
        """Return a value that small models do not have; None then, without asking again."""
        if register in self._missing:
            return None
        try:
            return self._milli(register)
        except DeviceRefused as error:
            if error.code != frames.UNKNOWN_ID:
                raise
            self._missing.add(register)
            return None

    def _battery_mv(self) -> int:
        """Return the battery's voltage, by which a current is a power. [mV]"""
        voltage_mv = self._milli(registers.CHARGER_VOLTAGE)
        if not voltage_mv:
            raise LimitRefused("vedirect_hex: it tells no battery voltage, no limit can be set")
        return voltage_mv

    # Limits

    def _write_limit(self, power_mw: int) -> None:
        tenths = min(max(power_mw, 0) * 10 // self._battery_mv(), _LIMIT_MAX)
        if self._given.network_mode:
            self._line.put(registers.NETWORK_MODE, bytes([self._given.network_mode]))
        wanted = tenths.to_bytes(2, "little")
        stands = self._line.put(registers.CHARGE_LIMIT, wanted)
        if stands != wanted:
            raise LimitRefused(
                f"vedirect_hex: wrote a charge current limit of {wanted.hex().upper()}, "
                f"but {stands.hex().upper()} stands there"
            )
        self._line.pushed.pop(registers.CHARGE_LIMIT, None)
        self._standing = _Standing(power_mw, self._clock_s())

    def _repeat(self) -> None:
        """Write a limit again that is 20 s old, or that the device says it has forgotten."""
        if self._standing is None:
            return
        told = self._line.pushed.get(registers.CHARGE_LIMIT)
        is_due = self._clock_s() - self._standing.written_s >= REPEAT_S or told == _NO_LIMIT
        if not is_due:
            return
        try:
            self._write_limit(self._standing.power_mw)
        except (DeviceRefused, LimitRefused):
            self._standing = None  # `limited_mw` shows it; a meter goes on measuring

    def _release(self) -> None:
        """End a limit; one that the device will not take back ends by itself in a minute."""
        self._standing = None
        try:
            self._line.put(registers.CHARGE_LIMIT, _NO_LIMIT)
        except DeviceRefused as error:
            if error.code != frames.PARAMETER_ERROR:
                raise
        if self._given.hard_stop:
            self._switch_charger(True)

    def _is_on(self) -> bool:
        return self._number(registers.DEVICE_MODE) not in _OFFS

    def _switch_charger(self, on: bool) -> None:
        """Let the charger be on or off; a write for switching it on is always kept in reserve."""
        if self._is_on() == on:
            return
        self._budget.spend(int(self._clock_s() * 1000), reserve=0 if on else 1)
        self._allow_remote_control()
        self._line.put(registers.DEVICE_MODE, bytes([_ON if on else _OFF]))
        if self._is_on() != on:
            raise LimitRefused(
                f"vedirect_hex: told the charger to be {'on' if on else 'off'}, but it is not"
            )

    def _allow_remote_control(self) -> None:
        """Set bit 1 of 0x0202, without which some products do not heed 0x0200.

        Its width differs between sources: it is written as wide as the device tells it.
        """
        try:
            raw = self._line.get(registers.REMOTE_CONTROL)
        except DeviceRefused:
            return
        value = int.from_bytes(raw, "little")
        if not value & _REMOTE:
            self._line.put(registers.REMOTE_CONTROL, (value | _REMOTE).to_bytes(len(raw), "little"))
