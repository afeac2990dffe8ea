"""`step(state, event)`: what one ledger entry changes. The whole fold hangs on this table.

A step is pure: it reads the state and returns changes and effects; the caller applies them. The
fold has no clock but the close entries, so a replay gives the same state, byte for byte. No entry
stops it: what has no right or no meaning is an `Ignored` effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from hub.core.effects import Effect
from hub.core.state import Change
from hub.market.contract import Contract

Contracts = Mapping[str, Callable[[], Contract]]


class Outcome(NamedTuple):
    """What one entry changes and what that means to others."""

    changes: tuple[Change, ...] = ()
    effects: tuple[Effect, ...] = ()
