"""Where a member's sealed orders lie from before their commitment until they are revealed.

A salt that is lost is a bid that is lost, and one that is read early is a bid that is known: one
file an order, for its owner alone, on the disk before anybody hears of it.
"""

from __future__ import annotations

import os
from pathlib import Path

from keys.errors import KeyUnreadable
from keys.file import read_private
from messages.errors import MalformedMessage
from messages.orders import SealedOrder
from messages.schema import decode_record, encode_record


class Salts:
    """A folder of sealed orders, for as many keys and networks as use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, order: SealedOrder) -> None:
        """Write an order durably, over what was known of it."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(order)
        partial = path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(encode_record(order))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def kept(self, network_id: bytes, kid: bytes) -> list[SealedOrder]:
        """Return the orders of a key in a network, by slot.

        Raises:
            KeyUnreadable: a file is damaged, or others can read it.
        """
        found = [_read(path) for path in sorted(self.folder.glob("*.sealed"))]
        mine = [each for each in found if (each.network_id, each.kid) == (network_id, kid)]
        return sorted(mine, key=lambda each: (each.slot_ms, each.order_id))

    def forget(self, order: SealedOrder) -> None:
        """Remove an order that needs nothing more."""
        self._path(order).unlink(missing_ok=True)

    def _path(self, order: SealedOrder) -> Path:
        return self.folder / f"{order.order_id}.sealed"


def _read(path: Path) -> SealedOrder:
    try:
        return decode_record(SealedOrder, read_private(path, "sealed order"))
    except MalformedMessage as error:
        raise KeyUnreadable(f"{path}: no sealed order: {error}") from None
