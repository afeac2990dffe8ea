"""Why a meter is not calibrated; each text says what was found and what to do."""

from __future__ import annotations

import os

from edge.errors import EdgeError


class CalibrationRefused(EdgeError):
    """The comparison makes no sense, or no good coefficients: nothing was stored."""

    exit_code = os.EX_DATAERR
