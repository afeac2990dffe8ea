"""The TriStar MPPT driver on its simulated controller, without a wire between them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from hardware import catalog
from hardware.chargers.tristar_mppt import TristarMppt, TristarMpptOptions
from hardware.errors import BusTimeout, LimitRefused, TransientHardwareError, WrongDevice
from hardware.mock.chargers.tristar import TristarController
from hardware.mock.points import Plant
from hardware.mock.wires.modbus_pdu import Refusal
from hardware.modelfile import shipped_model
from hardware.ports import ChargeController, Curtailable
from hardware.registers import decode
from tests.support.hardware_bench import ModbusDirect
from tests.support.vectors import vectors

VECTORS = vectors("tristar_mppt")


class Bench:
    """A driver on a controller, and the requests that it made."""

    def __init__(self, plant: Plant | None = None, kind=TristarController, **given) -> None:
        self.now_s = 0.0
        self.plant = plant or Plant(pv_power_mw=500_000, battery_mv=12_500)
        self.controller = kind(self.plant, clock_s=lambda: self.now_s)
        self.port = ModbusDirect(self.controller)
        self.meter = TristarMppt(self.port, TristarMpptOptions(address=1, **given))

    def writes(self) -> list[str]:
        return [each.hex() for each in self.port.requests if each[0] in (5, 6, 15, 16)]


@pytest.mark.parametrize("row", VECTORS["scaled"], ids=lambda row: row["name"])
def test_values_are_scaled_by_the_full_scales(row):
    register = shipped_model("tristar_mppt").register(row["register"])
    factor = Fraction(1)
    for name in register.times:
        factor *= Fraction(str(row[f"{name}_{'v' if 'voltage' in name else 'a'}"]))
    value = decode(register, (row["word"],), factor)
    assert f"{float(value):.2f}" == row["value"]


def test_what_it_charges_is_export_and_the_edge_integrates_it():
    bench = Bench(Plant(pv_power_mw=252_000, pv_voltage_mv=90_000, generated_uwh=10**12))
    sample = bench.meter.sample()
    assert sample.power_mw == pytest.approx(-252_000, abs=60)
    assert sample.voltage_mv == pytest.approx(90_000, abs=6)
    assert (sample.energy_import_uwh, sample.energy_export_uwh) == (None, None)
    assert not catalog.METERS["tristar_mppt"].has_counters


def test_its_own_counter_can_be_read_all_the_same():
    assert Bench(Plant(generated_uwh=123 * 10**9)).meter.values(("energy_total",)) == {
        "energy_total": 123
    }


def test_its_whole_map_can_be_read():
    values = Bench().meter.values()
    assert set(values) == {row.name for row in shipped_model("tristar_mppt").registers}
    assert values["serial_number"] == "12345678"
    assert values["charging_is_disconnected"] is False


@pytest.mark.parametrize(
    ("battery_c", "temperature_mc"), [(25, 25_000), (-10, -10_000), (None, 25_000)]
)
def test_the_battery_is_told_without_a_state_of_charge(battery_c, temperature_mc):
    bench = Bench(Plant(pv_power_mw=126_000, battery_mv=12_600))
    bench.controller.battery_c = battery_c
    assert isinstance(bench.meter, ChargeController)
    battery = bench.meter.battery()
    assert battery.voltage_mv == pytest.approx(12_600, abs=6)
    assert battery.current_ma == pytest.approx(10_000, abs=3)
    assert (battery.charge_percent, battery.temperature_mc) == (None, temperature_mc)
    assert battery.stage == "bulk"


@pytest.mark.parametrize(
    ("code", "stage"), [(0, "off"), (7, "float"), (9, "slave"), (77, "unknown")]
)
def test_stages_have_names(code, stage):
    class Staged(TristarController):
        def _state_of(self, battery_mv, factor):
            return code

    assert Bench(kind=Staged).meter.battery().stage == stage


# As a slave


def test_a_limit_is_a_current_that_must_be_repeated():
    bench = Bench()
    assert isinstance(bench.meter, Curtailable)
    assert (bench.meter.revert_ms, bench.meter.limited_mw) == (60_000, None)
    bench.meter.limit(125_000)
    assert bench.meter.limited_mw <= 125_000
    assert bench.meter.limited_mw == pytest.approx(125_000, abs=60)
    assert bench.controller.limit_mw <= 125_000
    assert bench.meter.sample().power_mw == pytest.approx(-125_000, abs=100)
    bench.now_s = 59
    bench.meter.limit(125_000)
    bench.now_s = 118
    assert bench.meter.limited_mw is not None
    bench.now_s = 119.1
    assert bench.meter.limited_mw is None
    assert bench.meter.values(("faults",)) == {"faults": 1 << 11}


def test_a_slave_holds_the_voltage_that_it_aimed_at_before():
    bench = Bench()
    (target,) = bench.port.read_words(1, 3, 0x33, 1)
    bench.meter.limit(125_000)
    bench.meter.limit(100_000)
    assert bench.port.read_words(1, 3, 0x59, 1) == (target,)
    assert [each for each in bench.writes() if each.startswith("060059")] == [
        f"060059{target:04x}"
    ] * 2


def test_a_limit_of_nothing_is_the_smallest_current():
    bench = Bench()
    bench.meter.limit(0)
    assert bench.port.read_words(1, 3, 0x58, 1) == (1,)
    assert bench.controller.limit_mw == 25
    assert bench.meter.limited_mw == 30


def test_an_ended_limit_leaves_no_fault():
    bench = Bench()
    bench.meter.limit(125_000)
    bench.meter.limit(None)
    assert bench.meter.limited_mw is None
    assert bench.meter.sample().power_mw == pytest.approx(-500_000, abs=60)
    bench.now_s = 100
    assert bench.meter.values(("faults",)) == {"faults": 0}
    written = len(bench.writes())
    bench.meter.limit(None)
    assert len(bench.writes()) == written


def test_at_night_a_limit_is_taken_and_holds_nothing():
    bench = Bench(Plant(pv_voltage_mv=0))
    bench.meter.limit(100_000)
    assert bench.port.read_words(1, 3, 0x58, 2)[1] == 0
    assert bench.meter.limited_mw is None


def test_firmware_without_the_reference_is_named_with_another_way():
    class Reserved(TristarController):
        def write_word(self, address, word):
            """Echo it and keep nothing."""

    with pytest.raises(LimitRefused, match=r'limit_by = "charge_disconnect"'):
        Bench(kind=Reserved).meter.limit(100_000)


def test_without_a_battery_voltage_no_limit_is_reckoned():
    bench = Bench(Plant(battery_mv=0))
    with pytest.raises(TransientHardwareError, match="no battery voltage"):
        bench.meter.limit(100_000)
    assert bench.writes() == []


# By coil 2


def test_it_may_be_disconnected_instead():
    bench = Bench(limit_by="charge_disconnect")
    assert bench.meter.revert_ms == 0
    bench.meter.limit(100_000)
    bench.meter.limit(50_000)
    assert (bench.meter.limited_mw, bench.controller.limit_mw) == (0, 0)
    bench.meter.limit(None)
    assert bench.meter.limited_mw is None
    assert bench.writes() == ["050002ff00", "0500020000"]


def test_a_limit_above_its_rating_disconnects_nothing():
    bench = Bench(limit_by="charge_disconnect")
    bench.meter.limit(60 * 12_600)
    assert bench.meter.limited_mw is None
    bench.meter.limit(60 * 12_400)
    assert bench.meter.limited_mw == 0


def test_a_coil_that_keeps_nothing_is_named():
    class Stubborn(TristarController):
        def write_bit(self, address, on):
            """Echo it and do nothing."""

    with pytest.raises(LimitRefused, match="coil 2 does not keep"):
        Bench(kind=Stubborn, limit_by="charge_disconnect").meter.limit(0)


# Who answers


@pytest.mark.parametrize("limit_by", ["slave_current", "charge_disconnect"])
def test_nothing_is_written_to_another_device(limit_by):
    """The same bytes would switch the load of an EPEver controller on."""
    bench = Bench(limit_by=limit_by)
    bench.controller.faults.switch("wrong_model", True)
    for power_mw in (0, None):
        with pytest.raises(WrongDevice, match="'Tracer2215BN', want Morningstar"):
            bench.meter.limit(power_mw)
    assert bench.writes() == []


def test_a_device_that_does_not_tell_its_name_is_no_tristar():
    class Nameless(TristarController):
        def identification(self):
            raise Refusal(1)

    with pytest.raises(WrongDevice, match="does not tell its name"):
        Bench(kind=Nameless).meter.sample()


def test_a_unit_is_told_by_its_serial_number():
    assert Bench(serial="12345678").meter.sample().power_mw is not None
    with pytest.raises(WrongDevice, match="12345678"):
        Bench(serial="87654321").meter.sample()


def test_after_a_silence_it_is_asked_anew():
    bench = Bench()
    bench.meter.limit(None)
    bench.controller.faults.switch("silent", True)
    with pytest.raises(BusTimeout):
        bench.meter.limit(0)
    bench.controller.faults.switch("silent", False)
    bench.controller.faults.switch("wrong_model", True)
    with pytest.raises(WrongDevice):
        bench.meter.limit(0)
    assert bench.writes() == []


def test_a_bad_way_to_limit_is_a_finding():
    given = {"address": 1, "limit_by": "shouting"}
    (finding,) = catalog.check_meter("tristar_mppt", "modbus_rtu", given)
    assert finding.key == "limit_by"
    assert "slave_current" in finding.rule
