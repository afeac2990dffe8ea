"""Gathers the hub's health for the file that other processes read."""

from __future__ import annotations

import os
import time

from hub.closing import next_slot
from hub.cosigning.proposals import who_proposes
from hub.cosigning.rounds import Cosigning
from hub.feeds.showing import facts_seen
from hub.link.broker import LinkState
from hub.link.nodes import Newsroom
from hub.spine import Spine
from hub.switching.dispatch import Dispatcher, unusable
from hub.switching.leases import Leases
from hub.vitals.alarms import relay_alarms
from hub.vitals.health import Health, HealthFile, MeterCorrected, MeterSeen, NodeSeen, RelayLease


class Reporter:
    """Writes the health file. It looks at everything and changes nothing."""

    def __init__(
        self,
        file: HealthFile,
        spine: Spine,
        news: Newsroom,
        leases: Leases,
        dispatcher: Dispatcher,
        cosigning: Cosigning,
    ) -> None:
        self._file = file
        self._spine = spine
        self._news = news
        self._leases = leases
        self._dispatcher = dispatcher
        self._cosigning = cosigning
        self._started_ms: int | None = None

    def write(
        self, now_ms: int, at_ms: int, link: LinkState, dropped: int, complaints: tuple[str, ...]
    ) -> Health:
        """Write what is so now; `complaints` are why nothing is taken in, if it is so."""
        if self._started_ms is None:
            self._started_ms = now_ms
        recorder = self._spine.recorder
        state, store = recorder.state, recorder.store
        newest = store.newest_checkpoint()
        next_ms = next_slot(state)
        finality = self._spine.finality
        health = Health(
            written_ms=time.time_ns() // 1_000_000,
            at_ms=at_ms,
            pid=os.getpid(),
            uptime_ms=now_ms - self._started_ms,
            tree_size=store.size,
            root=store.root().hex(),
            checkpoint_size=0 if newest is None else newest.size,
            alarms=(*complaints, *self._alarms(now_ms)),
            accepting=not complaints,
            broker_connected=link.connected,
            broker_reason=link.reason,
            dropped=dropped,
            next_slot_ms=next_ms,
            refused=self._refused(),
            witnesses=self._cosigning.seen(),
            final_size=finality.size if finality.is_witnessed else None,
            proposers=who_proposes(state),
            facts=facts_seen(state),
            nodes=tuple(self._node(node, now_ms) for node in self._spine.roster.nodes),
            meters=tuple(self._meter(meter_id, now_ms) for meter_id in sorted(self._news.samples)),
            relays=tuple(self._relays(now_ms)),
            calibrations=tuple(
                MeterCorrected(
                    meter_id,
                    each.at_ms,
                    each.power_gain_ppm,
                    each.power_offset_mw,
                    each.entry_index,
                )
                for meter_id, each in sorted(state.calibrations.items())
            ),
        )
        self._file.write(health)
        return health

    def _alarms(self, now_ms: int) -> tuple[str, ...]:
        state = self._spine.recorder.state
        fault = self._dispatcher.fault
        verdict = self._dispatcher.verdict
        return (
            *((fault,) if fault else ()),
            *(() if verdict is None else verdict.infeasible),
            *(self._spine.alarms[name] for name in sorted(self._spine.alarms)),
            *self._cosigning.complaints,
            *relay_alarms(state, self._news, self._leases, now_ms),
        )

    def _refused(self) -> dict[str, int]:
        totals: dict[str, int] = {}
        for (reason, _node), count in self._spine.recorder.store.strangers.counts().items():
            totals[reason] = totals.get(reason, 0) + count
        return totals

    def _node(self, node: str, now_ms: int) -> NodeSeen:
        news = self._news.nodes.get(node)
        if news is None:
            return NodeSeen(node, None, 0, 0, "")
        return NodeSeen(
            node=node,
            age_ms=now_ms - news.heard_ms,
            backlog=0 if news.hello is None else news.hello.backlog,
            dead_letters=0 if news.status is None else news.status.dead_letters,
            software="" if news.hello is None else news.hello.software,
        )

    def _meter(self, meter_id: str, now_ms: int) -> MeterSeen:
        sample = self._news.samples[meter_id]
        return MeterSeen(meter_id, sample.live.at_ms, sample.live.power_mw, sample.age_ms(now_ms))

    def _relays(self, now_ms: int) -> list[RelayLease]:
        state = self._spine.recorder.state
        found = []
        for name in sorted(state.relays):
            standing = self._leases.order_of(name)
            found.append(
                RelayLease(
                    node=name[0],
                    relay=name[1],
                    wanted_energised=standing is not None and standing.energised,
                    energised=self._news.energised(name),
                    lease_left_ms=self._leases.left_ms(name, now_ms),
                    reason="" if standing is None else standing.reason,
                    unusable=unusable(state, self._news, name, now_ms),
                )
            )
        return found
