"""How each contract is played in a comparison: what it is set to, where the tariff says nothing.

One place, so that nobody has to look for hidden choices: a contract that is not named here runs
with its defaults, and members keep standing orders at their limits.
"""

from __future__ import annotations

from testbed.compare.running import Settings
from testbed.compare.tariff import Prices


def settings_of(name: str, prices: Prices) -> tuple[Settings, ...]:
    """Return the runs of a contract."""
    return (Settings(name, prices.parameters.get(name, {})),)
