"""What every meter of the catalog must do, on every wire it can sit on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from hardware import catalog
from hardware.errors import HardwareError, TransientHardwareError, WrongDevice
from hardware.modelfile import SAMPLE_UNITS, shipped_model, shipped_names
from hardware.ports import Counting, EnergyMeter, Manners, Sample
from tests.support.hardware_bench import WIRES, Bench, ModbusDirect, open_bench
from tests.support.vector_device import VectorDevice

VECTORS = Path(__file__).parents[2] / "vectors"
CASES = [(model, wire) for model in catalog.METERS for wire in WIRES.get(model, ())]
PLAIN = [name for name in shipped_names() if name not in catalog.METERS_IN_PYTHON]
"""Models that are a file and nothing else."""


@pytest.fixture(params=CASES, ids="-".join)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Bench]]:
    model, wire = request.param
    with open_bench(model, wire, tmp_path) as bench:
        yield model, bench


class UntouchedBus:
    """A bus on which every use of the wire is a failure."""

    def heed(self, device: int, manners: Manners) -> None:
        """Hear what a device asks of the line: nothing is sent for that."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"touched the bus: {name}")


REQUIRED = {
    **{model: {"address": 1} for model in catalog.METERS},
    "ina219": {"shunt_mohm": 100, "current_max_ma": 3200},
    "ina226": {"shunt_mohm": 20, "current_max_ma": 3200},
    "ina3221": {"channel": 1, "shunt_mohm": 100},
    "vedirect": {},
    "vedirect_hex": {},
}


def test_each_bench_has_each_bus_of_its_model():
    for model, wires in WIRES.items():
        assert set(wires) == {"direct", *catalog.METERS[model].bus_kinds}


def test_only_a_plain_file_may_come_without_a_simulated_twin():
    """Its vectors stand in for the twin: adding a meter is one model file and one vector file."""
    assert set(WIRES) <= set(catalog.METERS)
    assert set(catalog.METERS) - set(WIRES) <= set(PLAIN)


@pytest.mark.parametrize("name", PLAIN)
def test_the_vectors_of_a_model_file_hold_a_whole_sample(name):
    model = shipped_model(name)
    device = VectorDevice(model, json.loads((VECTORS / f"{name}.json").read_text()))
    feeds = {field: getattr(model.table.sample, field) for field in SAMPLE_UNITS}
    feeding = [model.register(each.removeprefix("-")) for row in feeds.values() for each in row]
    assert [register.name for register in feeding if not device.holds(register)] == []
    sample = catalog.make_meter(name, ModbusDirect(device), {"address": 1}).sample()
    assert sample.quality == ""
    for field, sources in feeds.items():
        assert (getattr(sample, field) is None) == (not sources), field


@pytest.mark.parametrize("model", catalog.METERS)
def test_each_model_has_vectors_with_their_source(model):
    vectors = json.loads((VECTORS / f"{model}.json").read_text())
    assert vectors["model"] == model
    assert vectors["source"]


@pytest.mark.parametrize("model", catalog.METERS)
def test_making_a_meter_touches_no_wire(model):
    meter = catalog.make_meter(model, UntouchedBus(), REQUIRED[model])
    assert isinstance(meter, EnergyMeter)
    meter.close()


def test_quantities_are_integers_or_not_measured(case):
    _model, bench = case
    bench.measure(power_mw=-24_000, export_uwh=10**12)
    sample = bench.meter.sample()
    for field in fields(Sample):
        value = getattr(sample, field.name)
        wanted = {"quality": str, "counting": Counting}.get(field.name, int)
        assert value is None or type(value) is wanted, field.name
    assert sample.power_mw is not None
    assert sample.quality == ""


def test_export_is_negative_power_where_the_device_knows_a_direction(case):
    _model, bench = case
    bench.measure(power_mw=-24_000)
    assert bench.meter.sample().power_mw == bench.near(-24_000)


def test_counters_are_there_exactly_where_the_catalog_says_so(case):
    model, bench = case
    bench.measure(power_mw=-24_000, export_uwh=5 * 10**9)
    sample = bench.meter.sample()
    counters = (sample.energy_import_uwh, sample.energy_export_uwh)
    if not catalog.METERS[model].has_counters:
        assert counters == (None, None)
    elif bench.has_direction:
        assert sample.energy_export_uwh == 5 * 10**9
    else:
        assert counters == (5 * 10**9, None)


def test_a_counter_that_grows_never_falls(case):
    model, bench = case
    if not catalog.METERS[model].has_counters:
        pytest.skip(f"{model} counts nothing")
    seen = []
    for step in range(40):
        bench.measure(export_uwh=999_999_000_000 + step * 123_457)
        seen.append(bench.counted(bench.meter.sample()))
    assert seen == sorted(seen)
    assert abs(seen[-1] - (999_999_000_000 + 39 * 123_457)) <= bench.step_uwh


def test_a_device_that_is_gone_is_transient_and_comes_back_by_itself(case):
    _model, bench = case
    bench.measure(power_mw=-12_000)
    before = bench.meter.sample()
    bench.faults.switch(bench.gone, True)
    with pytest.raises(TransientHardwareError, match=r"device 1|0x40|vedirect"):
        bench.meter.sample()
    bench.faults.switch(bench.gone, False)
    assert bench.meter.sample() == before


def test_a_device_may_be_absent_at_the_start(case):
    _model, bench = case
    bench.measure(power_mw=-12_000)
    bench.faults.switch(bench.gone, True)
    with pytest.raises(TransientHardwareError):
        bench.meter.sample()
    bench.faults.switch(bench.gone, False)
    assert bench.meter.sample().power_mw == bench.near(-12_000)


def test_another_model_is_refused_by_name(case):
    model, bench = case
    if not bench.wrong:
        pytest.skip(f"{model} has no identification; its read-back is tested with the driver")
    bench.faults.switch(bench.wrong, True)
    with pytest.raises(WrongDevice, match=model):
        bench.meter.sample()


def test_a_closed_meter_leaves_its_bus_to_others(case):
    _model, bench = case
    bench.measure(power_mw=-12_000)
    bench.meter.close()
    assert bench.meter.sample().power_mw == bench.near(-12_000)


@pytest.mark.parametrize("fault", ["frozen", "lie", "noise"])
def test_a_sensor_that_lies_is_visible_in_its_samples(case, fault):
    model, bench = case
    bench.measure(power_mw=-20_000, export_uwh=10**10)
    honest = bench.meter.sample()
    bench.faults.switch(fault, True)
    told = [bench.meter.sample()]
    bench.measure(power_mw=-24_000, export_uwh=3 * 10**10)
    told += [bench.meter.sample() for _ in range(8)]
    powers = [sample.power_mw for sample in told]
    match fault:
        case "frozen":
            assert told == [honest] * 9
        case "lie":
            assert powers == [bench.near(-10_000)] + [bench.near(-12_000)] * 8
            if catalog.METERS[model].has_counters:
                assert bench.counted(told[-1]) == 2 * 10**10
        case _:
            assert len(set(powers)) > 2
            honest_mw = bench.near(-24_000).expected
            assert powers[1:] == pytest.approx([honest_mw] * 8, rel=0.05)


@pytest.mark.parametrize("model", catalog.METERS)
@pytest.mark.parametrize(
    ("key", "value"),
    [("address", "1"), ("address", True), ("address", 0), ("address", 4096), ("colour", 3)],
)
def test_a_bad_option_is_named(model, key, value):
    bus_kind = catalog.METERS[model].bus_kinds[0]
    findings = catalog.check_meter(model, bus_kind, {**REQUIRED[model], key: value})
    assert [(finding.key, finding.value) for finding in findings] == [(key, value)]
    with pytest.raises(HardwareError, match=key):
        catalog.make_meter(model, UntouchedBus(), {**REQUIRED[model], key: value})


@pytest.mark.parametrize("model", catalog.METERS)
def test_all_findings_come_at_once(model):
    findings = catalog.check_meter(model, "carrier-pigeon", {"address": 1.5, "colour": 3})
    missing = [key for key in REQUIRED[model] if key != "address"]
    assert [finding.key for finding in findings] == ["address", "colour", *missing, "bus"]
