"""A thousand hostile deliveries to a running guard are one trial."""

from pathlib import Path
from random import Random

from keys.file import generate
from messages.lease import Lease
from testbed.errors import NotReady
from testbed.faults.leases import Adversary, FalseAgent, Hub
from testbed.torture.board import Contact
from testbed.torture.rig import SHORT_TTL_MS, Rig
from testbed.torture.trials import LEASE_LIMIT_MS, Fault, Tally

DELIVERIES = 1_000
BURST = 50
PAUSE_S = 0.15
MOVE_S = 5.0
GENUINE_MAX = 10


class HostileLeases:
    """Takes the place of one agent after another, and keeps what it heard from life to life."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._earlier: list[bytes] = []
        self._turn = 0

    def play(self, rig: Rig, tally: Tally, random: Random) -> None:
        """Play one trial against the guard of the next node, in a life of its own."""
        node = rig.nodes[self._turn % len(rig.nodes)]
        self._turn += 1
        agent, guard = f"edge-{node}", f"guard-{node}"
        rig.processes.kill(agent)
        rig.processes.kill(guard)
        rig.processes.revive([guard])
        with FalseAgent(rig.stage.installation.guard(node)) as false_agent:
            self._assault(rig, tally, random, node, false_agent)
        rig.processes.revive([agent])

    def _assault(
        self, rig: Rig, tally: Tally, random: Random, node: str, agent: FalseAgent
    ) -> None:
        relay, contact = _target(rig, node)
        stranger = generate(_new_key(rig.stage.installation.folder, self._turn))
        hub = Hub.of(rig.stage.installation)
        adversary = Adversary(
            hub, node, relay, random, agent.nonces, stranger, earlier=self._earlier
        )
        place = len(rig.board.history)
        lease = _energise(rig, agent, adversary, contact)
        adversary.obeyed.append(hub.sign(lease))
        for number, delivery in enumerate(adversary.deliveries(DELIVERIES)):
            if number % BURST == 0:
                agent.listen(PAUSE_S)
            agent.deliver(delivery.raw)
        agent.wait_for_nonces(2)  # told after all that was delivered
        agent.wait(lambda: not rig.board.is_high(contact), MOVE_S)
        self._earlier += adversary.obeyed
        _judge(rig, tally, place, contact, agent.nonces[lease.nonce])


def _energise(rig: Rig, agent: FalseAgent, adversary: Adversary, contact: Contact) -> Lease:
    """Let one genuine lease be obeyed and return it; on a busy machine some come too late."""
    for _ in range(GENUINE_MAX):
        agent.wait_for_nonces(1)
        lease = adversary.genuine(SHORT_TTL_MS)
        agent.deliver(adversary.hub.sign(lease))
        if agent.wait(lambda: rig.board.is_high(contact), SHORT_TTL_MS / 1000):
            return lease
    raise NotReady(f"the guard of {adversary.node} obeys no genuine lease")


def _judge(rig: Rig, tally: Tally, place: int, contact: Contact, made_ms: float) -> None:
    """Hold the node's pins against what its one genuine lease allows: up once, and down in time."""
    tally.trials += 1
    moves = rig.board.moves_since(place, rig.contacts_of(contact[0]))
    up = [move for move in moves if move.high]
    tally.hostile_obeyed += len(up) - 1
    fell_ms = rig.board.fell_ms(contact)
    if fell_ms is None:
        tally.failures.append("a contact was held for seconds past its lease")
        return
    held_ms = fell_ms - made_ms
    tally.worst_ms = max(tally.worst_ms, held_ms)
    in_time = [(move.contact, move.high) for move in moves] == [(contact, True), (contact, False)]
    tally.require(in_time, f"a hostile delivery moved a contact: {moves}")
    too_long = f"held {held_ms:.0f} ms by a lease of {SHORT_TTL_MS} ms"
    tally.require(held_ms <= tally.limit_ms, too_long)
    # A lease lives to its end, whatever is delivered beside it: nobody may cut it short.
    tally.require(held_ms >= SHORT_TTL_MS - 1, f"released after {held_ms:.0f} ms of its lease")


def _target(rig: Rig, node: str) -> tuple[str, Contact]:
    """Return a relay of a node and its pin."""
    places = rig.stage.installation.layout.nodes
    relay = next(each.relays[0] for each in places if each.node == node)
    return relay.relay, (node, relay.pin)


def _new_key(folder: Path, number: int) -> Path:
    return folder / "keys" / f"stranger{number}.pem"


def hostile_leases() -> Fault:
    """Return the fault, with nothing recorded yet."""
    title = "1,000 hostile relay commands"
    return Fault("hostile_leases", title, HostileLeases().play, LEASE_LIMIT_MS)
