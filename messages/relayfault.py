"""What measurement says of a relay: that it does not do what it is told, or that it does again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

WELDED: Final = "welded"
"""Cut, and its load's own meter shows that it draws on."""
NO_FALL: Final = "no_fall"
"""Cut, and the meter above shows no fall; the load has none of its own."""
DEAD: Final = "dead"
"""Fed again, and its load, which drew power before, draws none."""
ASTRAY: Final = "astray"
"""Its contact reads back otherwise than it is ordered."""
WORKS: Final = ""
FAULTS: Final = (WELDED, NO_FALL, DEAD, ASTRAY, WORKS)
REASON_CHARS_MAX: Final = 300


@dataclass(frozen=True, slots=True)
class RelayFault:
    """From here on no policy counts on a relay; with `fault` "" one may again. [ms UTC]

    Signed by the hub, which measures; that it works again also by who mended it.
    """

    KIND: ClassVar[str] = "fault"
    node: str
    relay: str
    fault: str
    reason: str
    at_ms: int
