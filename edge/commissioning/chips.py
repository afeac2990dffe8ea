"""What the register words of an INA219, INA226 or INA3221 mean, in volts, amperes and watts.

The words are taken as read from the chip, most significant byte first. Current comes from the
chip's own register where that and the calibration are given, else from the shunt voltage.

Source: TI SBOS448 (INA219), SBOS547 (INA226), SBOS576 (INA3221).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from edge.commissioning.errors import BadFrame, BadUsage
from edge.commissioning.exchanges import Said, Shown
from hardware.words import s16

_OVERFLOW_219, _READY_219 = 1, 2
_OVERFLOW_226, _READY_226 = 1 << 2, 1 << 3
_OHM: Final = Fraction(1, 1000)
_GAIN_LIMITS: Final = (4_000, 8_000, 16_000, 32_000)
_NUMBERS: Final = ("shunt_mohm", "lsb_ua")
_ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "configuration": "config",
        "calibration": "cal",
        "current_lsb_ua": "lsb_ua",
        "r_mohm": "shunt_mohm",
    }
)


@dataclass(frozen=True, slots=True)
class Chip:
    """How one chip counts.

    Attributes:
        words: the registers that can be given.
        power_on: the configuration after power-on.
        shunt_step_v: volts of one count of the shunt register.
        shunt_shift: bits below the lowest count.
        bus_step_v: volts of one count of the bus register.
        bus_shift: bits below the lowest count.
        calibration: the calibration word times current step [A] times shunt [ohm].
        power_steps: current steps [times 1 V] in one step of the power register.
    """

    words: tuple[str, ...]
    power_on: int
    shunt_step_v: Fraction
    bus_step_v: Fraction
    shunt_shift: int = 0
    bus_shift: int = 0
    calibration: Fraction = Fraction(0)
    power_steps: int = 0


_CALIBRATED: Final = ("config", "shunt", "bus", "power", "current", "cal")
CHIPS: Final[Mapping[str, Chip]] = MappingProxyType(
    {
        "ina219": Chip(
            _CALIBRATED,
            0x399F,
            Fraction(1, 100_000),
            Fraction(4, 1000),
            bus_shift=3,
            calibration=Fraction(4096, 100_000),
            power_steps=20,
        ),
        "ina226": Chip(
            (*_CALIBRATED, "mask", "alert", "manufacturer", "die"),
            0x4127,
            Fraction(25, 10_000_000),
            Fraction(125, 100_000),
            calibration=Fraction(512, 100_000),
            power_steps=25,
        ),
        "ina3221": Chip(
            (
                "config",
                "shunt",
                "bus",
                *(f"{name}{channel}" for channel in (1, 2, 3) for name in ("shunt", "bus")),
                "mask",
                "manufacturer",
                "die",
            ),
            0x7127,
            Fraction(40, 1_000_000),
            Fraction(8, 1000),
            shunt_shift=3,
            bus_shift=3,
        ),
    }
)
"""Model -> how it counts."""


def read_chip(model: str, given: Iterable[str]) -> Said:
    """Name what `config=399F shunt=1F40 shunt_mohm=100` says.

    Raises:
        BadUsage: a name is not one of this chip's registers, or has no value.
        BadFrame: a value is no word of four hex digits, or no number.
    """
    chip = CHIPS[model]
    words, numbers = _sorted(model, chip, given)
    said = Said()
    shunt_ohm = numbers.get("shunt_mohm", Fraction(100)) * _OHM
    if "shunt_mohm" not in numbers and chip.calibration and set(words) & {"shunt", "current"}:
        said.notes.append("shunt_mohm is not given: taken as 100")
    _voltages(chip, words, said)
    if chip.calibration:
        _calibrated(model, chip, words, numbers, shunt_ohm, said)
    else:
        _three_currents(words, numbers, said)
    if "config" in words:
        _CONFIGURATIONS[model](words["config"], said.values)
    return said


def _sorted(
    model: str, chip: Chip, given: Iterable[str]
) -> tuple[dict[str, int], dict[str, Fraction]]:
    """Return words by register and numbers by name."""
    words: dict[str, int] = {}
    numbers: dict[str, Fraction] = {}
    known = (*chip.words, *_NUMBERS)
    for each in given:
        key, _, text = each.partition("=")
        name = _ALIASES.get(key.strip().lower(), key.strip().lower())
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f'; did you mean "{near[0]}"?' if near else ""
            raise BadUsage(f"{model}: {each!r}: want NAME=VALUE of {', '.join(known)}{hint}")
        if name in words or name in numbers:
            raise BadUsage(f"{model}: {name} is given twice")
        if name in _NUMBERS:
            numbers[name] = _number(name, text)
        else:
            words[name] = _word(name, text)
    if not words and not numbers:
        raise BadUsage(f"{model}: want registers as config=399F shunt=1F40 bus=5D98")
    return words, numbers


def _word(name: str, text: str) -> int:
    digits = re.sub(r"^0[xX]|\s", "", text)
    if not re.fullmatch(r"[0-9a-fA-F]{1,4}", digits):
        raise BadFrame(f"{name}={text}: want the word as up to four hex digits, as 399F")
    return int(digits, 16)


def _number(name: str, text: str) -> Fraction:
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if value <= 0:
        raise BadFrame(f"{name}={text}: want a number above 0")
    return value


def _voltages(chip: Chip, words: Mapping[str, int], said: Said) -> None:
    for name, word in words.items():
        kind, channel = name.rstrip("123"), name[-1:] if name[-1:].isdigit() else ""
        key = f"_{channel}" if channel else ""
        if kind == "shunt":
            counts = s16(word) >> chip.shunt_shift
            said.values[f"shunt_voltage{key}_v"] = _shown(counts * chip.shunt_step_v)
        elif kind == "bus":
            counts = word >> chip.bus_shift
            said.values[f"bus_voltage{key}_v"] = _shown(counts * chip.bus_step_v)


def _three_currents(words: Mapping[str, int], numbers: Mapping[str, Fraction], said: Said) -> None:
    """Add currents and powers of an INA3221, where the shunt is known."""
    if "shunt_mohm" not in numbers:
        said.notes.append("shunt_mohm is not given: no currents")
        return
    ohm = numbers["shunt_mohm"] * _OHM
    for name in [each for each in words if each.startswith("shunt")]:
        channel = f"_{name[5:]}" if name[5:] else ""
        amperes = (s16(words[name]) >> 3) * Fraction(40, 1_000_000) / ohm
        said.values[f"current{channel}_a"] = _shown(amperes)
        bus = words.get(f"bus{name[5:]}")
        if bus is not None:
            watts = amperes * (bus >> 3) * Fraction(8, 1000)
            said.values[f"power{channel}_w"] = _shown(watts)


def _calibrated(
    model: str,
    chip: Chip,
    words: Mapping[str, int],
    numbers: Mapping[str, Fraction],
    shunt_ohm: Fraction,
    said: Said,
) -> None:
    """Add current and power of a chip with a calibration register, or why there are none."""
    calibration, step_a = words.get("cal"), None
    if "lsb_ua" in numbers:
        step_a = numbers["lsb_ua"] / 1_000_000
        right = int(chip.calibration / (step_a * shunt_ohm))
        said.values["calibration"] = right & ~1 if model == "ina219" else right
        if right > 0xFFFE:
            said.notes.append(f"calibration {right} is above its 16 bits: want a larger lsb_ua")
    elif calibration:
        step_a = chip.calibration / (calibration * shunt_ohm)
    if calibration is not None:
        said.values["calibration"] = calibration
    if _is_reset(chip, words, said) or _has_overflow(model, words, said):
        said.values |= {"current_a": None, "power_w": None}
        return
    _current(chip, words, step_a, shunt_ohm, said)


def _is_reset(chip: Chip, words: Mapping[str, int], said: Said) -> bool:
    """Say so if the chip has no calibration: then current and power read 0, and mean nothing."""
    if words.get("cal") != 0:
        return False
    is_power_on = words.get("config") == chip.power_on
    said.values["not_calibrated"] = True
    said.values["sensor_reset"] = is_power_on
    said.values["quality"] = "sensor_reset" if is_power_on else "not_calibrated"
    said.notes.append(
        "not calibrated: current and power read 0, whatever flows"
        + ("; these are the power-on words: the sensor was reset" if is_power_on else "")
    )
    return True


def _has_overflow(model: str, words: Mapping[str, int], said: Said) -> bool:
    register, bit = ("bus", _OVERFLOW_219) if model == "ina219" else ("mask", _OVERFLOW_226)
    if register not in words:
        return False
    overflow = bool(words[register] & bit)
    ready = _READY_219 if model == "ina219" else _READY_226
    said.values |= {"overflow": overflow, "conversion_ready": bool(words[register] & ready)}
    if overflow:
        said.values["quality"] = "overflow"
        said.notes.append("overflow: current and power are meaningless, the voltages are not")
    return overflow


def _current(
    chip: Chip,
    words: Mapping[str, int],
    step_a: Fraction | None,
    shunt_ohm: Fraction,
    said: Said,
) -> None:
    """Add current from its register or, without a calibration, from the shunt voltage."""
    amperes = None
    if step_a is not None:
        said.values["current_lsb_a"] = _shown(step_a)
    if "current" in words and step_a is not None:
        amperes = s16(words["current"]) * step_a
    elif "shunt" in words:
        amperes = s16(words["shunt"]) * chip.shunt_step_v / shunt_ohm
    elif "current" in words:
        said.notes.append("current: give cal=, or lsb_ua=, to scale it")
    if amperes is not None:
        said.values["current_a"] = _shown(amperes)
    if "power" in words and step_a is not None:
        watts = words["power"] * chip.power_steps * step_a
        said.values["power_w"] = _shown(-watts if amperes is not None and amperes < 0 else watts)
    elif amperes is not None and "bus" in words:
        volts = (words["bus"] >> chip.bus_shift) * chip.bus_step_v
        said.values["power_w"] = _shown(amperes * volts)


# --- configuration words -------------------------------------------------------------------------

_MODES: Final = (
    "power-down",
    "shunt, triggered",
    "bus, triggered",
    "both, triggered",
    "off",
    "shunt, continuous",
    "bus, continuous",
    "both, continuous",
)
_AVERAGES: Final = (1, 4, 16, 64, 128, 256, 512, 1024)
_TIMES_US: Final = (140, 204, 332, 588, 1100, 2116, 4156, 8244)
_BITS_219: Final = (9, 10, 11, 12)


def _configuration_219(word: int, values: dict[str, Shown]) -> None:
    values["mode"] = _MODES[word & 7]
    values["bus_range_v"] = 32 if word & 0x2000 else 16
    values["shunt_range_v"] = _shown(_GAIN_LIMITS[word >> 11 & 3] * Fraction(1, 100_000))
    values["bus_adc"], values["shunt_adc"] = _adc_219(word >> 7), _adc_219(word >> 3)


def _adc_219(code: int) -> str:
    if code & 8 and code & 7:
        return f"{1 << (code & 7)} samples"
    return f"{_BITS_219[3 if code & 8 else code & 3]} bit"


def _configuration_226(word: int, values: dict[str, Shown]) -> None:
    values["mode"] = _MODES[word & 7]
    values["samples_averaged"] = _AVERAGES[word >> 9 & 7]
    values["bus_conversion_us"] = _TIMES_US[word >> 6 & 7]
    values["shunt_conversion_us"] = _TIMES_US[word >> 3 & 7]


def _configuration_3221(word: int, values: dict[str, Shown]) -> None:
    _configuration_226(word, values)
    values["channels"] = " ".join(str(n) for n in (1, 2, 3) if word >> (15 - n) & 1)


_CONFIGURATIONS: Final[Mapping[str, Callable[[int, dict[str, Shown]], None]]] = MappingProxyType(
    {
        "ina219": _configuration_219,
        "ina226": _configuration_226,
        "ina3221": _configuration_3221,
    }
)


def _shown(value: Fraction) -> float | int:
    return int(value) if value.denominator == 1 else float(value)
