"""The devices and buses that can be named in a configuration: plain tables, one line a model.

A new model is one driver file and one line here; the conformance tests walk these tables. Buses
are opened, and their libraries imported, only when a configuration names one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from hardware import options
from hardware.buses.i2c import I2cOptions, open_i2c
from hardware.buses.modbus_options import ModbusRtuOptions, ModbusTcpOptions
from hardware.chargers.epever_tracer import EpeverTracer, EpeverTracerOptions
from hardware.errors import BadOption, BadOptions, UnknownModel
from hardware.meters.ina219 import Ina219, Ina219Options, settings
from hardware.meters.sdm120 import Sdm120, Sdm120Options
from hardware.ports import EnergyMeter, Relay
from hardware.relays.gpio_relay import GpioRelay, GpioRelayOptions

Entry = TypeVar("Entry")


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
    """

    build: Callable[[Any, Any], EnergyMeter]
    options: type[Any]
    bus_kinds: tuple[str, ...]
    has_counters: bool
    is_silent_at_night: bool = False
    verify: Callable[[Any], object] | None = None


@dataclass(frozen=True, slots=True)
class RelayModel:
    """One line of the relay table: `build` takes a gpiozero pin factory and checked options."""

    build: Callable[[Any, Any], Relay]
    options: type[Any]


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


METERS: Mapping[str, MeterModel] = MappingProxyType(
    {
        "ina219": MeterModel(Ina219, Ina219Options, ("i2c",), False, verify=settings),
        "sdm120": MeterModel(Sdm120, Sdm120Options, ("modbus_tcp", "modbus_rtu"), True),
        "epever_tracer": MeterModel(
            EpeverTracer,
            EpeverTracerOptions,
            ("modbus_rtu", "modbus_tcp"),
            has_counters=True,
            is_silent_at_night=True,
        ),
    }
)
"""Meter model -> how to make one."""

RELAYS: Mapping[str, RelayModel] = MappingProxyType(
    {"gpio": RelayModel(GpioRelay, GpioRelayOptions)}
)
"""Relay kind -> how to make one."""

BUSES: Mapping[str, BusKind] = MappingProxyType(
    {
        "i2c": BusKind(open_i2c, I2cOptions),
        "modbus_tcp": BusKind(_open_modbus_tcp, ModbusTcpOptions),
        "modbus_rtu": BusKind(_open_modbus_rtu, ModbusRtuOptions),
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
    if model not in METERS:
        return (BadOption("model", model, _want("meter model", METERS)),)
    entry = METERS[model]
    findings = options.check(entry.options, given)
    if bus_kind not in entry.bus_kinds:
        kinds = " or ".join(entry.bus_kinds)
        findings += (BadOption("bus", bus_kind, f"{model} wants a bus of kind {kinds}"),)
    if not findings and entry.verify is not None:
        try:
            entry.verify(entry.options(**given))
        except BadOption as finding:
            findings = (finding,)
    return findings


def check_relay(kind: str, given: Mapping[str, object]) -> tuple[BadOption, ...]:
    """Return every finding in a relay's kind and options."""
    if kind not in RELAYS:
        return (BadOption("kind", kind, _want("relay kind", RELAYS)),)
    return options.check(RELAYS[kind].options, given)


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


def make_relay(kind: str, factory: Any, given: Mapping[str, object]) -> Relay:
    """Return a relay, de-energised; `factory` is a gpiozero pin factory.

    Raises:
        UnknownModel: no such kind.
        BadOptions: with all findings.
        HardwareError: the pin cannot be claimed.
    """
    entry = _entry("relay kind", RELAYS, kind)
    return entry.build(factory, options.parse(entry.options, given))


def open_bus(kind: str, given: Mapping[str, object]) -> Any:
    """Return a bus of this kind (`I2cPort` or `ModbusPort`, with `close`); no wire is touched.

    Raises:
        UnknownModel: no such kind.
        BadOptions: with all findings.
    """
    entry = _entry("bus kind", BUSES, kind)
    return entry.open(options.parse(entry.options, given))


def _entry(what: str, table: Mapping[str, Entry], name: str) -> Entry:
    if name not in table:
        raise UnknownModel(f"{what} {name!r}: {_want(what, table)}")
    return table[name]


def _want(what: str, table: Mapping[str, object]) -> str:
    return f"unknown {what}, want one of {', '.join(table)}"
