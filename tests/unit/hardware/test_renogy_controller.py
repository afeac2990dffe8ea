"""The simulated Renogy Rover, request by request."""

from __future__ import annotations

import pytest

from hardware.mock.chargers.renogy import RenogyController
from hardware.mock.points import Plant
from hardware.mock.wires.modbus_pdu import answer
from tests.support.vectors import vectors

VECTORS = vectors("renogy_rover")
MAIN_BLOCK, WORDS = 0x0100, 34


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def bench(plant: Plant | None = None, **given) -> tuple[RenogyController, Clock]:
    clock = Clock()
    return RenogyController(plant or Plant(), clock_s=clock, **given), clock


def ask(controller: RenogyController, request: str) -> str:
    return answer(controller, bytes.fromhex(request)).hex()


def words_at(controller: RenogyController, address: int, count: int = 1) -> list[int]:
    head = b"\x03" + address.to_bytes(2, "big") + count.to_bytes(2, "big")
    reply = answer(controller, head)
    return [int.from_bytes(reply[at : at + 2], "big") for at in range(2, len(reply), 2)]


def write(controller: RenogyController, address: int, word: int) -> str:
    return ask(controller, f"06{address:04x}{word:04x}")


@pytest.mark.parametrize(
    "row",
    [row for row in VECTORS["exchanges"] if row["origin"].find("captured") >= 0],
    ids=lambda row: row["name"],
)
def test_it_answers_captured_requests_with_the_captured_bytes(row):
    request, reply = bytes.fromhex(row["request"]), bytes.fromhex(row["reply"])
    assert answer(bench()[0], request[1:-2]) == reply[1:-2]


@pytest.mark.parametrize("row", VECTORS["refused"], ids=lambda row: row["name"])
def test_it_refuses_what_it_does_not_have(row):
    request = bytes.fromhex(row["pdu"])
    assert answer(bench()[0], request) == bytes([request[0] | 0x80, row["refused"]])


def test_the_main_block_is_read_at_once():
    request = bytes.fromhex(VECTORS["main_block"]["request"])
    reply = answer(bench()[0], request[1:-2])
    assert len(reply) + 3 == VECTORS["main_block"]["reply_bytes"]


def test_it_hears_its_own_id_and_the_one_of_any():
    controller, _ = bench()
    assert [each for each in (0, 1, 2, 0xFF) if controller.hears(each)] == [1, 0xFF]
    assert write(controller, 0x001A, 16) == "06001a0010"
    assert [each for each in (1, 16, 0xFF) if controller.hears(each)] == [16, 0xFF]
    assert words_at(controller, 0x001A) == [16]
    assert write(controller, 0x001A, 248) == "8603"


def test_values_are_in_the_units_of_its_table():
    plant = Plant(pv_voltage_mv=36_500, pv_power_mw=55_900, battery_mv=12_600, load_power_mw=12_600)
    controller, _ = bench(plant)
    words = words_at(controller, MAIN_BLOCK, 10)
    assert words == [60, 126, 443, 0x1919, 126, 100, 12, 365, 153, 55]


@pytest.mark.parametrize(
    ("controller_c", "battery_c", "word"), [(15, -10, 0x0F8A), (-1, 0, 0x8100), (90, 25, 0x5A19)]
)
def test_temperatures_have_a_sign_and_a_magnitude(controller_c, battery_c, word):
    controller, _ = bench()
    controller.controller_c, controller.battery_c = controller_c, battery_c
    assert words_at(controller, 0x0103) == [word]


def test_lifetime_counters_have_their_high_word_first():
    plant = Plant(generated_uwh=100_000 * 10**6, consumed_uwh=70_000 * 10**6)
    controller, clock = bench(plant)
    clock.now_s = 3 * 86_400
    assert words_at(controller, 0x0115) == [4]
    assert words_at(controller, 0x0118, 4) == [0, 8_333, 0, 5_833]
    assert words_at(controller, 0x011C, 4) == [1, 34_464, 1, 4_464]


def test_a_day_begins_when_the_panels_wake():
    plant = Plant(generated_uwh=10**9, pv_power_mw=50_000)
    controller, _ = bench(plant)
    words_at(controller, MAIN_BLOCK, WORDS)
    plant.generated_uwh += 123 * 10**6
    plant.consumed_uwh += 24 * 10**6
    assert words_at(controller, 0x0111, 4) == [10, 2, 123, 24]
    plant.pv_voltage_mv = plant.pv_power_mw = 0
    assert words_at(controller, 0x010F) == [50]
    plant.pv_voltage_mv, plant.pv_power_mw = 30_000, 10_000
    assert words_at(controller, 0x010F, 6) == [10, 0, 0, 0, 0, 0]


def test_the_history_is_cleared_by_a_function_of_its_own():
    plant = Plant(generated_uwh=10**9)
    controller, _ = bench(plant)
    words_at(controller, MAIN_BLOCK, WORDS)
    assert ask(controller, "7900000001") == "7900000001"
    plant.generated_uwh += 5 * 10**6
    assert words_at(controller, 0x011C, 2) == [0, 5]


def test_factory_settings_return_by_a_function_of_its_own():
    controller, _ = bench()
    write(controller, 0xE002, 77)
    assert words_at(controller, 0xE002) == [77]
    assert ask(controller, "7800000001") == "7800000001"
    assert words_at(controller, 0xE002) == [200]
    assert ask(controller, "7700000001") == "f701"


def test_settings_are_written_one_by_one_or_together():
    controller, _ = bench()
    assert ask(controller, "10e0080002040090008c") == "10e0080002"
    assert words_at(controller, 0xE008, 2) == [144, 140]
    assert write(controller, 0xE001, 1) == "8602"


def test_a_rover_elite_has_fewer_settings():
    rover, elite = bench()[0], bench(is_elite=True)[0]
    assert words_at(rover, 0xE021, 2) == [0, 0]
    assert ask(elite, "03e0210001") == "03020000"
    for request in ("03e0220001", "03e0210002", "06e0220001"):
        assert ask(elite, request) == f"{int(request[:2], 16) | 0x80:02x}02"
    assert b"RVRE".hex() in ask(elite, "03000c0008")


def test_full_charges_are_counted_once_each():
    plant = Plant()
    controller, _ = bench(plant)
    seen = []
    for battery_mv in (12_600, 14_400, 14_500, 13_000, 14_400):
        plant.battery_mv = battery_mv
        seen += words_at(controller, 0x0117)
    assert seen == [0, 1, 1, 1, 2]


def test_the_charging_stage_follows_panels_and_battery():
    plant = Plant()
    controller, _ = bench(plant)
    seen = []
    for power_mw, battery_mv in ((0, 12_600), (50_000, 12_600), (50_000, 14_400)):
        plant.pv_power_mw, plant.battery_mv = power_mw, battery_mv
        seen.append(words_at(controller, 0x0120)[0] & 0xFF)
    assert seen == [0, 2, 4]


def test_above_its_charging_voltages_only_the_load_is_fed():
    plant = Plant(pv_power_mw=50_000, battery_mv=13_000, load_power_mw=7_000)
    controller, _ = bench(plant)
    assert controller.limit_mw is None
    write(controller, 0xE008, 128)
    assert controller.limit_mw == 7_000
    assert words_at(controller, 0x0109) == [7]
    write(controller, 0x010A, 0)
    assert controller.limit_mw == 0


def test_the_load_output_is_switched_by_hand():
    controller, _ = bench(Plant(load_power_mw=24_000))
    assert words_at(controller, 0x0120) == [0x80 + 100 << 8]
    write(controller, 0x010A, 0)
    assert not controller.load_is_on
    assert words_at(controller, 0x0104, 3) == [0, 0, 0]
    assert (words_at(controller, 0x010A), words_at(controller, 0x0120)) == ([0], [0])


def test_by_light_the_load_follows_the_night_and_no_hand():
    clock, plant = Clock(), Plant()
    controller = RenogyController(plant, clock_s=clock)
    write(controller, 0xE01D, 2)
    write(controller, 0x010A, 1)
    assert not controller.load_is_on
    plant.pv_voltage_mv = 0
    seen = []
    for clock.now_s in (10, 7_100, 7_300):
        words_at(controller, MAIN_BLOCK)
        seen.append(controller.load_is_on)
    write(controller, 0xE01D, 0)
    seen.append(controller.load_is_on)
    plant.pv_voltage_mv = 30_000
    words_at(controller, MAIN_BLOCK)
    seen.append(controller.load_is_on)
    assert seen == [True, True, False, True, False]


def test_a_load_that_sticks_takes_every_third_write():
    controller, _ = bench()
    controller.faults.switch("load_sticks", True)
    seen = []
    for _ in range(3):
        assert write(controller, 0x010A, 0) == "06010a0000"
        seen.append(controller.load_is_on)
    assert seen == [True, True, False]
