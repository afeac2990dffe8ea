"""Limits on simulated SunSpec inverters, through their own controls."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hardware.errors import LimitRefused, UnexpectedReply
from hardware.meters.sunspec import SunSpec, SunSpecOptions
from hardware.mock.points import Feeder, Plant, split
from hardware.mock.sunspec.blocks import Common
from hardware.mock.sunspec.device import (
    InverterMake,
    SolarEdgeSite,
    SunSpecDevice,
    SunSpecInverter,
)
from hardware.mock.wires.modbus_pdu import ILLEGAL_VALUE, Refusal
from hardware.ports import Curtailable, EnergyMeter
from tests.support.hardware_bench import ModbusDirect

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "sunspec.json").read_text())


def named(rows):
    return [pytest.param(row, id=row["name"]) for row in rows]


def driver(device: SunSpecDevice, **given) -> tuple[SunSpec, ModbusDirect]:
    port = ModbusDirect(device)
    return SunSpec(port, SunSpecOptions(address=1, **given)), port


class Clock:
    """A clock that is moved by hand. [s]"""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def site() -> SolarEdgeSite:
    feeder = Feeder(power_mw=-400_000, energy_export_uwh=2 * 10**12)
    return SolarEdgeSite(Plant(pv_power_mw=1_000_000, generated_uwh=10**12), split(feeder))


PLAIN = InverterMake()


def inverter(clock: Clock, make: InverterMake = PLAIN, **given):
    device = SunSpecInverter(Plant(pv_power_mw=2_400_000), make, clock_s=clock)
    meter, port = driver(device, **given)
    return device, meter, port


@pytest.mark.parametrize("row", named(VECTORS["limits"]))
def test_a_limit_is_written_as_one_block(row):
    device, meter, port = inverter(Clock(), revert_ms=row["revert_s"] * 1_000)
    meter.limit(row["power_mw"])
    writes = [request.hex() for request in port.requests if request[0] in (6, 16)]
    words = bytes.fromhex(row["words"])
    head = bytes([16]) + row["address"].to_bytes(2, "big") + bytes([0, 5, 10])
    assert writes == [(head + words).hex()]
    assert meter.limited_mw == row["stands_mw"]
    assert device.limit_mw in (row["stands_mw"], None)


def test_a_limited_inverter_makes_less_and_forgets_by_itself():
    clock = Clock()
    device, meter, _ = inverter(clock)
    assert isinstance(meter, Curtailable)
    assert isinstance(meter, EnergyMeter)
    meter.limit(600_000)
    assert (meter.revert_ms, meter.limited_mw, device.limit_mw) == (60_000, 600_000, 600_000)
    assert meter.sample().power_mw == -600_000
    clock.now_s += 59
    meter.limit(600_000)
    clock.now_s += 59
    assert (meter.sample().power_mw, meter.limited_mw) == (-600_000, 600_000)
    clock.now_s += 1
    assert (meter.sample().power_mw, meter.limited_mw) == (-2_400_000, None)


def test_a_limit_is_ended_and_an_ended_one_is_not_written_again():
    device, meter, port = inverter(Clock())
    meter.limit(600_000)
    meter.limit(None)
    assert (meter.limited_mw, device.limit_mw) == (None, None)
    port.requests.clear()
    meter.limit(None)
    assert all(request[0] == 3 for request in port.requests)


def test_a_limit_that_stands_for_ever_is_written_once():
    device, meter, port = inverter(Clock(), revert_ms=0)
    meter.limit(600_000)
    port.requests.clear()
    meter.limit(600_000)
    assert (meter.revert_ms, device.limit_mw) == (0, 600_000)
    assert all(request[0] == 3 for request in port.requests)


def test_memory_that_wears_is_written_rarely_and_never_twice_alike():
    clock = Clock()
    device = SunSpecInverter(Plant(pv_power_mw=2_400_000), clock_s=clock)
    port = ModbusDirect(device)
    given = SunSpecOptions(address=1, revert_ms=3_600_000, limit_is_stored=True)
    meter = SunSpec(port, given, clock)
    for power_mw in (600_000, 600_000, 900_000, 1_200_000):
        meter.limit(power_mw)
    assert sum(request[0] == 16 for request in port.requests) == 3
    with pytest.raises(LimitRefused, match="bears 24 writes in 24 h"):
        meter.limit(1_500_000)
    assert device.limit_mw == 1_200_000
    meter.limit(None)  # one write was kept for this
    assert device.limit_mw is None
    clock.now_s += 2 * 86_400 // 20
    meter.limit(600_000)
    assert device.limit_mw == 600_000


def test_an_inverter_that_takes_no_block_gets_one_register_after_the_other():
    device, meter, port = inverter(Clock(), InverterMake(takes_blocks=False))
    meter.limit(600_000)
    writes = [request for request in port.requests if request[0] == 16]
    offsets = [int.from_bytes(each[1:3], "big") - 40_150 for each in writes]
    assert offsets == [5, 5, 7, 9]  # the block, then what differs
    assert (meter.limited_mw, device.limit_mw) == (600_000, 600_000)
    meter.limit(None)
    assert device.limit_mw is None


def test_an_inverter_without_a_revert_time_is_limited_only_if_that_is_wanted():
    make = InverterMake(has_revert=False)
    device, careful, _ = inverter(Clock(), make)
    with pytest.raises(LimitRefused, match="no revert time; with revert_ms = 0"):
        careful.limit(600_000)
    assert device.limit_mw is None
    device, bold, _ = inverter(Clock(), make, revert_ms=0)
    bold.limit(600_000)
    assert device.limit_mw == 600_000


def test_a_limit_that_somebody_else_left_is_seen():
    _, first, port = inverter(Clock())
    first.limit(600_000)
    second = SunSpec(port, SunSpecOptions(address=1))
    second.sample()
    assert second.limited_mw == 600_000


@pytest.mark.parametrize(
    ("meter", "says"),
    [
        (driver(site(), device_index=1)[0], "does not list models 120 and 123"),
        (driver(site(), device_index=2)[0], "it is a meter"),
    ],
)
def test_what_cannot_be_limited_says_why(meter, says):
    with pytest.raises(LimitRefused, match=says):
        meter.limit(1_000)
    with pytest.raises(LimitRefused, match=says):
        meter.limit(None)
    assert meter.limited_mw is None
    assert meter.sample().power_mw is not None


def test_a_negative_limit_is_refused():
    with pytest.raises(LimitRefused, match="-1 mW, want 0 or more"):
        inverter(Clock())[1].limit(-1)


class Forgetful(SunSpecInverter):
    """An inverter that takes every write and keeps none."""

    def write_words(self, address, words):
        return None


def test_a_limit_that_is_not_kept_is_refused():
    meter, _ = driver(Forgetful(Plant()))
    with pytest.raises(LimitRefused, match="wrote limit 5000, switch 1; it kept limit 10000"):
        meter.limit(1_500_000)


class KeepsWatch(SunSpecInverter):
    """An inverter that takes a limit but not its revert time."""

    def write_words(self, address, words):
        super().write_words(address, [*words[:2], 0, *words[3:]] if len(words) == 5 else words)


def test_a_limit_whose_revert_time_is_not_kept_does_not_stay():
    device = KeepsWatch(Plant())
    meter, _ = driver(device)
    with pytest.raises(LimitRefused, match="revert time of 60 s, it kept 0 s"):
        meter.limit(1_500_000)
    assert (device.limit_mw, meter.limited_mw) == (None, None)


def test_after_a_refusal_it_is_known_what_stands():
    device = Forgetful(Plant())
    meter, _ = driver(device)
    device.controls.write(5, [2_000, 0, 0, 0, 1])
    with pytest.raises(LimitRefused, match="it kept limit 2000"):
        meter.limit(300_000)
    assert meter.limited_mw == 600_000


class Endless(SunSpecInverter):
    """An inverter that takes limits and never lets them end."""

    def write_words(self, address, words):
        if list(words) != [0]:
            super().write_words(address, words)


def test_a_limit_that_does_not_end_is_told():
    meter, _ = driver(Endless(Plant()))
    meter.limit(600_000)
    with pytest.raises(LimitRefused, match="did not end its limit"):
        meter.limit(None)
    assert meter.limited_mw == 600_000


class ReadOnly(SunSpecInverter):
    """An inverter that refuses every write."""

    def write_words(self, address, words):
        raise Refusal(ILLEGAL_VALUE)


def test_an_inverter_that_refuses_every_write_refuses_limits():
    meter, _ = driver(ReadOnly(Plant()))
    with pytest.raises(LimitRefused, match="exception 3"):
        meter.limit(600_000)
    assert meter.limited_mw is None


class Nameless(SunSpecInverter):
    """An inverter that spoils one word of its nameplate or controls."""

    spoiled = (0, 0)

    def read_words(self, function, address, count):
        words = super().read_words(function, address, count)
        place, word = self.spoiled
        return [word if at == place else each for at, each in enumerate(words, address)]


@pytest.mark.parametrize(
    ("place", "word", "says"),
    [
        (40_125, 0xFFFF, "model 120 tells no rated power"),
        (40_125, 0, "model 120 tells no rated power"),
        (40_126, 99, "WRtg_SF is 99"),
        (40_159, 2, None),
        (40_173, 0x8000, "WMaxLimPct_SF is not implemented"),
    ],
)
def test_what_spoils_the_controls_does_not_spoil_the_measurement(place, word, says):
    device = Nameless(Plant(pv_power_mw=5_000))
    device.controls.write(5, [2_000, 0, 0, 0, 1])
    device.spoiled = (place, word)
    meter, _ = driver(device)
    assert meter.sample().power_mw == -5_000
    if says is None:
        assert meter.limited_mw is None
    else:
        with pytest.raises(LimitRefused, match=says):
            meter.limit(1_000)


def test_nothing_is_written_where_the_list_has_moved():
    device, meter, port = inverter(Clock())
    meter.sample()
    device.blocks.insert(1, Common("Simulated", "Radio", "1"))
    port.requests.clear()
    with pytest.raises(UnexpectedReply, match="model 123"):
        meter.limit(600_000)
    assert all(request[0] == 3 for request in port.requests)
    meter.limit(600_000)
    assert device.limit_mw == 600_000
