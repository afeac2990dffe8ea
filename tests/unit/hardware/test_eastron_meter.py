"""The simulated Eastron meters answer as their documents say, request by request."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from hardware.mock.meters.eastron import (
    EastronMeter,
    Sdm72Meter,
    Sdm72V2Meter,
    Sdm120Meter,
    Sdm230Meter,
    Sdm630Meter,
)
from hardware.mock.points import Feeder, ThreePhase, split
from hardware.mock.wires.modbus_pdu import answer

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "sdm120.json").read_text())
FEEDER = Feeder(
    voltage_mv=231_000,
    power_mw=-462_000,
    frequency_mhz=50_020,
    energy_import_uwh=12_500_000_000,
    energy_export_uwh=2_250_000_000,
)
PHASES = ThreePhase(
    (
        Feeder(230_000, 460_000, 50_000, 100 * 10**9, 75 * 10**9),
        Feeder(231_000, -924_000, 50_000, 50 * 10**9, 40 * 10**9),
        Feeder(229_000, 0, 50_000, 25 * 10**9, 10 * 10**9),
    ),
    energy_import_uwh=160 * 10**9,
    energy_export_uwh=110 * 10**9,
)
"""The totals are less than the sums: they count what is left when the phases are added up."""


def ask(meter: EastronMeter, pdu: str) -> bytes:
    return answer(meter, bytes.fromhex(pdu))


def image(meter: EastronMeter, address: int, function: int = 4) -> float:
    reply = answer(meter, bytes([function]) + address.to_bytes(2, "big") + b"\0\x02")
    assert reply[0] == function, reply.hex(" ")
    return struct.unpack(">f", reply[2:])[0]


def setting(address: int, value: float) -> bytes:
    return b"\x10" + address.to_bytes(2, "big") + b"\0\x02\x04" + struct.pack(">f", value)


def is_taken(meter: EastronMeter, address: int, value: float) -> bool:
    request = setting(address, value)
    return answer(meter, request) == request[:5]


@pytest.mark.parametrize(
    ("address", "value"),
    [
        (0x00, 231.0),
        (0x02, 0.0),
        (0x06, 2.0),
        (0x0C, -462.0),
        (0x12, 462.0),
        (0x18, 0.0),
        (0x1E, -1.0),
        (0x24, 0.0),
        (0x46, 50.02),
        (0x48, 12.5),
        (0x4A, 2.25),
        (0x4C, 0.0),
        (0x54, -462.0),
        (0x56, 0.0),
        (0x58, 0.0),
        (0x5C, 462.0),
        (0x5E, 462.0),
        (0x102, 2.0),
        (0x108, 2.0),
        (0x156, 14.75),
        (0x158, 0.0),
    ],
)
def test_an_sdm120_has_every_documented_quantity(address, value):
    assert image(Sdm120Meter(FEEDER), address) == pytest.approx(value, rel=1e-6)


def test_an_sdm230_adds_the_phase_angle_and_resettable_counters():
    meter = Sdm230Meter(FEEDER)
    assert [image(meter, at) for at in (0x0C, 0x24, 0x180, 0x184, 0x186)] == [
        -462.0,
        180.0,
        14.75,
        12.5,
        2.25,
    ]
    meter.reset_energy()
    assert [image(meter, at) for at in (0x48, 0x180, 0x184, 0x186)] == [12.5, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("address", "value"),
    [
        (0x00, 230.0),
        (0x02, 231.0),
        (0x04, 229.0),
        (0x06, 2.0),
        (0x08, 4.0),
        (0x0A, 0.0),
        (0x0C, 460.0),
        (0x0E, -924.0),
        (0x14, 924.0),
        (0x20, -1.0),
        (0x26, 180.0),
        (0x2A, 230.0),
        (0x2E, 2.0),
        (0x30, 6.0),
        (0x34, -464.0),
        (0x38, 1384.0),
        (0x3C, 0.0),
        (0x3E, -1.0),
        (0x42, 180.0),
        (0x46, 50.0),
        (0x48, 160.0),
        (0x4A, 110.0),
        (0x50, 270.0),
        (0x52, 270_000 / 230),
        (0x54, -464.0),
        (0x64, 1384.0),
        (0x68, 5.2915),
        (0xC8, 399.2380),
        (0xCC, 397.5060),
        (0xCE, 398.3711),
        (0xE0, 5.2915),
        (0xEA, 0.0),
        (0x104, 4.0),
        (0x10A, 4.0),
        (0x14E, 0.0),
        (0x156, 270.0),
        (0x15A, 100.0),
        (0x15C, 50.0),
        (0x162, 40.0),
        (0x16A, 35.0),
        (0x17C, 0.0),
        (0x180, 270.0),
        (0x500, 0.0),
        (0x502, 464.0),
    ],
)
def test_an_sdm630_has_every_documented_quantity(address, value):
    assert image(Sdm630Meter(PHASES), address) == pytest.approx(value, rel=1e-5)


def test_import_demand_is_no_quantity_of_an_sdm630():
    assert image(Sdm630Meter(split(Feeder(power_mw=900_000))), 0x58) == 0.0


@pytest.mark.parametrize(
    ("address", "value"), [(0x0C, 460.0), (0x34, -464.0), (0x48, 160.0), (0x502, 464.0)]
)
def test_an_sdm72_of_the_first_edition_has_powers_and_energies(address, value):
    assert image(Sdm72Meter(PHASES), address) == pytest.approx(value)


def test_an_sdm72_of_the_second_edition_has_voltages_and_a_net_counter():
    meter = Sdm72V2Meter(PHASES)
    assert [image(meter, at) for at in (0x02, 0xC8, 0x18C)] == pytest.approx([231.0, 399.238, 50.0])


@pytest.mark.parametrize(
    ("wiring", "zero", "left"),
    [
        (1, (0x02, 0x0A, 0x10, 0xC8, 0xE0, 0x104, 0x15C), (0x00, 0x06, 0x0C, 0x34, 0x48, 0x15A)),
        (2, (0x00, 0x0C, 0x1E, 0x2A, 0xE0, 0x68), (0x06, 0x08, 0x34, 0xC8, 0x48, 0x15C)),
        (3, (), (0x00, 0x02, 0x0C, 0xC8, 0xE0, 0x15C)),
    ],
)
def test_what_a_wiring_does_not_have_reads_zero(wiring, zero, left):
    meter = Sdm630Meter(PHASES)
    assert is_taken(meter, 0x0E, 0.0)
    assert is_taken(meter, 0x0A, wiring)
    assert image(meter, 0x0A, 3) == wiring
    assert {image(meter, at) for at in zero} <= {0.0}
    assert all(image(meter, at) for at in left)


@pytest.mark.parametrize(("mode", "total"), [(1, 12.5), (2, 14.75), (3, 10.25)])
def test_the_meaning_of_the_total_is_programmable_in_an_sdm120(mode, total):
    meter = Sdm120Meter(FEEDER)
    assert ask(meter, f"10 F920 0001 02 000{mode}")[0] == 0x10
    assert ask(meter, "03 F920 0001").hex() == f"0302000{mode}"
    assert image(meter, 0x156) == total


def test_the_meaning_of_the_total_is_fixed_elsewhere():
    meter = Sdm630Meter(PHASES)
    assert ask(meter, "10 F920 0001 02 0001") == b"\x90\x02"
    assert image(meter, 0x156) == 270.0


def test_some_sdm630_have_no_total():
    meter = Sdm630Meter(PHASES)
    meter.has_total = False
    assert (image(meter, 0x156), image(meter, 0x48)) == (0.0, 160.0)


def test_a_clone_counts_hertz_in_tenths():
    meter = Sdm120Meter(FEEDER)
    meter.faults.switch("tenths", True)
    assert image(meter, 0x46) == pytest.approx(500.2, rel=1e-6)


@pytest.mark.parametrize(
    ("build", "pdu", "code"),
    [
        (Sdm120Meter, "04 00 01 00 02", 2),
        (Sdm120Meter, "04 00 00 00 01", 2),
        (Sdm120Meter, "04 00 00 00 52", 2),
        (Sdm120Meter, "04 00 60 00 02", 2),
        (Sdm120Meter, "04 00 5E 00 04", 2),
        (Sdm120Meter, "04 FF FE 00 04", 2),
        (Sdm120Meter, "04 00 00 00 00", 3),
        (Sdm120Meter, "04 00 00 00 7E", 3),
        (Sdm120Meter, "04 00 00", 3),
        (Sdm120Meter, "03 00 02 00 02", 2),
        (Sdm120Meter, "03 FC 04 00 01", 2),
        (Sdm120Meter, "01 00 00 00 01", 1),
        (Sdm120Meter, "02 00 00 00 01", 1),
        (Sdm120Meter, "05 00 00 FF 00", 1),
        (Sdm120Meter, "07", 1),
        (Sdm120Meter, "2B 0E 01 00", 1),
        (Sdm120Meter, "10 00 14 00 02 04 42 70 00 00", 4),
        (Sdm120Meter, "10 00 0C 00 02 04 42 70 00", 3),
        (Sdm120Meter, "10 00 0C 00 02 04 42 72 00 00", 3),
        (Sdm120Meter, "10 00 00 00 02 04 42 70 00 00", 3),
        (Sdm120Meter, "06 F9 20 00 09", 2),
        (Sdm230Meter, "03 FC 02 00 01", 2),
        (Sdm230Meter, "04 01 8A 00 02", 2),
        (Sdm630Meter, "04 00 01 00 02", 2),
        (Sdm630Meter, "04 00 00 00 03", 2),
        (Sdm630Meter, "04 00 00 00 52", 2),
        (Sdm630Meter, "04 00 6C 00 02", 2),
        (Sdm630Meter, "04 01 0E 00 02", 2),
        (Sdm630Meter, "10 00 0A 00 02 04 3F 80 00 00", 4),
        (Sdm630Meter, "10 00 0C 00 04 08 42 70 00 00 42 70 00 00", 2),
        (Sdm630Meter, "10 00 1C 00 02 04 40 A0 00 00", 3),
        (Sdm72Meter, "04 00 00 00 02", 2),
        (Sdm72Meter, "04 00 34 00 18", 2),
        (Sdm72Meter, "04 00 34 00 01", 2),
    ],
)
def test_it_refuses_as_its_document_says(build, pdu, code):
    meter = build(FEEDER if build in (Sdm120Meter, Sdm230Meter) else PHASES)
    request = bytes.fromhex(pdu)
    assert answer(meter, request) == bytes([request[0] | 0x80, code])


@pytest.mark.parametrize(
    ("meter", "most"), [(Sdm120Meter(FEEDER), 80), (Sdm630Meter(PHASES, words_max=20), 20)]
)
def test_it_answers_as_many_registers_as_it_bears(meter, most):
    assert len(ask(meter, f"04 0000 {most:04X}")) == 2 + 2 * most
    assert ask(meter, f"04 0000 {most + 2:04X}") == b"\x84\x02"


def test_an_sdm72_says_nothing_to_more_registers_than_it_bears():
    assert ask(Sdm72V2Meter(PHASES), "04 0000 003C")[0] == 4
    assert ask(Sdm72V2Meter(PHASES), "04 0000 003E") == b""
    assert ask(Sdm72V2Meter(PHASES, words_max=10), "04 0000 000C") == b""


def test_a_single_register_of_an_sdm630_is_its_type_and_of_others_refused():
    assert ask(Sdm630Meter(PHASES), "04 0000 0001").hex() == "04020070"
    assert ask(Sdm630Meter(PHASES), "03 000A 0001").hex() == "03020070"
    assert ask(Sdm120Meter(FEEDER), "04 0000 0001") == b"\x84\x02"


def test_communication_settings_of_an_sdm120_are_taken_in_set_up_mode_only():
    meter = Sdm120Meter(FEEDER)
    set_id_60 = bytes.fromhex("10001400020442700000")
    assert answer(meter, set_id_60) == b"\x90\x04"
    meter.is_in_setup = True
    assert answer(meter, set_id_60) == set_id_60[:5]
    assert image(meter, 0x14, 3) == 60.0
    meter.is_in_setup = False
    assert is_taken(meter, 0x0C, 60.0)
    assert not is_taken(meter, 0x1C, 2.0)


@pytest.mark.parametrize("row", VECTORS["writes"], ids=lambda row: row["name"])
def test_a_captured_write_is_answered_as_it_was(row):
    meter = Sdm120Meter(FEEDER)
    meter.is_in_setup = True
    request, reply = (bytes.fromhex(row[key])[1:-2] for key in ("request", "reply"))
    assert answer(meter, request) == reply
    assert image(meter, 0x1C, 3) == 2.0


def test_a_new_id_is_taken_at_the_next_restart():
    meter = Sdm120Meter(FEEDER)
    meter.device_id = 7
    assert image(meter, 0x14, 3) == 7.0
    meter.is_in_setup = True
    assert is_taken(meter, 0x14, 60.0)
    assert (meter.hears(7), meter.hears(60)) == (True, False)
    meter.restart()
    assert (meter.hears(7), meter.hears(60)) == (False, True)
    assert not is_taken(meter, 0x14, 61.0)


@pytest.mark.parametrize("value", [0.0, 248.0, 1.5, float("nan")])
def test_an_impossible_id_is_refused(value):
    assert answer(Sdm630Meter(PHASES), setting(0x14, value)) == b"\x90\x03"


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_the_password_of_an_sdm630_opens_its_wiring_mode_for_a_minute():
    meter = Sdm630Meter(PHASES, clock_s=(clock := Clock()))
    assert image(meter, 0x0E, 3) == 0.0
    assert answer(meter, setting(0x18, 1234.0)) == b"\x90\x03"
    assert not is_taken(meter, 0x0A, 2.0)
    assert is_taken(meter, 0x18, 0.0)
    assert image(meter, 0x0E, 3) == 1.0
    assert is_taken(meter, 0x0A, 2.0)
    clock.now_s = 60.0
    assert image(meter, 0x0E, 3) == 0.0
    assert not is_taken(meter, 0x0A, 3.0)


def test_reading_the_lock_gives_another_minute():
    meter = Sdm630Meter(PHASES, clock_s=(clock := Clock()))
    assert is_taken(meter, 0x0E, 0.0)
    clock.now_s = 59.0
    assert image(meter, 0x0E, 3) == 1.0
    clock.now_s = 118.0
    assert is_taken(meter, 0x0A, 1.0)


def test_a_password_can_be_changed_while_unlocked_and_is_never_told():
    meter = Sdm72Meter(PHASES, clock_s=(clock := Clock()))
    assert not is_taken(meter, 0x0E, 0.0)
    assert is_taken(meter, 0x0E, 1000.0)
    assert is_taken(meter, 0x18, 4711.0)
    assert image(meter, 0x18, 3) == 0.0
    clock.now_s = 61.0
    assert not is_taken(meter, 0x0E, 1000.0)
    assert is_taken(meter, 0x0E, 4711.0)


@pytest.mark.parametrize(
    ("meter", "words"),
    [
        (Sdm120Meter(FEEDER, serial=0x0123_4567), "0123456700200204"),
        (Sdm630Meter(PHASES, serial=0x0123_4567), "0123456700700108"),
        (Sdm72Meter(PHASES, serial=0x0123_4567), "0123456700840104"),
        (Sdm72V2Meter(PHASES, serial=0x0123_4567), "0123456700890101"),
    ],
)
def test_it_tells_serial_number_and_model(meter, words):
    assert ask(meter, "03 FC00 0004").hex() == "0308" + words


def test_an_sdm230_tells_its_serial_number_only():
    assert ask(Sdm230Meter(FEEDER, serial=5), "03 FC00 0002").hex() == "030400000005"


def test_peaks_are_kept_until_they_are_cleared():
    feeder = Feeder(power_mw=900_000)
    meter = Sdm120Meter(feeder)
    assert image(meter, 0x56) == 900.0
    feeder.power_mw = 100_000
    assert image(meter, 0x56) == 900.0
    clear = bytes.fromhex("06F0100000")
    assert answer(meter, clear) == clear
    assert image(meter, 0x56) == 100.0


def test_the_current_of_the_neutral_is_nothing_where_the_phases_are_equal():
    assert image(Sdm630Meter(split(Feeder(power_mw=690_000))), 0xE0) == pytest.approx(0, abs=0.01)
