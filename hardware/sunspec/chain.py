"""The list of models in a SunSpec device: found, walked and never believed blindly.

"SunS" stands at 40000, 0 or 50000. Then come models, each with its ID and the length of what
follows, so that the next one begins right behind it; ID 65535 ends the list. Addresses are never
assumed: some makers leave out a register of model 1, which moves everything behind it.

Source: SunSpec device information model specification, device model discovery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from hardware.errors import DeviceRefused, WrongDevice
from hardware.sunspec.models import (
    COMMON,
    END,
    FLOAT_TWINS,
    INVERTERS,
    LAYOUTS,
    MARKER,
    METERS,
)
from hardware.sunspec.points import HEADER_WORDS

BASES: Final = (40_000, 0, 50_000)
"""Where the marker may stand, in the order in which it is looked for."""

BLOCKS_MAX: Final = 64
LENGTH_MAX: Final = 1_000
_ADDRESS_END: Final = 0x1_0000
_NOTHING_THERE: Final = (1, 2, 3)
"""Exceptions of a device that has no such registers: function, address, value."""

Read = Callable[[int, int], tuple[int, ...]]
"""Reads (address, count) holding registers of one device; raises as `ModbusPort.read_words`."""


@dataclass(frozen=True, slots=True)
class Block:
    """One model of a device's list: the address of its ID register, its ID and its length."""

    address: int
    model: int
    length: int

    @property
    def end(self) -> int:
        """The address after its last register."""
        return self.address + HEADER_WORDS + self.length

    @property
    def title(self) -> str:
        """What it is, for a person: "203, meter, wye, at 40188"."""
        known = f", {LAYOUTS[self.model].title}" if self.model in LAYOUTS else ""
        return f"{self.model}{known}, at {self.address}"


@dataclass(frozen=True, slots=True)
class Chain:
    """The whole list of one device."""

    base: int
    blocks: tuple[Block, ...]

    @property
    def measuring(self) -> tuple[Block, ...]:
        """Every inverter and meter; of one that is listed as integers and floats, the integers."""
        return tuple(
            block
            for block in self.blocks
            if block.model in (*INVERTERS, *METERS) and not self._is_twin(block)
        )

    def common(self, block: Block) -> Block | None:
        """Return the model 1 that a block belongs to: the last one before it."""
        before = [each for each in self.blocks if each.address < block.address]
        return next((each for each in reversed(before) if each.model == COMMON), None)

    def beside(self, block: Block, model: int) -> Block | None:
        """Return the first block of a model that belongs to the same device as `block`."""
        common = self.common(block)
        for each in self.blocks:
            if each.model == model and self.common(each) == common:
                return each
        return None

    def _is_twin(self, block: Block) -> bool:
        """Whether it is the float model of something that is listed as integers too."""
        return FLOAT_TWINS.get(block.model) in {
            each.model for each in self.blocks if self.common(each) == self.common(block)
        }


def walk(read: Read, bases: Sequence[int] = BASES) -> Chain:
    """Return the models of a device.

    Raises:
        WrongDevice: no marker at any base, or a list that cannot be one; the text says where.
        HardwareError: as the bus.
    """
    base = _find(read, bases)
    return Chain(base, tuple(_blocks(read, base + len(MARKER))))


def _find(read: Read, bases: Sequence[int]) -> int:
    seen = []
    for base in bases:
        try:
            words = read(base, len(MARKER))
        except DeviceRefused as refusal:
            if refusal.code not in _NOTHING_THERE:
                raise
            seen.append(f"exception {refusal.code} at {base}")
            continue
        if words == MARKER:
            return base
        seen.append(f"{_hex(words)} at {base}")
    raise WrongDevice(f'no SunSpec device: {", ".join(seen)}, want 5375 6E53, "SunS"')


def _blocks(read: Read, address: int) -> Iterator[Block]:
    for _ in range(BLOCKS_MAX + 1):
        header = _header(read, address)
        if header[0] == END:
            return
        block = Block(address, *header)
        if block.model == 0 or block.length > LENGTH_MAX or block.end >= _ADDRESS_END:
            raise WrongDevice(
                f"SunSpec list broken at {address}: model {block.model} with {block.length} "
                f"registers, want model 1 to 65534, at most {LENGTH_MAX}, before 65535"
            )
        yield block
        address = block.end
    raise WrongDevice(f"SunSpec list without an end: more than {BLOCKS_MAX} models")


def _header(read: Read, address: int) -> tuple[int, int]:
    """Return ID and length; some devices have no length at the end, and refuse to read one."""
    try:
        model, length = read(address, HEADER_WORDS)
    except DeviceRefused as refusal:
        if refusal.code not in _NOTHING_THERE:
            raise
        return _alone(read, address), 0
    return model, length


def _alone(read: Read, address: int) -> int:
    """Return an ID without a length: nothing but the end of a list has one."""
    try:
        (model,) = read(address, 1)
    except DeviceRefused as refusal:
        raise WrongDevice(
            f"SunSpec list without an end: exception {refusal.code} at {address}"
        ) from refusal
    if model != END:
        raise WrongDevice(f"SunSpec list broken at {address}: model {model} without a length")
    return model


def _hex(words: Sequence[int]) -> str:
    return " ".join(f"{word:04X}" for word in words)
