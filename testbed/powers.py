"""From the tables of a scenario to power over time."""

from collections.abc import Iterator
from random import Random

from testbed.grid.parts import Engine
from testbed.series import ClearSky, Flapping, Household, Series, Shaded, Steps
from testbed.tables import ENGINES, LoadTable, MemberTable, Scenario, Source

UW_PER_W = 1_000_000
MS_PER_S = 1000
ALWAYS_MS = 0


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


def generation_of(scenario: Scenario, member: MemberTable) -> Series:
    """Return what a member's panels or turbine offer, under clouds, from when it is connected."""
    series = series_of(scenario, member.generation, f"{member.member}/generation")
    shades = tuple(_shades(scenario, member))
    return Shaded(series, shades) if shades else series


def _shades(scenario: Scenario, member: MemberTable) -> Iterator[tuple[int, int, int]]:
    for event in scenario.event:
        from_ms, until_ms = scenario.span_ms(event)
        if event.event == "cloud" and event.target in ("", member.member):
            yield from_ms, until_ms, event.permille
        elif event.event == "join" and event.target == member.member:
            yield ALWAYS_MS, from_ms, 0


def engines_of(scenario: Scenario, member: MemberTable) -> tuple[Engine, ...]:
    """Return the member's generator or fuel cell, if his generation is one."""
    source = member.generation
    if source.source not in ENGINES:
        return ()
    joins = scenario.spans_of("join", member.member)
    return (
        Engine(
            maximum_uw=source.maximum_w * UW_PER_W,
            minimum_uw=source.minimum_w * UW_PER_W,
            ramp_uw_per_s=source.ramp_w_per_s * UW_PER_W,
            start_ms=source.start_s * MS_PER_S,
            black_start=source.black_start,
            from_ms=joins[0][0] if joins else ALWAYS_MS,
        ),
    )


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


def load_series(scenario: Scenario, member: MemberTable) -> dict[str, Series]:
    """Return each switchable load's power over time: on in the slots that need it."""
    powers: dict[str, list[int]] = {load.load: [] for load in member.load}
    for power_w in slot_powers_w(scenario, member.consumption, member.member):
        chosen = choose_loads(member.load, power_w) or frozenset()
        for load in member.load:
            powers[load.load].append(load.power_w * UW_PER_W if load.load in chosen else 0)
    start_ms, slot_ms = scenario.start_ms, scenario.slot_ms
    return {
        load.load: _flapping(Steps(start_ms, slot_ms, tuple(powers[load.load])), load)
        for load in member.load
    }


def _flapping(steps: Steps, load: LoadTable) -> Series:
    return Flapping(steps, steps.start_ms, load.flap_s * MS_PER_S) if load.flap_s else steps
