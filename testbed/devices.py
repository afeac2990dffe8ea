"""The simulated devices of a layout: chips on I2C buses, meters behind Modbus, pins, one world.

All wires and the world itself are served by one thread, so a contact that moves, a chip that is
read and time that passes never meet half-way.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from hardware.mock.catalog import SIMULATORS
from hardware.mock.chips.ina219 import Ina219Chip
from hardware.mock.faults import FaultSwitches
from hardware.mock.points import split
from hardware.mock.wires.i2c_bus import SimulatedI2cBus, SmbusShape
from hardware.mock.wires.loop import LoopThread
from hardware.mock.wires.modbus_pdu import ModbusDevice
from hardware.mock.wires.modbus_server import ModbusTcpServer
from hardware.mock.wires.remote import WireServer
from testbed.layout import Layout, MeterPlace, NodePlace
from testbed.probes import Probe
from testbed.world import World

UW_PER_MW = 1000
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class ProbeLine:
    """A direct-current line of the world, as an INA219 sees it.

    A generator's board is mounted so that its current is positive while it feeds in: the edge
    configuration reverses it, as it would on a real bench.
    """

    world: World
    probe: Probe
    mounted_backwards: bool

    @property
    def current_ua(self) -> int:
        """Current through the shunt. [uA]"""
        bus_mv = self.world.flows.bus_mv
        power_uw = self.world.power_uw(self.probe)
        current_ua = power_uw * 1000 // bus_mv if bus_mv else 0
        return -current_ua if self.mounted_backwards else current_ua

    @property
    def bus_mv(self) -> int:
        """Voltage behind the shunt. [mV]"""
        return self.world.flows.bus_mv


@dataclass(frozen=True, slots=True)
class ProbeFeeder:
    """A mains feeder of the world, as an energy meter sees it; positive power is import."""

    world: World
    probe: Probe

    @property
    def voltage_mv(self) -> int:
        """Voltage to neutral. [mV]"""
        return self.world.flows.bus_mv

    @property
    def power_mw(self) -> int:
        """Active power, towards zero. [mW]"""
        power_uw = self.world.power_uw(self.probe)
        return power_uw // UW_PER_MW if power_uw >= 0 else -(-power_uw // UW_PER_MW)

    @property
    def frequency_mhz(self) -> int:
        """Frequency. [mHz]"""
        return self.world.frequency_mhz

    @property
    def energy_import_uwh(self) -> int:
        """Imported energy since the start. [uWh]"""
        return self.world.energy_uwh(self.probe)[0]

    @property
    def energy_export_uwh(self) -> int:
        """Exported energy since the start. [uWh]"""
        return self.world.energy_uwh(self.probe)[1]


@dataclass(slots=True)
class Devices:
    """Everything simulated of one layout, served from `open` on. Use as a context manager.

    `pin_watchers` are told (node, pin, level is high) of whatever drives a pin, before the world
    follows, in the thread of the wires.
    """

    layout: Layout
    wire: Path
    pin_watchers: list[Callable[[str, int, bool], None]] = field(default_factory=list)
    world: World = field(init=False)
    faults: dict[str, FaultSwitches] = field(default_factory=dict)
    _loop: LoopThread = field(init=False)
    _driven: dict[tuple[str, int], bool] = field(default_factory=dict)
    _relays: dict[tuple[str, int], str] = field(init=False)
    _closing: list[Callable[[], None]] = field(default_factory=list)

    def __enter__(self) -> "Devices":
        """Start serving every bus and pin."""
        self.world = self.layout.world()
        self._loop = LoopThread()
        self._relays = {
            (node.node, relay.pin): relay.relay
            for node in self.layout.nodes
            for relay in node.relays
        }
        for name in self._relays.values():
            self.faults[name] = FaultSwitches("welded", "coil_dead")
        buses: dict[str, SmbusShape] = {}
        for node in self.layout.nodes:
            for bus in node.buses:
                if bus.kind == "i2c":
                    buses[f"{node.node}/{bus.name}"] = self._i2c_bus(node, bus.name)
                else:
                    self._serve_modbus(node, bus.name, bus.port)
        wire = WireServer(self.wire, buses, self._follow_pin, lets_go=True, loop=self._loop)
        self._closing.append(wire.close)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving."""
        for close in reversed(self._closing):
            close()
        self._loop.close()

    def run(self, change: Callable[[World], Result]) -> Result:
        """Do something with the world in the thread that serves its wires; return the result."""

        async def act() -> Result:
            return change(self.world)

        return self._loop.call(act())

    def turn(self, target: str, fault: str, on: bool) -> None:
        """Begin or end a fault of a meter, bus or relay, by its name in `faults`."""

        async def act() -> None:
            self.faults[target].switch(fault, on)
            for place, relay in self._relays.items():
                if relay == target:
                    self._settle(*place)

        self._loop.call(act())

    @property
    def loop(self) -> LoopThread:
        """The thread of the wires, for others who have something to serve."""
        return self._loop

    def _i2c_bus(self, node: NodePlace, name: str) -> SimulatedI2cBus:
        bus = SimulatedI2cBus()
        self.faults[f"{node.node}/{name}"] = bus.faults
        for meter in node.meters:
            if meter.bus == name:
                line = ProbeLine(self.world, meter.probe, is_reversed(meter))
                chip = Ina219Chip(line, shunt_mohm=meter.shunt_mohm)
                bus.attach(meter.address, chip)
                self.faults[meter.meter_id] = chip.faults
        return bus

    def _serve_modbus(self, node: NodePlace, name: str, port: int) -> None:
        devices: dict[int, ModbusDevice] = {}
        for meter in node.meters:
            if meter.bus == name:
                feeder = ProbeFeeder(self.world, meter.probe)
                twin = SIMULATORS[meter.model]
                device = twin.build(split(feeder) if twin.point == "three_phase" else feeder)
                devices[meter.address] = device
                self.faults[meter.meter_id] = device.faults
        self._closing.append(ModbusTcpServer(devices, port=port, loop=self._loop).close)

    def _follow_pin(self, node: str, pin: int, high: bool) -> None:
        for watch in self.pin_watchers:
            watch(node, pin, high)
        self._driven[node, pin] = high
        self._settle(node, pin)

    def _settle(self, node: str, pin: int) -> None:
        """Let the contact behind a pin follow it, as far as its faults let it."""
        relay = self._relays.get((node, pin))
        faults = self.faults[relay].active if relay is not None else ()
        if "welded" not in faults:
            high = self._driven.get((node, pin), False) and "coil_dead" not in faults
            self.world.set_pin(node, pin, high)


def is_reversed(meter: MeterPlace) -> bool:
    """Return whether a meter is mounted so that the edge must flip its sign."""
    return meter.model == "ina219" and meter.purpose == "generation"
