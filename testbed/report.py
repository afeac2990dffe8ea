"""What a run came to, for a person: sales, bills, curtailment, and why to believe it."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from hub.market.contract import Fate
from testbed.accounts import REGISTER, TELEMETRY, Accounts
from testbed.figures import Hour, sparkline
from testbed.layout import Layout
from testbed.results import Results, Verdict

UWH_PER_WH = 1_000_000
UWH_PER_KWH = 1_000_000_000
UTOK_PER_TOKEN = 1_000_000
MEMBERS_SHOWN = 20
REASONS_SHOWN = 12
SALES_SHOWN = 12
SHED_SHOWN = 30
HOURS_SHOWN = 96
KWH_FROM_UWH = 10_000 * UWH_PER_WH


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit of energy of one table, so that its column heads can say it once."""

    name: str
    uwh: int

    def text(self, uwh: int) -> str:
        """Return an energy as a number in this unit."""
        return f"{uwh / self.uwh:,.2f}"


WH = Unit("Wh", UWH_PER_WH)
KWH = Unit("kWh", UWH_PER_KWH)


def unit_for(energies_uwh: Iterable[int]) -> Unit:
    """Return Wh for a bench, kWh for homes."""
    return WH if max(energies_uwh, default=0) < KWH_FROM_UWH else KWH


def tokens(utok: int, *, signed: bool = False) -> str:
    """Return an amount in tokens, exact to the micro-token."""
    return f"{utok / UTOK_PER_TOKEN:{'+' if signed else ''},.6f}"


def hour_text(slot_ms: int) -> str:
    """Return a slot's start as people write it. [UTC]"""
    return datetime.fromtimestamp(slot_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def show(
    console: Console,
    layout: Layout,
    results: Results,
    hours: Mapping[str, Sequence[Hour]],
) -> None:
    """Print the whole summary."""
    console.rule(f"[bold]{layout.scenario.title}[/] · {len(results.settled)} slots · SIMULATION")
    if layout.scenario.scale:
        console.print(f"Scale: {layout.scenario.scale}.", highlight=False)
    console.print(_sales(results))
    if results.fates:
        console.print(_orders(results))
    console.print(_bills(results, hours))
    if results.curtailed_uwh:
        console.print(_curtailed(layout, results))
    if layout.slots <= HOURS_SHOWN:
        show_figures(console, hours)


def _sales(results: Results) -> Table:
    sales = sorted(results.sales().items(), key=lambda sale: -sale[1][0])
    unit = unit_for(uwh for _, (uwh, _) in sales)
    table = _table("Who sold to whom", ("seller", "buyer"), (unit.name, "tokens"))
    for (seller, buyer), (uwh, utok) in sales[:SALES_SHOWN]:
        table.add_row(seller, buyer, unit.text(uwh), tokens(utok))
    rest = sales[SALES_SHOWN:]
    if rest:
        more_uwh, more_utok = sum(s[1][0] for s in rest), sum(s[1][1] for s in rest)
        table.add_row(f"{len(rest)} other pairs", "", unit.text(more_uwh), tokens(more_utok))
    table.add_section()
    table.add_row("all", "", unit.text(results.matched_uwh), "")
    return table


def _orders(results: Results) -> Table:
    """What became of orders: how often, by the reason that their members were told."""
    told = Counter(_reason(fate) for fate in results.fates)
    table = _table("What became of orders, counted once a slot", ("",), ("times",))
    for reason, count in told.most_common(REASONS_SHOWN):
        table.add_row(reason, str(count))
    return table


def _reason(fate: Fate) -> str:
    """Return the reason without its numbers."""
    words = "all of it matched" if not fate.reason else re.sub(r"\d+", "...", fate.reason)
    return f"{fate.side}: {words}"


BILL_COLUMNS = ("generated", "consumed", "bought", "sold", "curtailed")


def _bills(results: Results, hours: Mapping[str, Sequence[Hour]]) -> Table:
    sums = {
        member: [sum(getattr(row, f"{name}_uwh") for row in rows) for name in BILL_COLUMNS]
        for member, rows in hours.items()
    }
    unit = unit_for(uwh for row in sums.values() for uwh in row)
    title = f"What each receives (+) or pays (-); energy in {unit.name}"
    table = _table(title, ("account",), (*BILL_COLUMNS, "tokens"))
    balances = results.balances()
    for member, row in list(sums.items())[:MEMBERS_SHOWN]:
        table.add_row(member, *map(unit.text, row), tokens(balances.get(member, 0), signed=True))
    if len(hours) > MEMBERS_SHOWN:
        table.add_row(f"{len(hours) - MEMBERS_SHOWN} more members", "", "", "", "", "", "")
    for account, utok in balances.items():
        if account not in hours:
            table.add_row(account, "", "", "", "", "", tokens(utok, signed=True))
    table.add_section()
    total = tokens(results.settlement_sum_utok, signed=True)
    table.add_row("sum", "", "", "", "", "", total)
    return table


def _curtailed(layout: Layout, results: Results) -> Table:
    rows = [(slot, row) for slot in results.settled for row in slot.curtailments]
    unit = unit_for(row.wanted_uwh for _, row in rows)
    title = f"What was curtailed by opening relays, in {unit.name}"
    table = _table(title, ("slot", "from (UTC)", "member"), ("wanted", "had", "curtailed"))
    for slot, row in rows[:SHED_SHOWN]:
        number = str((slot.slot_ms - layout.start_ms) // layout.slot_ms)
        energies = (row.wanted_uwh, row.had_uwh, row.curtailed_uwh)
        table.add_row(number, hour_text(slot.slot_ms), row.member, *map(unit.text, energies))
    if len(rows) > SHED_SHOWN:
        rest = sum(row.curtailed_uwh for _, row in rows[SHED_SHOWN:])
        table.add_row("", f"{len(rows) - SHED_SHOWN} more", "", "", "", unit.text(rest))
    table.add_section()
    table.add_row("all", "", "", "", "", unit.text(results.curtailed_uwh))
    return table


def _table(title: str, names: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in names:
        table.add_column(name)
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def show_figures(console: Console, hours: Mapping[str, Sequence[Hour]]) -> None:
    """Print each member's hours without and with balancing, one bar a slot."""
    rows = [row for each in hours.values() for row in each]
    top = max((max(row.generated_uwh, row.wanted_uwh) for row in rows), default=0)
    unit = unit_for([top])
    console.print(
        f"\nEach member without and with balancing; a bar a slot, full height is "
        f"{unit.text(top)} {unit.name}:",
        highlight=False,
    )
    for member, each in list(hours.items())[:MEMBERS_SHOWN]:
        lines = (
            ("generated", [row.generated_uwh for row in each]),
            ("wanted (without)", [row.wanted_uwh for row in each]),
            ("consumed (with)", [row.consumed_uwh for row in each]),
            ("bought", [row.bought_uwh for row in each]),
            ("sold", [row.sold_uwh for row in each]),
            ("curtailed", [row.curtailed_uwh for row in each]),
        )
        console.print(f"[bold]{member}[/]")
        for name, values in lines:
            console.print(f"  {name:<18}[cyan]{sparkline(values, top)}[/]", highlight=False)


def show_verdict(console: Console, accounts: Accounts, verdict: Verdict) -> None:
    """Print why the summary can be believed."""
    signed, stored = accounts.signed, accounts.stored
    console.print(
        f"\n{signed[REGISTER]:,} register readings signed, {stored[REGISTER]:,} on the ledger; "
        f"{stored[TELEMETRY]:,} telemetry packs sealed; {len(accounts.lost)} lost, "
        f"{accounts.duplicated} twice, {verdict.refused} refused.",
        highlight=False,
        soft_wrap=True,
    )
    good, bad = "[bold green]ledger verified[/]", "[bold red]LEDGER NOT VERIFIED[/]"
    console.print(
        f"{good if verdict.verified else bad}, {verdict.tree_size:,} entries, "
        f"root {verdict.root.hex()} (unwitnessed).",
        highlight=False,
        soft_wrap=True,
    )
