"""What energy comes from: the words of the registry, of orders, and of the regulator's rules."""

from __future__ import annotations

from typing import Final

FUELS: Final = (
    "solar",
    "wind",
    "hydro",
    "tidal",
    "geothermal",
    "biomass",
    "biogas",
    "waste",
    "hydrogen",
    "battery",
    "gas",
    "oil",
    "coal",
    "nuclear",
)
RENEWABLE_FUELS: Final = frozenset(
    ("solar", "wind", "hydro", "tidal", "geothermal", "biomass", "biogas")
)
"""Those that come again. Waste, hydrogen and batteries do not say what they are."""
