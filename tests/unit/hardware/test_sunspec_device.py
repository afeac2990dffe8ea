"""The rules of simulated SunSpec devices: what they refuse, their controls and their states."""

from __future__ import annotations

import pytest

from hardware.mock.points import Feeder, Plant, split
from hardware.mock.sunspec.device import (
    InverterMake,
    MeterMake,
    SolarEdgeSite,
    SunSpecDevice,
    SunSpecInverter,
    SunSpecMeter,
)
from hardware.mock.wires.modbus_pdu import answer

INVERTER_AT, CONTROLS_AT, TRACKERS_AT = 40_070, 40_150, 40_176
CONN, LIMIT, WINDOW, REVERT, RAMP, SWITCH = 4, 5, 6, 7, 8, 9
FACTOR, FACTOR_SWITCH = 10, 14


class Clock:
    """A clock that is moved by hand. [s]"""

    def __init__(self) -> None:
        self.now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


def read(device: SunSpecDevice, address: int, count: int = 1, function: int = 3) -> list[int]:
    """Return words, or the exception as one negative number."""
    request = bytes([function]) + address.to_bytes(2, "big") + count.to_bytes(2, "big")
    reply = answer(device, request)
    if reply[0] & 0x80:
        return [-reply[1]]
    return [int.from_bytes(reply[at : at + 2], "big") for at in range(2, len(reply), 2)]


def write(device: SunSpecDevice, address: int, *words: int) -> int:
    """Write with function 16; return 0 or the exception."""
    body = b"".join((word & 0xFFFF).to_bytes(2, "big") for word in words)
    head = address.to_bytes(2, "big") + len(words).to_bytes(2, "big") + bytes([len(body)])
    reply = answer(device, b"\x10" + head + body)
    return reply[1] if reply[0] & 0x80 else 0


def controlled(make: InverterMake | None = None) -> tuple[SunSpecInverter, Clock, Plant]:
    clock, plant = Clock(), Plant(pv_power_mw=2_400_000)
    return SunSpecInverter(plant, make or InverterMake(), clock_s=clock), clock, plant


def power_w(device: SunSpecDevice) -> float:
    number, factor = read(device, INVERTER_AT + 14, 2)
    return number * 10.0 ** (factor - 0x1_0000 if factor & 0x8000 else factor)


def state(device: SunSpecDevice) -> int:
    return read(device, INVERTER_AT + 38)[0]


@pytest.mark.parametrize("base", [40_000, 0, 50_000])
def test_the_list_begins_at_its_base_and_what_is_not_in_it_is_refused(base):
    device = SunSpecMeter(split(Feeder()), MeterMake(base=base))
    assert read(device, base, 4) == [0x5375, 0x6E53, 1, 66]
    end = base + 2 + 68 + 107
    assert read(device, end, 2) == [0xFFFF, 0]
    assert read(device, end + 1, 2) == [-2]
    assert read(device, end + 2) == [-2]
    if base:
        assert read(device, base - 1, 2) == [-2]


def test_an_end_without_length_refuses_two_registers():
    device = SunSpecMeter(split(Feeder()))
    device.faults.switch("lone_end", True)
    assert read(device, 40_177, 2) == [-2]
    assert read(device, 40_177) == [0xFFFF]


@pytest.mark.parametrize(
    ("function", "address", "count", "code"),
    [(4, 40_000, 2, 1), (1, 40_000, 8, 1), (3, 40_000, 126, 3), (3, 39_999, 1, 2)],
)
def test_other_requests_get_their_exception(function, address, count, code):
    device = SunSpecInverter(Plant())
    assert read(device, address, count, function) == [-code]


def test_fewer_words_may_be_all_it_answers():
    device = SunSpecMeter(split(Feeder()), MeterMake(words_max=50))
    assert read(device, 40_000, 51) == [-3]
    assert len(read(device, 40_000, 50)) == 50


def test_one_read_may_span_models():
    words = read(SunSpecInverter(Plant()), 40_060, 70)
    assert (words[10:12], words[62:64]) == ([101, 50], [120, 26])


def test_a_solaredge_lists_two_devices_where_solaredge_does():
    device = SolarEdgeSite(Plant(), split(Feeder(power_mw=-300_000)))
    headers = [read(device, at, 2) for at in (40_002, 40_069, 40_121, 40_188, 40_295)]
    assert headers == [[1, 65], [101, 50], [1, 65], [203, 105], [0xFFFF, 0]]
    assert read(device, 40_188 + 18)[0] == 3_000  # export is positive there


def test_a_counter_of_32_bits_wraps():
    device = SunSpecInverter(Plant(generated_uwh=(2**32 + 5) * 10**6))
    assert read(device, INVERTER_AT + 24, 3) == [0, 5, 0]


def test_scale_factors_follow_a_value_that_no_longer_fits():
    plant = Plant(pv_power_mw=3_000_000)
    device = SunSpecInverter(plant)
    assert read(device, INVERTER_AT + 14, 2) == [30_000, 0xFFFF]
    plant.pv_power_mw = 12_000_000
    assert read(device, INVERTER_AT + 14, 2) == [12_000, 0]


def test_rescaled_replies_say_the_same_in_other_words():
    device = SunSpecInverter(Plant(pv_power_mw=1_230_000))
    device.faults.switch("rescaled", True)
    seen = {tuple(read(device, INVERTER_AT + 14, 2)) for _ in range(4)}
    assert seen == {(12_300, 0xFFFF), (1_230, 0)}


def test_another_model_has_no_list():
    device = SunSpecInverter(Plant())
    device.faults.switch("wrong_model", True)
    assert read(device, 40_000, 2) == [0, 0]


# Controls


def test_a_limit_stands_until_its_revert_time_is_over():
    device, clock, _ = controlled()
    assert write(device, CONTROLS_AT + LIMIT, 2_000, 0, 30, 0, 1) == 0
    assert (device.limit_mw, power_w(device), state(device)) == (600_000, 600.0, 5)
    clock.now_s += 29.9
    assert power_w(device) == 600.0
    clock.now_s += 0.1
    assert (device.limit_mw, power_w(device), state(device)) == (None, 2_400.0, 4)
    assert read(device, CONTROLS_AT + SWITCH) == [0]


def test_a_limit_without_a_revert_time_stands():
    device, clock, _ = controlled()
    write(device, CONTROLS_AT + LIMIT, 2_000, 0, 0, 0, 1)
    clock.now_s += 10**6
    assert device.limit_mw == 600_000


def test_a_limit_that_is_written_but_not_enabled_does_nothing():
    device, _, _ = controlled()
    write(device, CONTROLS_AT + LIMIT, 2_000)
    assert (device.limit_mw, power_w(device)) == (None, 2_400.0)
    write(device, CONTROLS_AT + SWITCH, 1)
    assert device.limit_mw == 600_000
    write(device, CONTROLS_AT + SWITCH, 0)
    assert device.limit_mw is None


def test_a_limit_above_the_sun_limits_nothing():
    device, _, plant = controlled()
    write(device, CONTROLS_AT + LIMIT, 9_000, 0, 0, 0, 1)
    assert (device.limit_mw, power_w(device), state(device)) == (2_700_000, 2_400.0, 4)
    plant.pv_power_mw = 2_900_000
    assert (power_w(device), state(device)) == (2_700.0, 5)


def test_a_limit_ramps_from_where_it_was():
    device, clock, _ = controlled()
    write(device, CONTROLS_AT + LIMIT, 5_000, 0, 0, 10, 1)
    levels = []
    for _ in range(4):
        levels.append(device.limit_mw)
        clock.now_s += 4
    assert levels == [None, 2_400_000, 1_800_000, 1_500_000]
    write(device, CONTROLS_AT + LIMIT, 0, 0, 0, 10, 1)
    clock.now_s += 5
    assert device.limit_mw == 750_000


def test_a_limit_begins_somewhere_in_its_window():
    device, clock, _ = controlled()
    write(device, CONTROLS_AT + LIMIT, 5_000, 100, 0, 0, 1)
    begun_s = next(s for s in range(200) if _limit_after(device, clock, s) is not None)
    assert 0 < begun_s <= 100


def _limit_after(device: SunSpecInverter, clock: Clock, s: int) -> int | None:
    clock.now_s = 50.0 + s
    return device.limit_mw


def test_a_disconnected_inverter_stands_by_and_returns_by_itself():
    device, clock, _ = controlled()
    assert write(device, CONTROLS_AT + 2, 0, 20, 0) == 0
    assert (device.limit_mw, power_w(device), state(device)) == (0, 0.0, 8)
    clock.now_s += 20
    assert (power_w(device), state(device)) == (2_400.0, 4)
    assert read(device, CONTROLS_AT + CONN) == [1]


def test_a_power_factor_shows_in_apparent_and_reactive_power():
    device, _, _ = controlled()
    assert write(device, CONTROLS_AT + FACTOR, 8_000, 0, 0, 0, 1) == 0
    apparent, _, reactive = read(device, INVERTER_AT + 18, 3)
    assert (apparent, reactive) == (30_000, 18_000)
    assert read(device, INVERTER_AT + 22) == [8_000]
    write(device, CONTROLS_AT + FACTOR_SWITCH, 0)
    assert read(device, INVERTER_AT + 22) == [10_000]


@pytest.mark.parametrize(
    ("offset", "words", "code"),
    [
        (LIMIT, (10_001,), 3),
        (SWITCH, (2,), 3),
        (CONN, (2,), 3),
        (FACTOR, (7_999,), 3),
        (LIMIT, (2_000, 0, 60, 0, 2), 3),
        (15, (0,), 2),
        (23, (0,), 2),
        (0, (123,), 2),
        (23, (0, 0, 0, 0), 2),
    ],
)
def test_what_cannot_be_commanded_is_refused_whole(offset, words, code):
    device, _, _ = controlled()
    before = read(device, CONTROLS_AT, 26)
    assert write(device, CONTROLS_AT + offset, *words) == code
    assert read(device, CONTROLS_AT, 26) == before


def test_measurements_and_names_cannot_be_written():
    device, _, _ = controlled()
    assert write(device, INVERTER_AT + 14, 1) == 2
    assert write(device, 40_004, 1) == 2
    assert write(device, 41_000, 1) == 2


def test_function_6_writes_one_register():
    device, _, _ = controlled()
    assert answer(device, bytes.fromhex("069CDB03E8")) == bytes.fromhex("069CDB03E8")
    assert read(device, CONTROLS_AT + LIMIT) == [1_000]


def test_some_makers_take_no_block():
    device, _, _ = controlled(InverterMake(takes_blocks=False))
    assert write(device, CONTROLS_AT + LIMIT, 2_000, 0, 60, 0, 1) == 2
    assert write(device, CONTROLS_AT + LIMIT, 2_000) == 0


def test_some_makers_know_no_revert_time():
    device, _, _ = controlled(InverterMake(has_revert=False))
    assert read(device, CONTROLS_AT + REVERT) == [0xFFFF]
    assert write(device, CONTROLS_AT + REVERT, 60) == 2
    assert write(device, CONTROLS_AT + LIMIT, 2_000, 0, 0xFFFF, 0, 1) == 0


# States


@pytest.mark.parametrize(
    ("plant", "number"),
    [
        (Plant(pv_voltage_mv=0), 1),
        (Plant(pv_voltage_mv=9_000), 2),
        (Plant(), 3),
        (Plant(pv_power_mw=1), 4),
    ],
)
def test_the_state_follows_the_sun(plant, number):
    device = SunSpecInverter(plant)
    assert state(device) == number
    assert read(device, TRACKERS_AT + 27) == [number]


def test_each_tracker_shows_its_part():
    device = SunSpecInverter(Plant(pv_power_mw=2_400_000, generated_uwh=10**12))
    words = read(device, TRACKERS_AT, 50)
    assert (words[0], words[1], words[8]) == (160, 48, 2)
    for start in (10, 30):
        assert words[start + 11] == 12_000  # 1200.0 W
        assert words[start + 12 : start + 14] == [500_000 >> 16, 500_000 & 0xFFFF]
