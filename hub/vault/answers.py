"""Answers to requests, each encrypted to who asked: a file a call, as long as the call counts."""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path
from typing import Final

from hub.ledger.newest import sync_folder

ABSENT: Final = b""
"""The answer where the key is not here, or the answer was taken."""


class Answers:
    """Owns `<state>/records/answers`."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "records" / "answers"

    def put(self, call_id: bytes, answer: bytes) -> None:
        """Keep an answer durably."""
        write_private(self._folder / call_id.hex(), answer)

    def take(self, call_id: bytes) -> bytes | None:
        """Return an answer, once; None while there is none, b"" if there is nothing to give.

        An empty file stays in its place, so that nobody is answered twice.
        """
        answer = self.look(call_id)
        if answer is not None:
            self.put(call_id, ABSENT)
        return answer

    def look(self, call_id: bytes) -> bytes | None:
        """Return an answer and leave it: only who asked can open it."""
        try:
            return (self._folder / call_id.hex()).read_bytes()
        except FileNotFoundError:
            return None

    def holds(self, call_id: bytes) -> bool:
        """Whether a call was answered."""
        return (self._folder / call_id.hex()).exists()

    def keep_only(self, call_ids: Container[bytes]) -> None:
        """Forget the answers to all other calls."""
        for path in self._folder.glob("*"):
            if bytes.fromhex(path.stem) not in call_ids:
                path.unlink(missing_ok=True)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads: all of it, or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)
