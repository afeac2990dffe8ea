"""The doctor over machines made of files: a good Pi, and one broken thing at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.config import parse_config
from edge.doctor.checks import CHECKS, examine
from edge.doctor.machine import Machine

GOOD: Mapping[str, str] = {
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n',
    "etc/passwd": "root:x:0:0::/root:/bin/bash\npi:x:1000:1000::/home/pi:/bin/bash\n",
    "etc/group": "pi:x:1000:\ni2c:x:998:pi\ngpio:x:997:pi\ndialout:x:20:someone,pi\n",
    "boot/firmware/config.txt": (
        "# a comment\n[all]\ndtparam=i2c_arm=on\nenable_uart=1\ndtparam=strict_gpiod\n"
        "gpio=17=op,dl   # relay\n"
    ),
    "boot/firmware/cmdline.txt": "root=PARTUUID=1-02 rootwait\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "0\n",
    "sys/class/thermal/thermal_zone0/temp": "48312\n",
    "sys/class/rtc/rtc0": "",
    "etc/systemd/system.conf.d/watchdog.conf": "[Manager]\nRuntimeWatchdogSec=15\n",
    "run/systemd/timesync/synchronized": "",
    "proc/uptime": "86400.00 100.0\n",
    "proc/diskstats": " 179 0 mmcblk0 1 0 8 1 1 0 2000 1 0 1 1\n",
    "proc/mounts": "/dev/mmcblk0p2 / ext4 rw,noatime 0 0\n",
    "proc/swaps": "Filename Type Size\n",
}
CONFIG = """
node = "dep1"
microgrid = "bench"
member = "alice"
state = "state"
[sampling]
sample_ms = 1000
slot_ms = 60000
[[bus]]
name = "i2c1"
kind = "i2c"
device = "/dev/i2c-1"
[[bus]]
name = "rs485"
kind = "modbus_rtu"
device = "/dev/serial0"
baud = 9600
[[meter]]
meter_id = "load"
model = "ina219"
bus = "i2c1"
shunt_mohm = 100
current_max_ma = 3200
key = "keys/load.pem"
purpose = "consumption"
rated_w = 40
[[relay]]
relay = "heater"
pin = 17
active_high = true
deenergised = "fed"
rated_w = 40
"""


def machine(folder: Path, files: Mapping[str, str], user: str = "") -> Machine:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Machine(folder, user)


def config(tmp_path: Path, text: str = CONFIG):
    return parse_config(text, tmp_path / "edge.toml")


def states(findings) -> dict[str, str]:
    return {each.name: each.state for each in findings}


def one(findings, name: str):
    return next(each for each in findings if each.name == name)


def test_a_good_pi_has_nothing_wrong(tmp_path):
    findings = examine(machine(tmp_path, GOOD), config(tmp_path))
    assert {name for name, state in states(findings).items() if state in ("wrong", "note")} == set()
    assert states(findings)["relay heater"] == "ok"
    assert one(findings, "board").found == "Raspberry Pi 4 Model B Rev 1.4"
    assert one(findings, "card writes").found == "1 MB a day since it booted"


BROKEN = [
    ("groups", {"etc/group": "pi:x:1000:\n"}, "sudo usermod -aG dialout,gpio,i2c pi"),
    (
        "system",
        {"etc/os-release": 'PRETTY_NAME="Raspbian 11"\nID=raspbian\nVERSION_ID="11"\n'},
        "newer",
    ),
    ("power", {"sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n"}, "supply"),
    ("power", {"sys/devices/platform/soc/soc:firmware/get_throttled": "10000\n"}, "supply"),
    ("i2c", {"boot/firmware/config.txt": "enable_uart=1\n"}, "do_i2c 0"),
    ("uart", {"boot/firmware/cmdline.txt": "console=serial0,115200 root=x\n"}, "do_serial_cons 1"),
    ("uart", {"boot/firmware/config.txt": "dtparam=i2c_arm=on\n"}, "do_serial_hw 0"),
    ("strict_gpiod", {"boot/firmware/config.txt": "dtparam=i2c_arm=on\n"}, "dtparam=strict_gpiod"),
    ("strict_gpiod", {"boot/firmware/config.txt": "dtparam=strict_gpiod=off\n"}, "strict_gpiod"),
    ("watchdog", {"etc/systemd/system.conf.d/watchdog.conf": ""}, "RuntimeWatchdogSec=15"),
    ("relay heater", {"boot/firmware/config.txt": "gpio=0-27=op,dh\n"}, "gpio=17=op,dl"),
    ("root", {"proc/mounts": "/dev/mmcblk0p2 / ext4 ro,noatime 0 0\n"}, "new card"),
]


@pytest.mark.parametrize(
    ("name", "files", "mend"), BROKEN, ids=[f"{n} {i}" for i, (n, *_) in enumerate(BROKEN)]
)
def test_what_is_broken_is_named_with_what_mends_it(tmp_path, name, files, mend):
    findings = examine(machine(tmp_path, {**GOOD, **files}), config(tmp_path))
    finding = one(findings, name)
    assert finding.state == "wrong"
    assert finding.why
    assert mend in finding.mend


NOTED = [
    ("swap", {"proc/swaps": "Filename Type\n/var/swap file 100\n"}),
    ("journal", {"etc/systemd/journald.conf": "[Journal]\nStorage=persistent\n"}),
    ("card writes", {"proc/diskstats": " 179 0 mmcblk0 1 0 8 1 1 0 9999999 1 0 1 1\n"}),
    ("temperature", {"sys/class/thermal/thermal_zone0/temp": "81000\n"}),
    ("power", {"sys/devices/platform/soc/soc:firmware/get_throttled": "40000\n"}),
    ("board", {"proc/device-tree/model": "Some other board\n"}),
]


@pytest.mark.parametrize(("name", "files"), NOTED, ids=[name for name, _ in NOTED])
def test_what_is_worth_knowing_is_noted(tmp_path, name, files):
    assert states(examine(machine(tmp_path, {**GOOD, **files}), None))[name] == "note"


def test_an_active_low_board_wants_the_pull_the_other_way(tmp_path):
    low = CONFIG.replace("active_high = true", "active_high = false")
    files = {**GOOD, "boot/firmware/config.txt": "gpio=17=op,dh\n"}
    assert states(examine(machine(tmp_path, files), config(tmp_path, low)))["relay heater"] == "ok"
    bare = {**GOOD, "boot/firmware/config.txt": ""}
    finding = one(examine(machine(tmp_path, bare), config(tmp_path, low)), "relay heater")
    assert finding.state == "wrong"
    assert "low while the Pi boots" in finding.found
    assert "gpio=17=op,dh" in finding.mend


def test_pins_0_to_8_are_pulled_up_without_a_line_that_says_otherwise(tmp_path):
    early = CONFIG.replace("pin = 17", "pin = 5")
    assert (
        states(examine(machine(tmp_path, GOOD), config(tmp_path, early)))["relay heater"] == "wrong"
    )
    files = {**GOOD, "boot/firmware/config.txt": "gpio=4,5=pd\n"}
    assert (
        states(examine(machine(tmp_path, files), config(tmp_path, early)))["relay heater"] == "ok"
    )


LATCHING = (
    CONFIG.partition("[[relay]]")[0]
    + """
[[relay]]
relay = "pump"
model = "latching_relay"
set_pin = 5
reset_pin = 22
active_high = true
deenergised = "cut"
not_failsafe = true
rated_w = 40
"""
)


def test_both_coils_of_a_latching_relay_are_looked_at(tmp_path):
    files = {**GOOD, "etc/group": GOOD["etc/group"].replace("gpio:x:997:pi", "gpio:x:997:")}
    findings = examine(machine(tmp_path, files), config(tmp_path, LATCHING))
    coils = [each for each in findings if each.name == "relay pump" and "GPIO" in each.found]
    assert [(each.state, each.found) for each in coils] == [
        ("wrong", "GPIO5 is high while the Pi boots, and that energises the set coil"),
        ("ok", "GPIO22 keeps the reset coil off at boot"),
    ]
    assert "gpio=5=op,dl" in coils[0].mend
    assert "not in gpio" in one(findings, "groups").found
    assert states(findings)["strict_gpiod"] == "ok"


@pytest.mark.parametrize(
    "board", ["Raspberry Pi Zero 2 W Rev 1.0", "Raspberry Pi 5 Model B Rev 1.0"]
)
def test_other_boards_and_the_older_place_of_config_txt(tmp_path, board):
    moved = {name: text for name, text in GOOD.items() if not name.startswith("boot/")}
    moved["boot/config.txt"] = GOOD["boot/firmware/config.txt"]
    moved["proc/device-tree/model"] = board
    findings = examine(machine(tmp_path, moved), None)
    assert one(findings, "board").state == "ok"
    assert "boot/config.txt" in one(findings, "i2c").found


def test_a_laptop_misses_nothing_that_only_a_pi_has(tmp_path):
    files = {"etc/os-release": GOOD["etc/os-release"], "etc/passwd": GOOD["etc/passwd"]}
    findings = examine(machine(tmp_path, files), None)
    wrong = {name for name, state in states(findings).items() if state == "wrong"}
    assert wrong == {"groups"}


def test_files_full_of_nonsense_are_no_reason_to_stop(tmp_path):
    files = dict.fromkeys(GOOD, "\0\xff = [[[ : garbage 0x")
    assert len(examine(machine(tmp_path, files), config(tmp_path))) >= len(CHECKS) - 3


def test_no_files_at_all(tmp_path):
    assert states(examine(Machine(tmp_path), None))["system"] == "unknown"


def test_the_command_reads_another_machine_and_says_so_in_json(tmp_path):
    machine(tmp_path, {**GOOD, "etc/group": ""})
    result = CliRunner().invoke(app, ["doctor", "--root", str(tmp_path), "--json"])
    assert result.exit_code == 69
    found = {each["name"]: each for each in json.loads(result.stdout)}
    assert found["groups"]["state"] == "wrong"
    assert found["pin library"]["state"] == "unknown"
    shown = CliRunner().invoke(app, ["doctor", "--root", str(tmp_path)]).stdout
    assert "WRONG  groups            pi is not in dialout, gpio, i2c" in shown
    assert "sudo usermod -aG dialout,gpio,i2c pi" in shown
    machine(tmp_path, GOOD)
    assert CliRunner().invoke(app, ["doctor", "--root", str(tmp_path)]).exit_code == 0


def test_a_configuration_that_is_wrong_ends_with_78(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text("node = 1\n")
    assert CliRunner().invoke(app, ["doctor", "--config", str(path)]).exit_code == 78


def test_a_live_node_is_asked_for_devices_broker_and_hub(tmp_path):
    path = tmp_path / "edge.toml"
    only_i2c = CONFIG.replace("/dev/i2c-1", str(tmp_path / "no-such-bus"))
    path.write_text(only_i2c.replace("[sampling]", "[broker]\nport = 1\n[sampling]"))
    result = CliRunner().invoke(app, ["doctor", "--config", str(path), "--json"])
    found = {each["name"]: each for each in json.loads(result.stdout)}
    assert found["meter load"]["state"] == "wrong"
    assert found["broker"]["state"] == "wrong"
    assert found["hub"]["state"] == "unknown"
    assert found["space"]["state"] in ("ok", "wrong")


def test_a_root_that_is_no_folder_is_told(tmp_path):
    ended = CliRunner().invoke(app, ["doctor", "--root", str(tmp_path / "none")])
    assert ended.exit_code == 69
    assert ended.stdout == ""
    assert "none: no folder with another machine's files" in ended.stderr
