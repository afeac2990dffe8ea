"""How every policy of the pool works; the policies differ only in who gives way.

A look at the view ends in one of three ways, always at once and never by iteration:

- a limit is exceeded by more than the deadband: loads give way, chosen by the rule, until all
  limits hold; then whoever need not give way after all stays fed;
- all limits hold and something is cut: it is fed again, one load a look, if it fits with a margin;
- nothing changes.

Parameters, in thousandths of what the limit leaves: `shed_permille` (default 20), the deadband;
`restore_permille` (default 20), the margin. Together they keep noise from moving contacts.
`cut_not_failsafe` is as in `hub.balancing.dep`.

What all of them guarantee: critical loads are never cut, and where cutting everything else does not
help, the verdict says *infeasible*; no load is cut that would fit with all the others that stay;
missing data counts as danger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Final, NamedTuple, Protocol

from hub.balancing.demand import CUT_NOT_FAILSAFE, Switchable
from hub.balancing.errors import BadParameter
from hub.balancing.limits import Parameters, check_limits, is_limit, number
from hub.balancing.orders import few, order, power_text, stays, stuck_words
from hub.balancing.policy import Order, Verdict, View
from hub.balancing.pool import Feeding, Pool, RelayName, pool_of

DEFAULTS: Final[Mapping[str, int]] = {
    "shed_permille": 20,
    "restore_permille": 20,
    CUT_NOT_FAILSAFE: 0,
}


class Rule(Protocol):
    """Who gives way."""

    @property
    def name(self) -> str:
        """As a policy entry calls it."""

    @property
    def words(self) -> str:
        """The rule in a few words, for decision entries."""

    def shed(self, loads: Sequence[Switchable], need_mw: int) -> Set[RelayName]:
        """Return fed loads whose power makes up the need, or all of them where that is less."""

    def rank(self, loads: Sequence[Switchable], cut: Set[RelayName]) -> list[Switchable]:
        """Return the loads in the order in which they give way; the last is fed again first."""

    def is_due(self, load: Switchable) -> bool:
        """Whether a load that is cut has been without for as long as it may."""


class _Plan(NamedTuple):
    """What is fed after this look, and for each load that was cut now the limit that bound."""

    feeding: Feeding
    cut: dict[RelayName, str]

    @property
    def fed(self) -> Mapping[RelayName, Switchable]:
        """The flexible loads that are fed."""
        return self.feeding.fed


def check_parameters(name: str, parameters: Parameters, defaults: Mapping[str, int]) -> None:
    """Refuse unknown parameters, texts and numbers below 0. Raises BadParameter."""
    check_limits(name, parameters)
    for key, value in sorted(parameters.items()):
        if is_limit(key):
            continue
        if key not in defaults:
            raise BadParameter(f"{name} has no parameter {key!r}")
        if type(value) is not int or value < 0:
            raise BadParameter(f"{name}: {key} is a whole number, 0 or more, not {value!r}")
    if number(parameters, CUT_NOT_FAILSAFE, 0) > 1:
        raise BadParameter(f"{name}: {CUT_NOT_FAILSAFE} is 0 or 1")


def balance(view: View, rule: Rule) -> Verdict:
    """Return an order for every relay of the view."""
    pool = pool_of(view)
    shed_permille = max(number(view.parameters, "shed_permille", DEFAULTS["shed_permille"]), 0)
    plan = _shed(pool, rule, shed_permille)
    if not plan.cut:
        margin = number(view.parameters, "restore_permille", DEFAULTS["restore_permille"])
        _restore(pool, rule, plan, max(margin, 0))
    infeasible = _infeasible(pool, rule, plan, shed_permille)
    orders = [_order(load, plan, rule) for member in pool.members for load in member.loads]
    return Verdict(
        orders=tuple(sorted(orders, key=lambda each: (each.node, each.relay))),
        limit=_limit(pool, plan, orders),
        rule=f"{rule.name}: {rule.words}",
        reason=_reason(pool, plan, infeasible),
        infeasible=infeasible,
        deficit_mw=pool.deficit_mw,
    )


def _shed(pool: Pool, rule: Rule, shed_permille: int) -> _Plan:
    """Let loads give way until all limits hold, then keep those that need not."""
    wanted = {
        load.relay.name: load
        for load in pool.loads
        if not load.is_cut or (rule.is_due(load) and not load.is_waiting)
    }
    feeding, cut = Feeding(pool, wanted.values()), dict[RelayName, str]()
    for place, bound in enumerate(pool.bounds):
        need_mw = feeding.excess_mw(place)
        if need_mw > bound.permille_mw(shed_permille):
            for name in sorted(rule.shed(pool.within(place, feeding.fed.values()), need_mw)):
                feeding.cut(name)
                cut[name] = bound.name
    for load in reversed(rule.rank([wanted[name] for name in cut], frozenset(cut))):
        if feeding.fits(load):
            feeding.feed(load)
            del cut[load.relay.name]
    return _Plan(feeding, cut)


def _restore(pool: Pool, rule: Rule, plan: _Plan, margin_permille: int) -> None:
    """Feed one load again, the first that fits; one a look, so that no cold loads come together."""
    out = [load for load in pool.loads if load.relay.name not in plan.fed and not load.is_waiting]
    cut = frozenset(load.relay.name for load in out)
    for load in reversed(rule.rank(out, cut)):
        if load.power_mw <= 0 or plan.feeding.fits(load, margin_permille):
            plan.feeding.feed(load)
            return


def _infeasible(pool: Pool, rule: Rule, plan: _Plan, shed_permille: int) -> tuple[str, ...]:
    """Say of each limit what no relay can put right, and of each load that is out for too long."""
    return (
        *(
            f"{bound.name}: {power_text(excess_mw)} too much that no relay can cut"
            for place, bound in enumerate(pool.bounds)
            if (excess_mw := plan.feeding.excess_mw(place)) > bound.permille_mw(shed_permille)
        ),
        *(
            f"{load.relay.relay} is out for longer than it may be, and nothing else can give way"
            for load in pool.loads
            if load.relay.name not in plan.fed and load.is_cut and rule.is_due(load)
        ),
    )


def _order(load: Switchable, plan: _Plan, rule: Rule) -> Order:
    name = load.relay.name
    if load.relay.unusable:
        return stays(load)
    if load.is_firm:
        return order(load, False, "critical: never cut" if load.relay.is_critical else "stays fed")
    if name in plan.fed:
        return order(load, False, "fits within all limits")
    if name in plan.cut:
        return order(load, True, f"{plan.cut[name]} is short; {rule.name}"[:63])
    return order(load, True, "waits its least time" if load.is_waiting else "waits for room")


def _limit(pool: Pool, plan: _Plan, orders: Sequence[Order]) -> str:
    if not any(each.cut for each in orders):
        return "none"
    if any(member.stale for member in pool.members):
        return "stale meter"
    return next(iter(plan.cut.values()), "supply")


def _reason(pool: Pool, plan: _Plan, infeasible: tuple[str, ...]) -> str:
    """Say in plain words which limit leaves what, and who gives way; a few hundred bytes."""
    parts = [
        f"{bound.name} leaves {power_text(bound.capacity_mw)}, {power_text(_wants(pool, place))} "
        f"wanted: {few(names)} off"
        for place, bound in enumerate(pool.bounds)
        if (names := [name[1] for name, why in sorted(plan.cut.items()) if why == bound.name])
    ]
    silent = [meter_id for member in pool.members for meter_id in member.stale]
    if silent:
        parts.append(f"silent meters count as danger: {few(silent)}")
    parts += stuck_words(load for member in pool.members for load in member.loads)
    return "; ".join([*parts, *infeasible[:4]]) or "everything that may be fed fits"


def _wants(pool: Pool, place: int) -> int:
    firm_mw = pool.bounds[place].capacity_mw - pool.bounds[place].room_mw
    return firm_mw + sum(load.power_mw for load in pool.within(place, pool.loads))
