"""The simulated EPEver controller, request by request."""

from __future__ import annotations

import pytest

from hardware.mock.chargers.epever import TRACER_AN, EpeverController
from hardware.mock.points import Plant
from hardware.mock.wires.modbus_pdu import answer
from tests.support.vectors import vectors

VECTORS = vectors("epever_tracer")
DAY_S = 86_400
CLOCK_2015_MS = 1_435_803_845_000
NINE_IN_THE_EVENING_MS = 1_435_870_800_000


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def named(rows):
    return [pytest.param(row, id=row["name"]) for row in rows]


def ask(controller: EpeverController, request: str) -> str:
    return answer(controller, bytes.fromhex(request)).hex()


def words_at(controller: EpeverController, address: int, count: int) -> list[int]:
    head = address.to_bytes(2, "big") + count.to_bytes(2, "big")
    reply = answer(controller, b"\x04" + head)
    return [int.from_bytes(reply[at : at + 2], "big") for at in range(2, len(reply), 2)]


@pytest.mark.parametrize("row", named(VECTORS["exchanges"]))
def test_the_image_answers_captured_requests_with_the_captured_bytes(row):
    controller = EpeverController(
        Plant(battery_mv=12_300), starts_at_ms=CLOCK_2015_MS, clock_s=Clock()
    )
    request, reply = bytes.fromhex(row["request"]), bytes.fromhex(row["reply"])
    assert answer(controller, request[1:-2]) == reply[1:-2]


@pytest.mark.parametrize("row", named(VECTORS["refused"]))
def test_the_image_refuses_as_the_documents_say(row):
    request = bytes.fromhex(row["pdu"])
    reply = answer(EpeverController(Plant()), request)
    assert reply == bytes([request[0] | 0x80, row["refused"]])


@pytest.mark.parametrize(
    ("variant", "reply"),
    [("TRACER_BN", "8102"), ("TRACER_AN", "010101")],
)
def test_only_some_models_have_a_coil_for_charging(variant, reply):
    kinds = {"TRACER_AN": {"variant": TRACER_AN}, "TRACER_BN": {}}
    assert ask(EpeverController(Plant(), **kinds[variant]), "0100000001") == reply


def test_coils_are_written_one_by_one_only():
    controller = EpeverController(Plant(), variant=TRACER_AN)
    assert ask(controller, "0f000000020100") == "8f01"
    assert ask(controller, "1000020001020001") == "9002"
    assert controller.load_is_on


def test_charging_switched_off_lets_nothing_through():
    controller = EpeverController(Plant(pv_power_mw=80_000), variant=TRACER_AN)
    assert controller.limit_mw is None
    assert words_at(controller, 0x3102, 2) == [8_000, 0]
    assert ask(controller, "0500000000") == "0500000000"
    assert controller.limit_mw == 0
    assert words_at(controller, 0x3102, 2) == [0, 0]
    assert words_at(controller, 0x3201, 1) == [0]
    ask(controller, "050000ff00")
    assert controller.limit_mw is None


def test_lowered_voltages_let_only_the_load_through():
    plant = Plant(pv_power_mw=80_000, battery_mv=13_000, load_power_mw=13_000)
    controller = EpeverController(plant)
    assert controller.limit_mw is None
    lowered = [1600, 1262, 1500, 1262, 1262, 1262, 1261, 1260, 1220, 1200, 1110, 1060]
    body = b"".join(word.to_bytes(2, "big") for word in lowered)
    assert answer(controller, bytes.fromhex("109003000C18") + body).hex() == "109003000c"
    assert controller.limit_mw == 13_000
    assert words_at(controller, 0x3102, 2) == [1_300, 0]
    ask(controller, "0500020000")
    assert controller.limit_mw == 0


def test_voltages_are_of_a_battery_of_twelve_volts():
    assert EpeverController(Plant(battery_mv=27_000)).limit_mw is None
    assert EpeverController(Plant(battery_mv=28_900)).limit_mw == 0


def test_the_days_counter_begins_anew_at_the_controllers_own_midnight():
    clock, plant = Clock(), Plant(generated_uwh=100 * 10**7)
    controller = EpeverController(plant, starts_at_ms=CLOCK_2015_MS, clock_s=clock)
    words_at(controller, 0x330C, 8)
    plant.generated_uwh = 150 * 10**7
    assert words_at(controller, 0x330C, 8) == [50, 0, 50, 0, 50, 0, 150, 0]
    clock.now_s += DAY_S
    assert words_at(controller, 0x330C, 8) == [0, 0, 50, 0, 50, 0, 150, 0]
    plant.generated_uwh = 160 * 10**7
    assert words_at(controller, 0x330C, 8) == [10, 0, 60, 0, 60, 0, 160, 0]


def test_a_clock_that_jumps_begins_a_day_too_early():
    """Row "controller's own clock wrong": counters of the day are cleared at the wrong hour."""
    clock, plant = Clock(), Plant(generated_uwh=100 * 10**7)
    controller = EpeverController(plant, starts_at_ms=NINE_IN_THE_EVENING_MS, clock_s=clock)
    words_at(controller, 0x330C, 8)
    plant.generated_uwh += 50 * 10**7
    assert words_at(controller, 0x330C, 2) == [50, 0]
    controller.faults.switch("clock_jump", True)
    assert words_at(controller, 0x330C, 2) == [0, 0]
    assert words_at(controller, 0x3312, 2) == [150, 0]
    assert ask(controller, "0390130003") == "0306" + "0000" + "0300" + "0f07"
    assert "clock_jump" not in controller.faults.active


def test_clearing_the_statistics_begins_every_counter_anew():
    plant = Plant(generated_uwh=100 * 10**7, consumed_uwh=50 * 10**7)
    controller = EpeverController(plant, variant=TRACER_AN)
    words_at(controller, 0x3304, 16)
    plant.generated_uwh += 7 * 10**7
    assert words_at(controller, 0x330C, 8) == [7, 0, 7, 0, 7, 0, 107, 0]
    ask(controller, "050014ff00")
    assert words_at(controller, 0x3304, 16) == [0] * 16
    plant.generated_uwh += 3 * 10**7
    assert words_at(controller, 0x330C, 8) == [3, 0] * 4


def test_the_clock_is_set_as_a_whole_and_runs_on():
    clock = Clock()
    controller = EpeverController(Plant(), starts_at_ms=CLOCK_2015_MS, clock_s=clock)
    set_2026 = bytes.fromhex("109013000306") + bytes([59, 30, 31, 23, 26, 12])
    assert answer(controller, set_2026) == set_2026[:5]
    clock.now_s += 90
    assert ask(controller, "0390130003") == "0306" + "0100" + "0100" + "1b01"
    refused = bytes.fromhex("109013000306") + bytes([59, 30, 31, 23, 26, 13])
    assert answer(controller, refused) == b"\x90\x03"


def test_voltages_out_of_order_are_refused():
    controller = EpeverController(Plant())
    words = [1600, 1500, 1500, 1460, 1440, 1380, 1320, 1260, 1220, 1200, 1110, 1060]
    words[5] = 1450  # float above boost
    body = b"".join(word.to_bytes(2, "big") for word in words)
    assert answer(controller, bytes.fromhex("109003000C18") + body) == b"\x90\x04"


def test_settings_are_restored_by_their_coil():
    controller = EpeverController(Plant(), variant=TRACER_AN)
    ask(controller, "0690010064")
    assert ask(controller, "0390010001") == "03020064"
    ask(controller, "050013ff00")
    assert ask(controller, "0390010001") == "030200c8"


def test_the_load_output_follows_its_coil():
    controller = EpeverController(Plant(load_power_mw=24_000))
    assert words_at(controller, 0x310E, 2) == [2_400, 0]
    assert ask(controller, "0500020000") == "0500020000"
    assert not controller.load_is_on
    assert words_at(controller, 0x310C, 4) == [0, 0, 0, 0]
    assert ask(controller, "0500090000") == "8502"


def test_the_load_output_may_follow_the_light():
    plant = Plant()
    controller = EpeverController(plant)
    ask(controller, "06903d0001")
    assert not controller.load_is_on
    plant.pv_voltage_mv = 300
    assert controller.load_is_on


def test_the_load_output_may_follow_light_and_timer():
    clock, plant = Clock(), Plant()
    controller = EpeverController(plant, clock_s=clock)
    ask(controller, "06903d0002")
    plant.pv_voltage_mv = 300
    seen = []
    for hours in (0, 0.9, 1.1, 8.9, 9.1, 9.9, 10.1):
        clock.now_s = hours * 3_600
        seen.append(controller.load_is_on)
    assert seen == [True, True, False, False, True, True, False]


def test_the_load_output_may_follow_the_clock():
    clock = Clock()
    controller = EpeverController(Plant(), starts_at_ms=0, clock_s=clock)
    ask(controller, "06903d0003")
    times = "0000000000060000001e0007000000000016000000000001"
    assert ask(controller, "109042000c18" + times) == "109042000c"
    seen = []
    for hours in (0.9, 1.1, 6.4, 7.4, 7.6, 21.9, 22.1):
        clock.now_s = hours * 3_600
        seen.append(controller.load_is_on)
    assert seen == [True, False, True, True, False, False, True]


def test_a_load_test_feeds_the_load_in_any_mode():
    controller = EpeverController(Plant())
    ask(controller, "06903d0001")
    ask(controller, "050006ff00")
    assert not controller.load_is_on
    ask(controller, "050005ff00")
    assert controller.load_is_on


def test_a_flat_battery_feeds_no_load_until_it_recovers():
    plant = Plant(load_power_mw=12_000)
    controller = EpeverController(plant)
    seen = []
    for battery_mv in (11_000, 12_500, 12_700):
        plant.battery_mv = battery_mv
        seen.append((controller.load_is_on, words_at(controller, 0x3200, 1)[0] & 0xF))
    assert seen == [(False, 3), (False, 3), (True, 0)]


@pytest.mark.parametrize(
    ("battery_mv", "state"), [(12_600, 0), (11_900, 2), (16_100, 1), (25_000, 0)]
)
def test_the_battery_status_follows_its_voltage(battery_mv, state):
    assert words_at(EpeverController(Plant(battery_mv=battery_mv)), 0x3200, 1) == [state]


@pytest.mark.parametrize(
    ("load_power_mw", "level"), [(0, 0), (100_000, 1), (200_000, 2), (300_000, 3)]
)
def test_the_load_level_follows_its_current(load_power_mw, level):
    controller = EpeverController(Plant(load_power_mw=load_power_mw))
    assert words_at(controller, 0x3202, 1) == [level << 12 | 1]


def test_night_shows_in_status_and_discrete_input():
    plant = Plant(pv_power_mw=5_000)
    controller = EpeverController(plant)
    assert words_at(controller, 0x3201, 1) == [0b1001]
    assert ask(controller, "02200C0001") == "020100"
    plant.pv_power_mw, plant.pv_voltage_mv = 0, 300
    assert words_at(controller, 0x3201, 1) == [1 << 14]
    assert ask(controller, "02200C0001") == "020101"
    assert ask(controller, "0220050001") == "8202"


def test_some_units_sleep_in_the_dark_with_their_load_off():
    plant = Plant(pv_voltage_mv=13_900)
    controller = EpeverController(plant)
    controller.faults.switch("night_silence", True)
    assert words_at(controller, 0x3100, 1) == [1_390]
    ask(controller, "0500020000")
    assert ask(controller, "0431000001") == ""
    plant.pv_voltage_mv = 14_000
    assert words_at(controller, 0x3100, 1) == [1_400]


def test_a_value_read_in_halves_tears_as_it_was_captured():
    plant = Plant(battery_ma=0)
    controller = EpeverController(plant)
    torn = words_at(controller, 0x331B, 1)
    plant.battery_ma = -10
    torn += words_at(controller, 0x331C, 1)
    assert torn == [0x0000, 0xFFFF]
    assert words_at(controller, 0x331B, 2) == [0xFFFF, 0xFFFF]


def test_extremes_of_the_day_are_kept():
    plant = Plant(pv_voltage_mv=30_000, battery_mv=12_000)
    controller = EpeverController(plant)
    words_at(controller, 0x3300, 4)
    plant.pv_voltage_mv, plant.battery_mv = 40_000, 13_000
    assert words_at(controller, 0x3300, 4) == [4_000, 3_000, 1_300, 1_200]


def test_carbon_saved_is_counted_in_tens_of_kilograms():
    controller = EpeverController(Plant(generated_uwh=1_234 * 10**9))
    assert words_at(controller, 0x3314, 2) == [123, 0]


@pytest.mark.parametrize(
    ("pdu", "reply"),
    [
        ("2B0E0402", "2b0e04010000" + "01" + "020d" + b"V02.05+V07.12".hex()),
        ("2B0E0409", "ab02"),
        ("2B0E0700", "ab03"),
        ("2B0D0100", "ab01"),
    ],
)
def test_single_identification_objects(pdu, reply):
    assert ask(EpeverController(Plant()), pdu) == reply


def test_models_tell_their_names():
    assert b"Tracer4210AN".hex() in ask(EpeverController(Plant(), variant=TRACER_AN), "2B0E0100")
