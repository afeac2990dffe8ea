"""No dispatch: a microgrid on a grid tie, where deficits are bought. Nothing is ever cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from hub.balancing.demand import demands
from hub.balancing.dep import SHARED
from hub.balancing.errors import BadParameter
from hub.balancing.limits import check_limits
from hub.balancing.orders import fed_order
from hub.balancing.policy import Verdict, View


class NoDispatch:
    """Every load is fed."""

    name: ClassVar[str] = "none"

    def check(self, parameters: Mapping[str, int | str]) -> None:
        """Refuse parameters of other policies."""
        unknown = sorted(set(parameters) - set(SHARED))
        if unknown:
            raise BadParameter(f"dispatch none has no parameter {', '.join(unknown)}")
        check_limits(self.name, parameters)

    def decide(self, view: View) -> Verdict:
        """Feed everything; still say how much is lacking or left over."""
        members = demands(view)
        orders = [fed_order(load, "nothing is cut here") for m in members for load in m.loads]
        return Verdict(
            orders=tuple(sorted(orders, key=lambda row: (row.node, row.relay))),
            limit="none",
            rule="none: the grid tie covers what is lacking",
            reason="nothing is cut here",
            deficit_mw=sum(m.wanted_mw - m.supply_mw for m in members),
        )
