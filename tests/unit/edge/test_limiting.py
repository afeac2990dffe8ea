"""A limit by hand: set, held, read back, and refused in plain words."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.limiting import describe, set_limit
from testbed.simulate import Running, Wanted, Wire

CONFIG = """
node = "dep1"
microgrid = "bench"
member = "alice"
state = "state"
[sampling]
sample_ms = 1000
slot_ms = 60000
[[bus]]
name = "net"
kind = "modbus_tcp"
host = "127.0.0.1"
port = {port}
[[meter]]
meter_id = "roof"
model = "{model}"
bus = "net"
address = 1
key = "keys/roof.pem"
purpose = "generation"
rated_w = 6000
"""


class Inverter:
    """Something that can be limited."""

    def __init__(self, revert_ms: int) -> None:
        self.revert_ms = revert_ms
        self.limited_mw: int | None = None
        self.told: list[int | None] = []

    def limit(self, power_mw: int | None) -> None:
        self.told.append(power_mw)
        self.limited_mw = power_mw


def test_a_limit_is_repeated_before_the_device_forgets_it_and_then_ended():
    device, pauses = Inverter(60_000), []
    set_limit(device, 500_000, hold_s=50, pause=pauses.append)
    assert device.told == [500_000, 500_000, 500_000, None]
    assert pauses == [20, 20, 10]


def test_a_device_that_keeps_it_is_told_so_too():
    device, pauses = Inverter(0), []
    set_limit(device, 500_000, hold_s=30, pause=pauses.append)
    assert device.told == [500_000, 500_000, None]
    assert pauses == [20, 10]


def test_an_interrupted_hold_ends_the_limit():
    device = Inverter(60_000)

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        set_limit(device, 1, hold_s=100, pause=interrupt)
    assert device.told == [1, None]


def test_how_it_stands_is_told_with_what_becomes_of_it():
    device = Inverter(60_000)
    assert describe(device) == "no limit stands"
    device.limit(1_500_000)
    assert describe(device) == "limited to 1500 W; the device forgets it 60 s after it was set"
    device.revert_ms = 0
    assert "until it is told otherwise" in describe(device)


def run(tmp_path, port: int, model: str, *words: str):
    path = tmp_path / "edge.toml"
    path.write_text(CONFIG.format(port=port, model=model))
    return CliRunner().invoke(app, ["limit", *words, "--config", str(path)])


def test_the_command_limits_a_simulated_inverter(tmp_path):
    running = Running(Wanted("sunspec", Wire(tcp="127.0.0.1:0"), pv_w=3000))
    try:
        port = running.server.port
        assert run(tmp_path, port, "sunspec", "roof").stdout == "no limit stands\n"
        done = run(tmp_path, port, "sunspec", "roof", "1000")
        assert "W; the device forgets it 60 s after it was set" in done.stdout, done.stderr
        assert 990_000 < running.device.limit_mw <= 1_000_000  # in steps of its percentage
        assert run(tmp_path, port, "sunspec", "roof", "off").stdout == "no limit stands\n"
        facts = json.loads(run(tmp_path, port, "sunspec", "roof", "--json").stdout)
        assert facts["limited_mw"] is None
        assert running.device.limit_mw is None
    finally:
        running.close()


@pytest.mark.parametrize(
    ("words", "says", "code"),
    [
        (("attic",), "no meter is named attic; there are: roof", 64),
        (("roof", "much"), "want whole watts, or off", 64),
        (("roof", "5"), "takes no limit; a relay on the panel side does", 69),
    ],
)
def test_what_cannot_be_is_told(tmp_path, words, says, code):
    model = "sdm120" if words[-1] == "5" else "sunspec"
    done = run(tmp_path, 1, model, *words)
    assert done.exit_code == code
    assert says in done.stderr
