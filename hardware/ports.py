"""What the rest of the house sees of a device: a few small Protocols and one `Sample`.

Sign: positive power and current mean import, from the grid into the site of that meter. Drivers
report what their device says in this convention; a meter built in backwards is flipped by the
edge configuration and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

Trace = Callable[[Literal["sent", "heard"], bytes, float], object]
"""Is told of bytes on a wire as they come: direction, bytes, monotonic seconds.

A bus has one as its attribute `trace`, or None. On I2C the bytes begin with the address, and an
address alone is one that did not acknowledge.
"""


@dataclass(frozen=True, slots=True)
class Counting:
    """How a device counts energy. [uWh]

    Attributes:
        import_wrap_uwh: where its import counter is 0 again; None: it never is, a fall is a reset.
        export_wrap_uwh: the same for export.
        step_uwh: the smallest step of its counters; 0: it is not known, or grows with the value.
    """

    import_wrap_uwh: int | None = None
    export_wrap_uwh: int | None = None
    step_uwh: int = 0


NO_WRAP = Counting()


@dataclass(frozen=True, slots=True)
class Sample:
    """What one device measured at one moment; None means not measured and is never 0.

    Attributes:
        power_mw: active power, positive = import. [mW]
        energy_import_uwh: cumulative counter of the device. [uWh]
        energy_export_uwh: cumulative counter of the device. [uWh]
        voltage_mv: [mV]
        current_ma: signed as power where the device knows the direction, else a magnitude. [mA]
        frequency_mhz: [mHz]
        quality: empty, or words that say why a value is missing or doubtful.
        counting: how its counters behave.
    """

    power_mw: int | None
    energy_import_uwh: int | None
    energy_export_uwh: int | None
    voltage_mv: int | None
    current_ma: int | None
    frequency_mhz: int | None
    quality: str = ""
    counting: Counting = NO_WRAP


@dataclass(frozen=True, slots=True)
class Battery:
    """A battery as its charge controller sees it.

    Attributes:
        voltage_mv: [mV]
        current_ma: net current, positive = charging. [mA]
        charge_percent: state of charge. [%]
        temperature_mc: [milli degrees Celsius]
        stage: what the charger does, in its maker's words: "off", "bulk", "absorption", "boost",
            "float", "equalize", or another; "unknown" for a code that stands in no document.
    """

    voltage_mv: int | None
    current_ma: int | None
    charge_percent: int | None
    temperature_mc: int | None
    stage: str


@runtime_checkable
class EnergyMeter(Protocol):
    """One measuring point. Constructing it touches no wire, so that an edge starts without it."""

    def sample(self) -> Sample:
        """Read the device once.

        Raises:
            TransientHardwareError: no sample now; the next instant may have one.
            HardwareError: no sample before somebody acts.
        """

    def close(self) -> None:
        """Let go of the device. The bus stays open: others use it."""


@runtime_checkable
class ChargeController(EnergyMeter, Protocol):
    """A PV charge controller: its generation is a meter's export."""

    def battery(self) -> Battery:
        """Read the battery once; raises as `sample` does."""


@runtime_checkable
class Curtailable(Protocol):
    """A generator that can be told to make less."""

    @property
    def revert_ms(self) -> int:
        """The device's own timer after which it forgets a limit that is not repeated; 0: none."""

    @property
    def limited_mw(self) -> int | None:
        """The limit that stands, as read back from the device; None if there is none. [mW]"""

    def limit(self, power_mw: int | None) -> None:
        """Let at most so much power through; None ends the limit.

        Raises:
            LimitRefused: this device has no way to do it, or not again so soon.
            HardwareError: the bus failed, or the device did not keep what was written.
        """


@runtime_checkable
class Relay(Protocol):
    """One relay coil, left de-energised.

    On pins it is made de-energised, too. On a bus making it touches no wire: who holds it releases
    it first.
    """

    def switch(self, energised: bool) -> None:
        """Drive the coil and read the state back.

        Raises:
            SwitchFailed: it does not read as it was written.
            HardwareError: the bus failed; where the relay stands is not known.
        """

    @property
    def is_energised(self) -> bool:
        """The coil's state as read back, not as remembered."""

    def close(self) -> None:
        """De-energise and let go."""


@runtime_checkable
class Setpoint(Protocol):
    """What makes a relay a set-point: it is told how much, and is energised while that stands."""

    def hold(self, power_mw: int, for_ms: int) -> None:
        """Keep to a power for so long, unless told again; read back that the device took it. [mW]

        Raises:
            SwitchFailed: the device cannot, or did not keep what was written.
            HardwareError: the bus failed; what stands is not known.
        """


@runtime_checkable
class BoardedRelay(Relay, Protocol):
    """A relay of a board on a bus, which tells the states of several in one reply."""

    @property
    def group(self) -> tuple[int, int]:
        """What it is read with: the address of the board, and the number of the group there."""

    @property
    def place(self) -> int:
        """Its place in the group, from 0."""

    def read_group(self) -> tuple[bool, ...]:
        """Return whether each relay of the group is energised."""


class I2cPort(Protocol):
    """Sixteen-bit registers behind an I2C address, most significant byte first."""

    def read_word(self, address: int, register: int) -> int:
        """Return one register. [0..65535]"""

    def write_word(self, address: int, register: int, word: int) -> None:
        """Write one register."""


@dataclass(frozen=True, slots=True)
class Manners:
    """What a device asks of the line it sits on.

    Attributes:
        pause_ms: rest between its reply and the next request to it. [ms]
        latency_ms: the longest time before its reply begins; 0: what the bus says. [ms]
    """

    pause_ms: int = 0
    latency_ms: int = 0


class ModbusPort(Protocol):
    """The Modbus functions that drivers use; addresses are 0-based as on the wire."""

    def heed(self, device: int, manners: Manners) -> None:
        """Keep to what this device asks of the line, from now on."""

    def read_words(self, device: int, function: int, address: int, count: int) -> tuple[int, ...]:
        """Read `count` holding (function 3) or input (function 4) registers."""

    def read_bits(self, device: int, function: int, address: int, count: int) -> tuple[bool, ...]:
        """Read `count` coils (function 1) or discrete inputs (function 2)."""

    def write_bit(self, device: int, address: int, energised: bool) -> None:
        """Write one coil (function 5)."""

    def write_bits(self, device: int, address: int, bits: tuple[bool, ...]) -> None:
        """Write consecutive coils (function 15)."""

    def write_word(self, device: int, address: int, word: int) -> None:
        """Write one holding register (function 6)."""

    def write_words(self, device: int, address: int, words: tuple[int, ...]) -> None:
        """Write consecutive holding registers (function 16)."""

    def identify(self, device: int) -> Mapping[int, str]:
        """Read the device identification objects (function 43 / 14)."""

    def call(self, device: int, function: int, body: bytes, reply_bytes: int) -> bytes:
        """Use a vendor's own function; `reply_bytes` are expected after the function code."""


class BytePort(Protocol):
    """A serial line that a device talks on by itself."""

    def read(self) -> bytes:
        """Return what has come since the last call, perhaps nothing, without waiting."""

    def write(self, sent: bytes) -> None:
        """Send bytes."""

    def close(self) -> None:
        """Let go of the port; the next call opens it again."""
