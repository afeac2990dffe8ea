"""The limits that count in a score, whoever controls: from the policy of the scenario alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from hub.balancing.limits import limits_of, number
from messages.entries import PolicyEntry
from testbed.layout import Layout
from testbed.probes import Kind, Probe
from testbed.world import World

TOLERANCE_PERMILLE: Final = 20
"""An excess below this part of a limit is none: the deadband of every controller."""


@dataclass(frozen=True, slots=True)
class Bus:
    """What the level of the bus says, by the lines that the policy draws."""

    has_grid: bool
    sags: bool

    @classmethod
    def of(cls, world: World, policy: PolicyEntry) -> Bus:
        """Return what a boundary meter would tell now."""
        parameters = policy.dispatch_parameters
        for unit, level in (("mv", world.flows.bus_mv), ("mhz", world.frequency_mhz)):
            island_below = number(parameters, f"island_below_{unit}", 0)
            if island_below > 0:
                return cls(
                    level >= island_below, level < number(parameters, f"sag_below_{unit}", 0)
                )
        return cls(world.has_grid or world.grid is None, False)


class Excess(NamedTuple):
    """One limit now: by how much it is exceeded, 0 where it holds, and what is still free. [uW]"""

    name: str
    over_uw: int
    free_uw: int
    members: frozenset[str] | None = None


def excesses(world: World, layout: Layout, policy: PolicyEntry) -> Iterator[Excess]:
    """Yield every limit that counts now: the tie or the island's bus, and each feeder."""
    limits = limits_of(policy.dispatch_parameters)
    flows = world.flows
    if world.has_grid and world.feeds:
        boundary_uw = flows.storage_uw + flows.grid_uw
        throttled_uw = max(-flows.missing_uw, 0)
        yield _capped("import", boundary_uw, limits.import_mw_max * 1000, throttled_uw)
        if limits.export_mw_max is not None:
            yield _capped("export", -boundary_uw, limits.export_mw_max * 1000, 0)
    else:
        yield _island(world)
    for feeder in limits.feeders:
        members = frozenset(feeder.members)
        net_uw = sum(
            world.power_uw(Probe(Kind.NET, site.name))
            for site in world.sites
            if site.name in members
        )
        found = _capped(f"feeder {feeder.name}", net_uw, feeder.power_mw_max * 1000, 0)
        yield found._replace(members=members)


def _capped(name: str, power_uw: int, cap_uw: int, throttled_uw: int) -> Excess:
    over_uw = power_uw - cap_uw
    is_over = over_uw > abs(cap_uw) * TOLERANCE_PERMILLE // 1000
    return Excess(name, over_uw if is_over else 0, max(-over_uw, 0) + throttled_uw)


def _island(world: World) -> Excess:
    """The bus of an island is not to be low; free is what its sources could give more."""
    flows = world.flows
    if not world.feeds:
        return Excess("bus", 1, 0)
    lacking_uw = max(flows.swing_uw, 0) + max(flows.missing_uw, 0)
    is_low = world.inertia is not None and world.permyriad < world.inertia.low_permille * 10
    free_uw = max(-flows.missing_uw, 0) + world.spare_uw() if lacking_uw == 0 else 0
    return Excess("bus", max(lacking_uw, 1) if is_low else 0, free_uw)
