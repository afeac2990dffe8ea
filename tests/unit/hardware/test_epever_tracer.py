"""The EPEver driver on its simulated controller, without a wire between them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hardware import catalog
from hardware.chargers.epever_limits import parse_voltages
from hardware.chargers.epever_tracer import EpeverTracer, EpeverTracerOptions
from hardware.errors import BadOption, BusTimeout, LimitRefused, SwitchFailed, WrongDevice
from hardware.mock.chargers.epever import TRACER_AN, TRACER_BN, EpeverController
from hardware.mock.points import Plant
from hardware.modelfile import shipped_model
from hardware.ports import ChargeController, Curtailable
from hardware.registers import OutOfRange, decode
from tests.support.hardware_bench import ModbusDirect
from tests.support.vectors import vectors

VECTORS = vectors("epever_tracer")
DELIVERED = "15.00 15.00 14.60 14.40 13.80 13.20"
HOUR_MS = 3_600_000
NOON = datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)


class Bench:
    """A driver on a controller, and the requests that it made."""

    def __init__(self, plant: Plant | None = None, *, variant=TRACER_BN, **given) -> None:
        self.now_ms = 0
        self.local = NOON
        self.plant = plant or Plant(pv_power_mw=50_000)
        self.controller = EpeverController(
            self.plant, variant=variant, clock_s=lambda: self.now_ms / 1_000
        )
        self.port = ModbusDirect(self.controller)
        self.meter = EpeverTracer(
            self.port,
            EpeverTracerOptions(address=1, **given),
            clock_s=lambda: self.now_ms / 1_000,
            local_time=lambda: self.local,
        )

    def writes(self) -> list[str]:
        return [each.hex() for each in self.port.requests if each[0] in (5, 6, 15, 16)]


def test_generation_is_export():
    bench = Bench(Plant(pv_power_mw=55_000, generated_uwh=12_345 * 10**7))
    sample = bench.meter.sample()
    assert (sample.power_mw, sample.voltage_mv, sample.current_ma) == (-55_000, 36_000, -1_520)
    assert (sample.energy_import_uwh, sample.energy_export_uwh) == (None, 12_345 * 10**7)
    reads = [request.hex() for request in bench.port.requests[1:]]
    assert reads == ["0431000004", "0433120002"]


def test_numbers_above_one_word_take_both_words():
    sample = Bench(Plant(pv_power_mw=1_000_000, generated_uwh=70_000 * 10**7)).meter.sample()
    assert (sample.power_mw, sample.energy_export_uwh) == (-1_000_000, 70_000 * 10**7)


def test_its_counter_wraps_where_its_two_words_end():
    counting = Bench().meter.sample().counting
    assert (counting.export_wrap_uwh, counting.step_uwh) == (2**32 * 10**7, 10**7)


@pytest.mark.parametrize("battery_ma", [-12_340, -10, 0, 10, 12_340])
def test_the_battery_current_is_signed(battery_ma):
    meter = Bench(Plant(battery_ma=battery_ma, pv_power_mw=1_000)).meter
    assert isinstance(meter, ChargeController)
    battery = meter.battery()
    assert battery.current_ma == battery_ma
    assert (battery.voltage_mv, battery.charge_percent) == (12_600, 60)
    assert (battery.temperature_mc, battery.stage) == (25_000, "boost")


def test_no_value_of_two_words_is_ever_read_in_halves():
    model = shipped_model("epever_tracer")
    for block in model.plan((row.name for row in model.registers), 16):
        for row in block.registers:
            assert block.address <= row.address < row.end <= block.address + block.count


def test_a_torn_value_is_refused_by_name():
    torn = VECTORS["torn"]
    low, high = (bytes.fromhex(torn[half]["reply"])[3:5] for half in ("low", "high"))
    words = [int.from_bytes(half, "big") for half in (low, high)]
    row = shipped_model("epever_tracer").register(torn["register"])
    with pytest.raises(OutOfRange, match=torn["refused"]):
        decode(row, words)


def test_a_torn_counter_is_no_value_and_the_sample_says_so():
    class Torn(EpeverController):
        def read_words(self, function, address, count):
            words = list(super().read_words(function, address, count))
            return [*words[:-1], 0xFFFF] if address == 0x3312 else words

    sample = EpeverTracer(ModbusDirect(Torn(Plant())), EpeverTracerOptions(address=1)).sample()
    assert (sample.energy_export_uwh, sample.quality) == (None, "range")
    assert (sample.power_mw, sample.voltage_mv) == (0, 36_000)


def test_a_controller_that_does_not_tell_its_maker_is_taken_as_it_is():
    class Older(EpeverController):
        def identification(self):
            return {}

    port = ModbusDirect(Older(Plant(pv_power_mw=5_000)))
    assert EpeverTracer(port, EpeverTracerOptions(address=1)).sample().power_mw == -5_000


def test_a_controller_that_sleeps_at_night_is_silent_and_comes_back():
    bench = Bench(Plant(pv_power_mw=50_000))
    bench.controller.faults.switch("night_silence", True)
    bench.meter.switch_load(False)
    bench.plant.pv_voltage_mv = 0
    with pytest.raises(BusTimeout):
        bench.meter.sample()
    bench.plant.pv_voltage_mv = 36_000
    assert bench.meter.sample().power_mw == -50_000
    assert catalog.METERS["epever_tracer"].is_silent_at_night


# Curtailment by coil 0


def test_a_limit_switches_charging_off_where_the_model_can():
    bench = Bench(variant=TRACER_AN)
    assert isinstance(bench.meter, Curtailable)
    assert (bench.meter.limited_mw, bench.meter.revert_ms) == (None, 0)
    bench.meter.limit(30_000)
    assert bench.meter.limited_mw == 0
    assert bench.meter.sample().power_mw == 0
    bench.meter.limit(None)
    assert bench.meter.limited_mw is None
    assert bench.meter.sample().power_mw == -50_000
    assert bench.writes() == ["0500000000", "050000ff00"]


def test_what_stands_is_not_written_again():
    bench = Bench(variant=TRACER_AN)
    bench.meter.limit(None)
    bench.meter.limit(0)
    bench.meter.limit(10_000)
    assert bench.writes() == ["0500000000"]


def test_a_limit_that_the_panels_cannot_reach_limits_nothing():
    bench = Bench(variant=TRACER_AN)
    bench.meter.limit(1_040_000)
    assert bench.meter.limited_mw is None
    bench.meter.limit(1_039_999)
    assert bench.meter.limited_mw == 0


def test_a_coil_that_keeps_nothing_is_named():
    class Stubborn(EpeverController):
        def write_bit(self, address, on):
            """Echo it and do nothing."""

    meter = EpeverTracer(
        ModbusDirect(Stubborn(Plant(), variant=TRACER_AN)), EpeverTracerOptions(address=1)
    )
    with pytest.raises(LimitRefused, match="coil 0 does not keep"):
        meter.limit(0)
    with pytest.raises(SwitchFailed, match="the load output is not off"):
        meter.switch_load(False)


def test_nothing_is_written_to_another_makers_device():
    bench = Bench(variant=TRACER_AN)
    bench.controller.faults.switch("wrong_model", True)
    for act in (lambda: bench.meter.limit(0), lambda: bench.meter.switch_load(False)):
        with pytest.raises(WrongDevice, match="Morningstar"):
            act()
    assert bench.writes() == []


def test_after_a_silence_the_device_is_known_anew():
    """A model with the coil may have been replaced by one without."""
    bench = Bench(Plant(pv_power_mw=50_000, battery_mv=13_000), variant=TRACER_AN)
    bench.meter.limit(None)
    bench.controller.faults.switch("silent", True)
    with pytest.raises(BusTimeout):
        bench.meter.sample()
    bench.port._device = EpeverController(bench.plant)
    with pytest.raises(LimitRefused, match="charge_voltages"):
        bench.meter.limit(0)


# Curtailment by the charging voltages


def lowered(**given) -> Bench:
    plant = Plant(pv_power_mw=50_000, battery_mv=13_000)
    return Bench(plant, charge_voltages=DELIVERED, **given)


def test_voltages_are_only_touched_where_the_owner_says_so():
    bench = Bench(Plant(battery_mv=13_000))
    way_out = f'charge_voltages = "{DELIVERED}", or put a relay .* on the PV side'
    with pytest.raises(LimitRefused, match=way_out):
        bench.meter.limit(0)
    assert bench.writes() == []


def test_where_nothing_can_be_limited_there_is_nothing_to_end():
    bench = Bench(Plant(battery_mv=13_000))
    bench.meter.limit(None)
    assert bench.meter.limited_mw is None
    assert bench.writes() == []


def test_lowered_voltages_without_the_owners_are_left_to_a_person():
    first = lowered()
    first.meter.limit(0)
    later = EpeverTracer(ModbusDirect(first.controller), EpeverTracerOptions(address=1))
    assert later.limited_mw == 0
    with pytest.raises(LimitRefused, match="charge_voltages"):
        later.limit(None)


def test_a_limit_lowers_the_voltages_as_one_block_and_ends_by_the_owners():
    bench = lowered()
    bench.meter.limit(0)
    assert bench.meter.limited_mw == 0
    assert bench.meter.sample().power_mw == 0
    bench.meter.limit(None)
    assert bench.meter.limited_mw is None
    assert bench.meter.sample().power_mw == -50_000
    low = "0640" + "04ee" + "05dc" + "04ee" * 3 + "04ed" + "04ec04c404b004560424"
    own = "064005dc05dc05b405a00564052804ec04c404b004560424"
    assert bench.writes() == [f"109003000c18{low}", f"109003000c18{own}"]


def test_a_limit_that_an_earlier_life_left_behind_is_seen_and_ended():
    first = lowered()
    first.meter.limit(0)
    later = EpeverTracer(
        ModbusDirect(first.controller), EpeverTracerOptions(address=1, charge_voltages=DELIVERED)
    )
    assert later.limited_mw == 0
    later.limit(None)
    assert later.limited_mw is None


def test_voltages_that_somebody_else_set_are_left_alone():
    bench = lowered()
    words = [1600, 1500, 1500, 1450, 1440, 1380, 1320, 1260, 1220, 1200, 1110, 1060]
    bench.controller.write_words(0x9003, words)
    with pytest.raises(LimitRefused, match=r"14\.50 14\.40 .* correct the one that is wrong"):
        bench.meter.limit(0)
    assert bench.writes() == []


def test_memory_is_not_worn_for_a_battery_that_would_charge_on():
    bench = lowered()
    bench.plant.battery_mv = 12_600
    with pytest.raises(LimitRefused, match=r"not above 12\.62 V"):
        bench.meter.limit(0)
    bench.plant.battery_mv = 26_000
    with pytest.raises(LimitRefused, match="other than 12 V is not known"):
        bench.meter.limit(0)
    assert bench.writes() == []


def test_the_voltages_are_written_a_few_times_a_day_and_a_limit_can_always_be_ended():
    bench = lowered()
    for _ in range(2):
        bench.meter.limit(0)
        bench.meter.limit(None)
    with pytest.raises(LimitRefused, match="24 writes in 24 h"):
        bench.meter.limit(0)
    bench.now_ms += 72 * 60_000
    with pytest.raises(LimitRefused, match="24 writes"):
        bench.meter.limit(0)  # one is free, but it is kept for the end
    bench.now_ms += 72 * 60_000
    bench.meter.limit(0)
    bench.meter.limit(None)
    assert bench.meter.limited_mw is None


def test_the_load_mode_does_not_take_the_write_that_ends_a_limit():
    bench = lowered()
    bench.meter.limit(0)
    for _ in range(2):
        bench.controller.write_word(0x903D, 1)
        bench.meter.switch_load(True)
    bench.controller.write_word(0x903D, 1)
    with pytest.raises(LimitRefused, match="24 writes"):
        bench.meter.switch_load(True)
    bench.meter.limit(None)
    assert bench.meter.limited_mw is None


@pytest.mark.parametrize(
    "text",
    ["15.00", "a b c d e f", "15 15 14.4 14.6 13.8 13.2", "15 15 14.6 14.4 13.2 13.2", "1/0"],
)
def test_voltages_that_the_controller_would_refuse_are_a_finding(text):
    given = {"address": 1, "charge_voltages": text}
    (finding,) = catalog.check_meter("epever_tracer", "modbus_rtu", given)
    assert (finding.key, finding.value) == ("charge_voltages", text)
    with pytest.raises(BadOption, match="six voltages"):
        parse_voltages(text)


# The load output


def test_the_load_output_is_switched_by_hand_and_read_back():
    bench = Bench(Plant(load_power_mw=24_000))
    assert bench.meter.load_is_on
    bench.meter.switch_load(False)
    assert not bench.meter.load_is_on
    assert not bench.controller.load_is_on
    bench.meter.switch_load(False)
    bench.meter.switch_load(True)
    assert bench.controller.load_is_on
    assert bench.writes() == ["0500020000", "050002ff00"]


def test_another_load_mode_is_set_to_manual_first():
    bench = Bench()
    bench.controller.write_word(0x903D, 1)
    bench.meter.switch_load(True)
    assert bench.controller.load_is_on
    assert bench.writes() == ["10903d0001020000", "050002ff00"]


# The clock


def shown(bench: Bench) -> str:
    words = bench.controller.read_words(3, 0x9013, 3)
    return "".join(f"{word:04x}" for word in words)


def test_its_clock_is_left_alone_unless_asked():
    bench = Bench()
    before = shown(bench)
    bench.meter.sample()
    assert bench.writes() == []
    assert shown(bench) == before


def test_its_clock_is_set_once_a_day_if_it_is_wrong():
    bench = Bench(set_clock=True)
    bench.meter.sample()
    assert shown(bench) == "0000010c1a07"
    bench.meter.sample()
    assert len(bench.writes()) == 1
    bench.now_ms += 24 * HOUR_MS
    bench.local = NOON.replace(day=2, second=30)
    bench.meter.sample()
    assert len(bench.writes()) == 1, "half a minute is not worth a write"
    bench.now_ms += 24 * HOUR_MS
    bench.local = NOON.replace(day=3, minute=5)
    bench.meter.sample()
    assert shown(bench) == "0500030c1a07"


def test_a_clock_that_jumps_is_set_right_and_no_energy_depends_on_it():
    """Row "controller's own clock wrong"."""
    bench = Bench(Plant(generated_uwh=10**12), set_clock=True)
    bench.meter.sample()
    bench.controller.faults.switch("clock_jump", True)
    assert bench.meter.sample().energy_export_uwh == 10**12
    assert shown(bench) == "0000010f1a07"
    bench.now_ms += 24 * HOUR_MS
    bench.local = NOON.replace(day=2)
    assert bench.meter.sample().energy_export_uwh == 10**12
    assert shown(bench) == "0000020c1a07"


def test_a_machine_that_does_not_know_the_time_sets_no_clock():
    bench = Bench(set_clock=True)
    bench.local = datetime(1970, 1, 1, tzinfo=UTC)
    bench.meter.sample()
    assert bench.writes() == []
    bench.local = NOON
    bench.now_ms += HOUR_MS
    bench.meter.sample()
    assert len(bench.writes()) == 1


def test_a_clock_that_cannot_be_set_costs_no_sample():
    class Clockless(EpeverController):
        def write_words(self, address, words):
            super().write_words(0x1234, words)

    bench = Bench(set_clock=True)
    bench.port._device = Clockless(bench.plant)
    assert bench.meter.sample().power_mw == -50_000
    assert bench.meter.sample().power_mw == -50_000
    assert len(bench.writes()) == 1


def test_a_clock_that_shows_no_time_is_set():
    bench = Bench(set_clock=True)
    bench.controller._clock_words = lambda: {0x9013: 0xFFFF, 0x9014: 0xFFFF, 0x9015: 0xFFFF}
    bench.meter.sample()
    assert bench.writes() == ["109013000306" + "0000010c1a07"]
