"""The Modbus bus on a scripted line, in time that a test moves: timeouts, rests, counters."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest

from hardware.buses.modbus import ModbusBus, Timing
from hardware.buses.modbus_frames import RtuFraming
from hardware.buses.modbus_lines import Clock
from hardware.errors import (
    BadChecksum,
    BusTimeout,
    BusUnavailable,
    DeviceAbsent,
    DeviceBusy,
    DeviceRefused,
    UnexpectedReply,
)
from hardware.health import DeviceHealth
from hardware.mock.wires.modbus_rtu import crc16
from hardware.ports import Manners

BYTE_S = 11 / 9_600
TIMING = Timing(
    latency_s=0.5, margin_s=0.05, byte_s=BYTE_S, silence_s=0.004, pause_s=0.1, settle=1.0
)


def framed(head: str) -> bytes:
    frame = bytes.fromhex(head)
    return frame + crc16(frame)


WORDS = framed("01 04 04 43 66 33 34")
OTHERS = framed("02 04 04 43 66 33 34")


class ScriptedLine:
    """Answers each request with the next entry of a list: bytes, at once or after a time."""

    name = "line"

    def __init__(self, *answers):
        self.answers = list(answers)
        self.now_s = 100.0
        self.sent: list[tuple[float, bytes]] = []
        self.opened = 0
        self._is_open = False
        self._arriving: list[tuple[float, bytes]] = []

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now_s, self.sleep)

    def sleep(self, seconds):
        self.now_s += seconds

    def ready(self):
        self.opened += not self._is_open
        self._is_open = True
        came = b"".join(content for at_s, content in self._arriving if at_s <= self.now_s)
        self._arriving = [each for each in self._arriving if each[0] > self.now_s]
        return came

    def send(self, content):
        self.sent.append((self.now_s, content))
        answer = self.answers.pop(0) if self.answers else b""
        if isinstance(answer, Exception):
            raise answer
        after_s, content = answer if isinstance(answer, tuple) else (0.02, answer)
        if content:
            self._arriving.append((self.now_s + after_s, content))

    def hear(self, until_s):
        if not self._arriving or self._arriving[0][0] > until_s:
            self.now_s = max(self.now_s, until_s)
            return b""
        at_s, content = self._arriving.pop(0)
        self.now_s = max(self.now_s, at_s)
        return content

    def close(self):
        self._is_open = False


def bench(*answers, timing=TIMING) -> tuple[ModbusBus, ScriptedLine]:
    line = ScriptedLine(*answers)
    return ModbusBus(line, RtuFraming(), timing, line.clock), line


@pytest.mark.parametrize(
    ("ask", "request_hex", "reply", "got"),
    [
        (lambda bus: bus.read_words(1, 4, 0, 2), "01 04 00 00 00 02", WORDS, (0x4366, 0x3334)),
        (
            lambda bus: bus.read_bits(1, 2, 0x13, 10),
            "01 02 00 13 00 0A",
            framed("01 02 02 05 02"),
            (True, False, True, False, False, False, False, False, False, True),
        ),
        (
            lambda bus: bus.write_bit(1, 3, False),
            "01 05 00 03 00 00",
            framed("01 05 00 03 00 00"),
            None,
        ),
        (
            lambda bus: bus.write_word(1, 0x10A, 0x0102),
            "01 06 01 0A 01 02",
            framed("01 06 01 0A 01 02"),
            None,
        ),
        (
            lambda bus: bus.write_bits(1, 0, (True, False, True, False, True, False, True, False)),
            "01 0F 00 00 00 08 01 55",
            framed("01 0F 00 00 00 08"),
            None,
        ),
        (
            lambda bus: bus.write_bits(1, 4, (True,) * 9),
            "01 0F 00 04 00 09 02 FF 01",
            framed("01 0F 00 04 00 09"),
            None,
        ),
        (
            lambda bus: bus.write_words(1, 0x14, (0x4000, 1)),
            "01 10 00 14 00 02 04 40 00 00 01",
            framed("01 10 00 14 00 02"),
            None,
        ),
        (lambda bus: bus.call(1, 0x42, b"", 0), "01 42", framed("01 42"), b""),
        (
            lambda bus: bus.call(1, 0x41, b"\x37\x21", 2),
            "01 41 37 21",
            framed("01 41 37 21"),
            b"\x37\x21",
        ),
    ],
    ids=["words", "bits", "coil", "word", "coils", "nine coils", "words16", "reset", "calibrate"],
)
def test_each_function_has_its_frames(ask, request_hex, reply, got):
    bus, line = bench(reply)
    assert ask(bus) == got
    assert [content for _, content in line.sent] == [framed(request_hex)]


def test_an_identification_in_parts_is_put_together():
    bus, line = bench(
        framed("01 2B 0E 01 01 FF 02 02 00 02 45 50 01 01 54"),
        framed("01 2B 0E 01 01 00 00 01 02 02 56 32"),
    )
    assert bus.identify(1) == {0: "EP", 1: "T", 2: "V2"}
    asked = [framed("01 2B 0E 01 00"), framed("01 2B 0E 01 02")]
    assert [content for _, content in line.sent] == asked


@pytest.mark.parametrize("count", [2, 40, 125])
def test_a_timeout_follows_from_baud_length_and_latency(count):
    bus, line = bench()
    with pytest.raises(BusTimeout, match=r"device 1: read .* no reply in"):
        bus.read_words(1, 4, 0, count)
    on_the_wire = (8 + 5 + 2 * count) * BYTE_S
    assert line.now_s - 100.0 == pytest.approx(0.5 + 0.05 + on_the_wire, abs=0.003)


def test_a_device_may_ask_for_another_latency_and_a_bus_for_another_still():
    for manners, given_s, wanted_s in [
        (None, None, 0.5),
        (Manners(latency_ms=80), None, 0.08),
        (Manners(pause_ms=80), None, 0.5),
        (Manners(latency_ms=80), 2.0, 2.0),
    ]:
        timing = Timing(0.5, 0.0, 0.0, 0.0, 0.1, 0.0, given_latency_s=given_s)
        bus, line = bench(timing=timing)
        if manners is not None:
            bus.heed(1, manners)
        with pytest.raises(BusTimeout):
            bus.read_words(1, 4, 0, 2)
        assert line.now_s - 100.0 == pytest.approx(wanted_s)


@pytest.mark.parametrize(
    ("manners", "given_s", "rest_s"),
    [
        (None, None, 0.1),
        (Manners(pause_ms=500), None, 0.5),
        (Manners(pause_ms=0), None, 0.004),
        (Manners(pause_ms=500), 0.04, 0.04),
    ],
    ids=["unknown device", "slow device", "quick device", "the bus says so"],
)
def test_a_device_rests_as_long_as_it_asks(manners, given_s, rest_s):
    timing = Timing(0.5, 0.05, BYTE_S, 0.004, 0.1, 1.0, given_pause_s=given_s)
    bus, line = bench(WORDS, WORDS, timing=timing)
    if manners is not None:
        bus.heed(1, manners)
    bus.read_words(1, 4, 0, 2)
    ended_s = line.now_s
    bus.read_words(1, 4, 0, 2)
    assert line.sent[1][0] - ended_s == pytest.approx(rest_s)


def test_while_one_rests_another_is_asked_after_the_silence_of_the_line():
    bus, line = bench(WORDS, OTHERS, WORDS)
    bus.read_words(1, 4, 0, 2)
    bus.read_words(2, 4, 0, 2)
    bus.read_words(1, 4, 0, 2)
    begun = [at_s for at_s, _ in line.sent]
    assert [later - at_s for at_s, later in pairwise(begun)] == pytest.approx([0.024, 0.096])


def test_a_device_rests_after_an_exception_too():
    bus, line = bench(framed("01 84 02"), WORDS)
    with pytest.raises(DeviceRefused):
        bus.read_words(1, 4, 1, 2)
    ended_s = line.now_s
    bus.read_words(1, 4, 0, 2)
    assert line.sent[1][0] - ended_s == pytest.approx(0.1)


def test_several_hands_have_use_for_a_bus_only_where_devices_rest():
    bus, _line = bench()
    assert bus.hands == 1
    bus.heed(1, Manners(pause_ms=0))
    assert bus.hands == 1
    bus.heed(2, Manners(pause_ms=100))
    assert bus.hands > 1
    bus, _line = bench(timing=Timing(0.5, 0.0, 0.0, 0.0, 0.1, 0.0, given_pause_s=0.0))
    bus.heed(2, Manners(pause_ms=100))
    assert bus.hands == 1


def test_threads_take_turns_on_the_line():
    bus, line = bench(*[OTHERS if n % 2 else WORDS for n in range(40)])
    line.answers = []
    line.send = lambda content: line._arriving.append(
        (line.now_s + 0.01, WORDS if content[0] == 1 else OTHERS)
    )
    seen = []

    def poll(device):
        seen.extend(bus.read_words(device, 4, 0, 2) for _ in range(20))

    threads = [threading.Thread(target=poll, args=(device,)) for device in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [(0x4366, 0x3334)] * 40


def test_after_a_timeout_the_port_is_reopened_and_only_that_device_left_alone():
    bus, line = bench(b"", OTHERS, WORDS)
    with pytest.raises(BusTimeout):
        bus.read_words(1, 4, 0, 2)
    failed_s = line.now_s
    timeout_s = failed_s - 100.0
    bus.read_words(2, 4, 0, 2)
    assert line.sent[1][0] == pytest.approx(failed_s + 0.004)
    bus.read_words(1, 4, 0, 2)
    assert line.sent[2][0] == pytest.approx(failed_s + timeout_s)
    assert line.opened == 2


def test_a_damaged_reply_is_told_at_once_and_half_a_one_at_the_deadline():
    bus, line = bench(WORDS[:-1] + b"\0", WORDS[:5])
    with pytest.raises(BadChecksum, match="9 bytes but no valid reply"):
        bus.read_words(1, 4, 0, 2)
    assert line.now_s - line.sent[0][0] == pytest.approx(0.02 + 0.06)
    with pytest.raises(BadChecksum, match="5 bytes but no valid reply"):
        bus.read_words(1, 4, 0, 2)
    assert line.now_s - line.sent[1][0] > 0.55


def test_a_line_that_never_falls_silent_is_given_up_at_the_deadline():
    bus, line = bench()
    line.hear = lambda until_s: (line.sleep(0.01), b"\xff" * 10)[1]
    with pytest.raises(BadChecksum, match="bytes but no valid reply"):
        bus.read_words(1, 4, 0, 2)
    assert line.now_s < 101.0


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (2, DeviceRefused, "exception 2, illegal address"),
        (4, DeviceRefused, "exception 4, device failure"),
        (5, DeviceBusy, "exception 5, acknowledged, still working"),
        (6, DeviceBusy, "exception 6, busy"),
        (10, DeviceAbsent, "exception 10, gateway path unavailable"),
        (11, DeviceAbsent, "exception 11, gateway target silent"),
        (77, DeviceRefused, "exception 77, unknown"),
    ],
)
def test_exceptions_are_named_and_keep_the_port(code, kind, says):
    bus, line = bench(framed(f"01 84 {code:02x}"), WORDS)
    what = "line, device 1: read 2 words at 0x000C with function 4"
    with pytest.raises(kind, match=f"{what}: {says}"):
        bus.read_words(1, 4, 0x0C, 2)
    bus.read_words(1, 4, 0x0C, 2)
    assert line.opened == 1


def test_a_write_that_is_answered_with_another_address_is_refused():
    bus, _line = bench(framed("01 06 00 05 00 01"))
    with pytest.raises(UnexpectedReply, match="write word at 0x0004: a reply that repeats another"):
        bus.write_word(1, 4, 1)


def test_counters_tell_how_each_device_fares():
    bus, line = bench(
        WORDS,
        framed("01 84 02"),
        b"",
        WORDS[:-1] + b"\0",
        framed("01 03 04 00 00 00 00"),
        OTHERS,
        BusUnavailable("gone"),
    )
    assert bus.health() == {}
    for device in (1, 1, 1, 1, 1, 2, 2):
        try:
            bus.read_words(device, 4, 0, 2)
        except (BusTimeout, BadChecksum, UnexpectedReply, DeviceRefused, BusUnavailable):
            line.sleep(2.0)
    assert bus.health() == {1: DeviceHealth(5, 2, 1, 1, 1), 2: DeviceHealth(2, 1, 0, 0, 0)}


@pytest.mark.parametrize(
    ("asked", "damaged", "hinted"),
    [(10, 2, False), (100, 3, True), (300, 3, False), (299, 3, True), (0, 0, False)],
)
def test_more_than_one_percent_of_damaged_replies_is_a_hint_at_the_wiring(asked, damaged, hinted):
    health = DeviceHealth(asked, asked - damaged, 0, damaged, 0)
    assert ("check wiring, termination, bias" in health.hint) is hinted


def test_a_trace_hears_requests_and_what_came_of_them():
    bus, _line = bench((0.02, WORDS), (0.02, WORDS[:4]), b"", WORDS)
    told = []
    bus.trace = lambda direction, content, at_s: told.append(
        (direction, content, round(at_s - 100.0, 3))
    )
    request = framed("01 04 00 00 00 02")
    bus.read_words(1, 4, 0, 2)
    with pytest.raises(BadChecksum):
        bus.read_words(1, 4, 0, 2)
    assert told == [
        ("sent", request, 0.0),
        ("heard", WORDS, 0.02),
        ("sent", request, 0.12),
        ("heard", WORDS[:4], 0.689),
    ]
    bus.trace = None
    with pytest.raises(BusTimeout):
        bus.read_words(1, 4, 0, 2)
    assert len(told) == 4


def test_what_came_unasked_is_traced_and_no_answer():
    twins = framed("01 04 04 FF FF FF FF")
    bus, line = bench(WORDS, WORDS)
    told = []
    bus.trace = lambda direction, content, at_s: told.append(content)
    bus.read_words(1, 4, 0, 2)
    line._arriving.append((line.now_s + 0.05, twins))
    assert bus.read_words(1, 4, 0, 2) == (0x4366, 0x3334)
    assert told[2] == twins
