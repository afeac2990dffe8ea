"""`gridtally-hub suspects`: meters that do not fit the others, with numbers and what to check."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hub.commands.terminal import loaded, log_to_stderr, told

if TYPE_CHECKING:
    from hub.watching.collecting import Findings
from messages.timetext import format_time

HERE: Final = Path("hub.toml")


def add_commands(app: typer.Typer) -> None:
    """Add the command to the hub's."""
    app.command(short_help="Meters that do not fit the others, and what to check.")(suspects)


def suspects(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The hub's configuration file.", metavar="FILE")
    ] = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare the members' meters with the boundary meter, and generators with their neighbours.

    It looks at the newest 336 slots in which every meter was read, and says what does not agree,
    by how much, and what to check. A finding is a hint and proves nothing of anybody: see
    docs/detector.md for how often it is right and wrong. Works while the hub runs.

    gridtally-hub suspects --json
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.ledger.store import Store
        from hub.watching.collecting import findings

        with Store.open(loaded(config).database, read_only=True) as store:
            found = findings(store)
        print(json.dumps(_plain(found)) if as_json else "\n".join(_lines(found)))


def _plain(found: Findings) -> dict[str, object]:
    window = found.window
    return {
        "slots": len(window.slots),
        "slot_ms": window.slot_ms,
        "first_slot_ms": window.slots[0] if window.slots else None,
        "left_out": window.left_out,
        "missing": found.missing,
        "suspects": [{**each._asdict(), "text": each.text} for each in found.suspects],
    }


def _lines(found: Findings) -> Iterator[str]:
    window = found.window
    if window.slots:
        span = f"{format_time(window.slots[0])} to {format_time(window.slots[-1] + window.slot_ms)}"
        left = f"; {window.left_out} with estimates left out" if window.left_out else ""
        yield f"looked at  {len(window.slots)} slots, {span}{left}"
    if found.missing:
        yield f"not all    {found.missing}"
    for each in found.suspects:
        yield f"since {format_time(each.since_ms)}: {each.text}"
    if not found.suspects:
        yield "found      nothing that is far off"
