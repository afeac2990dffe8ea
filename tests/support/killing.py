"""Places at which a process may die: a test counts them, then dies at each in turn."""

from __future__ import annotations


class Killed(BaseException):
    """The process is gone: nothing after this happened, and nothing may catch it."""


class Points:
    """Counts the places passed; dies at one of them, once."""

    def __init__(self, die_at: int | None = None) -> None:
        self.passed = 0
        self.where = ""
        self._die_at = die_at

    @property
    def is_dead(self) -> bool:
        """Whether it died."""
        return bool(self.where)

    def reach(self, where: str) -> None:
        """Come to such a place."""
        self.passed += 1
        if self.passed == self._die_at:
            self.where = where
            raise Killed(where)
