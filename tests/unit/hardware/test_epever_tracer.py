"""The EPEver driver and its simulated controller, without a wire between them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hardware import errors, registers
from hardware.chargers import epever_tracer
from hardware.chargers.epever_tracer import EpeverTracer, EpeverTracerOptions
from hardware.mock.epever_controller import EpeverController
from hardware.mock.modbus_pdu import answer
from hardware.mock.points import Plant
from hardware.ports import ChargeController
from tests.support.hardware_bench import ModbusDirect

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "epever_tracer.json").read_text())
DAY_MS = 86_400_000
CLOCK_2015_MS = 1_435_803_845_000


def named(rows):
    return [pytest.param(row, id=row["name"]) for row in rows]


def driver(controller: EpeverController) -> tuple[EpeverTracer, ModbusDirect]:
    port = ModbusDirect(controller)
    return EpeverTracer(port, EpeverTracerOptions(address=1)), port


@pytest.mark.parametrize("row", named(VECTORS["exchanges"]))
def test_the_image_answers_captured_requests_with_the_captured_bytes(row):
    controller = EpeverController(Plant(battery_mv=12_300), now_ms=lambda: CLOCK_2015_MS)
    request, reply = bytes.fromhex(row["request"]), bytes.fromhex(row["reply"])
    assert answer(controller, request[1:-2]) == reply[1:-2]


@pytest.mark.parametrize("row", named(VECTORS["negative"]))
def test_the_image_refuses_as_the_documents_say(row):
    request = bytes.fromhex(row["pdu"])
    reply = answer(EpeverController(Plant()), request)
    assert reply == bytes([request[0] | 0x80, row["refused"]])


def test_generation_is_export():
    meter, port = driver(EpeverController(Plant(pv_power_mw=55_000, generated_uwh=12_345 * 10**7)))
    sample = meter.sample()
    assert (sample.power_mw, sample.voltage_mv, sample.current_ma) == (-55_000, 36_000, -1_520)
    assert (sample.energy_import_uwh, sample.energy_export_uwh) == (None, 12_345 * 10**7)
    reads = [request.hex() for request in port.requests[1:]]
    assert reads == ["0431000004", "0433120002"]


def test_numbers_above_one_word_take_both_words():
    plant = Plant(pv_power_mw=1_000_000, generated_uwh=70_000 * 10**7)
    sample = driver(EpeverController(plant))[0].sample()
    assert (sample.power_mw, sample.energy_export_uwh) == (-1_000_000, 70_000 * 10**7)


@pytest.mark.parametrize("battery_ma", [-12_340, -10, 0, 10, 12_340])
def test_the_battery_current_is_signed(battery_ma):
    meter, _port = driver(EpeverController(Plant(battery_ma=battery_ma, pv_power_mw=1_000)))
    assert isinstance(meter, ChargeController)
    battery = meter.battery()
    assert battery.current_ma == battery_ma
    assert (battery.voltage_mv, battery.charge_percent) == (12_600, 60)
    assert (battery.temperature_mc, battery.stage) == (25_000, "boost")


def test_no_value_of_two_words_is_ever_read_in_halves():
    for table in (epever_tracer.GENERATION, epever_tracer.BATTERY):
        for block in registers.plan(table, function=4, words_max=16).blocks:
            end = block.address + block.count
            assert all(block.address <= row.address < row.end <= end for row in block.registers)


def test_a_torn_value_is_refused_by_name():
    torn = VECTORS["torn"]
    low, high = (bytes.fromhex(torn[half]["reply"])[3:5] for half in ("low", "high"))
    reply = [int.from_bytes(half, "big") for half in (low, high)]
    current = next(row for row in epever_tracer.BATTERY if row.quantity == "current_ma")
    with pytest.raises(
        getattr(errors, torn["refused"]), match=f"current_ma = {torn['current_ma']}"
    ):
        registers.decode(current, reply, current.address)


def test_a_controller_that_does_not_tell_its_maker_is_taken_as_it_is():
    class Older(EpeverController):
        def identification(self):
            return {}

    assert driver(Older(Plant(pv_power_mw=5_000)))[0].sample().power_mw == -5_000


def words_at(controller: EpeverController, address: int, count: int) -> list[int]:
    head = address.to_bytes(2, "big") + count.to_bytes(2, "big")
    reply = answer(controller, b"\x04" + head)
    return [int.from_bytes(reply[at : at + 2], "big") for at in range(2, len(reply), 2)]


def test_the_days_counter_begins_anew_at_the_controllers_own_midnight():
    now = [CLOCK_2015_MS]
    plant = Plant(generated_uwh=100 * 10**7)
    controller = EpeverController(plant, now_ms=lambda: now[0])
    words_at(controller, 0x330C, 8)
    plant.generated_uwh = 150 * 10**7
    assert words_at(controller, 0x330C, 8) == [50, 0, 50, 0, 50, 0, 150, 0]
    now[0] += DAY_MS
    assert words_at(controller, 0x330C, 8) == [0, 0, 50, 0, 50, 0, 150, 0]
    plant.generated_uwh = 160 * 10**7
    assert words_at(controller, 0x330C, 8) == [10, 0, 60, 0, 60, 0, 160, 0]


def test_the_clock_is_set_as_a_whole_and_runs_on():
    now = [CLOCK_2015_MS]
    controller = EpeverController(Plant(), now_ms=lambda: now[0])
    set_2026 = bytes.fromhex("109013000306") + bytes([59, 30, 31, 23, 26, 12])
    assert answer(controller, set_2026) == set_2026[:5]
    now[0] += 90_000
    assert (
        answer(controller, bytes.fromhex("0390130003")).hex() == "0306" + "0100" + "0100" + "1b01"
    )
    refused = bytes.fromhex("109013000306") + bytes([59, 30, 31, 23, 26, 13])
    assert answer(controller, refused) == b"\x90\x03"


def test_voltages_out_of_order_are_refused():
    controller = EpeverController(Plant())
    words = [1600, 1500, 1500, 1460, 1440, 1380, 1320, 1260, 1220, 1200, 1110, 1060]
    words[5] = 1450  # float above boost
    body = b"".join(word.to_bytes(2, "big") for word in words)
    assert answer(controller, bytes.fromhex("109003000C18") + body) == b"\x90\x04"


def test_the_load_output_follows_its_coil():
    controller = EpeverController(Plant(load_power_mw=24_000))
    assert words_at(controller, 0x310E, 2) == [2_400, 0]
    assert answer(controller, bytes.fromhex("0500020000")) == bytes.fromhex("0500020000")
    assert not controller.load_is_on
    assert words_at(controller, 0x310C, 4) == [0, 0, 0, 0]
    assert answer(controller, bytes.fromhex("0500090000")) == b"\x85\x02"


def test_night_shows_in_status_and_discrete_input():
    plant = Plant(pv_power_mw=5_000)
    controller = EpeverController(plant)
    assert words_at(controller, 0x3201, 1) == [0b1001]
    assert answer(controller, bytes.fromhex("02200C0001")) == b"\x02\x01\x00"
    plant.pv_power_mw, plant.pv_voltage_mv = 0, 300
    assert words_at(controller, 0x3201, 1) == [1 << 14]
    assert answer(controller, bytes.fromhex("02200C0001")) == b"\x02\x01\x01"
    assert answer(controller, bytes.fromhex("0220050001")) == b"\x82\x02"


def test_extremes_of_the_day_are_kept():
    plant = Plant(pv_voltage_mv=30_000, battery_mv=12_000)
    controller = EpeverController(plant)
    words_at(controller, 0x3300, 4)
    plant.pv_voltage_mv, plant.battery_mv = 40_000, 13_000
    assert words_at(controller, 0x3300, 4) == [4_000, 3_000, 1_300, 1_200]


def test_a_plain_setting_is_stored():
    controller = EpeverController(Plant())
    assert answer(controller, bytes.fromhex("0690010064")) == bytes.fromhex("0690010064")
    assert answer(controller, bytes.fromhex("0390010001")) == bytes.fromhex("03020064")


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
    assert answer(EpeverController(Plant()), bytes.fromhex(pdu)).hex() == reply
