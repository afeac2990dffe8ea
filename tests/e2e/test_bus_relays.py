"""Relays of a board on a bus: from the signed lease of the hub to the contact and back."""

import json
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from hardware.mock.relays.board import LcBoard, WaveshareBoard
from hardware.mock.wires.modbus_server import ModbusRtuServer
from hardware.mock.wires.pins import Contact
from tests.support.brokers import running_broker
from tests.support.edge_hub import FakeHub
from tests.support.edge_mqtt_hub import mqtt_hub
from tests.support.edge_node import node, wait_until

TABLES = """
[[bus]]
name = "rs485"
kind = "modbus_rtu"
device = "{device}"
baud = 9600
latency_ms = 150

[[relay]]
relay = "pump"
model = "{model}"
bus = "rs485"
channel = 2
deenergised = "fed"
not_failsafe = true
rated_w = 40
switches_per_minute_max = 600

"""


@contextmanager
def bench(tmp_path, board, model, *, with_pins):
    """Yield (node, hub's link), with nothing of the node started."""
    hub = FakeHub()
    with (
        running_broker("embedded", tmp_path / "broker", "bench", ("dep1",)) as broker,
        node(tmp_path / "node", port=broker.port, hub=hub) as made,
        mqtt_hub(hub, broker.port, broker.password_file("hub")) as link,
        ModbusRtuServer({board.device_id: board}, link=tmp_path / "ttyRELAYS") as line,
    ):
        password = broker.password_file("dep1").read_text()
        (made.folder / "dep1.password").write_text(password)
        text = made.config_file.read_text()
        if not with_pins:
            text = re.sub(r"\[\[relay\]\]\n(.+\n)+", "", text)
        tables = TABLES.format(device=line.device, model=model)
        made.config_file.write_text(text.replace("[simulation]", f"{tables}[simulation]"))
        yield made, link


def edge(made, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "edge", *arguments, "--config", str(made.config_file)],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=Path(__file__).parents[2],
        check=False,
    )


def outcomes(link, relay):
    with link.lock:
        return [(ack.outcome, ack.energised) for ack in link.acks if ack.relay == relay]


def test_a_lease_reaches_a_relay_on_a_bus_without_any_guard(tmp_path):
    contacts = [Contact(active_high=True, deenergised="fed") for _ in range(2)]
    board = WaveshareBoard(contacts)
    board.write_bits(0, [True] * 8)  # as a killed agent left it
    with bench(tmp_path, board, "waveshare_relay", with_pins=False) as (made, link):
        agent = made.start("run")
        wait_until(lambda: not board.coils[1], 20, "what was left energised is released")
        assert board.coils[0] is True, "a relay that nobody configured is left alone"
        wait_until(lambda: link.statuses and link.statuses[-1].nonces, 20, "a nonce")
        link.lease(relay="pump", ttl_ms=10_000)
        wait_until(lambda: not contacts[1].is_fed, 10, "the load is cut")
        wait_until(lambda: outcomes(link, "pump") == [("applied", True)], 10, "an ack")
        wait_until(lambda: link.statuses[-1].relays[0].energised, 10, "a status that says so")
        shown = json.loads(edge(made, "status", "--json").stdout)
        assert shown["guard"] == "not needed"
        (relay,) = shown["relays"]
        assert (relay["relay"], relay["energised"], relay["not_failsafe"]) == ("pump", True, True)
        assert 0 < relay["lease_left_ms"] <= 10_000
        assert "energised, lease " in edge(made, "status").stdout
        assert ", not fail-safe (deficit)" in edge(made, "status").stdout
        wait_until(lambda: contacts[1].is_fed, 15, "the lease is over")
        wait_until(lambda: outcomes(link, "pump")[1:] == [("expired", False)], 10, "an ack")
        link.lease(relay="pump", ttl_ms=10_000)
        wait_until(lambda: board.coils[1], 10, "another lease")
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(15) == 0
        assert board.coils[1] is False, "an agent that ends releases its relays"
        checked = edge(made, "check-config").stdout
        assert "note: relay pump (on bus rs485) is not fail-safe" in checked
        assert "pump: is released" in checked
        board.faults.switch("silent", True)
        checked = edge(made, "check-config")
        assert "pump: modbus_rtu" in checked.stdout
        assert checked.returncode == 69
        stopped = json.loads(edge(made, "status", "--json").stdout)["relays"][0]
        assert stopped["energised"] is None
        assert "no agent answers" in stopped["reason"]


def test_relays_on_pins_and_on_a_bus_share_the_guards_nonces(tmp_path):
    board = LcBoard()
    with bench(tmp_path, board, "lc_relay", with_pins=True) as (made, link):
        made.start_guard()
        made.start("run")
        wait_until(lambda: link.statuses and link.statuses[-1].nonces, 20, "a nonce")
        wait_until(lambda: len(link.statuses[-1].relays) == 2, 20, "both relays in the status")
        link.lease(relay="heater", ttl_ms=10_000)
        link.lease(relay="pump", ttl_ms=10_000)
        wait_until(lambda: board.coils[1], 10, "the relay on the bus")
        made.pins.wait_for(True, 10)
        wait_until(lambda: outcomes(link, "pump") == [("applied", True)], 10, "its ack")
        wait_until(lambda: outcomes(link, "heater") == [("applied", True)], 10, "the other's ack")
        assert {
            each["relay"] for each in json.loads(edge(made, "status", "--json").stdout)["relays"]
        } == {
            "heater",
            "pump",
        }
