"""Relay boards and latching relays, simulated, against frames that were captured or published."""

from __future__ import annotations

import pytest

from hardware import catalog
from hardware.errors import BusTimeout, DeviceRefused, SwitchFailed
from hardware.mock.relays.board import LcBoard, R4d8Board, RelayBoard, WaveshareBoard
from hardware.mock.relays.latching_contact import LatchingContact
from hardware.mock.wires.modbus_line import Line
from hardware.mock.wires.modbus_pdu import answer
from hardware.mock.wires.modbus_rtu import crc16
from hardware.mock.wires.pins import BenchFactory, Contact
from tests.support.hardware_bench import ModbusDirect
from tests.support.vectors import vectors

BOARDS = {"waveshare_relay": WaveshareBoard, "lc_relay": LcBoard}
ROWS = [
    *((WaveshareBoard, row) for row in vectors("waveshare_relay")["exchanges"]),
    *((LcBoard, row) for row in vectors("lc_relay")["exchanges"]),
    *((R4d8Board, row) for row in vectors("lc_relay")["r4d8"]),
]


class FakeClock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def framed(device_id: int, pdu: bytes) -> bytes:
    frame = bytes([device_id]) + pdu
    return frame + crc16(frame)


def ask(board: RelayBoard, request: bytes) -> bytes:
    """Return what comes back on a line with this board alone."""
    assert crc16(request[:-2]) == request[-2:]
    line = Line({board.device_id: board}, FakeClock(), is_serial=True)
    reply = line.ask(request[0], request[1:-2], framed)
    return b"" if reply is None else b"".join(part.content for part in reply.parts)


def on(board: RelayBoard) -> list[int]:
    return [channel for channel, is_on in enumerate(board.coils) if is_on]


@pytest.mark.parametrize(
    ("kind", "row"), [pytest.param(kind, row, id=row["name"]) for kind, row in ROWS]
)
def test_a_board_answers_as_captured_and_published_ones(kind, row, clock):
    board = kind(clock_s=clock)
    for channel in row.get("before", ()):
        board._switch(channel, True)
    assert ask(board, bytes.fromhex(row["request"])) == bytes.fromhex(row["reply"])
    assert on(board) == row["on"]


@pytest.mark.parametrize(
    ("model", "row"),
    [
        pytest.param(model, row, id=f"{model}: {row['name']}")
        for model in BOARDS
        for row in vectors(model)["exchanges"]
        if "coil" in row
    ],
)
def test_the_drivers_send_those_frames(model, row):
    request = bytes.fromhex(row["request"])
    port = ModbusDirect(BOARDS[model](), request[0])
    relay = catalog.make_relay(model, port, {"address": request[0], "channel": row["coil"] + 1})
    relay.switch(row["energised"])
    assert port.requests[0] == request[1:-2]


@pytest.mark.parametrize("row", vectors("waveshare_relay")["negative"], ids=lambda row: row["name"])
def test_a_board_refuses_what_it_does_not_have(row):
    board, request = WaveshareBoard(), bytes.fromhex(row["request"])
    assert ask(board, request) == framed(1, bytes([request[1] | 0x80, row["refused"]]))
    assert on(board) == []


def pdu(text: str) -> bytes:
    return bytes.fromhex(text)


def test_waveshare_flashes_on_and_off_for_tenths_of_seconds(clock):
    board = WaveshareBoard(clock_s=clock)
    answer(board, pdu("05 02 01 00 07"))
    answer(board, pdu("05 04 02 00 0A"))
    assert on(board) == [1]
    clock.now_s = 0.69
    assert on(board) == [1]
    clock.now_s = 0.7
    assert on(board) == []
    clock.now_s = 1.0
    assert on(board) == [2]


def test_a_command_ends_a_flash(clock):
    board = WaveshareBoard(clock_s=clock)
    answer(board, pdu("05 02 00 00 07"))
    answer(board, pdu("05 00 00 FF 00"))
    clock.now_s = 5.0
    assert on(board) == [0]


@pytest.mark.parametrize(
    ("version", "toggle", "toggle_all"),
    [(300, "05 01 02 FF 00", "05 01 FF FF 00"), (200, "05 00 02 55 00", "05 00 FF 55 00")],
)
def test_waveshare_toggles_by_address_or_by_value_as_its_version_says(version, toggle, toggle_all):
    board = WaveshareBoard(version=version)
    assert answer(board, pdu(toggle)) == pdu(toggle)
    assert on(board) == [2]
    answer(board, pdu(toggle_all))
    assert on(board) == [0, 1, 3, 4, 5, 6, 7]
    answer(board, pdu("05 00 FF 00 00"))
    assert on(board) == []
    assert answer(board, pdu("03 80 00 00 01")) == b"\x03\x02" + version.to_bytes(2, "big")


def test_waveshare_takes_another_id_and_keeps_to_it():
    board = WaveshareBoard()
    line = Line({1: board}, FakeClock(), is_serial=True)
    assert line.ask(0, pdu("06 40 00 00 05"), framed) is None, "a broadcast write is not answered"
    assert board.device_id == 5
    assert line.ask(1, pdu("01 00 00 00 08"), framed) is None
    assert line.ask(5, pdu("01 00 00 00 08"), framed) is not None
    assert answer(board, pdu("06 20 00 01 05")) == pdu("06 20 00 01 05")
    assert board.uart == 0x0105


@pytest.mark.parametrize(
    ("request_pdu", "code"),
    [
        ("01 00 00 00 09", 2),
        ("02 00 00 00 08", 1),
        ("0F 00 04 00 08 01 FF", 2),
        ("05 00 08 FF 00", 2),
        ("05 01 08 FF 00", 2),
        ("05 02 00 00 00", 3),
        ("05 02 00 80 00", 3),
        ("03 40 01 00 01", 2),
        ("04 40 00 00 01", 1),
        ("06 40 00 01 00", 3),
        ("06 20 00 03 00", 3),
        ("06 10 00 00 00", 2),
        ("10 00 00 00 01 02 00 00", 1),
    ],
)
def test_waveshare_names_what_it_refuses(request_pdu, code):
    request = pdu(request_pdu)
    assert answer(WaveshareBoard(), request) == bytes([request[0] | 0x80, code])


def test_lc_has_inputs_an_id_a_speed_and_flashes_by_function_16(clock):
    board = LcBoard(clock_s=clock)
    board.inputs[1] = True
    assert answer(board, pdu("02 00 00 00 08")) == pdu("02 01 02")
    assert answer(board, pdu("03 00 00 00 01")) == pdu("03 02 00 FF")
    assert answer(board, pdu("10 00 00 00 01 02 00 07")) == pdu("10 00 00 00 01")
    assert board.device_id == 7
    answer(board, pdu("10 03 E9 00 01 02 00 04"))
    assert answer(board, pdu("03 03 E8 00 01")) == pdu("03 02 00 04")
    answer(board, pdu("10 00 08 00 02 04 00 02 00 05"))
    assert on(board) == []
    clock.now_s = 0.5
    assert on(board) == [1]


@pytest.mark.parametrize(
    ("request_pdu", "code"),
    [
        ("10 00 04 00 02 04 00 04 00 05", 2),
        ("10 00 2B 00 02 04 00 04 00 05", 2),
        ("10 00 03 00 02 04 00 03 00 05", 3),
        ("10 00 03 00 02 04 00 04 00 00", 3),
        ("10 00 00 00 01 02 01 00", 2),
        ("10 03 E9 00 01 02 00 09", 2),
        ("03 00 01 00 01", 2),
        ("04 00 00 00 01", 1),
    ],
)
def test_lc_names_what_it_refuses(request_pdu, code):
    assert answer(LcBoard(), pdu(request_pdu)) == bytes([pdu(request_pdu)[0] | 0x80, code])


def test_r4d8_commands_are_the_high_byte_of_a_word(clock):
    board = R4d8Board(clock_s=clock)
    seen = []
    for command in ("00 03 03 00", "00 05 04 00", "00 00 07 00", "00 00 08 00", "00 02 06 02"):
        answer(board, pdu("06 " + command))
        seen.append(on(board))
    assert seen == [[2], [4], [0, 1, 2, 3, 4, 5, 6, 7], [], [1]]
    clock.now_s = 2.0
    assert on(board) == []
    answer(board, pdu("06 00 08 05 00"))
    assert on(board) == [7]
    clock.now_s = 3.0
    assert on(board) == []
    assert answer(board, pdu("03 00 FF 00 01")) == pdu("03 02 00 01")
    answer(board, pdu("06 00 FF 00 04"))
    assert board.hears(4)
    assert board.hears(255)
    assert not board.hears(1)


@pytest.mark.parametrize(
    ("request_pdu", "code"),
    [
        ("06 00 09 01 00", 2),
        ("06 00 00 01 00", 2),
        ("06 00 01 09 00", 3),
        ("06 00 01 06 00", 3),
        ("06 00 FF 00 F8", 3),
        ("03 00 00 00 01", 2),
        ("03 00 08 00 02", 2),
        ("04 00 01 00 01", 1),
        ("01 00 00 00 08", 1),
    ],
)
def test_r4d8_names_what_it_refuses(request_pdu, code):
    assert answer(R4d8Board(), pdu(request_pdu)) == bytes([pdu(request_pdu)[0] | 0x80, code])


@pytest.mark.parametrize("kind", [WaveshareBoard, LcBoard, R4d8Board])
def test_a_board_comes_up_with_all_relays_off(kind):
    contacts = [Contact(active_high=True, deenergised="fed") for _ in range(2)]
    board = kind(contacts)
    for channel in (0, 1, 5):
        board._switch(channel, True)
    assert [contact.is_fed for contact in contacts] == [False, False]
    board.faults.switch("brown_out", True)
    assert on(board) == []
    assert [contact.is_fed for contact in contacts] == [True, True]
    assert "brown_out" not in board.faults


# the drivers


@pytest.mark.parametrize(
    ("model", "board", "given"),
    [
        ("waveshare_relay", WaveshareBoard, {}),
        ("lc_relay", LcBoard, {}),
        ("lc_relay", R4d8Board, {"dialect": "r4d8"}),
    ],
)
def test_only_absolute_states_are_written_and_three_mismatches_are_enough(model, board, given):
    device = board()
    port = ModbusDirect(device, 1)
    relay = catalog.make_relay(model, port, {"address": 1, "channel": 2, **given})
    relay.switch(True)
    assert [request[0] for request in port.requests] in ([5, 1], [6, 3])
    device.faults.switch("disobedient", True)
    port.requests.clear()
    with pytest.raises(SwitchFailed, match="relay 2: wrote off 3 times, reads on"):
        relay.switch(False)
    assert len(port.requests) == 6
    assert len({request for request in port.requests if request[0] in (5, 6)}) == 1


def test_a_relay_beyond_the_board_is_refused_by_it():
    relay = catalog.make_relay(
        "waveshare_relay", ModbusDirect(WaveshareBoard()), {"channel": 9, "address": 1}
    )
    with pytest.raises(DeviceRefused):
        relay.switch(True)


def test_a_board_that_is_silent_is_told_at_once_and_not_written_to_again():
    device = WaveshareBoard()
    port = ModbusDirect(device)
    device.faults.switch("silent", True)
    with pytest.raises(BusTimeout):
        catalog.make_relay("waveshare_relay", port, {"channel": 1}).switch(True)
    assert len(port.requests) == 1


# latching relays


class Bench:
    def __init__(self, *, is_set: bool = True, active_high: bool = True) -> None:
        self.clock = FakeClock()
        self.contact = LatchingContact(
            5, 6, active_high=active_high, is_set=is_set, clock_s=self.clock
        )
        self.board = BenchFactory(self.contact.follow)
        self.given = {"set_pin": 5, "reset_pin": 6, "active_high": active_high}

    def make(self, **more):
        relay = catalog.RELAYS["latching_relay"]
        options = relay.options(**self.given, **more)
        return relay.build(self.board, options, pause=self.pause)  # type: ignore[call-arg]

    def pause(self, seconds: float) -> None:
        self.clock.now_s += seconds


@pytest.mark.parametrize("row", vectors("latching_relay")["pulses"], ids=lambda row: row["name"])
@pytest.mark.parametrize("active_high", [True, False])
def test_pulses_are_on_record_pin_by_pin(row, active_high):
    bench = Bench(active_high=active_high)
    relay = bench.make()
    if row["energised"] is not None:
        relay.switch(row["energised"])
    for pin, levels in ((5, row["set"]), (6, row["reset"])):
        assert bench.board.history(pin) == [level == active_high for level in levels]
    assert not bench.contact.is_driven


@pytest.mark.parametrize("is_set", [True, False])
def test_a_latching_relay_is_reset_when_it_is_made_whatever_it_was(is_set):
    bench = Bench(is_set=is_set)
    relay = bench.make()
    assert bench.contact.is_set is False
    assert relay.is_energised is False


def test_a_latching_relay_stays_through_a_crash():
    bench = Bench()
    bench.make().switch(True)
    bench.board._reservations.clear()
    assert bench.contact.is_set is True, "so it is not fail-safe"
    bench.make()
    assert bench.contact.is_set is False


def test_a_pulse_that_is_too_short_moves_nothing():
    bench = Bench(is_set=False)
    bench.make(pulse_ms=10).switch(True)
    assert bench.contact.is_set is False


def test_after_a_pulse_that_failed_nobody_knows_the_position():
    bench = Bench()
    relay = bench.make()
    bench.board.pin(5).faults.switch("pin_stuck", True)
    with pytest.raises(SwitchFailed, match="GPIO5"):
        relay.switch(True)
    with pytest.raises(SwitchFailed, match="GPIO5 and GPIO6: its position is not known"):
        _ = relay.is_energised
    bench.board.pin(5).faults.switch("pin_stuck", False)
    relay.switch(False)
    assert relay.is_energised is False


def test_closing_resets_and_lets_go_of_both_pins():
    bench = Bench()
    relay = bench.make()
    relay.switch(True)
    relay.close()
    assert bench.contact.is_set is False
    assert [bench.board.pin(pin).function for pin in (5, 6)] == ["input", "input"]


def test_a_welded_contact_and_a_dead_coil_do_not_move():
    for fault, stays in (("welded", True), ("coil_dead", False)):
        bench = Bench(is_set=True)
        if fault == "welded":
            bench.contact.faults.switch(fault, True)
        relay = bench.make()
        bench.contact.faults.switch(fault, True)
        relay.switch(True)
        assert bench.contact.is_set is stays


def test_both_coils_at_once_move_nothing_and_other_pins_are_passed_over():
    contact = LatchingContact(5, 6, is_set=True, clock_s=(clock := FakeClock()))
    contact.follow(9, True)
    assert not contact.is_driven
    contact.follow(5, True)
    contact.follow(6, True)
    clock.now_s = 1.0
    assert contact.is_set is True
    contact.follow(5, False)
    assert contact.is_set is False
