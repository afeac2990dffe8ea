"""Every error a replica raises on purpose."""

from __future__ import annotations

from pathlib import Path

from hub.errors import HubError


class ReplicaRefused(HubError):
    """A replica may not run, or be enrolled, with what its folder holds; the text says why."""


class SourceAway(HubError):
    """A place to mirror from does not answer, or has not got what was asked for."""


class SourceWrong(HubError):
    """A place to mirror from serves what is not under the signed head."""


class MirrorDamaged(HubError):
    """The replica's own copy is not what it was when it was checked: begin in another folder."""


class Forked(HubError):
    """The log signed two heads that cannot both be true; `evidence` convinces a stranger."""

    def __init__(self, text: str, evidence: Path | None = None) -> None:
        super().__init__(text)
        self.evidence = evidence


class Sealed(HubError):
    """A sealed reading cannot be opened here, so nothing from it on can be executed again."""


class Stopping(Exception):
    """The process was asked to end while long work was under way."""
