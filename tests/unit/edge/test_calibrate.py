"""`calibrate`: a simulated meter, a reference, and what is stored, signed and shown."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.calibration import comparing
from edge.calibration.cli import milli
from edge.calibration.coefficients import AS_THE_DEVICE_SAYS, Calibrated, Coefficients
from edge.calibration.comparing import FAILURES_MAX, Wanted, calibrate, read_samples
from edge.calibration.errors import CalibrationRefused
from edge.calibration.fitting import Values
from edge.cli import app
from edge.commissioning.errors import BadUsage
from edge.errors import OutboxLocked, Unavailable
from edge.outbox import Outbox
from edge.outbox_records import Batch
from edge.register import Register
from hardware.errors import BusTimeout, WrongDevice
from hardware.ports import Sample
from messages import cose
from messages.entries import Calibration, network_aad, parse_as
from tests.support.edge_node import node, node_signer

LOAD_W = 3.6  # 12 V and 0.3 A


@pytest.fixture
def made(tmp_path, monkeypatch):
    with node(tmp_path) as made:
        monkeypatch.chdir(made.folder)
        yield made


def gridtally(*arguments):
    root = logging.getLogger()
    before = root.handlers[:]
    try:
        return CliRunner().invoke(app, list(arguments))
    finally:
        root.handlers[:] = before


def call(*arguments):
    return gridtally("calibrate", *arguments)


def run(made, wanted, pauses=None, config=None):
    pauses = [] if pauses is None else pauses
    return calibrate(config or made.config, "m0", wanted, lambda *_: None, pauses.append)


def kept(made):
    outbox = Outbox(Path(made.config.state), 100)
    try:
        return outbox.calibrations(), outbox.rows_after(0, 10)
    finally:
        outbox.close()


def opened(made, row):
    envelope = cose.parse(row.raw)
    cose.verify(envelope, node_signer(made).public, network_aad(made.hub.trust.network_id))
    return parse_as(Calibration, envelope)


def test_a_gain_is_stored_and_signed(made):
    pauses = []
    stored = run(made, Wanted("gain", Values(power=3_672), 3, "a bench meter"), pauses)
    assert pauses == [0.2, 0.2]  # the pace of the agent, and none after the last
    power = stored.comparison.new.power
    said = stored.comparison.said
    assert said.samples == 3
    assert power.of(said.mean.power) == 3_672
    calibrations, (row,) = kept(made)
    assert calibrations == {"m0": Calibrated(Coefficients(power=power), stored.at_ms)}
    assert (row.stream, row.sequence) == ("event", stored.event) == ("event", 1)
    assert opened(made, row) == Calibration(
        event=1,
        node="dep1",
        meter_id="m0",
        power_gain_ppm=power.gain_ppm,
        power_offset_mw=0,
        voltage_gain_ppm=0,
        current_gain_ppm=0,
        current_offset_ma=0,
        reference_power_mw=3_672,
        reference_voltage_mv=None,
        reference_current_ma=None,
        raw_power_mw=said.mean.power,
        raw_voltage_mv=said.mean.voltage,
        raw_current_ma=said.mean.current,
        samples=3,
        reason="a bench meter",
        at_ms=stored.at_ms,
    )


def test_the_second_comparison_is_with_the_device_and_not_with_the_first(made):
    first = run(made, Wanted("gain", Values(power=3_672), 2))
    second = run(made, Wanted("gain", Values(power=3_672), 2))
    assert second.comparison.old == first.comparison.new == second.comparison.new
    assert (first.event, second.event) == (1, 2)


def test_zero_and_gain_follow_each_other(made):
    made.lines["m0"].current_ua = 5_000
    zero = run(made, Wanted("zero", samples=2))
    offset = zero.comparison.new.power.offset
    assert offset == zero.comparison.said.mean.power > 0
    made.lines["m0"].current_ua = 305_000
    gain = run(made, Wanted("gain", Values(power=3_600), 2))
    new = gain.comparison.new
    assert new.power.offset == offset
    assert new.power.of(gain.comparison.said.mean.power) == 3_600
    calibrations, rows = kept(made)
    assert calibrations["m0"].coefficients == new
    assert opened(made, rows[0]).reference_power_mw == 0


def test_cleared_it_is_as_the_device_says(made):
    run(made, Wanted("gain", Values(power=3_672), 1))
    cleared = run(made, Wanted("clear", reason="new shunt"))
    calibrations, (_, row) = kept(made)
    assert calibrations["m0"].coefficients == AS_THE_DEVICE_SAYS
    entry = opened(made, row)
    assert (entry.power_gain_ppm, entry.reference_power_mw, entry.samples) == (0, None, 0)
    assert (entry.raw_power_mw, entry.reason, cleared.comparison.said) == (None, "new shunt", None)


def test_what_looks_wrong_is_stored_only_by_force(made):
    wanted = Wanted("gain", Values(power=4_800), 1)
    with pytest.raises(CalibrationRefused, match=r"more than 20 %(.|\n)*nothing was stored"):
        run(made, wanted)
    assert kept(made) == ({}, [])
    stored = run(made, replace(wanted, force=True, reason="a shunt of 75 mOhm"))
    (doubt,) = stored.comparison.doubts
    assert "more than 20 %" in doubt
    assert kept(made)[0]["m0"].coefficients == stored.comparison.new


def test_no_force_stores_what_no_gain_can_mend(made):
    wanted = Wanted("gain", Values(power=-3_600), 1, "because", force=True)
    with pytest.raises(CalibrationRefused, match="the other direction"):
        run(made, wanted)
    assert kept(made) == ({}, [])


def test_the_agent_must_be_stopped(made):
    agent = Outbox(Path(made.config.state), 100)
    try:
        with pytest.raises(OutboxLocked, match="stop it first"):
            run(made, Wanted("zero", samples=1))
    finally:
        agent.close()


def test_nothing_is_signed_by_a_clock_that_is_not_synchronised(made, monkeypatch):
    monkeypatch.setattr(comparing.clock, "is_synchronised", lambda: False)
    config = made.config
    doubted = replace(config, sampling=replace(config.sampling, trust_clock=False))
    with pytest.raises(Unavailable, match="the clock is not synchronised"):
        run(made, Wanted("zero", samples=1), config=doubted)
    assert kept(made) == ({}, [])


def test_in_simulated_time_it_counts_from_the_newest_instant(made):
    outbox = Outbox(Path(made.config.state), 100)
    outbox.commit(Batch(registers={"m0": Register(1, 1, at_ms=77_000)}))
    outbox.close()
    config = made.config
    paced = replace(config, simulation=replace(config.simulation, clock="clock.sock"))
    stored = run(made, Wanted("gain", Values(power=3_672), 1), config=paced)
    assert stored.at_ms == 77_000
    assert kept(made)[0]["m0"].at_ms == 77_000


class Scripted:
    """A meter that answers as it is told."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def sample(self):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self):
        """Nothing to let go of."""


def read(made, meter, count, *, backwards=False):
    (table,) = made.config.meter
    told = []
    samples = read_samples(
        meter,
        replace(table, reversed=backwards),
        count,
        lambda done, of: told.append((done, of)),
        lambda: None,
    )
    return samples, told


def test_what_may_pass_is_tried_again_and_not_counted(made):
    good = Sample(5, None, None, 12_000, 1, None)
    samples, told = read(made, Scripted(good, BusTimeout("late"), good), 2)
    assert (samples, told) == ([good, good], [(1, 2), (2, 2)])
    flipped, _ = read(made, Scripted(good), 1, backwards=True)
    assert flipped == [replace(good, power_mw=-5, current_ma=-1)]


def test_a_meter_that_does_not_answer_is_given_up(made):
    meter = Scripted(*(BusTimeout("late") for _ in range(FAILURES_MAX + 1)))
    with pytest.raises(BusTimeout):
        read(made, meter, 2)
    assert meter.answers == []
    with pytest.raises(WrongDevice):
        read(made, Scripted(WrongDevice("it is another")), 2)


@pytest.mark.parametrize(
    ("text", "value"), [("", None), ("2.004", 2_004), ("-1000", -1_000_000), ("1e3", 1_000_000)]
)
def test_references_are_decimal_numbers(text, value):
    assert milli(text, "--power-w") == value


@pytest.mark.parametrize("text", ["x", "nan", "inf", "-inf", "1.0001", "1e10", "1,5"])
def test_what_is_no_reference_is_named(text):
    with pytest.raises(BadUsage, match=r"--power-w .*: want a number with at most three decimals"):
        milli(text, "--power-w")


def test_the_command_shows_before_and_after(made):
    ended = call("m0", "--power-w", "3.672", "--samples", "2", "--reason", "bench")
    assert ended.exit_code == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0] == "m0"
    power = next(line.split() for line in lines if line.startswith("power"))
    assert power[1:3] == ["3.672", "W"]
    assert power[7:10] == ["3.672", "W", "+2"]
    assert "applies it from its next start" in lines[-1]
    assert "counters" not in ended.stdout
    assert "SIMULATION" in ended.stderr


def test_the_command_prints_json(made):
    ended = call("m0", "--zero", "--samples", "2", "--force", "--reason", "test", "--json")
    found = json.loads(ended.stdout)
    assert (found["meter_id"], found["event"], found["samples"]) == ("m0", 1, 2)
    assert found["reference"] == {"power": 0, "voltage": None, "current": 0}
    assert found["after"]["power"] == {"gain_ppm": 0, "offset": found["raw"]["power"]}
    assert len(found["doubts"]) == 1
    assert found["counters_are_corrected"] is False


def test_other_commands_say_that_a_meter_is_corrected(made):
    before = gridtally("meter", "m0", "--json")
    assert "corrected" not in json.loads(before.stdout)
    stored = run(made, Wanted("gain", Values(power=3_672), 1))
    found = json.loads(gridtally("meter", "m0", "--json").stdout)
    assert found["power_mw"] == stored.comparison.said.mean.power
    assert found["corrected"]["power_mw"] == 3_672
    assert "corrected: 3.672 W" in gridtally("meter", "m0").stdout.splitlines()[0]
    (listed,) = json.loads(gridtally("status", "--json").stdout)["calibrations"]
    assert (listed["meter_id"], listed["at_ms"]) == ("m0", stored.at_ms)
    assert "meter m0: calibrated since 20" in gridtally("status").stdout
    run(made, Wanted("clear"))
    assert json.loads(gridtally("status", "--json").stdout)["calibrations"] == []
    assert "corrected" not in json.loads(gridtally("meter", "m0", "--json").stdout)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say what is true"),
        (["--zero", "--clear"], "say what is true"),
        (["--zero", "--power-w", "5"], "say what is true"),
        (["--zero", "--force"], "--force wants a --reason"),
        (["--zero", "--reason", "x" * 201], "--reason: 201 letters, at most 200"),
        (["--power-w", "much"], "--power-w much: want a number"),
    ],
)
def test_wrong_usage_is_named_and_stores_nothing(made, arguments, said):
    ended = call("m0", *arguments)
    assert (ended.exit_code, ended.stdout) == (os.EX_USAGE, "")
    assert said in ended.stderr
    assert not Path(made.config.state, "outbox.db").exists()


def test_a_refusal_ends_with_65_and_an_unknown_meter_with_69(made):
    refused = call("m0", "--power-w", "9.9", "--samples", "1")
    assert refused.exit_code == os.EX_DATAERR
    assert "more than 20 %" in refused.stderr
    unknown = call("m9", "--zero")
    assert unknown.exit_code == os.EX_UNAVAILABLE
    assert "no meter is named m9; there are: m0" in unknown.stderr
