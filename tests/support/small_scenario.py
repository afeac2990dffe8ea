"""One home on a tie or an island, as a scenario file of a few lines, for tests of scores."""

from __future__ import annotations

from pathlib import Path

from testbed.scenario import load_scenario
from testbed.tables import Scenario

TEXT = """
title = "one home"
microgrid = "home"
start = "2026-06-21T12:00:00Z"
slots = 2
slot_ms = 30_000
instant_ms = 1_000
seed = 1

[bus]
voltage_mv = 12_500
boundary = "tie"
{bus}

[policy]
contract = "dep_balance"
dispatch = "priority"
parameters = {{ deficit = "supplier", surplus = "grid" }}
price = [{{ at = "00:00", utok_per_kwh = 300_000 }}]
feed_in = [{{ at = "00:00", utok_per_kwh = 80_000 }}]

[policy.dispatch_parameters]
import_mw_max = {import_mw}
{more}

[[member]]
member = "ann"
node = "ann"
rated_w = 100
generation = {{ source = "slots", slots_w = [] }}
consumption = {{ source = "slots", slots_w = [{wanted_w}] }}
load = [
    {{ load = "fridge", power_w = 10, pin = 17, critical = true }},
    {{ load = "lamp", power_w = 20, pin = 27, importance = 5{lamp} }},
    {{ load = "oven", power_w = 40, pin = 22, importance = 2{oven} }},
]
{events}
"""


def small(folder: Path, **parts: str | int) -> Scenario:
    """Return the scenario with some of its parts filled in."""
    usual: dict[str, str | int] = {
        "bus": "grid = true",
        "import_mw": 40_000,
        "more": "",
        "wanted_w": "70, 70",
        "lamp": "",
        "oven": "",
        "events": "",
    }
    path = folder / "small.toml"
    path.write_text(TEXT.format(**(usual | parts)), "utf-8")
    return load_scenario(str(path))


def event(kind: str, at_s: int, for_s: int = 0, more: str = "") -> str:
    """Return an event as a file has it."""
    return f'[[event]]\nevent = "{kind}"\nat_s = {at_s}\nfor_s = {for_s}\n{more}\n'
