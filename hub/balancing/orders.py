"""Words and orders that dispatch policies share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from hub.balancing.demand import Switchable
from hub.balancing.policy import Order


def order(load: Switchable, cut: bool, reason: str) -> Order:
    """Return the order to cut or feed a load, with its last signed power."""
    relay = load.relay
    return Order(
        node=relay.node,
        relay=relay.relay,
        member=relay.member,
        load=relay.load,
        energised=relay.energised(cut=cut),
        cut=cut,
        power_mw=load.power_mw,
        reason=reason,
    )


def stays(load: Switchable) -> Order:
    """Return the order for a relay that cannot be counted on: it stays as it is."""
    return order(load, load.is_cut, f"cannot be counted on: {load.relay.unusable}")


def stuck_words(loads: Iterable[Switchable]) -> list[str]:
    """Return which relays cannot be counted on, and why, for the reason of a decision."""
    stuck = [f"{each.relay.relay} ({each.relay.unusable})" for each in loads if each.relay.unusable]
    return [f"not to be counted on: {few(stuck[:STUCK_MAX])}"] if stuck else []


def fed_order(load: Switchable, reason: str) -> Order:
    """Return the order to feed a load."""
    return order(load, False, reason)


def power_text(power_mw: int) -> str:
    """Return a power for people, in whole tenths of W or kW, cut and not rounded.

    >>> power_text(20_000), power_text(-1_234_567)
    ('20.0 W', '-1.2 kW')
    """
    sign, size_mw = ("-" if power_mw < 0 else ""), abs(power_mw)
    if size_mw < 1_000_000:
        return f"{sign}{size_mw // 1000}.{size_mw % 1000 // 100} W"
    return f"{sign}{size_mw // 1_000_000}.{size_mw % 1_000_000 // 100_000} kW"


NAMES_MAX: Final = 8
STUCK_MAX: Final = 3


def few(names: Sequence[str]) -> str:
    """Return the first names of a list, so that a sentence stays short."""
    return ", ".join(names[:NAMES_MAX]) + (" ..." if len(names) > NAMES_MAX else "")
