"""Scenario files: the shipped ones say what they promise, and a wrong one is told in full."""

from pathlib import Path

import pytest

from testbed.errors import BadScenario
from testbed.layout import grid_of_instants, plan
from testbed.powers import choose_loads, slot_powers_w
from testbed.scenario import load_scenario, require_playable, scenario_text, shipped
from tests.support.small_scenario import event, small

DEPS = ("dep1", "dep2", "dep3")


def hours(name: str) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    scenario = load_scenario(name)
    return {
        member.member: (
            slot_powers_w(scenario, member.generation, f"{member.member}/generation"),
            slot_powers_w(scenario, member.consumption, member.member),
        )
        for member in scenario.member
    }


def test_every_shipped_scenario_is_well_formed() -> None:
    assert set(shipped()) >= {"homes", "paper000"}
    for name in shipped():
        assert load_scenario(name).title


def test_paper000_has_its_seventh_hour() -> None:
    """Paper 000, section 5: at t = 7 DEP 2 makes 20 and needs 60, and nobody has a surplus."""
    powers = hours("paper000")
    assert {member: (made[7], wanted[7]) for member, (made, wanted) in powers.items()} == {
        "dep1": (30, 30),
        "dep2": (20, 60),
        "dep3": (50, 50),
    }


def test_paper000_draws_its_hours_from_10_to_100() -> None:
    for made, wanted in hours("paper000").values():
        assert len(made) == len(wanted) == 24
        assert all(10 <= power <= 100 for power in (*made, *wanted))
        assert all(power % 10 == 0 for power in wanted)


def test_paper000_is_generous_in_hour_six() -> None:
    powers = hours("paper000").values()
    assert all(made[6] >= wanted[6] for made, wanted in powers)


def test_loads_of_ten_to_forty_make_every_ten_up_to_a_hundred() -> None:
    loads = load_scenario("paper000").member[0].load
    draws = {load.load: load.power_w for load in loads}
    for power in range(0, 101, 10):
        chosen = choose_loads(loads, power)
        assert chosen is not None
        assert sum(draws[name] for name in chosen) == power
    assert choose_loads(loads, 60) == {"heater", "fan"}
    assert choose_loads(loads, 15) is None


def test_the_seed_changes_the_hours_and_nothing_else() -> None:
    from dataclasses import replace

    scenario = load_scenario("paper000")
    other = replace(scenario, seed=scenario.seed + 1)
    source = scenario.member[0].generation
    assert slot_powers_w(scenario, source, "x") == slot_powers_w(scenario, source, "x")
    assert slot_powers_w(scenario, source, "x") != slot_powers_w(other, source, "x")
    assert slot_powers_w(other, source, "x")[7] == 30


@pytest.mark.parametrize(
    ("speed", "instant_ms"),
    [(None, 300_000), (1440.0, 300_000), (60.0, 60_000), (1.0, 1_000), (0.1, 1_000)],
)
def test_a_slow_run_samples_finer(speed: float | None, instant_ms: int) -> None:
    assert grid_of_instants(load_scenario("paper000"), speed) == instant_ms


def test_all_findings_are_told_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'title = "x"\nmicrogrid = "Ups"\nstart = "2026-01-01T00:00:00"\nslotms = 5\n'
        '[policy]\ncontract = "dep_balance"\ndispatch = 1\nprice = []\n'
    )
    with pytest.raises(BadScenario) as raised:
        load_scenario(str(path))
    lines = str(raised.value).splitlines()
    assert all(line.startswith(str(path)) for line in lines)
    text = "\n".join(lines)
    for expected in (
        ":2: microgrid:",
        ':3: start: "2026-01-01T00:00:00" lacks its zone',
        ':4: unknown key "slotms"',
        ":7: policy: dispatch must be text, got 1",
        ':5: policy: missing key "feed_in"',
    ):
        assert expected in text


def test_loads_that_cannot_make_the_wanted_power_are_found(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(shipped_text("paper000").replace("power_w = 30\npin", "power_w = 35\npin"))
    with pytest.raises(BadScenario, match=r"no set of loads draws \d+ W"):
        load_scenario(str(path))


def test_two_loads_on_one_pin_are_found(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(shipped_text("paper000").replace("pin = 27", "pin = 17"))
    with pytest.raises(BadScenario, match="two loads of dep1 are on pin 17"):
        load_scenario(str(path))


def test_homes_and_its_file_go_together() -> None:
    with pytest.raises(BadScenario, match="--homes FILE"):
        plan(load_scenario("homes"), None, None)


def shipped_text(name: str) -> str:
    from importlib import resources

    return resources.files("testbed.scenarios").joinpath(f"{name}.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("hub_dies_shedding", "hub_down happen to programs and messages"),
        ("join_in_outage", "its bus is alternating"),
    ],
)
def test_what_only_score_plays_demo_says_so(name: str, says: str) -> None:
    with pytest.raises(BadScenario, match=says) as raised:
        require_playable(load_scenario(name), name)
    assert f"`gridtally-testbed score {name}`" in str(raised.value)


@pytest.mark.parametrize("name", ["cloud", "outage", "island_day", "evening_peak"])
def test_what_happens_to_the_world_every_command_plays(name: str) -> None:
    scenario = load_scenario(name)
    require_playable(scenario, name)
    assert plan(scenario, None, None).world().flows.residual_uw() == 0


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (event("grid_out", 2, 1, 'target = "ann"'), 'target "ann": wanted no target'),
        (event("join", 2, 0, 'target = "bob"'), 'target "bob": wanted ann'),
        (event("meter_gone", 2, 0, 'target = "ann"'), "wanted ann-consumption, ann-fridge, "),
        (event("node_silent", 2), 'target "": wanted ann, tie'),
        (event("delay", 2, 4), "delay: how long? Set delay_ms"),
        (event("cloud", 60), "it would begin after the last slot"),
        ('[[event]]\nevent = "earthquake"\nat_s = 1', '"earthquake" is none of "grid_out"'),
    ],
)
def test_an_event_that_cannot_happen_is_told(tmp_path: Path, made: str, says: str) -> None:
    with pytest.raises(BadScenario, match=r"small.toml:[0-9]+: event 1") as raised:
        small(tmp_path, events=made)
    assert says in str(raised.value)


def test_events_and_flapping_lie_on_instants(tmp_path: Path) -> None:
    with pytest.raises(BadScenario) as raised:
        load_scenario(str(edited(tmp_path, "flapping_load", "flap_s = 5", "flap_s = 7")))
    assert "flap_s = 7: loads switch at instants" in str(raised.value)
    with pytest.raises(BadScenario) as raised:
        load_scenario(str(edited(tmp_path, "outage", "at_s = 120", "at_s = 121")))
    assert "at_s = 121: events begin and end at instants" in str(raised.value)


def test_an_island_has_no_grid_to_lose(tmp_path: Path) -> None:
    path = edited(
        tmp_path, "island_day", "[bus]", 'event = [{ event = "grid_out", at_s = 5 }]\n[bus]'
    )
    with pytest.raises(BadScenario, match=r"grid_out: .bus. has no grid = true"):
        load_scenario(str(path))


def edited(folder: Path, name: str, old: str, new: str) -> Path:
    text = scenario_text(name)
    assert old in text
    path = folder / f"{name}.toml"
    path.write_text(text.replace(old, new, 1), "utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "rated_w"), [("paper000", 350), ("village", 240), ("outage", 660)]
)
def test_the_boundary_meter_bears_what_buffer_and_grid_bring_in(name: str, rated_w: int) -> None:
    (boundary,) = plan(load_scenario(name), None, None).nodes[-1].meters
    assert boundary.rated_w == rated_w
