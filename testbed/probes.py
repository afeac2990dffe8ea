"""Where a meter is connected in the world, and what it counts there, to the tick."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from testbed.flows import Flows
from testbed.grid.parts import Site


class Kind(Enum):
    """What a meter measures at its site; positive power is import into that site."""

    GENERATION = "generation"
    CONSUMPTION = "consumption"
    NET = "net"
    APPLIANCE = "appliance"
    STORAGE = "storage"
    BOUNDARY = "boundary"


@dataclass(frozen=True, slots=True)
class Probe:
    """A place where a meter is connected; `load` only for an appliance."""

    kind: Kind
    site: str = ""
    load: str = ""


@dataclass(slots=True)
class Register:
    """Import and export of one probe since the start. [ticks]"""

    import_ticks: int = 0
    export_ticks: int = 0


def split_ticks(first_uw: int, last_uw: int, step_ms: int) -> tuple[int, int]:
    """Return import and export of a linear piece; their difference is its exact integral. [ticks]

    Where the power crosses zero the two triangles are fractions: import is floored, and export is
    what keeps the difference exact.
    """
    net = (first_uw + last_uw) * step_ms
    if first_uw >= 0 and last_uw >= 0:
        return net, 0
    if first_uw <= 0 and last_uw <= 0:
        return 0, -net
    above = max(first_uw, last_uw)
    imported = above * above * step_ms // abs(first_uw - last_uw)
    return imported, imported - net


def place_of(sites: Sequence[Site], probe: Probe) -> tuple[int, int]:
    """Return the numbers of a probe's site and load, 0 where it has none."""
    if probe.kind in (Kind.BOUNDARY, Kind.STORAGE):
        return 0, 0
    index = next(i for i, site in enumerate(sites) if site.name == probe.site)
    names = [load.name for load in sites[index].loads]
    return index, names.index(probe.load) if probe.kind is Kind.APPLIANCE else 0


def power_at_uw(flows: Flows, probe: Probe, place: tuple[int, int]) -> int:
    """Return the power at a probe for given flows; positive is import into its site. [uW]"""
    if probe.kind is Kind.BOUNDARY:
        return flows.storage_uw + flows.grid_uw
    if probe.kind is Kind.STORAGE:
        return -flows.storage_uw
    index, load = place
    if probe.kind is Kind.APPLIANCE:
        return flows.loads_uw[index][load]
    generated, consumed = sum(flows.generators_uw[index]), sum(flows.loads_uw[index])
    if probe.kind is Kind.GENERATION:
        return -generated
    return consumed if probe.kind is Kind.CONSUMPTION else consumed - generated
