"""The simulated VE.Direct devices: their own rules, read from bytes and not through a driver."""

from __future__ import annotations

import re

import pytest

from hardware.mock.chargers.seen_plant import SeenPlant
from hardware.mock.points import Plant
from hardware.mock.vedirect.bmv import VictronBmv
from hardware.mock.vedirect.days import Day
from hardware.mock.vedirect.device import VeDirectDevice
from hardware.mock.vedirect.mppt import VictronMppt
from tests.support.vectors import vectors
from tests.support.vedirect_lines import HandClock

TEXT, HEX = vectors("vedirect"), vectors("vedirect_hex")
BLOCKS = {row["name"]: bytes.fromhex(row["block"]) for row in TEXT["blocks"]}
NIGHT_MV = 300


def mppt(plant: Plant | None = None, **made) -> tuple[VictronMppt, HandClock]:
    clock = HandClock()
    return VictronMppt(plant or Plant(pv_power_mw=100_000), clock_s=clock, **made), clock


def texts(report: bytes) -> list[bytes]:
    """Return the text blocks in a report, each ending with one byte behind its mark."""
    return re.findall(rb"\r\nPID\t(?:(?!Checksum).)*Checksum\t.", report, re.DOTALL)


def fields(raw: bytes) -> dict[str, str]:
    lines = raw[2:-1].split(b"\r\n")[:-1]
    return dict(line.decode().split("\t") for line in lines)


def told(device: VeDirectDevice) -> dict[str, str]:
    (block,) = texts(device.report())
    return fields(block)


def ask(device: VeDirectDevice, frame: str) -> str:
    return device.hear(frame.encode() + b"\n").decode().strip()


def get(device: VeDirectDevice, register: int) -> bytes:
    """Return a register's value, with its flags in front."""
    body = register.to_bytes(2, "little")
    answer = ask(device, framed(7, body + b"\0"))
    assert answer.startswith(":7" + body.hex().upper())
    return bytes.fromhex(answer[6:-2])


def put(device: VeDirectDevice, register: int, value: str) -> bytes:
    body = register.to_bytes(2, "little")
    answer = ask(device, framed(8, body + b"\0" + bytes.fromhex(value)))
    return bytes.fromhex(answer[6:-2])


def framed(command: int, body: bytes) -> str:
    check = (0x55 - command - sum(body)) % 256
    return f":{command:X}{body.hex().upper()}{check:02X}"


# Text


def test_a_block_is_as_a_recorded_one():
    device, _ = mppt()
    (block,) = texts(device.report())
    assert sum(block) % 256 == 0
    recorded = fields(BLOCKS["the same block with the right checksum byte"])
    assert list(fields(block)) == list(recorded)
    for label, text in fields(block).items():
        assert re.fullmatch(r"-?[0-9]+", text) is not None or not recorded[label].isdecimal()


def test_a_monitor_tells_two_blocks_as_the_recorded_ones():
    device = VictronBmv(Plant(), clock_s=HandClock())
    first, second = device.report().split(b"\r\nChecksum\t")[:2]
    recorded = [fields(BLOCKS["BMV, first block of a second"])]
    recorded += [fields(BLOCKS["BMV-712, history block"])]
    assert re.findall(rb"\n([^\t]+)\t", first) == [label.encode() for label in recorded[0]]
    assert re.findall(rb"\n([^\t]+)\t", second) == [label.encode() for label in recorded[1]]


def test_values_are_in_the_units_of_the_text():
    plant = Plant(
        pv_power_mw=55_670,
        pv_voltage_mv=31_397,
        battery_mv=12_537,
        generated_uwh=8_272 * 10**7 + 5,
        load_power_mw=6_000,
    )
    shown = told(mppt(plant)[0])
    wanted = {"V": "12530", "VPV": "31390", "PPV": "55", "I": "3960", "IL": "470", "H19": "8272"}
    assert {label: shown[label] for label in wanted} == wanted
    assert (shown["CS"], shown["MPPT"], shown["OR"]) == ("3", "2", "0x00000000")


def test_night_full_battery_and_stop_show_in_the_states():
    plant = Plant(pv_power_mw=50_000)
    device, _ = mppt(plant)
    plant.charge_percent = 100
    assert told(device)["CS"] == "5"
    ask(device, ":80002000447")
    shown = told(device)
    assert (shown["CS"], shown["MPPT"], shown["OR"], shown["PPV"]) == ("0", "0", "0x00000004", "0")
    ask(device, ":8000200014A")
    plant.pv_voltage_mv, plant.pv_power_mw = NIGHT_MV, 0
    shown = told(device)
    assert (shown["CS"], shown["MPPT"], shown["OR"]) == ("0", "0", "0x00000001")


def test_the_days_counters_begin_anew_at_dawn():
    plant = Plant(pv_power_mw=80_000, generated_uwh=100 * 10**7)
    device, clock = mppt(plant)
    told(device)
    plant.generated_uwh += 30 * 10**7
    clock.pause(3_600)
    shown = told(device)
    assert [shown[label] for label in ("H20", "H21", "H22", "H23", "HSDS")] == [
        "30", "80", "0", "0", "0",
    ]  # fmt: skip
    day, plant.pv_voltage_mv, plant.pv_power_mw = plant.pv_voltage_mv, NIGHT_MV, 0
    told(device)
    plant.pv_voltage_mv, plant.pv_power_mw = day, 20_000
    plant.generated_uwh += 10**7
    shown = told(device)
    assert [shown[label] for label in ("H20", "H21", "H22", "H23", "HSDS")] == [
        "1", "20", "30", "80", "1",
    ]  # fmt: skip
    assert get(device, 0x1050)[2:6] == (1).to_bytes(4, "little")
    assert get(device, 0x1051)[2:6] == (30).to_bytes(4, "little")
    assert get(device, 0x1051)[19:21] == (60).to_bytes(2, "little")  # minutes in bulk
    assert get(device, 0x1052)[1:] == bytes(34)


def test_a_day_is_written_as_a_captured_one():
    row = next(row for row in HEX["frames"] if row["frame"].startswith(":A50100"))
    captured = bytes.fromhex(row["frame"][8:-2])
    day = Day(247, 0, 0)
    moments = [
        SeenPlant(43_920, 372_000, 127 * 10**7, 14_530, 0, 60, 0, 0),
        SeenPlant(20_000, 0, 127 * 10**7, 12_470, 0, 60, 0, 0),
    ]
    for seen, stage, minutes in (
        (moments[0], 3, 163),
        (moments[0], 4, 387),
        (moments[1], 5, 119),
    ):
        day.log(seen, stage, minutes * 60)
    day.battery_mv_max = 14_300
    known = list(range(5)) + list(range(9, 34))  # this unit has no load output
    assert [day.record()[at] for at in known] == [captured[at] for at in known]


# HEX


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        (":154", ":55941B6"),
        (":352", ":15941BA"),
        (":451", ":156A05E"),
        (":253", ":3020050"),
        (":7F0ED0072", ":4AAAAFD"),
        (":7F0ED0", ":4AAAAFD"),
        (":7XX", ":4AAAAFD"),
        (":", ":4AAAAFD"),
        (":7F0ED71", ":4AAAAFD"),
        (":7009900B5", ":7009901B4"),
        (":70001004D", ":70001000056A0FF58"),
        (":715200019", ":7152000FFFF1B"),
        (":7ECED0075", ":7ECED00FFFF77"),
        (":64F", ""),
    ],
)
def test_questions_are_answered_as_the_documents_say(frame, answer):
    assert ask(mppt()[0], frame) == answer


def test_the_serial_number_is_a_text_of_sixteen_bytes():
    assert get(mppt(serial="HQ1840MAEI4")[0], 0x010A) == b"\0HQ1840MAEI4" + bytes(5)


LISTED = [0x0200, 0x0201, 0x0202, 0x0205, 0x0207, 0x2001, 0x2002, 0x2003, 0x200E, 0x2015, 0x2027]
LISTED += [0x104F, *range(0x1050, 0x106F), 0xED23, 0xEDA8, 0xEDA9, 0xEDAB, 0xEDAD, 0xEDB3, 0xEDB8]
LISTED += [0xEDBB, 0xEDBC, 0xEDBD, 0xEDD0, 0xEDD1, 0xEDD2, 0xEDD3, 0xEDD5, 0xEDD7, 0xEDDA, 0xEDDB]
LISTED += [0xEDDC, 0xEDDD, 0xEDDF, 0xEDEC, 0xEDF0, 0xEDF1, 0xEDF6, 0xEDF7, 0xED98]


@pytest.mark.parametrize("register", LISTED, ids=hex)
def test_every_listed_register_of_an_mppt_is_there(register):
    value = get(mppt()[0], register)
    assert value[0] == 0
    assert len(value) > 1


@pytest.mark.parametrize("register", [0x0FFF, 0x0FFE, 0x1000, 0x034E, 0x034F], ids=hex)
def test_every_listed_register_of_a_monitor_is_there(register):
    assert get(VictronBmv(Plant(), clock_s=HandClock()), register)[0] == 0


def test_a_monitor_tells_its_charge_and_its_time_to_go():
    plant = Plant(charge_percent=50, battery_ma=-10_000)
    device = VictronBmv(plant, clock_s=HandClock())
    assert get(device, 0x0FFF) == b"\0" + (5_000).to_bytes(2, "little")
    assert get(device, 0x0FFE) == b"\0" + (600).to_bytes(2, "little")
    assert get(device, 0x1000) == bytes.fromhex("00C800")
    plant.battery_ma = 5
    assert get(device, 0x0FFE) == b"\0\xff\xff"
    assert b"\r\nTTG\t-1\r\n" in device.report()
    assert b"\r\nCE\t-100000\r\n" in device.report()


def test_a_monitor_remembers_when_the_battery_was_full():
    plant, clock = Plant(charge_percent=99), HandClock()
    device = VictronBmv(plant, clock_s=clock)
    assert b"\r\nH9\t---\r\n" in device.report()
    plant.charge_percent = 100
    device.report()
    plant.charge_percent = 99
    clock.pause(90)
    assert b"\r\nH9\t90\r\n" in device.report()
    assert device.limit_mw is None


def test_a_monitors_relay_heeds_only_when_it_is_remote():
    device = VictronBmv(Plant(), clock_s=HandClock())
    assert put(device, 0x034E, "01") == b"\0\x01"
    assert device.relay_is_on
    put(device, 0x034F, "00")
    assert put(device, 0x034E, "00") == b"\x04\x01"
    assert put(device, 0x1000, "6400") == bytes.fromhex("006400")
    assert put(device, 0x1000, "0000") == bytes.fromhex("046400")


@pytest.mark.parametrize(
    ("register", "value", "answer"),
    [
        (0xEDBC, "00000000", "02"),
        (0x0200, "02", "0401"),
        (0x0200, "0100", "0401"),
        (0xEDF0, "2D01", "042C01"),
        (0xEDF0, "6400", "006400"),
        (0xEDAB, "0F", "0401"),
        (0x2015, "FFFF", "00FFFF"),
    ],
)
def test_a_set_tells_what_stands_after_it(register, value, answer):
    assert put(mppt()[0], register, value).hex().upper().startswith(answer)


def test_a_set_without_its_flags_byte_is_refused_and_changes_nothing():
    device, _ = mppt()
    assert ask(device, framed(8, bytes.fromhex("ABED04"))) == framed(8, bytes.fromhex("ABED0401"))
    assert ask(device, framed(8, bytes.fromhex("15206400"))) == framed(
        8, bytes.fromhex("152004FFFF")
    )
    assert device.load_is_on
    assert device.limit_mw is None


def test_bytes_that_are_no_frame_get_no_answer():
    device, _ = mppt()
    assert device.hear(b"hello\r\n\0\xff") == b""
    assert device.hear(b"15:1") == b""
    assert device.hear(b"5") == b""
    assert device.hear(b"4\n:154\n") == b":55941B6\n" * 2


# Limits


def test_the_current_limit_is_forgotten_after_sixty_seconds():
    device, clock = mppt(Plant(pv_power_mw=200_000, battery_mv=12_500))
    assert ask(device, ":81520006400B4") == ":81520006400B4"
    assert device.limit_mw == 125_000
    clock.pause(59.9)
    assert told(device)["PPV"] == "125"
    assert told(device)["MPPT"] == "1"
    clock.pause(0.1)
    assert device.limit_mw is None
    assert ask(device, ":715200019") == ":7152000FFFF1B"
    assert told(device)["PPV"] == "200"


def test_a_restart_forgets_the_limit_but_not_the_mode():
    device, _ = mppt()
    ask(device, ":81520006400B4")
    ask(device, ":64F")
    assert device.limit_mw is None
    ask(device, ":80002000447")
    ask(device, ":64F")
    assert device.limit_mw == 0


def test_a_lowered_maximum_current_limits_too_and_is_counted_as_a_write():
    device, _ = mppt(Plant(pv_power_mw=500_000, battery_mv=12_500))
    assert device.eeprom_writes == 0
    put(device, 0xEDF0, "6400")
    assert (device.limit_mw, device.eeprom_writes) == (125_000, 1)
    put(device, 0x2015, "C800")
    assert device.limit_mw == 125_000
    put(device, 0x2015, "3200")
    assert device.limit_mw == 62_500


def test_a_product_that_wants_a_network_mode_heeds_no_limit_without():
    device, clock = mppt(needs_network_mode=True)
    put(device, 0x2015, "3200")
    assert device.limit_mw is None
    for mode, heeded in (("01", False), ("05", True), ("09", True), ("00", False)):
        put(device, 0x200E, mode)
        assert (device.limit_mw is not None) is heeded
    put(device, 0x200E, "09")
    clock.pause(60)
    put(device, 0x2015, "3200")
    assert device.limit_mw is None


def test_the_load_output_follows_its_control():
    plant = Plant(load_power_mw=24_000, battery_mv=12_000)
    device, _ = mppt(plant)
    assert told(device)["IL"] == "2000"
    for control, on in (("00", False), ("01", True), ("04", False), ("05", True)):
        put(device, 0xEDAB, control)
        assert get(device, 0xEDA8)[1] == on
        assert told(device)["LOAD"] == ("ON" if on else "OFF")
        assert told(device)["IL"] == ("2000" if on else "0")


# What it says unasked


def test_what_changes_is_told_once():
    plant = Plant(pv_power_mw=50_000)
    device, _ = mppt(plant)
    assert b":A" not in device.report()
    plant.pv_power_mw = 60_000
    said = device.report()
    assert b":ABCED0070170000" in said
    assert said.startswith(b":A")
    assert b":A" not in device.report()


def test_a_forgotten_limit_is_told():
    device, clock = mppt()
    ask(device, ":81520006400B4")
    device.report()
    clock.pause(61)
    assert b":A152000FFFF18\n" in device.report()


def test_old_firmware_says_no_text_while_hex_is_spoken():
    device, clock = mppt(firmware=150)
    assert len(texts(device.report())) == 1
    ask(device, ":154")
    assert texts(device.report()) == []
    clock.pause(2)
    assert len(texts(device.report())) == 1


def test_new_firmware_says_no_text_only_under_heavy_hex():
    device, clock = mppt(firmware=159)
    for _ in range(5):
        ask(device, ":154")
    assert len(texts(device.report())) == 1
    for _ in range(20):
        ask(device, ":154")
    assert texts(device.report()) == []
    clock.pause(1)
    assert len(texts(device.report())) == 1


# Faults


@pytest.mark.parametrize("name", VictronMppt(Plant()).faults.names)
def test_every_fault_shows(name):
    plant = Plant(pv_power_mw=50_000, generated_uwh=10**9)
    honest, _ = mppt(plant)
    device, _ = mppt(plant)
    device.faults.switch(name, True)
    said = {each: each.report() for each in (honest, device)}
    plant.pv_power_mw, plant.generated_uwh = 80_000, 5 * 10**9
    for each in said:
        said[each] += each.report() + ask(each, ":7BCED00A5").encode()
    assert said[honest] != said[device]


def test_a_hex_frame_directly_behind_the_checksum_byte():
    device, _ = mppt()
    device.faults.switch("hex_behind_checksum", True)
    report = device.report()
    (block,) = texts(report)
    assert report == block + b":A0002000148\n"
    assert sum(block) % 256 == 0


def test_a_hex_frame_in_the_middle_of_a_block():
    device, _ = mppt()
    (honest,) = texts(device.report())
    device.faults.switch("hex_in_block", True)
    places = set()
    for _ in range(20):
        report = device.report()
        places.add(report.index(b":A0002000148\n"))
        assert report.replace(b":A0002000148\n", b"") == honest
    assert len(places) > 5
    assert 0 < min(places) < max(places) < len(honest)


def test_a_flipped_bit_is_one_bit():
    device, _ = mppt()
    honest = device.report()
    device.faults.switch("block_bit_flip", True)
    flipped = int.from_bytes(device.report(), "big") ^ int.from_bytes(honest, "big")
    assert flipped.bit_count() == 1


def test_five_seconds_of_silence():
    device, clock = mppt()
    device.faults.switch("stops_5_s", True)
    assert device.report() == b""
    clock.pause(4.9)
    assert (device.report(), ask(device, ":154")) == (b"", "")
    clock.pause(0.1)
    assert (len(texts(device.report())), ask(device, ":154")) == (1, ":55941B6")


def test_joined_in_the_middle_of_a_block_only_once():
    device, _ = mppt()
    whole = device.report()
    device.faults.switch("joined_mid_block", True)
    part = device.report()
    assert whole.endswith(part)
    assert 0 < len(part) < len(whole)
    assert device.report() == whole


def test_the_fields_of_a_second_in_two_blocks():
    device, _ = mppt()
    honest = told(device)
    device.faults.switch("two_blocks", True)
    report = device.report()
    at = report.index(b"Checksum\t") + len(b"Checksum\t") + 1
    halves = [report[:at], report[at:]]
    assert [sum(half) % 256 for half in halves] == [0, 0]
    assert fields(halves[0]) | fields(halves[1]) == honest


def test_a_wrong_check_byte():
    device, _ = mppt()
    device.faults.switch("bad_crc", True)
    answer = ask(device, ":154")
    assert answer[:-1] == ":55941B6"[:-1]
    assert answer != ":55941B6"


def test_not_available_is_told_as_the_documents_say():
    device, _ = mppt()
    device.faults.switch("not_available", True)
    shown = told(device)
    assert [shown[label] for label in ("V", "VPV", "PPV", "I")] == ["---"] * 4
    assert get(device, 0xEDBC) == b"\0" + b"\xff" * 4
    assert get(device, 0xED8D) == b"\0\xff\x7f"
    monitor = VictronBmv(Plant(), clock_s=HandClock())
    monitor.faults.switch("not_available", True)
    assert get(monitor, 0xED8F) == b"\0\xff\x7f"
    assert b"\r\nSOC\t---\r\n" in monitor.report()


def test_an_inverter_in_its_place_has_other_labels_and_registers():
    device, _ = mppt()
    device.faults.switch("wrong_model", True)
    shown = told(device)
    assert shown["PID"] == "0xA231"
    assert "PPV" not in shown
    assert get(device, 0xEDBC) == b"\x01"
