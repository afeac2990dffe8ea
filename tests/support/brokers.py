"""A real broker for a test: Mosquitto or the embedded one, on a free loopback port."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.broker import Users, mosquitto_program, write_mosquitto_config
from testbed.supervisor import Program, Supervisor, free_port, is_listening, python
from tests.support.needs import needs

KINDS = ("embedded", "mosquitto")
HOST = "127.0.0.1"


@dataclass
class RunningBroker:
    """A broker that a test may kill and bring back on the same port."""

    folder: Path
    port: int
    users: Users
    supervisor: Supervisor

    def password_file(self, user: str) -> Path:
        return self.users.password_file(self.folder, user)

    def kill(self) -> None:
        self.supervisor.kill("broker")

    def restart(self) -> None:
        self.supervisor.restart("broker")
        self.supervisor.wait_ready(["broker"], 30)


@contextmanager
def running_broker(
    kind: str, folder: Path, microgrid: str, nodes: tuple[str, ...]
) -> Iterator[RunningBroker]:
    """Start a broker whose users are the hub, the web page and these nodes."""
    folder.mkdir(parents=True, exist_ok=True)
    users, port = Users(microgrid, nodes), free_port()
    listing = users.write(folder)
    if kind == "mosquitto":
        needs("mosquitto")
        config = write_mosquitto_config(folder, HOST, port, users)
        command: tuple[str, ...] = (mosquitto_program(), "-c", str(config))
    else:
        options = ("--port", str(port), "--users", str(listing), "--microgrid", microgrid)
        command = python("testbed.broker", *options)
    with Supervisor(folder / "logs") as supervisor:
        supervisor.start(Program("broker", command, folder, ready=lambda: is_listening(port)))
        supervisor.wait_ready(["broker"], 30)
        yield RunningBroker(folder, port, users, supervisor)
