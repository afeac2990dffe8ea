"""The one driver of all model files: what it reads, sums up, doubts and refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hardware import catalog
from hardware.errors import BadOptions, BusTimeout, DeviceRefused, WrongDevice
from hardware.modelfile import parse_model
from hardware.ports import Manners
from hardware.register_device import RegisterDevice, register_options

FILE = """\
title = "Two halves"
measures = "a feeder by its two halves"
source = "this test"
[link]
baud = 9600
[limits]
words_max = 8
pause_ms = 30
latency_ms = 200
[defaults]
function = 3
type = "s16"
[identify]
function = 3
address = 90
type = "ascii"
words = 1
texts = ["T2"]
optional = true
[[register]]
name = "ratio"
address = 0
[[register]]
name = "here"
unit = "W"
address = 1
times = ["ratio"]
low = -1000
high = 1000
[[register]]
name = "there"
unit = "kW"
address = 2
low = -50
high = 50
[[register]]
name = "volts"
unit = "V"
address = 3
not_available_is = "max"
[[register]]
name = "counted"
unit = "Wh"
address = 4
type = "u16"
[[register]]
name = "missing"
unit = "V"
address = 70
[sample]
power_mw = ["here", "-there"]
voltage_mv = ["volts"]
energy_import_uwh = ["counted"]
"""
MODEL = parse_model(FILE, Path("halves.toml"))
NAME = int.from_bytes(b"T2", "big")


class Words:
    """A `ModbusPort` with holding registers; an address that is not there is refused."""

    def __init__(self, **words: int) -> None:
        self.words = {0: 1, 1: 0, 2: 0, 3: 230, 4: 7, 90: NAME}
        self.words |= {int(place[1:]): word for place, word in words.items()}
        self.reads: list[tuple[int, int]] = []
        self.heeded: list[tuple[int, Manners]] = []
        self.is_silent = False

    def heed(self, device: int, manners: Manners) -> None:
        self.heeded.append((device, manners))

    def read_words(self, device: int, function: int, address: int, count: int) -> tuple[int, ...]:
        self.reads.append((address, count))
        if self.is_silent:
            raise BusTimeout("no reply")
        if any(place not in self.words for place in range(address, address + count)):
            raise DeviceRefused("exception 2", 2)
        return tuple(self.words[place] & 0xFFFF for place in range(address, address + count))


def device(port: Words, **given: object) -> RegisterDevice:
    options: Any = register_options(MODEL)
    return RegisterDevice(port, MODEL, options(address=5, **given))


def test_a_field_is_the_sum_of_registers_in_whatever_prefix_and_sign():
    assert device(Words(a1=700, a2=2)).sample().power_mw == -1_300_000
    assert device(Words(a1=-700, a2=-2)).sample().power_mw == 1_300_000


def test_registers_are_multiplied_by_what_others_say_and_limits_hold_afterwards():
    assert device(Words(a0=20, a1=40)).sample().power_mw == 800_000
    sample = device(Words(a0=30, a1=40)).sample()
    assert (sample.power_mw, sample.voltage_mv, sample.quality) == (None, 230_000, "range")


def test_a_value_that_is_not_available_leaves_the_others():
    sample = device(Words(a1=5, a3=0x7FFF)).sample()
    assert (sample.power_mw, sample.voltage_mv, sample.quality) == (5_000, None, "unavailable")


def test_what_feeds_no_field_is_not_read_and_not_measured():
    port = Words()
    sample = device(port).sample()
    assert (sample.current_ma, sample.energy_export_uwh) == (None, None)
    assert port.reads == [(90, 1), (0, 1), (1, 4)]
    assert port.heeded == [(5, Manners(30, 200))]


def test_a_meter_may_choose_another_register():
    assert device(Words(a1=700, a2=2), power_from="there").sample().power_mw == 2_000_000
    with pytest.raises(BadOptions, match="power_from = 'volts'"):
        catalog.options.parse(register_options(MODEL), {"address": 5, "power_from": "volts"})


def test_who_it_is_and_its_ratio_are_read_again_after_a_silence():
    port = Words(a1=10)
    meter = device(port)
    meter.sample()
    meter.sample()
    assert port.reads.count((90, 1)) == 1
    port.is_silent = True
    with pytest.raises(BusTimeout):
        meter.sample()
    port.is_silent = False
    port.words[0] = 3
    assert meter.sample().power_mw == 30_000
    assert port.reads.count((90, 1)) == 2


def test_a_text_names_the_model_and_firmware_without_it_is_believed():
    with pytest.raises(WrongDevice, match="halves at address 5: it calls itself 'X9', want T2"):
        device(Words(a90=int.from_bytes(b"X9", "big"))).sample()
    older = Words()
    del older.words[90]
    assert device(older).sample().voltage_mv == 230_000


def test_a_ratio_that_says_nothing_is_no_device_of_this_kind():
    text = FILE.replace('name = "ratio"\n', 'name = "ratio"\nnot_available = [1]\n')
    model = parse_model(text, Path("halves.toml"))
    options: Any = register_options(model)
    with pytest.raises(WrongDevice, match="ratio says nothing"):
        RegisterDevice(Words(), model, options(address=5)).sample()


def test_all_values_come_by_name_without_those_that_this_unit_lacks():
    values = device(Words(a0=2, a1=40)).values()
    assert {name: value and int(value) for name, value in values.items()} == {
        "ratio": 2,
        "here": 80,
        "there": 0,
        "volts": 230,
        "counted": 7,
        "missing": None,
    }
    assert device(Words(a3=231)).values(["volts"]) == {"volts": 231}
