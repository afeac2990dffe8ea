"""The commands `compare` and `clear` of the testbed."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.errors import BadComparison
from testbed.telling import told

if TYPE_CHECKING:
    from testbed.compare.battery import Battery
    from testbed.compare.byhand import ByHand
    from testbed.compare.comparing import Told
    from testbed.compare.comparison import Comparison

MATCHES_SHOWN = 20
REASONS_SHOWN = 8
EXIT_STOPPED = 130  # as shells have it for Ctrl-C


def add_commands(app: typer.Typer) -> None:
    """Add both commands to the program."""
    app.command(short_help="Compare market contracts over the same homes.")(compare)
    app.command(short_help="Clear one book of orders by hand, and check it.")(clear)


def compare(
    *,
    homes: Annotated[
        Path | None,
        typer.Option(help="Measured homes, CSV or gzipped CSV; default: made-up ones."),
    ] = None,
    members: Annotated[
        Path | None, typer.Option(help="Who they are: group, area, place, PV, battery, limits.")
    ] = None,
    contracts: Annotated[
        str, typer.Option(help="Which, with commas between; default: all.", metavar="A,B,...")
    ] = "",
    consumers: Annotated[
        str,
        typer.Option(
            help="Without --members: homes that lose their PV, or none; default: every third.",
            metavar="HOME,...",
        ),
    ] = "",
    battery_kwh: Annotated[
        float,
        typer.Option(help="Give each home with PV and without a battery one of this size."),
    ] = 0.0,
    tariff: Annotated[
        Path | None, typer.Option(help="Prices by time of day, CO2, contracts' parameters.")
    ] = None,
    slot: Annotated[
        str,
        typer.Option(help="Lengths of slots to run; default: the file's.", metavar="MIN,.."),
    ] = "",
    days: Annotated[int | None, typer.Option(help="Only the first days.", min=1)] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.html, CSVs and JSON.", metavar="DIR")
    ] = None,
    example: Annotated[
        str,
        typer.Option(help="Print a file to begin with: homes, members or tariff."),
    ] = "",
) -> None:
    """Run market contracts over the same homes, and say what each costs whom.

    Writes one HTML page that works without internet, with CSV and JSON beside it. The clearing
    and the money are the hub's own code; nothing of it is simulated.

      gridtally-testbed compare --out report

      gridtally-testbed compare --homes homes.csv.gz --members members.csv --out report

      gridtally-testbed compare --homes homes.csv.gz --contracts dep_balance,double_auction
      --battery-kwh 5 --slot 60,15 --days 7 --out report

      gridtally-testbed compare --example members > members.csv
    """
    with told():
        if example:
            print(_example(example), end="")
            return
        if out is None:
            raise BadComparison("--out DIR says where the report goes")
        from testbed.compare.comparing import Asked

        asked = Asked(
            homes,
            members,
            _names(contracts),
            _consumers(consumers),
            _battery(battery_kwh),
            tariff,
            _minutes(slot),
            days,
        )
        _run(asked, out)


def clear(
    contract: Annotated[str, typer.Argument(help="Its name.", metavar="CONTRACT")],
    *,
    book: Annotated[Path, typer.Option(help="The orders, CSV or gzipped CSV.", metavar="FILE")],
    option: Annotated[
        list[str] | None,
        typer.Option(help="Set a parameter of it; may be repeated.", metavar="K=V"),
    ] = None,
    tariff: Annotated[
        Path | None,
        typer.Option(help="The grid's prices (at 00:00); default: such as bind no order."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON instead.")
    ] = False,
) -> None:
    """Clear one book of orders with a contract, and check what it returns.

    The columns are side (bid or ask), member, energy_uwh, price_utok_per_kwh, and if you like
    area and prefers (members with ; between), which count only where --option is given.
    Printed are the matches, the price, and four checks: energy and money are conserved, nobody
    is worse off than his own limit, welfare is the best that these orders allow.

      gridtally-testbed clear double_auction --book orders.csv

      gridtally-testbed clear double_auction --book orders.csv --option partners=area --json
    """
    with told():
        _clear(contract, book, option or [], tariff, as_json)


def _run(asked: object, out: Path) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from hub.market.catalog import installed
    from testbed.compare.comparing import Asked
    from testbed.compare.comparing import compare as compared
    from testbed.compare.writing import write_comparison
    from testbed.supervisor import stop_on_signals

    if not isinstance(asked, Asked):
        raise AssertionError("the caller made Asked")
    stop_on_signals()
    try:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            result = compared(asked, installed(), _told(progress))
            progress.add_task("writing", total=None)
            written = write_comparison(result, out)
    except KeyboardInterrupt:
        print(f"stopped: {out} is as it was", file=sys.stderr)
        raise typer.Exit(EXIT_STOPPED) from None
    _show(result)
    for path in written:
        print(path)


def _told(progress: object) -> Told:
    """Show each run as a bar of its own; where nobody watches, as a line when it begins."""
    from rich.progress import Progress, TaskID

    if not isinstance(progress, Progress):
        raise AssertionError("the caller made Progress")
    bars: dict[str, TaskID] = {}

    def tell(what: str, done: int, total: int) -> None:
        if what not in bars:
            bars[what] = progress.add_task(what, total=total)
            if not progress.console.is_terminal:
                print(what, file=sys.stderr, flush=True)
        if done % 16 == 0 or done == total:
            progress.update(bars[what], completed=done)

    return tell


def _show(comparison: Comparison) -> None:
    """Print the table of the report in short."""
    from rich.console import Console
    from rich.table import Table

    from testbed.compare.wording import kwh, percent, tokens

    console = Console(width=None if sys.stdout.isatty() else 120)
    for section in comparison.sections:
        table = Table(title=f"Slots of {section.slot_min} min", title_justify="left")
        table.add_column("contract")
        heads = ("all pay", "saved", "losers", "matched kWh", "welfare", "peak/mean", "ms/slot")
        for head in heads:
            table.add_column(head, justify="right")
        for each in (section.grid_only, *section.results):
            row = each.figures
            peak = "–" if row.peak_to_average is None else f"{row.peak_to_average:.2f}"
            table.add_row(
                each.label,
                tokens(row.cost_utok),
                percent(row.saved_share),
                str(row.losers),
                kwh(row.matched_uwh),
                percent(row.welfare_share),
                peak,
                f"{row.clearing_ms_a_slot:.2f}",
            )
        console.print(table)


def _example(name: str) -> str:
    from testbed.compare.comparing import example as text_of
    from testbed.compare.tariff import EXAMPLE

    if name == "tariff":
        return EXAMPLE
    if name not in ("homes", "members"):
        raise BadComparison(f"--example {name}: there are homes, members and tariff")
    return text_of(f"{name}.csv")


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _consumers(text: str) -> tuple[str, ...] | None:
    from testbed.homes import topic_name

    if not text:
        return None
    return () if text == "none" else tuple(topic_name(name) for name in _names(text))


def _minutes(text: str) -> tuple[int, ...]:
    for part in _names(text):
        if not re.fullmatch(r"[0-9]{1,4}", part):
            raise BadComparison(f"--slot {text}: wanted minutes with commas between, like 60,15")
    return tuple(dict.fromkeys(int(part) for part in _names(text)))


def _battery(kwh: float) -> Battery | None:
    from testbed.compare.battery import Battery

    if not 0 <= kwh <= 1e6:
        raise BadComparison(f"--battery-kwh {kwh}: wanted kWh from 0 up")
    capacity_uwh = round(kwh * 1e9)
    return Battery(capacity_uwh, capacity_uwh // 2000) if capacity_uwh else None


def _clear(
    contract: str, book: Path, options: list[str], tariff: Path | None, as_json: bool
) -> None:
    import json

    from hub.market.catalog import installed
    from testbed.compare.byhand import clear_by_hand, read_options, read_orders

    found = clear_by_hand(contract, read_orders(book), read_options(options), tariff, installed())
    if as_json:
        print(json.dumps(found.figures()))
        return
    _show_by_hand(found)


def _show_by_hand(found: ByHand) -> None:
    from rich.console import Console
    from rich.table import Table

    from testbed.compare.wording import percent

    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    checks, price = found.checks, found.price_utok_per_kwh
    matches = found.clearing.matches
    table = Table(title=f"{len(matches):,} matches", title_justify="left")
    for head in ("seller", "buyer"):
        table.add_column(head)
    for head in ("uWh", "utok per kWh"):
        table.add_column(head, justify="right")
    for match in matches[:MATCHES_SHOWN]:
        row = (f"{match.energy_uwh:,}", f"{match.price_utok_per_kwh:,}")
        table.add_row(match.seller, match.buyer, *row)
    if len(matches) > MATCHES_SHOWN:
        rest = sum(match.energy_uwh for match in matches[MATCHES_SHOWN:])
        table.add_row(f"{len(matches) - MATCHES_SHOWN:,} more", "", f"{rest:,}", "")
    console.print(table)
    one = "no single price" if price is None else f"price {price:,} utok per kWh"
    console.print(f"matched {checks.matched_uwh:,} uWh, {one}")
    for name, holds in checks.passed.items():
        told = "[bold green]yes[/]" if holds else "[bold red]NO[/]"
        console.print(f"{name.replace('_', ' '):<18}{told}")
    share = None if checks.welfare_ppm is None else checks.welfare_ppm / 1e6
    console.print(
        f"welfare {checks.welfare_utok_uwh_per_kwh:,} utok uWh/kWh, {percent(share)} of the optimum"
    )
    if checks.worst_utok_per_kwh is not None:
        console.print(
            f"worst deal: {checks.worst_member}, {checks.worst_utok_per_kwh:+,} utok per kWh "
            f"against his own limit; {len(checks.losers):,} worse off than theirs"
        )
    for reason, count in found.reasons.most_common(REASONS_SHOWN):
        console.print(f"{count:,} orders: {reason}")
