"""The checks of the machine itself: board, clock, memory card, buses, pins."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Final, Literal

from edge.config import EdgeConfig
from edge.config_rules import PIN_OPTIONS
from edge.doctor.machine import CMDLINE_TXT, Machine, number_in

State = Literal["ok", "note", "wrong", "unknown"]

HOT_MC: Final = 80_000
SD_BYTES_A_DAY: Final = 2_000_000_000
SECTOR_BYTES: Final = 512
GPIOZERO_GOOD: Final = (2, 0, 1)
PULLED_UP_TO: Final = 8
COILS: Final = {"pin": "coil", "set_pin": "set coil", "reset_pin": "reset coil"}
UNDER_VOLTAGE, THROTTLED = 1 << 0, 1 << 2
SINCE_BOOT: Final = 16


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        name: what was looked at.
        state: "ok", "note" (worth knowing), "wrong", or "unknown" (cannot be seen from here).
        found: what is there.
        why: why it matters.
        mend: the line that mends it, empty if nothing is to be mended.
    """

    name: str
    state: State
    found: str
    why: str = ""
    mend: str = ""


Check = Callable[[Machine, EdgeConfig | None], Iterator[Finding]]


def board(machine: Machine, config: EdgeConfig | None) -> Iterator[Finding]:
    """What it is, and what runs on it."""
    name = machine.model or "not a board that says its name"
    yield Finding("board", "ok" if machine.is_pi else "note", name)
    release = machine.text("etc/os-release") or ""
    facts = dict(line.split("=", 1) for line in release.splitlines() if "=" in line)
    title = facts.get("PRETTY_NAME", "").strip('"')
    number = number_in(facts.get("VERSION_ID"))
    if not title:
        yield Finding("system", "unknown", "no /etc/os-release")
    elif facts.get("ID", "").strip('"') in ("debian", "raspbian") and (number or 99) < 12:
        yield Finding(
            "system",
            "wrong",
            title,
            "Python 3.11 comes with Debian 12 (Bookworm)",
            "write a newer Raspberry Pi OS to the card",
        )
    else:
        yield Finding("system", "ok", title)


def power(machine: Machine, config: EdgeConfig | None) -> Iterator[Finding]:
    """Whether the supply and the cooling are enough."""
    text = machine.text("sys/devices/platform/soc/soc:firmware/get_throttled")
    bits = _hexadecimal(text)
    mend = "take the supply made for this board, and a short thick cable"
    why = "low voltage resets USB adapters and corrupts memory cards"
    if bits is None:
        yield Finding("power", "unknown", "the firmware does not say", why)
    elif bits & UNDER_VOLTAGE:
        yield Finding("power", "wrong", "the voltage is too low right now", why, mend)
    elif bits >> SINCE_BOOT & UNDER_VOLTAGE:
        yield Finding("power", "wrong", "the voltage was too low since it booted", why, mend)
    elif bits & THROTTLED or bits >> SINCE_BOOT & THROTTLED:
        text = "it slowed itself down"
        yield Finding("power", "note", text, "it was too hot", "give it a heat sink, or air")
    else:
        yield Finding("power", "ok", "enough since it booted")
    hot = number_in(machine.text("sys/class/thermal/thermal_zone0/temp"))
    if hot is not None:
        state: State = "note" if hot >= HOT_MC else "ok"
        yield Finding("temperature", state, f"{hot // 1000} degC")


def _hexadecimal(text: str | None) -> int | None:
    try:
        return int(text or "", 16)
    except ValueError:
        return None


def groups(machine: Machine, config: EdgeConfig | None) -> Iterator[Finding]:
    """Whether the user may open buses and pins."""
    person, wanted = machine.person, _groups_wanted(config)
    if person == "root":
        yield Finding("groups", "note", "runs as root", "a node needs no root", "run as a user")
        return
    missing = sorted(wanted - machine.groups(person))
    if missing:
        yield Finding(
            "groups",
            "wrong",
            f"{person} is not in {', '.join(missing)}",
            "without them buses, ports or pins cannot be opened",
            f"sudo usermod -aG {','.join(missing)} {person}    # then log in again",
        )
    else:
        yield Finding(
            "groups", "ok", f"{person} is in {', '.join(sorted(wanted)) or 'none needed'}"
        )


def _groups_wanted(config: EdgeConfig | None) -> frozenset[str]:
    if config is None:
        return frozenset({"i2c", "dialout", "gpio"})
    kinds = {each.kind for each in config.bus}
    wanted = {"i2c"} & kinds
    wanted |= {"dialout"} if kinds & {"modbus_rtu", "vedirect"} else set()
    wanted |= {"gpio"} if _has_pins(config) else set()
    return frozenset(wanted)


def _has_pins(config: EdgeConfig) -> bool:
    return any(key in each.options for each in config.relay for key in PIN_OPTIONS)


def i2c(machine: Machine, config: EdgeConfig | None) -> Iterator[Finding]:
    """Whether the I2C bus of the header is there."""
    if config is not None and all(each.kind != "i2c" for each in config.bus):
        return
    is_on = machine.device_tree("i2c_arm") == "on" or machine.device_tree("i2c") == "on"
    devices = machine.names("dev", "i2c-*")
    if devices and (is_on or not machine.is_pi):
        yield Finding("i2c", "ok", ", ".join(f"/dev/{name}" for name in devices))
    elif is_on and not machine.is_live:
        yield Finding("i2c", "ok", f"on in {machine.config_txt}; devices are not files")
    elif machine.is_pi:
        found = "on, but there is no /dev/i2c-*" if is_on else "off"
        mend = "echo i2c-dev | sudo tee /etc/modules-load.d/i2c.conf    # then reboot"
        if not is_on:
            mend = "sudo raspi-config nonint do_i2c 0    # then reboot"
        yield Finding("i2c", "wrong", found, "INA boards sit on it", mend)
    else:
        yield Finding("i2c", "note", "no I2C bus here")


def uart(machine: Machine, config: EdgeConfig | None) -> Iterator[Finding]:
    """Whether the serial pins are free for a device."""
    if not machine.is_pi:
        return
    wanted = config is not None and any(
        str(each.options.get("device", "")).startswith(("/dev/serial", "/dev/ttyAMA", "/dev/ttyS"))
        and "by-id" not in str(each.options.get("device"))
        for each in config.bus
    )
    console = "console=serial" in (machine.text(*CMDLINE_TXT) or "")
    is_on = (machine.firmware("enable_uart") or ("0",))[-1] == "1"
    if not wanted:
        yield Finding(
            "uart", "ok", "not used by any bus" if config else f"{'on' if is_on else 'off'}"
        )
    elif console:
        yield Finding(
            "uart",
            "wrong",
            "a login console sits on the serial pins",
            "what it prints garbles every request",
            "sudo raspi-config nonint do_serial_cons 1    # then reboot",
        )
    elif not is_on:
        yield Finding(
            "uart",
            "wrong",
            "off",
            "the bus cannot be opened",
            "sudo raspi-config nonint do_serial_hw 0",
        )
    else:
        yield Finding("uart", "ok", "on, without a console")


def pin_factory(machine: Machine, config: EdgeConfig | None) -> Iterator[Finding]:
    """Whether pins move through lgpio, the one library that works on every Pi."""
    if config is not None and not _has_pins(config):
        return
    if not machine.is_live:
        yield Finding("pin library", "unknown", "cannot be seen from files")
        return
    try:
        number = version("gpiozero")
    except PackageNotFoundError:
        number = "none"
    if importlib.util.find_spec("lgpio") is None:
        state: State = "wrong" if machine.is_pi else "note"
        mend = "sudo apt install python3-lgpio, or pip install lgpio"
        yield Finding("pin library", state, "lgpio is not installed", "relays need it", mend)
    elif _numbers(number) < GPIOZERO_GOOD:
        mend = "pip install 'gpiozero>=2.0.1.post3'"
        yield Finding(
            "pin library", "wrong", f"gpiozero {number}", "a Pi 5 needs a newer one", mend
        )
    else:
        yield Finding("pin library", "ok", f"gpiozero {number} on lgpio")


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())


def relay_pulls(machine: Machine, config: EdgeConfig | None) -> Iterator[Finding]:
    """Whether each coil stays off while the Pi boots."""
    set_by_firmware = dict(_firmware_pins(machine))
    for relay in config.relay if config is not None else ():
        for key in PIN_OPTIONS:
            pin = relay.options.get(key)
            if not isinstance(pin, int):
                continue
            modes = set_by_firmware.get(pin, ())
            is_high = "dh" in modes or "pu" in modes or (not modes and pin <= PULLED_UP_TO)
            name, coil = f"relay {relay.relay}", COILS[key]
            if is_high == relay.options.get("active_high"):
                yield _energised(machine, name, pin, coil, is_high=is_high)
            else:
                yield Finding(name, "ok", f"GPIO{pin} keeps the {coil} off at boot")


def _energised(machine: Machine, name: str, pin: int, coil: str, *, is_high: bool) -> Finding:
    level, cure, short = ("high", "dl", "down") if is_high else ("low", "dh", "up")
    return Finding(
        name,
        "wrong",
        f"GPIO{pin} is {level} while the Pi boots, and that energises the {coil}",
        "for some seconds after each power cut the load is not safe",
        f"echo 'gpio={pin}=op,{cure}' | sudo tee -a /{machine.config_txt}"
        f"    # and a pull-{short} of 10 kOhm",
    )


def _firmware_pins(machine: Machine) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield (pin, modes) of each `gpio=` line of config.txt: "17=op,dh", "0-8=pd", "2,3=ip"."""
    for setting in machine.firmware("gpio"):
        pins, _, modes = setting.partition("=")
        for part in pins.split(","):
            first, _, last = part.partition("-")
            if first.strip().isdigit():
                end = int(last) if last.strip().isdigit() else int(first)
                for pin in range(int(first), end + 1):
                    yield pin, tuple(mode.strip() for mode in modes.split(","))


def strict_gpiod(machine: Machine, config: EdgeConfig | None) -> Iterator[Finding]:
    """Whether pins are let go of when the guard dies."""
    if not machine.is_pi or (config is not None and not _has_pins(config)):
        return
    if machine.device_tree("strict_gpiod") == "on":
        yield Finding("strict_gpiod", "ok", "on: a dead program lets go of its pins")
    else:
        yield Finding(
            "strict_gpiod",
            "wrong",
            "off",
            "the kernel keeps a pin driven after its program was killed, and a relay stays on",
            f"echo dtparam=strict_gpiod | sudo tee -a /{machine.config_txt}    # then reboot",
        )


def watchdog(machine: Machine, config: EdgeConfig | None) -> Iterator[Finding]:
    """Whether a frozen machine restarts by itself."""
    value = machine.systemd("system.conf", "Manager", "RuntimeWatchdogSec")
    if value not in (None, "", "0", "off"):
        yield Finding("watchdog", "ok", f"RuntimeWatchdogSec={value}")
    elif not machine.is_pi:
        yield Finding("watchdog", "note", "off", "a frozen machine stays frozen")
    else:
        yield Finding(
            "watchdog",
            "wrong",
            "off",
            "a frozen Pi stays frozen, and its relays as they were",
            "sudo mkdir -p /etc/systemd/system.conf.d; "
            "printf '[Manager]\\nRuntimeWatchdogSec=15\\n' | "
            "sudo tee /etc/systemd/system.conf.d/watchdog.conf    # then reboot",
        )


def clock(machine: Machine, config: EdgeConfig | None) -> Iterator[Finding]:
    """Whether readings can be dated."""
    synchronised = machine.exists("run/systemd/timesync/synchronized")
    other = next((name for name in ("chrony", "ntpsec") if machine.exists(f"run/{name}")), "")
    rtc = machine.names("sys/class/rtc", "rtc*")
    trusted = config is not None and config.sampling.trust_clock
    if synchronised or other:
        yield Finding("clock", "ok", f"synchronised by {other or 'systemd-timesyncd'}")
    elif trusted:
        yield Finding("clock", "note", "trust_clock: nobody checks it")
    elif not machine.is_live:
        yield Finding("clock", "unknown", "cannot be seen from files")
    else:
        yield Finding(
            "clock",
            "wrong",
            "not synchronised",
            "no reading is signed before it is",
            "sudo timedatectl set-ntp true    # or chrony, or trust_clock = true with a GPS",
        )
    if machine.is_pi and not rtc:
        why = "after a power cut without network it begins at the time it was cut"
        yield Finding("real-time clock", "note", "none", why)


def card(machine: Machine, config: EdgeConfig | None) -> Iterator[Finding]:
    """Whether the memory card lives long."""
    root = next(
        (
            line.split()
            for line in (machine.text("proc/mounts") or "").splitlines()
            if " / " in line
        ),
        None,
    )
    if root is not None and "ro" in root[3].split(",") and root[2] != "overlay":
        yield Finding(
            "root",
            "wrong",
            f"{root[0]} is read-only",
            "the card has failed, or was checked and found damaged",
            "sudo dmesg | grep -i mmc    # then copy what you can, and take a new card",
        )
    yield from _written(machine)
    if any("/dev/mmcblk" in line or "/var/swap" in line for line in _swaps(machine)):
        mend = "sudo systemctl disable --now dphys-swapfile    # or rpi-swap"
        yield Finding("swap", "note", "on the card", "it wears the card", mend)
    if machine.systemd("journald.conf", "Journal", "Storage") == "persistent":
        mend = "set Storage=volatile in /etc/systemd/journald.conf"
        yield Finding("journal", "note", "kept on the card", "logs wear the card", mend)


def _swaps(machine: Machine) -> list[str]:
    return (machine.text("proc/swaps") or "").splitlines()[1:]


def _written(machine: Machine) -> Iterator[Finding]:
    up_s = number_in(machine.text("proc/uptime"))
    for line in (machine.text("proc/diskstats") or "").splitlines():
        parts = line.split()
        if len(parts) > 9 and parts[2] == "mmcblk0" and up_s:
            a_day = int(parts[9]) * SECTOR_BYTES * 86_400 // up_s
            state: State = "note" if a_day > SD_BYTES_A_DAY else "ok"
            why = "a card bears some ten thousand times its size" if state == "note" else ""
            yield Finding(
                "card writes", state, f"{a_day // 1_000_000} MB a day since it booted", why
            )


def failsafe(machine: Machine, config: EdgeConfig | None) -> Iterator[Finding]:
    """Which relays stay as they are when everything dies."""
    for relay in config.relay if config is not None else ():
        if getattr(relay, "not_failsafe", False):
            why = "nothing moves it when this machine dies; no policy relies on it for safety"
            yield Finding(f"relay {relay.relay}", "note", "not fail-safe", why)


CHECKS: Final[tuple[Check, ...]] = (
    board,
    power,
    groups,
    i2c,
    uart,
    pin_factory,
    relay_pulls,
    strict_gpiod,
    watchdog,
    clock,
    card,
    failsafe,
)
"""Every check that files can answer, in the order in which they are told."""


def examine(machine: Machine, config: EdgeConfig | None) -> tuple[Finding, ...]:
    """Return what every check found."""
    return tuple(finding for check in CHECKS for finding in check(machine, config))
