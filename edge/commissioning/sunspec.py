"""What caught exchanges with a SunSpec device say: its models tell themselves what they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edge.commissioning import frames
from edge.commissioning.exchanges import Map, Said, read_exchanges, unpack_words
from edge.commissioning.frames import Message
from hardware.sunspec.describe import describe


def read_sunspec(exchanges: Iterable[tuple[Message | None, Message]]) -> Said:
    """Name what each reply says; what one says may explain the next. Several are a list."""
    said = Said()
    replies: list[dict[str, Any]] = []
    previous: dict[str, Any] = {}
    for request, reply in exchanges:
        told = {}
        if reply.function in frames.READ_WORDS and reply.body[0]:
            told = previous = _described(request, reply, previous)
        if not told:
            plain = read_exchanges(Map(()), [(request or reply, reply)])
            told = dict(plain.values)
            said.notes += plain.notes
        replies.append(told)
    said.values = replies[0] if len(replies) == 1 else {"replies": replies}
    return said


def _described(request: Message | None, reply: Message, previous: dict[str, Any]) -> dict[str, Any]:
    address = request.pair[0] if request is not None else None
    return dict(describe(unpack_words(reply.body[1:]), address, previous))
