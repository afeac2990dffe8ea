"""How a test of a relay ends early; each text says how the relay stands."""

from __future__ import annotations

from edge.errors import EdgeError


class RelayTestEnded(EdgeError):
    """A person said no, or a signal came; the relay is released."""


class NotReleased(EdgeError):
    """The relay could not be released, or nobody can tell: its load may be as nobody wants it."""
