"""What a person does at a bench, as processes: calibrate and then run, test a relay, be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from messages import cose
from messages.correction import Correction
from messages.entries import Calibration, parse_as
from messages.reading import parse_reading
from messages.telemetry import parse_pack
from tests.support.brokers import running_broker
from tests.support.edge_hub import FakeHub
from tests.support.edge_mqtt_hub import mqtt_hub
from tests.support.edge_node import node, wait_until
from tests.support.switched_node import switched_node

ROOT = Path(__file__).parents[2]


def command(made, *words):
    return [sys.executable, "-m", "edge", *words, "--config", str(made.config_file)]


def ran(made, *words):
    return subprocess.run(
        command(made, *words), capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )


@contextmanager
def bench(tmp_path):
    hub = FakeHub()
    with (
        running_broker("embedded", tmp_path / "broker", "bench", ("dep1",)) as broker,
        node(tmp_path / "node", port=broker.port, hub=hub) as made,
        mqtt_hub(hub, broker.port, broker.password_file("hub")) as link,
    ):
        (made.folder / "dep1.password").write_text(broker.password_file("dep1").read_text())
        yield made, link


def messages_of(link, stream):
    with link.lock:
        raws = dict(link.hub.raws)
    return [cose.parse(raw) for (_, name, _), raw in sorted(raws.items()) if name == stream]


def test_a_calibrated_meter_is_corrected_from_the_next_start_on(tmp_path):
    with bench(tmp_path) as (made, link):
        calibrated = ran(made, "calibrate", "m0", "--power-w", "4.000", "--samples", "5")
        assert calibrated.returncode == 0, calibrated.stderr
        agent = made.start("run")
        wait_until(lambda: len(link.stored("register")) >= 4, 40, "four registers")
        refused = ran(made, "calibrate", "m0", "--zero", "--samples", "1")
        assert refused.returncode == os.EX_TEMPFAIL
        assert "stop it first" in refused.stderr
        agent.send_signal(signal.SIGTERM)
        agent.wait(20)

        (entry,) = [parse_as(Calibration, each) for each in messages_of(link, "event")]
        assert (entry.event, entry.meter_id, entry.reference_power_mw) == (1, "m0", 4_000)
        correction = Correction(entry.power_gain_ppm, entry.power_offset_mw)
        packs = [parse_pack(each) for each in messages_of(link, "telemetry")]
        powers = {
            power
            for pack in packs
            for power in pack.columns[pack.names.index("power_mw")]
            if power is not None
        }
        assert {correction.raw_of(power) for power in powers} == {entry.raw_power_mw}
        assert powers == {4_000}
        assert all(pack.t0_ms > entry.at_ms for pack in packs)
        readings = [parse_reading(each) for each in messages_of(link, "register")]
        first, *_, last = readings
        counted_uwh = last.import_uwh - first.import_uwh
        flowed_uwh = 4_000 * (last.at_ms - first.at_ms) / 3_600
        assert abs(counted_uwh - flowed_uwh) <= 1  # what is below 1 uWh waits in the rest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_relay_under_test_is_released_by_a_signal(tmp_path, monkeypatch, number):
    with switched_node(tmp_path, monkeypatch) as made:
        words = ("relay", "test", "heater", "--yes", "--settle-s", "1.5")
        child = subprocess.Popen(
            command(made.node, *words),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        made.node.children.append(child)
        made.node.pins.wait_for(True, 40)
        child.send_signal(number)
        out, err = child.communicate(timeout=20)
        assert (child.returncode, out) == (os.EX_UNAVAILABLE, "")
        assert f"ended by {number.name}" in err
        assert made.node.pins.levels == [False, True, False]
        assert made.contact.is_fed


def test_no_relay_is_tested_beside_its_guard(tmp_path, monkeypatch):
    with switched_node(tmp_path, monkeypatch) as made:
        guard = made.node.start_guard()
        refused = ran(made.node, "relay", "test", "heater", "--yes")
        assert refused.returncode == os.EX_UNAVAILABLE
        assert "the guard runs" in refused.stderr
        guard.send_signal(signal.SIGTERM)
        guard.wait(20)
        tested = ran(made.node, "relay", "test", "heater", "--yes", "--settle-s", "0.1")
        assert tested.returncode == 0, tested.stderr
