from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import EXAMPLE, boot_warnings, load_config, parse_config, safety_warnings
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


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('fuel = "solar" ', 'fuel = "sun" ', 'fuel: "sun" is none of "solar", "wind"'),
        ('"Upper Mill"', '"46.53071, 7.4"', "location: at most two decimals (1 km)"),
        ('"Upper Mill"', f'"{"x" * 49}"', "location: at most 48 characters"),
        ('"Upper Mill"', '"<b>Mill"', "location: a place in letters"),
    ],
)
def test_what_a_source_cannot_be(old, new, words):
    text = EXAMPLE.replace(old, new)
    (finding,) = told(text)
    assert words in finding
    assert finding.startswith(f"{HERE}:{line_of(text, new)}: meter 1 (dep1-pv): ")


def test_only_what_gives_energy_has_a_fuel():
    text = EXAMPLE.replace('purpose = "consumption"\n', 'purpose = "consumption"\nfuel = "wind"\n')
    (finding,) = told(text)
    assert finding.endswith(
        "meter 2 (dep1-load): fuel: a meter for consumption has no fuel: generation, storage, "
        "net have"
    )


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
            'load = "dep1-load"',
            'meter "dep1-load" is not of purpose "appliance" or "generation"',
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


def test_two_meters_on_one_vedirect_cable():
    text = EXAMPLE.replace('kind = "i2c"\ndevice = "/dev/i2c-1"', 'kind = "vedirect"\ndevice = "x"')
    found = [each for each in told(text) if "cable" in each]
    assert len(found) == 2
    assert 'bus "i2c1" is a cable to one device, and meter 1 (line 25) listens to it' in found[0]


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


# relays on buses, and what sits on one address

BOARD = """
[[bus]]
name = "rs485"
kind = "modbus_rtu"
device = "/dev/ttyUSB0"
baud = 9600

[[relay]]
relay = "pump"
model = "waveshare_relay"
bus = "rs485"
channel = 1
deenergised = "cut"
not_failsafe = true
rated_w = 40
"""
LATCHING = """
[[relay]]
relay = "valve"
model = "latching_relay"
set_pin = 20
reset_pin = 21
active_high = true
deenergised = "cut"
not_failsafe = true
rated_w = 40
"""
INA3221 = """
[[meter]]
meter_id = "dep1-a"
model = "ina3221"
bus = "i2c1"
address = 0x42
channel = 1
shunt_mohm = 100
key = "keys/dep1-a.pem"
purpose = "consumption"
rated_w = 40
"""


def test_relays_on_pins_and_on_buses_stand_side_by_side():
    config = parse_config(EXAMPLE + BOARD + LATCHING, HERE)
    assert [(each.model, each.bus, each.not_failsafe) for each in config.relay] == [
        ("gpio_relay", "", False),
        ("waveshare_relay", "rs485", True),
        ("latching_relay", "", True),
    ]
    assert config.relay[1].options == {"channel": 1}
    assert config.relay[2].options == {"set_pin": 20, "reset_pin": 21, "active_high": True}
    assert list(boot_warnings(config)) == []
    assert [each.split(": ")[0] for each in safety_warnings(config)] == [
        "relay pump (on bus rs485) is not fail-safe",
        "relay valve (a latching_relay) is not fail-safe",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "not_failsafe = true\n",
            "",
            "not_failsafe: a waveshare_relay stays as it is when node, wire or supply fail; say "
            "not_failsafe = true if its load bears that",
        ),
        ("not_failsafe = true", "not_failsafe = false", "not_failsafe: a waveshare_relay stays"),
        (
            'bus = "rs485"\n',
            "",
            'missing key "bus": a waveshare_relay sits on a bus of kind modbus_rtu or modbus_tcp',
        ),
        ('bus = "rs485"', 'bus = "rs-485"', 'no bus is named "rs-485"; did you mean "rs485"?'),
        ('bus = "rs485"', 'bus = "i2c1"', "waveshare_relay wants a bus of kind modbus_rtu or"),
        ("channel = 1", "channel = 33", "channel = 33: want the relay's number on its board"),
        ("channel = 1\n", "", "channel: is missing, want the relay's number on its board"),
        ("channel = 1", "channel = 1\npin = 4", 'unknown key "pin"'),
        ('"waveshare_relay"', '"waveshare"', 'model: "waveshare" is none of "gpio_relay"'),
    ],
)
def test_each_fault_of_a_relay_on_a_bus_has_its_sentence(old, new, message):
    assert old in BOARD
    (finding,) = told(EXAMPLE + BOARD.replace(old, new))
    assert message in finding
    assert "(pump)" in finding


def test_a_relay_on_a_pin_has_no_bus_and_a_latching_one_two_pins_of_its_own():
    (finding,) = told(EXAMPLE.replace("pin = 17", 'pin = 17\nbus = "i2c1"'))
    assert "gpio_relay wants pins of this node and no bus" in finding
    (finding,) = told(EXAMPLE + LATCHING.replace("reset_pin = 21", "reset_pin = 17"))
    assert 'reset_pin = "17" is that of relay 1 (line ' in finding
    (finding,) = told(EXAMPLE + LATCHING.replace("reset_pin = 21", "reset_pin = 20"))
    assert "reset_pin = 20: is the set_pin too; each coil has its own" in finding
    low = LATCHING.replace("set_pin = 20", "set_pin = 3")
    (warning,) = boot_warnings(parse_config(EXAMPLE + low, HERE))
    assert "relay valve: GPIO3 is pulled up while the Pi boots" in warning


def second(table, **changes):
    """Return a table once more, with other values; None takes a line out."""
    lines = [line for line in table[table.rindex("[[") :].splitlines() if line]
    for key, value in changes.items():
        lines = [line for line in lines if not line.startswith(f"{key} =")]
        lines += [] if value is None else [f"{key} = {value}"]
    return "\n".join(["", *lines, ""])


def test_channels_of_one_board_share_its_address_and_two_relays_no_channel():
    other = second(BOARD, relay='"fan"', channel=2)
    assert len(parse_config(EXAMPLE + BOARD + other, HERE).relay) == 3
    (finding,) = told(EXAMPLE + BOARD + second(BOARD, relay='"fan"'))
    assert 'channel 1 of address 0x01 on bus "rs485" is that of relay 2' in finding
    lc = {"relay": '"fan"', "model": '"lc_relay"', "channel": 2}
    (finding,) = told(EXAMPLE + BOARD + second(BOARD, **lc, address=1))
    assert 'address 0x01 on bus "rs485" is that of relay 2' in finding
    first = BOARD.replace("waveshare_relay", "lc_relay")
    (finding,) = told(EXAMPLE + first + second(BOARD, **lc, dialect='"r4d8"'))
    assert "dialect = 'r4d8': relay 2 is a part of the same device and has 'lc'" in finding


def test_a_relay_board_and_a_meter_do_not_share_an_address():
    meter = second(
        EXAMPLE[: EXAMPLE.index("[[relay]]")],
        meter_id='"mains"',
        model='"sdm120"',
        bus='"rs485"',
        address=1,
        key='"keys/mains.pem"',
        purpose='"consumption"',
        parent=None,
        shunt_mohm=None,
        current_max_ma=None,
    )
    (finding,) = told(EXAMPLE + BOARD + meter)
    assert 'address 0x01 on bus "rs485" is that of meter 4' in finding
    assert "(pump)" in finding


def test_three_meters_on_one_ina3221_agree_about_its_settings():
    other = {"meter_id": '"dep1-b"', "key": '"keys/dep1-b.pem"'}
    text = EXAMPLE + INA3221
    assert len(parse_config(text + second(INA3221, **other, channel=3), HERE).meter) == 5
    (finding,) = told(text + second(INA3221, **other))
    assert 'channel 1 of address 0x42 on bus "i2c1" is that of meter 4' in finding
    (finding,) = told(text + second(INA3221, **other, channel=2, samples_averaged=16))
    assert "samples_averaged = 16: meter 4 is a part of the same device and has 4" in finding


def test_an_interlock_group_has_one_holder():
    pin = EXAMPLE.replace("pin = 17", 'pin = 17\ninterlock = "one"')
    (finding,) = told(pin + BOARD.replace("channel = 1", 'channel = 1\ninterlock = "one"'))
    assert 'interlock: "one" is a group of relays on pins; this one is on bus "rs485"' in finding


PARTS = """
[[bus]]
name = "line"
kind = "modbus_tcp"
host = "127.0.0.1"

[[meter]]
meter_id = "roof"
model = "sunspec"
bus = "line"
address = 7
key = "keys/roof.pem"
purpose = "generation"
rated_w = 3000

[[meter]]
meter_id = "shed"
model = "epever_tracer"
bus = "line"
address = 8
key = "keys/shed.pem"
purpose = "generation"
rated_w = 200

[[relay]]
relay = "roof-limit"
model = "sunspec_limit"
bus = "line"
address = 7
deenergised = "fed"
load = "roof"
rated_w = 3000

[[relay]]
relay = "shed-load"
model = "epever_load"
bus = "line"
address = 8
deenergised = "cut"
not_failsafe = true
rated_w = 100
"""


def test_what_is_a_part_of_a_metered_device_shares_its_address():
    config = parse_config(EXAMPLE + PARTS, HERE)
    assert [each.setpoint for each in config.relay] == ["", "limit", ""]
    assert [each.rules.setpoint_mw_max for each in config.relay] == [None, 3_000_000, None]
    (finding,) = told(EXAMPLE + PARTS.replace("address = 8", "address = 7"))[:1]
    assert 'address 0x07 on bus "line" is that of meter 4' in finding
    two = second(PARTS, relay='"shed-lamp"')
    assert 'address 0x08 on bus "line" is that of relay 3' in told(EXAMPLE + PARTS + two)[0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('deenergised = "fed"', 'deenergised = "cut"', 'when nobody holds it: say "fed"'),
        ('load = "roof"', 'load = "dep1-heater"', 'needs a meter of purpose "generation"'),
        ('load = "roof"\n', "", 'needs a meter of purpose "generation"'),
        ("not_failsafe = true\n", "", "a epever_load stays as it is"),
    ],
)
def test_each_fault_of_a_set_point_has_its_sentence(old, new, message):
    assert old in PARTS
    (finding,) = told(EXAMPLE + PARTS.replace(old, new))
    assert message in finding


def test_a_battery_has_a_meter_of_its_own_kind():
    house = PARTS.replace("sunspec_limit", "sunspec_storage").replace('"roof-limit"', '"store"')
    (finding,) = told(EXAMPLE + house)
    assert 'load: a sunspec_storage needs a meter of purpose "storage"' in finding
    config = parse_config(EXAMPLE + house.replace('"generation"', '"storage"', 1), HERE)
    rules = config.relay[1].rules
    assert (rules.setpoint_mw_max, rules.is_battery) == (3_000_000, True)


SHIFTABLE = """
[relay.shiftable]
window_from = "22:00"
window_until = "06:00"
run_minutes = 180
"""


def test_a_load_that_may_wait_has_a_window_and_a_need():
    (relay,) = parse_config(EXAMPLE + SHIFTABLE, HERE).relay
    assert relay.shift == (22 * 60, 6 * 60, 180 * 60_000, "fed")
    assert relay.options == {"pin": 17, "active_high": True}
    by_energy = SHIFTABLE.replace("run_minutes = 180", "energy_wh = 100")
    (relay,) = parse_config(EXAMPLE + by_energy, HERE).relay
    assert relay.shift.run_ms == 100 * 3_600_000 // 40  # at the 40 W it is rated for
    assert parse_config(EXAMPLE, HERE).relay[0].shift is None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"22:00"', '"24:00"', 'window_from: "24:00" is no time of day like 22:00 (UTC)'),
        ('"06:00"', '"6"', 'window_until: "6" is no time of day'),
        ("run_minutes = 180", "run_minutes = 0", "needs run_minutes or energy_wh, one of them"),
        ("run_minutes = 180", "run_minutes = 9\nenergy_wh = 9", "run_minutes or energy_wh, one"),
        ("run_minutes = 180", "run_minutes = 481", "its window has 480 minutes, and it needs 481"),
        ("run_minutes = 180", "energy_wh = 321", "its window has 480 minutes, and it needs 482"),
        ("run_minutes = 180", "run_minutes = 180\nrun = 1", "run"),
    ],
)
def test_each_fault_of_a_load_that_may_wait_has_its_sentence(old, new, words):
    (finding, *_) = told(EXAMPLE + SHIFTABLE.replace(old, new))
    assert words in finding
    assert "relay 1" in finding


def test_a_generator_waits_for_nothing():
    text = EXAMPLE.replace('load = "dep1-heater"', 'load = "dep1-pv"')
    assert '"dep1-pv" gives energy: not shiftable' in " ".join(told(text + SHIFTABLE))


def test_a_critical_load_waits_for_nothing():
    (finding,) = told(EXAMPLE + "critical = true\n" + SHIFTABLE)
    assert finding.endswith("a critical load waits for nothing: not shiftable")
