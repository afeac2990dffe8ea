"""The VE.Direct text driver: what it makes of blocks, silence and strangers."""

from __future__ import annotations

import pytest

from hardware.chargers.vedirect import VeDirect, VeDirectOptions
from hardware.errors import BusUnavailable, StaleConversion, WrongDevice
from hardware.mock.points import Plant
from hardware.mock.vedirect.bmv import VictronBmv
from hardware.mock.vedirect.mppt import VictronMppt
from hardware.ports import ChargeController, Sample
from hardware.vedirect.quantity import COUNTING
from tests.support.vectors import vectors
from tests.support.vedirect_lines import HandClock, TalkingLine

BLOCKS = {row["name"]: bytes.fromhex(row["block"]) for row in vectors("vedirect")["blocks"]}
BMV = BLOCKS["BMV, first block of a second"]
HISTORY = BLOCKS["BMV-712, history block"]


class ScriptedLine:
    """A `BytePort` on which these bytes come, one item a read; an error is raised."""

    def __init__(self, *script: bytes | Exception) -> None:
        self.script = list(script)
        self.written = b""

    def read(self) -> bytes:
        came = self.script.pop(0) if self.script else b""
        if isinstance(came, Exception):
            raise came
        return came

    def write(self, sent: bytes) -> None:
        self.written += sent

    def close(self) -> None:
        """Nothing to close."""


def listening(*script: bytes | Exception, serial: str = "") -> tuple[VeDirect, HandClock]:
    """Return a driver that has not opened its port yet; the script is what comes then."""
    clock = HandClock()
    line = ScriptedLine(*script)
    given = VeDirectOptions(serial=serial)
    return VeDirect(line, given, clock_s=clock, pause=clock.pause), clock


def block(fields: str) -> bytes:
    raw = "".join("\r\n{}\t{}".format(*each.split("=")) for each in fields.split()).encode()
    raw += b"\r\nChecksum\t"
    return raw + bytes([-sum(raw) % 256])


def test_panels_are_export_and_their_counter_the_yield():
    first = BLOCKS["BlueSolar MPPT"]
    meter, _ = listening(first, first)
    assert meter.sample() == Sample(
        -8_000, None, 82_720_000_000, 31_390, None, None, counting=COUNTING
    )
    battery = meter.battery()
    assert (battery.voltage_mv, battery.current_ma, battery.stage) == (12_530, 640, "bulk")
    assert (battery.charge_percent, battery.temperature_mc) == (None, None)
    assert isinstance(meter, ChargeController)


def test_a_battery_that_discharges_is_export():
    meter, _ = listening(BMV + HISTORY, BMV + HISTORY)
    sample = meter.sample()
    assert sample == Sample(
        -92_008, 24_150_000_000, 24_040_000_000, 12_065, -7_626, None, counting=COUNTING
    )
    assert meter.battery().charge_percent == 84


def test_a_monitor_without_counters_is_not_doubted_for_it():
    meter, _ = listening(BMV, BMV)
    sample = meter.sample()
    assert (sample.power_mw, sample.energy_import_uwh, sample.quality) == (-92_008, None, "")


def test_a_monitor_that_tells_no_current_has_its_power():
    told = block("V=12000 I=--- P=-5 SOC=500")
    meter, _ = listening(told, told)
    sample = meter.sample()
    assert (sample.power_mw, sample.current_ma, sample.quality) == (-5_000, None, "unavailable")


def test_unknown_values_are_none_and_named():
    told = block("VPV=20000 PPV=--- H19=100")
    sample = listening(told, told)[0].sample()
    assert (sample.power_mw, sample.energy_export_uwh) == (None, 10**9)
    assert sample.quality == "unavailable"


@pytest.mark.parametrize("field", ["PPV=-5", "PPV=200000", "VPV=600000", "H19=99999999999"])
def test_a_value_that_cannot_be_is_none_and_named(field):
    fields = {"VPV": "20000", "PPV": "5", "H19": "100"} | dict([field.split("=")])
    told = block(" ".join(f"{label}={text}" for label, text in fields.items()))
    assert listening(told, told)[0].sample().quality == "range"


def test_the_first_sample_waits_until_everything_was_told_once():
    meter, clock = listening(b"", BMV, b"", HISTORY, b"", BMV)
    began_s = clock.now_s
    sample = meter.sample()
    assert (sample.power_mw, sample.energy_import_uwh) == (-92_008, 24_150_000_000)
    assert clock.now_s - began_s < 1


def test_the_first_sample_of_a_silent_line_does_not_wait_for_ever():
    meter, clock = listening()
    began_s = clock.now_s
    with pytest.raises(StaleConversion, match="no block yet"):
        meter.sample()
    assert 2 < clock.now_s - began_s < 3
    waited_until_s = clock.now_s
    with pytest.raises(StaleConversion, match="no block yet"):
        meter.sample()
    assert clock.now_s == waited_until_s


def test_what_a_port_held_for_long_is_not_believed():
    told, newer = block("PPV=5 VPV=1000 H19=1"), block("PPV=6 VPV=1000 H19=1")
    meter, clock = listening(told, told, told, newer, newer)
    assert meter.sample().power_mw == -5_000
    clock.pause(31)
    assert meter.sample().power_mw == -6_000


def test_a_block_holds_for_three_seconds_and_no_longer():
    told = block("PPV=5 VPV=1000 H19=1")
    meter, clock = listening(told, told)
    sample = meter.sample()
    clock.pause(2.9)
    assert meter.sample() == sample
    clock.pause(0.2)
    with pytest.raises(StaleConversion, match="no block for 3 s"):
        meter.sample()


def test_damaged_blocks_are_counted_in_the_message():
    told = block("PPV=5 VPV=1000 H19=1")
    broken = told[:-1] + bytes([told[-1] ^ 1])
    meter, clock = listening(told, told, broken, broken)
    meter.sample()
    clock.pause(2.0)
    meter.sample()
    clock.pause(1.1)
    with pytest.raises(StaleConversion, match="2 were damaged"):
        meter.sample()


def test_a_port_that_fails_leaves_nothing_of_before():
    told = block("PPV=5 VPV=1000 H19=1")
    meter, _ = listening(told, told + told[:20], BusUnavailable("gone"), told[20:])
    meter.sample()
    with pytest.raises(BusUnavailable):
        meter.sample()
    with pytest.raises(StaleConversion, match="no block yet"):
        meter.sample()


@pytest.mark.parametrize(
    ("told", "what"),
    [
        ("PID=0xA231 MODE=2 CS=9 AC_OUT_V=23001 V=12410", "0xA231 is an inverter"),
        ("PID=0xA3C0 DC_IN_V=1350 V=12410", "0xA3C0 is a DC-DC charger"),
    ],
)
def test_another_kind_of_device_is_refused_by_name(told, what):
    meter, _ = listening(block(told), block(told))
    with pytest.raises(WrongDevice, match=what):
        meter.sample()


def test_blocks_of_neither_kind_give_no_sample():
    meter, _ = listening(block("V=12000 I=5"), block("V=12000 I=5"))
    with pytest.raises(StaleConversion, match="none of panels"):
        meter.sample()


def test_another_unit_is_refused_by_name():
    first = BLOCKS["BlueSolar MPPT"]
    meter, _ = listening(first, first, serial="HQ0000XXXXX")
    with pytest.raises(WrongDevice, match="HQ1411MYIKN, want HQ0000XXXXX"):
        meter.sample()
    meter, _ = listening(first, first, serial="HQ1411MYIKN")
    assert meter.sample().power_mw == -8_000


def test_nothing_is_ever_sent():
    clock = HandClock()
    line = TalkingLine(VictronMppt(Plant(), clock_s=clock), clock)
    meter = VeDirect(line, VeDirectOptions(), clock_s=clock, pause=clock.pause)
    for _ in range(5):
        meter.sample()
    meter.battery()
    meter.close()
    assert line.sent == b""


def test_a_simulated_monitor_is_sampled_with_its_counters():
    clock, plant = HandClock(), Plant(battery_mv=12_500, battery_ma=-4_000, charge_percent=80)
    line = TalkingLine(VictronBmv(plant, clock_s=clock), clock)
    meter = VeDirect(line, VeDirectOptions(), clock_s=clock, pause=clock.pause)
    meter.sample()
    clock.pause(3_600)
    sample = meter.sample()
    assert (sample.power_mw, sample.voltage_mv, sample.current_ma) == (-50_000, 12_500, -4_000)
    assert (sample.energy_import_uwh, sample.energy_export_uwh) == (0, 50_000_000)
    plant.battery_ma = 8_000
    clock.pause(3_600)
    sample = meter.sample()
    assert (sample.power_mw, sample.energy_import_uwh) == (100_000, 100_000_000)
    assert meter.battery().charge_percent == 80


@pytest.mark.parametrize("fault", ["hex_behind_checksum", "hex_in_block", "two_blocks"])
def test_what_devices_do_on_the_line_changes_no_sample(fault):
    clock, plant = HandClock(), Plant(pv_power_mw=55_000, generated_uwh=123 * 10**7)
    twin = VictronMppt(plant, clock_s=clock)
    line = TalkingLine(twin, clock)
    meter = VeDirect(line, VeDirectOptions(), clock_s=clock, pause=clock.pause)
    honest = meter.sample()
    twin.faults.switch(fault, True)
    assert [meter.sample() for _ in range(20)] == [honest] * 20


def test_a_cable_that_is_unplugged_is_stale_after_three_seconds_and_heals():
    clock = HandClock()
    twin = VictronMppt(Plant(pv_power_mw=55_000), clock_s=clock)
    line = TalkingLine(twin, clock)
    meter = VeDirect(line, VeDirectOptions(), clock_s=clock, pause=clock.pause)
    honest = meter.sample()
    twin.faults.switch("stops_5_s", True)
    with pytest.raises(StaleConversion, match="check cable"):
        meter.sample()
    clock.pause(2)
    assert meter.sample() == honest


@pytest.mark.parametrize("start", [1, 9, 30])
def test_joined_in_the_middle_of_a_block_the_next_one_counts(start):
    told = block("PID=0xA053 PPV=5 VPV=1000 H19=1")
    meter, clock = listening(told[start:], told, told)
    assert meter.sample().power_mw == -5_000
    clock.pause(3.5)
    with pytest.raises(StaleConversion, match="no block for"):
        meter.sample()


def test_flipped_bits_are_never_believed():
    clock = HandClock()
    twin = VictronMppt(Plant(pv_power_mw=55_000), clock_s=clock, seed=3)
    line = TalkingLine(twin, clock)
    meter = VeDirect(line, VeDirectOptions(), clock_s=clock, pause=clock.pause)
    honest = meter.sample()
    twin.faults.switch("block_bit_flip", True)
    assert [meter.sample() for _ in range(3)] == [honest] * 3  # the block before holds
    for _ in range(200):
        with pytest.raises(StaleConversion, match="were damaged"):
            meter.sample()
    twin.faults.switch("block_bit_flip", False)
    meter_after = [_sample_or_none(meter) for _ in range(2)]
    assert meter_after[-1] == honest  # a block may be lost to the damage before it


def _sample_or_none(meter: VeDirect) -> Sample | None:
    try:
        return meter.sample()
    except StaleConversion:
        return None
