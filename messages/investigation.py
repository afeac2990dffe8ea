"""The regulator's cases: what the hub tells an owner, on the ledger, when an embargo has ended.

Opening a case, reading under it and closing it are calls (`hub.core.investigating`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Notice:
    """The hub tells an owner that a case was opened on him, and which entries read under it.

    `accesses` are the indices of the requests that were served so far; what comes later is told by
    no other entry, since from here on the owner sees each as it comes.
    """

    KIND: ClassVar[str] = "notice"
    case: str
    owner: str
    accesses: tuple[int, ...]
