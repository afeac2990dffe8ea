"""Who controls the contacts in a played scenario: nobody, thresholds, or the hub's own code."""

from __future__ import annotations

from typing import Final, Protocol

from hub.core.clearing import Contracts
from hub.link.nodes import Newsroom, Sample
from hub.switching.dispatch import Dispatcher, Policies
from hub.switching.leases import Leases
from messages.entries import Ack, PolicyEntry
from messages.lease import TTL_MS_DEFAULT, Lease
from messages.live import Live
from messages.reading import Reading
from messages.status import Status
from testbed.layout import Layout, NodePlace
from testbed.scoring.ledger import Ledger
from testbed.scoring.node import Node, nodes_of
from testbed.scoring.post import Beacon, Post
from testbed.world import World

CYCLE_MS: Final = 1_000
IDLE_MS: Final = 1_000


class Control(Protocol):
    """What moves contacts; asked at every step of the world, after its jump."""

    def turn(self, now_ms: int, *, samples: bool) -> None:
        """Do what is due; `samples`: a cycle begins, meters are read."""


class NoControl:
    """Every contact feeds its load, come what may."""

    def __init__(self, layout: Layout, world: World) -> None:
        feed_all(layout, world)

    def turn(self, now_ms: int, *, samples: bool) -> None:
        """Do nothing."""


def feed_all(layout: Layout, world: World) -> None:
    """Move every contact to where its load is fed."""
    for node in layout.nodes:
        for relay in node.relays:
            world.set_pin(node.node, relay.pin, relay.deenergised == "cut")


class HubControl:
    """The hub's dispatcher and leases, the nodes' guards, and the ledger between them."""

    def __init__(
        self,
        layout: Layout,
        world: World,
        policy: PolicyEntry,
        contracts: Contracts,
        policies: Policies,
    ) -> None:
        self._layout, self._policies = layout, policies
        self.ledger = Ledger(layout, policy, contracts)
        self._post = Post(layout.scenario)
        nodes = nodes_of(layout.nodes, layout.scenario, world, self._send)
        self._nodes = {node.place.node: node for node in nodes}
        self._now_ms = layout.start_ms
        self._next_slot_ms = layout.start_ms
        self._enrolled: set[str] = set()
        self._hub: _Hub | None = None
        self._enrol_due()

    def turn(self, now_ms: int, *, samples: bool) -> None:
        """Let guards, messages and the hub do what is due."""
        self._now_ms = now_ms
        self._enrol_due()
        for name, message in self._post.arrived_down(now_ms):
            self._take_down(self._nodes[name], message)
        for node in self._present():
            node.end_leases(now_ms)
            if (now_ms - self._layout.start_ms) % CYCLE_MS == 0:
                node.make_nonce(now_ms)
            if (now_ms - self._layout.start_ms) % self._layout.slot_ms == 0:
                node.read_registers(now_ms)
            if samples:
                node.sample(now_ms)
        self._turn_hub(now_ms)

    def _send(self, node: str, message: Ack | Live | Reading | Status) -> None:
        self._post.send_up(node, message, self._now_ms)

    def _present(self) -> list[Node]:
        return [self._nodes[name] for name in sorted(self._enrolled)]

    def _enrol_due(self) -> None:
        """Enrol the nodes that are there; one that joins later is unknown until then."""
        for place in self._layout.nodes:
            joins = self._layout.scenario.spans_of("join", place.member)
            is_there = not joins or joins[0][0] <= self._now_ms
            if is_there and place.node not in self._enrolled:
                self.ledger.enrol(place)
                self._enrolled.add(place.node)
                if self._hub is not None:
                    self._hub.dispatcher.note_enrolment(self._now_ms)

    def _take_down(self, node: Node, message: object) -> None:
        if isinstance(message, Beacon):
            node.beacon_ms = message.sent_ms
        elif isinstance(message, Lease):
            node.obey(message, self._now_ms)

    def _turn_hub(self, now_ms: int) -> None:
        """Let the hub live, or be dead: then nothing is heard, and it starts anew afterwards."""
        spans = self._layout.scenario.spans_of("hub_down")
        if any(start <= now_ms < end for start, end in spans):
            self._hub = None
            self._post.keep_for_hub(now_ms)
            return
        if self._hub is None:
            self._hub = _Hub(self.ledger, self._policies, now_ms)
        for node, message in self._post.arrived_up(now_ms):
            self._hub.hear(node, message, now_ms)
        self._close_slots(now_ms)
        self._hub.turn(self._post, [node.place for node in self._present()], now_ms)

    def _close_slots(self, now_ms: int) -> None:
        while self._next_slot_ms + self._layout.slot_ms <= now_ms:
            self.ledger.close(self._next_slot_ms, now_ms)
            self._next_slot_ms += self._layout.slot_ms


class _Hub:
    """What is lost when the hub dies: what it heard, what it holds. The ledger stays."""

    def __init__(self, ledger: Ledger, policies: Policies, now_ms: int) -> None:
        self.ledger = ledger
        self.news, self.leases = Newsroom(), Leases(TTL_MS_DEFAULT)
        self.dispatcher = Dispatcher(self.news, self.leases, policies, now_ms)
        self._is_news = False
        self._started_ms, self._looked_ms = now_ms, now_ms - IDLE_MS

    def hear(self, node: str, message: object, now_ms: int) -> None:
        """Take a message where it belongs; of a beacon from before its start it knows nothing."""
        if isinstance(message, Live):
            sent_ms = int.from_bytes(message.beacon, "big")
            beacon_ms = sent_ms if sent_ms >= self._started_ms else None
            self.news.take_live(Sample(message, beacon_ms, now_ms), node)
            self._is_news = True
        elif isinstance(message, Status):
            self._is_news |= self.news.take_status(message, now_ms) > 0
        elif isinstance(message, Ack):
            self._is_news |= self._take_ack(message, now_ms)
        elif isinstance(message, Reading):
            self.ledger.read(message)

    def _take_ack(self, ack: Ack, now_ms: int) -> bool:
        self.ledger.acknowledge(ack)
        return self.news.take_contact((ack.node, ack.relay), ack.energised, now_ms)

    def turn(self, post: Post, nodes: list[NodePlace], now_ms: int) -> None:
        """Look if there is news or a second has passed, and send what is due."""
        state = self.ledger.state
        if self._is_news or now_ms - self._looked_ms >= IDLE_MS:
            self._is_news, self._looked_ms = False, now_ms
            proposal = self.dispatcher.look(state, now_ms, now_ms)
            if proposal is not None:
                index = self.ledger.add(self.ledger.hub, proposal.decision)
                self.dispatcher.accept(proposal, index)
        for lease in self.leases.due(now_ms, self.news.newest_nonce, self.news.energised):
            post.send_down(lease.node, lease, now_ms)
        if now_ms % CYCLE_MS == 0:
            for place in nodes:
                post.send_down(place.node, Beacon(now_ms), now_ms)
