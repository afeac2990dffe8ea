"""The one driver of every device that is a register map: its model file says the rest.

Before the first sample, and again after each silence, the device is asked who it is: behind one
id there may be another meter than yesterday. What it cannot have measured becomes no value and a
word of quality, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, make_dataclass
from fractions import Fraction
from math import prod
from typing import Any

from hardware import options
from hardware.block_reader import BlockReader
from hardware.errors import DeviceRefused, TransientHardwareError, WrongDevice
from hardware.modelfile import SAMPLE_UNITS, Model
from hardware.ports import Counting, ModbusPort, Sample
from hardware.registers import UNITS, Block, OutOfRange, Register, Value, block_of, decode

_CHOSEN = {
    "power_from": "power_mw",
    "energy_import_from": "energy_import_uwh",
    "energy_export_from": "energy_export_uwh",
}
"""Option of a meter -> the field of a sample that it feeds from another register."""

OPTION_NAMES = ("address", "words_max", "serial", *_CHOSEN)
"""Every option that a meter with a model file may have."""

_PER_UNIT = {"mw": 10**3, "mv": 10**3, "ma": 10**3, "mhz": 10**3, "uwh": 10**6}


def register_options(model: Model) -> type[Any]:
    """Return the dataclass of the options of a meter of this model."""
    rules: dict[str, Any] = {
        "address": options.number(1, 247, "the Modbus id"),
        "words_max": options.number(
            1, model.words_most, "registers in one read", default=model.table.limits.words_max
        ),
    }
    if model.serial is not None:
        rules["serial"] = options.text("the unit's serial number, to tell it from another")
        rules["serial"] = _optional(rules["serial"])
    for name, sample_field in _CHOSEN.items():
        choices = model.feeding(SAMPLE_UNITS[sample_field])
        if len(choices) > 1:
            rules[name] = _optional(options.choice(choices, f"the register that is {sample_field}"))
    typed = [(name, type(None) | int | str, rule) for name, rule in rules.items()]
    return make_dataclass(f"{model.name}_options", typed, frozen=True, slots=True, kw_only=True)


def _optional(declared: Any) -> Any:
    """Return an option that may be left out; it is then an empty text."""
    return field(default="", metadata=declared.metadata)


class RegisterDevice:
    """One device behind one Modbus id."""

    def __init__(self, bus: ModbusPort, model: Model, given: Any) -> None:
        """Plan the reads; the device is not touched.

        Args:
            bus: the bus it sits on.
            model: what is known of it.
            given: options as `register_options` has them.
        """
        self.model = model
        self.device: int = given.address
        self._bus = bus
        self._reader = BlockReader(bus, self.device)
        self._words_max: int = given.words_max
        self._serial: str = getattr(given, "serial", "")
        self._sources = _sources(model, given)
        wanted = [name.removeprefix("-") for names in self._sources.values() for name in names]
        self._plan = model.plan(wanted, self._words_max)
        self._counting = _counting(model, self._sources)
        self._factors: dict[str, Fraction] = {}
        self._is_identified = False
        bus.heed(self.device, model.manners)

    def sample(self) -> Sample:
        """Return what feeds a sample; a value that is missing or doubtful is named in `quality`.

        Raises:
            WrongDevice: another model, or another unit, answers under this id.
            DeviceRefused: it has no such register.
            TransientHardwareError: the bus failed.
        """
        values, doubts = self._read(self._plan)
        fields = {
            name: self._total(name, sources, values, doubts)
            for name, sources in self._sources.items()
        }
        missing = dict.fromkeys(SAMPLE_UNITS)
        return Sample(
            **{**missing, **fields},
            quality=" ".join(dict.fromkeys(doubts)),
            counting=self._counting,
        )

    def values(self, names: Iterable[str] | None = None) -> dict[str, Value]:
        """Return registers by name; None is not available or impossible.

        Without names it is the whole map, in which None may also be a register that this unit
        lacks: maps are of the newest firmware.

        Raises:
            HardwareError: as `sample`.
        """
        wanted = [each.name for each in self.model.registers] if names is None else list(names)
        plan = self.model.plan(wanted, self._words_max)
        values, _ = self._read(plan, may_lack=names is None)
        return {name: values.get(name) for name in wanted}

    def close(self) -> None:
        """Nothing to let go of: the bus is shared."""

    def _total(
        self,
        name: str,
        sources: tuple[str, ...],
        values: Mapping[str, Value],
        doubts: list[str],
    ) -> int | None:
        """Return the sum of some registers in the unit of a sample's field; None if one misses."""
        total = Fraction(0)
        for source in sources:
            register = self.model.register(source.removeprefix("-"))
            value = values[register.name]
            if not isinstance(value, Fraction):
                if not doubts:
                    doubts.append("unavailable")
                return None
            part = value * Fraction(10) ** UNITS[register.unit]
            total += -part if source.startswith("-") else part
        return round(total * _PER_UNIT[name.rpartition("_")[2]])

    def _read(
        self, blocks: Iterable[Block], *, may_lack: bool = False
    ) -> tuple[dict[str, Value], list[str]]:
        """Return every register of some blocks, and words for those that say nothing possible."""
        values: dict[str, Value] = {}
        doubts: list[str] = []
        try:
            if not self._is_identified:
                self._identify()
            for block in blocks:
                for register, words in self._reader.read(block, may_lack=may_lack):
                    values[register.name] = self._decoded(register, words, doubts)
        except TransientHardwareError:
            self._is_identified = False
            raise
        return values, doubts

    def _decoded(self, register: Register, words: tuple[int, ...], doubts: list[str]) -> Value:
        factor = prod((self._factors[name] for name in register.times), start=Fraction(1))
        try:
            return decode(register, words, factor)
        except OutOfRange:
            doubts.append("range")
            return None

    def _identify(self) -> None:
        """Compare model and serial number, and read what scales the rest.

        Raises:
            WrongDevice: either is not what was expected.
        """
        self._compare_model()
        self._compare_serial()
        names = {name for register in self.model.registers for name in register.times}
        for block in self.model.plan(names, self._words_max):
            for register, words in self._reader.read(block):
                self._factors[register.name] = self._factor(register, words)
        self._is_identified = True

    def _factor(self, register: Register, words: tuple[int, ...]) -> Fraction:
        """Return what scales others; a device without it is another one than it should be."""
        try:
            value = decode(register, words)
        except OutOfRange as error:
            raise WrongDevice(f"{self._where}: {error}") from error
        if not isinstance(value, Fraction):
            raise WrongDevice(f"{self._where}: {register.name} says nothing")
        return value

    def _compare_model(self) -> None:
        identify = self.model.identify
        if identify is None:
            return
        try:
            found = self._one(identify.register)
        except DeviceRefused:
            if identify.optional:
                return
            raise
        is_known = found in identify.values or (
            isinstance(found, str) and found.startswith(identify.texts or ("\0",))
        )
        if not is_known:
            wanted = " or ".join((*(f"0x{each:04X}" for each in identify.values), *identify.texts))
            shown = f"0x{int(found):04X}" if isinstance(found, Fraction) else found
            raise WrongDevice(f"{self._where}: it calls itself {shown!r}, want {wanted}")

    def _compare_serial(self) -> None:
        if not self._serial or self.model.serial is None:
            return
        found = self._one(self.model.serial)
        shown = str(int(found)) if isinstance(found, Fraction) else str(found)
        if shown != self._serial:
            raise WrongDevice(f"{self._where}: serial number {shown}, want {self._serial}")

    def _one(self, register: Register) -> Value:
        ((_register, words),) = self._reader.read(block_of((register,)))
        return decode(register, words)

    @property
    def _where(self) -> str:
        return f"{self.model.name} at address {self.device}"


def _sources(model: Model, given: Any) -> dict[str, tuple[str, ...]]:
    """Return the field of a sample -> the registers that feed it, as the options have it."""
    sources = {name: getattr(model.table.sample, name) for name in SAMPLE_UNITS}
    for option, name in _CHOSEN.items():
        chosen = getattr(given, option, "")
        if chosen:
            sources[name] = (chosen,)
    return {name: names for name, names in sources.items() if names}


def _counting(model: Model, sources: Mapping[str, tuple[str, ...]]) -> Counting:
    """Return how the counters behave that feed a sample; a sum of several never wraps as one."""
    import_wrap, import_step = _counter(model, sources.get("energy_import_uwh", ()))
    export_wrap, export_step = _counter(model, sources.get("energy_export_uwh", ()))
    return Counting(import_wrap, export_wrap, max(import_step, export_step))


def _counter(model: Model, names: tuple[str, ...]) -> tuple[int | None, int]:
    """Return (where it wraps, its step). [uWh]"""
    if len(names) != 1:
        return None, 0
    register = model.register(names[0].removeprefix("-"))
    per_unit = 10 ** (6 + UNITS[register.unit])
    wrap = None if register.wraps_at is None or register.times else register.wraps_at
    step = 0 if register.type == "f32" else round(register.scale * per_unit)
    return None if wrap is None else round(wrap * per_unit), step
