"""Which model answers behind a Modbus id: asked by name where it has one, else by plausibility.

Only reads are sent. A model whose register of identification says so is certain. Models without
one are sampled, and what they would measure is judged: a mains frequency near 50 or 60 Hz, a
voltage to it, and power that agrees with voltage and current speak for a map; a value that cannot
be speaks against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Final

from edge.commissioning.findings import Belief, Sure, printable, ranked
from hardware import modelfile, options
from hardware.errors import BadOptions, HardwareError, TransientHardwareError
from hardware.modelfile import Model
from hardware.ports import Manners, ModbusPort, Sample
from hardware.register_device import RegisterDevice, register_options
from hardware.registers import OutOfRange, Register, decode
from hardware.sunspec import chain as sunspec_chain
from hardware.sunspec.describe import describe
from hardware.sunspec.models import COMMON, LAYOUTS
from hardware.sunspec.points import HEADER_WORDS

PATIENT: Final = Manners(pause_ms=100, latency_ms=500)
"""What a device gets while it is being recognised; the slowest we know takes half a second."""

VENDORS: Final[Mapping[str, str]] = {"EP": "epever_tracer", "Morningstar": "tristar_mppt"}
"""How the vendor's name begins in the identification objects -> model."""

_IDENTITY: Final = ("maker", "device", "serial", "version")
_VENDOR, _PRODUCT, _REVISION = 0, 1, 2
_MAINS_MHZ: Final = (45_000, 65_000)
_MAINS_MV: Final = (80_000, 480_000)
_DIRECT_MV: Final = (1_000, 300_000)
_LIKELY_SCORE: Final = 4
_AGREES_PERCENT: Final = 10
_COILS: Final = 8
_LC_ADDRESS: Final = 255
_WAVESHARE_VERSION: Final = 0x8000
_R4D8_FIRST: Final = 1


@dataclass(slots=True)
class Remembering:
    """A `ModbusPort` that asks one device each question only once."""

    port: ModbusPort
    answers: dict[tuple[object, ...], tuple[int, ...] | HardwareError] = field(default_factory=dict)

    def heed(self, device: int, manners: Manners) -> None:
        """The manners of a scan hold, whatever a model asks for."""

    def read_words(self, device: int, function: int, address: int, count: int) -> tuple[int, ...]:
        """Ask, or answer as before."""
        key = (device, function, address, count)
        if key not in self.answers:
            try:
                self.answers[key] = self.port.read_words(device, function, address, count)
            except HardwareError as error:
                self.answers[key] = error
        answer = self.answers[key]
        if isinstance(answer, HardwareError):
            raise answer
        return answer

    def read_bits(self, device: int, function: int, address: int, count: int) -> tuple[bool, ...]:
        """Ask."""
        return self.port.read_bits(device, function, address, count)

    def identify(self, device: int) -> Mapping[int, str]:
        """Ask."""
        return self.port.identify(device)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"a scan only reads: {name} is not for it")


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a device is believed to be, and what it told of itself."""

    beliefs: tuple[Belief, ...]
    facts: Mapping[str, object]


def recognise(port: ModbusPort, device: int, kind: str) -> Recognised:
    """Return what answers behind an id on a bus of this kind."""
    port.heed(device, PATIENT)
    asking = Remembering(port)
    facts: dict[str, object] = {}
    beliefs = [
        *_by_chain(asking, device, facts),
        *_by_objects(asking, device, facts),
        *_by_register(asking, device, kind, facts),
    ]
    if not beliefs:
        beliefs = [*_by_plausibility(asking, device, kind)] or [*_boards(asking, device)]
    return Recognised(ranked(beliefs), {key: printable(value) for key, value in facts.items()})


# --- what a device says of itself ----------------------------------------------------------------


def _by_chain(port: Any, device: int, facts: dict[str, object]) -> Iterator[Belief]:
    """Walk a SunSpec list, if there is one."""

    def read(address: int, count: int) -> tuple[int, ...]:
        words: tuple[int, ...] = port.read_words(device, 3, address, count)
        return words

    for base in sunspec_chain.BASES:
        try:
            chain = sunspec_chain.walk(read, (base,))
        except HardwareError:
            continue
        names = ", ".join(str(each.model) for each in chain.blocks)
        facts |= {"sunspec_models": names, **_common(port, device, chain)}
        several = len(chain.measuring) > 1
        for index, block in enumerate(chain.measuring, 1):
            title = LAYOUTS[block.model].title
            given: dict[str, object] = {"device_index": index} if several else {}
            why = f'"SunS" at {base}; model {block.model} ({title}) at {block.address}'
            yield Belief("sunspec", Sure.CERTAIN, why, given)
        if not chain.measuring:
            yield Belief("", Sure.CERTAIN, f"SunSpec without inverter or meter: models {names}")
        return


def _common(port: Any, device: int, chain: sunspec_chain.Chain) -> dict[str, object]:
    """Return what model 1 says of the device."""
    block = next((each for each in chain.blocks if each.model == COMMON), None)
    if block is None:
        return {}
    try:
        words = port.read_words(device, 3, block.address, block.length + HEADER_WORDS)
        told = describe(words, block.address)
    except HardwareError:
        return {}
    return {name: told[name] for name in _IDENTITY if told.get(name)}


def _by_objects(port: Any, device: int, facts: dict[str, object]) -> Iterator[Belief]:
    """Read the identification objects of function 43."""
    try:
        objects = port.identify(device)
    except HardwareError:
        return
    for key, name in ((_VENDOR, "vendor"), (_PRODUCT, "product"), (_REVISION, "revision")):
        if objects.get(key):
            facts[name] = objects[key]
    vendor = objects.get(_VENDOR, "")
    for prefix, model in VENDORS.items():
        if vendor.startswith(prefix):
            yield Belief(model, Sure.CERTAIN, f"it says that {vendor!r} made it")


def _by_register(port: Any, device: int, kind: str, facts: dict[str, object]) -> Iterator[Belief]:
    """Compare the registers that name models; some models of a family have the same name."""
    named = [model for model in _models(kind) if _tells(port, device, model)]
    if len(named) > 1:
        named = _plausible(port, device, named) or named
    sure = Sure.CERTAIN if len(named) == 1 else Sure.LIKELY
    for model in named:
        if model.identify is None:
            continue
        register = model.identify.register
        found = _one(port, device, register)
        shown = printable(found) if isinstance(found, str) else f"0x{int(found or 0):04X}"
        yield Belief(model.name, sure, f"register 0x{register.address:04X} says {shown}")
        serial = None if model.serial is None else _one(port, device, model.serial)
        if serial:
            facts.setdefault("serial", serial if isinstance(serial, str) else str(int(serial)))


def _plausible(port: Any, device: int, named: Sequence[Model]) -> list[Model]:
    """Return those of several models that read something sensible, the most sensible first."""
    scores = {model.name: _judged(port, device, model)[0] for model in named}
    return sorted(
        (model for model in named if scores[model.name]), key=lambda model: -scores[model.name]
    )


def _tells(port: Any, device: int, model: Model) -> bool | None:
    """Whether a device says that it is this model; None if it says nothing of that."""
    if model.identify is None:
        return None
    found = _one(port, device, model.identify.register)
    if found is None:
        return None if model.identify.optional else False
    if isinstance(found, str):
        return found.startswith(model.identify.texts or ("\0",))
    return found in model.identify.values


def _one(port: Any, device: int, register: Register) -> Fraction | str | None:
    try:
        words = port.read_words(device, register.function, register.address, register.words)
        value = decode(register, words)
    except (HardwareError, OutOfRange):
        return None
    return value if isinstance(value, Fraction | str) else None


def _models(kind: str) -> Iterator[Model]:
    """Yield every model file for this kind of bus."""
    for name in modelfile.shipped_names():
        model = modelfile.shipped_model(name)
        if kind in model.table.buses:
            yield model


# --- what it would measure -----------------------------------------------------------------------


def _by_plausibility(port: Any, device: int, kind: str) -> Iterator[Belief]:
    """Yield models that read something sensible, the best of them as likely."""
    scored = [
        (score, why, model)
        for model in _models(kind)
        if _tells(port, device, model) is None
        for score, why in [_judged(port, device, model)]
        if score > 0
    ]
    scored.sort(key=lambda each: -each[0])
    for place, (score, why, model) in enumerate(scored):
        if 2 * score < scored[0][0]:
            return
        is_first = place == 0 and score >= _LIKELY_SCORE
        sure = Sure.LIKELY if is_first else Sure.POSSIBLE
        yield Belief(model.name, sure, f"as such it would read {why}")


def _judged(port: Any, device: int, model: Model) -> tuple[int, str]:
    """Return how sensible a sample of a model would be, 0 for not at all, and the sample."""
    try:
        given = options.parse(register_options(model), {"address": device})
        sample = RegisterDevice(port, replace(model, identify=None), given).sample()
    except (BadOptions, TransientHardwareError, HardwareError):
        return 0, ""
    return _score(sample), _in_words(sample)


def _score(sample: Sample) -> int:
    """Return points for what fits together; 0 if anything cannot be."""
    if sample.quality:
        return 0
    checks = (_frequency(sample), _voltage(sample), _agreement(sample))
    return 0 if min(checks) < 0 else sum(checks)


def _frequency(sample: Sample) -> int:
    if sample.frequency_mhz is None:
        return 0
    return 3 if _MAINS_MHZ[0] <= sample.frequency_mhz <= _MAINS_MHZ[1] else -1


def _voltage(sample: Sample) -> int:
    if sample.voltage_mv is None:
        return 0
    low, high = _DIRECT_MV if sample.frequency_mhz is None else _MAINS_MV
    return 2 if low <= sample.voltage_mv <= high else -1


def _agreement(sample: Sample) -> int:
    """Compare power with voltage times current: equal on direct current, at most that on mains."""
    if not sample.power_mw or not sample.voltage_mv or not sample.current_ma:
        return 0
    apparent_mw = sample.voltage_mv * abs(sample.current_ma) // 1000
    slack_mw = apparent_mw * _AGREES_PERCENT // 100 + 1_000
    power_mw = abs(sample.power_mw)
    if power_mw > 3 * apparent_mw + slack_mw:
        return -1
    return 2 if abs(power_mw - apparent_mw) <= slack_mw else 0


def _in_words(sample: Sample) -> str:
    parts = (
        (sample.voltage_mv, "V"),
        (sample.current_ma, "A"),
        (sample.power_mw, "W"),
        (sample.frequency_mhz, "Hz"),
    )
    return ", ".join(f"{value / 1000:g} {unit}" for value, unit in parts if value is not None)


# --- relay boards --------------------------------------------------------------------------------


def _boards(port: Any, device: int) -> Iterator[Belief]:
    """Yield the relay boards that answer so."""
    coils = _answer(lambda: port.read_bits(device, 1, 0, _COILS))
    version = _answer(lambda: port.read_words(device, 3, _WAVESHARE_VERSION, 1))
    if coils is not None and version is not None:
        why = f"eight coils, and version {version[0] / 100:g} in register 0x8000"
        yield Belief("waveshare_relay", Sure.LIKELY, why)
    if coils is not None:
        sure = Sure.LIKELY if device == _LC_ADDRESS and version is None else Sure.POSSIBLE
        yield Belief("lc_relay", sure, f"eight coils answer, at id {device}")
        return
    words = _answer(lambda: port.read_words(device, 3, _R4D8_FIRST, _COILS))
    if words is not None and set(words) <= {0, 1}:
        given: dict[str, object] = {"dialect": "r4d8"}
        yield Belief("lc_relay", Sure.POSSIBLE, "eight registers from 1 are 0 or 1", given)


def _answer(ask: Callable[[], tuple[int, ...]]) -> tuple[int, ...] | None:
    try:
        return ask()
    except HardwareError:
        return None
