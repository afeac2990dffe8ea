"""Any SunSpec inverter or meter: what it is and where its values stand is found in its own list.

An inverter's power is generation: negative, with its counter as export. A meter's sign is not
fixed by SunSpec, and makers differ: `meter_sign` sets it, the counters tell whether it is right,
and while they contradict it the sample says "sign". The list is walked before the first sample,
after each silence, and when another model's header stands where the values were.

Source: SunSpec models 1, 101-103, 111-113, 120, 123, 201-204, 211-214. Seen on: simulated devices
only, scanned by pysunspec2 too; two captured frames stand in tests/vectors/sunspec.json.
Known limits: a limit is in percent of the rating in model 120; where model 121 sets a smaller
maximum, less is let through. Some makers keep the limit in memory that wears out: with
`limit_is_stored` it is written 24 times a day at most, and wants a long `revert_ms`. A counter
that reads 0 is not implemented by SunSpec's rule, so a new device has none before its first step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from hardware import options
from hardware.errors import (
    BusTimeout,
    DeviceRefused,
    HardwareError,
    LimitRefused,
    TransientHardwareError,
    UnexpectedReply,
    WrongDevice,
)
from hardware.ports import Counting, ModbusPort, Sample
from hardware.sunspec import chain as sunspec_chain
from hardware.sunspec.chain import Block, Chain
from hardware.sunspec.limit import PowerLimit
from hardware.sunspec.models import COMMON, CONTROLS, INVERTERS, LAYOUTS, NAMEPLATE
from hardware.sunspec.points import HEADER_WORDS, requests, value
from hardware.sunspec.readout import Readout, SignWatch
from hardware.wear import WriteBudget

LEAST_WORDS: Final = 24
"""What every device must answer at once: model 123 as far as its scale factor."""

_HOLDING: Final = 3
_TOO_LONG_CODES: Final = (2, 3)
_INVERTER_POINTS: Final = ("A", "PhVphA", "W", "Hz", "WH")
_METER_POINTS: Final = ("A", "PhVphA", "PhV", "PPV", "Hz", "W", "TotWhExp", "TotWhImp")
_IDENTITY: Final = ("Mn", "Md", "Vr", "SN")


@dataclass(frozen=True, slots=True, kw_only=True)
class SunSpecOptions:
    """Which device, and what its list does not tell."""

    address: int = options.number(1, 247, "the Modbus id")
    device_index: int = options.number(
        0,
        sunspec_chain.BLOCKS_MAX,
        "which inverter or meter behind the id, from 1; 0 where there is only one",
        default=0,
    )
    serial: str = options.text("the device's serial number, to tell it from another", default="")
    meter_sign: int = options.choice((1, -1), "the sign of a meter's import", default=1)
    revert_ms: int = options.number(
        0,
        65_534_000,
        "whole seconds in ms after which an inverter forgets a limit, 0 for never",
        default=60_000,
        step=1_000,
    )
    limit_is_stored: bool = options.flag(
        "whether the inverter keeps a limit in memory that wears out", default=False
    )
    words_max: int = options.number(LEAST_WORDS, 125, "registers in one read", default=125)


@dataclass(slots=True)
class _Found:
    """What a walk found: the block that is read, its device's facts, and the way to limit it."""

    block: Block
    points: tuple[str, ...]
    facts: dict[str, str | int]
    limit: PowerLimit | None = None
    lacks: str = "it is a meter"

    @property
    def is_inverter(self) -> bool:
        return self.block.model in INVERTERS

    def is_headed_by(self, words: Mapping[int, int]) -> bool:
        """Whether these words begin with the header that the list had."""
        return (words.get(0), words.get(1)) == (self.block.model, self.block.length)


class SunSpec:
    """One inverter or meter of the list behind one Modbus id."""

    def __init__(
        self,
        bus: ModbusPort,
        given: SunSpecOptions,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remember where it is; nothing is asked yet.

        Args:
            bus: the bus it sits on.
            given: which device, and what its list does not tell.
            clock_s: any clock that never goes back, for the budget of writes. [s]
        """
        self._bus = bus
        self._clock_s = clock_s
        self._budget = WriteBudget() if given.limit_is_stored else None
        self._given = given
        self._words_max = given.words_max
        self._bases = sunspec_chain.BASES
        self._found: _Found | None = None
        self._limited_mw: int | None = None
        self._sign = SignWatch()

    @property
    def facts(self) -> Mapping[str, str | int]:
        """What the device told of itself at the last walk; empty before the first."""
        return {} if self._found is None else self._found.facts

    @property
    def revert_ms(self) -> int:
        """The time after which the inverter forgets a limit that is not repeated; 0: never."""
        return self._given.revert_ms

    @property
    def limited_mw(self) -> int | None:
        """The limit that stood when the inverter was last asked; None if there was none. [mW]

        Each sample asks while a limit stands.
        """
        return self._limited_mw

    def sample(self) -> Sample:
        """Return power, counters, voltage, current and frequency.

        Raises:
            WrongDevice: no SunSpec list, a broken one, or not the device that was configured.
            DeviceRefused: it does not answer a read of the registers it lists.
            TransientHardwareError: the bus failed, or the list has moved twice.
        """
        try:
            found, words = self._measured()
            if self._limited_mw is not None and found.limit is not None:
                self._limited_mw = found.limit.read()
        except TransientHardwareError:
            self._found = None
            raise
        read = Readout(LAYOUTS[found.block.model], words)
        return self._generated(read) if found.is_inverter else self._metered(read)

    def limit(self, power_mw: int | None, for_ms: int | None = None) -> None:
        """Let at most so much through; None ends the limit.

        Args:
            power_mw: the most. [mW]
            for_ms: after how long the inverter forgets it, in whole seconds; None: `revert_ms`.

        Raises:
            LimitRefused: this device cannot be limited, or did not keep what was written.
            HardwareError: as `sample`.
        """
        if power_mw is not None and power_mw < 0:
            raise LimitRefused(f"{self._where}: limit {power_mw} mW, want 0 or more")
        revert_ms = self.revert_ms if for_ms is None else for_ms
        try:
            limit = self._way_to_limit()
            if power_mw is None:
                limit.end()
                self._limited_mw = None
            else:
                self._limited_mw = limit.begin(power_mw, revert_ms // 1_000)
        except LimitRefused:
            self._limited_mw = self._standing()
            raise
        except TransientHardwareError:
            self._found = None
            raise

    def read_limit(self) -> int | None:
        """Read the limit that stands now; None if there is none. [mW]

        Raises:
            LimitRefused: this device cannot be limited.
            HardwareError: as `sample`.
        """
        try:
            self._limited_mw = self._way_to_limit().read()
        except TransientHardwareError:
            self._found = None
            raise
        return self._limited_mw

    def _way_to_limit(self) -> PowerLimit:
        found = self._found = self._found or self._find()
        if found.limit is None:
            raise LimitRefused(f"{self._where}: it cannot be limited: {found.lacks}")
        return found.limit

    def _standing(self) -> int | None:
        limit = None if self._found is None else self._found.limit
        return None if limit is None else limit.read()

    def close(self) -> None:
        """Nothing to let go of: the bus is shared."""

    def _generated(self, read: Readout) -> Sample:
        power = read.number("W")
        energy_uwh = read.counter_uwh("WH")
        return Sample(
            power_mw=None if power is None else round(-power * 1_000),
            energy_import_uwh=None,
            energy_export_uwh=energy_uwh,
            voltage_mv=read.milli("PhVphA"),
            current_ma=read.milli("A"),
            frequency_mhz=read.milli("Hz"),
            quality=read.quality(is_missing=None in (power, energy_uwh)),
            counting=Counting(None, read.wrap_uwh("WH"), read.step_uwh("WH")),
        )

    def _metered(self, read: Readout) -> Sample:
        power = read.number("W")
        power_mw = None if power is None else round(power * 1_000) * self._given.meter_sign
        import_uwh, export_uwh = read.counter_uwh("TotWhImp"), read.counter_uwh("TotWhExp")
        if self._sign.contradicts(power_mw, import_uwh, export_uwh):
            read.doubts.append("sign")
        current_ma = read.milli("A")
        wrap_uwh = read.wrap_uwh("TotWhImp")
        return Sample(
            power_mw=power_mw,
            energy_import_uwh=import_uwh,
            energy_export_uwh=export_uwh,
            voltage_mv=read.milli("PhVphA", "PhV", "PPV"),
            current_ma=None if current_ma is None else abs(current_ma),
            frequency_mhz=read.milli("Hz"),
            quality=read.quality(
                is_missing=power_mw is None or (import_uwh is None and export_uwh is None)
            ),
            counting=Counting(wrap_uwh, wrap_uwh, read.step_uwh("TotWhImp")),
        )

    def _measured(self) -> tuple[_Found, dict[int, int]]:
        """Return the words of the block; if it is no longer there, after one more walk."""
        if self._found is not None:
            try:
                words = self._words(self._found.block, self._found.points)
            except DeviceRefused:
                words = {}  # nothing can be read there any more
            if self._found.is_headed_by(words):
                return self._found, words
        found = self._found = self._find()
        words = self._words(found.block, found.points)
        if not found.is_headed_by(words):
            raise UnexpectedReply(
                f"{self._where}: model {words[0]} with {words[1]} registers at "
                f"{found.block.address}, where the list just had {found.block.title}"
            )
        return found, words

    def _find(self) -> _Found:
        """Walk the list and choose the block."""
        try:
            chain = sunspec_chain.walk(self._read, self._bases)
            block = self._chosen(chain)
            return self._known(chain, block)
        except WrongDevice as error:
            raise WrongDevice(f"{self._where}: {error}") from error
        except BusTimeout:
            self._bases = (*self._bases[1:], self._bases[0])  # silent where nothing stands
            raise

    def _chosen(self, chain: Chain) -> Block:
        measuring, index = chain.measuring, self._given.device_index
        listed = "; ".join(f"{n}: {block.title}" for n, block in enumerate(measuring, 1))
        if not measuring:
            models = ", ".join(str(block.model) for block in chain.blocks) or "nothing"
            raise WrongDevice(f"it lists no inverter and no meter, only {models}")
        if index == 0 and len(measuring) > 1:
            raise WrongDevice(f"several devices behind one id, want device_index: {listed}")
        if index > len(measuring):
            raise WrongDevice(f"device_index = {index}, but it lists {listed}")
        return measuring[max(index, 1) - 1]

    def _known(self, chain: Chain, block: Block) -> _Found:
        """Read who made it, and what it takes to limit it."""
        points = _INVERTER_POINTS if block.model in INVERTERS else _METER_POINTS
        self._check_length(block, points)
        facts: dict[str, str | int] = {"model": block.model, "register": block.address}
        common = chain.common(block)
        if common is not None:
            facts |= self._identity(common)
        serial = self._given.serial
        if serial and facts.get("serial") != serial:
            raise WrongDevice(f"serial number {facts.get('serial')!r}, want {serial!r}")
        found = _Found(block, points, facts)
        if found.is_inverter:
            self._add_limit(chain, found)
        return found

    def _identity(self, common: Block) -> dict[str, str]:
        self._check_length(common, _IDENTITY)
        words, layout = self._words(common, _IDENTITY), LAYOUTS[COMMON]
        said = {layout.by_name[each].name: value(layout, each, words) for each in _IDENTITY}
        return {name: text for name, text in said.items() if isinstance(text, str)}

    def _add_limit(self, chain: Chain, found: _Found) -> None:
        """Say how the inverter can be limited, and whether it is; or what it lacks."""
        self._limited_mw = None
        try:
            rated_mw, controls = self._rating(chain, found.block)
            limit = PowerLimit(
                self._bus, self._given.address, controls, rated_mw, self._budget, self._clock_s
            )
            self._limited_mw = limit.read()
        except TransientHardwareError:
            raise
        except HardwareError as error:
            found.lacks = str(error)  # it measures all the same
        else:
            found.limit = limit
            found.facts["rated_mw"] = rated_mw

    def _rating(self, chain: Chain, block: Block) -> tuple[int, Block]:
        """Return what 100 percent are, and the block of the controls. [mW]"""
        nameplate, controls = chain.beside(block, NAMEPLATE), chain.beside(block, CONTROLS)
        if nameplate is None or controls is None:
            raise LimitRefused("it does not list models 120 and 123")
        self._check_length(nameplate, ("WRtg",))
        self._check_length(controls, ("WMaxLimPct", "WMaxLim_Ena"))
        rated = value(LAYOUTS[NAMEPLATE], "WRtg", self._words(nameplate, ("WRtg",)))
        if not isinstance(rated, Fraction) or rated <= 0:
            raise LimitRefused("model 120 tells no rated power")
        return int(rated * 1_000), controls

    def _check_length(self, block: Block, points: tuple[str, ...]) -> None:
        """Refuse a block that ends before what is read of it: behind it stands another."""
        wanted = max(end for _, end in LAYOUTS[block.model].spans(points)) - HEADER_WORDS
        if block.length < wanted:
            raise WrongDevice(
                f"model {block.title} has {block.length} registers, want {wanted} or more"
            )

    def _words(self, block: Block, points: tuple[str, ...]) -> dict[int, int]:
        """Return offset -> word of a block's header and of these points.

        A device that bears less at once than it should is asked for less from then on.
        """
        try:
            return self._gathered(block, points, self._words_max)
        except DeviceRefused as refusal:
            if refusal.code not in _TOO_LONG_CODES or self._words_max == LEAST_WORDS:
                raise
        words = self._gathered(block, points, LEAST_WORDS)
        self._words_max = LEAST_WORDS
        return words

    def _gathered(self, block: Block, points: tuple[str, ...], words_max: int) -> dict[int, int]:
        words: dict[int, int] = {}
        for first, end in requests(LAYOUTS[block.model], points, words_max):
            words |= enumerate(self._read(block.address + first, end - first), first)
        return words

    def _read(self, address: int, count: int) -> tuple[int, ...]:
        return self._bus.read_words(self._given.address, _HOLDING, address, count)

    @property
    def _where(self) -> str:
        return f"sunspec at address {self._given.address}"
