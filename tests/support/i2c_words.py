"""For tests of I2C drivers: fixed registers without a chip, and a clock that pauses move."""

from __future__ import annotations


class Words:
    """An `I2cPort` that holds written words and answers fixed ones; all else reads zero."""

    def __init__(self, fixed: dict[str, str]) -> None:
        self.written: list[tuple[int, int]] = []
        self.held: dict[int, int] = {}
        self._fixed = {int(key, 16): int(word, 16) for key, word in fixed.items()}

    def read_word(self, address: int, register: int) -> int:
        return self._fixed.get(register, self.held.get(register, 0))

    def write_word(self, address: int, register: int, word: int) -> None:
        self.written.append((register, word))
        self.held[register] = word


class FakeClock:
    def __init__(self) -> None:
        self.now_ns = 0
        self.pauses: list[float] = []

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now_ns += round(seconds * 1e9)
