"""Each fault of the suite: what is done, and what must hold. One fault on ten relays is ten trials.

A fault falls while messages are on their way: every edge has just signed a sample, and the hub has
not answered. Times run from just before it to the moment when the board saw the pin fall.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

from testbed.faults.processes import boottime_ms
from testbed.stage import BROKER, HUB
from testbed.torture.rig import LONG_TTL_MS, SHORT_TTL_MS, Rig

LEASE_LIMIT_MS = SHORT_TTL_MS + 200
WAIT_S = 3.0  # beyond what is promised, to know how late it was
QUIET_S = 0.5
DELAY_S_MAX = 0.05


@dataclass(slots=True)
class Tally:
    """What a fault came to. `failures` says of each trial that failed what happened."""

    fault: str
    limit_ms: float
    trials: int = 0
    failures: list[str] = field(default_factory=list)
    worst_ms: float = 0.0
    lost: int = 0
    duplicated: int = 0
    hostile_obeyed: int = 0
    is_settled: bool = False  # whether lost and duplicated are known

    @property
    def failed(self) -> int:
        """How many trials failed; never more than there were."""
        return min(self.trials, len(self.failures))

    @property
    def is_whole(self) -> bool:
        """Whether everything held."""
        return not (self.failures or self.lost or self.duplicated or self.hostile_obeyed)

    def judge(self, times_ms: list[float | None]) -> None:
        """Take in the times of one round, one of each relay."""
        for took_ms in times_ms:
            self.trials += 1
            if took_ms is None:
                self.failures.append("a contact was still energised seconds after the fault")
                continue
            self.worst_ms = max(self.worst_ms, took_ms)
            if took_ms > self.limit_ms:
                text = f"safe after {took_ms:.0f} ms, promised {self.limit_ms:.0f} ms"
                self.failures.append(text)

    def require(self, held: bool, text: str) -> None:
        """Note a failure unless something held."""
        if not held:
            self.failures.append(text)


Round = Callable[[Rig, Tally, Random], None]


def hub_kill(rig: Rig, tally: Tally, random: Random) -> None:
    """Kill the hub: contacts are safe when the last lease is over, and stay so when it is back."""
    rig.shed(SHORT_TTL_MS)
    _on_the_way(rig, random)
    since_ms = rig.processes.kill(HUB)
    _wait_for_lease(rig, tally, since_ms)
    rig.processes.revive([HUB])
    # It has decided nothing yet: no instant has passed.
    tally.require(rig.stays_safe(QUIET_S), "the revived hub moved a relay before it decided")


def hub_stop(rig: Rig, tally: Tally, random: Random) -> None:
    """Freeze the hub: it keeps its connections, and renews nothing."""
    rig.shed(SHORT_TTL_MS)
    _on_the_way(rig, random)
    since_ms = rig.processes.stop(HUB)
    try:
        _wait_for_lease(rig, tally, since_ms)
    finally:
        rig.processes.go_on(HUB)


def broker_kill(rig: Rig, tally: Tally, random: Random) -> None:
    """Kill the broker."""
    rig.shed(SHORT_TTL_MS)
    _on_the_way(rig, random)
    since_ms = rig.processes.kill(BROKER)
    _wait_for_lease(rig, tally, since_ms)
    rig.processes.revive([BROKER])


def cable_cut(rig: Rig, tally: Tally, random: Random) -> None:
    """Swallow everything between all nodes and the broker, both ways; nobody's link is closed."""
    rig.shed(SHORT_TTL_MS)
    _on_the_way(rig, random)
    since_ms = boottime_ms()
    rig.cable.cut()
    try:
        _wait_for_lease(rig, tally, since_ms)
    finally:
        rig.cable.mend()


def agent_kill(rig: Rig, tally: Tally, random: Random) -> None:
    """Kill each agent: its guard sees the connection end."""
    rig.shed(LONG_TTL_MS)
    _on_the_way(rig, random)
    for node, agent in zip(rig.nodes, rig.agents, strict=True):
        since_ms = rig.processes.kill(agent)
        tally.judge(rig.safe_after(since_ms, rig.contacts_of(node), WAIT_S))
    rig.processes.revive(rig.agents)


def agent_stop(rig: Rig, tally: Tally, random: Random) -> None:
    """Freeze each agent: its guard hears nothing for two seconds."""
    rig.shed(LONG_TTL_MS)
    _on_the_way(rig, random)
    since_ms = {node: rig.processes.stop(f"edge-{node}") for node in rig.nodes}
    try:
        for node in rig.nodes:
            tally.judge(rig.safe_after(since_ms[node], rig.contacts_of(node), 2 + WAIT_S))
    finally:
        for agent in rig.agents:
            rig.processes.go_on(agent)


def guard_kill(rig: Rig, tally: Tally, random: Random) -> None:
    """Kill each guard: the kernel lets go of its pins, and the next one begins safe."""
    rig.shed(LONG_TTL_MS)
    _on_the_way(rig, random)
    for node, guard in zip(rig.nodes, rig.guards, strict=True):
        since_ms = rig.processes.kill(guard)
        tally.judge(rig.safe_after(since_ms, rig.contacts_of(node), WAIT_S))
    place = len(rig.board.history)
    rig.processes.revive(rig.guards)
    first = {move.contact: move.high for move in reversed(rig.board.history[place:])}
    began_safe = first.keys() == rig.contacts and not any(first.values())
    tally.require(began_safe, "a revived guard did not begin with every contact safe")


def _on_the_way(rig: Rig, random: Random) -> None:
    """Come to a random moment just after everybody signed something."""
    rig.sample()
    rig.stage.clock.rest(random.uniform(0, DELAY_S_MAX))


def _wait_for_lease(rig: Rig, tally: Tally, since_ms: float) -> None:
    tally.judge(rig.safe_after(since_ms, rig.contacts, SHORT_TTL_MS / 1000 + WAIT_S))
    tally.require(rig.stays_safe(QUIET_S), "a contact was energised again during the fault")


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault by its name: what it is, how it is played once, and within what time what is safe."""

    name: str
    title: str
    play: Round
    limit_ms: float


SWITCHING = (
    Fault("agent_kill", "an agent is killed", agent_kill, 100),
    Fault("agent_stop", "an agent hangs", agent_stop, 2_100),
    Fault("guard_kill", "a guard is killed", guard_kill, 100),
    Fault("hub_kill", "the hub is killed", hub_kill, LEASE_LIMIT_MS),
    Fault("hub_stop", "the hub hangs", hub_stop, LEASE_LIMIT_MS),
    Fault("broker_kill", "the broker is killed", broker_kill, LEASE_LIMIT_MS),
    Fault("cable_cut", "the cable to the broker is cut", cable_cut, LEASE_LIMIT_MS),
)


def play_rounds(rig: Rig, fault: Fault, n: int, random: Random) -> Iterator[Tally]:
    """Play a fault until there were so many trials; yield the tally after each round."""
    tally = Tally(fault.name, fault.limit_ms)
    before = rig.accounts()
    while tally.trials < n:
        fault.play(rig, tally, random)
        yield tally
    after = rig.accounts()
    tally.lost = len(after.lost)
    doubled = after.duplicated + len(after.foreign)
    tally.duplicated = doubled - before.duplicated - len(before.foreign)
    tally.is_settled = True
    yield tally
