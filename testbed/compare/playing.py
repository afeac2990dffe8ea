"""How each contract is played in a comparison, where the tariff file says nothing.

One place, so that nobody has to look for hidden choices: a contract that is not named here runs
once with its defaults, and members keep standing orders at their limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hub.market.contract import Value
from testbed.compare.running import Settings
from testbed.compare.tariff import Prices

VARIANTS: Final[Mapping[str, Mapping[str, Mapping[str, Value]]]] = {
    "hybrid_p2p": {
        "": {},
        "lowest ask": {"price_rule": "lowest_ask", "sell": "market"},
    },
}
"""Contract -> run -> parameters: both readings of a paper that contradicts itself, side by side."""


def settings_of(name: str, prices: Prices) -> tuple[Settings, ...]:
    """Return the runs of a contract; what the tariff file says of it counts in all of them."""
    asked = prices.parameters.get(name, {})
    return tuple(
        Settings(name, {**parameters, **asked}, variant)
        for variant, parameters in VARIANTS.get(name, {"": {}}).items()
    )
