"""The simulated TriStar MPPT, request by request."""

from __future__ import annotations

import pytest

from hardware.mock.chargers.tristar import TristarController
from hardware.mock.points import Plant
from hardware.mock.wires.modbus_pdu import answer
from tests.support.vectors import vectors

VECTORS = vectors("tristar_mppt")
SLAVE_CURRENT, SLAVE_VOLTAGE = 0x58, 0x59
TEN_AMPS = 10 * 32_768 // 80


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def bench(plant: Plant | None = None, **given) -> tuple[TristarController, Clock]:
    clock = Clock()
    return TristarController(plant or Plant(), clock_s=clock, **given), clock


def ask(controller: TristarController, request: str) -> str:
    return answer(controller, bytes.fromhex(request)).hex()


def words_at(
    controller: TristarController, address: int, count: int = 1, function: int = 3
) -> list[int]:
    head = bytes([function]) + address.to_bytes(2, "big") + count.to_bytes(2, "big")
    reply = answer(controller, head)
    return [int.from_bytes(reply[at : at + 2], "big") for at in range(2, len(reply), 2)]


def coil(controller: TristarController, address: int, on: bool = True) -> str:
    return ask(controller, f"05{address:04x}{'ff00' if on else '0000'}")


def write(controller: TristarController, address: int, word: int) -> str:
    return ask(controller, f"06{address:04x}{word & 0xFFFF:04x}")


def state(controller: TristarController) -> int:
    return words_at(controller, 0x32)[0]


@pytest.mark.parametrize("row", VECTORS["refused"], ids=lambda row: row["name"])
def test_it_refuses_as_its_document_says(row):
    request = bytes.fromhex(row["pdu"])
    assert answer(bench()[0], request) == bytes([request[0] | 0x80, row["refused"]])


def test_it_begins_with_its_full_scales():
    row = VECTORS["exchanges"][0]
    request, reply = bytes.fromhex(row["request"]), bytes.fromhex(row["reply"])
    assert answer(bench()[0], request[1:-2]) == reply[1:-2]


def test_inputs_and_holding_registers_are_the_same_memory():
    controller, _ = bench(Plant(pv_power_mw=100_000))
    assert words_at(controller, 0, 92, 3) == words_at(controller, 0, 92, 4)
    assert words_at(controller, 0, 92) != [0] * 92


def test_electrical_values_are_fractions_of_the_full_scales():
    plant = Plant(pv_voltage_mv=90_000, pv_power_mw=252_000, battery_mv=12_600)
    controller, _ = bench(plant)
    (battery,) = words_at(controller, 0x18)
    array, charging, pv = words_at(controller, 0x1B, 3)
    assert battery * 180 / 32_768 == pytest.approx(12.6, abs=0.006)
    assert array * 180 / 32_768 == pytest.approx(90, abs=0.006)
    assert charging * 80 / 32_768 == pytest.approx(20, abs=0.003)
    assert pv * 80 / 32_768 == pytest.approx(2.8, abs=0.003)
    assert words_at(controller, 0x3A, 2) == [round(252 * 131_072 / (180 * 80))] * 2


def test_temperatures_are_signed_and_a_sensor_may_be_missing():
    controller, _ = bench()
    controller.battery_c = -10
    assert words_at(controller, 0x24, 2) == [0xF6, 0xF6]
    controller.battery_c = None
    assert words_at(controller, 0x24, 2) == [0x80, 25]


def test_counters_have_their_high_word_first():
    plant = Plant(generated_uwh=70_000 * 10**9)
    controller, clock = bench(plant)
    clock.now_s = 70_000 * 3_600
    assert words_at(controller, 0x2A, 2) == [1, 70_000 - 65_536]
    tenths = 70_000 * 10**9 // 1_200_000
    assert words_at(controller, 0x36, 2) == [tenths >> 16, tenths & 0xFFFF]
    assert words_at(controller, 0x38, 2) == [70_000 - 65_536] * 2


def test_counters_are_cleared_by_their_own_coils():
    plant = Plant(generated_uwh=5 * 10**9)
    controller, _ = bench(plant)
    coil(controller, 0x12)
    plant.generated_uwh += 2 * 10**9
    assert words_at(controller, 0x38, 2) == [2, 7]
    coil(controller, 0x18)
    assert words_at(controller, 0x38, 2) == [2, 0]
    coil(controller, 0x10)
    coil(controller, 0x11, on=False)
    assert words_at(controller, 0x34, 2) == [0, 0]
    assert words_at(controller, 0x36, 2) != [0, 0]
    coil(controller, 0x11)
    assert words_at(controller, 0x36, 2) == [0, 0]


def test_a_day_begins_when_the_panels_wake():
    plant = Plant(generated_uwh=10**9, pv_voltage_mv=80_000)
    controller, _ = bench(plant)
    words_at(controller, 0x44)
    plant.generated_uwh += 123 * 10**6
    assert words_at(controller, 0x42, 3)[1:] == [102, 123]
    plant.pv_voltage_mv = 0
    assert words_at(controller, 0x44) == [123]
    plant.pv_voltage_mv = 40_000
    assert words_at(controller, 0x42, 3) == [round(40 * 32_768 / 180), 0, 0]
    plant.generated_uwh += 5 * 10**6
    assert words_at(controller, 0x44) == [5]


def test_the_charge_state_says_what_it_does():
    plant = Plant(pv_power_mw=50_000)
    controller, _ = bench(plant)
    seen = [state(controller)]
    plant.battery_mv = 14_500
    seen.append(state(controller))
    coil(controller, 0x00)
    seen.append(state(controller))
    coil(controller, 0x02)
    seen.append(state(controller))
    coil(controller, 0x02, on=False)
    coil(controller, 0x00, on=False)
    plant.pv_voltage_mv = 300
    seen.append(state(controller))
    assert seen == [5, 6, 8, 2, 3]


def test_a_disconnected_charger_lets_nothing_through():
    controller, _ = bench(Plant(pv_power_mw=50_000))
    assert controller.limit_mw is None
    assert coil(controller, 2) == "050002ff00"
    assert controller.limit_mw == 0
    assert words_at(controller, 0x3A) == [0]
    assert ask(controller, "0100000003") == "010104"


def test_coils_that_start_something_read_as_off():
    controller, _ = bench()
    coil(controller, 0x14)
    assert ask(controller, "0100100008") == "010100"
    assert ask(controller, "0100ff0001") == "010100"
    assert ask(controller, "0100200001") == "8102"
    assert ask(controller, "0200000001") == "8202"


def test_a_slave_charges_with_at_most_its_reference():
    controller, _ = bench(Plant(pv_power_mw=500_000, battery_mv=12_500))
    write(controller, SLAVE_CURRENT, TEN_AMPS)
    assert state(controller) == 9
    assert controller.limit_mw == 125_000
    (word,) = words_at(controller, 0x3A)
    assert word == round(125 * 131_072 / (180 * 80))


def test_a_slave_charges_up_to_its_reference_voltage():
    plant = Plant(battery_mv=12_500)
    controller, _ = bench(plant)
    write(controller, SLAVE_VOLTAGE, round(13 * 32_768 / 180))
    assert controller.limit_mw is None
    plant.battery_mv = 13_100
    assert controller.limit_mw == 0
    assert words_at(controller, 0x33) == [round(13 * 32_768 / 180)]


def test_references_run_out_after_sixty_seconds_and_leave_a_fault():
    controller, clock = bench(Plant(pv_power_mw=500_000))
    write(controller, SLAVE_CURRENT, TEN_AMPS)
    clock.now_s = 59.9
    write(controller, SLAVE_CURRENT, TEN_AMPS)
    clock.now_s = 119.8
    assert controller.limit_mw is not None
    assert words_at(controller, 0x2C) == [0]
    clock.now_s = 119.91
    assert controller.limit_mw is None
    assert words_at(controller, 0x2C) == [1 << 11]
    assert state(controller) == 5
    coil(controller, 0x14)
    assert words_at(controller, 0x2C) == [0]
    assert words_at(controller, 0x49) == [1 << 11]


@pytest.mark.parametrize("word", [0, 0xFFFF])
def test_a_reference_is_taken_back_without_a_fault(word):
    controller, clock = bench()
    write(controller, SLAVE_CURRENT, TEN_AMPS)
    write(controller, SLAVE_CURRENT, word)
    assert state(controller) == 5
    clock.now_s = 100
    assert words_at(controller, 0x2C) == [0]


def test_a_setting_raises_a_fault_until_a_reset():
    controller, _ = bench(Plant(pv_power_mw=50_000))
    write(controller, 0xE001, 2_500)
    assert words_at(controller, 0xE001) == [2_500]
    assert (words_at(controller, 0x2C), state(controller)) == ([1 << 6], 4)
    assert controller.limit_mw == 0
    coil(controller, 0x14)
    assert words_at(controller, 0x2C) == [1 << 6]
    coil(controller, 0xFF)
    assert (words_at(controller, 0x2C), state(controller)) == ([0], 5)
    assert words_at(controller, 0xE001) == [2_500]
    assert words_at(controller, 0x2E, 2) == [1 << 3, 0]
    coil(controller, 0x15)
    assert words_at(controller, 0x2E, 2) == [0, 0]


def test_a_reset_forgets_coils_and_references_and_takes_the_new_id():
    controller, _ = bench()
    coil(controller, 2)
    write(controller, SLAVE_CURRENT, TEN_AMPS)
    write(controller, 0xE019, 9)
    write(controller, 0xE020, 4_000)
    assert controller.hears(1)
    coil(controller, 0xFF)
    assert controller.hears(9)
    assert not controller.hears(1)
    assert words_at(controller, 0x58, 4) == [0, 0, 4_000, 0]
    assert ask(controller, "0100020001") == "010100"


def test_limits_in_its_settings_hold_always():
    controller, _ = bench(Plant(pv_power_mw=500_000, battery_mv=12_500))
    write(controller, 0xE01D, TEN_AMPS)
    coil(controller, 0xFF)
    assert controller.limit_mw == 125_000
    write(controller, 0xE010, round(12.4 * 32_768 / 180))
    coil(controller, 0xFF)
    assert controller.limit_mw == 0


def test_counters_are_saved_on_demand():
    controller, _ = bench(Plant(generated_uwh=42 * 10**9))
    assert words_at(controller, 0xE086, 2) == [0, 0]
    coil(controller, 0x16)
    assert words_at(controller, 0xE086, 2) == [42, 42]


def test_extremes_of_the_battery_are_kept_until_cleared():
    plant = Plant(battery_mv=12_000)
    controller, _ = bench(plant)
    words_at(controller, 0x28, 2)
    plant.battery_mv = 13_000
    volts = [round(each * 32_768 / 180) for each in (12, 13)]
    assert words_at(controller, 0x28, 2) == volts
    coil(controller, 0x19)
    assert words_at(controller, 0x28, 2) == [volts[1]] * 2


def test_times_in_stages_are_counted():
    plant = Plant(pv_power_mw=50_000, battery_mv=14_500)
    controller, clock = bench(plant)
    clock.now_s = 100
    assert words_at(controller, 0x4D, 3) == [100, 0, 0]
    coil(controller, 0x00)
    clock.now_s = 130
    assert words_at(controller, 0x4D, 3) == [100, 30, 0]


def test_it_tells_who_it_is():
    controller, _ = bench(serial="87654321", amps=45)
    assert b"Morningstar Corp.".hex() in ask(controller, "2b0e0100")
    assert b"TS-MPPT-45".hex() in ask(controller, "2b0e0100")
    assert ask(controller, "03e0c00004") == "0308" + b"87654321".hex()
    assert words_at(controller, 0xE0CC, 2) == [0, 0x0101]
    assert words_at(bench()[0], 0xE0CC) == [1]


def test_memory_that_is_read_only_is_refused():
    controller, _ = bench()
    for address in (0x0018, 0xE0C0, 0xE00C, 0x1234):
        assert write(controller, address, 1) == "8602"
