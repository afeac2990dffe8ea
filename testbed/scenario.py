"""A scenario: who is on the bus, what they make and want, under which market; read from TOML.

The shipped scenarios in `testbed/scenarios/` are such files; copy one and change it. Everything
that is wrong with a file is reported at once, with its line.
"""

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from hardware.mock.catalog import SIMULATORS
from hardware.modelfile import shipped_model, shipped_names
from messages.config import Document, Finding, read
from testbed.errors import BadScenario
from testbed.powers import choose_loads, slot_powers_w
from testbed.tables import ENGINES, EVENTS, MEMBER, METER, NODE, WORLDLY, Scenario


def shipped() -> tuple[str, ...]:
    """Return the names of the scenarios that come with the program."""
    folder = resources.files("testbed.scenarios")
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def scored() -> tuple[str, ...]:
    """Return the shipped scenarios that say what they show, for `score`."""
    return tuple(name for name in shipped() if load_scenario(name).shows)


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
    for place in range(len(scenario.event)):
        yield from _event_findings(document, scenario, place)


def _event_findings(
    document: Document[Scenario], scenario: Scenario, place: int
) -> Iterator[Finding]:
    """Yield what is wrong with one event: its times, what it names, what it lacks."""
    event = scenario.event[place]
    step_ms = scenario.instant_ms
    for key, moment_s in (("at_s", event.at_s), ("for_s", event.for_s)):
        if moment_s * 1000 % step_ms:
            text = f"{key} = {moment_s}: events begin and end at instants, each {step_ms} ms"
            yield document.finding(("event", place, key), text)
    if event.at_s * 1000 >= scenario.slots * scenario.slot_ms:
        yield document.finding(("event", place, "at_s"), "it would begin after the last slot")
    named = _named(scenario, EVENTS[event.event])
    may_be_all = event.event == "cloud" and not event.target
    if event.target not in named and not may_be_all:
        wanted = ", ".join(sorted(named)) if any(named) else "no target"
        text = f'{event.event}: target "{event.target}": wanted {wanted}'
        yield document.finding(("event", place, "target"), text)
    if event.event == "delay" and not event.delay_ms:
        yield document.finding(("event", place, "event"), "delay: how long? Set delay_ms")
    if event.event == "grid_out" and scenario.bus is not None and not scenario.bus.grid:
        yield document.finding(("event", place, "event"), "grid_out: [bus] has no grid = true")


def _named(scenario: Scenario, kind: str) -> set[str]:
    """Return what an event may name as its target."""
    bus = scenario.bus
    if kind == MEMBER:
        return {member.member for member in scenario.member}
    nodes = {member.node for member in scenario.member}
    if kind == NODE:
        return nodes | ({bus.boundary} if bus and bus.boundary else set())
    if kind == METER:
        loads = {f"{each.node}-{load.load}" for each in scenario.member for load in each.load}
        return loads | {
            f"{node}-{which}" for node in nodes for which in ("generation", "consumption")
        }
    return {""}


def require_playable(scenario: Scenario, name: str) -> None:
    """Raise BadScenario if something happens in it that real processes are not made to play."""
    inertia = scenario.bus.inertia if scenario.bus else None
    if inertia and inertia.frequency_mhz:
        raise BadScenario(
            f"{name}: its bus is alternating, and the bench of the demo measures direct current; "
            f"`gridtally-testbed score {name}` plays it"
        )
    kinds = sorted({event.event for event in scenario.event} - set(WORLDLY))
    if kinds:
        raise BadScenario(
            f"{name}: {', '.join(kinds)} happen to programs and messages, which only "
            f"`gridtally-testbed score {name}` plays; demo plays {' and '.join(WORLDLY)}"
        )


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
        if load.flap_s * 1000 % scenario.instant_ms:
            path = ("member", place, "load", number, "flap_s")
            yield document.finding(path, f"flap_s = {load.flap_s}: loads switch at instants")
    if member.consumption.source in ENGINES:
        text = f"a {member.consumption.source} consumes nothing"
        yield document.finding(("member", place, "consumption", "source"), text)
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
