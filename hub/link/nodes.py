"""What each node said of itself lately: hello, status, live samples. Memory only, never proof.

Ages run on the hub's monotonic clock. All of it is lost with the process, and comes back with the
nodes' next words.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from messages.live import Live
from messages.status import Hello, Status

SILENT_AFTER_MS = 5_000
HELLO_COUNTS_MS = 90_000  # three times its period


@dataclass(frozen=True, slots=True)
class Sample:
    """A meter's newest verified live sample.

    `beacon_ms` is when the beacon it echoes went out, None if that is none of ours.
    """

    live: Live
    beacon_ms: int | None
    heard_ms: int

    def age_ms(self, now_ms: int) -> int | None:
        """How old it is at most; None if its beacon is none of ours, so nobody can tell. [ms]"""
        return None if self.beacon_ms is None else now_ms - self.beacon_ms


@dataclass(frozen=True, slots=True)
class ContactSeen:
    """A contact as its guard last said; `since_ms` is when it was seen to move, None: not seen."""

    energised: bool
    since_ms: int | None


@dataclass(slots=True)
class NodeNews:
    """The newest words of one node. [ms, hub's monotonic clock]"""

    heard_ms: int
    hello: Hello | None = None
    hello_ms: int = 0
    status: Status | None = None
    status_ms: int = 0


@dataclass(slots=True)
class Newsroom:
    """The newest of everything that does not pass through the ledger."""

    nodes: dict[str, NodeNews] = field(default_factory=dict)
    samples: dict[str, Sample] = field(default_factory=dict)
    contacts: dict[tuple[str, str], ContactSeen] = field(default_factory=dict)

    def hear(self, node: str, now_ms: int) -> NodeNews:
        """Note that a node spoke."""
        news = self.nodes.get(node)
        if news is None:
            news = self.nodes[node] = NodeNews(now_ms)
        news.heard_ms = now_ms
        return news

    def take_hello(self, hello: Hello, now_ms: int) -> None:
        """Note a node's hello."""
        news = self.hear(hello.node, now_ms)
        news.hello, news.hello_ms = hello, now_ms

    def take_status(self, status: Status, now_ms: int) -> int:
        """Note a node's status; return how many contacts moved. A late one says nothing."""
        news = self.hear(status.node, now_ms)
        known = news.status
        if known and known.boot_id == status.boot_id and known.at_ms > status.at_ms:
            return 0
        news.status, news.status_ms = status, now_ms
        return sum(
            self.take_contact((status.node, relay.relay), relay.energised, now_ms)
            for relay in status.relays
            if relay.energised is not None
        )

    def take_contact(self, name: tuple[str, str], energised: bool, now_ms: int) -> bool:
        """Note where a contact is; True if it moved. What nobody told yet counts as safe."""
        seen = self.contacts.get(name)
        if seen is None:
            self.contacts[name] = ContactSeen(energised, None)
            return energised
        if seen.energised == energised:
            return False
        self.contacts[name] = ContactSeen(energised, now_ms)
        return True

    def take_live(self, sample: Sample, node: str) -> None:
        """Note a meter's newest sample."""
        self.hear(node, sample.heard_ms)
        self.samples[sample.live.meter_id] = sample

    def hold_instant(self, at_ms: int, now_ms: int) -> None:
        """Let samples of this simulated instant be of now: its time stood still since they came.

        A sample that echoes no beacon of ours stays of unknown age, one of another instant as old
        as it is.
        """
        for meter_id, sample in self.samples.items():
            if sample.live.at_ms == at_ms and sample.beacon_ms is not None:
                self.samples[meter_id] = replace(sample, beacon_ms=now_ms)

    def newest_nonce(self, node: str) -> bytes | None:
        """Return the newest nonce of a node's guard, None if it told none yet."""
        news = self.nodes.get(node)
        if news is None or news.status is None or not news.status.nonces:
            return None
        return news.status.nonces[0]

    def energised(self, name: tuple[str, str]) -> bool | None:
        """Return whether a coil is energised as its guard last said; None if not known."""
        seen = self.contacts.get(name)
        return None if seen is None else seen.energised

    def is_lost(self, name: tuple[str, str]) -> bool:
        """Whether a node said last that it does not know where a contact is: its guard is away."""
        news = self.nodes.get(name[0])
        relays = () if news is None or news.status is None else news.status.relays
        return any(each.relay == name[1] and each.energised is None for each in relays)

    def unavailable(self, name: tuple[str, str]) -> str:
        """Return why no lease moves a relay now, as its holder said last; "" if one may."""
        news = self.nodes.get(name[0])
        relays = () if news is None or news.status is None else news.status.relays
        return next((each.unavailable for each in relays if each.relay == name[1]), "")

    def setpoint_mw(self, name: tuple[str, str]) -> int | None:
        """Return what a set-point keeps to, as its node last said; None if none stands. [mW]"""
        news = self.nodes.get(name[0])
        relays = () if news is None or news.status is None else news.status.relays
        return next((relay.setpoint_mw for relay in relays if relay.relay == name[1]), None)

    def wish(self, name: tuple[str, str], now_ms: int) -> str:
        """Return what a node asked lately for a load that may wait, "" where it asks nothing."""
        news = self.nodes.get(name[0])
        if news is None or news.status is None or now_ms - news.status_ms > SILENT_AFTER_MS:
            return ""
        return next((each.wish for each in news.status.relays if each.relay == name[1]), "")

    def has_backlog(self, node: str, now_ms: int) -> bool:
        """Whether a node lately said that it has more to send."""
        news = self.nodes.get(node)
        if news is None or news.hello is None or now_ms - news.hello_ms > HELLO_COUNTS_MS:
            return False
        return news.hello.backlog > 0

    def is_silent(self, node: str, now_ms: int) -> bool:
        """Whether a node said nothing for a while."""
        news = self.nodes.get(node)
        return news is None or now_ms - news.heard_ms > SILENT_AFTER_MS
