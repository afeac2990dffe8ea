"""The command `gridtally-edge calibrate`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from edge.commissioning.errors import BadUsage
from edge.service import loaded, told

if TYPE_CHECKING:
    from edge.calibration.comparing import Comparison, Stored, Wanted
    from edge.config import MeterTable

REASON_MAX: Final = 200


def add_to(app: typer.Typer) -> None:
    """Add the command to a program."""
    app.command(short_help="Compare a meter with a reference, and correct it.")(calibrate)


def calibrate(
    meter: Annotated[str, typer.Argument(help="The meter_id of a meter.", metavar="METER")],
    *,
    power_w: Annotated[
        str, typer.Option("--power-w", help="What flows now; positive is import.", metavar="W")
    ] = "",
    voltage_v: Annotated[
        str, typer.Option("--voltage-v", help="The voltage now.", metavar="V")
    ] = "",
    current_a: Annotated[
        str,
        typer.Option(
            "--current-a", help="The current now; on direct current power follows it.", metavar="A"
        ),
    ] = "",
    zero: Annotated[bool, typer.Option("--zero", help="Nothing flows now.")] = False,
    clear: Annotated[
        bool, typer.Option("--clear", help="Correct nothing any more: as its device says.")
    ] = False,
    samples: Annotated[
        int, typer.Option(min=1, max=3_600, help="How many samples are averaged.")
    ] = 30,
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The node's configuration file.", metavar="FILE")
    ] = Path("edge.toml"),
    reason: Annotated[
        str, typer.Option(help="Why, or what the reference was; it goes onto the ledger.")
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Store what looks wrong, too; wants a --reason.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Average samples of a meter while a reference says what is true, and correct the meter by it.

    For a current transformer's ratio, a shunt's tolerance, an offset. Stop the agent first; it
    applies the coefficients from its next start to what it shows, sends and integrates. Counters
    that a device keeps itself are never altered. The coefficients, the reference and what the
    device said go onto the ledger, signed by this node; what the device says can be computed back
    from every value. --zero first, then a gain near full load.

      gridtally-edge calibrate dep1-load --zero

      gridtally-edge calibrate dep1-load --current-a 2.004 --voltage-v 12.06 --reason "Fluke 87V"

      gridtally-edge calibrate house-net --power-w 1980 --samples 60

      gridtally-edge calibrate dep1-load --clear --reason "new shunt"
    """
    with told():
        from edge.calibration.comparing import calibrate as compare
        from edge.calibration.comparing import meter_table

        true = {
            "power": milli(power_w, "--power-w"),
            "voltage": milli(voltage_v, "--voltage-v"),
            "current": milli(current_a, "--current-a"),
        }
        wanted = _wanted(true, zero, clear, samples, reason, force)
        settings = loaded(config)
        with _bar(f"{samples} samples of {meter}") as tell:
            stored = compare(settings, meter, wanted, tell)
        table = meter_table(settings, meter)
        if as_json:
            from edge.commissioning.tables import show_json

            show_json(as_values(table, stored), one_line=True)
        else:
            _show(table, stored)


def milli(text: str, option: str) -> int | None:
    """Return thousandths of a decimal number; None for an empty text.

    >>> milli("2.004", "--current-a"), milli("", "--current-a")
    (2004, None)

    Raises:
        BadUsage: it is no number, or one of more than three decimals.
    """
    if not text:
        return None
    try:
        number = Decimal(text) * 1000
        if number != int(number) or abs(number) >= 10**12:
            raise InvalidOperation
    except (InvalidOperation, ValueError, OverflowError):
        raise BadUsage(f"{option} {text}: want a number with at most three decimals") from None
    return int(number)


def as_values(table: MeterTable, stored: Stored) -> dict[str, Any]:
    """Return what `--json` prints; values in mW, mV and mA, gains in ppm."""
    found = stored.comparison
    return {
        "meter_id": table.meter_id,
        "event": stored.event,
        "at_ms": stored.at_ms,
        "samples": 0 if found.said is None else found.said.samples,
        "reference": asdict(found.true),
        "raw": None if found.said is None else asdict(found.said.mean),
        "spread": None if found.said is None else asdict(found.said.spread),
        "before": asdict(found.old),
        "after": asdict(found.new),
        "doubts": found.doubts,
        "counters_are_corrected": False,
    }


def _wanted(
    true: dict[str, int | None], zero: bool, clear: bool, samples: int, reason: str, force: bool
) -> Wanted:
    from edge.calibration.comparing import Wanted
    from edge.calibration.fitting import Values

    is_given = any(value is not None for value in true.values())
    if [is_given, zero, clear].count(True) != 1:
        raise BadUsage(
            "say what is true: --power-w, --voltage-v and --current-a as you know them, or --zero "
            "while nothing flows, or --clear"
        )
    if force and not reason:
        raise BadUsage("--force wants a --reason: it goes onto the ledger")
    if len(reason) > REASON_MAX:
        raise BadUsage(f"--reason: {len(reason)} letters, at most {REASON_MAX}")
    how = "gain" if is_given else "zero" if zero else "clear"
    return Wanted(how, Values(**true), samples, reason, force)  # type: ignore[arg-type]


def _show(table: MeterTable, stored: Stored) -> None:
    from hardware import catalog

    _show_table(table.meter_id, stored.comparison)
    for doubt in stored.comparison.doubts:
        print(f"stored all the same: {doubt}")
    if catalog.METERS[table.model].has_counters:
        print(
            "its energy counters are its own and stay as they are: power, voltage and current are "
            "corrected, its register is not"
        )
    print(
        f"stored. The agent applies it from its next start, and sends the entry (event "
        f"{stored.event}) to the ledger"
    )


def _show_table(meter_id: str, found: Comparison) -> None:
    from edge.calibration.fitting import QUANTITIES, Values, amount
    from edge.commissioning.tables import show
    from messages.correction import gain_text

    raw = Values() if found.said is None else found.said.mean
    rows = []
    for quantity in QUANTITIES:
        old, new = getattr(found.old, quantity.name), getattr(found.new, quantity.name)
        said, true = raw.of(quantity), found.true.of(quantity)
        if said is None and old == new:
            continue
        rows.append(
            (
                quantity.name,
                amount(quantity, true),
                amount(quantity, said),
                "" if said is None else amount(quantity, old.of(said)),
                "" if said is None else amount(quantity, new.of(said)),
                gain_text(new.gain_ppm),
                amount(quantity, new.offset),
            )
        )
    columns = ("", "is", "its device says", "shown before", "shown from now on", "gain", "offset")
    show(meter_id, columns, rows)


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show progress on standard error, if a person looks at it."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
