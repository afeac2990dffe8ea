"""What a simulated Modbus line makes of a reply: one test a fault, and none is in vain."""

from __future__ import annotations

import pytest

from hardware.mock.meters.eastron import Sdm120Meter
from hardware.mock.points import Feeder
from hardware.mock.wires.modbus_line import Line, Part, Reply
from hardware.mock.wires.modbus_pdu import DEVICE_FAULTS, RefusingDevice
from hardware.mock.wires.modbus_rtu import Pace, crc16

VOLTS = bytes.fromhex("04 0000 0002")
GOOD = bytes.fromhex("01 04 04 4366 0000") + crc16(bytes.fromhex("01 04 04 4366 0000"))


def frame(own_id: int, reply: bytes) -> bytes:
    head = bytes([own_id]) + reply
    return head + crc16(head)


class Bench:
    def __init__(self, *, is_serial: bool = True, **others: Sdm120Meter) -> None:
        self.now_s = 100.0
        self.meter = Sdm120Meter(Feeder())
        self.line = Line({1: self.meter}, lambda: self.now_s, is_serial=is_serial)

    def ask(self, request: bytes = VOLTS, asked_id: int = 1) -> bytes:
        """Return all parts of what comes, empty for silence."""
        reply = self.reply(request, asked_id)
        return b"" if reply is None else b"".join(part.content for part in reply.parts)

    def reply(self, request: bytes = VOLTS, asked_id: int = 1) -> Reply | None:
        reply = self.line.ask(asked_id, request, frame)
        if reply is not None:
            self.line.has_replied(reply.devices)
        return reply


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_without_a_fault_the_reply_is_whole_and_at_once(bench):
    assert bench.reply() == Reply((Part(0.0, GOOD),), (bench.meter,))


@pytest.mark.parametrize(
    ("fault", "heard"),
    [
        ("silent", b""),
        ("bad_crc", GOOD[:-1] + bytes([GOOD[-1] ^ 0x10])),
        ("stray_zero", b"\0" + GOOD),
        ("cut", GOOD[:-1]),
        ("half", GOOD[:4]),
        ("wrong_id", frame(2, GOOD[1:-2])),
        ("wrong_function", frame(1, b"\x03" + GOOD[2:-2])),
        ("wrong_length", frame(1, b"\x04\x02" + GOOD[3:5])),
        ("busy", frame(1, b"\x84\x06")),
        ("gateway", frame(1, b"\x84\x0b")),
        ("gateway_path", frame(1, b"\x84\x0a")),
        ("device_failure", frame(1, b"\x84\x04")),
    ],
)
def test_what_a_fault_makes_of_the_reply(bench, fault, heard):
    bench.meter.faults.switch(fault, True)
    assert bench.ask() == heard
    bench.meter.faults.switch(fault, False)
    assert bench.ask() == GOOD


def test_late_and_split_are_a_matter_of_time(bench):
    bench.meter.faults.switch("late", True)
    bench.meter.delay_s = 0.7
    assert bench.reply() == Reply((Part(0.7, GOOD),), (bench.meter,))
    bench.meter.faults.switch("split", True)
    parts = bench.reply().parts
    assert [part.content for part in parts] == [GOOD[:4], GOOD[4:]]
    assert parts[0].after_s == 0.7
    assert 0.02 <= parts[1].after_s <= 0.05


def test_each_time_another_bit_is_flipped(bench):
    bench.meter.faults.switch("bit_flip", True)
    heard = [int.from_bytes(bench.ask(), "big") ^ int.from_bytes(GOOD, "big") for _ in range(50)]
    assert {each.bit_count() for each in heard} == {1}
    assert len(set(heard)) > 20


def test_garbage_stands_before_the_reply(bench):
    bench.meter.faults.switch("garbage", True)
    heard = [bench.ask() for _ in range(30)]
    assert all(each.endswith(GOOD) for each in heard)
    assert {len(each) - len(GOOD) for each in heard} == set(range(1, 9))


def test_only_a_serial_line_spoils_checksums():
    bench = Bench(is_serial=False)
    for fault in ("bad_crc", "bit_flip", "garbage", "stray_zero"):
        bench.meter.faults.switch(fault, True)
    assert bench.ask() == GOOD


def test_a_twin_answers_alone_or_at_the_same_time(bench):
    bench.meter.faults.switch("two_devices", True)
    heard = [bench.ask() for _ in range(6)]
    assert heard[2] == heard[5] == GOOD
    twins = heard[0]
    assert twins == heard[3] != GOOD
    assert twins[-2:] == crc16(twins[:-2]), "a good frame, of another meter"
    mixed = heard[1]
    assert mixed[-2:] != crc16(mixed[:-2])


def test_words_are_torn_between_two_reads(bench):
    bench.meter.feeder.voltage_mv = 230_000
    bench.ask()
    bench.meter.faults.switch("torn", True)
    bench.meter.feeder.voltage_mv = 115_003
    words = bench.ask()[3:7]
    bench.meter.faults.switch("torn", False)
    now = bench.ask()[3:7]
    assert now != words
    assert words == now[:2] + bytes.fromhex("0000"), "the low word is that of 230 V"


@pytest.mark.parametrize(("fault", "silent_s"), [("hurried", 0.0), ("reboots", 2.0)])
def test_who_is_asked_too_soon_is_silent(bench, fault, silent_s):
    bench.meter.faults.switch(fault, True)
    bench.meter.haste_s = 0.1
    assert bench.ask() == GOOD
    bench.now_s += 0.09
    assert bench.ask() == b""
    bench.now_s += max(0.02, silent_s - 0.01)
    assert (bench.ask() == GOOD) is (silent_s == 0.0)
    bench.now_s += 2.0
    assert bench.ask() == GOOD
    bench.now_s += 0.11
    assert bench.ask() == GOOD


def test_nobody_answers_another_id_or_a_broadcast(bench):
    assert bench.ask(asked_id=2) == b""
    assert bench.ask(asked_id=0) == b""
    assert bench.line.ask(1, b"", frame) is None


def test_two_that_hear_the_same_id_garble_each_other():
    meters = {1: Sdm120Meter(Feeder(voltage_mv=230_000)), 2: Sdm120Meter(Feeder(voltage_mv=90_000))}
    line = Line(meters, lambda: 0.0, is_serial=True)
    meters[2].device_id = 1
    reply = line.ask(1, VOLTS, frame)
    content = reply.parts[0].content
    assert content[-2:] != crc16(content[:-2])
    assert reply.devices == (meters[1], meters[2])


def test_faults_of_the_line_are_those_of_any_device_on_it(bench):
    assert not bench.line.has("echo")
    bench.meter.faults.switch("echo", True)
    assert bench.line.has("echo")


def test_every_fault_of_a_device_is_one_of_these():
    """A new fault needs its test here, or where its server is tested."""
    shown_by_servers = {"echo", "half_open", "second_client", "wrong_model"}
    tested = {
        *("silent", "bad_crc", "stray_zero", "cut", "half", "wrong_id", "wrong_function"),
        *("wrong_length", "busy", "gateway", "gateway_path", "device_failure", "late", "split"),
        *("bit_flip", "garbage", "two_devices", "torn", "hurried", "reboots"),
    }
    assert tested | shown_by_servers == set(DEVICE_FAULTS)
    assert set(DEVICE_FAULTS) <= set(RefusingDevice().faults.names)


@pytest.mark.parametrize(
    ("baud", "character_s", "silence_s"),
    [
        (None, 0.0, 0.0),
        (2_400, 0.004583, 0.016042),
        (9_600, 0.001146, 0.004010),
        (19_200, 0.000573, 0.002005),
        (38_400, 0.000286, 0.001750),
    ],
)
def test_the_pace_of_a_wire(baud, character_s, silence_s):
    pace = Pace.of(baud)
    assert (pace.character_s, pace.silence_s) == pytest.approx((character_s, silence_s), abs=1e-6)
