"""The lines of Python that reach a simulated device which no port can carry: I2C chips and pins."""

from types import MappingProxyType
from typing import Final

from hardware.mock.catalog import SIMULATORS

I2C_LINES: Final = """\
{name} sits on an I2C bus, which no TCP port can carry. In Python it is reached like this:

    from hardware.mock.catalog import SIMULATORS
    from hardware.mock.wires.i2c_bus import SimulatedI2cBus
    from hardware.mock.points import Line

    bus = SimulatedI2cBus()  # has the interface of smbus2.SMBus
    bus.attach(0x{address:02X}, SIMULATORS["{name}"].build({point}))
    bus.read_i2c_block_data(0x{address:02X}, 0x02, 2)
"""
GPIO_LINES: Final = """\
gpio_relay hangs on a pin, which no TCP port can carry. In Python it is reached like this:

    from gpiozero import OutputDevice
    from hardware.mock.wires.pins import BenchFactory, Contact

    contact = Contact(active_high=True, deenergised="cut")
    pins = BenchFactory(on_pin=lambda pin, high: contact.follow(high))  # a gpiozero pin factory
    OutputDevice(17, pin_factory=pins).on()
    contact.is_fed
"""
LATCHING_LINES: Final = """\
latching_relay hangs on two pins, which no TCP port can carry. In Python it is reached like this:

    from time import sleep
    from gpiozero import OutputDevice
    from hardware.mock.relays.latching_contact import LatchingContact
    from hardware.mock.wires.pins import BenchFactory

    contact = LatchingContact(set_pin=17, reset_pin=18)
    coil = OutputDevice(17, pin_factory=BenchFactory(on_pin=contact.follow))
    coil.on(); sleep(0.05); is_set = contact.is_set; coil.off()
    is_set
"""
ON_PINS: Final = MappingProxyType({"gpio_relay": GPIO_LINES, "latching_relay": LATCHING_LINES})
"""Relays on pins of the node -> how their twins are reached."""


def python_lines(model: str) -> str | None:
    """Return the lines that reach a device in Python; None if a port can serve it, or none is."""
    if model in ON_PINS:
        return ON_PINS[model]
    entry = SIMULATORS.get(model)
    if entry is None or "i2c" not in entry.wires:
        return None
    point = "Line(current_ua=500_000)"
    if entry.point == "lines":
        point = f"({point},) * 3"
    return I2C_LINES.format(name=model, address=entry.address, point=point)
