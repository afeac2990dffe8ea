"""Faults of the fold itself. An entry at fault is an `Ignored` effect, not one of these."""

from __future__ import annotations


class CoreError(Exception):
    """The fold cannot go on."""


class SnapshotUnreadable(CoreError):
    """A stored state is not what `State.dumps` wrote: delete it and replay from an older one."""
