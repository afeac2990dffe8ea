"""`replay`: a trace once more through the driver of a model, sample by sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from edge.commissioning.errors import BadUsage
from edge.commissioning.maps import unknown_model
from edge.commissioning.players import BytePlayer, I2cPlayer, ModbusPlayer, TraceEnded
from edge.commissioning.tables import Cell
from edge.report import QUANTITIES
from edge.trace import Trace
from hardware import catalog, modelfile, options
from hardware.chargers.vedirect import VeDirect, VeDirectOptions
from hardware.errors import BadOption, BadOptions, HardwareError
from hardware.modelfile import Model
from hardware.ports import EnergyMeter, Sample
from hardware.register_device import RegisterDevice, register_options

Player = ModbusPlayer | I2cPlayer | BytePlayer
COLUMNS: Final = ("time", *(f"{name} [{unit}]" for name, _, unit, _ in QUANTITIES), "")
I2C: Final = "i2c"
VEDIRECT: Final = "vedirect"
_SHOWN_MAX: Final = 8
_FLAGS: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Played:
    """What the driver made of one reading of the trace.

    Attributes:
        at_us: when the last of its bytes came.
        sample: what it measured; None if it could not.
        fault: why it could not.
    """

    at_us: int
    sample: Sample | None
    fault: str

    @property
    def time(self) -> str:
        """The time of day, to the millisecond. [UTC]"""
        at = datetime.fromtimestamp(self.at_us / 1e6, UTC)
        return f"{at:%H:%M:%S}.{self.at_us // 1000 % 1000:03d}"

    @property
    def as_json(self) -> dict[str, object]:
        """All of it, as `gridtally-edge meter --json` names it."""
        measured = asdict(self.sample) if self.sample else {"fault": self.fault}
        return {"at_us": self.at_us, **measured}

    @property
    def cells(self) -> tuple[Cell, ...]:
        """One row under `COLUMNS`."""
        if self.sample is None:
            return (self.time, *(None for _ in QUANTITIES), self.fault)
        values = ((getattr(self.sample, name), factor) for _, name, _, factor in QUANTITIES)
        shown = (None if value is None else round(value / factor, 3) for value, factor in values)
        return (self.time, *shown, self.sample.quality)


def given_options(texts: Sequence[str]) -> dict[str, object]:
    """Return options given as KEY=VALUE, in the types that a configuration would have.

    >>> given_options(["shunt_mohm=100", "address=0x41", "serial=12 B"])
    {'shunt_mohm': 100, 'address': 65, 'serial': '12 B'}
    """
    found: dict[str, object] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator:
            raise BadUsage(f"{text!r}: want KEY=VALUE, as shunt_mohm=100")
        found[key] = _typed(value)
    return found


def _typed(text: str) -> object:
    if text in _FLAGS:
        return _FLAGS[text]
    try:
        return int(text, 0)
    except ValueError:
        return text


def play(trace: Trace, model: str, given: Mapping[str, object]) -> Iterator[Played]:
    """Yield what the driver of a model makes of a trace, until the trace ends.

    Raises:
        BadUsage: no such model, it needs another option, or the trace has nothing for it.
    """
    player, meter = _seated(trace, model, dict(given))
    count = 0
    fault = ""
    while True:
        before = player.position
        try:
            player.turn()
            played = Played(0, meter.sample(), "")
        except TraceEnded as error:
            if not count:
                raise BadUsage(f"{model}: {error}; {_held(player)}") from None
            return
        except HardwareError as error:
            played = Played(0, None, str(error))
        if player.position == before:
            return
        is_same = isinstance(player, BytePlayer) and played.fault and played.fault == fault
        fault = played.fault
        count += 1
        if not is_same:
            yield replace(played, at_us=player.at_us)


def _held(player: Player) -> str:
    """Say what a trace has, for whoever asked for something else."""
    if isinstance(player, ModbusPlayer):
        asked = [
            f"{count} at 0x{address:04X} with function {function} of device {unit}"
            for unit, function, (address, count) in dict.fromkeys(
                (each.request.unit, each.request.function, each.request.pair)
                for each in player.exchanges
            )
        ]
        return f"it has {'; '.join(asked[:_SHOWN_MAX]) or 'no Modbus request'}"
    if isinstance(player, I2cPlayer):
        known = ", ".join(f"0x{address:02X}" for address in player.addresses)
        return f"it has the addresses {known or 'of none'}"
    return "nothing came in"


def _seated(trace: Trace, model: str, given: dict[str, object]) -> tuple[Player, EnergyMeter]:
    """Return a player of the trace, and the meter on it."""
    if not model.endswith(".toml") and model not in catalog.METERS:
        raise unknown_model(model, tuple(catalog.METERS))
    kinds = catalog.METERS[model].bus_kinds
    if trace.kind not in kinds:
        raise BadUsage(f"{model} sits on {' or '.join(kinds)}; this is a trace of {trace.kind}")
    if not trace.frames:
        raise BadUsage("the trace has no frames: nothing was sent or heard while it was made")
    if trace.kind == I2C:
        wires = I2cPlayer(trace)
        return wires, _made(model, wires, given)
    if trace.kind == VEDIRECT:
        line = BytePlayer(trace)
        return line, _listener(line, given) if model == VEDIRECT else _made(model, line, given)
    found = _register_map(model)
    if found is None:
        port = ModbusPlayer(trace)
        return port, _made(model, port, _addressed(port, given))
    port = ModbusPlayer(trace, _constants(found))
    given = _addressed(port, given)
    kept = found if _tells_itself(port, found) else replace(found, identify=None)
    try:
        checked = options.parse(register_options(found), given)
    except BadOptions as error:
        raise BadUsage(f"{model}: {error}") from None
    return port, RegisterDevice(port, kept, checked)


def _listener(line: BytePlayer, given: Mapping[str, object]) -> EnergyMeter:
    """Return a meter of a talking line to which the trace's time is the time."""
    try:
        checked = options.parse(VeDirectOptions, given)
    except BadOptions as error:
        raise BadUsage(f"{VEDIRECT}: {error}; give it as --set KEY=VALUE") from None
    return VeDirect(line, checked, clock_s=lambda: line.at_us / 1e6, pause=lambda _seconds: None)


def _made(model: str, bus: Any, given: Mapping[str, object]) -> EnergyMeter:
    try:
        return catalog.make_meter(model, bus, given)
    except (BadOption, BadOptions) as error:
        raise BadUsage(f"{model}: {error}; give it as --set KEY=VALUE") from None


def _register_map(model: str) -> Model | None:
    """Return the model's file, if the file is all there is to it."""
    if model.endswith(".toml"):
        return modelfile.load_model(Path(model))
    if model in modelfile.shipped_names() and model not in catalog.METERS_IN_PYTHON:
        return modelfile.shipped_model(model)
    return None


def _constants(model: Model) -> frozenset[tuple[int, int]]:
    """Return what never changes in a device: who it is, and what scales the rest."""
    rows = [each for each in (model.serial, model.identify and model.identify.register) if each]
    names = {name for register in model.registers for name in register.times}
    rows += [model.register(name) for name in names]
    return frozenset((each.function, each.address) for each in rows)


def _tells_itself(port: ModbusPlayer, model: Model) -> bool:
    """Whether the trace has the question who it is; a trace that began later does not."""
    if model.identify is None:
        return False
    row = model.identify.register
    question = (row.function, (row.address, row.words))
    return any((each.request.function, each.request.pair) == question for each in port.exchanges)


def _addressed(port: ModbusPlayer, given: dict[str, object]) -> dict[str, object]:
    """Return the options with the id of the device, if the trace has only one."""
    if "address" in given:
        return given
    if len(port.units) != 1:
        known = ", ".join(str(unit) for unit in port.units)
        raise BadUsage(f"the trace has the ids {known or 'of nobody'}: say which, --set address=1")
    return {"address": port.units[0], **given}
