"""The balancing of paper 000 on an island: who lacks generation cuts his own load to what there is.

Each moment is taken as the market will take the slot: a member's own generation feeds his own
loads, the largest deficit gets the largest surplus (`hub.matching`, on powers), and what remains
uncovered is cut by the member that has it: the smallest sufficient set of his own loads. Demand
that no relay can cut comes first; where surpluses do not cover it, other members' loads give way,
since it draws its power anyway. Loads come back as soon as they fit.

Parameters, in thousandths of what a member may use: `shed_permille` (default 20): nothing is cut
for an excess smaller than that; `restore_permille` (default 10, less than shed_permille): by how
much a restored load may exceed it; `swap_permille` (default 50): what must be gained before one
load is cut so that another fits. Together they keep noise from moving contacts. And
`cut_not_failsafe` (default 0): 1 cuts loads behind relays, too, that stay as they are when their
node or the hub dies; whoever is cut then stays cut until somebody comes.

Source: paper 000, sections 4.2 and 5 (at t = 7, 20 kW generated and 60 kW wanted: cut to 20 kW).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, NamedTuple

from hub.balancing.demand import CUT_NOT_FAILSAFE, Demand, Switchable, demands
from hub.balancing.errors import BadParameter
from hub.balancing.limits import ISLAND, SOURCES, TIE
from hub.balancing.orders import fed_order, few, order, power_text, stays, stuck_words
from hub.balancing.policy import Order, Verdict, View
from hub.balancing.subset import Load, fit
from hub.matching import Claim, pair

DEFAULTS: Final[Mapping[str, int]] = {
    "shed_permille": 20,
    "restore_permille": 10,
    "swap_permille": 50,
    CUT_NOT_FAILSAFE: 0,
}
SHARED: Final = (*TIE, "stale_after_ms", *SOURCES, *ISLAND)
"""The limits that a policy without a pool knows; the others have all of `hub.balancing.limits`."""

RULE: Final = "dep: own generation, then the largest surplus, then the smallest set of loads"
_GRID: Final = "@grid"


class Choice(NamedTuple):
    """What one member may use and which of his loads stay on."""

    demand: Demand
    capacity_mw: int
    kept: frozenset[tuple[str, str]]

    @property
    def used_mw(self) -> int:
        """Power of all that stays on. [mW]"""
        on = (load.power_mw for load in self.demand.flexible if load.relay.name in self.kept)
        return self.demand.firm_mw + sum(on)

    @property
    def unused_mw(self) -> int:
        """What he may use and does not, as his loads come in whole pieces. [mW]"""
        return max(self.capacity_mw - self.used_mw, 0)


class Dep:
    """Distributed energy prosumers on an island."""

    name: ClassVar[str] = "dep"

    def check(self, parameters: Mapping[str, int | str]) -> None:
        """Refuse unknown parameters, texts, and a deadband without width."""
        for key, value in sorted(parameters.items()):
            if key not in DEFAULTS and key not in SHARED:
                raise BadParameter(f"dep has no parameter {key!r}")
            if type(value) is not int or value < 0:
                raise BadParameter(f"dep: {key} is a whole number, 0 or more, not {value!r}")
        if parameters.get(CUT_NOT_FAILSAFE, 0) not in (0, 1):
            raise BadParameter(f"dep: {CUT_NOT_FAILSAFE} is 0 or 1")
        if _permille(parameters, "restore_permille") >= _permille(parameters, "shed_permille"):
            raise BadParameter("dep: restore_permille is less than shed_permille, or loads flutter")

    def decide(self, view: View) -> Verdict:
        """Cut and restore loads member by member."""
        members = demands(view)
        capacities = share_out(members, view.limits.import_mw_max)
        choices = _choose(members, capacities, view.parameters)
        infeasible = tuple(
            f"{choice.demand.member}: {power_text(excess_mw)} too much that no relay can cut"
            for choice in choices
            if (excess_mw := _excess_mw(choice, view.parameters))
        )
        orders = [_order(choice, load) for choice in choices for load in choice.demand.loads]
        deficit_mw = sum(m.wanted_mw - m.supply_mw for m in members)
        return Verdict(
            orders=tuple(sorted(orders, key=lambda row: (row.node, row.relay))),
            limit=_limit(choices, orders),
            rule=RULE,
            reason=_reason(choices, infeasible),
            infeasible=infeasible,
            deficit_mw=deficit_mw,
        )


def share_out(members: tuple[Demand, ...], import_mw_max: int) -> dict[str, int]:
    """Return what each member may use: own supply, plus and minus what pairing moves. [mW]"""
    ids = {m.member: m.meter_id for m in members}
    capacity = {m.member: m.supply_mw for m in members}
    spare = {m.member: max(m.supply_mw - m.wanted_mw, 0) for m in members} | {_GRID: import_mw_max}
    firm_need = {m.member: max(m.firm_mw - m.supply_mw, 0) for m in members}
    yields = {m.member: max(min(m.supply_mw, m.wanted_mw) - m.firm_mw, 0) for m in members}
    need = {m.member: max(m.wanted_mw - max(m.supply_mw, m.firm_mw), 0) for m in members}
    for givers, takers in ((spare, firm_need), (yields, firm_need), (spare, need)):
        for deal in pair(_claims(givers, ids), _claims(takers, ids)):
            giver, taker = deal.surplus.member, deal.deficit.member
            givers[giver] -= deal.amount
            takers[taker] -= deal.amount
            capacity[taker] += deal.amount
            if giver in capacity:
                capacity[giver] -= deal.amount
    return capacity


def _claims(amounts: Mapping[str, int], ids: Mapping[str, str]) -> list[Claim]:
    return [Claim(ids.get(member, ""), member, amount) for member, amount in amounts.items()]


def _choose(
    members: tuple[Demand, ...], capacities: Mapping[str, int], parameters: Mapping[str, int | str]
) -> tuple[Choice, ...]:
    """Choose for each member; what one cannot use goes to those that had to cut, in order."""
    choices = {m.member: _choice(m, capacities[m.member], parameters) for m in members}
    pool_mw = sum(choice.unused_mw for choice in choices.values())
    for demand in sorted(members, key=lambda m: (m.supply_mw - m.wanted_mw, m.meter_id, m.member)):
        first = choices[demand.member]
        if len(first.kept) < len(demand.flexible) and pool_mw > first.unused_mw:
            more_mw = first.capacity_mw + pool_mw - first.unused_mw
            second = _choice(demand, more_mw, parameters)
            if second.used_mw > first.used_mw:
                pool_mw = max(pool_mw - (second.used_mw - first.used_mw), 0)
                choices[demand.member] = second
    return tuple(choices[m.member] for m in members)


def _choice(demand: Demand, capacity_mw: int, parameters: Mapping[str, int | str]) -> Choice:
    """Return the loads that stay on: first without feeding any again, then with, if that pays."""
    scale_mw = max(capacity_mw, 0)
    room_mw = capacity_mw - demand.firm_mw
    shed_mw = room_mw + scale_mw * _permille(parameters, "shed_permille") // 1000
    restore_mw = room_mw + scale_mw * _permille(parameters, "restore_permille") // 1000
    loads = [
        Load(load.relay.name, load.power_mw, load.is_cut)
        for load in demand.flexible
        if not load.is_waiting
    ]
    fed = {load.name: load.power_mw for load in loads if not load.is_cut}
    stay = fit([load for load in loads if not load.is_cut], shed_mw)
    change = fit(loads, restore_mw)
    powers = {load.name: load.power_mw for load in loads}
    gain_mw = sum(powers[name] for name in change) - sum(powers[name] for name in stay)
    swaps = any(name in fed and name not in change for name in stay)
    least_mw = scale_mw * _permille(parameters, "swap_permille") // 1000 if swaps else 0
    brings_back = gain_mw > least_mw or (gain_mw == 0 and not swaps and stay < change)
    return Choice(demand, capacity_mw, change if brings_back else stay)


def _excess_mw(choice: Choice, parameters: Mapping[str, int | str]) -> int:
    """Return what firm demand exceeds a member's capacity by; 0 within the deadband. [mW]"""
    excess_mw = choice.demand.firm_mw - choice.capacity_mw
    scale_mw = max(choice.capacity_mw, choice.demand.wanted_mw)
    return excess_mw if excess_mw > scale_mw * _permille(parameters, "shed_permille") // 1000 else 0


def _permille(parameters: Mapping[str, int | str], key: str) -> int:
    value = parameters.get(key, DEFAULTS[key])
    return value if isinstance(value, int) else DEFAULTS[key]


def _order(choice: Choice, load: Switchable) -> Order:
    if load.relay.unusable:
        return stays(load)
    if load.is_firm:
        return fed_order(load, "critical: never cut" if load.relay.is_critical else "stays fed")
    if load.relay.name in choice.kept:
        return fed_order(load, f"fits into {power_text(choice.capacity_mw)}")
    if load.is_waiting:
        return order(load, True, "was cut too recently to be fed again")
    demand = choice.demand
    return order(
        load,
        True,
        f"{power_text(demand.wanted_mw)} wanted, {power_text(choice.capacity_mw)} there",
    )


def _limit(choices: tuple[Choice, ...], orders: list[Order]) -> str:
    if not any(row.cut for row in orders):
        return "none"
    if any(choice.demand.stale for choice in choices):
        return "stale meter"
    return "supply"


def _reason(choices: tuple[Choice, ...], infeasible: tuple[str, ...]) -> str:
    """Say in plain words who lacks what; the whole sentence stays below a few hundred bytes."""
    parts = [
        f"{c.demand.member} wants {power_text(c.demand.wanted_mw)}, may use "
        f"{power_text(c.capacity_mw)}, keeps {power_text(c.used_mw)}"
        for c in choices
        if len(c.kept) < len(c.demand.flexible)
    ]
    silent = [meter_id for c in choices for meter_id in c.demand.stale]
    if silent:
        parts.append(f"silent meters count as danger: {few(silent)}")
    parts += stuck_words(load for choice in choices for load in choice.demand.loads)
    return "; ".join([*parts[:PARTS_MAX], *infeasible[:PARTS_MAX]]) or "everything fits"


PARTS_MAX: Final = 8
