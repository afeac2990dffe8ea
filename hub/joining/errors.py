"""What can be wrong when nodes join; the text says what to do."""

from __future__ import annotations

from hub.errors import HubError


class JoiningRefused(HubError):
    """A node cannot join now, or the files that it would need are not there."""
