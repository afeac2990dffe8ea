"""What a step returns."""

from __future__ import annotations

from typing import NamedTuple

from hub.core.effects import Effect, Ignored
from hub.core.events import Event
from hub.core.rights import kind_of
from hub.core.state import Change


class Outcome(NamedTuple):
    """What one entry changes, in order, and what that means to others."""

    changes: tuple[Change, ...] = ()
    effects: tuple[Effect, ...] = ()


def ignore(event: Event, reason: str) -> Outcome:
    """Change nothing and say why."""
    return Outcome((), (Ignored(event.index, kind_of(event.body), reason),))
