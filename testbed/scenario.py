"""A scenario: who is on the bus, what they make and want, under which market; read from TOML.

The shipped scenarios in `testbed/scenarios/` are such files; copy one and change it. Everything
that is wrong with a file is reported at once, with its line.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from random import Random

from hardware.mock.catalog import SIMULATORS
from hardware.modelfile import shipped_model, shipped_names
from hub.policyfile import PolicyFile
from messages.config import Document, Finding, name_complaint, read, setting
from messages.membership import FUELS, location_complaint
from testbed.errors import BadScenario
from testbed.series import ClearSky, Household, Series, Steps

UW_PER_W = 1_000_000
HOME_METER = "sdm120"
MS_PER_DAY = 86_400_000
DIVISOR = "wanted a whole part of a day"


def _time_complaint(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return f'"{text}" is no time like "2026-06-21T00:00:00Z"'
    return "" if moment.utcoffset() is not None else f'"{text}" lacks its zone: append Z for UTC'


def _divides_day(milliseconds: int) -> str:
    return "" if MS_PER_DAY % milliseconds == 0 else f"{milliseconds} ms: {DIVISOR}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """One slot, from 0, whose power is given instead of drawn."""

    slot: int = setting(low=0)
    power_w: int = setting(low=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a member's power over time comes from."""

    source: str = setting(choices=("random", "slots", "clear_sky", "household"))
    minimum_w: int = setting(default=0, low=0)
    maximum_w: int = setting(default=0, low=0)
    step_w: int = setting(default=1, low=1)
    slots_w: tuple[int, ...] = ()
    peak_w: int = setting(default=0, low=0)
    base_w: int = setting(default=0, low=0)
    fixed: tuple[Fixed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadTable:
    """A load on a relay of its own; the member's wanted power is made up of these."""

    load: str = setting(check=name_complaint)
    power_w: int = setting(low=1)
    pin: int = setting(low=2, high=27)
    critical: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberTable:
    """One member and the node that meters it; what its generation comes from, and where."""

    member: str = setting(check=name_complaint)
    node: str = setting(check=name_complaint)
    generation: Source
    consumption: Source
    wire_mohm: int = setting(default=0, low=0)
    rated_w: int = setting(low=1)
    fuel: str = setting(default="", choices=FUELS)
    location: str = setting(default="", check=location_complaint)
    load: tuple[LoadTable, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferTable:
    """A battery on the bus."""

    capacity_wh: int = setting(low=0)
    level_wh: int = setting(low=0)
    power_max_w: int = setting(low=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class BusTable:
    """The common bus, its buffer and grid tie; `boundary` names the node that meters both."""

    voltage_mv: int = setting(low=1_000, high=26_000)
    grid: bool = False
    buffer: BufferTable | None = None
    boundary: str | None = None
    latitude_mdeg: int = setting(default=0, low=-90_000, high=90_000)
    longitude_mdeg: int = setting(default=0, low=-180_000, high=180_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A whole scenario file. `policy` is what `gridtally-hub policy` reads from a file of its own.

    `homes` true: members, slots and times come from `--homes`, and `meters` are the models that the
    homes have, one after the other in turn.
    """

    title: str
    microgrid: str = setting(check=name_complaint)
    start: str = setting(check=_time_complaint)
    policy: PolicyFile
    scale: str = ""
    homes: bool = False
    meters: tuple[str, ...] = (HOME_METER,)
    slots: int = setting(default=24, low=1)
    slot_ms: int = setting(default=3_600_000, low=1_000, check=_divides_day)
    instant_ms: int = setting(default=300_000, low=100, check=_divides_day)
    run_s: int = setting(default=60, low=0)
    seed: int = setting(default=1, low=0)
    readings: str = setting(default="open", choices=("open", "sealed"))
    bus: BusTable | None = None
    member: tuple[MemberTable, ...] = ()

    @property
    def start_ms(self) -> int:
        """Begin of slot 0. [ms UTC]"""
        return int(datetime.fromisoformat(self.start).astimezone(UTC).timestamp() * 1000)


def shipped() -> tuple[str, ...]:
    """Return the names of the scenarios that come with the program."""
    folder = resources.files("testbed.scenarios")
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def load_scenario(name_or_file: str) -> Scenario:
    """Return a shipped scenario by name, or one from a file that ends in `.toml`.

    Raises BadScenario with every finding, file and line.
    """
    if not name_or_file.endswith(".toml"):
        return _checked(f"{name_or_file}.toml", scenario_text(name_or_file))
    try:
        text = Path(name_or_file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadScenario(f"{name_or_file}: cannot be read: {error}") from error
    return _checked(name_or_file, text)


def scenario_text(name: str) -> str:
    """Return a shipped scenario as a file."""
    if name not in shipped():
        listed = ", ".join(shipped())
        raise BadScenario(f"no scenario {name!r}: it is one of {listed}, or a file ending in .toml")
    return resources.files("testbed.scenarios").joinpath(f"{name}.toml").read_text("utf-8")


def _checked(name: str, text: str) -> Scenario:
    document = read(text, Scenario)
    if document.value is not None:
        document = document.with_findings(_findings(document, document.value))
    if document.value is None:
        raise BadScenario("\n".join(finding.text(name) for finding in document.findings))
    return document.value


def _findings(document: Document[Scenario], scenario: Scenario) -> Iterator[Finding]:
    """Yield what no single key can show."""
    if scenario.slot_ms % scenario.instant_ms:
        yield document.finding(("instant_ms",), "instant_ms must divide slot_ms")
    if scenario.start_ms % scenario.slot_ms:
        yield document.finding(
            ("start",), "start must lie on a slot edge (slots begin at 0:00 UTC)"
        )
    yield from _meters(document, scenario)
    if scenario.homes:
        return
    if scenario.bus is None or not scenario.member:
        yield document.finding((), "wanted a [bus] and at least one [[member]], or homes = true")
        return
    nodes = [member.node for member in scenario.member]
    for place, member in enumerate(scenario.member):
        if nodes.count(member.node) > 1:
            yield document.finding(
                ("member", place, "node"), f"two members have node {member.node}"
            )
        yield from _member_findings(document, scenario, place)
    if scenario.bus.boundary in nodes:
        yield document.finding(("bus", "boundary"), "the boundary needs a node of its own")


def _meters(document: Document[Scenario], scenario: Scenario) -> Iterator[Finding]:
    """Yield what is wrong with the models that homes are to have."""
    fit = home_meters()
    if not scenario.meters:
        yield document.finding(("meters",), "meters: a home needs some, leave it out for sdm120")
    for place, model in enumerate(scenario.meters):
        if model not in fit:
            text = f'meters: "{model}" is none of {", ".join(fit)}, which count both ways'
            yield document.finding(("meters", place), text)


def home_meters() -> tuple[str, ...]:
    """Return the models that can meter a home: on Modbus, counting import and export."""
    found = []
    for name, twin in SIMULATORS.items():
        if twin.point in ("feeder", "three_phase") and name in shipped_names():
            sample = shipped_model(name).table.sample
            if sample.energy_import_uwh and sample.energy_export_uwh:
                found.append(name)
    return tuple(found)


def _member_findings(
    document: Document[Scenario], scenario: Scenario, place: int
) -> Iterator[Finding]:
    member = scenario.member[place]
    pins = [load.pin for load in member.load]
    for number, load in enumerate(member.load):
        if pins.count(load.pin) > 1:
            path = ("member", place, "load", number, "pin")
            yield document.finding(path, f"two loads of {member.node} are on pin {load.pin}")
    for which, source in (("generation", member.generation), ("consumption", member.consumption)):
        for number, fixed in enumerate(source.fixed):
            if fixed.slot >= scenario.slots:
                where = ("member", place, which, "fixed", number, "slot")
                yield document.finding(
                    where, f"slot {fixed.slot} is past the last, {scenario.slots - 1}"
                )
    for slot, power_w in enumerate(slot_powers_w(scenario, member.consumption, member.member)):
        if member.load and choose_loads(member.load, power_w) is None:
            text = f"slot {slot}: no set of loads draws {power_w} W"
            yield document.finding(("member", place, "consumption", "source"), text)
            return


# -- from tables to power over time


def slot_powers_w(scenario: Scenario, source: Source, salt: str) -> tuple[int, ...]:
    """Return the power of each slot for the kinds that have one a slot; empty for the others. [W]

    Random powers depend on the seed and the salt only, so one member's hours stay the same when
    another is added.
    """
    if source.source == "slots":
        drawn = list(source.slots_w[: scenario.slots])
        drawn += [0] * (scenario.slots - len(drawn))
    elif source.source == "random":
        random = Random(f"{scenario.seed}/{salt}")
        choices = range(source.minimum_w, source.maximum_w + 1, source.step_w)
        drawn = [random.choice(choices) for _ in range(scenario.slots)]
    else:
        return ()
    for fixed in source.fixed:
        drawn[fixed.slot] = fixed.power_w
    return tuple(drawn)


def series_of(scenario: Scenario, source: Source, salt: str) -> Series:
    """Return a source's power over time."""
    bus = scenario.bus
    latitude, longitude = (bus.latitude_mdeg, bus.longitude_mdeg) if bus else (0, 0)
    if source.source == "clear_sky":
        return ClearSky(source.peak_w * UW_PER_W, latitude / 1000, longitude / 1000)
    if source.source == "household":
        seed = f"{scenario.seed}/{salt}"
        base, peak = source.base_w * UW_PER_W, source.peak_w * UW_PER_W
        return Household(base, peak, scenario.slot_ms, longitude / 1000, seed)
    powers = slot_powers_w(scenario, source, salt)
    return Steps(scenario.start_ms, scenario.slot_ms, tuple(p * UW_PER_W for p in powers))


def choose_loads(loads: tuple[LoadTable, ...], power_w: int) -> frozenset[str] | None:
    """Return which loads together draw exactly this, the largest first; None if none do."""
    ordered = sorted(loads, key=lambda load: (-load.power_w, load.load))

    def search(index: int, left_w: int) -> tuple[str, ...] | None:
        if left_w == 0:
            return ()
        if index == len(ordered):
            return None
        load = ordered[index]
        if load.power_w <= left_w:
            rest = search(index + 1, left_w - load.power_w)
            if rest is not None:
                return (load.load, *rest)
        return search(index + 1, left_w)

    chosen = search(0, power_w)
    return None if chosen is None else frozenset(chosen)


def load_series(scenario: Scenario, member: MemberTable) -> dict[str, Steps]:
    """Return each switchable load's power over time: on in the slots that need it."""
    powers: dict[str, list[int]] = {load.load: [] for load in member.load}
    for power_w in slot_powers_w(scenario, member.consumption, member.member):
        chosen = choose_loads(member.load, power_w) or frozenset()
        for load in member.load:
            powers[load.load].append(load.power_w * UW_PER_W if load.load in chosen else 0)
    return {
        name: Steps(scenario.start_ms, scenario.slot_ms, tuple(row)) for name, row in powers.items()
    }
