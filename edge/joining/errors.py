"""Why a node cannot join; the text says what to do."""

from __future__ import annotations

import os

from edge.errors import EdgeError


class JoinRefused(EdgeError):
    """The hub, or what this node found at its address, is not to be joined; nothing was written."""

    exit_code = os.EX_DATAERR
