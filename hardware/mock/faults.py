"""Named fault switches: what goes wrong on a bench, one name each.

A simulator owns a `FaultSwitches` with the names it knows; a scenario, the switchboard page or a
test turns them. A name it does not know is an error, so that no fault is switched in vain.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import MappingProxyType

from hardware.errors import HardwareError

FAULTS: Mapping[str, str] = MappingProxyType(
    {
        # any sensor
        "frozen": "the values stay as they were when this was switched on",
        "lie": "power, current and the growth of counters are reported at half",
        "noise": "power, current and voltage wander by up to 2 percent",
        "turned": "the transformer or shunt is the wrong way round: import and export are swapped",
        # an I2C chip, or the whole bus
        "unplugged": "nobody acknowledges the address (errno 121)",
        "stuck": "a wire of the bus is held low (errno 110)",
        "flaky": "one transfer in fifty is not acknowledged (errno 121)",
        "brown_out": "the chip falls back to power-on values, once",
        "never_ready": "no conversion ends any more",
        "overflow": "the arithmetic of the chip overflows: current and power mean nothing",
        # a Modbus device
        "counter_reset": "its counters begin anew at zero; off: they are what they would have been",
        "silent": "no reply",
        "late": "the reply comes late, by `delay_s` of the device",
        "bad_crc": "the checksum of the reply is wrong",
        "bit_flip": "one bit of the reply is flipped, each time another one",
        "stray_zero": "a zero byte before the reply",
        "garbage": "one to eight bytes of rubbish before the reply",
        "cut": "the last byte of the reply is missing",
        "half": "only the first half of the reply comes",
        "split": "the reply comes in two parts, 20 to 50 ms apart",
        "echo": "the adapter sends every request back",
        "wrong_id": "the reply carries another id",
        "wrong_function": "the reply carries another function code",
        "wrong_length": "the reply is one register short",
        "two_devices": "another meter has the same id: its reply, the right one, or both at once",
        "torn": "32-bit values are torn: every second word is the one read before",
        "busy": "exception 6",
        "gateway": "exception 11: the gateway is alive, the device is not",
        "gateway_path": "exception 10: the gateway has no path to the device",
        "device_failure": "exception 4",
        "hurried": "no reply when asked too soon after its last reply",
        "reboots": "it restarts, 2 s of silence, when asked too soon after its last reply",
        "half_open": "the TCP connection stands, but nothing is answered on it any more",
        "second_client": "a new TCP connection is closed at once: somebody else has the only one",
        "wrong_model": "another model answers under this id",
        "tenths": "the frequency is counted in tenths, as by some clones",
        "not_available": "measured values read as the device's code for not available",
        # a SunSpec device
        "rescaled": "every second reply comes with scale factors ten times coarser",
        "lone_end": "the end of the model list has no length register",
        # a VE.Direct device
        "hex_behind_checksum": "a HEX frame comes directly behind the checksum byte of each block",
        "hex_in_block": "a HEX frame comes in the middle of each text block",
        "block_bit_flip": "one bit of each text block is flipped, each time another one",
        "stops_5_s": "it says nothing for 5 s, once",
        "joined_mid_block": "the next text block lacks its beginning, once",
        "two_blocks": "the fields of a second come in two blocks",
        # a charge controller on Modbus
        "night_silence": "no reply while the panels give under 14 V and the load output is off",
        "clock_jump": "its own clock jumps 3 h ahead, once",
        "load_sticks": "of three writes to the load output two are acknowledged and not taken",
        # a relay
        "welded": "the contact stays where it is, whatever the coil does",
        "coil_dead": "the contact stays at rest, whatever the coil is told",
        "pin_stuck": "the pin reads back its earlier level",
        "disobedient": "the board acknowledges commands and does not follow them",
    }
)
"""Fault name -> what a person sees."""


class UnknownFault(HardwareError, LookupError):
    """This simulator has no such fault switch."""


class FaultSwitches:
    """The fault switches of one simulated device."""

    def __init__(self, *names: str) -> None:
        """Own these names of `FAULTS`, all off."""
        self.names = tuple(self._known(name, tuple(FAULTS)) for name in names)
        self._on: set[str] = set()

    def __contains__(self, name: str) -> bool:
        """Whether the fault is on."""
        return self._known(name, self.names) in self._on

    @property
    def active(self) -> tuple[str, ...]:
        """The names that are on, in order."""
        return tuple(name for name in self.names if name in self._on)

    def switch(self, name: str, on: bool) -> None:
        """Turn one fault on or off.

        Raises:
            UnknownFault: not a fault of this device.
        """
        (self._on.add if on else self._on.discard)(self._known(name, self.names))

    def take(self, name: str) -> bool:
        """Return whether the fault is on, and turn it off: for what happens once."""
        was_on = name in self
        self._on.discard(name)
        return was_on

    @staticmethod
    def _known(name: str, known: tuple[str, ...]) -> str:
        if name not in known:
            raise UnknownFault(f"fault {name!r}: want one of {', '.join(known)}")
        return name


SENSOR_FAULTS = ("frozen", "lie", "noise")
"""Faults of `Distortion`; a sensor's switches must hold them."""

_COUNTER_SUFFIX = "_uwh"
_THROUGH_A_SHUNT = "current_ua"
_HALVED = ("_mw", "_ma", "_ua")
_WANDERING = (*_HALVED, "_mv")


class Distortion:
    """What a faulty sensor makes of true values. Seeded: a run can be repeated."""

    def __init__(self, switches: FaultSwitches, seed: int = 0) -> None:
        """Follow these switches."""
        self._switches = switches
        self._noise = random.Random(seed)  # noqa: S311 - a repeatable bench, not a secret
        self._held: dict[str, int] = {}
        self._lied: dict[str, tuple[int, int]] = {}
        self._zero: dict[str, int] = {}

    @property
    def is_turned(self) -> bool:
        """Whether the sensor sees power flow the other way; not every one has a direction."""
        return "turned" in self._switches.active

    def seen(self, quantity: str, value: int) -> int:
        """Return what the sensor reports for a true value of this quantity."""
        if not self._switches.active and not self._lied and not self._held:
            self._zero.clear()
            return value
        if "frozen" in self._switches:
            return self._held.setdefault(quantity, value)
        self._held.pop(quantity, None)
        value = self._counted(quantity, self._told(quantity, value))
        if quantity == _THROUGH_A_SHUNT and self.is_turned:
            value = -value
        if "noise" in self._switches and quantity.endswith(_WANDERING):
            value += self._noise.randint(-abs(value), abs(value)) // 50
        return value

    def _counted(self, quantity: str, value: int) -> int:
        """Return a counter's growth since it began anew, if it did."""
        if "counter_reset" not in self._switches.active:
            self._zero.clear()
            return value
        return value - self._zero.setdefault(quantity, value) if _is_counter(quantity) else value

    def _told(self, quantity: str, value: int) -> int:
        """Halve a power; halve a counter's growth, and never let it fall afterwards."""
        if not _is_counter(quantity):
            halved = "lie" in self._switches and quantity.endswith(_HALVED)
            return value // 2 if halved else value
        true_before, told_before = self._lied.get(quantity, (value, value))
        if "lie" not in self._switches and quantity not in self._lied:
            return value
        growth = value - true_before
        told = told_before + (growth // 2 if "lie" in self._switches else growth)
        self._lied[quantity] = (value, told)
        return told


def _is_counter(quantity: str) -> bool:
    return quantity.endswith(_COUNTER_SUFFIX)
