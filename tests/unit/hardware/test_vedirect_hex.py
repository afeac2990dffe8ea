"""The VE.Direct HEX driver: asking, limiting, and letting go."""

from __future__ import annotations

import pytest

from hardware.chargers import vedirect_hex
from hardware.chargers.vedirect_hex import VeDirectHex, VeDirectHexOptions
from hardware.errors import (
    BadChecksum,
    BusTimeout,
    BusUnavailable,
    DeviceRefused,
    HardwareError,
    LimitRefused,
    SwitchFailed,
    WrongDevice,
)
from hardware.mock.points import Plant
from hardware.mock.vedirect.bmv import VictronBmv
from hardware.mock.vedirect.mppt import VictronMppt
from hardware.ports import ChargeController, Curtailable, Sample
from hardware.vedirect import frames
from hardware.vedirect.hexline import HexLine
from hardware.vedirect.quantity import COUNTING
from tests.support.vedirect_lines import AskedLine, HandClock


class Bench:
    """A driver on a simulated MPPT without a wire, and the clock of both."""

    def __init__(self, *, plant: Plant | None = None, twin=VictronMppt, given=None, **made) -> None:
        self.clock = HandClock()
        self.plant = plant or Plant(pv_power_mw=100_000, battery_mv=12_500)
        self.twin = twin(self.plant, clock_s=self.clock, **made)
        self.line = AskedLine(self.twin)
        self.given = VeDirectHexOptions(**(given or {}))
        self.meter = self.driver()

    def driver(self) -> VeDirectHex:
        """Return a new driver on the same device, as after a restart."""
        return VeDirectHex(self.line, self.given, clock_s=self.clock, pause=self.clock.pause)

    def sent(self, begin: str = "") -> list[str]:
        """Return the frames sent so far that begin so."""
        return [each for each in self.line.sent.decode().split() if each.startswith(begin)]


class ScriptedLine:
    """A `BytePort` that answers a frame with these bytes; one that is not there with nothing."""

    def __init__(self, answers: dict[str, bytes | Exception]) -> None:
        self.answers = answers
        self.said = b""

    def read(self) -> bytes:
        said, self.said = self.said, b""
        return said

    def write(self, sent: bytes) -> None:
        answer = self.answers.get(sent.decode().strip(), b"")
        if isinstance(answer, Exception):
            raise answer
        self.said += answer

    def close(self) -> None:
        """Nothing to close."""


def asking(answers: dict[str, bytes | Exception]) -> HexLine:
    clock = HandClock()
    line = ScriptedLine(answers)
    return HexLine(line, "test", 0.1, clock_s=clock, pause=clock.pause)


# Questions and answers


def test_a_register_is_asked_for_and_set():
    line = asking({":7F0ED0071": b":7F0ED009600DB\n", ":8F0ED0064000C": b":8F0ED0064000C\n"})
    assert line.get(0xEDF0) == b"\x96\x00"
    assert line.put(0xEDF0, b"\x64\x00") == b"\x64\x00"


def test_text_values_told_unasked_and_other_answers_are_no_answer():
    others = b"\r\nV\t12:A0002000148\n530" + b":7DBED009E16D2\n" + b":8F0ED0064000C\n"
    line = asking({":7F0ED0071": others + b":7F0ED009600DB\n:AD7ED00A000E7\n"})
    assert line.get(0xEDF0) == b"\x96\x00"
    assert line.pushed == {0x0200: b"\x01", 0xEDD7: b"\xa0\x00"}


def test_an_answer_that_comes_late_is_not_taken_for_the_next_one():
    clock = HandClock()
    port = ScriptedLine({})
    line = HexLine(port, "test", 0.1, clock_s=clock, pause=clock.pause)
    with pytest.raises(BusTimeout, match=":7F0ED0071: no answer in 100 ms"):
        line.get(0xEDF0)
    port.said = b":7F0ED009600DB\n"
    port.answers[":7F0ED0071"] = b":7F0ED0064000D\n"
    assert line.get(0xEDF0) == b"\x64\x00"


@pytest.mark.parametrize(
    ("answer", "error", "why"),
    [
        (b":7F0ED0170\n", DeviceRefused, "unknown id"),
        (b":7F0ED026F\n", DeviceRefused, "not supported"),
        (b":7F0ED049600D7\n", DeviceRefused, "parameter error"),
        (b":4AAAAFD\n", BadChecksum, "could not read this frame"),
        (b":307004B\n", DeviceRefused, "unknown command"),
        (b":7F0ED009600DC\n", BadChecksum, "make 56, want 55"),
        (b":7F0ED009\xff", BadChecksum, "where a digit should be"),
        (b":7F0ED0071\n", BusTimeout, "RX wire"),
        (b"", BusTimeout, "RX wire"),
        (BusUnavailable("gone"), BusUnavailable, "gone"),
    ],
)
def test_what_is_no_good_answer_is_named(answer, error, why):
    with pytest.raises(error, match=why):
        asking({":7F0ED0071": answer}).get(0xEDF0)


def test_refusals_carry_their_flags():
    with pytest.raises(DeviceRefused) as refused:
        asking({":7F0ED0071": b":7F0ED0170\n"}).get(0xEDF0)
    assert refused.value.code == frames.UNKNOWN_ID


@pytest.mark.parametrize(
    ("question", "answer"),
    [(frames.PING, ":51641F9"), (frames.VERSION, ":11641FD"), (frames.PRODUCT, ":1000351")],
)
def test_questions_without_a_register_have_their_answers(question, answer):
    frame = frames.Frame(question)
    line = asking({str(frame): answer.encode() + b"\n"})
    assert str(line.ask(frame)) == answer


# Measuring


def test_panels_are_export_in_hundredths_of_a_watt():
    bench = Bench(
        plant=Plant(pv_power_mw=55_670, pv_voltage_mv=36_000, generated_uwh=12_345 * 10**7)
    )
    sample = bench.meter.sample()
    assert sample == Sample(-55_670, None, 12_345 * 10**7, 36_000, -1_500, None, counting=COUNTING)
    assert isinstance(bench.meter, ChargeController)
    assert isinstance(bench.meter, Curtailable)


def test_the_battery_is_charged_with_what_the_load_leaves():
    plant = Plant(pv_power_mw=125_000, battery_mv=12_500, load_power_mw=25_000)
    battery = Bench(plant=plant).meter.battery()
    assert (battery.voltage_mv, battery.current_ma) == (12_500, 8_000)
    assert (battery.temperature_mc, battery.stage) == (None, "bulk")


def test_a_register_that_small_models_lack_is_asked_for_once():
    class Small(VictronMppt):
        def cells(self):
            return {place: each for place, each in super().cells().items() if place != 0xEDBD}

    bench = Bench(twin=Small)
    assert [bench.meter.sample().current_ma for _ in range(3)] == [None] * 3
    assert len(bench.sent(":7BDED")) == 1


def test_a_register_that_is_refused_for_another_reason_is_an_error():
    bench = Bench()
    bench.meter.sample()
    refusing = frames.write(frames.Frame(frames.GET, b"\xbd\xed\x02\0\0"))
    hear = bench.twin.hear
    bench.twin.hear = lambda sent: refusing if sent.startswith(b":7BDED") else hear(sent)
    with pytest.raises(DeviceRefused, match="not supported"):
        bench.meter.sample()


def test_what_is_not_available_is_none_and_named():
    bench = Bench()
    bench.twin.faults.switch("not_available", True)
    sample = bench.meter.sample()
    assert (sample.power_mw, sample.voltage_mv, sample.current_ma) == (None, None, None)
    assert sample.quality == "unavailable"


def test_a_battery_monitor_is_refused_by_name():
    with pytest.raises(WrongDevice, match="the model vedirect reads a battery monitor"):
        Bench(twin=VictronBmv).meter.sample()


def test_another_unit_is_refused_by_name():
    with pytest.raises(WrongDevice, match="HQ2132QY2KR, want HQ0000XXXXX"):
        Bench(given={"serial": "HQ0000XXXXX"}).meter.sample()
    assert Bench(given={"serial": "HQ2132QY2KR"}).meter.sample().quality == ""


def test_after_a_silence_it_is_asked_again_who_it_is():
    bench = Bench(given={"serial": "HQ2132QY2KR"})
    bench.meter.sample()
    bench.meter.sample()
    assert len(bench.sent(":70A01")) == 1
    bench.twin.faults.switch("silent", True)
    with pytest.raises(BusTimeout):
        bench.meter.sample()
    bench.twin.faults.switch("silent", False)
    bench.meter.sample()
    assert len(bench.sent(":70A01")) == 2


def test_a_damaged_answer_is_named():
    bench = Bench()
    bench.twin.faults.switch("bad_crc", True)
    with pytest.raises(BadChecksum, match="want 55"):
        bench.meter.sample()


# Limits


def test_a_limit_is_the_charge_current_at_the_battery_voltage():
    bench = Bench()
    bench.meter.limit(50_000)
    assert bench.sent(":8") == [":81520002800F0"]  # 4.0 A at 12.5 V
    assert bench.meter.limited_mw == 50_000
    assert bench.twin.limit_mw == 50_000
    assert bench.meter.sample().power_mw == -50_000


def test_a_limit_is_rounded_down():
    bench = Bench()
    bench.meter.limit(51_000)
    assert bench.meter.limited_mw == 50_000


def test_no_limit_stands_at_first():
    assert Bench().meter.limited_mw is None


def test_a_limit_of_nothing_stops_the_panels():
    bench = Bench()
    bench.meter.limit(0)
    assert bench.sent(":8") == [":8152000000018"]
    assert bench.meter.limited_mw == 0
    assert bench.meter.sample().power_mw == 0


def test_a_limit_that_is_repeated_holds():
    bench = Bench()
    bench.meter.limit(50_000)
    for _ in range(300):
        bench.clock.pause(1)
        assert bench.meter.sample().power_mw == -50_000
    writes = len(bench.sent(":81520"))
    assert 300 / 30 <= writes <= 300 / 20 + 1


def test_a_limit_follows_the_battery_voltage():
    bench = Bench()
    bench.meter.limit(50_000)
    bench.plant.battery_mv = 14_400
    bench.clock.pause(21)
    bench.meter.sample()
    assert bench.meter.limited_mw == pytest.approx(50_000, abs=1_440)
    assert bench.meter.limited_mw <= 50_000


def test_a_limit_ends_a_minute_after_its_program():
    bench = Bench()
    bench.meter.limit(50_000)
    bench.clock.pause(59)
    assert bench.twin.limit_mw == 50_000
    bench.clock.pause(1)
    assert bench.twin.limit_mw is None
    assert bench.meter.revert_ms == 60_000


def test_a_limit_ends_when_told():
    bench = Bench()
    bench.meter.limit(50_000)
    bench.meter.limit(None)
    assert bench.meter.limited_mw is None
    bench.clock.pause(30)
    bench.meter.sample()
    assert bench.sent(":8") == [":81520002800F0", ":8152000FFFF1A"]


def test_a_limit_that_the_device_forgot_early_is_written_at_once():
    bench = Bench()
    bench.meter.limit(50_000)
    bench.clock.pause(5)
    bench.twin.restart()
    bench.line.say(frames.write(frames.Frame(frames.ASYNC, b"\x15\x20\x00\xff\xff")))
    bench.meter.sample()  # hears it
    bench.meter.sample()
    bench.meter.sample()
    assert len(bench.sent(":81520")) == 2
    assert bench.meter.limited_mw == 50_000


def test_a_limit_that_the_device_does_not_keep_is_refused():
    class Clipping(VictronMppt):
        def store(self, register, value):
            return super().store(register, b"\x0a\0" if register == 0x2015 else value)

    bench = Bench(twin=Clipping)
    with pytest.raises(LimitRefused, match="2800, but 0A00 stands there"):
        bench.meter.limit(50_000)
    bench.clock.pause(30)
    bench.meter.sample()
    assert len(bench.sent(":81520")) == 1


def test_a_device_that_begins_to_refuse_is_measured_on():
    bench = Bench()
    bench.meter.limit(50_000)
    bench.twin.store = lambda register, value: False
    bench.clock.pause(61)
    assert bench.meter.sample().power_mw == -100_000
    assert bench.meter.limited_mw is None


def test_without_a_battery_voltage_there_is_no_limit():
    bench = Bench()
    bench.plant.battery_mv = 0
    with pytest.raises(LimitRefused, match="no battery voltage"):
        bench.meter.limit(50_000)


@pytest.mark.parametrize("mode", [5, 9])
def test_a_network_mode_is_written_beside_the_limit(mode):
    bench = Bench(given={"network_mode": mode}, needs_network_mode=True)
    bench.meter.limit(50_000)
    assert bench.twin.limit_mw == 50_000
    for _ in range(5):
        bench.clock.pause(25)
        bench.meter.sample()
        assert bench.twin.limit_mw == 50_000
    bench.clock.pause(61)
    assert bench.twin.limit_mw is None


def test_without_a_network_mode_none_is_written():
    bench = Bench()
    bench.meter.limit(50_000)
    assert bench.sent(":80E20") == []


def test_the_eeprom_is_never_written():
    bench = Bench(given={"hard_stop": True, "network_mode": 9})
    for power_mw in (50_000, 0, 10_000, None, 0, None):
        bench.meter.limit(power_mw)
        for _ in range(40):
            bench.clock.pause(1)
            bench.meter.sample()
    assert bench.twin.eeprom_writes == 0
    assert bench.sent(":8F0ED") == []


def test_a_limit_that_the_device_does_not_take_back_ends_by_itself():
    class Stubborn(VictronMppt):
        def store(self, register, value):
            return value != b"\xff\xff" and super().store(register, value)

    bench = Bench(twin=Stubborn)
    bench.meter.limit(50_000)
    bench.meter.limit(None)
    for _ in range(6):
        bench.clock.pause(10)
        bench.meter.sample()
    assert bench.meter.limited_mw is None


def test_a_device_without_the_limit_is_named():
    class Older(VictronMppt):
        def cells(self):
            return {place: each for place, each in super().cells().items() if place != 0x2015}

    bench = Bench(twin=Older)
    for power_mw in (50_000, None):
        with pytest.raises(DeviceRefused, match="unknown id"):
            bench.meter.limit(power_mw)
    assert bench.meter.sample().power_mw == -100_000


# Hard stop


def test_a_hard_stop_switches_the_charger_off_and_on():
    bench = Bench(given={"hard_stop": True})
    bench.meter.limit(0)
    assert (bench.twin.limit_mw, bench.meter.limited_mw) == (0, 0)
    assert bench.sent(":80002") == [":80002000447"]
    bench.meter.limit(None)
    assert bench.sent(":80002") == [":80002000447", ":8000200014A"]
    assert (bench.twin.limit_mw, bench.meter.limited_mw) == (None, None)
    assert bench.meter.revert_ms == 0


def test_a_hard_stop_outlives_its_program_and_ends_with_the_next_one():
    bench = Bench(given={"hard_stop": True})
    bench.meter.limit(0)
    bench.clock.pause(3_600)
    assert bench.twin.limit_mw == 0
    bench.driver().sample()
    assert bench.twin.limit_mw is None


def test_a_hard_stop_ends_when_the_meter_is_closed():
    bench = Bench(given={"hard_stop": True})
    bench.meter.limit(0)
    bench.meter.close()
    assert bench.twin.limit_mw is None


def test_closing_does_not_fail_on_a_dead_line():
    bench = Bench(given={"hard_stop": True})
    bench.meter.limit(0)
    bench.twin.faults.switch("silent", True)
    bench.meter.close()
    assert bench.twin.limit_mw == 0


def test_a_silence_does_not_end_a_hard_stop():
    bench = Bench(given={"hard_stop": True})
    bench.meter.limit(0)
    bench.twin.faults.switch("silent", True)
    with pytest.raises(BusTimeout):
        bench.meter.sample()
    bench.twin.faults.switch("silent", False)
    assert bench.meter.sample().power_mw == 0


def test_without_the_option_nobody_touches_a_charger_that_is_off():
    bench = Bench()
    bench.twin.store(0x0200, b"\x04")
    bench.meter.sample()
    bench.meter.limit(0)
    bench.meter.limit(None)
    assert bench.twin.limit_mw == 0
    assert bench.sent(":80002") == []


@pytest.mark.parametrize("size", [1, 4])
def test_remote_control_is_allowed_in_the_width_of_the_device(size):
    class Careful(VictronMppt):
        """It heeds 0x0200 only after bit 1 of 0x0202 is set."""

        def cells(self):
            cells = dict(super().cells())
            raw = cells[0x0202].value[:size]
            return cells | {0x0202: type(cells[0x0202])(raw, True)}

        def store(self, register, value):
            if register == 0x0200 and not self._remote & 2:
                return True
            return super().store(register, value)

    bench = Bench(twin=Careful, given={"hard_stop": True})
    bench.meter.limit(0)
    assert bench.twin.limit_mw == 0
    (allowed,) = bench.sent(":80202")
    assert frames.read(allowed).value == (2).to_bytes(size, "little")
    bench.meter.limit(None)
    assert len(bench.sent(":80202")) == 1


def test_a_device_without_the_remote_register_is_stopped_all_the_same():
    class Plain(VictronMppt):
        def cells(self):
            return {place: each for place, each in super().cells().items() if place != 0x0202}

    bench = Bench(twin=Plain, given={"hard_stop": True})
    bench.meter.limit(0)
    assert bench.twin.limit_mw == 0


def test_a_charger_that_does_not_heed_is_named():
    class Deaf(VictronMppt):
        def store(self, register, value):
            return register == 0x0200 or super().store(register, value)

    with pytest.raises(LimitRefused, match="told the charger to be off, but it is not"):
        Bench(twin=Deaf, given={"hard_stop": True}).meter.limit(0)


def test_hard_stops_are_counted_and_the_last_write_switches_on():
    bench = Bench(given={"hard_stop": True})

    def stop_often() -> None:
        for _ in range(20):
            bench.meter.limit(0)
            bench.meter.limit(None)

    with pytest.raises(LimitRefused, match="bears 24 writes"):
        stop_often()
    bench.meter.limit(None)
    assert bench.twin.limit_mw is None


# Load


@pytest.mark.parametrize(
    ("energised", "sent"), [(False, ":8ABED0004B1"), (True, ":8ABED0005B0"), (None, "")]
)
def test_the_load_output_is_switched_and_read_back(energised, sent):
    bench = Bench()
    bench.meter.switch_load(energised)
    assert bench.sent(":8") == ([sent] if sent else [])
    assert bench.meter.load_is_on is (energised is not False)
    assert bench.twin.load_is_on is (energised is not False)


def test_the_load_output_is_given_back():
    bench = Bench()
    bench.meter.switch_load(False)
    bench.meter.switch_load(None)
    assert bench.sent(":8") == [":8ABED0004B1", ":8ABED0001B4"]
    assert bench.meter.load_is_on


def test_a_load_output_that_stands_is_not_written_again():
    bench = Bench()
    for _ in range(5):
        bench.meter.switch_load(False)
    assert bench.sent(":8") == [":8ABED0004B1"]


def test_a_load_output_that_does_not_follow_is_named():
    class Stuck(VictronMppt):
        load_is_on = True

    with pytest.raises(SwitchFailed, match="load control is 4, but the output is on"):
        Bench(twin=Stuck).meter.switch_load(False)


# The source of this driver


def test_a_limit_is_repeated_well_before_the_device_forgets_it():
    assert 2.5 * vedirect_hex.REPEAT_S * 1000 <= vedirect_hex.REVERT_MS


def test_every_failure_is_a_hardware_error():
    bench = Bench()
    bench.twin.faults.switch("silent", True)
    for use in (
        bench.meter.sample,
        bench.meter.battery,
        lambda: bench.meter.limit(5),
        lambda: bench.meter.limited_mw,
        lambda: bench.meter.load_is_on,
        lambda: bench.meter.switch_load(True),
    ):
        with pytest.raises(HardwareError):
            use()
