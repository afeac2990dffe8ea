"""`relay test` as a command: on simulated pins and meters, and where it must not run."""

from __future__ import annotations

import json
import logging
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.errors import Unavailable
from edge.outbox import Outbox
from edge.relaytest.opening import pace, run_test
from edge.relaytest.trial import BETWEEN_SAMPLES_S, Pace
from hardware.mock.relays.board import WaveshareBoard
from hardware.mock.wires.modbus_server import ModbusTcpServer
from hardware.mock.wires.pins import Contact
from testbed.supervisor import free_port
from tests.support.switched_node import switched_node


@pytest.fixture
def made(tmp_path, monkeypatch):
    with switched_node(tmp_path, monkeypatch) as made:
        monkeypatch.chdir(made.node.folder)
        monkeypatch.setattr("edge.relaytest.trial.BETWEEN_SAMPLES_S", BETWEEN_SAMPLES_S / 500)
        yield made


def call(*arguments, answers=""):
    root = logging.getLogger()
    before = root.handlers[:]
    try:
        words = ["relay", "test", *arguments, "--settle-s", "0.02"]
        return CliRunner().invoke(app, words, input=answers)
    finally:
        root.handlers[:] = before


def test_a_relay_that_works_ends_with_0(made):
    ended = call("heater", "--yes")
    assert ended.exit_code == 0, ended.stderr
    assert ended.stdout.startswith("heater: it works: m1 measured 24.")
    assert "heater is energised" in ended.stderr
    assert "SIMULATION" in ended.stderr
    assert made.node.pins.levels == [False, True, False]


def test_as_json(made):
    found = json.loads(call("heater", "--yes", "--json").stdout)
    assert (found["relay"], found["works"], found["verdict"]) == ("heater", True, "works")
    powers = [each["levels"]["m1"]["power_mw"] for each in found["positions"]]
    assert powers[1] == 0
    assert powers[0] == powers[2] > 20_000
    assert [each["energised"] for each in found["positions"]] == [False, True, False]


def test_a_relay_that_is_wired_the_other_way_round_ends_with_69(made):
    made.contact = Contact(active_high=True, deenergised="cut")
    made.set_load()
    ended = call("heater", "--yes")
    assert ended.exit_code == os.EX_UNAVAILABLE
    assert "wired the other way round" in ended.stdout


def test_it_asks_before_each_switch(made):
    ended = call("heater", answers="y\ny\ny\n")
    assert ended.exit_code == 0, ended.stderr
    for question in ("Release heater?", "Energise heater?"):
        assert question in ended.stderr
    assert ended.stdout.startswith("heater: it works")


@pytest.mark.parametrize(
    ("answers", "levels"), [("n\n", []), ("", []), ("y\nn\n", [False]), ("y\ny\n", [0, 1, 0])]
)
def test_no_and_no_answer_end_it_released(made, answers, levels):
    ended = call("heater", answers=answers)
    assert (ended.exit_code, ended.stdout) == (os.EX_UNAVAILABLE, "")
    assert "ended: not agreed" in ended.stderr
    assert made.node.pins.levels == levels


def test_a_critical_load_is_named(made):
    file = made.node.config_file
    file.write_text(file.read_text().replace('load = "m1"', 'load = "m1"\ncritical = true'))
    assert "heater switches a CRITICAL load" in call("heater", answers="n\n").stderr


def test_an_unknown_relay(made):
    ended = call("cooler", "--yes")
    assert ended.exit_code == os.EX_UNAVAILABLE
    assert "no relay is named cooler; there are: heater" in ended.stderr


def test_not_while_the_guard_runs(made):
    door = Path(made.node.config.guard.socket)
    door.parent.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as guard:
        guard.bind(str(door))
        guard.listen()
        ended = call("heater", "--yes")
    assert ended.exit_code == os.EX_UNAVAILABLE
    assert "the guard runs" in ended.stderr
    assert made.node.pins.history == []
    assert call("heater", "--yes").exit_code == 0  # a socket that nobody listens at is none


def test_not_while_nobody_can_tell_whether_the_guard_runs(made):
    Path(made.node.config.state).write_text("no folder")
    ended = call("heater", "--yes")
    assert ended.exit_code == os.EX_UNAVAILABLE
    assert "whether the guard runs cannot be told" in ended.stderr
    assert made.node.pins.history == []


def test_not_while_the_agent_runs(made):
    agent = Outbox(Path(made.node.config.state), 100)
    try:
        ended = call("heater", "--yes")
    finally:
        agent.close()
    assert ended.exit_code == os.EX_UNAVAILABLE
    assert "the agent runs" in ended.stderr
    assert made.node.pins.history == []
    assert call("heater", "--yes").exit_code == 0


def test_no_state_folder_is_left_where_no_agent_has_run(made):
    assert call("heater", "--yes").exit_code == 0
    assert not Path(made.node.config.state).exists()


def test_each_position_is_kept_as_long_as_its_load_needs(made):
    (table,) = made.node.config.relay
    assert pace(table, 3.0) == Pace(3.0, 3.0)
    assert pace(replace(table, min_on_ms=4_000), 3.0) == Pace(3.0, 4.0)
    assert pace(replace(table, min_off_ms=180_000, min_on_ms=1), 3.0) == Pace(180.0, 3.0)


BOARD = """\
[[bus]]
name = "rs485"
kind = "modbus_tcp"
host = "127.0.0.1"
port = {port}

[[relay]]
relay = "fan"
model = "waveshare_relay"
bus = "rs485"
channel = 2
not_failsafe = true
deenergised = "fed"
load = "m1"
rated_w = 40
interlock = "one"

[[relay]]
relay = "pump"
model = "waveshare_relay"
bus = "rs485"
channel = 3
not_failsafe = true
deenergised = "cut"
rated_w = 40
interlock = "one"

[simulation]
"""


@pytest.fixture
def board(made):
    port = free_port()
    file = made.node.config_file
    text = file.read_text()
    file.write_text(text.replace("[simulation]\n", BOARD.format(port=port)))
    board = WaveshareBoard([Contact(active_high=True, deenergised="fed"), made])
    with ModbusTcpServer({1: board}, port=port):
        yield board


class Silent:
    """A person who agrees."""

    def agree(self, question):
        """Agree."""

    def tell(self, text):
        """Not listen."""


def test_a_relay_on_a_bus_is_tested_the_same_way(made, board):
    ended = call("fan", "--yes")
    assert ended.exit_code == 0, ended.stderr
    assert ended.stdout.startswith("fan: it works")
    assert board.coils[1] is False
    assert made.node.pins.history == []


def test_another_relay_of_the_interlock_group_may_not_be_energised(made, board):
    board.write_bit(2, True)
    with pytest.raises(Unavailable, match="pump of the same interlock group"):
        run_test(made.node.config, "fan", 0.0, Silent(), lambda seconds: None)
    assert board.coils == (False, False, True, *[False] * 5)
    outcome = run_test(made.node.config, "pump", 0.0, Silent(), lambda seconds: None)
    assert outcome.verdict.kind == "unmetered"
    assert not any(board.coils)


def test_a_board_that_does_not_obey_is_told(made, board):
    board.faults.switch("disobedient", True)
    ended = call("fan", "--yes")
    assert ended.exit_code == os.EX_UNAVAILABLE
    assert "wrote on 3 times, reads off" in ended.stdout
