"""From energy and price to money, and the one rounding rule of the house.

An amount is rounded half to even to a whole micro-token, once for each deal; the payer's line and
the payee's line carry that same amount with opposite signs. So every settlement sums to zero, and
nothing has to be spread or written off.
"""

from __future__ import annotations

from hub.core.effects import CORRECTED, Line
from hub.market.contract import GRID, Tariff
from hub.market.rounding import amount_utok


def deal(
    seller: str, buyer: str, energy_uwh: int, price_utok_per_kwh: int, quality: str
) -> tuple[Line, Line]:
    """Return both lines of a sale: the seller's, then the buyer's."""
    amount = amount_utok(energy_uwh, price_utok_per_kwh)
    return (
        Line(seller, "sale", buyer, energy_uwh, price_utok_per_kwh, amount, quality),
        Line(buyer, "purchase", seller, energy_uwh, price_utok_per_kwh, -amount, quality),
    )


def transfer(payer: str, payee: str, amount: int, reason: str) -> tuple[Line, Line]:
    """Return both lines of money that moves without energy; `reason` stands as quality."""
    return (
        Line(payee, "transfer", payer, 0, 0, amount, reason),
        Line(payer, "transfer", payee, 0, 0, -amount, reason),
    )


def correction(member: str, old_net_uwh: int, new_net_uwh: int, tariff: Tariff) -> tuple[Line, ...]:
    """Return the lines that turn one net energy of a member and slot into another.

    The grid account takes the other side: more drawn costs the price, more fed in earns the feed-in
    price, as if the member had dealt with the grid alone. Amounts are differences of rounded
    totals, so that corrections one after the other end where a single one would.
    """
    drawn = (max(-old_net_uwh, 0), max(-new_net_uwh, 0))
    fed_in = (max(old_net_uwh, 0), max(new_net_uwh, 0))
    return (
        *_leg(member, drawn, tariff.price_utok_per_kwh, -1),
        *_leg(member, fed_in, tariff.feed_in_utok_per_kwh, 1),
    )


def _leg(member: str, energies: tuple[int, int], price: int, sign: int) -> tuple[Line, ...]:
    old_uwh, new_uwh = energies
    if old_uwh == new_uwh:
        return ()
    amount = sign * (amount_utok(new_uwh, price) - amount_utok(old_uwh, price))
    energy = sign * (new_uwh - old_uwh)
    return (
        Line(member, "correction", GRID, energy, price, amount, CORRECTED),
        Line(GRID, "correction", member, -energy, price, -amount, CORRECTED),
    )
