"""Energy that goes into a storage and comes out again, as the storage's own signed meter attests.

The storage is a member with a meter. What it drew in a slot is what was stored, what it gave is
what was released; nothing here can store or release without its meter. Who had energy over in that
slot stored it, in proportion; each has a credit for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from hub.market.contract import ASK, BID, Fate, Match, Position, SlotBook, Value
from hub.market.holdings import held
from hub.market.parameters import choice, whole, words
from hub.market.rounding import shares
from messages.topics import NAME

PPM: Final = 1_000_000
CREDIT: Final = "credit"
"""What rows of memory are called that hold members' credits."""


def _name_complaint(text: str) -> str:
    return "" if NAME.fullmatch(text) else "the name of a member"


@dataclass(frozen=True, slots=True)
class StorageRules:
    """What the storage is. [uWh, ppm] `loss`: who bears what is lost inside."""

    storage: str = words("storage", _name_complaint)
    capacity_uwh: int = whole(10**13, 0, 10**17)
    efficiency_ppm: int = whole(PPM, 1, PPM)
    loss: str = choice("seller", "storage")

    def credited_uwh(self, stored_uwh: int) -> int:
        """Return what who stored is credited for."""
        if self.loss == "storage":
            return stored_uwh
        return comes_out_uwh(stored_uwh, self.efficiency_ppm)

    def storable_uwh(self, room_uwh: int) -> int:
        """Return the most that can be stored so that credits fit into a room."""
        if self.loss == "storage":
            return room_uwh
        return goes_in_uwh(room_uwh, self.efficiency_ppm)


class Stored(NamedTuple):
    """What one slot put in: matches at the price 0, what each is credited, and who was refused."""

    matches: tuple[Match, ...] = ()
    credits_uwh: Mapping[str, int] = {}
    fates: tuple[Fate, ...] = ()


def store(rules: StorageRules, book: SlotBook, held_uwh: int) -> Stored:
    """Return what went into the storage in a slot.

    Args:
        rules: of the storage.
        book: of the slot.
        held_uwh: all credits before it.
    """
    storage = storage_of(rules, book)
    if storage is None or not storage.deficit_uwh:
        return Stored()
    givers = [p for p in book.positions if p.surplus_uwh]
    offered = sum(p.surplus_uwh for p in givers)
    room = rules.storable_uwh(max(rules.capacity_uwh - held_uwh, 0))
    taken = min(offered, storage.deficit_uwh, room)
    parts = shares(taken, [p.surplus_uwh for p in givers])
    is_full = taken == room < min(offered, storage.deficit_uwh)
    reason = f"the storage {rules.storage} is full" if is_full else "the storage drew no more"
    matches = tuple(
        _put_in(p, storage, part) for p, part in zip(givers, parts, strict=True) if part
    )
    credited = {
        p.member: rules.credited_uwh(part) for p, part in zip(givers, parts, strict=True) if part
    }
    fates = [
        Fate(p.member, "", ASK, p.surplus_uwh, 0, part, "" if part == p.surplus_uwh else reason)
        for p, part in zip(givers, parts, strict=True)
    ]
    short = "" if taken == storage.deficit_uwh else "the rest of what it drew is the grid's"
    fates.append(Fate(rules.storage, "", BID, storage.deficit_uwh, 0, taken, short))
    return Stored(matches, credited, tuple(fates))


def storage_of(rules: StorageRules, book: SlotBook) -> Position | None:
    """Return the storage's position; None where it has no meter."""
    return next((p for p in book.positions if p.member == rules.storage), None)


def release(storage: Position, buyer: Position, energy_uwh: int, price_utok_per_kwh: int) -> Match:
    """Return energy that leaves the storage for a member."""
    return Match(
        storage.member,
        buyer.member,
        storage.export_meter,
        buyer.import_meter,
        energy_uwh,
        price_utok_per_kwh,
    )


def credits_of(memory: Mapping[str, Value]) -> Iterator[tuple[str, int]]:
    """Yield each member's credit. [uWh]"""
    for key in memory:
        if key.startswith(f"{CREDIT}."):
            yield key.removeprefix(f"{CREDIT}."), held(memory, key)


def credit_of(memory: Mapping[str, Value], member: str) -> int:
    """Return what of the storage is a member's to sell or to have. [uWh]"""
    return held(memory, f"{CREDIT}.{member}")


def comes_out_uwh(stored_uwh: int, efficiency_ppm: int) -> int:
    """Return what comes out again of energy that was stored, rounded down."""
    return stored_uwh * efficiency_ppm // PPM


def goes_in_uwh(room_uwh: int, efficiency_ppm: int) -> int:
    """Return the most that can be stored so that what comes out again fits into a room."""
    return (room_uwh * PPM + PPM - 1) // efficiency_ppm


def _put_in(giver: Position, storage: Position, energy_uwh: int) -> Match:
    return Match(
        giver.member, storage.member, giver.export_meter, storage.import_meter, energy_uwh, 0
    )
