"""The files of a simulated installation: configurations that every command can be tried on.

Everything lies in one folder: `hub.toml`, `edge-<node>.toml`, keys, passwords, databases, logs.
Every configuration says `[simulation]`, and the ledger's name says it, too.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from testbed.broker import Users
from testbed.devices import is_reversed
from testbed.layout import Layout, MeterPlace, NodePlace, RelayPlace, current_max_ma
from testbed.tables import HOME_METER

SOCKET_BYTES_MAX = 107  # sun_path of Linux, less its final zero
CLOSE_AFTER_MS = 10_000
ROWS_MAX = 500_000
BALLAST_KB = 1024
SDM120_WORDS_MAX = 80


@dataclass(frozen=True, slots=True)
class Installation:
    """Where everything of one run lies and listens."""

    folder: Path
    layout: Layout
    broker_port: int
    web_port: int
    sockets: Path

    @property
    def hub_toml(self) -> Path:
        """The hub's configuration."""
        return self.folder / "hub.toml"

    def edge_toml(self, node: str) -> Path:
        """Return a node's configuration."""
        return self.folder / f"edge-{node}.toml"

    def journal(self, node: str) -> Path:
        """Return where a node's edge writes down what it signed, apart from its outbox."""
        return self.folder / f"journal-{node}.txt"

    @property
    def clock(self) -> Path:
        """The barrier's socket."""
        return self.sockets / "clock.sock"

    @property
    def wire(self) -> Path:
        """The simulated wires' socket."""
        return self.sockets / "wire.sock"

    @property
    def switchboard(self) -> Path:
        """The socket where faults are switched, while a demo has a switchboard."""
        return self.sockets / "faults.sock"

    def guard(self, node: str) -> Path:
        """Return the socket between a node's guard and its agent."""
        if self.sockets == self.folder:
            return self.folder / f"state-{node}" / "guard.sock"
        return self.sockets / f"guard-{node}.sock"

    @property
    def users(self) -> Users:
        """The broker's clients."""
        nodes = tuple(node.node for node in self.layout.nodes)
        return Users(self.layout.scenario.microgrid, nodes)

    def write(self) -> None:
        """Write every configuration and password; keys and ledger come from the programs."""
        (self.folder / "keys").mkdir(parents=True, exist_ok=True)
        self.users.write(self.folder)
        self.hub_toml.write_text(hub_toml(self), "utf-8")
        for node in self.layout.nodes:
            self.edge_toml(node.node).write_text(edge_toml(self, node), "utf-8")


def socket_folder(folder: Path, layout: Layout) -> Path:
    """Return the folder itself, or a short one where its path is too long for a socket.

    The short one stays: the configurations name it, and a command refuses one that is gone.
    """
    nodes = [node.node for node in layout.nodes if node.relays]
    paths = [folder / "faults.sock", *(folder / f"state-{node}" / "guard.sock" for node in nodes)]
    if max(len(str(path).encode()) for path in paths) <= SOCKET_BYTES_MAX:
        return folder
    return Path(tempfile.mkdtemp(prefix="gridtally-"))


# -- the texts


def hub_toml(installation: Installation) -> str:
    """Return the hub's configuration."""
    layout = installation.layout
    return f"""# SIMULATION: made by gridtally-testbed, no real meter is behind this.
microgrid = "{layout.scenario.microgrid}"
trust = "trust.toml"
state = "."
database = "sqlite:///ledger.db"

[keys]
log = "keys/log.pem"
hub = "keys/hub.pem"
administrator = "keys/administrator.pem"

[broker]
host = "127.0.0.1"
port = {installation.broker_port}
password_file = "hub.password"

[slots]
slot_ms = {layout.slot_ms}
close_after_ms = {CLOSE_AFTER_MS}
backlog_wait_ms = 60000

[web]
host = "127.0.0.1"
port = {installation.web_port}
password_file = "web.password"

[simulation]
clock = "unix:{_relative(installation, installation.clock)}"
"""


def edge_toml(installation: Installation, node: NodePlace) -> str:
    """Return one node's configuration."""
    layout = installation.layout
    samples = min(60, layout.slot_ms // layout.instant_ms)
    parts = [
        f"""# SIMULATION: made by gridtally-testbed, no real meter is behind this.
node = "{node.node}"
microgrid = "{layout.scenario.microgrid}"
member = "{node.member}"
trust = "trust.toml"
state = "state-{node.node}"

[sampling]
sample_ms = {layout.instant_ms}
slot_ms = {layout.slot_ms}
pack_samples = {samples}
readings = "{layout.scenario.readings}"

[broker]
host = "127.0.0.1"
port = {installation.broker_port}
password_file = "{node.node}.password"

[outbox]
rows_max = {ROWS_MAX}
ballast_kb = {BALLAST_KB}

[guard]
socket = "{_guard_socket(installation, node.node)}"

[simulation]
wire = "unix:{_relative(installation, installation.wire)}"
clock = "unix:{_relative(installation, installation.clock)}"
journal = "{installation.journal(node.node).name}"
""",
        *(_bus(bus.name, bus.kind, bus.port) for bus in node.buses),
        *(_meter(meter) for meter in node.meters),
        *(_relay(relay) for relay in node.relays),
    ]
    return "\n".join(parts)


def _bus(name: str, kind: str, port: int) -> str:
    gateway = f'host = "127.0.0.1"\nport = {port}\npause_ms = 0'  # simulated meters need no rest
    where = 'device = "simulated"' if kind == "i2c" else gateway
    return f'[[bus]]\nname = "{name}"\nkind = "{kind}"\n{where}\n'


def _meter(meter: MeterPlace) -> str:
    return "\n".join(("[[meter]]", *_meter_lines(meter), ""))


def _meter_lines(meter: MeterPlace) -> Iterator[str]:
    yield f'meter_id = "{meter.meter_id}"'
    yield f'model = "{meter.model}"'
    yield f'bus = "{meter.bus}"'
    if meter.model == "ina219":
        yield f"address = {meter.address:#04x}"
        yield f"shunt_mohm = {meter.shunt_mohm}"
        yield f"current_max_ma = {current_max_ma(meter)}"
        yield "samples_averaged = 1"
    else:
        yield f"address = {meter.address}"
        if meter.model == HOME_METER:
            yield f"words_max = {SDM120_WORDS_MAX}"
    yield f'key = "keys/{meter.meter_id}.pem"'
    yield f'purpose = "{meter.purpose}"'
    yield f'member = "{meter.member}"'
    yield f"rated_w = {meter.rated_w}"
    if is_reversed(meter):
        yield "reversed = true"
    if meter.parent:
        yield f'parent = "{meter.parent}"'
    if meter.fuel:
        yield f'fuel = "{meter.fuel}"'
    if meter.location:
        yield f'location = "{meter.location}"'


def _relay(relay: RelayPlace) -> str:
    return f"""[[relay]]
relay = "{relay.relay}"
pin = {relay.pin}
active_high = true
deenergised = "{relay.deenergised}"
load = "{relay.load_meter}"
member = "{relay.member}"
rated_w = {relay.rated_w}
critical = {str(relay.critical).lower()}
importance = {relay.importance}
shed_price_utok_per_kwh = {relay.shed_price_utok_per_kwh}
min_on_ms = {relay.min_on_ms}
min_off_ms = {relay.min_off_ms}
"""


def _guard_socket(installation: Installation, node: str) -> str:
    """Return the socket as the configuration has it: relative to the state folder, or absolute."""
    path = installation.guard(node)
    return path.name if path.parent.parent == installation.folder else str(path)


def _relative(installation: Installation, path: Path) -> str:
    folder = installation.folder
    return path.name if path.parent == folder else str(path)
