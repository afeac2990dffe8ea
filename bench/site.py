"""An installation for measurements: founded, enrolled and run by the production programs.

Its clock is the wall clock. With `simulation=False` nothing in it knows that its meters are
simulated: they are Modbus TCP servers, and the guards get simulated pins from `bench.guard`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.config import load_config as load_edge_config
from edge.keygen import make_keys, write_enrolment
from hub.commands.enrolling import found_installation, hand_over, sign_as_administrator
from hub.commands.founding import Plan
from hub.config import load_config as load_hub_config
from hub.joining.enrolment import read_enrolment
from messages.entries import KeyEntry, PolicyEntry
from testbed.broker import Users, mosquitto_program, write_mosquitto_config
from testbed.supervisor import Program, free_port, is_listening, python

MICROGRID = "bench"
EMBEDDED, MOSQUITTO = "embedded", "mosquitto"


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its name, and the tables of its buses, meters and relays as TOML."""

    name: str
    tables: str


@dataclass(frozen=True, slots=True)
class Site:
    """Where everything of one measurement lies. [ms]"""

    folder: Path
    nodes: tuple[Node, ...]
    slot_ms: int
    simulation: bool
    port: int

    @classmethod
    def found(
        cls, folder: Path, nodes: Sequence[Node], *, slot_ms: int, simulation: bool = False
    ) -> Site:
        """Make keys, ledger, configurations and passwords, and enrol every node."""
        site = cls(folder, tuple(nodes), slot_ms, simulation, free_port())
        now_ms = time.time_ns() // 1_000_000
        plan = Plan(MICROGRID, slot_ms, 10_000, "open", simulation, _policy(now_ms, slot_ms))
        found_installation(folder, plan, now_ms)
        hub_toml = site.hub_toml.read_text("utf-8")
        site.hub_toml.write_text(hub_toml.replace("port = 1883", f"port = {site.port}"), "utf-8")
        site._users.write(folder)
        for node in nodes:
            site.edge_toml(node.name).write_text(site._edge_text(node), "utf-8")
        site._enrol()
        return site

    @property
    def hub_toml(self) -> Path:
        """The hub's configuration."""
        return self.folder / "hub.toml"

    def edge_toml(self, node: str) -> Path:
        """Return a node's configuration."""
        return self.folder / f"edge-{node}.toml"

    @property
    def wire(self) -> Path:
        """The socket of simulated I2C buses and pins."""
        return self.folder / "wire.sock"

    # --- what is run -----------------------------------------------------------------------

    def broker(self, kind: str) -> Program:
        """Return the broker."""
        if kind == MOSQUITTO:
            config = write_mosquitto_config(self.folder, "127.0.0.1", self.port, self._users)
            command: tuple[str, ...] = (mosquitto_program(), "-c", str(config))
        else:
            users = str(self.folder / "broker-users.json")
            options = ("--port", str(self.port), "--users", users, "--microgrid", MICROGRID)
            command = python("testbed.broker", *options)
        return Program("broker", command, self.folder, lambda: is_listening(self.port))

    def hub(self) -> Program:
        """Return the hub."""
        command = python("hub.cli", "run", "--config", str(self.hub_toml))
        return Program("hub", command, self.folder, (self.folder / "health.json").exists)

    def edge(self, node: Node) -> Program:
        """Return a node's agent."""
        command = python("edge.cli", "run", "--config", str(self.edge_toml(node.name)))
        return Program(f"edge-{node.name}", command, self.folder)

    def guard(self, node: Node) -> Program:
        """Return a node's guard, on the simulated pins of this site."""
        command = python("bench.guard", str(self.edge_toml(node.name)), str(self.wire))
        socket = self.folder / f"state-{node.name}" / "guard.sock"
        return Program(f"guard-{node.name}", command, self.folder, socket.exists)

    # --- inside ----------------------------------------------------------------------------

    @property
    def _users(self) -> Users:
        return Users(MICROGRID, tuple(node.name for node in self.nodes))

    def _enrol(self) -> None:
        config = load_hub_config(self.hub_toml)
        entries: list[KeyEntry] = []
        for node in self.nodes:
            edge = load_edge_config(self.edge_toml(node.name))
            path = write_enrolment(edge, make_keys(edge), self.folder)
            entries += read_enrolment(path.read_text("utf-8"), MICROGRID).entries
        reasons = hand_over(config, sign_as_administrator(config, entries))
        if any(reasons):
            raise SystemExit("; ".join(reason for reason in reasons if reason))

    def _edge_text(self, node: Node) -> str:
        simulation = '\n[simulation]\nwire = "unix:wire.sock"\n' if self.simulation else ""
        return f"""node = "{node.name}"
microgrid = "{MICROGRID}"
member = "{node.name}"
trust = "trust.toml"
state = "state-{node.name}"

[sampling]
sample_ms = 1000
slot_ms = {self.slot_ms}
pack_samples = 60
trust_clock = true      # a virtual machine need not have its clock disciplined

[broker]
host = "127.0.0.1"
port = {self.port}
password_file = "{node.name}.password"

[outbox]
ballast_kb = 1024
{simulation}
{node.tables}"""


def _policy(now_ms: int, slot_ms: int) -> PolicyEntry:
    """Return an island's policy: what is not generated is not drawn."""
    return PolicyEntry(
        from_slot_ms=now_ms - now_ms % slot_ms,
        contract="dep_balance",
        parameters={"deficit": "curtail", "surplus": "storage"},
        prices=((0, 200_000),),
        feed_in=((0, 80_000),),
        dispatch="dep",
        dispatch_parameters={},
        disclosure="open",
        code_id=b"",
    )
