"""What a member wishes of a market, and the seal he puts on it until the gate is closed. Pure.

A sealed wish goes onto the ledger as a commitment first and is revealed when nobody can answer it
any more. `salt` is random, 16 to 64 bytes, and makes the wish impossible to guess.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, TypeAlias

from messages import cbor

LABEL: Final = "gridtally/v1/sealed-order"
SALT_BYTES: Final = range(16, 65)
Argument: TypeAlias = int | str | bytes | bool


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

    def arguments(self) -> dict[str, Argument]:
        """Return it as a call to the order book says it."""
        said: dict[str, Argument] = {
            "side": self.side,
            "price_utok_per_kwh": self.price_utok_per_kwh,
        }
        if self.energy_uwh is not None:
            said["energy_uwh"] = self.energy_uwh
        for name in ("prefers", "fuels", "areas"):
            if names := getattr(self, name):
                said[name] = ",".join(names)
        return said


@dataclass(frozen=True, slots=True)
class Market:
    """What an order for a slot meets there. [ms UTC]

    `book`: "open", "sealed", or "" where the contract keeps no order book. Its gate closes when
    the slot `gate_slots` before its own does. `next_slot_ms` is the slot that closes next.
    """

    contract: str
    book: str
    gate_slots: int
    next_slot_ms: int
    slot_ms: int

    def gate_ms(self, slot_ms: int) -> int:
        """Return the last slot that may close next while an order for a slot is taken."""
        return slot_ms - self.gate_slots * self.slot_ms

    @property
    def first_open_ms(self) -> int:
        """The first slot whose gate is open."""
        return self.next_slot_ms + self.gate_slots * self.slot_ms


WAITS: Final = "waits for its gate"
DUE: Final = "is to be revealed"
OVER: Final = "is over"


@dataclass(frozen=True, slots=True)
class SealedOrder:
    """A wish behind a commitment, with what its member needs until it is revealed.

    `commit` and `reveal` are the signed calls: sent again, they count once. `gate_ms`: see
    `Market`. `reveal` b"": not signed yet.
    """

    network_id: bytes
    kid: bytes
    contract: str
    order_id: str
    slot_ms: int
    gate_ms: int
    wish: Wish
    salt: bytes
    commit: bytes
    fee_utok: int = 0
    reveal: bytes = b""
    is_committed: bool = False

    def standing(self, next_slot_ms: int) -> str:
        """Return whether it waits, is due, or over, by the slot that closes next."""
        if next_slot_ms <= self.gate_ms:
            return WAITS
        return DUE if next_slot_ms <= self.slot_ms else OVER

    def reveal_arguments(self) -> dict[str, Argument]:
        """Return the arguments of the call that reveals it."""
        fee = {"fee_utok": self.fee_utok} if self.fee_utok else {}
        return {"order": self.order_id, "salt": self.salt, **self.wish.arguments(), **fee}


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
