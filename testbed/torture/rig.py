"""The bench of the fault suite: ten relays on five nodes, every one of them energised.

Broker, hub, guards and agents are the production programs. Samples come from the testbed's clock,
leases run on real time. Between nodes and broker lies one cable that can be cut.
"""

import itertools
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hub.config import load_config
from hub.ledger.store import Store
from testbed.accounts import Accounts, compare
from testbed.clock import Pace
from testbed.errors import NotReady
from testbed.faults.cable import Cable, lay
from testbed.faults.processes import Processes
from testbed.founding import found_microgrid
from testbed.installation import Installation, socket_folder
from testbed.layout import plan
from testbed.play import Play
from testbed.scenario import load_scenario
from testbed.stage import HUB, Stage, edge_journals, staged
from testbed.supervisor import free_port
from testbed.torture.board import Board, Contact

SCENARIO = Path(__file__).parent / "ten_relays.toml"
LONG_TTL_MS = 10_000  # when whoever else dies must be what makes contacts safe
SHORT_TTL_MS = 1_000  # the shortest that a hub may be told
SHED_S = 60.0
STEADY_S = 1.0
REAL_S = 0.3  # of real time for one instant
SETTLE_S = 30.0
SAMPLE_S = 5.0
PATIENCE_S = 60.0


@dataclass(slots=True)
class Rig:
    """The running installation, what its board saw, and what can be done to it."""

    stage: Stage
    board: Board
    play: Play
    cable: Cable
    at_ms: int
    ttl_ms: int = LONG_TTL_MS

    @property
    def processes(self) -> Processes:
        """What may be killed, frozen and revived."""
        return Processes(self.stage)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that have relays."""
        return tuple(node.node for node in self.stage.installation.layout.nodes if node.relays)

    @property
    def agents(self) -> tuple[str, ...]:
        """The names of their agents."""
        return tuple(f"edge-{node}" for node in self.nodes)

    @property
    def guards(self) -> tuple[str, ...]:
        """The names of their guards."""
        return tuple(f"guard-{node}" for node in self.nodes)

    @property
    def contacts(self) -> frozenset[Contact]:
        """Every relay's pin."""
        return frozenset(itertools.chain.from_iterable(map(self.contacts_of, self.nodes)))

    def contacts_of(self, node: str) -> frozenset[Contact]:
        """Return the pins of a node's relays."""
        nodes = self.stage.installation.layout.nodes
        return frozenset(
            (node, relay.pin) for each in nodes if each.node == node for relay in each.relays
        )

    # --- time passes

    def shed(self, ttl_ms: int) -> None:
        """Let the hub give leases of this life, until every contact is energised and stays so.

        Raises:
            NotReady: it does not come to that.
        """
        if ttl_ms != self.ttl_ms:
            self.ttl_ms = ttl_ms
            set_ttl(self.stage.installation.hub_toml, ttl_ms)
            self.processes.kill(HUB)
            self.processes.revive([HUB])
        deadline_s = time.monotonic() + SHED_S
        while time.monotonic() < deadline_s:
            self.pass_instant()
            if self.board.are(self.contacts, high=True):
                place = len(self.board.history)
                self.hold(STEADY_S)
                if not self.board.moves_since(place, self.contacts):
                    return
        raise NotReady(f"not every relay was energised and stayed so within {SHED_S:.0f} s")

    def hold(self, seconds: float) -> None:
        """Let real time pass with fresh samples."""
        deadline_s = time.monotonic() + seconds
        while time.monotonic() < deadline_s:
            self.pass_instant()

    def pass_instant(self) -> None:
        """Let everybody sample, and the hub fold, close and switch."""
        self._advance()
        self.play.instant(self.at_ms)
        self.stage.clock.rest(REAL_S)

    def sample(self) -> None:
        """Let every edge sample and sign, and wait for no answer: messages are on their way."""
        self._advance()
        nodes = [node.node for node in self.stage.installation.layout.nodes]
        self.stage.clock.edges(nodes, self.at_ms, again=False, timeout_s=SAMPLE_S)

    def _advance(self) -> None:
        self.at_ms += self.stage.installation.layout.instant_ms
        self.stage.devices.run(lambda world: world.advance(self.at_ms))

    # --- what came of it

    def safe_after(
        self, since_ms: float, contacts: frozenset[Contact], wait_s: float
    ) -> list[float | None]:
        """Wait until contacts are safe; return after how long each was, None if it is not. [ms]"""
        self.board.wait(lambda: self.board.are(contacts, high=False), wait_s)
        fell = (self.board.fell_ms(contact) for contact in sorted(contacts))
        return [None if at_ms is None else max(0.0, at_ms - since_ms) for at_ms in fell]

    def stays_safe(self, seconds: float) -> bool:
        """Whether no pin is driven high for a while."""
        place = len(self.board.history)
        self.stage.clock.rest(seconds)
        return not self.board.driven_high_since(place)

    def accounts(self) -> Accounts:
        """Let it live on until everything signed is on the ledger, or for a while; return both."""
        deadline_s = time.monotonic() + SETTLE_S
        config = load_config(self.stage.installation.hub_toml)
        while True:
            with Store.open(config.database, read_only=True) as store:
                accounts = compare(edge_journals(self.stage.installation), store)
            if not accounts.lost or time.monotonic() > deadline_s:
                return accounts
            self.pass_instant()


@contextmanager
def rig(
    folder: Path, broker: str, environment_of: Callable[[str], Mapping[str, str]] | None = None
) -> Iterator[Rig]:
    """Found and start the bench; stop everything at the end, however it comes."""
    board = Board()
    with ExitStack() as stack:
        made = _found(folder)
        if made.sockets != folder:
            stack.callback(shutil.rmtree, made.sockets, ignore_errors=True)
        cable = stack.enter_context(Cable(made.broker_port))
        stage = stack.enter_context(staged(made, broker))
        for node in made.layout.nodes:
            lay(cable, made.broker_port, made.edge_toml(node.node))
        stage.devices.pin_watchers.append(board.note)
        if environment_of is not None:
            stage.environment_of = environment_of
        stage.start(page=False)
        stage.clock.idle = lambda: None  # whoever is dead was killed
        play = stage.play(Pace(None), lambda _at_ms: None)
        play.edge_timeout_s = PATIENCE_S
        play.hub_deadline_ms = int(PATIENCE_S * 1000)
        yield Rig(stage, board, play, cable, made.layout.start_ms)


def _found(folder: Path) -> Installation:
    layout = plan(load_scenario(str(SCENARIO)), None, None)
    made = Installation(folder, layout, free_port(), free_port(), socket_folder(folder, layout))
    found_microgrid(made)
    set_ttl(made.hub_toml, LONG_TTL_MS)
    return made


def set_ttl(hub_toml: Path, ttl_ms: int) -> None:
    """Write how long a lease lives into the hub's configuration."""
    head, _, _ = hub_toml.read_text("utf-8").partition("\n[dispatch]")
    hub_toml.write_text(f"{head}\n[dispatch]\nlease_ttl_ms = {ttl_ms}\n", "utf-8")
