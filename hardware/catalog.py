"""The devices and buses that can be named in a configuration: plain tables, one line a model.

A new model is one driver file and one line here; the conformance tests walk these tables. Buses
are opened, and their libraries imported, only when a configuration names one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

from hardware import modelfile, options
from hardware.buses.i2c import I2cOptions, open_i2c
from hardware.buses.modbus_options import ModbusRtuOptions, ModbusRtuTcpOptions, ModbusTcpOptions
from hardware.buses.vedirect_options import VeDirectPortOptions
from hardware.chargers import epever_tracer, renogy_rover, tristar_mppt
from hardware.chargers.vedirect import VeDirect, VeDirectOptions
from hardware.chargers.vedirect_hex import VeDirectHex, VeDirectHexOptions
from hardware.errors import BadModelFile, BadOption, BadOptions, UnknownModel
from hardware.meters import ina219, ina226, ina3221
from hardware.meters.sunspec import SunSpec, SunSpecOptions
from hardware.ports import EnergyMeter, ModbusPort, Relay
from hardware.register_device import RegisterDevice, register_options
from hardware.relays.epever_load import EpeverLoad, EpeverLoadOptions
from hardware.relays.gpio_relay import GpioRelay, GpioRelayOptions
from hardware.relays.latching_relay import LatchingRelay, LatchingRelayOptions, two_pins
from hardware.relays.lc_relay import LcRelay, LcRelayOptions
from hardware.relays.renogy_load import RenogyLoad, RenogyLoadOptions
from hardware.relays.sunspec_limit import SunSpecLimit, SunSpecLimitOptions
from hardware.relays.sunspec_storage import SunSpecStorage, SunSpecStorageOptions
from hardware.relays.waveshare_relay import WaveshareRelay, WaveshareRelayOptions

Entry = TypeVar("Entry")
MODBUS: Final = ("modbus_rtu", "modbus_tcp", "modbus_rtu_tcp")


@dataclass(frozen=True, slots=True)
class MeterModel:
    """One line of the meter table.

    Attributes:
        build: makes the meter from a bus and its checked options.
        options: the dataclass of its options.
        bus_kinds: kinds of bus it can sit on.
        has_counters: whether the device counts energy itself; else the edge integrates.
        is_silent_at_night: whether a timeout in the dark is to be expected.
        verify: a check over several options together; raises BadOption.
        shared: options that all meters of one chip have in common.
    """

    build: Callable[[Any, Any], EnergyMeter]
    options: type[Any]
    bus_kinds: tuple[str, ...]
    has_counters: bool
    is_silent_at_night: bool = False
    verify: Callable[[Any], object] | None = None
    shared: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RelayModel:
    """One line of the relay table.

    Attributes:
        build: makes the relay from what it sits on and its checked options.
        options: the dataclass of its options.
        bus_kinds: kinds of bus it can sit on; none: on pins of the node, by a gpiozero factory.
        is_failsafe: whether it lets go by itself when nobody holds it any more.
        verify: a check over several options together; raises BadOption.
        shared: options that all relays of one board have in common.
        part_of: the meter model that it is a part of, and so may share its address with.
        setpoint: what it can be told besides on and off: "limit", the most that may be given, or
            "battery", what is taken, below 0 given.
    """

    build: Callable[[Any, Any], Relay]
    options: type[Any]
    bus_kinds: tuple[str, ...] = ()
    is_failsafe: bool = False
    verify: Callable[[Any], object] | None = None
    shared: tuple[str, ...] = ()
    part_of: str = ""
    setpoint: str = ""


@dataclass(frozen=True, slots=True)
class BusKind:
    """One line of the bus table: `open` touches no wire until the first request."""

    open: Callable[[Any], Any]
    options: type[Any]


def _open_modbus_tcp(given: ModbusTcpOptions) -> Any:
    from hardware.buses.modbus import open_tcp

    return open_tcp(given)


def _open_modbus_rtu(given: ModbusRtuOptions) -> Any:
    from hardware.buses.modbus import open_rtu

    return open_rtu(given)


def _open_modbus_rtu_tcp(given: ModbusRtuTcpOptions) -> Any:
    from hardware.buses.modbus import open_rtu_tcp

    return open_rtu_tcp(given)


def _open_vedirect(given: VeDirectPortOptions) -> Any:
    from hardware.buses.vedirect import open_vedirect

    return open_vedirect(given)


METERS_IN_PYTHON: Final[Mapping[str, MeterModel]] = MappingProxyType(
    {
        "ina219": MeterModel(
            ina219.Ina219, ina219.Ina219Options, ("i2c",), False, verify=ina219.settings
        ),
        "ina226": MeterModel(
            ina226.Ina226, ina226.Ina226Options, ("i2c",), False, verify=ina226.settings
        ),
        "ina3221": MeterModel(
            ina3221.Ina3221, ina3221.Ina3221Options, ("i2c",), False, shared=("samples_averaged",)
        ),
        "sunspec": MeterModel(SunSpec, SunSpecOptions, MODBUS, has_counters=True),
        "epever_tracer": MeterModel(
            epever_tracer.EpeverTracer,
            epever_tracer.EpeverTracerOptions,
            MODBUS,
            has_counters=True,
            is_silent_at_night=True,
            verify=epever_tracer.verify,
        ),
        "tristar_mppt": MeterModel(
            tristar_mppt.TristarMppt, tristar_mppt.TristarMpptOptions, MODBUS, has_counters=False
        ),
        "renogy_rover": MeterModel(
            renogy_rover.RenogyRover, renogy_rover.RenogyRoverOptions, MODBUS, has_counters=True
        ),
        "vedirect": MeterModel(VeDirect, VeDirectOptions, ("vedirect",), has_counters=True),
        "vedirect_hex": MeterModel(
            VeDirectHex, VeDirectHexOptions, ("vedirect",), has_counters=True
        ),
    }
)
"""Models that are more than a register map -> how to make one."""

METERS_GROUP: Final = "gridtally.meters"
"""Entry points of this group add models: each names a `MeterModel`."""


def _from_file(model: modelfile.Model) -> MeterModel:
    """Return the entry of a model that is a register map and nothing else."""

    def build(bus: ModbusPort, given: Any) -> EnergyMeter:
        return RegisterDevice(bus, model, given)

    table = model.table
    return MeterModel(
        build, register_options(model), table.buses, model.has_counters, table.silent_at_night
    )


@dataclass(slots=True)
class Meters(Mapping[str, MeterModel]):
    """Every meter model by name; a name that ends in .toml is the path of a model file.

    Files are read when they are asked for first, since an edge needs few of them.
    """

    _made: dict[str, MeterModel] = field(default_factory=dict)
    _names: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> MeterModel:
        """Return one entry.

        Raises:
            KeyError: no such model.
            BadModelFile: the file of that name is wrong.
        """
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        """Yield every name that needs no path; what is plugged in is looked for once."""
        if not self._names:
            plugged_in = _plugged_in(METERS_GROUP)
            names = {*METERS_IN_PYTHON, *modelfile.shipped_names(), *plugged_in}
            self._names = tuple(sorted(names))
        yield from self._names

    def __contains__(self, name: object) -> bool:
        """Whether there is a model of this name; the path of a model file is none."""
        return name in tuple(self)

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(1 for _ in self)

    def _make(self, name: str) -> MeterModel:
        if name in METERS_IN_PYTHON:
            return METERS_IN_PYTHON[name]
        if name.endswith(".toml"):
            return _from_file(modelfile.load_model(Path(name)))
        if name in modelfile.shipped_names():
            return _from_file(modelfile.shipped_model(name))
        plugged_in = _plugged_in(METERS_GROUP)
        if name in plugged_in:
            entry = plugged_in[name].load()
            if isinstance(entry, MeterModel):
                return entry
        raise KeyError(name)


def _plugged_in(group: str) -> dict[str, Any]:
    return {each.name: each for each in entry_points(group=group)}


METERS: Final = Meters()
"""Meter model -> how to make one."""

RELAYS: Mapping[str, RelayModel] = MappingProxyType(
    {
        "gpio_relay": RelayModel(GpioRelay, GpioRelayOptions, is_failsafe=True),
        "latching_relay": RelayModel(LatchingRelay, LatchingRelayOptions, verify=two_pins),
        "waveshare_relay": RelayModel(WaveshareRelay, WaveshareRelayOptions, MODBUS),
        "lc_relay": RelayModel(LcRelay, LcRelayOptions, MODBUS, shared=("dialect",)),
        "epever_load": RelayModel(EpeverLoad, EpeverLoadOptions, MODBUS, part_of="epever_tracer"),
        "renogy_load": RelayModel(RenogyLoad, RenogyLoadOptions, MODBUS, part_of="renogy_rover"),
        "sunspec_limit": RelayModel(
            SunSpecLimit,
            SunSpecLimitOptions,
            MODBUS,
            is_failsafe=True,
            part_of="sunspec",
            setpoint="limit",
        ),
        "sunspec_storage": RelayModel(
            SunSpecStorage,
            SunSpecStorageOptions,
            MODBUS,
            is_failsafe=True,
            part_of="sunspec",
            setpoint="battery",
        ),
    }
)
"""Relay model -> how to make one."""

BUSES: Mapping[str, BusKind] = MappingProxyType(
    {
        "i2c": BusKind(open_i2c, I2cOptions),
        "modbus_tcp": BusKind(_open_modbus_tcp, ModbusTcpOptions),
        "modbus_rtu": BusKind(_open_modbus_rtu, ModbusRtuOptions),
        "modbus_rtu_tcp": BusKind(_open_modbus_rtu_tcp, ModbusRtuTcpOptions),
        "vedirect": BusKind(_open_vedirect, VeDirectPortOptions),
    }
)
"""Bus kind -> how to open one."""


def check_meter(model: str, bus_kind: str, given: Mapping[str, object]) -> tuple[BadOption, ...]:
    """Return every finding in a meter's model, bus and options; empty if it can be made.

    Args:
        model: a key of `METERS`.
        bus_kind: a key of `BUSES`: the kind of the bus it is to sit on.
        given: the model's own options and nothing else.
    """
    try:
        entry = METERS[model]
    except KeyError:
        return (BadOption("model", model, _want("meter model", METERS)),)
    except BadModelFile as error:
        return tuple(BadOption("model", model, finding) for finding in error.findings)
    findings = options.check(entry.options, given)
    if bus_kind not in entry.bus_kinds:
        kinds = " or ".join(entry.bus_kinds)
        findings += (BadOption("bus", bus_kind, f"{model} wants a bus of kind {kinds}"),)
    return findings or _verified(entry, given)


def check_relay(model: str, bus_kind: str, given: Mapping[str, object]) -> tuple[BadOption, ...]:
    """Return every finding in a relay's model, bus and options; empty if it can be made.

    Args:
        model: a key of `RELAYS`.
        bus_kind: the kind of the bus it is to sit on; "" for pins of the node.
        given: the model's own options and nothing else.
    """
    if model not in RELAYS:
        return (BadOption("model", model, _want("relay model", RELAYS)),)
    entry = RELAYS[model]
    findings = options.check(entry.options, given)
    if bus_kind not in (entry.bus_kinds or ("",)):
        kinds = " or ".join(entry.bus_kinds)
        where = f"a bus of kind {kinds}" if kinds else "pins of this node and no bus"
        findings += (BadOption("bus", bus_kind, f"{model} wants {where}"),)
    return findings or _verified(entry, given)


def check_bus(kind: str, given: Mapping[str, object]) -> tuple[BadOption, ...]:
    """Return every finding in a bus's kind and options."""
    if kind not in BUSES:
        return (BadOption("kind", kind, _want("bus kind", BUSES)),)
    return options.check(BUSES[kind].options, given)


def make_meter(model: str, bus: Any, given: Mapping[str, object]) -> EnergyMeter:
    """Return a meter on an open bus; the wire is not touched.

    Raises:
        UnknownModel: no such model.
        BadOptions: with all findings.
    """
    entry = _entry("meter model", METERS, model)
    try:
        return entry.build(bus, options.parse(entry.options, given))
    except BadOption as finding:
        raise BadOptions((finding,)) from finding


def make_relay(model: str, place: Any, given: Mapping[str, object]) -> Relay:
    """Return a relay on its place: a gpiozero pin factory, or an open bus, which is not touched.

    Raises:
        UnknownModel: no such model.
        BadOptions: with all findings.
        HardwareError: a pin cannot be claimed.
    """
    entry = _entry("relay model", RELAYS, model)
    return entry.build(place, options.parse(entry.options, given))


def open_bus(kind: str, given: Mapping[str, object]) -> Any:
    """Return a bus of this kind (`I2cPort` or `ModbusPort`, with `close`); no wire is touched.

    Raises:
        UnknownModel: no such kind.
        BadOptions: with all findings.
    """
    entry = _entry("bus kind", BUSES, kind)
    return entry.open(options.parse(entry.options, given))


def _verified(entry: MeterModel | RelayModel, given: Mapping[str, object]) -> tuple[BadOption, ...]:
    """Return the finding over several options together, if there is one."""
    if entry.verify is not None:
        try:
            entry.verify(entry.options(**given))
        except BadOption as finding:
            return (finding,)
    return ()


def _entry(what: str, table: Mapping[str, Entry], name: str) -> Entry:
    try:
        return table[name]  # the path of a model file is found, though it is none of the names
    except KeyError:
        raise UnknownModel(f"{what} {name!r}: {_want(what, table)}") from None


def _want(what: str, table: Mapping[str, object]) -> str:
    return f"unknown {what}, want one of {', '.join(table)}"
