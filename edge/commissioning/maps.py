"""The names behind addresses, by model: a shipped file, a file of one's own, or a relay board."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Final

from edge.commissioning.errors import BadUsage
from edge.commissioning.exchanges import Map, map_of
from hardware import catalog, modelfile
from hardware.registers import Register

_RELAYS: Final = 32
"""The most relays on one board of the makers we know."""

_TENTH: Final = Fraction(1, 10)
_HUNDREDTH: Final = Fraction(1, 100)


def find_map(model: str) -> Map:
    """Return the map of a model: a name, or the path of a model file.

    Raises:
        BadUsage: there is no such model, or it speaks no Modbus.
        BadModelFile: the file of that name is wrong.
    """
    if model.endswith(".toml"):
        return map_of(modelfile.load_model(Path(model)))
    if model in modelfile.shipped_names():
        return map_of(modelfile.shipped_model(model))
    if model in BOARDS:
        return BOARDS[model]()
    names = (*catalog.METERS, *catalog.RELAYS)
    if model in names:
        raise BadUsage(f"{model}: speaks no Modbus, and nothing that frames could be caught of")
    raise unknown_model(model, names)


def unknown_model(model: str, names: Sequence[str]) -> BadUsage:
    """Return what to say of a model that is none of these."""
    near = difflib.get_close_matches(model, names, 1)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    return BadUsage(f"model {model!r}: want a path of a .toml, or one of {', '.join(names)}{hint}")


def _coils(count: int) -> tuple[Register, ...]:
    return tuple(Register(f"relay_{n + 1}", "", 1, n, "bit") for n in range(count))


def _lc() -> Map:
    """Coils from 0; on boards of the R4D8 family a register for each relay, from 1."""
    registers = tuple(Register(f"relay_{n}", "", 3, n, "bit") for n in range(1, _RELAYS + 1))
    return Map((*_coils(_RELAYS), *registers), blocks=((1, 0, 8),))


def _waveshare() -> Map:
    """Coils from 0, all at once at 0x00FF, toggle and flash above. Source: Waveshare wiki."""
    commands = tuple(
        row
        for n in range(_RELAYS)
        for row in (
            Register(f"relay_{n + 1}_toggle", "", 1, 0x0100 + n, "bit"),
            Register(f"relay_{n + 1}_flash_on", "s", 1, 0x0200 + n, scale=_TENTH),
            Register(f"relay_{n + 1}_flash_off", "s", 1, 0x0400 + n, scale=_TENTH),
        )
    )
    settings = (
        Register("all_relays", "", 1, 0x00FF, "bit"),
        Register("all_relays_toggle", "", 1, 0x01FF, "bit"),
        Register("uart_parity", "", 3, 0x2000, "high_u8"),
        Register("uart_baud", "", 3, 0x2000, "low_u8"),
        Register("address", "", 3, 0x4000),
        Register("software_version", "", 3, 0x8000, scale=_HUNDREDTH),
    )
    return Map((*_coils(_RELAYS), *commands, *settings), blocks=((1, 0, 8),))


BOARDS: Final[Mapping[str, Callable[[], Map]]] = MappingProxyType(
    {"waveshare_relay": _waveshare, "lc_relay": _lc}
)
"""Relay board -> its coils and settings."""
