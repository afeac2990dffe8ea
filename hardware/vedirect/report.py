"""What a VE.Direct device told in text lately: its newest blocks, put together.

Some products spread the fields of a second over two blocks. They are put together only after
each has passed its own checksum, and only while they belong together: a field that the device
leaves out is gone two seconds later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hardware.vedirect.stream import Block

TOGETHER_S: Final = 2.0
"""One second between two tellings of a field, and one more for a reader that comes late."""

STALE_S: Final = 3.0
"""A device tells each second; after three without a valid block nothing it said holds."""


class Report:
    """The fields of the newest blocks."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[str, float]] = {}
        self._newest_s: float | None = None
        self.is_whole = False
        """Whether a label came twice: by then the device has told everything once."""

    def add(self, block: Block, at_s: float) -> None:
        """Take a block that came at this time of a clock that never goes back. [s]"""
        self._newest_s = at_s
        self.is_whole = self.is_whole or any(label in self._told for label, _ in block.fields)
        self._told.update((label, (text, at_s)) for label, text in block.fields)
        self._told = {
            label: told for label, told in self._told.items() if told[1] >= at_s - TOGETHER_S
        }

    def clear(self) -> None:
        """Forget everything: the line was lost."""
        self._told.clear()
        self._newest_s = None
        self.is_whole = False

    def age_s(self, now_s: float) -> float | None:
        """Return how old the newest block is; None if there is none. [s]"""
        return None if self._newest_s is None else now_s - self._newest_s

    @property
    def fields(self) -> Mapping[str, str]:
        """The newest text under each label."""
        return {label: text for label, (text, _) in self._told.items()}
