"""What every simulated VE.Direct device does: text each second, and answers in HEX.

A device has blocks of text fields and a table of registers; how both become bytes, who is refused
and why, and what goes wrong on the line, stands here. It has no thread and no port: a server
fetches its report each second and gives it what clients send.

Source: Victron VE.Direct protocol papers and BlueSolar HEX protocol; recordings of public drivers.
Known limits: the boot loader is not simulated; how much HEX traffic suppresses text is guessed,
since no source gives a number.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hardware.mock.faults import SENSOR_FAULTS, Distortion, FaultSwitches

VEDIRECT_FAULTS: Final = (
    "silent",
    "bad_crc",
    "wrong_model",
    "not_available",
    "hex_behind_checksum",
    "hex_in_block",
    "block_bit_flip",
    "stops_5_s",
    "joined_mid_block",
    "two_blocks",
)
"""Fault switches that every simulated VE.Direct device has."""

Fields = Sequence[tuple[str, str]]

_STOP_S = 5.0
_TALKS_BOTH = 153
_PAUSE_S, _HEAVY_S, _HEAVY = 2.0, 1.0, 10
_MODE_ON = b":A0002000148\n"
_FRAME_ERROR = b":4AAAAFD\n"
_INVERTER_ID = 0xA231
_PING, _VERSION, _PRODUCT, _RESTART, _GET, _SET, _ASYNC = 1, 3, 4, 6, 7, 8, 10
_DONE, _UNKNOWN, _PONG = 1, 3, 5
_UNKNOWN_ID, _READ_ONLY, _BAD_VALUE = 1, 2, 4
_LONGEST = 256


@dataclass(frozen=True, slots=True)
class Cell:
    """One register at one moment: its value, low byte first, and whether it can be set."""

    value: bytes
    is_writable: bool = False


def cell(value: int | None, size: int, *, signed: bool = False, writable: bool = False) -> Cell:
    """Return a number as a register of so many bytes; None is the code for "not available".

    >>> cell(None, 2).value.hex(), cell(None, 2, signed=True).value.hex(), cell(-2, 2).value.hex()
    ('ffff', 'ff7f', 'feff')
    """
    most = (1 << 8 * size) - 1
    if value is None:
        value = most >> 1 if signed else most
    return Cell((value & most).to_bytes(size, "little"), writable)


def frame(command: int, body: bytes = b"") -> bytes:
    """Return a HEX frame: all bytes and the check byte make 0x55."""
    check = (0x55 - command - sum(body)) % 256
    return f":{command:X}{body.hex().upper()}{check:02X}\n".encode()


def text_block(fields: Fields) -> bytes:
    """Return a text block: all bytes and the checksum byte make 0."""
    text = "".join(f"\r\n{label}\t{value}" for label, value in fields) + "\r\nChecksum\t"
    raw = text.encode()
    return raw + bytes([-sum(raw) % 256])


class VeDirectDevice(ABC):
    """One device that talks by itself, and can be asked."""

    product_id: int
    model: str
    pushed: tuple[int, ...]
    """Registers that are told unasked when they change."""

    def __init__(self, serial: str, firmware: int, seed: int, clock_s: Callable[[], float]) -> None:
        """Begin to run.

        Args:
            serial: its serial number, 11 letters.
            firmware: its version, 159 for 1.59.
            seed: of the faults that are random.
            clock_s: any clock that never goes back. [s]
        """
        self.faults = FaultSwitches(*SENSOR_FAULTS, *VEDIRECT_FAULTS)
        self._serial, self._firmware = serial, firmware
        self._distortion = Distortion(self.faults, seed)
        self._chance = random.Random(seed)  # noqa: S311 - a repeatable bench, not a secret
        self._clock_s = clock_s
        self._begun_s = clock_s()
        self._quiet_until_s = self._begun_s
        self._asked_s: deque[float] = deque(maxlen=_HEAVY + 1)
        self._told: dict[int, bytes] = {}
        self._heard = bytearray()

    # What a device is

    @abstractmethod
    def blocks(self) -> Sequence[Fields]:
        """Return the text of this second, in one block or more."""

    @abstractmethod
    def measured(self) -> frozenset[str]:
        """Return the labels whose values are measured."""

    @abstractmethod
    def cells(self) -> Mapping[int, Cell]:
        """Return every register."""

    @abstractmethod
    def store(self, register: int, value: bytes) -> bool:
        """Take the value of a writable register; False refuses it."""

    def restart(self) -> None:
        """Forget what a device does not keep; overridden where there is something."""
        self._told.clear()

    # What it says

    def report(self) -> bytes:
        """Return what it says in this second without being asked."""
        if self.faults.take("stops_5_s"):
            self._quiet_until_s = self._clock_s() + _STOP_S
        if self._is_quiet():
            return b""
        said = b"".join(self._changes())
        if self._has_room_for_text():
            said += b"".join(self._spoilt(text_block(fields)) for fields in self._shown_blocks())
        return said

    def hear(self, sent: bytes) -> bytes:
        """Take bytes of a client and return the answers to the frames that are whole now."""
        answers = b""
        for byte in sent:
            if byte == ord(":"):
                self._heard = bytearray(b":")
            elif self._heard and byte == ord("\n"):
                answers += self._answer(bytes(self._heard[1:]))
                self._heard.clear()
            elif self._heard and len(self._heard) < _LONGEST:
                self._heard.append(byte)
        return b"" if self._is_quiet() else answers

    # Text

    def _shown_blocks(self) -> Sequence[Fields]:
        if "wrong_model" in self.faults:
            return [self._inverter()]
        blocks = self.blocks()
        if "not_available" in self.faults:
            blocks = [self._unavailable(fields) for fields in blocks]
        if "two_blocks" in self.faults and len(blocks) == 1:
            half = len(blocks[0]) // 2
            blocks = [blocks[0][:half], blocks[0][half:]]
        return blocks

    def _unavailable(self, fields: Fields) -> Fields:
        labels = self.measured()
        return [(label, "---" if label in labels else text) for label, text in fields]

    def _inverter(self) -> Fields:
        return [
            ("PID", f"0x{_INVERTER_ID:04X}"),
            ("FW", "0121"),
            ("SER#", self._serial),
            ("MODE", "2"),
            ("CS", "9"),
            ("AC_OUT_V", "23001"),
            ("AC_OUT_I", "2"),
            ("V", "12410"),
            ("AR", "0"),
            ("WARN", "0"),
        ]

    def _spoilt(self, block: bytes) -> bytes:
        """Return what the line makes of a block."""
        if self.faults.take("joined_mid_block"):
            block = block[self._chance.randrange(1, len(block)) :]
        if "block_bit_flip" in self.faults:
            at = self._chance.randrange(len(block))
            block = (
                block[:at] + bytes([block[at] ^ 1 << self._chance.randrange(8)]) + block[at + 1 :]
            )
        if "hex_in_block" in self.faults:
            at = self._chance.randrange(1, len(block))
            block = block[:at] + _MODE_ON + block[at:]
        return block + (_MODE_ON if "hex_behind_checksum" in self.faults else b"")

    def _is_quiet(self) -> bool:
        return "silent" in self.faults or self._clock_s() < self._quiet_until_s

    def _has_room_for_text(self) -> bool:
        """Whether text is said beside HEX: old firmware waits for its end, new if it is much."""
        if not self._asked_s:
            return True
        since_s = self._clock_s() - self._asked_s[-1]
        if self._firmware < _TALKS_BOTH:
            return since_s >= _PAUSE_S
        is_heavy = len(self._asked_s) > _HEAVY
        return not is_heavy or self._clock_s() - self._asked_s[0] >= _HEAVY_S

    # HEX

    def _shown_cells(self) -> dict[int, Cell]:
        """Return the registers that are the same in every product, and this one's own."""
        is_other = "wrong_model" in self.faults
        product = _INVERTER_ID if is_other else self.product_id
        name = "Phoenix Inverter 12V 500VA 230V" if is_other else self.model
        return {
            0x0100: Cell(b"\0" + product.to_bytes(2, "little") + b"\xff"),
            0x0102: Cell(b"\0" + self._version() + b"\xff"),
            0x010A: Cell(self._serial.encode().ljust(16, b"\0")),
            0x010B: Cell(name.encode()),
            0x0120: cell(int(self._clock_s() - self._begun_s), 4),
            **({} if is_other else self.cells()),
        }

    def _changes(self) -> Sequence[bytes]:
        """Return frames for the registers that changed since they were told last."""
        shown = self._shown_cells()
        now = {register: shown[register].value for register in self.pushed if register in shown}
        before, self._told = self._told, now
        return [
            frame(_ASYNC, register.to_bytes(2, "little") + b"\0" + value)
            for register, value in now.items()
            if before.get(register, value) != value
        ]

    def _version(self) -> bytes:
        """Return the firmware version as two bytes: its digits, and the bit of an application."""
        return (0x4000 | int(str(self._firmware), 16)).to_bytes(2, "little")

    def _answer(self, digits: bytes) -> bytes:
        self._asked_s.append(self._clock_s())
        try:
            content = bytes.fromhex("0" + digits.decode())
        except ValueError:
            return _FRAME_ERROR
        if len(content) < 2 or sum(content) % 256 != 0x55:
            return _FRAME_ERROR
        answer = self._obey(content[0], content[1:-1])
        if "bad_crc" in self.faults and answer:
            answer = answer[:-2] + (b"0" if answer[-2:-1] != b"0" else b"1") + b"\n"
        return answer

    def _obey(self, command: int, body: bytes) -> bytes:
        match command:
            case 1:
                return frame(_PONG, self._version())
            case 3:
                return frame(_DONE, self._version())
            case 4:
                return frame(_DONE, self._shown_cells()[0x0100].value[1:3])
            case 6:
                self.restart()
                return b""
            case 7 | 8 if len(body) >= 3:
                return self._reply(command, body[:2], body[3:])
            case 7 | 8:
                return _FRAME_ERROR
            case _:
                return frame(_UNKNOWN, bytes([command, 0]))

    def _reply(self, command: int, register: bytes, value: bytes) -> bytes:
        """Get or set; an answer holds the value that stands, also when it refuses another."""
        number = int.from_bytes(register, "little")
        found = self._shown_cells().get(number)
        if found is None:
            return frame(command, register + bytes([_UNKNOWN_ID]))
        flags = 0
        if command == _SET and not found.is_writable:
            flags = _READ_ONLY
        elif command == _SET and not (len(value) == len(found.value) and self.store(number, value)):
            flags = _BAD_VALUE
        stands = self._shown_cells()[number].value
        return frame(command, register + bytes([flags]) + stands)
