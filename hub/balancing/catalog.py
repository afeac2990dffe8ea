"""Which dispatch policies there are: one line each; others come by the entry-point group.

See `hub.market.catalog`, which works alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Final

from hub.balancing.dep import Dep
from hub.balancing.errors import UnknownPolicy
from hub.balancing.least_disruption import LeastDisruption
from hub.balancing.none import NoDispatch
from hub.balancing.policy import DispatchPolicy
from hub.balancing.price import Price
from hub.balancing.priority import Priority
from hub.balancing.proportional import Proportional
from hub.balancing.rotation import Rotation

GROUP: Final = "gridtally.policies"

POLICIES: Final[Mapping[str, Callable[[], DispatchPolicy]]] = {
    "dep": Dep,
    "least_disruption": LeastDisruption,
    "none": NoDispatch,
    "price": Price,
    "priority": Priority,
    "proportional": Proportional,
    "rotation": Rotation,
}


def policy(
    name: str, catalog: Mapping[str, Callable[[], DispatchPolicy]] = POLICIES
) -> DispatchPolicy:
    """Return a new policy of that name; raises UnknownPolicy naming those there are."""
    if name not in catalog:
        raise UnknownPolicy(f"no dispatch policy {name!r}; there are {', '.join(sorted(catalog))}")
    return catalog[name]()


def installed() -> Mapping[str, Callable[[], DispatchPolicy]]:
    """Return our policies and those of installed packages; ours win a clash of names.

    Reads package metadata: call it once at start and pass the result on.
    """
    found = {point.name: point.load() for point in entry_points(group=GROUP)}
    return {**found, **POLICIES}
