"""What a member's plan for a day comes to: whether his devices can do it, his net energy, its cost.

Costs are exact, in utok uWh per kWh: divide by 10^9 for micro-tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from hub.market.contract import PRICE_UTOK_PER_KWH_MAX
from messages.scheduling import TASKS_MAX, Battery, Devices, Plan, Task

ENERGY_UWH_MAX: Final = 10**15
"""1 GWh: the most that a member plans for a slot, so that sums stay within 64 bits."""
POWER_MW_MAX: Final = 10**12
NAME_CHARS_MAX: Final = 96


def devices_fault(devices: Devices, slots: int) -> str:
    """Say why nobody can have such devices on a day of so many slots; "": one can."""
    battery = devices.battery
    if battery is not None:
        if not 0 < battery.capacity_uwh <= ENERGY_UWH_MAX:
            return f"a battery holds 1 to {ENERGY_UWH_MAX} uWh"
        if not 0 < battery.power_mw <= POWER_MW_MAX:
            return f"a battery has a power of 1 to {POWER_MW_MAX} mW"
        if not 1 <= battery.efficiency_percent <= 100:
            return "a battery keeps 1 to 100 % on each way"
        if not 0 <= battery.wear_utok_per_kwh <= PRICE_UTOK_PER_KWH_MAX:
            return f"wear costs 0 to {PRICE_UTOK_PER_KWH_MAX} utok per kWh"
    names = [task.relay for task in devices.tasks]
    if len(names) > TASKS_MAX or len(set(names)) < len(names):
        return f"at most {TASKS_MAX} tasks, one a relay"
    return next((fault for task in devices.tasks if (fault := _task_fault(task, slots))), "")


def _task_fault(task: Task, slots: int) -> str:
    last = slots - len(task.energy_uwh)
    if not task.energy_uwh or not 0 <= task.earliest <= task.latest <= last:
        return f"task {task.relay}: it begins within the day early enough to end in it"
    if any(not 0 <= energy <= ENERGY_UWH_MAX for energy in task.energy_uwh):
        return f"task {task.relay}: a slot takes 0 to {ENERGY_UWH_MAX} uWh"
    if not 0 < len(task.relay) <= NAME_CHARS_MAX:
        return f"a task's relay has a name of at most {NAME_CHARS_MAX} characters"
    return ""


def plan_fault(devices: Devices, plan: Plan, slots: int, slot_ms: int) -> str:
    """Say what in a plan the devices cannot do, and in which slot; "": they can."""
    series = (
        plan.base_uwh,
        plan.spare_uwh,
        plan.curtailed_uwh,
        plan.charged_uwh,
        plan.discharged_uwh,
        plan.values_utok_per_kwh,
    )
    if any(len(each) != slots for each in series):
        return f"each series has {slots} slots"
    if any(abs(energy) > ENERGY_UWH_MAX for energy in plan.base_uwh):
        return f"a slot has at most {ENERGY_UWH_MAX} uWh"
    if any(not 0 <= value <= PRICE_UTOK_PER_KWH_MAX for value in plan.values_utok_per_kwh):
        return f"a value is 0 to {PRICE_UTOK_PER_KWH_MAX} utok per kWh"
    for place, (spare, cut) in enumerate(zip(plan.spare_uwh, plan.curtailed_uwh, strict=True)):
        if not 0 <= cut <= spare <= ENERGY_UWH_MAX:
            return f"slot {place}: {cut} uWh curtailed of {spare} that can be"
    return _battery_fault(devices.battery, plan, slot_ms) or _tasks_fault(devices.tasks, plan)


def _battery_fault(battery: Battery | None, plan: Plan, slot_ms: int) -> str:
    if battery is None:
        is_idle = not any(plan.charged_uwh) and not any(plan.discharged_uwh)
        return "" if is_idle and plan.level_uwh == plan.end_uwh == 0 else "there is no battery"
    level, most = plan.level_uwh, battery.most_uwh(slot_ms)
    capacity = battery.capacity_uwh
    if not 0 <= level <= capacity or not 0 <= plan.end_uwh <= capacity:
        return f"the battery holds 0 to {capacity} uWh: not {level}, and not {plan.end_uwh} at last"
    flows = zip(plan.charged_uwh, plan.discharged_uwh, strict=True)
    for place, (charged, discharged) in enumerate(flows):
        if not 0 <= charged <= most or not 0 <= discharged <= most:
            return (
                f"slot {place}: {charged} uWh in and {discharged} out, at most {most} are possible"
            )
        level = battery.level_after(level, charged, discharged)
        if not 0 <= level <= capacity:
            return f"slot {place}: the battery would hold {level} of {capacity} uWh"
    if level < plan.end_uwh:
        return f"the battery ends with {level} uWh, {plan.end_uwh} are to be in it"
    return ""


def _tasks_fault(tasks: Sequence[Task], plan: Plan) -> str:
    if len(plan.starts) != len(tasks):
        return f"{len(tasks)} tasks are done once each, {len(plan.starts)} are planned"
    for task, start in zip(tasks, plan.starts, strict=True):
        if not task.earliest <= start <= task.latest:
            span = f"{task.earliest} to {task.latest}"
            return f"task {task.relay} begins in slots {span}, not in {start}"
    return ""


def net_uwh(devices: Devices, plan: Plan) -> tuple[int, ...]:
    """Return what a member draws in each slot by a plan that his devices can do; below 0: feeds."""
    nets = [
        base + curtailed + charged - discharged
        for base, curtailed, charged, discharged in zip(
            plan.base_uwh, plan.curtailed_uwh, plan.charged_uwh, plan.discharged_uwh, strict=True
        )
    ]
    for task, start in zip(devices.tasks, plan.starts, strict=True):
        for place, energy in enumerate(task.energy_uwh, start):
            nets[place] += energy
    return tuple(nets)


def wear(devices: Devices, plan: Plan) -> int:
    """Return what a plan wears off the battery. [utok uWh per kWh]"""
    if devices.battery is None:
        return 0
    moved = sum(plan.charged_uwh) + sum(plan.discharged_uwh)
    return devices.battery.wear_utok_per_kwh * moved


def least(devices: Devices, plan: Plan, prices: Sequence[int], slot_ms: int) -> int:
    """Return what no other plan of this member could be below, if energy cost these prices.

    Lagrange's bound: let the battery be filled and emptied at the values that the plan names,
    instead of by its own level; then each slot by itself takes its best choice. It holds for any
    values above 0, and equals the least cost for the right ones. Rounded down. [utok uWh per kWh]
    """
    total = 0
    for price, base, spare in zip(prices, plan.base_uwh, plan.spare_uwh, strict=True):
        total += price * base + min(price, 0) * spare
    for task in devices.tasks:
        total += min(
            sum(prices[start + place] * energy for place, energy in enumerate(task.energy_uwh))
            for start in range(task.earliest, task.latest + 1)
        )
    if devices.battery is not None:
        percent = devices.battery.efficiency_percent
        parts = _least_of_battery(devices.battery, plan, prices, slot_ms)
        total += sum(parts) // (100 * percent)
    return total


def _least_of_battery(
    battery: Battery, plan: Plan, prices: Sequence[int], slot_ms: int
) -> Iterator[int]:
    """Yield the best that charging, discharging and keeping come to, times 100 times percent."""
    percent, worn = battery.efficiency_percent, battery.wear_utok_per_kwh
    most, scale = battery.most_uwh(slot_ms), 100 * battery.efficiency_percent
    values = plan.values_utok_per_kwh
    for price, value in zip(prices, values, strict=True):
        yield min(0, ((worn + price) * 100 - value * percent) * percent) * most
        yield min(0, ((worn - price) * percent + value * 100) * 100) * most
    for value, later in pairwise(values):
        yield min(0, value - later) * battery.capacity_uwh * scale
    yield (values[-1] * plan.end_uwh - values[0] * plan.level_uwh) * scale
