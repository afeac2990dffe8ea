"""The bytes of a VE.Direct line to text blocks and HEX frames, one byte at a time.

    CR LF label TAB value      some times
    CR LF "Checksum" TAB byte  the sum of all bytes, from the first CR to this one, is 0 modulo 256

The checksum byte may be any byte, so exactly one is taken. A colon anywhere else begins a HEX
frame; frames may come at any moment, even between a TAB and the checksum byte, and do not count.
A block is given out only if every byte had its place and the sum is right: what comes after a
lost byte is passed over up to the next checksum.

Source: Victron VE.Direct protocol papers; recordings of public drivers.
Known limits: a sum cannot see a gap whose bytes make 0 modulo 256.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from hardware.errors import BadChecksum
from hardware.vedirect import frames
from hardware.vedirect.frames import Frame

LABEL_MAX: Final = 8
VALUE_MAX: Final = 32
FIELDS_MAX: Final = 32
"""More than the 22 fields that a product is known to send at once."""

CHECKSUM: Final = "Checksum"
_MARK: Final = b"\r\nChecksum\t"
_CR, _LF, _TAB = b"\r\n\t"


@dataclass(frozen=True, slots=True)
class Block:
    """The fields of one text block whose sum was right, in their order."""

    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that were passed over, and why.

    Attributes:
        what: what was wrong with them.
        in_frame: whether it was a HEX frame; else a text block.
    """

    what: str
    in_frame: bool


Found = Block | Frame | Damage


class _Part(Enum):
    """What the next byte of text belongs to."""

    BETWEEN = auto()  # two blocks
    LINE_END = auto()  # the LF behind a CR
    LABEL = auto()
    VALUE = auto()
    CHECKSUM = auto()
    LOST = auto()  # a spoilt block, up to its checksum
    OWED = auto()  # a checksum byte that was counted already: a colon, as a frame before it had


class Stream:
    """The reader of one line. It holds at most one block and one frame."""

    def __init__(self, *, joined: bool = True) -> None:
        """Begin to read.

        Args:
            joined: whether the line was talking already: then what comes before the first good
                block is the rest of one, and no damage.
        """
        self._is_quiet = joined
        self._part = _Part.BETWEEN
        self._fields: list[tuple[str, str]] = []
        self._text = bytearray()
        self._sum = 0
        self._why = ""
        self._may_owe = False
        self._frame: bytearray | None = None
        self._found: list[Found] = []

    def feed(self, raw: Iterable[int]) -> list[Found]:
        """Take bytes as they come and return what became whole with them, in order."""
        for byte in raw:
            self._take(byte)
        found, self._found = self._found, []
        return found

    def finish(self) -> list[Found]:
        """Return the damage that an end in the middle of a block or frame is."""
        if self._frame is not None:
            self._found.append(Damage("the bytes end inside a HEX frame", in_frame=True))
        if self._part is not _Part.BETWEEN:
            self._found.append(Damage("the bytes end inside a text block", in_frame=False))
        return self.feed(b"")

    def _take(self, byte: int) -> None:
        if self._frame is not None:
            self._take_digit(self._frame, byte)
        elif self._part is _Part.CHECKSUM:
            self._take_checksum(byte)
        elif self._part is _Part.OWED:
            self._take_owed(byte)
        elif byte == frames.BEGIN:
            self._frame = bytearray()
        elif self._part is _Part.LOST:
            self._seek(byte)
        else:
            self._take_text(byte)

    # Text

    def _take_text(self, byte: int) -> None:
        """Take a byte of a block, of which each kind has its place."""
        if self._part is _Part.BETWEEN:
            self._begin(byte)
            return
        self._sum += byte
        if self._part is _Part.LINE_END and byte == _LF:
            self._part = _Part.LABEL
        elif self._part is _Part.LABEL and byte == _TAB:
            self._end_label()
        elif self._part is _Part.VALUE and byte == _CR:
            self._end_value()
        elif self._is_letter(byte):
            self._text.append(byte)
        else:
            self._lose(f"byte {byte:02X} where none such may be")
            self._seek(byte)

    def _is_letter(self, byte: int) -> bool:
        """Whether a label or value may hold this byte, and has room for it."""
        if self._part is _Part.LABEL:
            return 0x21 <= byte <= 0x7E and len(self._text) < LABEL_MAX
        return self._part is _Part.VALUE and 0x20 <= byte <= 0x7E and len(self._text) < VALUE_MAX

    def _begin(self, byte: int) -> None:
        """Begin a block, or, where a colon was taken for a checksum, the frame it began."""
        may_owe, self._may_owe = self._may_owe, False
        self._fields, self._text, self._sum, self._why = [], bytearray(), byte, ""
        if byte == _CR:
            self._part = _Part.LINE_END
        elif may_owe and byte in frames.DIGITS:
            self._part = _Part.OWED
            self._frame = bytearray([byte])
        else:
            self._lose(f"byte {byte:02X} between two blocks, want CR")
            self._seek(byte)

    def _end_label(self) -> None:
        label = self._text.decode()
        if label == CHECKSUM:
            self._part = _Part.CHECKSUM
        elif not label or label in dict(self._fields) or len(self._fields) == FIELDS_MAX:
            self._lose(f"label {label!r} once more" if label else "a field without a label")
        else:
            self._fields.append((label, ""))
            self._part = _Part.VALUE
        self._text = bytearray()

    def _end_value(self) -> None:
        label, _ = self._fields[-1]
        self._fields[-1] = (label, self._text.decode())
        self._text = bytearray()
        self._part = _Part.LINE_END

    def _take_checksum(self, byte: int) -> None:
        """Take the byte behind `Checksum`, unless it is a colon and begins a frame."""
        total = (self._sum + byte) & 0xFF
        if byte == frames.BEGIN and (self._why or total):
            self._frame = bytearray()
            return
        if not self._why and total:
            self._why = f"its bytes make {total} modulo 256, want 0"
        elif not self._why and not self._fields:
            self._why = "it has no fields"
        self._end_block()
        self._may_owe = byte == frames.BEGIN

    def _end_block(self) -> None:
        if self._why:
            self._tell(Damage(f"text block: {self._why}", in_frame=False))
        else:
            self._is_quiet = False
            self._found.append(Block(tuple(self._fields)))
        self._part = _Part.BETWEEN

    def _lose(self, why: str) -> None:
        """Give up a block; its checksum is still to be found, as the place to begin again."""
        self._why = self._why or why
        self._part = _Part.LOST
        self._text = bytearray()

    def _seek(self, byte: int) -> None:
        """Look for the checksum of a spoilt block."""
        self._text.append(byte)
        if self._text.endswith(_MARK):
            self._part = _Part.CHECKSUM
            self._text = bytearray()
        elif len(self._text) > len(_MARK):
            del self._text[0]

    # HEX frames

    def _take_digit(self, digits: bytearray, byte: int) -> None:
        if byte in frames.DIGITS and len(digits) < frames.DIGITS_MAX:
            digits.append(byte)
            return
        self._frame = None
        if byte != frames.END:
            self._break_frame(digits, f"byte {byte:02X} where a digit should be", byte)
            return
        try:
            self._found.append(frames.read_digits(bytes(digits)))
        except BadChecksum as error:
            self._break_frame(digits, str(error), None)

    def _break_frame(self, digits: bytearray, why: str, byte: int | None) -> None:
        """Let a broken frame spoil the block it stood in; `byte` is read again as text."""
        if self._part is _Part.CHECKSUM:
            # It was no frame: the colon was this block's checksum, and wrong or not to be judged.
            self._why = self._why or "its checksum byte is a colon, want another"
            self._end_block()
        else:
            self._tell(Damage(f"HEX {why}", in_frame=True))
            if self._part is not _Part.BETWEEN:
                self._lose(f"a broken HEX frame, :{digits.decode()}, inside")
        if byte is not None:
            self._take(byte)

    def _take_owed(self, byte: int) -> None:
        """Pass over the checksum byte that was counted already."""
        if byte == frames.BEGIN:
            self._part = _Part.BETWEEN
            self._may_owe = True
        else:
            self._lose(f"byte {byte:02X} behind a HEX frame, want the checksum byte 3A")
            self._seek(byte)

    def _tell(self, damage: Damage) -> None:
        if damage.in_frame or not self._is_quiet:
            self._found.append(damage)
