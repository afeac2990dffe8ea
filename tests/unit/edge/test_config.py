from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import EXAMPLE, boot_warnings, load_config, parse_config
from edge.errors import ConfigError

HERE = Path("/tmp/edge.toml")


def told(text):
    with pytest.raises(ConfigError) as caught:
        parse_config(text, HERE)
    return list(caught.value.findings)


def line_of(text, part):
    return next(n for n, line in enumerate(text.splitlines(), 1) if part in line)


def test_the_example_is_a_whole_file():
    config = parse_config(EXAMPLE, HERE)
    assert config.key == "/tmp/keys/dep1.pem"
    assert config.state == "/tmp/state-dep1"
    assert config.guard.socket == "/tmp/state-dep1/guard.sock"
    assert config.broker.password_file == "/tmp/dep1.password"
    assert config.sampling.gap_ms == 5000
    assert [each.options["address"] for each in config.meter] == [0x40, 0x41, 0x44]
    assert [each.member for each in config.meter] == ["alice"] * 3
    assert config.relay[0].switches_per_minute_max == 6
    assert config.relay[0].options == {"pin": 17, "active_high": True}
    assert config.simulation is None


def test_simulation_paths_and_pace(tmp_path):
    text = EXAMPLE + '[simulation]\nwire = "unix:wire.sock"\nclock = "unix:clock.sock"\n'
    config = parse_config(text + 'journal = "journal.txt"\n', tmp_path / "edge.toml")
    assert config.simulation.wire == f"{tmp_path}/wire.sock"
    assert config.simulation.clock == f"{tmp_path}/clock.sock"
    assert config.simulation.journal == f"{tmp_path}/journal.txt"
    assert config.relay[0].switches_per_minute_max == 600


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sample_ms", "sample", 'unknown key "sample": it has no unit; did you mean "sample_ms"?'),
        ("shunt_mohm", "shunt", 'unknown key "shunt": it has no unit; did you mean "shunt_mohm"?'),
        ("pack_samples", "pack_sample", 'unknown key "pack_sample": did you mean "pack_samples"?'),
        ("port = 1883", 'port = "1883"', "port must be a whole number, got the text"),
        ("address = 0x40", 'address = "0x40"', "address = '0x40': want the I2C address"),
        ("address = 0x40", "address = 0x10", "address = 16: want the I2C address"),
        ("current_max_ma = 3200", "current_max_ma = 9000", "drops 900 mV on a shunt of 100 mohm"),
        ("0x41", "0x40", 'address 0x40 on bus "i2c1" is that of meter 1, line 26'),
        ('deenergised = "fed"', "", 'missing key "deenergised": what its load gets while the coil'),
        ('deenergised = "fed"', 'deenergised = "open"', '"open" is none of "fed", "cut"'),
        ('"dep1-load"', '"dep1-pv"', 'meter_id = "dep1-pv" is that of meter 1 (line 23)'),
        ("dep1-load.pem", "dep1-pv.pem", 'dep1-pv.pem" is that of meter 1 (line'),
        ('bus = "i2c1"', 'bus = "i2c2"', 'no bus is named "i2c2"; did you mean "i2c1"?'),
        ('kind = "i2c"', 'kind = "i3c"', '"i3c" is none of "i2c", "modbus_tcp", "modbus_rtu"'),
        ('device = "/dev/i2c-1"', "", "device: is missing, want the bus's device file"),
        ('model = "ina219"', 'model = "ina291"', 'did you mean "ina219"?'),
        ('load = "dep1-heater"', 'load = "dep1-heatr"', 'no meter is named "dep1-heatr"; did you'),
        (
            'load = "dep1-heater"',
            'load = "dep1-pv"',
            'meter "dep1-pv" is not of purpose "appliance"',
        ),
        ('parent = "dep1-load"', "", 'missing key "parent": an appliance is a part of'),
        ("pin = 17", "pin = 99", "pin = 99: want a BCM GPIO number"),
        ("pin = 17", "", "pin: is missing, want a BCM GPIO number"),
        ("slot_ms = 900000", "slot_ms = 900500", "900500 is no whole number of samples of 1000 ms"),
        ('state = "state-dep1"', f'state = "{"s" * 120}"', "is longer than a socket's path may be"),
        ('node = "dep1" ', 'node = "Dep 1" ', 'node: "Dep 1": a name has 1 to 32 of a-z'),
    ],
)
def test_each_fault_has_its_line_and_its_sentence(old, new, message):
    text = EXAMPLE.replace(old, new, 1)
    assert text != EXAMPLE
    findings = told(text)
    assert len(findings) == 1, findings
    assert findings[0].startswith(f"{HERE}:")
    assert message in findings[0]


def test_all_findings_come_at_once_with_their_lines():
    text = (
        EXAMPLE.replace("sample_ms", "sample").replace("0x41", "0x40").replace("rated_w", "rated")
    )
    findings = told(text.replace("pin = 17", "pin = true"))
    lines = [int(each.split(":")[1]) for each in findings]
    assert lines == sorted(lines)
    assert [each.split(": ", 1)[1] for each in findings] == [
        'sampling: unknown key "sample": it has no unit; did you mean "sample_ms"?',
        'meter 1 (dep1-pv): unknown key "rated": it has no unit; did you mean "rated_w"?',
        'meter 2 (dep1-load): address 0x40 on bus "i2c1" is that of meter 1, line 26',
        'meter 2 (dep1-load): unknown key "rated": it has no unit; did you mean "rated_w"?',
        'meter 3 (dep1-heater): unknown key "rated": it has no unit; did you mean "rated_w"?',
        "relay 1 (dep1-heater-relay): pin = True: want a BCM GPIO number of the 40-pin header, "
        "a whole number from 0 to 27",
        'relay 1 (dep1-heater-relay): unknown key "rated": it has no unit; did you mean "rated_w"?',
    ]


def test_a_meter_on_the_wrong_kind_of_bus():
    bus = 'kind = "i2c"\ndevice = "/dev/i2c-1"'
    findings = told(EXAMPLE.replace(bus, 'kind = "modbus_tcp"\nhost = "gateway"'))
    assert len(findings) == 3
    assert all("ina219 wants a bus of kind i2c" in each for each in findings)


def test_two_relays_on_one_pin():
    extra = EXAMPLE[EXAMPLE.index("[[relay]]") :].replace("dep1-heater-relay", "another")
    (finding,) = told(EXAMPLE + extra)
    assert 'relay 2 (another): pin = "17" is that of relay 1 (line ' in finding


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ('wire = "wire.sock"', 'wire: "wire.sock" must be "unix:" and the path of a socket'),
        ('clock = "unix:"', 'clock: "unix:" must be "unix:" and the path of a socket'),
        ('wire = "unix:nowhere/w.sock"', "wire: there is no folder"),
        (f'wire = "unix:{"w" * 120}"', "is longer than a socket's path may be, 107 bytes"),
    ],
)
def test_bad_simulated_paths(given, message):
    (finding,) = told(f"{EXAMPLE}[simulation]\n{given}\n")
    assert message in finding


def test_a_default_address_counts_too():
    (finding,) = told(EXAMPLE.replace("address = 0x40\n", "").replace("0x41", "0x40"))
    assert 'address 0x40 on bus "i2c1" is that of meter 1' in finding


def test_a_file_that_is_not_there_and_one_that_is_not_text(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_config(tmp_path / "edge.toml")
    (tmp_path / "edge.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        load_config(tmp_path / "edge.toml")
    (tmp_path / "edge.toml").write_text(EXAMPLE)
    assert load_config(tmp_path / "edge.toml").node == "dep1"


def test_pins_that_energise_a_coil_at_boot_are_told():
    assert list(boot_warnings(parse_config(EXAMPLE, HERE))) == []
    low = parse_config(EXAMPLE.replace("pin = 17", "pin = 4"), HERE)
    assert list(boot_warnings(low)) == [
        "relay dep1-heater-relay: GPIO4 is pulled up while the Pi boots, which energises the coil; "
        "pull it down with 10 kOhm or take another pin"
    ]
    inverted = parse_config(EXAMPLE.replace("active_high = true", "active_high = false"), HERE)
    assert "GPIO17 is pulled down" in next(boot_warnings(inverted))


ANYTHING = st.sampled_from(
    ["1", "-1", '"x"', "true", "[]", "[1]", "{}", "{a=1}", "1.5", "[[]]", "1979-05-27", '""', "nan"]
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_nothing_in_a_file_is_a_traceback(data):
    lines = EXAMPLE.splitlines()
    for place in data.draw(st.lists(st.integers(0, len(lines) - 1), min_size=1, max_size=4)):
        if " = " in lines[place]:
            lines[place] = lines[place].split(" = ")[0] + " = " + data.draw(ANYTHING)
    with suppress(ConfigError):
        parse_config("\n".join(lines), HERE)
