"""`decode`: what caught bytes of any model say, without a bus."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from edge.commissioning import frames
from edge.commissioning.chips import CHIPS, read_chip
from edge.commissioning.errors import BadFrame, BadUsage
from edge.commissioning.exchanges import Said, Shown, read_exchanges
from edge.commissioning.frames import Message
from edge.commissioning.maps import find_map
from edge.commissioning.sunspec import read_sunspec
from hardware.errors import BadChecksum
from hardware.vedirect import frames as vedirect_frames
from hardware.vedirect import labels, registers
from hardware.vedirect.frames import Frame
from hardware.vedirect.labels import LABELS, describe_block
from hardware.vedirect.quantity import Quantity, Value
from hardware.vedirect.registers import REGISTERS, describe_frame
from hardware.vedirect.stream import Block, Damage, Stream

UNKNOWN_REQUEST = "-"


SUNSPEC, VEDIRECT, VEDIRECT_HEX = "sunspec", "vedirect", "vedirect_hex"


def read_given(model: str, given: Sequence[str], file: Path | None = None) -> Said:
    """Name what request and reply in hex say, the words of a chip, or a caught file.

    Raises:
        BadFrame: CRC, checksum, length, id or function is wrong.
        BadUsage: no such model, or not what it needs.
    """
    if model in CHIPS:
        return read_chip(model, given)
    if model == VEDIRECT:
        return _read_vedirect(_caught(given, file))
    if model == VEDIRECT_HEX:
        return _read_vedirect_hex(given)
    if file is not None:
        raise BadUsage(f"--file: only {VEDIRECT} is read from a file")
    known = None if model == SUNSPEC else find_map(model)
    if not given or len(given) % 2:
        raise BadUsage(
            f"{model}: want REQUEST_HEX REPLY_HEX, each in quotes if it has blanks; "
            f"{UNKNOWN_REQUEST} for a request that is not known"
        )
    exchanges = list(_messages(given))
    return read_sunspec(exchanges) if known is None else read_exchanges(known, exchanges)


def _messages(given: Sequence[str]) -> Iterator[tuple[Message | None, Message]]:
    for asked, answered in zip(given[::2], given[1::2], strict=True):
        request = None
        if asked.strip() != UNKNOWN_REQUEST:
            request = frames.parse_request(frames.parse_hex(asked, "request"))
        yield request, frames.parse_reply(frames.parse_hex(answered, "reply"), request)


def _caught(given: Sequence[str], file: Path | None) -> bytes:
    """Return bytes from a file, standard input or the command line; a text of hex is unpacked."""
    if file is None:
        return frames.parse_hex(" ".join(given), VEDIRECT)
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise BadUsage(f"{file}: {error.strerror}") from None
    is_text = re.fullmatch(rb"[\s0-9A-Fa-f]+", raw) is not None
    return frames.parse_hex(raw.decode(), str(file)) if is_text else raw


def _read_vedirect(raw: bytes) -> Said:
    """Name the fields of every text block, and the HEX frames between and in them."""
    stream = Stream(joined=not raw.startswith(b"\r\n"))
    found = stream.feed(raw)
    said = Said(notes=[each.what for each in stream.finish() if isinstance(each, Damage)])
    damages = [each.what for each in found if isinstance(each, Damage)]
    if damages:
        raise BadFrame("; ".join(damages))
    blocks = [_block(each) for each in found if isinstance(each, Block)]
    hex_frames = [_frame(each) for each in found if isinstance(each, Frame)]
    if not blocks and not hex_frames:
        ends = said.notes[0] if said.notes else f"{len(raw)} bytes"
        raise BadFrame(f"no whole block: {ends}; want fields, CR LF Checksum TAB and one byte")
    said.values = dict(blocks[0]) if len(blocks) == 1 else {}
    if len(blocks) > 1:
        said.values["blocks"] = blocks
    if hex_frames:
        said.values["hex_frames"] = hex_frames
    return said


def _read_vedirect_hex(given: Sequence[str]) -> Said:
    """Name what one HEX frame says."""
    if not given:
        raise BadUsage(f"{VEDIRECT_HEX}: want a frame, as :7DBED009E16D2")
    try:
        return Said(_frame(vedirect_frames.read("".join(given))))
    except BadChecksum as error:
        raise BadFrame(str(error)) from None


def _block(block: Block) -> dict[str, Shown]:
    """Return a text block by name; what has a word has its number, too."""
    shown: dict[str, Shown] = {**describe_block(block)}
    for label, text in block.fields:
        if label in LABELS:
            shown |= _code(LABELS[label], shown, labels.value_of(label, text))
    return shown


def _frame(frame: Frame) -> dict[str, Shown]:
    """Return a HEX frame by name; what has a word has its number, too."""
    shown: dict[str, Shown] = {**describe_frame(frame)}
    register = frame.register
    if register is not None and register in REGISTERS and frame.value:
        value = registers.value_of(register, frame.value)
        shown |= _code(REGISTERS[register], shown, value)
    return shown


def _code(quantity: Quantity, shown: dict[str, Shown], value: Value) -> dict[str, Shown]:
    if isinstance(value, Fraction) and isinstance(shown.get(quantity.key), str):
        return {f"{quantity.key}_code": int(value)}
    return {}
