"""Plays a scenario on virtual time: the world in steps of 200 ms, under one control.

Meters are read once a second, at a phase of the second that the seed draws, so that nothing in a
scenario happens just when it is looked at. The first five seconds are played and not counted:
everybody begins somewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from hub.balancing.catalog import POLICIES
from hub.balancing.catalog import installed as installed_policies
from hub.balancing.errors import BadParameter
from hub.balancing.limits import ISLAND, TIE
from hub.core.effects import SlotSettled
from hub.market.catalog import installed as installed_contracts
from hub.policyfile import policy_entry, policy_fault
from messages.entries import PolicyEntry
from testbed.errors import BadScenario
from testbed.layout import Layout, plan
from testbed.scoring.control import CYCLE_MS, Control, HubControl, NoControl
from testbed.scoring.tally import Score, Tally
from testbed.scoring.threshold import Threshold
from testbed.tables import Scenario
from testbed.world import World

STEP_MS: Final = 200
WARM_MS: Final = 5_000
LONGEST_MS: Final = 6 * 3_600_000
NO_CONTROL: Final = "no control"
THRESHOLD: Final = "threshold"
BASELINES: Final = (NO_CONTROL, THRESHOLD)
SHARED: Final = (*TIE, *ISLAND, "stale_after_ms")
"""Parameters that every policy knows."""

Watch = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Played:
    """One scenario under one control; `settled` is empty where no ledger is kept."""

    scenario: Scenario
    control: str
    score: Score
    settled: tuple[SlotSettled, ...] = ()


def controls(names: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the baselines and then the policies that are asked for, or all there are."""
    known = installed_policies()
    for name in names:
        if name not in known:
            raise BadScenario(f"no dispatch policy {name!r}; there are {', '.join(sorted(known))}")
    return (*BASELINES, *(names or (name for name in sorted(POLICIES) if name != "none")))


def play(scenario: Scenario, control: str, watch: Watch = lambda _done, _total: None) -> Played:
    """Play a scenario to its end; `watch` is told milliseconds done and in all.

    Raises:
        BadScenario: it is longer than six hours, plays homes, or its policy cannot be used.
    """
    if scenario.homes or scenario.slots * scenario.slot_ms > LONGEST_MS:
        raise BadScenario("score plays every fifth of a second: at most six hours, and no --homes")
    layout = replace(plan(scenario, None, None), instant_ms=STEP_MS)
    if layout.slot_ms % STEP_MS or scenario.instant_ms % STEP_MS:
        raise BadScenario(f"score needs slots and instants that are whole parts of {STEP_MS} ms")
    world, entry = layout.world(), _policy(layout, control)
    steered = _steered(control, layout, world, entry)
    tally = Tally(layout, entry)
    phase_ms = Random(f"{scenario.seed}/phase").randrange(0, CYCLE_MS, STEP_MS)
    moves = 0
    for now_ms in range(layout.start_ms, layout.end_ms, STEP_MS):
        if now_ms > layout.start_ms:
            world.advance(now_ms)
            world.jump()
        passed_ms = now_ms - layout.start_ms
        steered.turn(now_ms, samples=passed_ms % CYCLE_MS == phase_ms)
        if passed_ms < WARM_MS:
            moves = world.moves
        else:
            tally.look(world)
        watch(passed_ms, layout.end_ms - layout.start_ms)
    settled = tuple(steered.ledger.settled) if isinstance(steered, HubControl) else ()
    return Played(scenario, control, tally.score(world, moves), settled)


def _steered(name: str, layout: Layout, world: World, entry: PolicyEntry) -> Control:
    if name == NO_CONTROL:
        return NoControl(layout, world)
    if name == THRESHOLD:
        return Threshold(layout, world, entry)
    return HubControl(layout, world, entry, installed_contracts(), installed_policies())


def _policy(layout: Layout, control: str) -> PolicyEntry:
    """Return the scenario's policy with another dispatch; what that does not know is left out."""
    contracts, policies = installed_contracts(), installed_policies()
    entry = policy_entry(layout.scenario.policy, layout.start_ms, contracts, policies)
    if control in policies:
        known = _known(control, entry.dispatch_parameters)
        entry = replace(entry, dispatch=control, dispatch_parameters=known)
    fault = policy_fault(entry, contracts, policies)
    if fault:
        raise BadScenario(f"[policy] of the scenario: {fault}")
    return entry


def _known(name: str, parameters: Mapping[str, int | str]) -> dict[str, int | str]:
    try:
        installed_policies()[name]().check(parameters)
    except BadParameter:
        return {key: value for key, value in parameters.items() if key in SHARED}
    return dict(parameters)
