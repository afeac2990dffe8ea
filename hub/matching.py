"""Pair the largest deficit with the largest surplus until one side is empty.

Shared by the market (energies of a slot) and by dispatch (powers of an instant), so that a
load is kept on exactly where its energy will later be traded. Units are the caller's.

Source: paper 000, section 4.2, steps 5 to 7.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple


class Claim(NamedTuple):
    """What one member has over or lacks, named by the meter that shows it."""

    meter_id: str
    member: str
    amount: int


class Deal(NamedTuple):
    """One transfer from a surplus to a deficit."""

    surplus: Claim
    deficit: Claim
    amount: int


def pair(surpluses: Iterable[Claim], deficits: Iterable[Claim]) -> tuple[Deal, ...]:
    """Return the deals in the order in which they are made.

    Each round takes the largest surplus and the largest deficit that are left and trades the
    smaller amount. Equal amounts: the smaller (meter id, member) goes first. The result does
    not depend on the order of the arguments; claims that are not positive are left out.
    """
    over, under = _heap(surpluses), _heap(deficits)
    deals: list[Deal] = []
    while over and under:
        surplus_left, surplus_claim = -over[0][0], over[0][2]
        deficit_left, deficit_claim = -under[0][0], under[0][2]
        amount = min(surplus_left, deficit_left)
        deals.append(Deal(surplus_claim, deficit_claim, amount))
        _take(over, surplus_left - amount)
        _take(under, deficit_left - amount)
    return tuple(deals)


_Heap = list[tuple[int, tuple[str, str], Claim]]


def _heap(claims: Iterable[Claim]) -> _Heap:
    heap = [(-claim.amount, (claim.meter_id, claim.member), claim) for claim in claims]
    heap = [row for row in heap if row[0] < 0]
    heapify(heap)
    return heap


def _take(heap: _Heap, left: int) -> None:
    """Replace the top of the heap by what is left of it."""
    if left:
        heapreplace(heap, (-left, heap[0][1], heap[0][2]))
    else:
        heappop(heap)
