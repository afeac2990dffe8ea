"""A microgrid as docs/pairing.md makes one: hub, Mosquitto over TLS, nodes that join by a text.

Every step is the command that a person types, as a process of its own.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from getpass import getuser
from pathlib import Path

from hardware.mock.meters.eastron import Sdm120Meter
from hardware.mock.wires.modbus_server import ModbusTcpServer
from hub.config import HubConfig, load_config
from hub.ledger.store import Store
from testbed.supervisor import free_port, is_listening
from tests.support.hub_process import Hub
from tests.support.needs import needs

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"
MICROGRID = "bench"
FINGERPRINT = re.compile(r"^([0-9a-f-]{19})  all of", re.MULTILINE)

NODE = """\
node = "{node}"
microgrid = "bench"
member = "{member}"
trust = "trust.toml"
state = "state"

[sampling]
sample_ms = 200
slot_ms = {slot_ms}
trust_clock = true

[outbox]
ballast_kb = 64

[[bus]]
name = "lan"
kind = "modbus_tcp"
host = "127.0.0.1"
port = {meter_port}
pause_ms = 0

[[meter]]
meter_id = "{node}-{purpose}"
model = "sdm120"
bus = "lan"
address = 1
key = "keys/{node}.meter.pem"
purpose = "{purpose}"
{source}
rated_w = 100_000
"""
SOURCE = 'fuel = "solar"\nlocation = "Upper Mill"'


UWH_PER_MW_HOUR = 1_000
POWER_MW = 36_000_000  # 20 Wh in a slot of 2 s: the meter counts by 10 Wh


@dataclass
class Flow:
    """A feeder through which the same power flows all the time; a plant feeds in what it makes."""

    power_mw: int
    voltage_mv: int = 230_000
    frequency_mhz: int = 50_000
    began_s: float = field(default_factory=time.monotonic)

    @property
    def energy_import_uwh(self) -> int:
        return max(self._flowed_uwh, 0)

    @property
    def energy_export_uwh(self) -> int:
        return max(-self._flowed_uwh, 0)

    @property
    def _flowed_uwh(self) -> int:
        return int(self.power_mw * UWH_PER_MW_HOUR * (time.monotonic() - self.began_s) / 3_600)


def wait_until(claim: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Wait for an event, with a deadline."""
    deadline_s = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline_s, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def program(name: str, *words: object, prefix: tuple[str, ...] = ()) -> list[str]:
    """Return the command line of one of our programs."""
    return [*prefix, sys.executable, "-m", name, *map(str, words)]


def call(name: str, *words: object, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    """Run one of our programs to its end."""
    line = program(name, *words, prefix=prefix)
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)


@dataclass
class Child:
    """A process whose words are kept in files."""

    process: subprocess.Popen[str]
    out: Path
    err: Path

    def said(self) -> str:
        """What it said to a person."""
        return self.err.read_text()

    def end(self, seconds: float = 30) -> int:
        return self.process.wait(seconds)


@dataclass
class Paired:
    """The installation in a folder, and every process that was started."""

    folder: Path
    port: int
    slot_ms: int
    children: list[Child] = field(default_factory=list)
    hubs: list[Hub] = field(default_factory=list)
    closing: ExitStack = field(default_factory=ExitStack)

    @property
    def hub_folder(self) -> Path:
        return self.folder / "hub"

    @property
    def hub_file(self) -> Path:
        return self.hub_folder / "hub.toml"

    @property
    def config(self) -> HubConfig:
        return load_config(self.hub_file)

    def hub(self, *words: object) -> subprocess.CompletedProcess:
        return call("hub", *words, "--config", self.hub_file)

    def found(self) -> None:
        """What a person does once: a microgrid, and a broker that speaks TLS."""
        made = call(
            *("hub", "init", "--microgrid", MICROGRID, "--dir", self.hub_folder),
            *("--slot-ms", self.slot_ms, "--close-after-ms", 1_000),
        )
        assert made.returncode == 0, made.stderr
        made = self.hub("mosquitto", "--name", HOST, "--name", "localhost", "--port", self.port)
        assert made.returncode == 0, made.stderr
        conf = self.folder / "mosquitto.conf"  # as Debian's /etc/mosquitto/mosquitto.conf
        broker = self.hub_folder / "mosquitto"
        conf.write_text(f"user {getuser()}\npersistence false\ninclude_dir {broker}\n")

    def start_broker(self) -> Child:
        conf = str(self.folder / "mosquitto.conf")
        made = self.start("mosquitto", [needs("mosquitto"), "-c", conf])
        wait_until(lambda: is_listening(self.port), "the broker listens")
        return made

    def start_hub(self) -> Hub:
        made = Hub(self.hub_folder)
        self.hubs.append(made)
        made.wait_health(lambda health: bool(health["broker_connected"]))
        return made

    def start(self, name: str, command: list[str]) -> Child:
        out, err = (self.folder / f"{name}.{len(self.children)}.{kind}" for kind in ("out", "err"))
        with out.open("w") as stdout, err.open("w") as stderr:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                text=True,
                start_new_session=True,  # faketime runs the program as a child of its own
            )
        made = Child(process, out, err)
        self.children.append(made)
        return made

    def node(self, node: str, member: str, purpose: str) -> Path:
        """Make the folder of a node with one meter, which answers on Modbus TCP."""
        folder = self.folder / node
        folder.mkdir()
        is_source = purpose == "generation"
        device = Sdm120Meter(Flow(-POWER_MW if is_source else POWER_MW))
        served = self.closing.enter_context(ModbusTcpServer({1: device}))
        text = NODE.format(
            node=node,
            member=member,
            slot_ms=self.slot_ms,
            purpose=purpose,
            source=SOURCE if is_source else "",
            meter_port=served.port,
        )
        (folder / "edge.toml").write_text(text)
        return folder

    def pair(self, node: str, *words: object, prefix: tuple[str, ...] = ()) -> tuple[Child, str]:
        """Start `gridtally-hub pair`; return it, and the text for the node."""
        line = program("hub", "pair", node, *words, "--config", self.hub_file, prefix=prefix)
        made = self.start("pair", [*line, "--host", HOST, "--port", "0"])
        wait_until(lambda: made.out.read_text().endswith("\n"), "a pairing text")
        return made, made.out.read_text().strip()

    def join(self, text: str, folder: Path, prefix: tuple[str, ...] = ()) -> Child:
        return self.start("join", program("edge", "join", text, "--dir", folder, prefix=prefix))

    def paired(self, node: str, folder: Path, prefix: tuple[str, ...] = ()) -> str:
        """Let a node join as people do: compare what both show, say yes; return what was shown."""
        hub, text = self.pair(node)
        edge = self.join(text, folder, prefix)
        for side in (hub, edge):
            wait_until(lambda side=side: FINGERPRINT.search(side.said()), "a fingerprint")
        shown = [FINGERPRINT.findall(side.said()) for side in (hub, edge)]
        assert shown[0] == shown[1]
        assert not (folder / "trust.toml").exists(), "nothing is written before a person agreed"
        hub.process.communicate("y\n", timeout=30)
        assert (hub.end(), edge.end()) == (0, 0), (hub.said(), edge.said())
        return str(shown[0][0])

    def run_edge(self, folder: Path, prefix: tuple[str, ...] = ()) -> Child:
        words = ("run", "--config", folder / "edge.toml")
        return self.start("edge", program("edge", *words, prefix=prefix))

    def stored(self, meter_id: str) -> int:
        """How many registers of a meter are on the ledger."""
        with Store.open(self.config.database, read_only=True) as store:
            raws = [each.raw for each in store.entries() if each.stream == "register"]
        return sum(f"{MICROGRID}/{meter_id}/".encode() in raw for raw in raws)

    def reload_broker(self, broker: Child) -> None:
        """What `systemctl reload mosquitto` does."""
        told = broker.said().count("Reloading config")
        broker.process.send_signal(signal.SIGHUP)
        wait_until(lambda: broker.said().count("Reloading config") > told, "a reload")

    def close(self) -> None:
        for child in self.children:
            if child.process.poll() is None:
                os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait(10)
            if child.process.stdin is not None:
                child.process.stdin.close()
        for hub in self.hubs:
            if hub.process.poll() is None:
                hub.kill()
            hub.log.close()
        self.closing.close()


@contextmanager
def paired_microgrid(folder: Path, slot_ms: int = 2_000) -> Iterator[Paired]:
    """Yield a microgrid that was founded; nothing of it runs yet."""
    needs("mosquitto")
    folder.mkdir(parents=True, exist_ok=True)
    made = Paired(folder, free_port(), slot_ms)
    try:
        made.found()
        yield made
    finally:
        made.close()


def faked(at: str) -> tuple[str, ...]:
    """Return what runs a program with another clock; its steady clock stays as it is."""
    return ("env", "FAKETIME_DONT_FAKE_MONOTONIC=1", needs("faketime"), "-f", f"@{at}")
