"""VE.Direct HEX frames: commands to a device, its replies, and what it tells unasked.

    ":"      begin
    command  one hex digit
    body     bytes, two upper-case hex digits each
    check    one byte: command digit + body + check = 0x55 modulo 256
    LF       end

A body of get, set and async is: register (2 bytes, low first), flags, value (low first). A set
without its flags byte is the most common mistake: the device then takes the value's first byte
for it.

Source: Victron BlueSolar HEX protocol, 1 and 1.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hardware.errors import BadChecksum

BEGIN: Final = ord(":")
END: Final = ord("\n")
DIGITS: Final = frozenset(b"0123456789ABCDEF")
DIGITS_MAX: Final = 256
"""More than the longest frame known, a history record of 113 digits."""

PING, VERSION, PRODUCT, RESTART = 0x1, 0x3, 0x4, 0x6
"""Commands that only a device receives."""

GET, SET, ASYNC = 0x7, 0x8, 0xA
"""Commands with a register; get and set are answered with the same digit."""

DONE, UNKNOWN, ERROR, PONG = 0x1, 0x3, 0x4, 0x5
"""What only a device sends."""

UNKNOWN_ID, NOT_SUPPORTED, PARAMETER_ERROR = 0x01, 0x02, 0x04
"""Flags of a reply."""

FRAME_ERROR: Final = b"\xaa\xaa"
"""Body of `ERROR` when the device could not read the frame it got."""

_SUM = 0x55


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame whose check byte was right."""

    command: int
    body: bytes = b""

    @property
    def register(self) -> int | None:
        """The register it is about; None if it is about none."""
        if self.command not in (GET, SET, ASYNC) or len(self.body) < 3:
            return None
        return int.from_bytes(self.body[:2], "little")

    @property
    def flags(self) -> int:
        """The flags of a frame with a register, else 0."""
        return self.body[2] if self.register is not None else 0

    @property
    def value(self) -> bytes:
        """The value of a frame with a register; empty in a get."""
        return self.body[3:] if self.register is not None else b""

    def __str__(self) -> str:
        return write(self).decode().rstrip("\n")


def get(register: int) -> Frame:
    """Return the question for a register's value."""
    return Frame(GET, register.to_bytes(2, "little") + b"\0")


def put(register: int, value: bytes) -> Frame:
    """Return the command that sets a register; `value` has the width the device uses."""
    return Frame(SET, register.to_bytes(2, "little") + b"\0" + value)


def write(frame: Frame) -> bytes:
    """Return a frame as it goes over the line, from the colon to the line feed.

    >>> write(put(0x2015, (100).to_bytes(2, "little"))).strip()
    b':81520006400B4'
    """
    check = (_SUM - frame.command - sum(frame.body)) & 0xFF
    return f":{frame.command:X}{frame.body.hex().upper()}{check:02X}\n".encode()


def read(text: str) -> Frame:
    """Return the frame in a text; colon and line end may be missing, spaces and case are free.

    >>> read(":A0002000148").register == 0x0200
    True

    Raises:
        BadChecksum: the check byte is wrong, or these are no whole frame's digits.
    """
    return read_digits("".join(text.split()).removeprefix(":").upper().encode())


def read_digits(digits: bytes) -> Frame:
    """Return the frame between a colon and a line feed; raises as `read` does."""
    shown = digits.decode("latin-1")
    if not digits or not DIGITS.issuperset(digits):
        raise BadChecksum(f"frame :{shown}: want upper-case hex digits")
    if len(digits) % 2 == 0 or len(digits) < 3:
        raise BadChecksum(f"frame :{shown}: {len(digits)} digits, want an odd number from 3 on")
    command, rest = int(digits[:1], 16), bytes.fromhex(shown[1:])
    total = (command + sum(rest)) & 0xFF
    if total != _SUM:
        raise BadChecksum(f"frame :{shown}: its bytes make {total:02X}, want {_SUM:02X}")
    return Frame(command, rest[:-1])
