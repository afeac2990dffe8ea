"""The command `fault` of the testbed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from hub.errors import BoardAway
from hub.vitals.health import read_health, silence
from hub.web.board import ask
from testbed.errors import BadDevice, NoDemo
from testbed.telling import told

LIST: Final = "list"
STATE: Final = "state"
ALL: Final = "all"
SHOWN_TARGETS: Final = 6


def add_commands(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(short_help="Let something go wrong in a running demo, and see what it does.")(fault)


def fault(
    name: Annotated[
        str, typer.Argument(help="A fault; or list, state, or all.", metavar="NAME")
    ] = LIST,
    switch: Annotated[
        str, typer.Argument(help="on or off; without it the fault is explained.", metavar="on|off")
    ] = "",
    target: Annotated[
        str, typer.Argument(help="What to play it on; none where there is one only.")
    ] = "",
    *,
    state: Annotated[
        Path | None,
        typer.Option(help="The demo with this folder; default: the only one.", metavar="DIR"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Switch a fault on or off in a running demo: kill the hub, cut a cable, weld a relay.

    Begin with list, which says of each fault what it plays, what you should see, and on what it
    can be played; a name alone explains that one. Then play one, and look at the demo's page. The
    page has the same switches under /faults.

      gridtally-testbed demo                             in one terminal

      gridtally-testbed fault list                       in another

      gridtally-testbed fault kill on hub

      gridtally-testbed fault state                      what is on, and what the hub noticed

      gridtally-testbed fault kill off hub

      gridtally-testbed fault welded on dep2-heater-relay

      gridtally-testbed fault all off
    """
    with told():
        answer = _answer(name, switch, target, state)
        if as_json:
            print(json.dumps(answer))
            return
        for line in _lines(name, switch, answer):
            print(line)


def _answer(name: str, switch: str, target: str, state: Path | None) -> dict[str, Any]:
    """Return what the board says, or what the catalog says where no demo is needed."""
    from testbed.switchboard.board import fault_named
    from testbed.switchboard.finding import demo_of, switchboard_of

    if switch not in ("", "on", "off") or (switch == "" and target):
        raise BadDevice(f"wanted NAME on|off TARGET, not {' '.join((name, switch, target))}")
    if name == ALL:
        if switch != "off":
            raise BadDevice("`all` can be switched off only: choose a fault to switch on")
        return _asked(switchboard_of(demo_of(state)), {"all_off": True})
    if switch:
        request = {"switch": name, "target": target, "on": switch == "on"}
        return _asked(switchboard_of(demo_of(state)), request)
    if name not in (LIST, STATE):
        fault_named(name)
    try:
        demo = demo_of(state)
    except NoDemo:
        if name == STATE or state is not None:
            raise
        return _catalog()
    board = _asked(switchboard_of(demo), {"look": True})
    return {**board, "noticed": _noticed(demo)} if name == STATE else board


def _asked(socket: Path, request: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = ask(socket, request)
    except BoardAway as error:
        raise NoDemo(str(error)) from None
    if "error" in answer:
        raise BadDevice(answer["error"])
    return answer


def _catalog() -> dict[str, Any]:
    """Return every fault without targets: nothing runs that has any."""
    from testbed.switchboard.board import facts_of, not_played
    from testbed.switchboard.catalog import FAULTS

    faults = [facts_of(fault) for fault in FAULTS.values()]
    return {"simulation": "", "faults": faults, "not_played": [*not_played()], "news": []}


def _noticed(demo: Path) -> list[str]:
    """Return what the hub says of itself: that it is silent, its alarms, what it refused."""
    import time

    health = read_health(demo) or {}
    silent = silence(health or None, time.time_ns() // 1_000_000)
    alarms, refused = health.get("alarms"), health.get("refused")
    return [
        *([f"hub: {silent}"] if silent else []),
        *(map(str, alarms) if isinstance(alarms, list) else ()),
        *(
            f"refused {count} messages: {reason}"
            for reason, count in (refused.items() if isinstance(refused, dict) else ())
        ),
    ]


def _lines(name: str, switch: str, answer: dict[str, Any]) -> list[str]:
    if switch:
        return [answer["told"]]
    if name == STATE:
        return _state_lines(answer)
    if name == LIST:
        return _list_lines(answer)
    found = [each for each in answer["faults"] if each["name"] == name]
    if not found:
        raise BadDevice(f"{name}: nothing in this demo has this fault; see `fault list`")
    return [*_fault_lines(found[0], every_target=True)]


def _list_lines(answer: dict[str, Any]) -> list[str]:
    lines = [line for each in answer["faults"] for line in (*_fault_lines(each), "")]
    lines += ["Not played by a switch:", ""]
    lines += [
        f"{each['row']:<4} {each['about']}: {each['reason']}" for each in answer["not_played"]
    ]
    if not answer["simulation"]:
        lines += ["", "No demo runs: `gridtally-testbed demo` starts one to play these on."]
    return lines


def _fault_lines(fault: dict[str, Any], *, every_target: bool = False) -> list[str]:
    on = f"  ON: {', '.join(fault['on'])}" if fault["on"] else ""
    lines = [
        f"{fault['name']} ({', '.join(fault['rows'])}){on}",
        f"    plays    {fault['plays']}",
        f"    you see  {fault['see']}",
    ]
    if every_target:
        told = dict.fromkeys(fault["see_on"].values())
        lines += [f"      {_told_of(fault, words)}: {words}" for words in told]
    names = fault["targets"]
    if names:
        few = names if every_target else names[:SHOWN_TARGETS]
        more = f" and {len(names) - len(few)} more" if len(names) > len(few) else ""
        lines.append(f"    on       {', '.join(few)}{more}")
    return lines


def _told_of(fault: dict[str, Any], words: str) -> str:
    return ", ".join(target for target, said in fault["see_on"].items() if said == words)


def _state_lines(answer: dict[str, Any]) -> list[str]:
    on = [f"{each['name']} {target}" for each in answer["faults"] for target in each["on"]]
    return [
        f"SIMULATION: {answer['simulation']}",
        f"on: {', '.join(on)}" if on else "no fault is on",
        *(f"noticed: {words}" for words in answer["noticed"] or ["nothing"]),
        *(f"played: {words}" for words in answer["news"]),
    ]
