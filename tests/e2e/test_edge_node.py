"""A node as two processes, on a real broker, with a simulated wire and a hub that is a fake."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from messages import cose
from messages.reading import parse_reading
from testbed.supervisor import free_port
from tests.support.brokers import running_broker
from tests.support.edge_hub import FakeHub
from tests.support.edge_mqtt_hub import mqtt_hub
from tests.support.edge_node import node, wait_until


@contextmanager
def bench(tmp_path, **settings):
    """Yield (node, broker, hub), with nothing of the node started."""
    hub = FakeHub()
    with (
        running_broker("embedded", tmp_path / "broker", "bench", ("dep1",)) as broker,
        node(tmp_path / "node", port=broker.port, hub=hub, **settings) as made,
        mqtt_hub(hub, broker.port, broker.password_file("hub")) as link,
    ):
        password = broker.password_file("dep1").read_text()
        (made.folder / "dep1.password").write_text(password)
        yield made, broker, link


def rows(made):
    connection = sqlite3.connect(f"file:{made.config.state}/outbox.db?mode=ro", uri=True)
    try:
        return connection.execute("SELECT count(*) FROM row").fetchone()[0]
    finally:
        connection.close()


def journal(made):
    lines = (made.folder / "journal.txt").read_text().splitlines()
    return sorted(
        (bytes.fromhex(kid), stream, int(n)) for kid, stream, n, _ in map(str.split, lines)
    )


def wait_for_readings(link, count):
    seen = len(link.stored("register"))
    wait_until(lambda: len(link.stored("register")) >= seen + count, 40, "readings")


def edge(made, *arguments):
    command = [sys.executable, "-m", "edge", *arguments, "--config", str(made.config_file)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=30,
        cwd=Path(__file__).parents[2],
        check=False,
    )


def test_readings_flow_are_proven_and_deleted(tmp_path):
    with bench(tmp_path, meters=3) as (made, _, link):
        made.start("run")
        wait_until(lambda: len(link.stored("register")) >= 9, 30, "three registers a meter")
        wait_until(lambda: len(link.stored("telemetry")) >= 6, 30, "telemetry packs")
        assert link.order.index("status") < link.order.index("register")
        with link.lock:
            registers = sorted(
                (reading.meter_id, reading.at_ms, reading.import_uwh)
                for (_, stream, _), raw in link.hub.raws.items()
                if stream == "register"
                for reading in [parse_reading(cose.parse(raw))]
            )
        for (meter, before_ms, before), (same, after_ms, after) in pairwise(registers):
            if meter == same:
                assert after_ms - before_ms == 1000
                assert after - before == 3_600_000 // 3600
        wait_until(lambda: link.lives and link.lives[-1].beacon in link.beacons, 10, "a beacon")
        made.children[-1].terminate()
        assert made.children[-1].wait(10) == 0
        wait_until(lambda: link.order[-1] == "status", 5, "the last will of a node that left")
        assert rows(made) <= 6
        assert "SIMULATION" in made.log("run")


def test_nothing_is_lost_or_doubled_over_kills_of_node_and_broker(tmp_path):
    with bench(tmp_path, meters=2, sample_ms=100, slot_ms=1000) as (made, broker, link):
        for round_ in range(5):
            made.start("run")
            wait_for_readings(link, 4)
            if round_ == 2:
                broker.kill()
                time.sleep(1.5)
                broker.restart()
            made.children[-1].kill()
            made.children[-1].wait(10)
        made.start("run")

        def is_drained():
            with link.lock:
                stored = set(link.hub.raws)
            return set(journal(made)) <= stored

        wait_for_readings(link, 4)
        made.children[-1].send_signal(signal.SIGSTOP)
        settled = journal(made)
        made.children[-1].send_signal(signal.SIGCONT)
        wait_until(is_drained, 40, "all that was signed is stored")
        assert len(settled) == len(set(settled))
        for (kid, stream, before), (same, also, after) in pairwise(settled):
            if (kid, stream) == (same, also):
                assert after == before + 1


def test_a_hub_that_is_away_gets_everything_when_it_is_back(tmp_path):
    with bench(tmp_path, sample_ms=100, slot_ms=1000) as (made, _, link):
        link.is_answering = False
        made.start("run")
        wait_until(lambda: made.folder.joinpath("journal.txt").exists(), 20, "the node starts")
        wait_until(lambda: len(journal(made)) >= 12, 30, "a backlog")
        assert rows(made) >= 12, "what is only with the broker is not deleted"
        link.is_answering = True
        backlog = len(journal(made))
        wait_until(lambda: rows(made) < backlog // 2, 30, "the backlog is proven and deleted")


def test_a_lease_travels_from_the_hub_to_the_contact_and_back(tmp_path):
    with bench(tmp_path) as (made, _, link):
        made.start_guard()
        made.start("run")
        wait_until(lambda: link.statuses and link.statuses[-1].nonces, 20, "nonces")
        sent = time.monotonic()
        link.lease(ttl_ms=5000)
        assert made.pins.wait_for(True, 2) - sent < 0.5
        wait_until(lambda: link.acks, 5, "an acknowledgement")
        assert (link.acks[0].outcome, link.acks[0].energised) == ("applied", True)
        wait_until(lambda: link.statuses[-1].relays[0].energised, 5, "the status says so")
        shown = edge(made, "status", "--json")
        assert json.loads(shown.stdout)["relays"][0]["energised"] is True
        made.children[-1].kill()
        died = time.monotonic()
        assert made.pins.wait_for(False, 2) - died <= 0.1


def test_a_node_without_anything_starts_and_goes_on_when_it_comes(tmp_path):
    with node(tmp_path, port=free_port()) as made:
        for chip in made.chips.values():
            chip.faults.switch("unplugged", True)
        made.start("run")
        wait_until(lambda: "asking again until it answers" in made.log("run"), 20, "it is said")
        wait_until(lambda: "the broker is away" in made.log("run"), 20, "it is said")
        for chip in made.chips.values():
            chip.faults.switch("unplugged", False)
        wait_until(lambda: "answers again" in made.log("run"), 20, "the device is back")
        wait_until(lambda: len(journal(made)) > 2, 20, "it signs without a broker")
        assert made.log("run").count("asking again") == 1
        assert made.log("run").count("the broker is away") == 1


def test_one_state_folder_has_one_agent(tmp_path):
    with node(tmp_path, port=free_port()) as made:
        made.start("run")
        wait_until(lambda: "is up" in made.log("run"), 20, "the first one")
        second = edge(made, "run")
        assert second.returncode == 75
        assert "stop it first" in second.stderr


@pytest.mark.parametrize("meters", [1, 3])
def test_meter_and_check_config_read_the_devices(tmp_path, meters):
    with node(tmp_path, port=free_port(), meters=meters) as made:
        shown = edge(made, "meter", "m0")
        assert shown.returncode == 0
        assert shown.stdout.split() == [
            "power",
            "3.600",
            "W",
            "voltage",
            "12.000",
            "V",
            "current",
            "0.300",
            "A",
        ]
        assert "SIMULATION" in shown.stderr
        assert json.loads(edge(made, "meter", "m0", "--json").stdout)["power_mw"] == 3600
        unknown = edge(made, "meter", "m9")
        assert (unknown.returncode, "no meter is named m9" in unknown.stderr) == (69, True)
        checked = edge(made, "check-config")
        assert checked.returncode == 69, "there is no broker"
        assert checked.stdout.count("answers: 3.600 W, 12.000 V, 0.300 A") == meters
        made.chips["m0"].faults.switch("unplugged", True)
        checked = edge(made, "check-config")
        assert "m0: i2c bus i2c1, address 0x40: no acknowledge; check power" in checked.stdout
        gone = edge(made, "meter", "m0")
        assert (gone.returncode, gone.stdout) == (69, "")
        assert "no acknowledge" in gone.stderr


def test_a_running_agent_shows_what_goes_over_its_buses(tmp_path):
    with bench(tmp_path, meters=1) as (made, _, link):
        made.start("run")
        wait_for_readings(link, 1)
        shown = edge(made, "trace", "i2c1", "--seconds", "3")
        assert shown.returncode == 0, shown.stderr
        assert "listening to the running agent" in shown.stderr
        head, bus, *lines = shown.stdout.splitlines()
        assert (head, bus) == ("# gridtally trace 1", "# bus i2c1 i2c")
        assert any(" > 40 01" in line for line in lines), "the shunt register is asked for"
        wait_for_readings(link, 1)
