"""What a member asks of a contract that every policy has: arguments by type, one method served."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from hub.core.draft import Draft
from hub.core.events import Event
from hub.core.records import Key
from hub.market.contract import Value
from hub.market.errors import CallRefused
from messages.entries import Call

Plain = TypeVar("Plain", str, int, bytes)
Served = TypeVar("Served")
Answer: TypeAlias = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Request:
    """One call, with the draft that it may change. `next_slot_ms`: the slot that it counts in."""

    draft: Draft
    event: Event
    key: Key
    next_slot_ms: int
    call_id: bytes
    arguments: Mapping[str, Any]

    @property
    def member(self) -> str:
        """Who signed."""
        return self.key.name

    def text(self, name: str) -> str:
        """Return an argument, "" where it was left out; CallRefused if it is no text."""
        return self._typed(name, str, "")

    def number(self, name: str) -> int:
        """Return an argument, 0 where it was left out; CallRefused if it is no number."""
        return self._typed(name, int, 0)

    def octets(self, name: str) -> bytes:
        """Return an argument, empty where it was left out; CallRefused if it is not bytes."""
        return self._typed(name, bytes, b"")

    def _typed(self, name: str, kind: type[Plain], default: Plain) -> Plain:
        value = self.arguments.get(name, default)
        if type(value) is not kind:
            raise CallRefused(f"{name} is to be {kind.__name__}")
        return value


Methods: TypeAlias = Mapping[str, tuple[tuple[str, ...], Callable[[Request], Served]]]
"""Method -> the arguments it knows, and what serves it."""


def serve(
    draft: Draft, event: Event, call: Call, next_slot_ms: int, methods: Methods[Served]
) -> Served:
    """Serve one call, and return what its method does: its answer, or more.

    Raises:
        CallRefused: the text says why; the draft is to be thrown away.
    """
    if call.method not in methods:
        raise CallRefused(
            f"{call.contract} have no method {call.method!r}: there are {', '.join(methods)}"
        )
    known, run = methods[call.method]
    if not set(call.arguments) <= set(known):
        raise CallRefused(f"{call.method} takes {', '.join(known)}")
    key = draft.state.keys[event.kid]
    return run(Request(draft, event, key, next_slot_ms, call.call_id, call.arguments))


def is_member(draft: Draft, name: str) -> bool:
    """Whether somebody has a member's key that counts."""
    return any(
        key.holder == "member" and key.name == name and key.is_current
        for key in draft.state.keys.values()
    )
