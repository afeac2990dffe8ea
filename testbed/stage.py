"""A whole simulated installation as running processes: founded, started, watched, stopped.

The broker, the hub, its page, a guard for each node with relays and an edge for each node are the
production programs, started as a person would start them. Only wires and time are simulated.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from testbed.broker import mosquitto_program, write_mosquitto_config
from testbed.clock import Clock, Pace
from testbed.devices import Devices
from testbed.errors import NotReady
from testbed.installation import Installation
from testbed.layout import NodePlace
from testbed.play import Play
from testbed.supervisor import Program, Supervisor, is_listening, python

READY_S = 60.0
BROKER = "broker"
HUB = "hub"
WEB = "web"


def _no_environment(_name: str) -> Mapping[str, str]:
    """Set nothing for anybody."""
    return {}


@dataclass(slots=True)
class Stage:
    """Everything that runs. `start` brings it up; leaving `staged` takes it down.

    `environment_of` gives each child, by its name, what is set for it alone.
    """

    installation: Installation
    supervisor: Supervisor
    clock: Clock
    devices: Devices
    broker: str
    environment_of: Callable[[str], Mapping[str, str]] = field(default=_no_environment)

    def start(self, *, page: bool = True) -> None:
        """Start every process and wait until all have joined the barrier."""
        self._up([self._broker()])
        nodes = self.installation.layout.nodes
        guards = [self._guard(node) for node in nodes if node.relays]
        edges = [self._edge(node) for node in nodes]
        pages = [self._web()] if page else []
        self._up([self._hub(), *pages, *guards, *edges])
        self.clock.idle = self.supervisor.check
        absent = self.clock.wait_for([HUB, *(node.node for node in nodes)], READY_S)
        if absent:
            raise NotReady(f"{', '.join(sorted(absent))} did not come to the barrier")

    def play(self, pace: Pace, watch: Callable[[int], None]) -> Play:
        """Return a play over this stage's layout."""
        return Play(self.installation.layout, self.devices, self.clock, pace, watch)

    def _up(self, programs: Iterable[Program]) -> None:
        started = []
        for program in programs:
            alone = replace(program, environment=self.environment_of(program.name))
            started.append(self.supervisor.start(alone).program.name)
        self.supervisor.wait_ready(started, READY_S)

    def _broker(self) -> Program:
        made, folder = self.installation, self.installation.folder
        port = made.broker_port
        if self.broker == "mosquitto":
            config = write_mosquitto_config(folder, "127.0.0.1", port, made.users)
            command: tuple[str, ...] = (mosquitto_program(), "-c", str(config))
        else:
            users = folder / "broker-users.json"
            microgrid = made.layout.scenario.microgrid
            options = ("--port", str(port), "--users", str(users), "--microgrid", microgrid)
            command = python("testbed.broker", *options)
        return Program(BROKER, command, folder, ready=lambda: is_listening(port))

    def _hub(self) -> Program:
        command = python("hub.cli", "run", "--config", str(self.installation.hub_toml))
        return Program(HUB, command, self.installation.folder, self._joined(HUB))

    def _web(self) -> Program:
        port = self.installation.web_port
        command = python("hub.cli", "web", "--config", str(self.installation.hub_toml))
        return Program(WEB, command, self.installation.folder, lambda: is_listening(port))

    def _guard(self, node: NodePlace) -> Program:
        command = python("edge.cli", "guard", "--config", self._edge_toml(node))
        socket = self.installation.guard(node.node)
        return Program(f"guard-{node.node}", command, self.installation.folder, socket.exists)

    def _edge(self, node: NodePlace) -> Program:
        command = python("edge.cli", "run", "--config", self._edge_toml(node))
        ready = self._joined(node.node)
        return Program(f"edge-{node.node}", command, self.installation.folder, ready)

    def _edge_toml(self, node: NodePlace) -> str:
        return str(self.installation.edge_toml(node.node))

    def _joined(self, name: str) -> Callable[[], bool]:
        return lambda: not self.clock.wait_for([name], 0.01)


@contextlib.contextmanager
def staged(installation: Installation, broker: str) -> Iterator[Stage]:
    """Yield a stage with its devices served and nothing started yet; stop all of it at the end."""
    with contextlib.ExitStack() as stack:
        clock = Clock(installation.clock)
        stack.callback(clock.close)
        devices = stack.enter_context(Devices(installation.layout, installation.wire))
        supervisor = stack.enter_context(Supervisor(installation.folder / "logs"))
        yield Stage(installation, supervisor, clock, devices, broker)


def edge_journals(installation: Installation) -> list[Path]:
    """Return the journal of each edge."""
    return [installation.journal(node.node) for node in installation.layout.nodes]
