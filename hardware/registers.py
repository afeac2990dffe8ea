"""Register maps as tables, and the one reader that serves them.

A register-map device is a tuple of `Register` rows and nothing else: the reader plans as few
requests as the device's limits allow, reads values of two words in one request (read apart they
can tear), decodes to exact integers and refuses what the device cannot have measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hardware import words
from hardware.errors import ImplausibleSample
from hardware.ports import ModbusPort

WORDS_MAX = 125
"""The most registers one Modbus reply can hold. Source: Modbus application protocol 1.1b3, 6.3."""

SIZES: Mapping[str, int] = {
    "u16": 1,
    "s16": 1,
    "u32": 2,
    "s32": 2,
    "u32_low_first": 2,
    "s32_low_first": 2,
    "f32": 2,
}
"""Words of each encoding; `low_first`: the low word comes first. Bytes are always big-endian."""


@dataclass(frozen=True, slots=True)
class Register:
    """One quantity of a register map.

    Attributes:
        quantity: name with its unit last, as in `Sample`.
        address: 0-based address on the wire.
        encoding: a key of `SIZES`.
        exponent: the decoded number times 10**exponent is in the quantity's unit.
        low: the least plausible value, in the quantity's unit.
        high: the greatest plausible value, in the quantity's unit.
    """

    quantity: str
    address: int
    encoding: str
    exponent: int
    low: int
    high: int

    @property
    def end(self) -> int:
        """The address after the last word."""
        return self.address + SIZES[self.encoding]


@dataclass(frozen=True, slots=True)
class Block:
    """One request: consecutive words that hold some registers."""

    address: int
    count: int
    registers: tuple[Register, ...]


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """A planned table: how to read these registers from any device of the model."""

    function: int
    blocks: tuple[Block, ...]

    def read(self, bus: ModbusPort, device: int) -> dict[str, int | None]:
        """Return each quantity in its unit; None where the device says not available.

        Raises:
            ImplausibleSample: a value outside the register's limits.
            HardwareError: whatever the bus raises.
        """
        values: dict[str, int | None] = {}
        for block in self.blocks:
            reply = bus.read_words(device, self.function, block.address, block.count)
            for register in block.registers:
                values[register.quantity] = decode(register, reply, block.address)
        return values


def plan(
    registers: Sequence[Register], *, function: int, words_max: int, hole_words_max: int = 0
) -> RegisterMap:
    """Group registers into the fewest requests, in order of address.

    Args:
        registers: the rows to read.
        function: 3 for holding, 4 for input registers.
        words_max: the most registers the device answers at once.
        hole_words_max: the longest run of unused addresses that may be read along.
    """
    if not 2 <= words_max <= WORDS_MAX:
        raise ValueError(f"words_max = {words_max}: want 2 to {WORDS_MAX}")
    groups: list[list[Register]] = []
    for register in sorted(registers, key=lambda each: each.address):
        group = groups[-1] if groups else []
        fits = group and register.end - group[0].address <= words_max
        if fits and register.address - group[-1].end <= hole_words_max:
            group.append(register)
        else:
            groups.append([register])
    blocks = (
        Block(group[0].address, group[-1].end - group[0].address, tuple(group)) for group in groups
    )
    return RegisterMap(function, tuple(blocks))


def decode(register: Register, reply: Sequence[int], start: int) -> int | None:
    """Return one register out of a block that starts at address `start`.

    Raises:
        ImplausibleSample: the value is outside the register's limits.
    """
    offset = register.address - start
    raw = tuple(reply[offset : offset + SIZES[register.encoding]])
    value = _number(register, raw)
    if value is not None and not register.low <= value <= register.high:
        text = " ".join(f"{word:04X}" for word in raw)
        raise ImplausibleSample(
            f"register 0x{register.address:04X}, words {text}: {register.quantity} = {value}, "
            f"want {register.low} to {register.high}"
        )
    return value


def _number(register: Register, raw: tuple[int, ...]) -> int | None:
    match register.encoding:
        case "f32":
            return words.f32(raw[0], raw[1], register.exponent)
        case "u16":
            number = raw[0]
        case "s16":
            number = words.s16(raw[0])
        case "u32":
            number = words.u32(raw[0], raw[1])
        case "s32":
            number = words.s32(raw[0], raw[1])
        case "u32_low_first":
            number = words.u32(raw[1], raw[0])
        case "s32_low_first":
            number = words.s32(raw[1], raw[0])
        case unknown:
            raise AssertionError(f"encoding {unknown!r} stands in no table of SIZES")
    return words.scale(number, register.exponent)
