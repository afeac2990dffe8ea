"""Model blocks of simulated SunSpec devices: what stands in each register after ID and length.

Integer models carry scale factors, float models (10 higher) the same points as singles without
any. What a device does not measure reads as "not implemented": FFFF unsigned, 8000 signed, NaN,
zero for a counter. A counter of 32 bits wraps.

Source: SunSpec models 1, 101-103, 111-113, 120, 160, 201-204, 211-214.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from hardware.mock.faults import Distortion
from hardware.mock.points import AcFeeder, SolarPlant, ThreePhaseFeeder
from hardware.mock.wires.modbus_pdu import ILLEGAL_ADDRESS, Refusal

NOT_UNSIGNED, NOT_SIGNED, NOT_A_NUMBER = 0xFFFF, 0x8000, (0x7FC0, 0)
OFF, SLEEPING, STARTING, MPPT, THROTTLED, STANDBY = 1, 2, 3, 4, 5, 8
_MAINS_MV, _MAINS_MHZ, _CABINET_MC = 230_000, 50_000, 35_000
_WAKES_MV = 12_000
_UWH_PER_MWH = 1_000
_SQRT3_MILLI = 1_732


@dataclass(slots=True)
class Body:
    """The words of one block, filled from the front; quantities come in thousandths of a unit.

    Attributes:
        floats: a float model: singles, and no scale factors.
        shift: added to every scale factor.
        is_absent: everything measured reads as not implemented.
    """

    floats: bool = False
    shift: int = 0
    is_absent: bool = False
    words: list[int] = field(default_factory=list)

    def scaled(self, factor: int, *values: int | None, signed: bool = True) -> None:
        """Append values of 16 bits; more than fits stands at the end of the range."""
        for value in values:
            if self.floats:
                self.single(value)
            elif value is None or self.is_absent:
                self.words.append(NOT_SIGNED if signed else NOT_UNSIGNED)
            else:
                low, high = (-32_767, 32_767) if signed else (0, 65_534)
                raw = _divided(value, factor + self.shift + 3)
                self.words.append(min(max(raw, low), high) & 0xFFFF)

    def factor(self, factor: int) -> None:
        """Append a scale factor."""
        if not self.floats:
            self.words.append(factor + self.shift & 0xFFFF)

    def counted(self, factor: int, *values: int | None) -> None:
        """Append counters of 32 bits; zero is not implemented, and wraps come by it too."""
        for value in values:
            if self.floats:
                self.single(value)
            else:
                raw = _divided(0 if value is None else value, factor + self.shift + 3)
                self.long(0 if self.is_absent else raw % (1 << 32))

    def single(self, value: int | None) -> None:
        """Append an IEEE 754 single."""
        if value is None or self.is_absent:
            self.words += NOT_A_NUMBER
        else:
            self.words += struct.unpack(">HH", struct.pack(">f", value / 1000))

    def long(self, *values: int) -> None:
        """Append unsigned numbers of 32 bits, high word first."""
        for value in values:
            self.words += (value >> 16 & 0xFFFF, value & 0xFFFF)

    def plain(self, *words: int) -> None:
        """Append words as they are."""
        self.words += words

    def text(self, value: str, words: int) -> None:
        """Append a text, filled up with NUL."""
        raw = value.encode("ascii")[: 2 * words].ljust(2 * words, b"\0")
        self.words += struct.unpack(f">{words}H", raw)


class Block(Protocol):
    """One model of a device's list."""

    @property
    def model(self) -> int:
        """The SunSpec model ID."""

    def fill(self, body: Body) -> None:
        """Append every register after ID and length; always equally many."""

    def write(self, offset: int, words: Iterable[int]) -> None:
        """Take registers; `offset` counts from the ID. May raise `Refusal`."""


class ReadOnlyBlock:
    """A block that refuses to be written."""

    def write(self, offset: int, words: Iterable[int]) -> None:
        """Refuse."""
        raise Refusal(ILLEGAL_ADDRESS)


@dataclass(slots=True)
class Common(ReadOnlyBlock):
    """Model 1: who made it. Some devices leave out the last register, and count one less."""

    maker: str
    device: str
    serial: str
    options: str = ""
    version: str = "1.0"
    has_pad: bool = True
    model: int = 1

    def fill(self, body: Body) -> None:
        """Append Mn, Md, Opt, Vr, SN, DA and Pad."""
        body.text(self.maker, 16)
        body.text(self.device, 16)
        body.text(self.options, 8)
        body.text(self.version, 8)
        body.text(self.serial, 16)
        body.plain(1)
        if self.has_pad:
            body.plain(NOT_SIGNED)


class Controls(Protocol):
    """What the controls of an inverter make of the sun, in 0.01 percent."""

    @property
    def is_connected(self) -> bool:
        """Whether it feeds the grid."""

    @property
    def limit_steps(self) -> int:
        """The part of its rating that it lets through. [0.01 %]"""

    @property
    def power_factor_steps(self) -> int:
        """The power factor it keeps. [0.0001]"""


@dataclass(slots=True)
class Generator:
    """An inverter's electrical side, shared by its blocks."""

    plant: SolarPlant
    phases: int
    rated_mw: int
    controls: Controls
    distortion: Distortion

    @property
    def limit_mw(self) -> int | None:
        """What it lets through now; None: everything. [mW]"""
        if not self.controls.is_connected:
            return 0
        steps = self.controls.limit_steps
        return None if steps >= 10_000 else self.rated_mw * steps // 10_000

    @property
    def power_mw(self) -> int:
        """What it feeds in. [mW]"""
        limit_mw, sun_mw = self.limit_mw, self.plant.pv_power_mw
        fed_mw = sun_mw if limit_mw is None else min(sun_mw, limit_mw)
        return self.distortion.seen("power_mw", fed_mw)

    @property
    def generated_uwh(self) -> int:
        """What it has fed in since ever. [uWh]"""
        return self.distortion.seen("energy_export_uwh", self.plant.generated_uwh)

    @property
    def state(self) -> int:
        """Operating state as models 101 and 160 number it."""
        sun_mw, limit_mw = self.plant.pv_power_mw, self.limit_mw
        if self.plant.pv_voltage_mv == 0:
            return OFF
        if self.plant.pv_voltage_mv < _WAKES_MV:
            return SLEEPING
        if not self.controls.is_connected:
            return STANDBY
        if sun_mw == 0:
            return STARTING
        return MPPT if limit_mw is None or limit_mw >= sun_mw else THROTTLED


@dataclass(slots=True)
class Inverter(ReadOnlyBlock):
    """Models 101 to 103, and 111 to 113 as floats: one, two or three phases into the grid."""

    generator: Generator
    floats: bool = False

    @property
    def model(self) -> int:
        """The number says phases and encoding."""
        return (110 if self.floats else 100) + self.generator.phases

    def fill(self, body: Body) -> None:
        """Append currents, voltages, power, energy, the panel side, temperatures and state."""
        generator, body.floats = self.generator, self.floats
        power_mw, count = generator.power_mw, generator.phases
        volts_mv = generator.distortion.seen("voltage_mv", _MAINS_MV)
        apparent_mva, reactive_mvar = _turned(power_mw, generator.controls.power_factor_steps)
        whole_ma = apparent_mva * 1_000 // volts_mv if volts_mv else 0
        body.scaled(-2, whole_ma, *_shares(whole_ma, count), signed=False)
        body.factor(-2)
        body.scaled(-1, *_between(volts_mv, count), *_each(volts_mv, count), signed=False)
        body.factor(-1)
        watts = fitting(max(generator.rated_mw, abs(power_mw)))
        body.scaled(watts, power_mw)
        body.factor(watts)
        body.scaled(-2, _MAINS_MHZ, signed=False)
        body.factor(-2)
        for value in (apparent_mva, reactive_mvar):
            body.scaled(watts, value)
            body.factor(watts)
        body.scaled(-2, generator.controls.power_factor_steps * 10)
        body.factor(-2)
        body.counted(0, generator.generated_uwh // _UWH_PER_MWH)
        body.factor(0)
        self._fill_panels(body, power_mw, watts)
        body.scaled(-1, _CABINET_MC, _CABINET_MC, None, None)
        body.factor(-1)
        body.plain(generator.state, NOT_UNSIGNED)
        body.long(0, 0, *[0xFFFF_FFFF] * 4)

    def _fill_panels(self, body: Body, power_mw: int, watts: int) -> None:
        volts_mv = self.generator.plant.pv_voltage_mv
        body.scaled(-2, power_mw * 1_000 // volts_mv if volts_mv else 0, signed=False)
        body.factor(-2)
        body.scaled(-1, volts_mv, signed=False)
        body.factor(-1)
        body.scaled(watts, power_mw)
        body.factor(watts)


@dataclass(slots=True)
class Nameplate(ReadOnlyBlock):
    """Model 120: what the inverter is built for."""

    generator: Generator
    model: int = 120

    def fill(self, body: Body) -> None:
        """Append the kind (4: PV), WRtg, VARtg, reactive power, current and power factor."""
        rated_mw = self.generator.rated_mw
        watts = fitting(rated_mw)
        body.plain(4)
        for _ in ("WRtg", "VARtg"):
            body.scaled(watts, rated_mw, signed=False)
            body.factor(watts)
        body.scaled(watts, rated_mw // 2, None, None, -rated_mw // 2)
        body.factor(watts)
        body.scaled(-2, rated_mw * 1_000 // _MAINS_MV, signed=False)
        body.factor(-2)
        body.scaled(-3, -800, None, None, 800)
        body.factor(-3)
        for _ in ("WHRtg", "AhrRtg", "MaxChaRte", "MaxDisChaRte"):
            body.plain(NOT_UNSIGNED, NOT_SIGNED)
        body.plain(NOT_SIGNED)


@dataclass(slots=True)
class Trackers(ReadOnlyBlock):
    """Model 160: each string of panels with a tracker of its own; all alike."""

    generator: Generator
    count: int = 2
    model: int = 160

    def fill(self, body: Body) -> None:
        """Append the four scale factors, events, the number of trackers, then each of them."""
        power_mw = self.generator.power_mw // self.count
        volts_mv = self.generator.plant.pv_voltage_mv
        watts = fitting(max(self.generator.rated_mw, power_mw))
        for factor in (-2, -1, watts, 0):
            body.factor(factor)
        body.long(0)
        body.plain(self.count, NOT_UNSIGNED)
        for number in range(1, self.count + 1):
            body.plain(number)
            body.text(f"String {number}", 8)
            body.scaled(-2, power_mw * 1_000 // volts_mv if volts_mv else 0, signed=False)
            body.scaled(-1, volts_mv, signed=False)
            body.scaled(watts, power_mw, signed=False)
            body.counted(0, self.generator.generated_uwh // self.count // _UWH_PER_MWH)
            body.long(0xFFFF_FFFF)
            body.plain(_CABINET_MC // 1_000, self.generator.state)
            body.long(0)


@dataclass(slots=True)
class Meter(ReadOnlyBlock):
    """Models 201 to 204, and 211 to 214 as floats: single, split, wye and delta.

    Attributes:
        sign: of power and current; makers differ, so -1 reports import as negative. The
            counters are what they are called.
    """

    feeder: ThreePhaseFeeder
    distortion: Distortion
    wiring: int = 3
    floats: bool = False
    sign: int = 1
    rated_mw: int = 3_000_000

    @property
    def model(self) -> int:
        """The number says wiring and encoding."""
        return (210 if self.floats else 200) + self.wiring

    def fill(self, body: Body) -> None:
        """Append current, voltage, frequency, powers, power factor and the counters."""
        body.floats = self.floats
        phases = dict(zip("abc", self.feeder.phases[: min(self.wiring, 3)], strict=False))
        seen = self.distortion.seen
        powers = [
            self.sign * seen(f"power_{name}_mw", phase.power_mw) for name, phase in phases.items()
        ]
        volts_mv = seen("voltage_mv", phases["a"].voltage_mv)
        currents = [power * 1_000 // volts_mv if volts_mv else 0 for power in powers]
        self._fill_currents(body, currents)
        self._fill_voltages(body, volts_mv)
        body.scaled(-2, phases["a"].frequency_mhz)
        body.factor(-2)
        self._fill_powers(body, powers)
        self._fill_counters(body, phases)
        body.long(0)

    def _fill_currents(self, body: Body, currents: list[int]) -> None:
        amps = fitting(max(map(abs, currents)), finest=-2)
        body.scaled(amps, sum(currents), *_padded(currents))
        body.factor(amps)

    def _fill_voltages(self, body: Body, volts_mv: int) -> None:
        count = min(self.wiring, 3)
        neutral = [None] * 4 if self.wiring == 4 else [volts_mv, *_each(volts_mv, count)]
        lines = _between(volts_mv, count)
        body.scaled(-1, *neutral, lines[0], *lines)
        body.factor(-1)

    def _fill_powers(self, body: Body, powers: list[int]) -> None:
        watts = fitting(max(self.rated_mw, abs(sum(powers))))
        body.scaled(watts, sum(powers), *_padded(powers))
        body.factor(watts)
        apparent = [abs(power) for power in powers]
        body.scaled(watts, sum(apparent), *_padded(apparent))
        body.factor(watts)
        body.scaled(watts, 0, *_padded([0] * len(powers)))
        body.factor(watts)
        whole = 1_000 if self.floats else 100_000  # the float models count no percent
        turns = [-whole if power < 0 else whole for power in (sum(powers), *powers)]
        body.scaled(-2, turns[0], *_padded(turns[1:]))
        body.factor(-2)

    def _fill_counters(self, body: Body, phases: Mapping[str, AcFeeder]) -> None:
        """Append energy, apparent energy (alike, at power factor one) and reactive energy."""
        exports = {f"export_{name}": phase.energy_export_uwh for name, phase in phases.items()}
        imports = {f"import_{name}": phase.energy_import_uwh for name, phase in phases.items()}
        export_uwh, import_uwh = self.feeder.energy_export_uwh, self.feeder.energy_import_uwh
        if self.wiring < 3:
            export_uwh, import_uwh = sum(exports.values()), sum(imports.values())
        counters = (
            *self._seen_mwh({"export": export_uwh}),
            *_padded(self._seen_mwh(exports)),
            *self._seen_mwh({"import": import_uwh}),
            *_padded(self._seen_mwh(imports)),
        )
        for _ in ("Wh", "VAh"):
            body.counted(0, *counters)
            body.factor(0)
        body.counted(0, *[0] * 16)
        body.factor(0)

    def _seen_mwh(self, totals_uwh: Mapping[str, int]) -> list[int]:
        return [
            self.distortion.seen(f"energy_{name}_uwh", total_uwh) // _UWH_PER_MWH
            for name, total_uwh in totals_uwh.items()
        ]


def fitting(largest_m: int, finest: int = -1) -> int:
    """Return the scale factor, no finer than this, with which a value fits a signed word.

    Args:
        largest_m: the largest value, in thousandths of its unit.
        finest: the smallest factor allowed.
    """
    factor = finest
    while _divided(largest_m, factor + 3) > 32_767:
        factor += 1
    return factor


def _divided(value: int, exponent: int) -> int:
    """Return value / 10**exponent towards zero."""
    if exponent <= 0:
        return value * int(10**-exponent)
    size = abs(value) // int(10**exponent)
    return -size if value < 0 else size


def _turned(power_mw: int, power_factor_steps: int) -> tuple[int, int]:
    """Return apparent and reactive power at a power factor. [mVA, mvar]"""
    part = abs(power_factor_steps) / 10_000
    reactive = round(power_mw * math.tan(math.acos(part)))
    return round(power_mw / part), -reactive if power_factor_steps < 0 else reactive


def _shares(whole: int, count: int) -> list[int | None]:
    return _padded([whole // count] * count)


def _each(value: int, count: int) -> list[int | None]:
    return _padded([value] * count)


def _between(volts_mv: int, count: int) -> list[int | None]:
    """Return the voltages between phases AB, BC and CA. [mV]"""
    if count == 1:
        return [None, None, None]
    if count == 2:
        return [2 * volts_mv, None, None]
    return [volts_mv * _SQRT3_MILLI // 1_000] * 3


def _padded(values: list[int]) -> list[int | None]:
    """Return values of three phases; those that are not there are not implemented."""
    return [*values, *[None] * (3 - len(values))]
