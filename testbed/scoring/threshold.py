"""Threshold control, the baseline: hysteresis on measured import and on the bus, a relay at a time.

The rule of evcc's load management and of OpenEMS' single-threshold controllers, put into one loop,
and made a little better than they are so that nobody wins by a poor opponent:

- It reads the boundary meter once a second, and nothing else. It knows the same limits as a policy:
  what the grid may bring in, what battery and generators bring in without it, and at which level
  of the bus the grid is gone or the bus sags.
- Import above its limit by more than 2 %, or a bus that sags: the next relay opens, one a second,
  the least important first and of equals the smaller. Theirs wait for up to minutes first.
- Import with the load's rated power still below the limit by 2 %, a bus that stands, and at least
  60 s since that contact moved: the last one that opened closes again, one a second.
- It acts at once, without a broker: only its own death stops it. Then contacts stay as they are.

What it has not: what each load draws, what each member has, feeders, leases.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from hub.balancing.limits import number
from messages.entries import PolicyEntry
from testbed.layout import Layout, RelayPlace
from testbed.probes import Kind, Probe
from testbed.scoring.control import feed_all
from testbed.scoring.limits import Bus
from testbed.world import World

BAND_PERMILLE: Final = 20
HOLD_MS: Final = 60_000
UW_PER_W: Final = 1_000_000


@dataclass(slots=True)
class Threshold:
    """One controller on the boundary meter."""

    layout: Layout
    world: World
    policy: PolicyEntry
    _order: list[tuple[str, RelayPlace]] = field(init=False)
    _open: list[tuple[str, RelayPlace]] = field(default_factory=list)
    _moved_ms: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Feed everything; know in which order loads give way."""
        places = [(node.node, relay) for node in self.layout.nodes for relay in node.relays]
        self._order = sorted(
            (each for each in places if not each[1].critical),
            key=lambda each: (each[1].importance, each[1].rated_w, each[1].relay),
        )
        feed_all(self.layout, self.world)

    def turn(self, now_ms: int, *, samples: bool) -> None:
        """Look once a second, while it lives."""
        spans = self.layout.scenario.spans_of("hub_down")
        if not samples or any(start <= now_ms < end for start, end in spans):
            return
        bus = Bus.of(self.world, self.policy)
        import_uw = self.world.power_uw(Probe(Kind.BOUNDARY))
        key = "import_mw_max" if bus.has_grid else "island_import_mw_max"
        cap_uw = number(self.policy.dispatch_parameters, key, 0) * 1000
        band_uw = cap_uw * BAND_PERMILLE // 1000
        if import_uw > cap_uw + band_uw or bus.sags:
            self._shed(now_ms)
        else:
            self._restore(cap_uw - band_uw - import_uw, now_ms)

    def _shed(self, now_ms: int) -> None:
        fed = [each for each in self._order if each not in self._open]
        if fed:
            self._open.append(fed[0])
            self._move(fed[0], now_ms, cut=True)

    def _restore(self, room_uw: int, now_ms: int) -> None:
        if not self._open:
            return
        node, relay = self._open[-1]
        waited = now_ms - self._moved_ms[relay.relay] >= HOLD_MS
        if waited and relay.rated_w * UW_PER_W <= room_uw:
            self._open.pop()
            self._move((node, relay), now_ms, cut=False)

    def _move(self, place: tuple[str, RelayPlace], now_ms: int, *, cut: bool) -> None:
        node, relay = place
        self._moved_ms[relay.relay] = now_ms
        self.world.set_pin(node, relay.pin, cut != (relay.deenergised == "cut"))
