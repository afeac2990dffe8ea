"""What a member wishes of a market, and the seal he puts on it until the gate is closed.

A sealed wish goes onto the ledger as a commitment first and is revealed when nobody can answer it
any more. `salt` is random, 16 to 64 bytes, and makes the wish impossible to guess.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from messages import cbor

LABEL: Final = "gridtally/v1/sealed-order"
SALT_BYTES: Final = range(16, 65)


@dataclass(frozen=True, slots=True)
class Wish:
    """Energy at a price. `side`: "bid" or "ask". `energy_uwh` None: as much as the meter shows.

    A bid may name the sellers it prefers, dearest first, and the only fuels and areas it takes.
    """

    side: str
    energy_uwh: int | None
    price_utok_per_kwh: int
    prefers: tuple[str, ...] = ()
    fuels: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()


def commitment(member: str, slot_ms: int, wish: Wish, salt: bytes) -> bytes:
    """Return what is published first.

    SHA-256 of the deterministic CBOR of
    [label, member, slot_ms, side, energy_uwh, price_utok_per_kwh,
     [prefers], [fuels], [areas], salt]
    """
    return hashlib.sha256(
        cbor.encode(
            [
                LABEL,
                member,
                slot_ms,
                wish.side,
                wish.energy_uwh,
                wish.price_utok_per_kwh,
                list(wish.prefers),
                list(wish.fuels),
                list(wish.areas),
                salt,
            ]
        )
    ).digest()
