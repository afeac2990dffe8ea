"""What the commissioning commands refuse; each text names what, where and what was expected."""

from __future__ import annotations

import os

from edge.errors import EdgeError


class CommissioningError(EdgeError):
    """A command of commissioning cannot do what it was asked."""


class BadFrame(CommissioningError):
    """Bytes that are no whole frame, or not the answer to the request: nothing is decoded."""

    exit_code = os.EX_DATAERR


class BadUsage(CommissioningError):
    """What was asked for does not exist, or needs something that was not given."""

    exit_code = os.EX_USAGE
