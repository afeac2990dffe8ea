"""What a scan shows: how far it is, a table or JSON of what it found, and a configuration."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from edge.commissioning.draft import UNKNOWN, draft, node_name, write_draft
from edge.commissioning.errors import CommissioningError
from edge.commissioning.findings import Finding, Trouble
from edge.commissioning.scan_lines import Found, Progress
from edge.commissioning.tables import Cell, show, show_json


@contextmanager
def progress() -> Iterator[Progress]:
    """Yield what is told how far a scan is; on a terminal it shows a bar, else a line a bus."""
    console = Console(stderr=True)
    if not console.is_terminal:
        seen: set[str] = set()

        def tell_once(what: str, done: int, total: int) -> None:
            if what not in seen:
                seen.add(what)
                print(f"{what} ...", file=sys.stderr)

        yield tell_once
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("", total=1)

        def tell(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield tell


def finish(found: Sequence[Found], write: Path | None, *, as_json: bool) -> None:
    """Show what was found, and write a configuration if one is wanted.

    Raises:
        BadUsage: the file exists, or cannot be written.
        CommissioningError: no place could be scanned.
    """
    findings = [each for each in found if isinstance(each, Finding)]
    troubles = [each for each in found if isinstance(each, Trouble)]
    if as_json:
        show_json(
            {
                "findings": [each.as_json() for each in findings],
                "troubles": [{"where": each.where, "why": each.why} for each in troubles],
            }
        )
    else:
        _show(findings, troubles)
    if write is not None:
        node = node_name(socket.gethostname())
        write_draft(write, findings, node)
        unknown = draft(findings, node).count(f"# {UNKNOWN}:")
        print(
            f"{write}: {unknown} lines say {UNKNOWN}: fill them in, then "
            f"gridtally-edge check-config --config {write}",
            file=sys.stderr,
        )
    if troubles and not findings:
        raise CommissioningError("nothing could be scanned")


def _show(findings: Sequence[Finding], troubles: Sequence[Trouble]) -> None:
    if findings:
        columns = ("where", "address", "it is", "", "because", "or else", "it says")
        show("", columns, [_row(each) for each in findings])
    else:
        print("nothing answers")
    for each in troubles:
        print(f"{each.where}: {each.why}")


def _row(finding: Finding) -> list[Cell]:
    address = finding.address
    if finding.place.kind == "i2c" and address is not None:
        at: Cell = f"0x{address:02X}"
    else:
        at = "" if address is None else str(address)
    others = ", ".join(each.model or each.why for each in finding.others)
    facts = ", ".join(str(value) for value in finding.facts.values())
    best = finding.best
    return [finding.place.short, at, best.model or "?", best.sure.word, best.why, others, facts]
