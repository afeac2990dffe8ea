"""The command `gridtally-edge limit`: tell a generator to make less, by hand, and see that it does.

Automatic curtailment comes from the hub by leases; this is for commissioning, and for the day on
which somebody stands in front of the device.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from edge.app import Bench
from edge.commissioning.errors import BadUsage
from edge.config import EdgeConfig, MeterTable
from edge.errors import Unavailable
from edge.service import loaded, log_to_stderr, told
from hardware.ports import Curtailable, EnergyMeter

REPEATS_IN_A_LIFE: Final = 3
"""How often a limit is repeated before the device would forget it."""
REPEAT_S: Final = 20.0
MW_PER_W: Final = 1_000
OFF: Final = "off"


def add_to(app: typer.Typer) -> None:
    """Add the command to a program."""
    app.command(short_help="Tell a generator to make less.")(limit)


def limit(
    name: Annotated[
        str, typer.Argument(help="The meter_id of a charge controller or inverter.", metavar="NAME")
    ],
    watts: Annotated[
        str | None,
        typer.Argument(help="At most so much, or off; left out: show the limit.", metavar="W|off"),
    ] = None,
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The node's configuration file.", metavar="FILE")
    ] = Path("edge.toml"),
    hold: Annotated[
        int, typer.Option(help="Repeat it for so many seconds, then end it.", min=0, metavar="S")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")] = False,
) -> None:
    """Limit what a charge controller or inverter lets through, and read back that it stands.

    A device with a timer of its own forgets a limit that is not repeated, and goes on as before:
    the answer says when. One without keeps it until it is told otherwise. Stop the agent first: two
    programs on one line garble each other.

      gridtally-edge limit roof

      gridtally-edge limit roof 500 --hold 600

      gridtally-edge limit roof off
    """
    log_to_stderr(verbose=False)
    with told():
        settings = loaded(config)
        bench = Bench(settings)
        try:
            device = _device(settings, bench, name)
            if watts is None:
                device_meter(device).sample()  # a limit is read back with a sample
            else:
                set_limit(device, _power_mw(watts), hold_s=hold, pause=time.sleep)
            facts = {"limited_mw": device.limited_mw, "revert_ms": device.revert_ms}
            print(json.dumps({"meter_id": name, **facts}) if as_json else describe(device))
        finally:
            bench.close()


def set_limit(
    device: Curtailable, power_mw: int | None, *, hold_s: int, pause: Callable[[float], object]
) -> None:
    """Limit a device; with `hold_s` repeat it so long, and end it whatever happens."""
    device.limit(power_mw)
    if not hold_s or power_mw is None:
        return
    step_s = min(device.revert_ms / 1000 / REPEATS_IN_A_LIFE or REPEAT_S, float(hold_s))
    try:
        left_s = float(hold_s)
        while left_s > 0:
            pause(min(step_s, left_s))
            left_s -= step_s
            if left_s > 0:
                device.limit(power_mw)
    finally:
        device.limit(None)


def describe(device: Curtailable) -> str:
    """Return how the limit stands, and what becomes of it."""
    limited_mw = device.limited_mw
    if limited_mw is None:
        return "no limit stands"
    revert_ms = device.revert_ms
    fate = (
        f"the device forgets it {revert_ms / 1000:g} s after it was set"
        if revert_ms
        else "the device keeps it until it is told otherwise"
    )
    return f"limited to {limited_mw / MW_PER_W:g} W; {fate}"


def device_meter(device: Curtailable) -> EnergyMeter:
    """Return the meter that a curtailable device is, too."""
    if not isinstance(device, EnergyMeter):
        raise Unavailable("this device takes limits and measures nothing")
    return device


def _device(config: EdgeConfig, bench: Bench, name: str) -> Curtailable:
    table = _table(config, name)
    device = bench.meter(table)
    if not isinstance(device, Curtailable):
        raise Unavailable(
            f"meter {name} is a {table.model}, which takes no limit; a relay on the panel side does"
        )
    return device


def _table(config: EdgeConfig, name: str) -> MeterTable:
    for each in config.meter:
        if each.meter_id == name:
            return each
    known = ", ".join(each.meter_id for each in config.meter)
    raise BadUsage(f"no meter is named {name}; there are: {known}")


def _power_mw(text: str) -> int | None:
    if text == OFF:
        return None
    if not text.isdigit():
        raise BadUsage(f'"{text}": want whole watts, or off')
    return int(text) * MW_PER_W
