"""`edge.toml`: read once at start, strictly, to frozen values; all findings at once.

Paths in the file are relative to its folder and come out absolute. What a model or a bus needs
besides (address, shunt, port) stands among its keys and is checked by its entry in
`hardware.catalog`. `EXAMPLE` is a whole file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from edge.boots import SHORT_BOOTS_MAX
from edge.config_rules import (
    GUARD_SOCKET,
    PIN_OPTIONS,
    RELAY_MODEL,
    UNIX,
    between_tables,
    bus_options,
    meter_options,
    model_complaint,
    model_in,
    relay_options,
    socket_complaint,
)
from edge.errors import ConfigError
from edge.lease import Rules
from edge.override import Hold
from edge.shifting import Shift, minute_of, time_complaint
from hardware import catalog
from keys.places import place_complaint, rooted
from messages.config import name_complaint, read, rest, setting
from messages.fuels import FUELS
from messages.membership import location_complaint

EXAMPLE: Final = """\
node = "dep1"                # also the name towards the broker
microgrid = "bench"
member = "alice"             # owner of its meters, where a meter does not say otherwise
trust = "trust.toml"         # written by `gridtally-hub init` on the hub: copy it here
state = "state-dep1"         # outbox and guard socket live here

[sampling]
sample_ms = 1000             # the grid of instants, the same on all nodes
slot_ms = 900000             # must be what the hub says
pack_samples = 60

[broker]
host = "127.0.0.1"
port = 1883
password_file = "dep1.password"

[[bus]]
name = "i2c1"
kind = "i2c"
device = "/dev/i2c-1"

[[meter]]
meter_id = "dep1-pv"
model = "ina219"
bus = "i2c1"
address = 0x40
shunt_mohm = 100
current_max_ma = 3200
key = "keys/dep1-pv.pem"     # `gridtally-edge keygen` makes it
purpose = "generation"
fuel = "solar"               # what its energy comes from; and roughly where, if you like
location = "Upper Mill"
rated_w = 40
reversed = true              # VIN+ and VIN- are swapped: the sign is flipped here and nowhere else

[[meter]]
meter_id = "dep1-load"
model = "ina219"
bus = "i2c1"
address = 0x41
shunt_mohm = 100
current_max_ma = 3200
key = "keys/dep1-load.pem"
purpose = "consumption"
rated_w = 40

[[meter]]
meter_id = "dep1-heater"
model = "ina219"
bus = "i2c1"
address = 0x44
shunt_mohm = 100
current_max_ma = 3200
key = "keys/dep1-heater.pem"
purpose = "appliance"
parent = "dep1-load"
rated_w = 40

[[relay]]
relay = "dep1-heater-relay"
pin = 17
active_high = true
deenergised = "fed"          # what the load gets while the coil is off: "fed" or "cut"
load = "dep1-heater"
rated_w = 40
"""

PURPOSES: Final = ("generation", "consumption", "net", "storage", "appliance", "boundary")
SWITCHES_PER_MINUTE_MAX: Final = 6
SIMULATED_SWITCHES_PER_MINUTE_MAX: Final = 600
GAP_SAMPLES: Final = 5
MW_PER_W: Final = 1_000
FROZEN_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingSettings:
    """When meters are read and how long a slot is.

    Attributes:
        sample_ms: step of the grid of instants.
        slot_ms: length of a slot; a whole number of samples.
        pack_samples: samples in one telemetry pack.
        gap_ms: the longest time between two samples that power is integrated over; 0: 5 samples.
        frozen_ms: how long a device without counters may say the very same before it is doubted; 0:
            for ever, as in simulated time, where loads are constant.
        trust_clock: do not ask the kernel whether the clock is synchronised (no NTP here, but a
            GPS or a good RTC).
        readings: "sealed" puts a commitment on the ledger in place of the reading, as the
            microgrid's founding has it; the hub refuses open readings there.
    """

    sample_ms: int = setting(low=100, high=86_400_000)
    slot_ms: int = setting(low=1_000, high=86_400_000)
    pack_samples: int = setting(default=60, low=1, high=60)
    gap_ms: int = setting(default=0, low=0, high=86_400_000)
    frozen_ms: int = setting(default=FROZEN_MS, low=0, high=86_400_000)
    trust_clock: bool = False
    readings: str = setting(default="open", choices=("open", "sealed"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Certificates towards the broker; they carry no trust for content."""

    ca: str
    cert: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """Where the broker is; client id and user name are the node's name."""

    host: str = "127.0.0.1"
    port: int = setting(default=1883, low=1, high=65_535)
    password_file: str | None = None
    tls: TlsFiles | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxSettings:
    """How much may wait for the hub, and the space kept free for the day the disk is full."""

    rows_max: int = setting(default=200_000, low=100, high=100_000_000)
    ballast_kb: int = setting(default=16_384, low=0, high=1_048_576)


@dataclass(frozen=True, slots=True, kw_only=True)
class BusTable:
    """One bus: a name of your own, its kind, and what that kind needs."""

    name: str = setting(check=name_complaint)
    kind: str = setting(choices=tuple(catalog.BUSES))
    options: Mapping[str, object] = rest(bus_options)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterTable:
    """One measuring point with a key of its own.

    Attributes:
        fuel: what its energy comes from, where any comes from it.
        location: roughly where it is, for all who read the ledger.
    """

    meter_id: str = setting(check=name_complaint)
    model: str = setting(check=model_complaint)
    bus: str
    key: str = setting(check=place_complaint)
    purpose: str = setting(choices=PURPOSES)
    rated_w: int = setting(low=1, high=1_000_000_000)
    reversed: bool = False
    member: str = setting(default="")
    parent: str = setting(default="")
    fuel: str = setting(default="", choices=FUELS)
    location: str = setting(default="", check=location_complaint)
    options: Mapping[str, object] = rest(meter_options)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftTable:
    """When a load may run that can wait for cheaper slots, and how much it needs until then.

    Attributes:
        window_from: time of day (UTC) from which it may run, as "22:00".
        window_until: and until which it must have run; before `window_from`: on the next day.
        run_minutes: how long it needs; or `energy_wh`, at the relay's rated power.
    """

    window_from: str = setting(check=time_complaint)
    window_until: str = setting(check=time_complaint)
    run_minutes: int = setting(default=0, low=0, high=1440)
    energy_wh: int = setting(default=0, low=0, high=1_000_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayTable:
    """One relay coil, on a pin of this node or on a bus.

    Attributes:
        bus: the name of its bus; "" for a relay on pins.
        not_failsafe: its load may stay as it is when nobody holds the relay any more.
        deenergised: what the load gets while the coil is off: "fed" (wired on NC) or "cut" (NO).
        load: the appliance or generation meter whose power it switches, or "".
        importance: less gives way first, where the dispatch policy is "priority".
        shed_price_utok_per_kwh: asked for going without, where the policy is "price".
        interlock: of the relays of one group at most one is energised.
        switches_per_minute_max: more changes in a minute are refused; 0: 6, in simulated time 600.
        shiftable: its load may wait for cheaper slots.
    """

    relay: str = setting(check=name_complaint)
    model: str = setting(default=RELAY_MODEL, choices=tuple(catalog.RELAYS))
    bus: str = ""
    not_failsafe: bool = False
    deenergised: str = setting(
        choices=("fed", "cut"), says='what its load gets while the coil is off, "fed" or "cut"'
    )
    load: str = ""
    member: str = ""
    rated_w: int = setting(low=1, high=1_000_000_000)
    critical: bool = False
    importance: int = setting(default=0, low=0, high=100)
    shed_price_utok_per_kwh: int = setting(default=0, low=0, high=1_000_000_000_000)
    min_on_ms: int = setting(default=0, low=0, high=86_400_000)
    min_off_ms: int = setting(default=0, low=0, high=86_400_000)
    interlock: str = ""
    switches_per_minute_max: int = setting(default=0, low=0, high=6_000)
    shiftable: ShiftTable | None = None
    options: Mapping[str, object] = rest(relay_options)

    @property
    def setpoint(self) -> str:
        """What it can be told besides on and off; "" if nothing."""
        return catalog.RELAYS[self.model].setpoint

    @property
    def rules(self) -> Rules:
        """What protects the relay and its load."""
        return Rules(
            self.min_on_ms,
            self.min_off_ms,
            self.interlock,
            self.switches_per_minute_max,
            self.rated_w * MW_PER_W if self.setpoint else None,
            self.setpoint == "battery",
        )

    @property
    def shift(self) -> Shift | None:
        """When its load runs, if it may wait."""
        table = self.shiftable
        if table is None:
            return None
        run_ms = table.run_minutes * 60_000 or -(-table.energy_wh * 3_600_000 // self.rated_w)
        begin, end = minute_of(table.window_from), minute_of(table.window_until)
        return Shift(begin, end, run_ms, self.deenergised)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideTable:
    """One switch between a pin of this node and ground that beats the hub.

    Attributes:
        switch: its name, for words.
        thrown: which position means thrown. "open" takes a broken wire for thrown.
        load: what loads get while it is thrown: "safe" (the coil is off), "fed" or "cut".
        relays: which it holds; without any, every relay on pins.
    """

    switch: str = setting(check=name_complaint)
    pin: int = setting(low=0, high=27)
    thrown: str = setting(default="open", choices=("open", "closed"))
    load: str = setting(default="safe", choices=("safe", "fed", "cut"))
    relays: tuple[str, ...] = ()

    def holds(self, relays: Iterable[RelayTable]) -> dict[str, Hold]:
        """Return where it holds which relays, of all those of the node."""
        reason = f"overridden locally by switch {self.switch}"
        return {
            each.relay: Hold(self.load not in ("safe", each.deenergised), reason)
            for each in relays
            if not each.bus and (not self.relays or each.relay in self.relays)
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSettings:
    """Where the guard listens, and when it lets nothing move.

    Attributes:
        socket: relative to the state folder.
        short_boots_max: after so many starts in a row of guard or agent that ended within a minute
            relays stay safe for 5 min; 0: 5, in a simulation never.
    """

    socket: str = GUARD_SOCKET
    short_boots_max: int = setting(default=0, low=0, high=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationSettings:
    """Where simulated wires and time come from; with it nothing here is a real installation."""

    wire: str | None = setting(default=None, check=socket_complaint)
    clock: str | None = setting(default=None, check=socket_complaint)
    journal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeConfig:
    """All of `edge.toml`. `key` is the node's own; left out, it is `keys/<node>.pem`.

    Every key is a place of `keys.places`, and so need be no file.
    """

    node: str = setting(check=name_complaint)
    microgrid: str = setting(check=name_complaint)
    member: str = setting(check=name_complaint)
    trust: str = "trust.toml"
    state: str
    key: str = setting(default="", check=place_complaint)
    sampling: SamplingSettings
    broker: BrokerSettings = BrokerSettings()
    outbox: OutboxSettings = OutboxSettings()
    bus: tuple[BusTable, ...] = ()
    meter: tuple[MeterTable, ...] = ()
    relay: tuple[RelayTable, ...] = ()
    override: tuple[OverrideTable, ...] = ()
    guard: GuardSettings = GuardSettings()
    simulation: SimulationSettings | None = None

    @property
    def key_places(self) -> dict[str, str]:
        """Where the key of each meter lies, and as "" where the node's own does."""
        return {"": self.key, **{each.meter_id: each.key for each in self.meter}}


def load_config(path: Path) -> EdgeConfig:
    """Read `edge.toml`; ConfigError holds every finding with file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError((f"{path}: cannot be read: {reason}",)) from None
    return parse_config(text, path)


def parse_config(text: str, path: Path) -> EdgeConfig:
    """Return the configuration in `text`, which stood in the file `path`."""
    document = read(text, EdgeConfig)
    document = document.with_findings(between_tables(document, path.resolve().parent))
    if document.value is None:
        raise ConfigError(tuple(finding.text(str(path)) for finding in document.findings))
    return _finished(document.value, path.resolve().parent)


def boot_warnings(config: EdgeConfig) -> Iterator[str]:
    """Yield what a fresh boot would do to relays before any program runs.

    Until then pins are inputs, 0 to 8 pulled up, 9 to 27 pulled down. Source: BCM2835 ARM
    peripherals, table 6-31, GPIO pull defaults.
    """
    for relay in config.relay:
        for key in PIN_OPTIONS:
            pin = relay.options.get(key)
            pulled_up = isinstance(pin, int) and pin <= 8
            if pin is not None and pulled_up == relay.options.get("active_high"):
                pull, cure = ("up", "down") if pulled_up else ("down", "up")
                yield (
                    f"relay {relay.relay}: GPIO{pin} is pulled {pull} while the Pi boots, which "
                    f"energises the coil; pull it {cure} with 10 kOhm or take another pin"
                )


def safety_warnings(config: EdgeConfig) -> Iterator[str]:
    """Yield which relays are not fail-safe: nothing releases them when nobody holds them."""
    for relay in config.relay:
        if relay.not_failsafe:
            what = f"on bus {relay.bus}" if relay.bus else f"a {relay.model}"
            yield (
                f"relay {relay.relay} ({what}) is not fail-safe: it stays as it is when its node, "
                "its wire or its supply fails"
            )


# What follows from the file


def _finished(config: EdgeConfig, folder: Path) -> EdgeConfig:
    """Return the configuration with absolute paths and with what was left to a rule."""

    def at(text: str | None) -> str | None:
        return None if text is None else str(folder / text.removeprefix(UNIX))

    def must(text: str) -> str:
        return str(folder / text)

    state = folder / config.state
    sampling, tls, simulation = config.sampling, config.broker.tls, config.simulation
    if tls is not None:
        tls = TlsFiles(ca=must(tls.ca), cert=at(tls.cert), key=at(tls.key))
    if simulation is not None:
        simulation = SimulationSettings(
            wire=at(simulation.wire), clock=at(simulation.clock), journal=at(simulation.journal)
        )
    switches, frozen_ms = SWITCHES_PER_MINUTE_MAX, sampling.frozen_ms
    if simulation is not None and simulation.clock is not None:
        switches = SIMULATED_SWITCHES_PER_MINUTE_MAX  # an hour may pass in a second
        frozen_ms = 0
    gap_ms = sampling.gap_ms or GAP_SAMPLES * sampling.sample_ms
    return replace(
        config,
        trust=must(config.trust),
        state=str(state),
        key=rooted(config.key or f"keys/{config.node}.pem", folder),
        sampling=replace(sampling, gap_ms=gap_ms, frozen_ms=frozen_ms),
        broker=replace(config.broker, password_file=at(config.broker.password_file), tls=tls),
        meter=tuple(
            replace(
                each,
                key=rooted(each.key, folder),
                member=each.member or config.member,
                model=model_in(folder, each.model),
            )
            for each in config.meter
        ),
        relay=tuple(
            replace(
                each,
                member=each.member or config.member,
                switches_per_minute_max=each.switches_per_minute_max or switches,
            )
            for each in config.relay
        ),
        guard=GuardSettings(
            socket=str(state / config.guard.socket),
            short_boots_max=config.guard.short_boots_max
            or (SHORT_BOOTS_MAX if simulation is None else 0),
        ),
        simulation=simulation,
    )
