"""Reading blocks of registers from a device that may bear less than its document says.

A meter that is asked for too many registers refuses, or says nothing at all. Then the block is
read in halves, down to single values, and what was too long is not tried again.
"""

from __future__ import annotations

from hardware.errors import BusTimeout, DeviceRefused, TransientHardwareError
from hardware.ports import ModbusPort
from hardware.registers import Block, Register, block_of

_TOO_LONG_CODES = (2, 3)
"""Exceptions of devices to which a request is too long: illegal address, illegal value."""

Span = tuple[int, int, int]
Row = tuple[Register, tuple[int, ...]]


class BlockReader:
    """Reads blocks from one device, and remembers which it answered and which were too long."""

    def __init__(self, bus: ModbusPort, device: int) -> None:
        """Ask this device; nothing is asked yet."""
        self._bus = bus
        self._device = device
        self._answered: set[Span] = set()
        self._too_long: set[Span] = set()

    def read(self, block: Block, *, may_lack: bool = False) -> list[Row]:
        """Return the words of each register; without those it refuses, if it `may_lack` some.

        Raises:
            DeviceRefused: it refuses a single register.
            BusTimeout: it is silent, not only to long requests.
            HardwareError: whatever else the bus raises.
        """
        span = (block.function, block.address, block.count)
        is_single = len(block.registers) == 1
        if is_single or span not in self._too_long:
            try:
                words = self._ask(block)
            except DeviceRefused as refusal:
                if refusal.code not in _TOO_LONG_CODES or (is_single and not may_lack):
                    raise
                if is_single:
                    return []
            except BusTimeout:
                if is_single or span in self._answered or not self._answers_less(block):
                    raise
            else:
                self._answered.add(span)
                return [(row, _words_of(row, block, words)) for row in block.registers]
        rows = [row for half in _halves(block) for row in self.read(half, may_lack=may_lack)]
        self._too_long.add(span)
        return rows

    def _ask(self, block: Block) -> tuple[int, ...]:
        if block.function <= 2:
            return self._bus.read_bits(self._device, block.function, block.address, block.count)
        return self._bus.read_words(self._device, block.function, block.address, block.count)

    def _answers_less(self, block: Block) -> bool:
        """Whether it is alive: a dead device must not cost a timeout for every register."""
        try:
            self._ask(block_of(block.registers[:1]))
        except DeviceRefused:
            return True
        except TransientHardwareError:
            return False
        return True


def _halves(block: Block) -> tuple[Block, Block]:
    middle = len(block.registers) // 2
    return block_of(block.registers[:middle]), block_of(block.registers[middle:])


def _words_of(register: Register, block: Block, words: tuple[int, ...]) -> tuple[int, ...]:
    offset = register.address - block.address
    return words[offset : offset + register.words]
