"""A trace through a driver once more: the same samples, the same faults, nothing invented."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.commissioning.errors import BadUsage
from edge.commissioning.replaying import given_options, play
from edge.trace import Frame, Trace, format_frame, head
from hardware import catalog
from hardware.buses.i2c import I2cBus
from hardware.buses.modbus_frames import crc
from hardware.mock.chargers.epever import EpeverController
from hardware.mock.chips.ina219 import Ina219Chip
from hardware.mock.meters.eastron import Sdm120Meter
from hardware.mock.meters.gavazzi_em24 import Em24Rs485
from hardware.mock.points import Feeder, Line, Plant, split
from hardware.mock.vedirect.mppt import VictronMppt
from hardware.mock.wires.i2c_bus import SimulatedI2cBus
from hardware.mock.wires.modbus_pdu import answer
from tests.support.hardware_bench import ModbusDirect
from tests.support.vedirect_lines import HandClock

STEP_US = 40_000


def framed(device, pdu):
    raw = bytes([device]) + pdu
    return raw + crc(raw)


def traced(twin, model, change, times=3, device=1):
    """Return what goes over a line while a meter is sampled, and the samples."""
    port = ModbusDirect(twin, device)
    meter = catalog.make_meter(model, port, {"address": device})
    rows, samples = [], []
    for turn in range(times):
        change(turn)
        del port.requests[:]
        samples.append(meter.sample())
        for request in port.requests:
            rows += [(">", framed(device, request)), ("<", framed(device, answer(twin, request)))]
    return Trace("rs485", "modbus_rtu", frames(rows)), samples


def frames(rows):
    return tuple(Frame(STEP_US * n, way, raw) for n, (way, raw) in enumerate(rows, 1))


def without_first(trace, count):
    return replace(trace, frames=trace.frames[count:])


@pytest.fixture
def sdm120():
    feeder = Feeder(voltage_mv=230_200)

    def change(turn):
        feeder.power_mw = 100_000 * turn
        feeder.energy_import_uwh = 10**9 * turn

    return traced(Sdm120Meter(feeder), "sdm120", change)


def test_a_replay_gives_the_samples_that_were_taken(sdm120):
    trace, samples = sdm120
    played = list(play(trace, "sdm120", {}))
    assert [each.sample for each in played] == samples
    assert [each.fault for each in played] == ["", "", ""]
    assert played[-1].at_us == trace.frames[-1].at_us


def test_a_trace_that_began_later_needs_no_identification(sdm120):
    trace, samples = sdm120
    asked = trace.frames[0].raw[1]
    assert asked == 3, "who it is, is asked first"
    played = list(play(without_first(trace, 2), "sdm120", {}))
    assert [each.sample for each in played] == samples


@pytest.mark.parametrize(
    ("model", "twin"),
    [
        ("em24", Em24Rs485(split(Feeder(power_mw=345_000)))),
        ("epever_tracer", EpeverController(Plant(pv_power_mw=55_000))),
    ],
)
def test_models_with_and_without_code_are_played(model, twin):
    trace, samples = traced(twin, model, lambda turn: None)
    played = [each.sample for each in play(trace, model, {})]
    assert [each.power_mw for each in played] == [each.power_mw for each in samples]


def test_a_damaged_reply_is_met_again(sdm120):
    trace, samples = sdm120
    rows = list(trace.frames)
    rows[-1] = replace(rows[-1], raw=rows[-1].raw[:-1] + bytes([rows[-1].raw[-1] ^ 1]))
    *good, bad = play(replace(trace, frames=tuple(rows)), "sdm120", {})
    assert [each.sample for each in good] == samples[:2]
    assert (bad.sample, bad.fault[:12]) == (None, "reply: CRC i")


def test_silence_is_met_again(sdm120):
    trace, _ = sdm120
    silent = tuple(row for row in trace.frames if row.direction == ">")
    played = list(play(replace(trace, frames=silent), "sdm120", {}))
    assert {(each.sample, each.fault) for each in played} == {(None, "no reply")}


def test_pieces_echoes_and_stray_zeros_are_put_together(sdm120):
    trace, samples = sdm120
    rows = []
    for row in trace.frames:
        sent = rows[-1].raw if rows else b""
        if row.direction == ">":
            rows.append(row)
        else:
            rows += [replace(row, raw=part) for part in (sent, row.raw[:3], row.raw[3:])]
    played = list(play(replace(trace, frames=tuple(rows)), "sdm120", {}))
    assert [each.sample for each in played] == samples


def test_another_model_says_what_the_trace_has_instead(sdm120):
    with pytest.raises(BadUsage, match=r"no more read of .*; it has .* at 0x0000 with function 4"):
        list(play(sdm120[0], "abb_b23", {}))


@pytest.mark.parametrize("model", ["ina219", "vedirect", "vedirect_hex"])
def test_a_model_of_another_kind_of_bus_is_told(sdm120, model):
    with pytest.raises(BadUsage, match=r"sits on .*; this is a trace of modbus_rtu"):
        list(play(sdm120[0], model, {}))


def test_a_trace_of_a_silent_bus_has_nothing_to_play(sdm120):
    with pytest.raises(BadUsage, match="the trace has no frames"):
        list(play(replace(sdm120[0], frames=()), "sdm120", {}))


def test_of_several_devices_one_is_named(sdm120):
    trace, samples = sdm120
    other = replace(trace.frames[0], raw=framed(2, b"\x04\0\0\0\x02"))
    mixed = replace(trace, frames=(other, *trace.frames))
    with pytest.raises(BadUsage, match="the trace has the ids 2, 1: say which"):
        list(play(mixed, "sdm120", {}))
    assert [each.sample for each in play(mixed, "sdm120", {"address": 1})] == samples


def test_an_exception_is_met_again(sdm120):
    trace, _ = sdm120
    refusal = framed(1, b"\x84\x02")
    rows = tuple(
        replace(row, raw=refusal) if row.direction == "<" and row.raw[1] == 4 else row
        for row in trace.frames
    )
    (played, *_) = play(replace(trace, frames=rows), "sdm120", {})
    assert "exception 2" in played.fault


def test_i2c_is_played_transfer_by_transfer():
    line, rows = Line(), []
    bus = I2cBus(lambda: SimulatedI2cBus({0x40: Ina219Chip(line)}), "i2c1")
    bus.trace = lambda way, raw, at_s: rows.append((">" if way == "sent" else "<", raw))
    given = {"shunt_mohm": 100, "current_max_ma": 3200}
    meter = catalog.make_meter("ina219", bus, given)
    samples = []
    for current_ua in (500_000, 1_000_000, -1_000_000):
        line.current_ua = current_ua
        samples.append(meter.sample())
    trace = Trace("i2c1", "i2c", frames(rows))
    assert [each.sample for each in play(trace, "ina219", given)] == samples
    with pytest.raises(BadUsage, match=r"shunt_mohm.*--set KEY=VALUE"):
        list(play(trace, "ina219", {}))
    with pytest.raises(BadUsage, match="it has the addresses 0x40"):
        list(play(trace, "ina219", {**given, "address": 0x41}))


def test_an_address_that_did_not_acknowledge_is_met_again():
    rows = [(">", b"\x40\0"), ("<", b"\x40")]
    given = {"shunt_mohm": 100, "current_max_ma": 3200}
    (played,) = play(Trace("i2c1", "i2c", frames(rows)), "ina219", given)
    assert "no acknowledge" in played.fault


def test_a_talking_line_is_played_piece_by_piece():
    clock, plant, rows = HandClock(), Plant(pv_power_mw=55_000), []
    twin = VictronMppt(plant, clock_s=clock)
    for _ in range(3):
        clock.pause(1.0)
        said = twin.report()
        rows += [("<", said[:40]), ("<", said[40:])]
    played = list(play(Trace("ve", "vedirect", frames(rows)), "vedirect", {}))
    powers = [each.sample.power_mw for each in played if each.sample]
    assert powers
    assert set(powers) == {-55_000}


def test_a_gap_in_a_talking_line_is_a_gap_again():
    clock = HandClock()
    twin = VictronMppt(Plant(pv_power_mw=55_000), clock_s=clock)
    said = twin.report()
    rows = (
        Frame(at_s * 1_000_000, "<", raw) for at_s, raw in ((1, said), (2, said), (7, said[:9]))
    )
    played = list(play(Trace("ve", "vedirect", tuple(rows)), "vedirect", {}))
    assert [each.sample is not None for each in played] == [True, True, False]
    assert "no block for 5 s" in played[-1].fault
    with pytest.raises(BadUsage, match=r"vedirect.*--set KEY=VALUE"):
        list(play(Trace("ve", "vedirect", frames([("<", said)])), "vedirect", {"colour": 3}))


def test_options_come_in_the_types_of_a_configuration():
    assert given_options(["a=1", "b=0x10", "c=true", "d=false", "e=B 2"]) == {
        "a": 1,
        "b": 16,
        "c": True,
        "d": False,
        "e": "B 2",
    }
    with pytest.raises(BadUsage, match="want KEY=VALUE"):
        given_options(["a"])


def test_the_command_shows_a_table_and_json(sdm120, tmp_path):
    trace, samples = sdm120
    path = tmp_path / "x.trace"
    lines = [*head(trace.bus, trace.kind), *(format_frame(each) for each in trace.frames)]
    path.write_text("\n".join(lines) + "\n")
    shown = CliRunner().invoke(app, ["replay", str(path), "--model", "sdm120"])
    assert shown.exit_code == 0
    assert "power [W]" in shown.stdout
    assert len([line for line in shown.stdout.splitlines() if " 230.2 " in line]) == len(samples)
    found = json.loads(
        CliRunner().invoke(app, ["replay", str(path), "--model", "sdm120", "--json"]).stdout
    )
    assert [each["power_mw"] for each in found] == [each.power_mw for each in samples]


@pytest.mark.parametrize(
    ("text", "model", "code", "why"),
    [
        ("nonsense", "sdm120", os.EX_UNAVAILABLE, "want TIME, > or <"),
        ("# bus a modbus_rtu", "sdm12", os.EX_USAGE, "sdm12"),
        ("# bus a modbus_rtu", "sdm120", os.EX_USAGE, "the trace has no frames"),
        (None, "sdm120", os.EX_UNAVAILABLE, "No such file"),
    ],
)
def test_what_cannot_be_played_is_told(tmp_path, text, model, code, why):
    path = tmp_path / "x.trace"
    if text is not None:
        path.write_text(text)
    ended = CliRunner().invoke(app, ["replay", str(path), "--model", model])
    assert ended.exit_code == code
    assert why in ended.stderr
