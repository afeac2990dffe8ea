"""`decode`: what caught bytes of any model say, without a bus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from edge.commissioning import frames
from edge.commissioning.chips import CHIPS, read_chip
from edge.commissioning.errors import BadUsage
from edge.commissioning.exchanges import Said, read_exchanges
from edge.commissioning.frames import Message
from edge.commissioning.maps import find_map

UNKNOWN_REQUEST = "-"


VEDIRECT = "vedirect"


def read_given(model: str, given: Sequence[str], file: Path | None = None) -> Said:
    """Name what request and reply in hex say, the words of a chip, or a caught file.

    Raises:
        BadFrame: CRC, checksum, length, id or function is wrong.
        BadUsage: no such model, or not what it needs.
    """
    if model in CHIPS:
        return read_chip(model, given)
    if file is not None:
        raise BadUsage(f"--file: only {VEDIRECT} is read from a file")
    known = find_map(model)
    if not given or len(given) % 2:
        raise BadUsage(
            f"{model}: want REQUEST_HEX REPLY_HEX, each in quotes if it has blanks; "
            f"{UNKNOWN_REQUEST} for a request that is not known"
        )
    return read_exchanges(known, list(_messages(given)))


def _messages(given: Sequence[str]) -> Iterator[tuple[Message | None, Message]]:
    for asked, answered in zip(given[::2], given[1::2], strict=True):
        request = None
        if asked.strip() != UNKNOWN_REQUEST:
            request = frames.parse_request(frames.parse_hex(asked, "request"))
        yield request, frames.parse_reply(frames.parse_hex(answered, "reply"), request)
