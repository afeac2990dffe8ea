"""What buyers pay the operator beside the price: network fees, commission."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hub.market.contract import OPERATOR, Match, Transfer
from hub.market.rounding import KWH_UWH

NETWORK_FEE: Final = "network fee"


def operator_fees(
    matches: Sequence[Match], fee_utok_per_kwh: int, reason: str
) -> tuple[Transfer, ...]:
    """Return what each buyer pays the operator for all he bought, rounded down."""
    bought: dict[str, int] = {}
    for match in matches:
        bought[match.buyer] = bought.get(match.buyer, 0) + match.energy_uwh
    return tuple(
        Transfer(buyer, OPERATOR, amount, reason)
        for buyer, energy in bought.items()
        if (amount := energy * fee_utok_per_kwh // KWH_UWH)
    )
